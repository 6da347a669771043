"""Fine-tuning: from data and settings to a run. `beginning` is light; the rest loads torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitcodes.training.finetuning import Finetuned, finetune
    from bitcodes.training.progress import Progress

__all__ = ["Finetuned", "Progress", "finetune"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'bitcodes.training' has no attribute {name!r}")
    from bitcodes.training import finetuning, progress

    return getattr(progress if name == "Progress" else finetuning, name)
