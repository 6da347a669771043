"""`bitcodes duplicates`: groups of images with the same codes, or nearly the same."""

from bitcodes.choices import Keep, Linkage
from bitcodes.cli.options import (
    CodesArgument,
    HtmlOption,
    JsonOption,
    OpenOption,
    ThreadsOption,
    number,
    option,
)


def duplicates(
    codes: CodesArgument = None,
    radius: int | None = option(
        "Largest Hamming distance between near-duplicates. 0 finds equal codes. Default: an eighth "
        "of the bits (16 of 128), which finds copies that were resized, recompressed or mirrored.",
        **number(int, least=0),
    ),
    keep: Keep | None = option(
        "Which image of a group to keep. largest: the one with the most pixels; of these the one "
        "with the most bytes, and of these the first by path. first: the first by path. Default: "
        "largest, or first if the code set does not say where its images are."
    ),
    linkage: Linkage = option(
        "What makes a group. star: every image is within the radius of the image to keep. "
        "complete: of every other image. chain: of one other at least, so a row of similar shots "
        "is one group. See docs/duplicates.md.",
        default="star",
    ),
    max_group: int | None = option(
        "Leave out groups of more images than this, such as blank pages. Default: no limit.",
        **number(int, least=2),
    ),
    json: JsonOption = False,
    html: HtmlOption = None,
    open_page: OpenOption = False,
    threads: ThreadsOption = None,
) -> None:
    """Find groups of near-duplicate images in a code set. No file is changed.

    ```
    bitcodes duplicates
    bitcodes duplicates photos.npy --radius 2 --html duplicates.html
    ```

    Every image of a group is within the radius of the image to keep; --linkage changes that. If
    the size of an image is unknown, the first image of its group is kept, and a note says so.

    When piped, prints one tab-separated line per image: group, keep or duplicate, distance to the
    image to keep, path.
    """
    from bitcodes.cli.code_sets import codes_argument, find_codes
    from bitcodes.cli.console import progress
    from bitcodes.cli.next_step import next_command
    from bitcodes.cli.show import show
    from bitcodes.tasks.duplicates import find_duplicates

    codes = find_codes(codes)
    with progress("comparing codes") as report:
        result = find_duplicates(
            codes, radius, keep, threads, report, linkage=linkage, max_group=max_group
        )
    show(result, json=json, html=html, open_page=open_page)
    if result.groups and not (json or html or open_page):
        next_command("duplicates", *codes_argument(codes), "--open")
