"""What lies beside images and is not read: files of systems, and other kinds of picture."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from bitcodes.images.camera_raw import RAW_SUFFIXES
from bitcodes.images.formats import IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES
from bitcodes.wording import counted

_NAMED = 5  # names or kinds in a message


@dataclass
class LeftOut:
    """What was left out of folders."""

    folders: Counter[str] = field(default_factory=Counter)  # of systems, by their names
    files: int = 0  # of systems, named like images
    unnamed: int = 0  # images by what is in them that are not named like images
    unsupported: Counter[str] = field(default_factory=Counter)  # pictures, by suffix

    def add_system(self, name: str, is_folder: bool) -> None:
        """Count a file or folder of a system."""
        if is_folder:
            self.folders[name] += 1
        else:
            self.files += PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES

    def add_other(self, suffix: str) -> None:
        """Count a file that is not taken for an image, by its suffix in lower case."""
        if suffix in UNSUPPORTED_SUFFIXES:
            self.unsupported[suffix] += 1

    def describe(self) -> str:
        """All of it in words, or "" if nothing was left out."""
        parts = []
        if self.folders:
            number = counted(self.folders.total(), "system folder")
            parts.append(f"{number} ({_most(self.folders)})")
        if self.files:
            parts.append(counted(self.files, "hidden image"))
        if self.unnamed:
            parts.append(f"{counted(self.unnamed, 'image')} without an image's suffix")
        if parts:
            parts[-1] += ", which --all-files takes"
        if self.unsupported:
            number = counted(self.unsupported.total(), "picture")
            kinds = _most(self.unsupported, with_counts=True)
            hint = ""
            if not RAW_SUFFIXES.isdisjoint(self.unsupported):
                hint = "; for camera RAW: pip install 'bitcodes[raw]'"
            parts.append(f"{number} of kinds that are not supported ({kinds}{hint})")
        return f"left out: {'; '.join(parts)}" if parts else ""


def total(parts: Iterable[LeftOut]) -> LeftOut:
    """What was left out of several sources together."""
    whole = LeftOut()
    for part in parts:
        whole.folders += part.folders
        whole.files += part.files
        whole.unnamed += part.unnamed
        whole.unsupported += part.unsupported
    return whole


def _most(counts: Counter[str], with_counts: bool = False) -> str:
    most = [
        f"{count:,} {name}" if with_counts else name for name, count in counts.most_common(_NAMED)
    ]
    return ", ".join(most) + (", ..." if len(counts) > _NAMED else "")
