"""Fine-tuning: from a prepared dataset and settings to a run."""

from bitcodes.training.finetuning import Finetuned, finetune
from bitcodes.training.progress import Progress

__all__ = ["Finetuned", "Progress", "finetune"]
