"""Why an image cannot be read, in one line."""

import errno
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images.claims import MAX_PIXELS

_UNSUPPORTED = re.compile(
    r"unsupported|not supported|unimplemented|not implemented|unknown|unrecognized [^d]"
    r"|cannot handle|not configured|not installed|not available|unavailable|no codec"
    r"|unable to determine|loading plugin",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"too (large|many|much)|exceed|limit", re.IGNORECASE)
_PASSED_ON = (ImageError, KeyboardInterrupt, SystemExit, GeneratorExit)


@contextmanager
def image_errors() -> Iterator[None]:
    """Turn whatever goes wrong with one image into an ImageError whose message is the reason."""
    try:
        with warnings.catch_warnings():
            # Only these: if threads restore these filters in the wrong order, no harm is done.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            # Of threads, in workers that are forked: see camera_raw, which lets it start none.
            warnings.filterwarnings("ignore", "rawpy is being used", RuntimeWarning)
            yield
    except _PASSED_ON:
        raise
    except BaseException as error:  # decoders raise nearly everything on damaged files
        raise ImageError(_reason(error)) from error


def _reason(error: BaseException) -> str:
    """One printable line that says what went wrong, without the path and without surprises."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = "".join(c if c.isprintable() else "?" for c in text)[:200]
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    if isinstance(error, RecursionError):
        return "damaged: too deeply nested"
    if isinstance(error, Image.DecompressionBombError):
        is_ours = "decompression bomb?" in text
        return text if is_ours else f"too large: more than {MAX_PIXELS:,} pixels"
    if isinstance(error, FileNotFoundError):
        return "no such file (was it removed?)"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, OSError) and error.strerror and error.errno != errno.EINVAL:
        return error.strerror
    if isinstance(error, NotImplementedError) or _UNSUPPORTED.search(text):
        return f"not supported: {text}"
    if "truncated" in text.lower():
        return "the file is truncated"
    if _REFUSED.search(text):
        return f"refused: {text}"
    return f"damaged or truncated: {text}"
