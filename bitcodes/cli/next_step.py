"""The line that names the command to run next, ready to be pasted into a shell."""

from bitcodes.cli import console
from bitcodes.wording import command as command
from bitcodes.wording import quoted as quoted


def next_command(*words: object) -> None:
    """Print `next: bitcodes WORDS...` on stderr; a word such as PHOTO stands for the user's own."""
    console.note(f"next: {command(*words)}")
