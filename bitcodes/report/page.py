"""What the pages share: templates that escape every value, pictures as data URLs, and writing.

A page is one file that loads nothing. Its templates and its style sheet are in templates/.
"""

import base64
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from html import escape as escape_html
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_image
from bitcodes.images.thumbnails import thumbnail, thumbnail_jpeg
from bitcodes.report.text import printable
from bitcodes.report.writing import check_page, write_whole
from bitcodes.sources.item import File, Place
from bitcodes.sources.members import find_places
from bitcodes.wording import counted

_MEMBER_PIXELS = 512  # of images in archives while a page is made


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
    """Write a page whole or not at all into a folder that is there; raises BitcodesError.

    It replaces an older page, and no other file.
    """
    check_page(file)
    write_whole(page.encode("utf-8"), file, "page")


@dataclass(frozen=True)
class Thumbnail:
    """A small picture as a data URL, or the reason why there is none."""

    url: Markup | None
    problem: str = ""


class Thumbnails:
    """Thumbnails of image files for one page; each file is read once per size.

    `files` are those that the page will show: archives among them are read once for all.
    """

    def __init__(self, files: Iterable[Path | None] = ()) -> None:
        self._cache: dict[tuple[Path, int], Thumbnail] = {}
        self._members: dict[Path, Image.Image | str] = {}
        for file, place in find_places(file for file in files if file is not None):
            if not isinstance(place, File):
                self._members[file] = _member(place)

    def __call__(self, file: Path | None, size: int) -> Thumbnail:
        """The picture in `file` with at most `size` pixels per side."""
        if file is None:
            return Thumbnail(None, "the file of this image is unknown")
        if (file, size) not in self._cache:
            self._cache[file, size] = _thumbnail(self._members.get(file, file), size)
        return self._cache[file, size]


def _member(place: Place) -> Image.Image | str:
    """An image in an archive, made small, or why it cannot be read."""
    try:
        return thumbnail(place.read(open_image)[0], _MEMBER_PIXELS)
    except ImageError as error:
        return str(error)


def _thumbnail(source: Path | Image.Image | str, size: int) -> Thumbnail:
    if isinstance(source, str):
        return Thumbnail(None, source)
    try:
        image = open_image(source) if isinstance(source, Path) else source
    except ImageError as error:
        return Thumbnail(None, str(error))
    data = base64.b64encode(thumbnail_jpeg(thumbnail(image, size), size)).decode()
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
