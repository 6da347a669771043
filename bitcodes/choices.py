"""Closed choices that the library takes and the command line lists."""

import re
from typing import Literal

ListLabels = Literal["auto", "index", "multi-hot"]
"""What the numbers in a list file are: that of the one class, or a 0 or 1 for each class."""

Engine = Literal["auto", "torch", "onnx"]
"""What runs a model."""

DType = Literal["auto", "float32", "bfloat16"]
"""The numbers that a model computes with."""

BuiltInBits = Literal[32, 64, 128, 256]
"""Lengths of the built-in model's codes."""

SearchOrder = Literal["sum", "class"]
"""The order of results where codes have two parts: by a weighted sum, or by class bits first."""

Keep = Literal["first", "largest", "oldest", "shortest-path"]
"""Which image of a group of near-duplicates to keep; several in order: see keeping.py."""

Linkage = Literal["star", "complete", "chain"]
"""What makes a group of near-duplicates: all near its best image, all near each other, or each near
another."""

CopyKind = Literal["copy", "similar"]
"""What the pixels of two near-duplicates say: one picture, changed; or another shot."""

LinkKind = Literal["hard", "symbolic"]
"""A second name of a file, or a file that names another."""

CompatName = Literal["deephash", "lin2015", "predecessor"]
"""Another project's way of counting figures."""

Protocol = Literal["full", "low-data", "low-data-54k", "coarse", "unseen"]
"""How CIFAR-10 is divided."""

TableFormat = Literal["table", "markdown", "latex", "csv"]
"""How a table of runs is printed: for a terminal, or as text for a document or a program."""

RowFormat = Literal["parquet", "ndjson", "csv"]
"""A file of rows for other programs: ndjson has a JSON document per line."""

DEVICE = re.compile(r"auto|(cpu|cuda|mps)(:\d+)?")
"""What names a device that runs models."""

LogFormat = Literal["text", "json"]
"""How a log is written: for people, or one JSON document per line."""
