"""Writing the steps of an update into a code set: rows kept as they were, images encoded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Note, Progress
from bitcodes.codes.pack import pack_outputs
from bitcodes.codes.writer import CodeSetWriter
from bitcodes.errors import DataError
from bitcodes.models.encoding import EncodedBatch
from bitcodes.sources.item import Damage
from bitcodes.sources.paths import quote_path
from bitcodes.tasks.encoding.encoded import damage_in_words
from bitcodes.tasks.encoding.update import Frame, Keep, New, Skipped, Step
from bitcodes.wording import counted


@dataclass
class Unread:
    """Images that could not be read, as far as errors tell of them."""

    last: tuple[str, str] = ("", "")
    """Where the last one lies, and the reason."""
    damages: int = 0
    """How many of them stand for damage in an archive."""
    untold: list[str] = field(default_factory=list)
    """Lines on damage that nobody was told of yet."""

    def add(self, place: str, reason: str, is_damage: bool) -> None:
        """Add one image."""
        self.last = place, reason
        if is_damage:
            self.damages += 1
            self.untold.append(damage_in_words(place, reason))

    def join(self, later: "Unread") -> None:
        """Add all of a later part."""
        self.last = later.last if later.last[1] else self.last
        self.damages += later.damages
        self.untold += later.untold

    def tell(self, log: Note) -> None:
        """Tell `log` of damage, once."""
        while self.untold:
            log(self.untold.pop(0))

    def check_any(self, rows: int, skipped: int) -> None:
        """Raise DataError if a set has no rows, as no image could be read."""
        if rows == 0 and self.damages == skipped:
            raise DataError(damage_in_words(*self.last))
        if rows == 0:
            raise DataError(
                f"no image of {skipped:,} could be read; the last one, "
                f"{quote_path(self.last[0])}: {self.last[1]}"
            )


def write_steps(
    writer: CodeSetWriter,
    frame: Frame,
    batches: Iterable[tuple[Step, EncodedBatch]],
    *,
    strict: bool,
    progress: Progress,
    count: int | None,
    log: Note,
) -> Unread:
    """Write what is not staged yet, and return what could not be read.

    `progress` is told of `count` images. `log` is told of damage in archives, once there are rows.
    With `strict`, DataError for the first image that cannot be read.
    """
    if strict and writer.skipped:
        raise DataError(
            f"{counted(writer.skipped, 'image')} encoded before cannot be read; repair or take out "
            "such images, or let them be skipped, without --strict"
        )
    progress(writer.position, count)
    unread = Unread()
    for step, batch in batches:
        for position, reason in batch.skipped:
            place = frame.place(step.items[position].path)
            check_strict([(place, reason)], strict)
            unread.add(place, reason, isinstance(step.items[position].place, Damage))
        begin = 0
        for part in step.parts:
            if isinstance(part, Keep):
                assert frame.base is not None
                labels = _labels(part.labels, frame)
                writer.copy(frame.base, part.start, part.stop, labels, frame.base_paths)
            elif isinstance(part, Skipped):
                writer.skip(part.path, part.reason)
            else:
                _append(writer, part, batch, begin, frame)
                begin += len(part)
        progress(writer.position, count)
        if writer.done:
            unread.tell(log)
    return unread


def _append(writer: CodeSetWriter, new: New, batch: EncodedBatch, begin: int, frame: Frame) -> None:
    """Write what the model made of new images, which begin at position `begin` of a batch."""
    end = begin + len(new)
    for position, reason in batch.skipped:
        if begin <= position < end:
            writer.skip(new.items[position - begin].path, reason)
    rows = slice(*np.searchsorted(batch.good, [begin, end]).tolist())
    items = [new.items[position - begin] for position in batch.good[rows]]
    if items:
        labels = [item.labels for item in items if item.labels is not None]
        writer.append(
            pack_outputs(batch.outputs[rows]),
            [item.path for item in items],
            labels=_labels(labels, frame),
            features=batch.features[rows] if batch.features.shape[1] else None,
            stat=batch.stat[rows],
        )


def _labels(
    rows: Sequence[NDArray[np.uint8]], frame: Frame
) -> NDArray[np.uint8] | NDArray[np.int32] | None:
    """Labels as a set keeps them: class numbers (n,) where every image has one, else (n, C)."""
    if not rows:
        return None
    labels = np.stack(rows)  # (n, C)
    return labels.argmax(axis=1).astype(np.int32) if frame.single else labels


def check_strict(skipped: Sequence[tuple[str, str]], strict: bool) -> None:
    """With `strict`, raise DataError if there are places of images with reasons in `skipped`."""
    if strict and skipped:
        path, reason = skipped[0]
        more = f" (and {len(skipped) - 1:,} more)" if len(skipped) > 1 else ""
        raise DataError(
            f"{quote_path(path)} cannot be read: {reason}{more}; repair it or take it out, or let "
            "it be skipped, without --strict"
        )
