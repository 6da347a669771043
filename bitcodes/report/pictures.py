"""Pictures on a terminal: by its own protocol where it has one, else as coloured half blocks."""

import atexit
import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any

from PIL import Image
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

from bitcodes.images.thumbnails import thumbnail

MIN_WIDTH = 12
"""Columns of the narrowest terminal on which a picture can be recognized."""

_PATIENCE = 0.1
"""Seconds that an answer of the terminal may take."""


@dataclass(frozen=True)
class Screen:
    """How a terminal shows pictures."""

    picture_columns: int
    """Width of a picture that can be recognized."""
    cell_width: int
    """Pixels per column; half blocks have 1."""
    cell_height: int
    """Pixels per line; half blocks have 2."""
    draw: Callable[[Image.Image, int, int], RenderableType]
    """Makes a picture of an RGB image, and of its width and height in columns and lines."""

    def picture(self, image: Image.Image, columns: int) -> RenderableType:
        """An RGB image that fits a square `columns` wide."""
        small = thumbnail(image, columns * self.cell_width)
        width, height = small.size
        return self.draw(small, ceil(width / self.cell_width), ceil(height / self.cell_height))


def why_no_pictures(console: Console) -> str | None:
    """Why a console cannot show pictures, in words; None if it can."""
    if not console.is_terminal:
        return "standard output is not a terminal"
    if console.no_color:
        return "NO_COLOR is set"
    if console.color_system in (None, "standard", "windows"):
        return "the terminal has too few colours"
    if console.width < MIN_WIDTH:
        return f"the terminal is narrower than {MIN_WIDTH} columns"
    return None


def find_screen() -> Screen:
    """How the terminal on standard output shows pictures: it is asked, which takes up to 0.2 s."""
    return _own_protocol() or Screen(38, 1, 2, HalfBlocks)


def _own_protocol() -> Screen | None:
    """Sixels, or the graphics protocol of kitty; None if the terminal has neither, or no keyboard.

    It answers as if the user had typed, so it can be asked only if standard input is the terminal.
    """
    if not all(stream and stream.isatty() for stream in (sys.__stdin__, sys.__stdout__)):
        return None
    logging.getLogger("textual_image").addHandler(logging.NullHandler())
    start = time.monotonic()
    try:
        from textual_image import _terminal, renderable  # asks the terminal when it is imported

        kind: Any = renderable.Image
        if kind in (renderable.SixelImage, renderable.TGPImage):
            width, height = _terminal.get_cell_size()
            return Screen(24, width, height, lambda image, w, h: kind(image, width=w, height=h))
    except Exception:  # whatever a terminal answers, there are half blocks
        return None
    if time.monotonic() - start > _PATIENCE:
        atexit.register(_drop_late_answers)
    return None


def _drop_late_answers() -> None:
    """Over a slow line the answers come later, and the shell would take them for commands."""
    try:
        import termios
    except ImportError:  # on Windows
        return
    with suppress(OSError, ValueError, termios.error):
        termios.tcflush(0, termios.TCIFLUSH)


class HalfBlocks:
    """A picture of characters, each with two pixels: its upper half, and the background below."""

    def __init__(self, image: Image.Image, width: int, height: int) -> None:
        self._image, self._width = image, width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        pixels: Any = self._image.load()
        width, height = self._image.size
        for y in range(0, height, 2):
            for x in range(width):
                below = _color(pixels[x, y + 1]) if y + 1 < height else None
                yield Segment("▀", Style(color=_color(pixels[x, y]), bgcolor=below))
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self._width, self._width)


def _color(pixel: tuple[int, int, int]) -> Color:
    return Color.from_rgb(*pixel)
