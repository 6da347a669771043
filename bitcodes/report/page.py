"""What the pages share: one file that needs nothing else, its colours, and pictures inside it."""

import base64
from html import escape as escape_html
from pathlib import Path

from PIL import Image

from bitcodes.errors import BitcodesError, ImageError
from bitcodes.files import atomic_write
from bitcodes.images.decode import open_image
from bitcodes.images.thumbnails import thumbnail_jpeg
from bitcodes.report.text import printable


def page_start(title: str, style: str) -> str:
    """A page up to <body>, light and dark; it may load nothing and tells the browser so."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{as_html(title)} · bitcodes</title>\n"
        f"<style>\n{_STYLE}{style}</style>\n</head>\n<body>\n"
    )


def write_page(page: str, file: Path) -> None:
    """Write a page, whole or not at all, and the folder that it goes to; raises BitcodesError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file, "w") as out:
            out.write(page)
    except OSError as error:
        raise BitcodesError(f"the page {file} cannot be written: {error.strerror}") from error


class Pictures:
    """Image files as img elements; each file is read once a size."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int], str | ImageError] = {}

    def tag(self, file: Path | None, size: int, name: str) -> str:
        """An img element with the picture inside, or a placeholder that says why there is none."""
        if file is None:
            return _placeholder("it is not known where this image lies")
        if (file, size) not in self._known:
            self._known[file, size] = _data_url(file, size)
        found = self._known[file, size]
        if isinstance(found, ImageError):
            return _placeholder(str(found))
        return f'<img src="{found}" alt="{as_html(name)}">'


def _data_url(file: Path, size: int) -> str | ImageError:
    try:
        image = open_image(file)
    except ImageError as error:
        return error
    enlarge = size // (2 * max(image.size))
    if enlarge > 1:  # what a browser makes of a tiny picture is worse
        width, height = image.size
        image = image.resize((width * enlarge, height * enlarge), Image.Resampling.LANCZOS)
    jpeg = thumbnail_jpeg(image, size)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _placeholder(reason: str) -> str:
    return f"<div class=missing><span>No picture: {as_html(reason)}</span></div>"


def as_html(text: str) -> str:
    """Any text as HTML: nothing in it is obeyed, by the browser or by who reads the source."""
    return escape_html(printable(text), quote=True)


_STYLE = """\
:root {
  --page: #f7f7f5; --card: #fff; --ink: #1d1d1b; --quiet: #6a6963; --line: #e4e3de;
  --accent: #3559c7; --track: #e8e8e4;
  --right: #157347; --right-back: #dcf3e6; --wrong: #b3261e; --wrong-back: #fbe3e1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131416; --card: #1d1f22; --ink: #ececea; --quiet: #9b9b95; --line: #303236;
    --accent: #8fa8ff; --track: #303236;
    --right: #6fd8a0; --right-back: #143625; --wrong: #ff9d94; --wrong-back: #451d1a;
  }
}
* { box-sizing: border-box; margin: 0; }
body {
  background: var(--page); color: var(--ink); line-height: 1.45;
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  max-width: 1400px; margin: 0 auto; padding: 32px 24px 48px;
}
h1 { font-size: 1.6rem; letter-spacing: -.015em; }
header p { color: var(--quiet); margin-top: 4px; overflow-wrap: anywhere; }
header p b { color: var(--ink); font-weight: 600; }
"""
