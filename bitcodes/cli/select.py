"""`bitcodes select`: images that are unlike each other."""

from bitcodes.cli.options import CodesArgument, HtmlOption, JsonOption, OpenOption, number, option


def select(
    codes: CodesArgument = None,
    count: int = option("Number of images to select.", "-n", default=100, **number(int, least=1)),
    json: JsonOption = False,
    html: HtmlOption = None,
    open_page: OpenOption = False,
) -> None:
    """Select images that are unlike each other, for labelling or a gallery.

    ```
    bitcodes select -n 500 > to-label.txt
    bitcodes select photos.npy -n 60 --open
    ```

    The first image is the most typical one. Each of the others is the image that is least like
    all before it, by the Hamming distance of their codes. The same code set always gives the same
    images, and fewer of them give the beginning of the same list. A million images take seconds.

    When piped, prints one path per line: a list file.
    """
    from bitcodes.cli.code_sets import find_codes
    from bitcodes.cli.console import progress
    from bitcodes.cli.show import show
    from bitcodes.tasks.select import select as select_images

    with progress("selecting") as report:
        result = select_images(find_codes(codes), count, report)
    show(result, json=json, html=html, open_page=open_page)
