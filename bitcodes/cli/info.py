"""`bitcodes info`: what a code set, a run or a model file holds."""

from bitcodes.cli.options import JsonOption, argument


def info(
    path: str | None = argument(
        "CODES|RUN",
        "Code set, URL of a database, run, model file, or built-in. Default: the nearest "
        "codes.npy, in the working folder or a folder above.",
        default=None,
    ),
    json: JsonOption = False,
) -> None:
    """Describe a code set, a run or a model. Verify the checksums of a code set.

    ```
    bitcodes info codes.npy
    ```
    """
    from bitcodes.cli.code_sets import find_codes
    from bitcodes.cli.show import show
    from bitcodes.tasks.info import describe

    show(describe(find_codes(None) if path is None else path), json=json)
