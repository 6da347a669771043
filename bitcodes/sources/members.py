"""Where the bytes of images are that results name: in files, or in archives on this machine."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from bitcodes.sources.archives import archive_images, is_archive
from bitcodes.sources.item import File, Place, Refused


def find_places(files: Iterable[Path]) -> Iterator[tuple[Path, Place]]:
    """Each of `files` with its place, once; an image in an archive is named shards/0.tar/a.jpg.

    Files come first, then what is in archives, in their order: each archive is read once. Use a
    place before asking for the next: that of a compressed archive holds the bytes.
    """
    members: dict[Path, dict[str, Path]] = {}
    for file in dict.fromkeys(files):
        archive = _archive_of(file)
        if archive is None:
            yield file, File(str(file))
        else:
            members.setdefault(archive, {})[file.relative_to(archive).as_posix()] = file
    for archive, names in members.items():
        for item in archive_images(str(archive)):
            found = names.pop(PurePosixPath(item.path).as_posix(), None)
            if found is not None:
                yield found, item.place
            if not names:
                break
        for file in names.values():
            yield file, Refused(f"it is not in the archive {archive}")


def _archive_of(file: Path) -> Path | None:
    """The archive that a path leads into; None if it names a file, or nothing at all."""
    if os.path.lexists(file):
        return None
    for folder in file.parents:
        if os.path.lexists(folder):
            return folder if folder.is_file() and is_archive(folder.name) else None
    return None
