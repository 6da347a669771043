"""Types of the functions that long work calls to say how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int | None], None]
"""Called with how much is done, and how much there is; None where that is unknown."""

Note = Callable[[str], None]
"""Called with a sentence for the user."""
