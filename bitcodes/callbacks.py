"""Types of the functions that long work calls to say how far it is."""

from collections.abc import Callable
from contextlib import AbstractContextManager

Progress = Callable[[int, int | None], None]
"""Called with how much is done, and how much there is; None where that is unknown."""

Note = Callable[[str], None]
"""Called with a sentence for the user."""

Steps = Callable[[str], AbstractContextManager[Progress]]
"""Called with the name of a step: a context that gives the function to call with its progress."""
