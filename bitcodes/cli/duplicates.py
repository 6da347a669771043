"""`bitcodes duplicates`: groups of images with the same codes, or nearly the same."""

from pathlib import Path
from typing import Any

import typer

from bitcodes.choices import Linkage, LinkKind
from bitcodes.cli.options import (
    DatabaseArgument,
    HtmlOption,
    JsonOption,
    OpenOption,
    ThreadsOption,
    WorkersOption,
    flag,
    number,
    number_or_auto,
    option,
    output,
)

_ACTING = "Acting on duplicates"
_RADIUS = number_or_auto(least=0)
_GROUPS = "--keep", "--linkage", "--max-group"
_ALONE = (
    (
        "--undo",
        "the undo file says all",
        (
            *("CODES", "--radius", *_GROUPS, "--against", "--verify", "--decided", "--html"),
            *("--open", "--list", "--move-to"),
        ),
    ),
    (
        "--decided",
        "the groups are those of the decisions",
        ("--radius", *_GROUPS, "--against", "--verify"),
    ),
    ("--against", "it makes no groups", (*_GROUPS, "--list", "--move-to")),
    ("--move-to", "it makes no page", ("--html", "--open")),
    ("--verify", "groups are stars then", ("--linkage",)),
)
"""Options that do not go together: one, why, and the others."""
_TOGETHER = (
    ("--turned", ("--verify",)),
    ("--link", ("--move-to",)),
    ("--yes", ("--move-to", "--undo")),
)
"""Options that need another: one, and those of which one must be there."""


def _checked(keep: str | None) -> str | None:
    """The rules of --keep; anything else is wrong usage."""
    if keep is not None:
        from bitcodes.errors import ConfigError
        from bitcodes.tasks.duplicates.keeping import keep_rules

        try:
            keep_rules(keep)
        except ConfigError as error:
            raise typer.BadParameter(str(error)) from None
    return keep


def _check_options(given: dict[str, bool]) -> None:
    """Raise BadParameter for options that do not go together; `given` says which there are."""
    for name, reason, others in _ALONE:
        if given[name] and (used := [other for other in others if given[other]]):
            words = f"{reason}: use it without {' and '.join(used)}"
            raise typer.BadParameter(words, param_hint=name)
    for name, needed in _TOGETHER:
        if given[name] and not any(given[other] for other in needed):
            raise typer.BadParameter(f"it needs {needed[0]}", param_hint=name)


def duplicates(
    codes: DatabaseArgument = None,
    radius: Any = option(
        "Largest Hamming distance between near-duplicates. 0 finds equal codes. auto estimates it "
        "from the pixels of some hundred pairs, and says how precise it is. Default: an eighth of "
        "the bits (16 of 128), which finds copies that were resized, recompressed or mirrored.",
        **_RADIUS,
    ),
    keep: str | None = option(
        "Which image of a group to keep, by one rule or several in order, with commas. largest: "
        "most pixels, of these most bytes. oldest: the file changed first. shortest-path. "
        "folder:DIR: in this folder. first: by path, which decides last. Default: largest, or "
        "first if the code set does not say where its images are.",
        metavar="RULES",
        callback=_checked,
    ),
    against: list[str] | None = option(
        "Find the images of CODES that are in this collection, too, the best match first: a code "
        "set (.npy), a folder, a list file (.txt), or an image. Images are encoded with the model "
        "of CODES. May be repeated for folders, lists and images.",
        metavar="OTHER",
    ),
    linkage: Linkage = option(
        "What makes a group. star: every image is within the radius of the image to keep. "
        "complete: of every other image. chain: of one other at least, so a row of similar shots "
        "is one group. See docs/duplicates.md.",
        default="star",
        metavar="KIND",
    ),
    verify: bool = flag(
        "--verify",
        "Compare the pixels of the images that the codes propose: copy is the same picture, "
        "changed; similar is another shot. The default radius is then 5/16 of the bits (40 of "
        "128). Takes about 30 ms per image, and as long per pair.",
    ),
    turned: bool = flag(
        "--turned",
        "With --verify, find copies that were turned by quarters or made gray, too: encodes each "
        "image four times more.",
    ),
    max_group: int | None = option(
        "Leave out groups of more images than this, such as blank pages. Default: no limit.",
        **number(int, least=2),
    ),
    json: JsonOption = False,
    html: HtmlOption = None,
    open_page: OpenOption = False,
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    force: bool = flag(
        "--force",
        "Compare with --against even if its codes are of another model. The distances then mean "
        "nothing.",
    ),
    list_file: Path | None = option(
        "Write the paths of all images but those to keep, as a list file.",
        "--list",
        metavar="FILE",
        callback=output,
        rich_help_panel=_ACTING,
    ),
    move_to: Path | None = option(
        "Move all images but those to keep into this folder, under the paths that they have in "
        "the code set. It must not lie in a folder that was encoded.",
        metavar="DIR",
        callback=output,
        rich_help_panel=_ACTING,
    ),
    link: LinkKind | None = option(
        "Leave a link to the image to keep in place of each image moved: hard or symbolic. "
        "Default: leave nothing.",
        metavar="KIND",
        rich_help_panel=_ACTING,
    ),
    undo: Path | None = option(
        "Move the images back that --move-to moved. It names its undo file, DIR/undo-1.json.",
        metavar="FILE",
        rich_help_panel=_ACTING,
    ),
    decided: bool = flag(
        "--decided",
        "Take the groups from codes.decisions.tsv, which the page of --html makes, and no others.",
        _ACTING,
    ),
    yes: bool = flag(
        "--yes", "Do it. By default, --move-to and --undo only print what they would do.", _ACTING
    ),
) -> None:
    """Find groups of near-duplicate images in a code set. Without --yes, no file is changed.

    ```
    bitcodes duplicates
    bitcodes duplicates photos.npy --radius 2 --html duplicates.html
    bitcodes duplicates --move-to ../duplicates --yes
    bitcodes duplicates --undo ../duplicates/undo-1.json --yes
    bitcodes duplicates photos.npy --verify
    bitcodes duplicates new.npy --against archive.npy
    ```

    Every image of a group is within the radius of the image to keep; --linkage changes that. If
    the size of an image is unknown, the first image of its group is kept, and a note says so.

    When piped, prints one tab-separated line per image: group, keep or duplicate, distance to the
    image to keep, path. With --verify: copy or similar in place of duplicate, and the score last.
    With --against, one line per match: path, path in OTHER, distance; kind and score if verified.
    """
    given = {
        "CODES": codes is not None,
        "--radius": radius is not None,
        "--keep": keep is not None,
        "--against": bool(against),
        "--linkage": linkage != "star",
        "--verify": verify,
        "--max-group": max_group is not None,
        "--html": html is not None,
        "--open": open_page,
        "--list": list_file is not None,
        "--move-to": move_to is not None,
        "--undo": undo is not None,
        "--decided": decided,
        "--turned": turned,
        "--link": link is not None,
        "--yes": yes,
    }
    _check_options(given)
    if radius == "auto" and (verify or against):
        raise typer.BadParameter(
            "auto is for groups by codes alone: use it without --verify and --against",
            param_hint="--radius",
        )
    from bitcodes.cli.code_sets import codes_argument, find_database
    from bitcodes.cli.console import note, progress
    from bitcodes.cli.next_step import next_command
    from bitcodes.cli.show import show
    from bitcodes.tasks.duplicates.finding import find_decided, find_duplicates

    if undo is not None:
        from bitcodes.tasks.duplicates.acting import undo_moves

        show(undo_moves(undo, yes), json=json)
        return
    database = find_database(codes)
    if against:
        from bitcodes.tasks.duplicates.against import find_in_other

        with progress("comparing images") as report:
            found = find_in_other(
                database,
                against,
                radius,
                verify=verify,
                turned=turned,
                threads=threads,
                workers=workers,
                force=force,
                progress=report,
                note=note,
            )
        show(found, json=json, html=html, open_page=open_page)
        return
    if decided:
        result = find_decided(database)
    else:
        with progress("comparing codes") as report:
            result = find_duplicates(
                database, radius, keep, threads, report, linkage, max_group, verify, turned
            )
    if list_file is not None:
        from bitcodes.tasks.duplicates.acting import list_duplicates
        from bitcodes.wording import counted

        note(f"{list_file}: {counted(list_duplicates(result, list_file), 'image')}")
    if move_to is not None:
        from bitcodes.tasks.duplicates.acting import move_duplicates

        show(move_duplicates(result, database, move_to, link, yes), json=json)
        return
    show(result, json=json, html=html, open_page=open_page)
    if result.groups and not (json or html or open_page or decided):
        values = {"--radius": radius, "--keep": keep, "--max-group": max_group}
        values["--linkage"] = linkage if given["--linkage"] else None
        again = [word for pair in values.items() if pair[1] is not None for word in pair]
        again += ["--verify"] * verify + ["--turned"] * turned
        next_command("duplicates", *codes_argument(result.codes), *again, "--open")
