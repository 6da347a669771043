"""What the instance bits of a run are worth: classes, copies and likeness, for several weights.

    python benchmarks/instances.py RUN [--data FOLDER] [--copies 500] [--out TABLE.md]

The figures of `bitcodes evaluate RUN --copies 500`, also for other weights of the class bits than
that of the run. Also takes runs without instance bits.
"""

import argparse
import platform
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from machine import processor

from bitcodes.codes.parts import Parts
from bitcodes.hamming.measure import Measure
from bitcodes.metrics.orders import OrderScores, orders_of
from bitcodes.models.engines import load_encoder
from bitcodes.report.tables import ORDER_COLUMNS, order_rows, orders_note
from bitcodes.runs import load_settings
from bitcodes.tasks.evaluate import evaluate
from bitcodes.tasks.order_trial import CHANGES, JUDGE, make_trial

RESULTS = Path(__file__).resolve().parent / "results"


def orders(bits: int, parts: Parts | None) -> Iterator[tuple[str, Measure]]:
    """Name and measure of each order, and of sums with other weights."""
    yield from orders_of(bits, parts)
    if parts is None:
        return
    for weight in (1, 2, 4, 8, 16):
        if weight != parts.class_weight:
            yield f"sum, weight {weight}", Measure(bits, parts.instance_bits, weight)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, help="default: the data of the run")
    parser.add_argument("--copies", type=int, default=500, help="originals of each kind of copy")
    default = RESULTS / f"{date.today():%Y-%m-%d}-instances.md"
    parser.add_argument("--out", type=Path, default=default)
    options = parser.parse_args()

    model = load_encoder(options.run)
    data = options.data or load_settings(options.run).data
    sets, judge = (evaluate(each, data=data).sets for each in (options.run, JUDGE))
    trial = make_trial(sets, judge, model, options.copies)
    scores = [trial.score(*order, model.bits) for order in orders(model.bits, model.parts)]
    originals = len(trial.originals) // len(CHANGES)
    result = OrderScores(tuple(CHANGES), originals, len(trial.asked), tuple(scores))
    lines = [
        f"# Instance bits, {date.today():%Y-%m-%d}",
        "",
        f"{sets[1].count:,} images, {sets[0].count:,} queries. {orders_note(result)} "
        f"{model.backbone_name}, {model.preprocessing.image_size} pixels, "
        f"{model.parts or f'{model.bits} bits'}; Python {platform.python_version()}, {processor()}",
        "",
        *(f"| {' | '.join(row)} |" for row in (ORDER_COLUMNS, ["---"] * len(ORDER_COLUMNS))),
        *(f"| {' | '.join(row)} |" for row in order_rows(result)),
    ]
    print("\n".join(lines))
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
