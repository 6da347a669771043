"""Names of files and folders that systems leave among those of people."""

import re

_SYSTEM_NAMES = frozenset(
    {"#recycle", "#snapshot", "$recycle.bin", "@eadir", "@recently-snapshot", "@recycle"}
    | {"@sharebin", "@tmp", "__macosx", "lost+found", "lost.dir", "network trash folder"}
    | {"recycled", "recycler", "system volume information", "temporary items", "thumbs.db"}
    | {"~snapshot"}
)
_KINDS = re.compile(r".*\.lrdata|.*@syno(eastream|resource)|found\.\d{3}", re.DOTALL)
"""Lightroom's previews, Synology's attributes, what chkdsk finds."""


_LIBRARIES = (".aplibrary", ".migratedphotolibrary", ".photolibrary", ".photoslibrary")
_OF_LIBRARIES = frozenset(
    {"attachments", "data", "data.noindex", "database", "internal", "previews", "private"}
    | {"resources", "scopes", "thumbnails"}
)
"""What Apple's programs keep in their libraries beside the photographs."""


def is_system_name(name: str, parent: str = "") -> bool:
    """Whether a file or folder belongs to a system, not to a person: thumbnails, trash, hidden.

    As macOS, Windows, Android, Linux, Lightroom, Apple's photo programs, and network drives by
    Synology, QNAP and NetApp name them. `parent` is the name of the folder that it lies in.
    """
    lower = name.lower()
    if name.startswith(".") or lower in _SYSTEM_NAMES or _KINDS.fullmatch(lower) is not None:
        return True
    return lower in _OF_LIBRARIES and parent.lower().endswith(_LIBRARIES)


def is_system_path(path: str) -> bool:
    """Whether a part of a path, with forward slashes, is named so."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return any(map(is_system_name, parts, ["", *parts]))
