"""bitcodes: short binary codes for images, searched by Hamming distance."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bitcodes.version import __version__ as __version__

if TYPE_CHECKING:
    from bitcodes.codes.codeset import CodeSet as CodeSet
    from bitcodes.errors import BitcodesError as BitcodesError
    from bitcodes.hamming.index import HammingIndex as HammingIndex
    from bitcodes.models.checkpoint import load_model as load_model
    from bitcodes.tasks.encode import encode as encode
    from bitcodes.tasks.evaluate import evaluate as evaluate

# Loaded on first use (PEP 562), so that importing bitcodes costs neither torch nor numba.
_PUBLIC = {
    "BitcodesError": "bitcodes.errors",
    "CodeSet": "bitcodes.codes.codeset",
    "HammingIndex": "bitcodes.hamming.index",
    "encode": "bitcodes.tasks.encode",
    "evaluate": "bitcodes.tasks.evaluate",
    "load_model": "bitcodes.models.checkpoint",
}
__all__ = [*sorted(_PUBLIC), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bitcodes' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
