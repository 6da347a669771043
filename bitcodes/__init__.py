"""bitcodes: short binary codes for images, searched by Hamming distance."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bitcodes.version import __version__ as __version__

if TYPE_CHECKING:
    from bitcodes.cli.console import progress as progress
    from bitcodes.codes.codeset import CodeSet as CodeSet
    from bitcodes.codes.pack import pack_outputs as pack_outputs
    from bitcodes.datasets.cifar10 import prepare_cifar10 as prepare_cifar10
    from bitcodes.datasets.class_folders import prepare_folder as prepare_folder
    from bitcodes.datasets.demo import prepare_demo as prepare_demo
    from bitcodes.datasets.list_folders import prepare_lists as prepare_lists
    from bitcodes.errors import BitcodesError as BitcodesError
    from bitcodes.hamming.index import HammingIndex as HammingIndex
    from bitcodes.losses.base import HashLoss as HashLoss
    from bitcodes.models.backbone import Backbone as Backbone
    from bitcodes.models.encoding import encode_images as encode_images
    from bitcodes.models.engines import load_model as load_model
    from bitcodes.settings import Settings as Settings
    from bitcodes.tasks.duplicates.finding import find_duplicates
    from bitcodes.tasks.encoding.encode import encode as encode
    from bitcodes.tasks.evaluate import evaluate as evaluate
    from bitcodes.tasks.searching.search import search as search
    from bitcodes.tasks.select import select as select
    from bitcodes.training.finetuning import finetune as finetune

    duplicates = find_duplicates

# Public name -> where it is. Loaded on first use (PEP 562): importing bitcodes needs neither torch
# nor numba.
_PUBLIC = {
    "Backbone": "bitcodes.models.backbone:Backbone",
    "BitcodesError": "bitcodes.errors:BitcodesError",
    "CodeSet": "bitcodes.codes.codeset:CodeSet",
    "HashLoss": "bitcodes.losses.base:HashLoss",
    "HammingIndex": "bitcodes.hamming.index:HammingIndex",
    "Settings": "bitcodes.settings:Settings",
    "duplicates": "bitcodes.tasks.duplicates.finding:find_duplicates",
    "encode": "bitcodes.tasks.encoding.encode:encode",
    "encode_images": "bitcodes.models.encoding:encode_images",
    "evaluate": "bitcodes.tasks.evaluate:evaluate",
    "finetune": "bitcodes.training.finetuning:finetune",
    "load_model": "bitcodes.models.engines:load_model",
    "pack_outputs": "bitcodes.codes.pack:pack_outputs",
    "prepare_cifar10": "bitcodes.datasets.cifar10:prepare_cifar10",
    "prepare_demo": "bitcodes.datasets.demo:prepare_demo",
    "prepare_folder": "bitcodes.datasets.class_folders:prepare_folder",
    "prepare_lists": "bitcodes.datasets.list_folders:prepare_lists",
    "progress": "bitcodes.cli.console:progress",
    "search": "bitcodes.tasks.searching.search:search",
    "select": "bitcodes.tasks.select:select",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bitcodes' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
