"""Fourteen ways in which people and programs change a picture, and near shots, which are no copies.

Every change takes an RGB picture and a random generator, and gives an RGB picture.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from bitcodes.images.changes import mirrored, recompressed

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def halved(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    size = max(1, image.width // 2), max(1, image.height // 2)
    return image.resize(size, Image.Resampling.LANCZOS)


def doubled(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)


def cropped(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Without that share of its width and of its height, at random sides."""
    width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
    left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
    return image.crop((left, top, left + width, top + height))


def cropped_10(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """90 % of either side."""
    return cropped(image, 0.1, rng)


def cropped_30(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """70 % of either side: half of the picture."""
    return cropped(image, 0.3, rng)


def bordered(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A frame of one colour, 8 % of the longer side wide."""
    colour = tuple(int(value) for value in rng.choice([[255] * 3, [0] * 3, [128, 20, 20]]))
    return ImageOps.expand(image, round(0.08 * max(image.size)), colour)


def watermarked(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The same words all over it, half transparent."""
    layer = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(layer)
    font = ImageFont.load_default(max(10, image.width // 16))
    for row, top in enumerate(range(0, image.height, max(1, image.height // 5))):
        for left in range(-(row % 2) * image.width // 6, image.width, image.width // 3):
            draw.text((left, top), "SAMPLE", (255, 255, 255, 120), font)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def gray(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.convert("L").convert("RGB")


def brightened(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """By 40 %, what is brightest is cut off."""
    return ImageEnhance.Brightness(image).enhance(1.4)


def blurred(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A Gaussian of 2 pixels for each 500 of the longer side."""
    return image.filter(ImageFilter.GaussianBlur(max(image.size) / 250))


def turned(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A quarter to the left or right."""
    turn = rng.choice([Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270])
    return image.transpose(Image.Transpose(int(turn)))


def lettered(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Two lines of large white letters with black edges, as on a meme."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(12, image.width // 9))
    edge = max(1, image.width // 200)
    for text, top in (("WHEN THE CODE", 0.04), ("FINALLY RUNS", 0.84)):
        place = image.width / 2, top * image.height
        draw.text(place, text, "white", font, "ma", stroke_width=edge, stroke_fill="black")
    return image


def screenshot(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Shown by an app on a telephone: bars above and below, margins, and smaller."""
    width = 480
    shown = ImageOps.contain(image, (width - 2 * int(rng.integers(0, 24)), 640))
    dark = bool(rng.integers(2))
    ground, ink = ((24, 24, 24), (230, 230, 230)) if dark else ((250, 250, 250), (30, 30, 30))
    bar = int(rng.integers(40, 80))
    page = Image.new("RGB", (width, shown.height + 2 * bar), ground)
    page.paste(shown, ((width - shown.width) // 2, bar))
    draw = ImageDraw.Draw(page)
    draw.text((12, 8), "12:41      Photos", ink, ImageFont.load_default(18))
    for number in range(4):
        x = 60 + 120 * number
        draw.ellipse((x - 12, page.height - 34, x + 12, page.height - 10), outline=ink, width=2)
    return page


CHANGES: dict[str, Change] = {
    "halved": halved,
    "doubled": doubled,
    "recompressed": lambda image, rng: recompressed(image, 30),
    "cropped 10 %": cropped_10,
    "cropped 30 %": cropped_30,
    "bordered": bordered,
    "watermarked": watermarked,
    "gray": gray,
    "brightened": brightened,
    "blurred": blurred,
    "mirrored": lambda image, rng: mirrored(image),
    "turned 90": turned,
    "lettered": lettered,
    "screenshot": screenshot,
}


def near_shot(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The same thing from a step aside, in another light: another perspective and colours.

    Each corner of what the camera sees moves by 3 to 9 % of either side; hue, saturation and
    brightness change.
    """
    width, height = image.size
    moves = rng.uniform(0.03, 0.09, (4, 2)) * (width, height)
    inward = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    start = np.array([[0, 0], [0, height], [width, height], [width, 0]])
    seen = start + inward * moves
    moved = image.transform(
        image.size, Image.Transform.PERSPECTIVE, _perspective(start, seen), Image.Resampling.BICUBIC
    )
    hue, saturation, value = moved.convert("HSV").split()
    turn, richer = int(rng.integers(-16, 17)) % 256, rng.uniform(0.7, 1.3)
    hue = hue.point(lambda h: (h + turn) % 256)
    saturation = saturation.point(lambda s: min(255, round(s * richer)))
    lit = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    return ImageEnhance.Brightness(lit).enhance(rng.uniform(0.75, 1.25))


def _perspective(start: np.ndarray, seen: np.ndarray) -> list[float]:
    """The eight numbers that take the corners of a picture (4, 2) to those seen (4, 2)."""
    rows, values = [], []
    for (x, y), (u, v) in zip(start, seen, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows, float), np.array(values, float)).tolist()
