"""Names of files and folders that systems leave among those of people."""

_SYSTEM_NAMES = frozenset(
    {"#recycle", "#snapshot", "$recycle.bin", "@eadir", "@recently-snapshot", "@recycle", "@tmp"}
    | {"__macosx", "lost+found", "system volume information", "thumbs.db"}
)


def is_system_name(name: str) -> bool:
    """Whether a file or folder belongs to a system, not to a person: thumbnails, trash, hidden.

    As macOS, Windows, Linux, and network drives by Synology and QNAP name them.
    """
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES
