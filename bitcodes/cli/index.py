"""`bitcodes index`: prepare a code set for faster searches."""

from pathlib import Path
from typing import Annotated

import typer

from bitcodes.cli.options import ForceOption, JsonOption


def index(
    codes: Annotated[Path, typer.Argument(help="The code set.")] = Path("codes.npy"),
    tables: Annotated[
        bool | None,
        typer.Option(
            "--tables/--no-tables",
            help="Whether to add tables. Default: from 1,000,000 distinct codes on, if they have "
            "128 bits at most.",
            show_default=False,
        ),
    ] = None,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Build the index of a code set and save it beside it, in a folder (codes.index).

    The index keeps each distinct code once, with the rows that have it: where many images share a
    code, searches take a fraction of the time. Tables of the codes by their parts (multi-index
    hashing) let a search read only the codes that can be near: many times faster again in sets of
    millions, for which they take some 40 bytes a code. Results are the same, always.

    `search` uses the index by itself. After the code set has changed, run this again: if rows were
    only added, they are merged in.
    """
    import contextlib
    import time

    from bitcodes.cli.console import out, print_json
    from bitcodes.codes.codeset import CodeSet
    from bitcodes.errors import CodeSetError
    from bitcodes.hamming import stored
    from bitcodes.hamming.multi import MultiIndex

    code_set = CodeSet.open(codes)
    found = None
    if not force:
        with contextlib.suppress(CodeSetError):  # it is stale or damaged, and built again
            found = stored.load_index(code_set)
        if found is not None and tables not in (None, isinstance(found, MultiIndex)):
            found = None
    started = time.perf_counter()
    done = "up to date"
    if found is None:
        found, done = stored.update_index(code_set, tables, afresh=force)
    seconds = round(time.perf_counter() - started, 3)
    folder = stored.index_path(codes)
    gains = {}
    if isinstance(found, MultiIndex):
        gains = {f"{k} nearest": round(found.gain(k=k), 1) for k in (1, 10, 100)}
        gains["radius 2"] = round(found.gain(radius=2), 1)
    if json:
        print_json(
            {
                "index": str(folder),
                "count": len(found),
                "distinct": len(found.distinct),
                "tables": found.tables.codes.shape[0] if isinstance(found, MultiIndex) else 0,
                "gains": gains,
                "built": done != "up to date",
                "seconds": seconds,
            }
        )
        return
    share = f" ({len(found.distinct) / len(found):.1%})" if len(found) else ""
    if done != "up to date":
        done = f"{done} in {seconds:.1f} s"
    out.print(
        f"{folder}: {len(found):,} codes, {len(found.distinct):,} of them distinct{share}; {done}",
        markup=False,
    )
    if isinstance(found, MultiIndex):
        expected = ", ".join(f"{name} {gain:.1f}" for name, gain in gains.items() if gain > 1)
        size = found.tables.nbytes / 1e6
        out.print(
            f"{found.tables.codes.shape[0]} tables, {size:,.0f} MB; faster than a scan, about, "
            f"by a factor of: {expected or '1 (searches will scan)'}",
            markup=False,
        )
