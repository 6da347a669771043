"""Fine-tuning: from a prepared dataset and settings to a run."""

from bitcodes.training.finetuning import Finetuned, finetune
from bitcodes.training.loop import Progress

__all__ = ["Finetuned", "Progress", "finetune"]
