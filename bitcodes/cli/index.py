"""`bitcodes index`: group a code set by distinct codes, so that searches of it are faster."""

from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import ForceOption, JsonOption


def index(
    codes: Annotated[Path, typer.Argument(help="The code set.")] = Path("codes.npy"),
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Build the index of a code set and save it beside it, in a folder (codes.index).

    The index keeps each distinct code once, with the rows that have it: where many images share a
    code, searches take a fraction of the time, and give the same results. `search` uses it by
    itself; after the code set has changed, build it again.
    """
    import time

    from bitcodes.cli.console import note, out, print_json
    from bitcodes.codes.codeset import CodeSet
    from bitcodes.errors import CodeSetError
    from bitcodes.hamming.grouped import group, index_path, load_index, save_index

    code_set = CodeSet.open(codes)
    found = None
    if not force:
        try:
            found = load_index(code_set)
        except CodeSetError as error:
            note(str(error))
    started = time.perf_counter()
    is_new = found is None
    if found is None:
        found = group(code_set.codes, code_set.bits)
        save_index(found, code_set)
    folder = index_path(codes)
    seconds = round(time.perf_counter() - started, 3)
    if json:
        print_json(
            {
                "index": str(folder),
                "count": len(found),
                "distinct": len(found.distinct),
                "built": is_new,
                "seconds": seconds,
            }
        )
        return
    share = f" ({len(found.distinct) / len(found):.1%})" if len(found) else ""
    done = f"built in {seconds:.1f} s" if is_new else "up to date"
    out.print(
        f"{folder}: {len(found):,} codes, {len(found.distinct):,} of them distinct{share}; {done}",
        markup=False,
    )
