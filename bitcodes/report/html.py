"""Search results as one HTML page that needs nothing else: pictures and style are inside it."""

import re
from collections.abc import Iterator

from bitcodes.report.page import Pictures, as_html, page_start
from bitcodes.tasks.results import Fine, Hit, QueryResult, SearchResults

MAX_QUERIES = 100
MAX_PICTURES = 2000
"""More than these would make a page too large for a phone; what is left out is told."""

_HIT_PIXELS = 224
_QUERY_PIXELS = 448


def results_page(results: SearchResults, title: str = "Search results") -> str:
    """A page with each query and its hits as thumbnails, readable on a phone, light and dark.

    Pictures are read from their files; where that fails, a placeholder says why. Everything that
    users name is escaped, and the page may load nothing: it says so to the browser.
    """
    return "".join(_page(results, title))


def _page(results: SearchResults, title: str) -> Iterator[str]:
    queries = results.queries[:MAX_QUERIES]
    hits_each = max(1, MAX_PICTURES // max(1, len(queries)))
    pictures = Pictures()
    yield page_start(title, _STYLE)
    yield f"<header>\n<h1>{as_html(title)}</h1>\n<p>{_facts(results)}</p>\n</header>\n<main>\n"
    for query in queries:
        yield _query(query, results.reranked, hits_each, pictures)
    yield "</main>\n"
    notes = _notes(results, len(queries))
    if notes:
        yield "<footer>\n" + "".join(f"<p>{note}</p>\n" for note in notes) + "</footer>\n"
    yield "</body>\n</html>\n"


def _facts(results: SearchResults) -> str:
    description = results.describe()
    facts = [
        as_html(description[0].upper() + description[1:]),
        f"code set <b>{as_html(results.codes)}</b>",
    ]
    judged = [query for query in results.queries if query.correct is not None]
    if len(judged) > 1:
        correct = sum(query.correct or 0 for query in judged)
        total = sum(hit.relevant is not None for query in judged for hit in query.hits)
        facts.append(f"<b>{correct:,}</b> of {total:,} hits correct ({correct / total:.0%})")
    return " <span aria-hidden=true>·</span> ".join(facts)


def _query(query: QueryResult, reranked: Fine | None, hits_each: int, pictures: Pictures) -> str:
    name = _breakable(as_html(query.path))
    shown = query.hits[:hits_each]
    lines = []
    if query.labels:
        lines.append(f"<p class=label>{as_html(', '.join(query.labels))}</p>")
    if query.correct is not None:
        lines.append(f"<p><b>{query.correct}</b> of {len(query.hits):,} correct</p>")
    elif query.hits:
        lines.append(f"<p>{len(query.hits):,} found</p>")
    hidden = len(query.hits) - len(shown)
    if hidden:
        lines.append(f"<p>{hidden:,} of them not shown</p>")
    if query.more:
        lines.append("<p>and more within the distance</p>")
    hits = "".join(_hit(hit, reranked, pictures) for hit in shown)
    listed = f"<ol>\n{hits}</ol>" if shown else "<p class=none>Nothing found.</p>"
    picture = pictures.tag(query.file, _QUERY_PIXELS, f"query {query.path}")
    return (
        f"<section>\n<div class=query>\n{picture}\n<div>\n<h2><bdi>{name}</bdi></h2>\n"
        f"{''.join(lines)}\n</div>\n</div>\n{listed}\n</section>\n"
    )


def _hit(hit: Hit, reranked: Fine | None, pictures: Pictures) -> str:
    state = {None: "", True: " class=right", False: " class=wrong"}[hit.relevant]
    mark = {
        None: "",
        True: '<i role=img aria-label="correct">✓</i>',
        False: '<i role=img aria-label="incorrect">✗</i>',
    }[hit.relevant]
    label = as_html(", ".join(hit.labels))
    badge = f"<span class=label>{mark}{label}</span>" if hit.labels else ""
    fine = ""
    if hit.fine_distance is not None:
        fine = f"<p class=numbers><b>{hit.fine_distance:.3g}</b> in {reranked}</p>\n"
    path = as_html(hit.path)
    return (
        f"<li{state}>\n<div class=picture>{pictures.tag(hit.file, _HIT_PIXELS, hit.path)}"
        f"<span class=rank>{hit.rank}</span></div>\n"
        f'<div class=bar><div style="width:{hit.similarity:.1%}"></div></div>\n'
        f"<p class=numbers><b>{hit.distance}</b> {_plural(hit.distance)} apart</p>\n{fine}"
        f"{badge}\n<p class=path><bdi>{_breakable(path)}</bdi></p>\n</li>\n"
    )


def _plural(distance: int) -> str:
    return "bit" if distance == 1 else "bits"


def _notes(results: SearchResults, shown: int) -> list[str]:
    notes = []
    if len(results.queries) > shown:
        notes.append(f"{len(results.queries) - shown:,} more queries are not shown.")
    for path, reason in results.skipped[:20]:
        notes.append(f"Query <bdi>{as_html(path)}</bdi> left out: {as_html(reason)}.")
    if len(results.skipped) > 20:
        notes.append(f"{len(results.skipped) - 20:,} more queries could not be read.")
    if results.tie_note is not None:
        notes.append(as_html(results.tie_note[0].upper() + results.tie_note[1:]) + ".")
    return notes


def _breakable(path: str) -> str:
    """Let lines break inside a path, which is HTML already."""
    return re.sub("[/_-]", r"\g<0><wbr>", path)


_STYLE = """\
section {
  display: grid; grid-template-columns: 232px minmax(0, 1fr); gap: 28px;
  border-top: 1px solid var(--line); margin-top: 28px; padding-top: 28px;
}
.query { position: sticky; top: 20px; align-self: start; }
.query img, .query .missing { width: 100%; aspect-ratio: 1; border-radius: 14px; }
.query h2 { font-size: 1rem; margin-top: 12px; overflow-wrap: anywhere; }
.query p { color: var(--quiet); font-size: .9rem; }
.query p b { color: var(--ink); }
.query p.label { margin: 6px 0; }
img { display: block; object-fit: cover; background: var(--track); }
ol {
  list-style: none; padding: 0; display: grid; gap: 14px; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(148px, 1fr));
}
li {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow: hidden;
  padding-bottom: 10px; font-size: .875rem;
}
li > p, li > .label { margin: 6px 10px 0; }
.picture { position: relative; }
.picture img, .picture .missing { width: 100%; aspect-ratio: 1; }
.rank {
  position: absolute; top: 8px; left: 8px; min-width: 24px; padding: 0 7px; text-align: center;
  border-radius: 12px; background: rgb(0 0 0 / .62); color: #fff; font-size: .75rem;
  line-height: 24px; font-variant-numeric: tabular-nums;
}
.bar { height: 4px; background: var(--track); }
.bar div { height: 100%; background: var(--accent); }
.numbers { color: var(--quiet); }
li > .numbers + .numbers { margin-top: 0; }
.numbers b { color: var(--ink); font-variant-numeric: tabular-nums; }
.label {
  display: inline-block; max-width: calc(100% - 20px); padding: 1px 9px; border-radius: 10px;
  background: var(--track); color: var(--ink); font-size: .8125rem; overflow-wrap: anywhere;
}
.query .label { color: var(--ink); font-size: .875rem; }
.label i { font-style: normal; font-weight: 700; margin-right: 5px; }
.right .label { background: var(--right-back); color: var(--right); }
.wrong .label { background: var(--wrong-back); color: var(--wrong); }
.path {
  color: var(--quiet); font-size: .75rem; overflow-wrap: anywhere; overflow: hidden;
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3;
}
.missing {
  display: grid; place-items: center; padding: 12px; text-align: center; background: var(--track);
  color: var(--quiet); font-size: .75rem; overflow: hidden; overflow-wrap: anywhere;
}
.none { color: var(--quiet); }
footer {
  border-top: 1px solid var(--line); margin-top: 28px; padding-top: 16px;
  color: var(--quiet); font-size: .875rem; overflow-wrap: anywhere;
}
@media (max-width: 720px) {
  body { padding: 20px 14px 32px; }
  section { grid-template-columns: minmax(0, 1fr); gap: 16px; }
  .query { position: static; display: flex; gap: 14px; align-items: center; }
  .query > img, .query > .missing { width: 112px; flex: none; }
  .query h2 { margin-top: 0; }
  ol { grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 10px; }
  li > p, li > .label { margin: 5px 8px 0; }
  .label { max-width: calc(100% - 16px); }
}
@media print {
  .query { position: static; }
  li { break-inside: avoid; }
}
"""
