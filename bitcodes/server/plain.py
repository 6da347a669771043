"""Plain searches by row, many at once: from row numbers to the bytes of the answers.

The answers are those of `GET /v1/search`, which tests compare. Made for a whole batch, an answer
takes a third of the time that the general way needs.
"""

from collections.abc import Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import NamedTuple

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape
from bitcodes.server.batching import together
from bitcodes.tasks.live_set import LiveSet, OpenSet
from bitcodes.tasks.searching.queries import Queries
from bitcodes.tasks.searching.rows import labels_of
from bitcodes.tasks.searching.searcher import Shortlist, Terms


class RowJob(NamedTuple):
    """A plain search by one row, and how; `terms` are completed."""

    live: LiveSet
    opened: OpenSet
    terms: Terms
    row: int


def search_rows(jobs: Sequence[RowJob]) -> list[bytes | Exception]:
    """The answers as JSON, or the error in place of one: one scan for all that search alike."""
    return together(jobs, lambda job: (id(job.opened), job.terms), _answers)


def _answers(jobs: Sequence[RowJob]) -> list[bytes]:
    """The answers to jobs that search alike."""
    live, opened, terms, _ = jobs[0]
    database = opened.database
    rows = [job.row for job in jobs]
    codes = database.codes[rows]
    matches = opened.searcher.nearest(Queries(CodeSet.from_arrays(codes, database.bits)), terms)
    hits = _hits(opened, matches)
    radius = "null" if terms.radius is None else terms.radius
    head = (
        f'{{"codes":{encode_basestring_ascii(live.name)},"bits":{database.bits},'
        f'"count":{database.count},"k":{terms.k},"radius":{radius},"rerank":false,'
        '"asymmetric":false,"shortlist":null,"queries":[{"path":'
    )
    tail = f'"}}],"skipped":[],"version":"{opened.version}"}}'
    offsets, more, tied = matches.offsets.tolist(), matches.more.tolist(), matches.tied.tolist()
    return [
        (
            f'{head}{encode_basestring_ascii(path)},"labels":[],"more":{_WORDS[more[number]]},'
            f'"tied":{_WORDS[tied[number]]},"results":'
            f'[{_ranked(hits[offsets[number] : offsets[number + 1]])}],"code":"{code.hex()}{tail}'
        ).encode()
        for number, (path, code) in enumerate(
            zip(opened.lines(rows), map(bytes, codes), strict=True)
        )
    ]


_WORDS = ("false", "true")


def _hits(opened: OpenSet, matches: Shortlist) -> list[str]:
    """All results of all queries as JSON, without the beginning and the rank."""
    database = opened.database
    rows, distances = matches.rows.tolist(), matches.distances.tolist()
    facts = _facts(database.bits)
    labels = ["[]"] * len(rows) if database.labels is None else _labels(database, rows)
    return [
        f'"row":{row},"path":{encode_basestring_ascii(line)},{facts[distance]}{names}}}'
        for row, line, distance, names in zip(
            rows, opened.lines(matches.rows), distances, labels, strict=True
        )
    ]


def _ranked(hits: Sequence[str]) -> str:
    return ",".join([f'{{"rank":{rank},{hit}' for rank, hit in enumerate(hits, 1)])


def _labels(database: CodeSet, rows: Sequence[int]) -> list[str]:
    names = database.class_names
    labels = (labels_of(database, row, names) for row in rows)
    return [f"[{','.join(encode_basestring_ascii(escape(name)) for name in of)}]" for of in labels]


@lru_cache(maxsize=16)
def _facts(bits: int) -> list[str]:
    """What is said of each distance, as JSON."""
    return [
        f'"distance":{distance},"similarity":{round(1 - distance / bits, 6)!r},'
        '"feature_distance":null,"output_distance":null,"labels":'
        for distance in range(bits + 1)
    ]
