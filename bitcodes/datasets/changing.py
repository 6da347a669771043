"""How the lists of a data folder change: all of them or none, even if the process is killed.

The new files are written into a staging folder. When all are on the disk, the small file `commit`
appears there: from then on the dataset is the new one. Whoever opens it next completes the renames.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitcodes.errors import DataError
from bitcodes.files import atomic_write, fsync_dir, lock, replace
from bitcodes.sources.description import COMMIT, STAGING

_LOCK = ".dataset.lock"


@contextmanager
def changed_together(folder: Path) -> Iterator[Path]:
    """Yield an empty folder; its files replace those of `folder` when the block succeeds.

    Removes what a killed process left. Raises BitcodesError if another process changes the folder.
    """
    staging = folder / STAGING
    with lock(folder / _LOCK, f"the dataset {folder}"):
        _finish(folder)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            yield staging
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        fsync_dir(staging)
        with atomic_write(staging / COMMIT):
            pass
        _finish(folder)


def remove_left(folder: Path) -> None:
    """Complete or remove what a killed process left of a change; BitcodesError if one is busy."""
    if (folder / STAGING).exists() or (folder / _LOCK).exists():
        with lock(folder / _LOCK, f"the dataset {folder}"):
            _finish(folder)
            shutil.rmtree(folder / STAGING, ignore_errors=True)


def finish_change(folder: Path) -> None:
    """Complete a change that was interrupted after its commit. Raises DataError if it cannot."""
    if not (folder / STAGING / COMMIT).exists():
        return
    try:
        with lock(folder / _LOCK, f"the dataset {folder}"):
            _finish(folder)
    except OSError as error:
        raise DataError(
            f"{folder}: a change of its lists was interrupted and cannot be completed "
            f"({error.strerror}); make the folder writable and try again"
        ) from None


def _finish(folder: Path) -> None:
    """Do the renames of a commit; may be interrupted anywhere and done again."""
    staging = folder / STAGING
    if not (staging / COMMIT).exists():
        return
    for file in staging.iterdir():
        if file.name != COMMIT and not file.name.startswith("."):
            replace(file, folder / file.name)
    fsync_dir(folder)
    (staging / COMMIT).unlink()
    shutil.rmtree(staging, ignore_errors=True)
