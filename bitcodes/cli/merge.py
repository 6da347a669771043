"""`bitcodes merge`: code sets of one model into one."""

from pathlib import Path

from bitcodes.cli.log import LogFormatOption
from bitcodes.cli.options import JsonOption, OutputOption, argument, flag


def merge(
    sets: list[Path] = argument("CODES", "Code sets to join. Their rows keep this order."),
    out: OutputOption = Path("codes.npy"),
    force: bool = flag("--force", "Replace an existing code set."),
    json: JsonOption = False,
    log_format: LogFormatOption = "text",
) -> None:
    """Join code sets of one model into one.

    ```
    bitcodes merge part1.npy part2.npy -o codes.npy
    ```

    All code sets must be of the same model, engine, dtype and decoding, and have the same optional
    files (labels, features, stat). Joining all parts that encode --part wrote gives the same code
    set as one encode of all images. A part that is missing, or there twice, is an error.
    """
    from bitcodes.cli.code_sets import codes_option
    from bitcodes.cli.console import note, print_json, progress
    from bitcodes.cli.next_step import next_command
    from bitcodes.cli.show import show
    from bitcodes.codes.codeset import CodeSet
    from bitcodes.codes.merge import merge as merge_sets
    from bitcodes.tasks.encoding.encoded import set_dict
    from bitcodes.tasks.encoding.origin import origin_maker, origins_merged

    code_sets = [CodeSet.open(path) for path in sets]
    origin = origin_maker(out, origins_merged(code_sets, sets))
    with progress("merging") as report:
        merged = merge_sets(code_sets, out, force=force, progress=report, note=note, origin=origin)
    if json:
        print_json(set_dict(merged, out))
        return
    show(merged)
    next_command("search", "PHOTO", *codes_option(out))
