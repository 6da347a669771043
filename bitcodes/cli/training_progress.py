"""The progress of `bitcodes finetune` on a terminal, or as plain lines."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bitcodes import callbacks
from bitcodes.cli import console
from bitcodes.cli.bars import bars
from bitcodes.cli.log import log

if TYPE_CHECKING:
    from collections.abc import Callable

    from bitcodes.training import Progress


@contextmanager
def reporting() -> Iterator[tuple[callbacks.Progress, "Callable[[Progress], None]"]]:
    """Show training: a live line on a terminal, else a plain line every half minute.

    Yields two callables: one to report the reading of images to, one for training.
    """
    if not console.err.is_terminal:
        printed = time.monotonic()

        def print_line(now: "Progress") -> None:
            nonlocal printed
            if now.epoch_done or time.monotonic() - printed > 30:
                log(_line(now), **_facts(now))
                printed = time.monotonic()

        with console.progress("reading images") as loading:
            yield loading, print_line
        return

    with bars(console.err) as shown:
        bar = shown.add_task("", total=None, visible=False)

        measured = console.Rate()

        def show_reading(done: int, total: int | None) -> None:
            rate = measured.at(done)
            text, visible = f"reading images: {done} of {total}", done != total
            if total is not None and rate > 0:
                text += f", {duration((total - done) / rate)} left"
            shown.update(bar, description=text, completed=done, total=total, visible=visible)

        def show_training(now: "Progress") -> None:
            line = _line(now)
            shown.update(bar, description=line, completed=now.share, total=1.0, visible=True)
            if now.epoch_done:
                shown.console.print(line, markup=False)

        yield show_reading, show_training


def _line(now: "Progress") -> str:
    parts = [f"epoch {now.epoch}"] if now.is_paced else [f"epoch {now.epoch}/{now.epochs}"]
    if not now.epoch_done:
        done = f"{now.share:.0%} done" if now.is_paced else f"step {now.step}/{now.steps}"
        parts.append(done)
    parts += [f"loss {now.loss:.4f}", f"{now.images_per_second:.0f} images/s"]
    if now.val_map is not None:
        parts.append(f"validation mAP {now.val_map:.4f}")
    if now.step < now.steps:
        parts.append(f"{duration(now.seconds_left)} left")
    return ", ".join(parts)


def _facts(now: "Progress") -> dict[str, float | None]:
    """The same for programs."""
    return {
        "epoch": now.epoch,
        "epochs": None if now.is_paced else now.epochs,
        "step": now.step,
        "steps": None if now.is_paced else now.steps,
        "loss": round(now.loss, 4),
        "images_per_second": round(now.images_per_second, 1),
        "val_map": None if now.val_map is None else round(now.val_map, 4),
        "seconds_left": round(now.seconds_left),
    }


def duration(seconds: float) -> str:
    """Seconds as people read them: 1 h 05 min, 3 min 20 s, 7 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
