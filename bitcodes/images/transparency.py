"""Transparent pictures, laid over a colour that does not hide them."""

from PIL import Image

from bitcodes.images.profiles import to_srgb

_LIGHT, _DARK = 224, 32
"""Lighter and darker pixels than these, of 255, are lost on white and on black."""
_SEEN = 128
"""Pixels of at least this opacity, of 255, count for the choice of the colour."""
_UNUSED = ("BMP", "DDS", "DIB", "TGA")
"""Formats that programs write with a channel of opacity that they do not use: 0 everywhere."""


def lay_over(image: Image.Image, profile: object) -> Image.Image:
    """A picture with transparency as RGB over white, or over black if white hides most of it."""
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = rgba.getchannel("A")
    opaque = image.convert("L") if image.mode in ("LA", "La") else rgba.convert("RGB")
    colours = to_srgb(opaque, profile)
    least, most = alpha.getextrema()
    if least == 255 or (most == 0 and image.format in _UNUSED):
        return colours
    return Image.composite(colours, Image.new("RGB", image.size, _ground(colours, alpha)), alpha)


def _ground(colours: Image.Image, alpha: Image.Image) -> str:
    mask = alpha.point([255 * (value >= _SEEN) for value in range(256)])
    if mask.getextrema()[1] == 0:
        mask = alpha
    tones = colours.convert("L").histogram(mask)  # counts where the mask is not 0
    light, dark = sum(tones[_LIGHT:]), sum(tones[: _DARK + 1])
    return "black" if light > sum(tones) / 2 and light > dark else "white"
