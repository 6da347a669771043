"""An evaluation, or several runs beside each other, as one HTML page that needs nothing else."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from bitcodes.metrics.comparison import Difference
from bitcodes.metrics.ranking import precision_recall_curve
from bitcodes.metrics.scoring import Evaluation
from bitcodes.metrics.stages import RANKS, Stages
from bitcodes.report.charts import (
    STYLE,
    Axis,
    Series,
    bar_chart,
    count_ticks,
    line_chart,
    matrix_chart,
    nice_ticks,
    short_count,
)
from bitcodes.report.page import Pictures, as_html, page_start
from bitcodes.report.tables import (
    class_rows,
    describe,
    difference_text,
    heading,
    health_text,
    range_text,
    run_letters,
    run_names,
    score_text,
)
from bitcodes.tasks.examples import Examples
from bitcodes.tasks.results import Hit, QueryResult

_PICTURE = 112
_CURVE_POINTS = 120


def evaluation_page(
    evaluations: Sequence[Evaluation],
    differences: Sequence[dict[str, Difference]] = (),
    examples: Sequence[Examples] = (),
    title: str = "Evaluation",
) -> str:
    """A page of figures, curves, histograms, codes and examples; light, dark, and on a phone.

    `differences` are those of the second and further evaluations to the first. `examples` are shown
    with thumbnails read from their files.
    """
    return "".join(_page(evaluations, differences, examples, title))


def _page(
    evaluations: Sequence[Evaluation],
    differences: Sequence[dict[str, Difference]],
    examples: Sequence[Examples],
    title: str,
) -> Iterator[str]:
    several = len(evaluations) > 1
    letters = run_letters(evaluations)
    names = [
        f"{letter}: {name}" for letter, name in zip(letters, run_names(evaluations), strict=True)
    ]
    yield page_start(title, STYLE + _STYLE)
    yield f"<header>\n<h1>{as_html(title)}</h1>\n"
    for letter, evaluation in zip(letters, evaluations, strict=True):
        facts = " <span aria-hidden=true>·</span> ".join(map(as_html, heading(evaluation)))
        yield f"<p>{f'<b>{letter}</b> ' if several else ''}{facts}</p>\n"
    yield "</header>\n<main>\n"
    yield "<section>\n<h2>Figures</h2>\n"
    if several:
        yield _compared(evaluations, letters, differences)
    else:
        yield _figures(evaluations[0])
    for letter, evaluation in zip(letters, evaluations, strict=True):
        if evaluation.stages is not None:
            yield _stages(evaluation.stages)
        for note in evaluation.notes:
            yield f"<p class=note>{f'<b>{letter}</b> ' if several else ''}{as_html(note)}</p>\n"
    yield "</section>\n"

    yield "<section>\n<h2>Curves</h2>\n<div class=charts>\n"
    yield from _curves(evaluations, names)
    yield "</div>\n</section>\n"
    for evaluation, name in zip(evaluations, names, strict=True):
        of = f" of {as_html(name)}" if several else ""
        yield f"<section>\n<h2>Distances and codes{of}</h2>\n"
        health = evaluation.health
        yield f"<p class=note>{as_html(health_text(health))}.</p>\n"
        if advice := health.advice():
            yield f"<p class=advice>{as_html(advice)}</p>\n"
        yield "<div class=charts>\n"
        yield _distances(evaluation)
        yield _balance(evaluation)
        yield _correlation(evaluation)
        yield "</div>\n</section>\n"
    if len(evaluations[0].classes) > 1:
        yield "<section>\n<h2>mAP by class</h2>\n"
        yield _classes(evaluations, names)
        yield "</section>\n"
    pictures = Pictures()
    for group in examples:
        yield (
            f"<section>\n<h2>{as_html(group.title)}</h2>\n<p class=note>The first images found, "
            "those at equal distance in random order; the number is the distance in bits.</p>\n"
            "<div class=examples>\n"
        )
        for query, score in group.queries:
            yield _example(query, score, pictures)
        yield "</div>\n</section>\n"
    yield (
        "</main>\n<footer>\n<p>Images at equal distance count by their mean over all orders, which "
        "span the range of ties. Intervals hold 95 % of 1,000 resamples of the queries. "
        "docs/metrics.md of bitcodes defines every figure.</p>\n</footer>\n</body>\n</html>\n"
    )


def _figures(evaluation: Evaluation) -> str:
    rows = "".join(
        f"<tr><th scope=row>{as_html(describe(name, evaluation.bits))}</th>"
        f"<td><b>{score_text(value)}</b></td><td>{range_text(evaluation.intervals[name])}</td>"
        f"<td>{range_text(evaluation.tie_ranges.get(name, (math.nan, math.nan)))}</td></tr>\n"
        for name, value in evaluation.figures.items()
    )
    return (
        "<div class=scroll><table>\n<thead><tr><th scope=col>figure</th><th scope=col>score</th>"
        "<th scope=col>95 % interval</th><th scope=col>range of ties</th></tr></thead>\n"
        f"<tbody>\n{rows}</tbody>\n</table></div>\n"
    )


def _stages(stages: Stages) -> str:
    rows = "".join(
        f"<tr><th scope=row>{as_html(score.name)}</th><td><b>{score_text(score.map)}</b></td>"
        + "".join(f"<td>{score_text(value)}</td>" for value in score.precision)
        + f"<td>{score.queries_per_second:,.0f}</td></tr>\n"
        for score in stages.scores
    )
    heads = "".join(f"<th scope=col>precision@{rank}</th>" for rank in RANKS)
    return (
        f"<div class=scroll><table>\n<thead><tr><th scope=col>the {stages.shortlist:,} nearest, "
        f"ordered</th><th scope=col>mAP@{stages.shortlist}</th>{heads}"
        f"<th scope=col>queries/s</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )


def _compared(
    evaluations: Sequence[Evaluation],
    letters: Sequence[str],
    differences: Sequence[dict[str, Difference]],
) -> str:
    columns = "".join(f"<th scope=col>{letter}</th>" for letter in letters)
    lines = []
    for figure in evaluations[0].scores:
        cells = []
        for number, evaluation in enumerate(evaluations):
            cell = f"<b>{score_text(evaluation.figures.get(figure, math.nan))}</b>"
            if number and figure in differences[number - 1]:
                found = differences[number - 1][figure]
                kind = "better" if found.low > 0 else "worse" if found.high < 0 else "same"
                cell += f"<br><span class={kind}>{difference_text(found)}</span>"
            cells.append(f"<td>{cell}</td>")
        lines.append(f"<tr><th scope=row>{as_html(describe(figure))}</th>{''.join(cells)}</tr>\n")
    return (
        f"<div class=scroll><table>\n<thead><tr><th scope=col>figure</th>{columns}</tr></thead>\n"
        f"<tbody>\n{''.join(lines)}</tbody>\n</table></div>\n"
        "<p class=note>Below each score, the difference to A on the same queries, and its 95 % "
        "interval.</p>\n"
    )


def _curves(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Iterator[str]:
    share = [0, 0.2, 0.4, 0.6, 0.8, 1]
    recall, ranked = [], []
    most = max(evaluation.database for evaluation in evaluations)
    for evaluation, name in zip(evaluations, names, strict=True):
        size = evaluation.database
        ranks = np.unique(np.geomspace(1, size, _CURVE_POINTS).round().astype(int)).tolist()
        precision, recalled = precision_recall_curve(evaluation.total, evaluation.relevant, ranks)
        recall.append(Series(name, recalled.tolist(), precision.tolist()))
        ranked.append(Series(name, ranks, precision.tolist()))
    precision_axis = Axis("mean precision", 0, 1, share)
    yield line_chart(
        "Precision and recall", Axis("mean recall", 0, 1, share), precision_axis, recall
    )
    rank_axis = Axis(
        "k, images looked at", 1, max(2, most), count_ticks(most), log=True, format=short_count
    )
    yield line_chart("Precision at k", rank_axis, precision_axis, ranked)


def _distances(evaluation: Evaluation) -> str:
    relevant = evaluation.relevant.sum(axis=0)
    others = evaluation.total.sum(axis=0) - relevant
    distances = list(range(evaluation.bits + 1))
    shares = [counts / max(1, counts.sum()) for counts in (relevant, others)]
    high = 100 * max(float(share.max()) for share in shares)
    return bar_chart(
        "Distances, by relevance",
        Axis("Hamming distance, bits", -0.6, evaluation.bits + 0.6, nice_ticks(evaluation.bits, 6)),
        Axis("share of these images, %", 0, 1.05 * max(high, 1e-9), nice_ticks(high)),
        [
            Series(name, distances, (100 * share).tolist())
            for name, share in zip(("relevant", "irrelevant"), shares, strict=True)
        ],
    )


def _balance(evaluation: Evaluation) -> str:
    bits = evaluation.bits
    ticks = [1, *(tick for tick in nice_ticks(bits, 6) if tick > 0.04 * bits and tick > 1)]
    return bar_chart(
        "Balance of the bits (50 % is best)",
        Axis("bit", 0.4, bits + 0.6, ticks),
        Axis("codes in which it is 1, %", 0, 100, [0, 25, 50, 75, 100]),
        [Series("ones", list(range(1, bits + 1)), (100 * evaluation.health.ones).tolist())],
    )


def _correlation(evaluation: Evaluation) -> str:
    return matrix_chart("Correlation of the bits", "bit", evaluation.health.correlation)


def _classes(evaluations: Sequence[Evaluation], names: Sequence[str]) -> str:
    shown, left_out = class_rows(evaluations[0].classes)
    by_name = [{entry.name: entry for entry in one.classes} for one in evaluations]
    lines = []
    for entry in shown:
        bars = "".join(
            f'<div class="bar s{number % 6}"><div style="width:{_width(found[entry.name].map)}">'
            f"</div><b>{score_text(found[entry.name].map)}</b></div>"
            for number, found in enumerate(by_name)
            if entry.name in found
        )
        lines.append(
            f"<tr><th scope=row>{as_html(entry.name)}</th><td>{entry.queries:,}</td>"
            f"<td class=wide>{bars}</td></tr>\n"
        )
    note = f"<p class=note>{as_html(left_out)}</p>\n" if left_out else ""
    keys = "".join(
        f'<li><i class="s{number % 6}"></i>{as_html(name)}</li>'
        for number, name in enumerate(names)
    )
    legend = f"<ul class=legend>{keys}</ul>\n" if len(names) > 1 else ""
    return (
        "<table class=classes>\n<thead><tr><th scope=col>class</th><th scope=col>queries</th>"
        f"<th scope=col class=wide>mAP, from 0 to 1</th></tr></thead>\n<tbody>\n{''.join(lines)}"
        f"</tbody>\n</table>\n{legend}{note}"
    )


def _width(score: float) -> str:
    return f"{0 if math.isnan(score) else score:.1%}"


def _example(query: QueryResult, score: float, pictures: Pictures) -> str:
    hits = "".join(_hit(hit, pictures) for hit in query.hits)
    label = f"<span>{as_html(', '.join(query.labels))}</span>" if query.labels else ""
    return (
        f"<article>\n<div class=query>{pictures.tag(query.file, _PICTURE, query.path)}"
        f"<p>{label}<b>AP {score_text(score)}</b></p></div>\n<ol>{hits}</ol>\n</article>\n"
    )


def _hit(hit: Hit, pictures: Pictures) -> str:
    kind = {None: "", True: "right", False: "wrong"}[hit.relevant]
    label = ", ".join(hit.labels)
    told = f"{hit.path}: {label}, {hit.distance} bits apart"
    mark = {None: "", True: "✓ ", False: "✗ "}[hit.relevant]
    return (
        f'<li class="{kind}" title="{as_html(told)}">{pictures.tag(hit.file, _PICTURE, hit.path)}'
        f"<span>{mark}{as_html(label)}</span><small>{hit.distance}</small></li>"
    )


_STYLE = """\
:root { --s0: #3559c7; --s1: #d9622b; --s2: #2f8f5b; --s3: #a33ea1; --s4: #a27d00; --s5: #0f8ea3; }
@media (prefers-color-scheme: dark) {
  :root {
    --s0: #8fa8ff; --s1: #ff9a62; --s2: #6fd8a0; --s3: #e58be2; --s4: #e0bd4a; --s5: #5fd0e4;
  }
}
img { display: block; object-fit: cover; background: var(--track); }
section { border-top: 1px solid var(--line); margin-top: 28px; padding-top: 24px; }
h2 { font-size: 1.2rem; margin-bottom: 14px; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.scroll + .scroll { margin-top: 24px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 18px 5px 0; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child { text-align: left; white-space: normal; }
thead th { color: var(--quiet); font-weight: 500; font-size: .875rem; }
tbody th { font-weight: 400; }
tbody tr + tr { border-top: 1px solid var(--line); }
td { color: var(--quiet); }
td b { color: var(--ink); font-weight: 600; }
td span { font-size: .8125rem; }
.better { color: var(--right); }
.worse { color: var(--wrong); }
.note { color: var(--quiet); font-size: .9rem; margin: 10px 0; overflow-wrap: anywhere; }
.advice { margin: 10px 0; padding: 8px 14px; border-left: 3px solid var(--s1);
  background: var(--card); }
.charts { display: grid; gap: 28px 36px; margin-top: 14px;
  grid-template-columns: repeat(auto-fit, minmax(min(350px, 100%), 1fr)); }
.charts figure { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 14px 16px; max-width: 640px; }
.classes { width: 100%; max-width: 860px; }
.classes th.wide { text-align: left; }
.classes .wide { width: 70%; padding-right: 0; }
.bar { position: relative; height: 22px; background: var(--track); border-radius: 4px; }
.bar + .bar { margin-top: 3px; }
.bar div { height: 100%; background: var(--series); opacity: .45; border-radius: 4px; }
.bar b { position: absolute; right: 8px; top: 0; line-height: 22px; font-size: .8125rem; }
.examples { display: grid; gap: 14px 36px;
  grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); }
article { display: flex; gap: 12px; align-items: start; min-width: 0; }
.query { flex: none; width: 84px; font-size: .8125rem; }
.query img, .query .missing { width: 84px; height: 84px; border-radius: 8px; }
.query p { margin-top: 3px; overflow-wrap: anywhere; }
.query span { color: var(--quiet); display: block; }
article ol { list-style: none; padding: 0; display: grid; gap: 6px; flex: 1; min-width: 0;
  grid-template-columns: repeat(4, minmax(0, 1fr)); max-width: 480px; }
article li { position: relative; min-width: 0; border-radius: 8px; overflow: hidden;
  border-bottom: 3px solid var(--track); background: var(--card); font-size: .6875rem; }
article li.right { border-color: var(--right); }
article li.wrong { border-color: var(--wrong); }
article li img, article li .missing { width: 100%; aspect-ratio: 1; }
article li span { display: block; padding: 1px 4px; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
article li.wrong span { color: var(--wrong); }
article li small { position: absolute; top: 3px; left: 3px; padding: 0 5px; border-radius: 8px;
  background: rgb(0 0 0 / .62); color: #fff; font-size: .625rem; line-height: 15px; }
article .missing { font-size: .5rem; padding: 2px; line-height: 1.2; }
footer { border-top: 1px solid var(--line); margin-top: 28px; padding-top: 16px;
  color: var(--quiet); font-size: .875rem; }
@media (max-width: 720px) {
  body { padding: 20px 14px 32px; }
  th, td { padding-right: 12px; }
  .charts figure { padding: 10px 8px; }
  .query, .query img, .query .missing { width: 68px; }
  .query img, .query .missing { height: 68px; }
}
"""
