"""Formulas in plain Python, for tests to compare with."""

import math


def cosine(one: list[float], other: list[float]) -> float:
    inner = sum(a * b for a, b in zip(one, other, strict=True))
    return inner / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))
