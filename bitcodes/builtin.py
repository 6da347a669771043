"""The names of the built-in model, which may stand wherever a run or a model file is named."""

BUILT_IN = "built-in"
"""Its name without a length."""

BUILT_IN_BITS = (32, 64, 128, 256)
"""Lengths of its codes: `built-in-32` to `built-in-256`."""

DEFAULT_BITS = 128
"""The length that `built-in` means."""

LENGTHS = f"{', '.join(map(str, BUILT_IN_BITS[:-1]))} or {BUILT_IN_BITS[-1]}"
"""The lengths in words."""


def built_in_name(bits: int = DEFAULT_BITS) -> str:
    """The name of the built-in model with codes of that length; raises ValueError for others."""
    if bits not in BUILT_IN_BITS:
        raise ValueError(f"the built-in model has codes of {LENGTHS} bits, not {bits}")
    return f"{BUILT_IN}-{bits}"


def built_in_bits(source: object) -> int | None:
    """K, if `source` is a name of the built-in model; else None.

    A `Path` never is: that is how a file or folder of such a name is named, in text ./built-in.
    """
    names = {BUILT_IN: DEFAULT_BITS, **{built_in_name(bits): bits for bits in BUILT_IN_BITS}}
    return names.get(source) if isinstance(source, str) else None
