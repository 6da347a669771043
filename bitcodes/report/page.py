"""What the pages share: templates that escape every value, pictures as data URLs, and writing.

A page is one file that loads nothing. Its templates and its style sheet are in templates/.
"""

import base64
import math
import re
from dataclasses import dataclass
from functools import cache
from html import escape as escape_html
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_image
from bitcodes.images.thumbnails import thumbnail_jpeg
from bitcodes.report.text import printable
from bitcodes.report.writing import write_whole
from bitcodes.wording import counted


def render(template: str, **values: object) -> str:
    """A page from a template of this package; a value that the template misses raises an error."""
    return _environment().get_template(template).render(values)


def as_html(value: object) -> object:
    """A text as HTML in which neither the browser nor a reader's terminal obeys anything.

    Jinja calls it for each value before its own escaping, which leaves Markup alone.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return Markup(escape_html(printable(value), quote=True))


def write_page(page: str, file: Path) -> None:
    """Write a page whole or not at all, and make its folder; raises BitcodesError."""
    write_whole(page.encode("utf-8"), file, "page")


@dataclass(frozen=True)
class Thumbnail:
    """A small picture as a data URL, or the reason why there is none."""

    url: Markup | None
    problem: str = ""


class Thumbnails:
    """Thumbnails of image files for one page; each file is read once per size."""

    def __init__(self) -> None:
        self._cache: dict[tuple[Path, int], Thumbnail] = {}

    def __call__(self, file: Path | None, size: int) -> Thumbnail:
        """The picture in `file` with at most `size` pixels per side."""
        if file is None:
            return Thumbnail(None, "the file of this image is unknown")
        if (file, size) not in self._cache:
            self._cache[file, size] = _thumbnail(file, size)
        return self._cache[file, size]


def _thumbnail(file: Path, size: int) -> Thumbnail:
    try:
        image = open_image(file)
    except ImageError as error:
        return Thumbnail(None, str(error))
    enlarge = size // (2 * max(image.size))
    if enlarge > 1:  # a browser would blur or coarsen a tiny picture
        width, height = image.size
        image = image.resize((width * enlarge, height * enlarge), Image.Resampling.LANCZOS)
    data = base64.b64encode(thumbnail_jpeg(image, size)).decode()
    return Thumbnail(Markup(f"data:image/jpeg;base64,{data}"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bitcodes.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=as_html,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = "{:,}".format
    environment.filters["counted"] = counted
    environment.filters["percent"] = _percent
    environment.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
    environment.filters["breakable"] = _breakable
    return environment


def _percent(share: float) -> str:
    """A share as a width; nothing where there is no number."""
    return f"{0 if math.isnan(share) else share:.1%}"


def _breakable(path: str) -> Markup:
    """A path as HTML in which lines may break."""
    return Markup(re.sub("[/_-]", r"\g<0><wbr>", str(as_html(path))))
