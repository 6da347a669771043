"""Words for people: numbers of things, and commands to run."""

import os
import shlex


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 image", "2,880 images"; `plural` if it is not noun + s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def command(*words: object) -> str:
    """`bitcodes WORDS...` as one line, with words quoted for the shell of this system."""
    return f"bitcodes {quoted(*words)}"


def quoted(*words: object) -> str:
    """Words as one line that the shell of this system takes apart in the same way."""
    texts = [str(word) for word in words]
    if os.name != "nt":
        return shlex.join(texts)
    import subprocess

    return subprocess.list2cmdline(texts)
