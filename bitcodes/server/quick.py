"""The search that is asked for most, by one row of a set: answered without the long way.

The answers are those of `GET /v1/search`, which tests compare; anything but a row, `k` and `radius`
goes to that route. It takes a third of its time.
"""

import re
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any

from starlette.types import Scope, Send

from bitcodes.codes.paths import escape
from bitcodes.server import limits
from bitcodes.server.parameters import HowToSearch
from bitcodes.server.service import RowJob, Service
from bitcodes.tasks.live_set import LiveSet, OpenSet
from bitcodes.tasks.rows import labels_of
from bitcodes.tasks.searcher import Shortlist, Terms

_PLAIN = re.compile(
    rb"(row|k|radius)=(\d{1,15})(?:&(row|k|radius)=(\d{1,15}))?"
    rb"(?:&(row|k|radius)=(\d{1,15}))?"
)


class _Route:
    path = "/v1/search"


class Quick:
    """Answers plain searches by row."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, scope: Scope, send: Send) -> bool:
        """Answer a request if it is such a search; returns whether it is."""
        if scope["path"] != _Route.path or scope["method"] != "GET":
            return False
        plain = self._plain(scope["query_string"])
        if plain is None:
            return False
        scope["route"] = _Route
        live, opened, row, terms = plain
        matches, number = await self._service.searches.submit(RowJob(opened, terms, row))
        body = written(live, opened, row, terms, matches, number)
        length = (b"content-length", str(len(body)).encode())
        headers = [(b"content-type", b"application/json"), length]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return True

    def _plain(self, query: bytes) -> tuple[LiveSet, OpenSet, int, Terms] | None:
        """What a plain search asks for; None if it is another, or the long way must refuse it."""
        match = _PLAIN.fullmatch(query)
        service = self._service
        if match is None or not service.is_ready or service.searches.is_full:
            return None
        names, values = match.groups()[::2], match.groups()[1::2]
        asked = {name: int(value) for name, value in zip(names, values, strict=True) if name}
        if b"row" not in asked or len(asked) != 3 - names.count(None):
            return None
        live = service.find(None)
        opened = live.current
        row, k, radius = asked[b"row"], asked.get(b"k"), asked.get(b"radius")
        is_fine = k is None or 1 <= k <= limits.MAX_K
        is_fine = is_fine and (radius is None or radius <= limits.MAX_RADIUS)
        if not is_fine or row >= opened.database.count or opened.database.parts is not None:
            return None
        return live, opened, row, _terms(k, radius)


@lru_cache(maxsize=1024)
def _terms(k: int | None, radius: int | None) -> Terms:
    how: dict[str, Any] = {"k": k, "radius": radius}
    return HowToSearch(**how).terms().completed()


def written(
    live: LiveSet, opened: OpenSet, row: int, terms: Terms, matches: Shortlist, number: int
) -> bytes:
    """The answer to the query of this number, as JSON."""
    database = opened.database
    text, shares = encode_basestring_ascii, _shares(database.bits)
    start, stop = int(matches.offsets[number]), int(matches.offsets[number + 1])
    rows, distances = matches.rows[start:stop].tolist(), matches.distances[start:stop].tolist()
    names, has_labels = database.class_names, database.labels is not None
    hits = [
        f'{{"rank":{rank},"row":{near},"path":{text(opened.line(near))},"distance":{distance},'
        f'"similarity":{shares[distance]},"feature_distance":null,"output_distance":null,'
        f'"labels":{_texts(labels_of(database, near, names)) if has_labels else "[]"}}}'
        for rank, (near, distance) in enumerate(zip(rows, distances, strict=True), 1)
    ]
    radius = "null" if terms.radius is None else terms.radius
    more, tied = matches.more[number], matches.tied[number]
    return (
        f'{{"codes":{text(live.name)},"bits":{database.bits},"count":{database.count},'
        f'"k":{terms.k},"radius":{radius},"rerank":false,"asymmetric":false,"shortlist":null,'
        f'"queries":[{{"path":{text(opened.line(row))},"labels":[],'
        f'"more":{"true" if more else "false"},"tied":{"true" if tied else "false"},'
        f'"results":[{",".join(hits)}],"code":"{database.codes[row].tobytes().hex()}"}}],'
        f'"skipped":[],"version":"{opened.version}"}}'
    ).encode()


def _texts(labels: tuple[str, ...]) -> str:
    return f"[{','.join(encode_basestring_ascii(escape(label)) for label in labels)}]"


@lru_cache(maxsize=16)
def _shares(bits: int) -> list[str]:
    """The similarity at each distance, as JSON."""
    return [repr(round(1 - distance / bits, 6)) for distance in range(bits + 1)]
