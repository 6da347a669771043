"""`bitcodes index`: prepare a code set for faster searches."""

from bitcodes.cli.options import CodesArgument, JsonOption, flag, option


def index(
    codes: CodesArgument = None,
    tables: bool | None = option(
        "Add tables of code parts. Default: add them to 1,000,000 or more distinct codes, if these "
        "have at most 128 bits."
    ),
    force: bool = flag("--force", "Build the index again, even if it is up to date."),
    json: JsonOption = False,
) -> None:
    """Build the index of a code set, for faster searches with the same results.

    The index is saved beside the code set, in a folder (codes.index). `search` uses it by
    itself. If the code set has changed, run this command again: it adds new rows to the index,
    or builds it again if other rows have changed.

    The index stores each distinct code once. If many images share a code, a search takes a
    fraction of the time. Tables of code parts (multi-index hashing) let a search read only the
    codes that can be near. With millions of codes this is many times faster still; the tables take
    about 40 bytes per code.
    """
    from bitcodes.cli.code_sets import codes_option, find_codes
    from bitcodes.cli.next_step import next_command
    from bitcodes.cli.show import show
    from bitcodes.tasks.index import build_index

    codes = find_codes(codes)
    show(build_index(codes, tables=tables, force=force), json=json)
    if not json:
        next_command("search", "PHOTO", *codes_option(codes))
