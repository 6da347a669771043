"""Random seeds that depend on nothing but their parts."""

import hashlib


def stable_seed(*parts: object) -> int:
    """A 63-bit seed from any values, the same on every machine and version."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def step_seed(seed: int, step: int) -> int:
    """Where every random number of a step comes from; `seed` is that of the settings."""
    return stable_seed(seed, "step", step)
