"""Trainings that end in so many minutes: by hand-worked cases, and on a clock that is not real."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small import make_settings

from bitcodes import training
from bitcodes.errors import ConfigError
from bitcodes.models.hashing import HashModel
from bitcodes.runs import load_settings
from bitcodes.settings import Settings
from bitcodes.training import Progress, pacing, trainer, trial
from bitcodes.training.pacing import Costs, Deadline, Pace, Pacer, choose, fit, halves, size_of


def costs(**steps: float) -> Costs:
    """A step costs so much by size (p64=1.0); reading ten steps, the end of an epoch two."""
    by_size = {int(name[1:]): seconds for name, seconds in steps.items()}
    return Costs(
        dict(by_size),
        {s: 10 * c for s, c in by_size.items()},
        {s: 2 * c for s, c in by_size.items()},
    )


def test_sizes() -> None:
    assert [halves(size) for size in (64, 96, 128, 160, 224)] == [
        *([64], [64, 96], [64, 128], [96, 160], [128, 224])
    ]
    assert [size_of([64, 128], epoch, 5) for epoch in range(5)] == [64, 64, 128, 128, 128]
    assert size_of([64, 128], 0, 1) == 64


def test_what_fits() -> None:
    one = costs(p64=1.0)
    # 10 to read; an epoch of 20 steps and its end take 22: four are 98.
    assert fit(98, one, [64], 20, 100) == Pace(4, 80)
    assert fit(97, one, [64], 20, 100) == Pace(4, 79)
    assert fit(98 + 3, one, [64], 20, 100) == Pace(5, 81)  # a step and the end
    assert fit(1e6, one, [64], 20, 7) == Pace(7, 140)
    # Less than an epoch: images are read as they are needed, half a step each; the end takes 2.
    assert fit(2 + 15, one, [64], 20, 100) == Pace(1, 10)
    assert fit(-5, one, [64], 20, 100) == Pace(1, 1)


def test_what_fits_of_two_sizes() -> None:
    two = costs(p64=1.0, p128=4.0)
    # Two epochs: 10 + 22, then 40 + 88.
    assert fit(160, two, [64, 128], 20, 100) == Pace(2, 40)
    # Three: the second size takes the remainder.
    assert fit(10 + 22 + 40 + 88 + 86, two, [64, 128], 20, 100) == Pace(4, 74)
    # ... but four begin with two small ones: 10 + 44 + 40 + 88, and then 8 + 14 * 4.
    assert fit(270, two, [64, 128], 20, 100) == Pace(4, 80)


def test_what_still_fits() -> None:
    two = costs(p64=1.0, p128=4.0)
    # After five steps of the second epoch, which is the first at 128 pixels.
    where: dict[str, Any] = {"epoch": 1, "step": 25, "size": 128}
    assert fit(15 * 4 + 8, two, [64, 128], 20, 100, **where) == Pace(2, 40)
    assert fit(8 + 4, two, [64, 128], 20, 100, **where) == Pace(2, 26)
    assert fit(0, two, [64, 128], 20, 100, **where) == Pace(2, 25)
    # Sizes do not shrink if there is more time than was thought.
    assert fit(68 + 3 * 88, two, [64, 128], 20, 100, **where) == Pace(5, 100)
    # At the end of an epoch nothing more may fit.
    assert fit(3, two, [64, 128], 20, 100, epoch=2, step=40, size=128) == Pace(2, 40)


def test_fitting_the_instance_bits_is_counted_at_the_last_size() -> None:
    two = costs(p64=1.0, p128=4.0)
    two.fitting = {64: 1000.0, 128: 50.0}
    # As above: two epochs, 10 + 22 and 40 + 88, and then 50.
    assert fit(160 + 50, two, [64, 128], 20, 100) == Pace(2, 40)
    assert fit(160 + 49, two, [64, 128], 20, 100) == Pace(2, 39)
    # In the last epoch, after five of its steps.
    where: dict[str, Any] = {"epoch": 1, "step": 25, "size": 128}
    assert fit(15 * 4 + 8 + 50, two, [64, 128], 20, 100, **where) == Pace(2, 40)
    assert fit(8 + 4 + 50, two, [64, 128], 20, 100, **where) == Pace(2, 26)


def test_corrected_costs() -> None:
    two = costs(p64=1.0, p128=4.0)
    two.correct("step", 64, 1.5)
    assert two.step == {64: 1.5, 128: 6.0}
    two.correct("epoch_end", 96, 3.0)
    assert two.epoch_end == {64: 2.0, 128: 8.0, 96: 3.0}


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    [
        (50, [64]),  # not even a third of ten epochs at any size
        (200, [64, 96]),  # 128 takes 10 + 44 + 40 + 88 for three epochs, and 36 for a third of one
        (220, [64, 128]),
        (1000, [64, 128]),
        (1100, [96, 160]),  # larger than usual only if ten epochs fit: 22.5 + 247.5 + 62.5 + 687.5
    ],
)
def test_which_size(seconds: float, sizes: list[int]) -> None:
    known = costs(p64=1.0, p96=2.25, p128=4.0, p160=6.25, p192=9.0, p224=12.25)
    counted = Costs()

    def measure(size: int) -> None:
        assert size not in counted.step
        for name in ("step", "reading", "epoch_end"):
            getattr(counted, name)[size] = getattr(known, name)[size]

    choice = choose(lambda: seconds, measure, counted, pacing.SIZES, 128, 10, 20)
    assert choice.sizes == sizes
    assert choice.pace == fit(seconds, counted, sizes, 20, 20)


def test_the_schedule_bends_but_never_jumps() -> None:
    now = SimpleNamespace(seconds=0.0)
    pacer = Pacer(costs(p64=1.0), [64], 100, Deadline(1000, 0.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing.time, "monotonic", lambda: now.seconds)
        assert pacer.deadline is not None and pacer.deadline.left == 975
        assert pacer.position(30, 80) == 30
        now.seconds = 975 - 62  # an epoch and 18 of the next
        pace = pacer.replan(20, 1, 30, 80, 64)
        assert pace == Pace(5, 30 + 10 + 20 + 20 + 4)
        assert pacer.share(30, pace.steps) == 30 / 80
        assert pacer.share(pace.steps, pace.steps) == 1
        assert pacer.position(84, 84) == 84
        assert pacer.replan(20, 1, 30, pace.steps, 64) is None
        state = pacer.state(64, pace.steps)
        assert state["used"] == now.seconds
    again = Pacer.resume(state, None)
    assert (again.bend, again.costs, again.deadline) == (pacer.bend, pacer.costs, None)


# -- whole trainings on a clock of their own ---------------------------------------------------


class Clock:
    """Every training step takes `step` seconds by this clock, and nothing else any.

    But for encoding an image, which a test may let take some.
    """

    def __init__(self, step: float) -> None:
        self.now, self.step, self.encoding = 0.0, step, 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    monkeypatch.chdir(tmp_path)
    clock = Clock(2.0)
    real = trainer.Trainer._train_step

    def train_step(this: trainer.Trainer, *arguments: Any) -> float:
        clock.now += clock.step
        return real(this, *arguments)

    def step(this: Any, *arguments: Any) -> None:
        clock.now += clock.step

    monkeypatch.setattr(trainer.Trainer, "_train_step", train_step)
    monkeypatch.setattr(trial._Trial, "_step", step)
    real_pooled = HashModel.pooled

    def pooled(this: HashModel, images: torch.Tensor) -> torch.Tensor:
        clock.now += clock.encoding * len(images)
        return real_pooled(this, images)

    monkeypatch.setattr(HashModel, "pooled", pooled)
    for module in (pacing, trainer, trial):
        monkeypatch.setattr(module, "time", clock)
    return clock


def settings(data: Path, **values: Any) -> Settings:
    return _unplanned(make_settings(data, val=0, **values))


def _unplanned(settings: Settings) -> Settings:
    """The settings without epochs and steps, which --minutes chooses."""
    values = settings.model_dump(exclude={"epochs", "max_steps"})
    return Settings.build(values)


def finetune(settings: Settings, **options: Any) -> training.Finetuned:
    return training.finetune(settings, Path("run"), workers=0, **options)


def test_it_ends_when_it_should(data: Path, clock: Clock) -> None:
    lines: list[str] = []
    done = finetune(settings(data), minutes=4, log=lines.append)
    assert 205 < clock.now <= 215  # 25 seconds are kept for the end
    assert any(line.startswith("a few training steps were timed") for line in lines)
    saved = load_settings(done.run)
    assert isinstance(saved.epochs, int)
    last = done.history[-1]
    assert (len(done.history), last["step"]) == (saved.epochs, saved.max_steps or saved.epochs * 6)
    assert finetune(settings(data), minutes=4).already


@pytest.mark.parametrize("freeze", [False, True])
def test_fitting_the_instance_bits_is_in_the_minutes(
    data: Path, clock: Clock, freeze: bool
) -> None:
    clock.encoding = 0.5
    finetune(settings(data, instance_bits=8, freeze=freeze), minutes=4)
    last = torch.load("run/checkpoint.pt", weights_only=True)["pace"]
    images = 48 if freeze else 3 * 48  # copies; and images, by the backbone before and after
    costs = list(last["costs"]["fitting"].values())
    assert costs == pytest.approx([images * 0.5] * len(costs))
    assert clock.now <= 215


@pytest.mark.parametrize("step", [1.0, 4.0])
def test_it_ends_when_it_should_if_steps_get_faster_or_slower(
    data: Path, clock: Clock, step: float
) -> None:
    def change(now: Progress) -> None:
        if now.step == 20:
            clock.step = step

    done = finetune(settings(data), minutes=4, report=change)
    assert 200 < clock.now <= 220
    rate = torch.load("run/checkpoint.pt", weights_only=True)["optimizer"]["param_groups"][0]["lr"]
    assert rate < 0.05 * 0.01  # the schedule came to its end
    assert done.history[-1]["step"] > 20


def test_a_stop_does_not_add_minutes(data: Path, clock: Clock) -> None:
    def stop(now: Progress) -> None:
        if now.step == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(settings(data), minutes=4, report=stop)
    before = torch.load("run/checkpoint.pt", weights_only=True)["pace"]["used"]
    clock.now += 10_000
    start = clock.now
    finetune(settings(data), minutes=4)
    assert 205 < before + clock.now - start <= 215


def test_a_plan_that_nothing_was_trained_by_is_made_anew(data: Path, clock: Clock) -> None:
    def fail(now: Progress) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        finetune(settings(data), minutes=1, report=fail)
    assert Path("run/config.yaml").exists() and not Path("run/checkpoint.pt").exists()
    start = clock.now
    finetune(settings(data), minutes=4)
    assert 205 < clock.now - start <= 215


def test_a_plan_that_changed_after_the_checkpoint_goes_on(data: Path, clock: Clock) -> None:
    shares: dict[int, float] = {}

    def watch(now: Progress) -> None:
        shares[now.step] = now.share

    def disturb(now: Progress) -> None:
        watch(now)
        if now.step == 8:
            clock.step = 6.0  # steps get slower: the plan is changed, and again in each epoch
        saved = Path("run/checkpoint.pt")
        planned = saved.exists() and torch.load(saved, weights_only=True)["pace"]["steps"]
        if now.step > 14 and planned not in (False, load_settings(Path("run")).max_steps):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(settings(data), minutes=4, report=disturb)
    at = torch.load("run/checkpoint.pt", weights_only=True)["step"]
    shares = {step: share for step, share in shares.items() if step <= at}
    done = finetune(settings(data), minutes=4, report=watch)
    in_order = [shares[step] for step in sorted(shares)]
    assert in_order == sorted(in_order)
    assert shares[at + 1] - shares[at] < 0.1
    assert done.history[-1]["step"] == max(shares) and in_order[-1] == 1


def test_rerunning_with_the_settings_repeats_it(data: Path, clock: Clock) -> None:
    first = finetune(settings(data), minutes=4)
    again = training.finetune(load_settings(first.run), Path("again"), workers=0)
    assert [line["step"] for line in again.history] == [line["step"] for line in first.history]


def test_a_frozen_backbone_ends_early_if_more_epochs_add_nothing(data: Path, clock: Clock) -> None:
    done = finetune(settings(data, freeze=True), minutes=4)
    assert clock.now <= 220
    assert len(done.history) == load_settings(done.run).epochs <= 60
    clock.step = 1e-3
    start = clock.now
    done = finetune(settings(data, freeze=True), minutes=60, fresh=True)
    assert len(done.history) == 60
    assert clock.now - start < 10


def test_less_than_an_epoch(data: Path, clock: Clock) -> None:
    clock.step = 20.0
    done = finetune(settings(data), minutes=3)
    assert len(done.history) == 1
    assert 0 < done.history[0]["step"] < 6
    assert load_settings(done.run).max_steps == done.history[0]["step"]


def test_what_it_does_not_go_with(data: Path, clock: Clock) -> None:
    with pytest.raises(ConfigError, match="leave out --epochs"):
        finetune(make_settings(data, epochs=3), minutes=1)
    training.finetune(make_settings(data, epochs=1), Path("run"), workers=0)
    with pytest.raises(ConfigError, match="was begun without --minutes"):
        finetune(_unplanned(make_settings(data)), minutes=1)
