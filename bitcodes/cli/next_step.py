"""The line that names the command to run next, ready to be pasted into a shell."""

import os
import shlex
import subprocess

from bitcodes.cli import console


def next_command(*words: object) -> None:
    """Print `next: bitcodes WORDS...` on stderr; a word such as PHOTO stands for the user's own."""
    console.note(f"next: {command(*words)}")


def command(*words: object) -> str:
    """`bitcodes WORDS...` as one line, with words quoted for the shell of this system."""
    return f"bitcodes {quoted(*words)}"


def quoted(*words: object) -> str:
    """Words as one line that the shell of this system takes apart in the same way."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else shlex.join(texts)
