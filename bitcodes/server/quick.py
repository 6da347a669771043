"""The search that is asked for most, by one row of a set: answered without the long way.

Anything but a row, `k` and `radius` goes to the route of `GET /v1/search`.
"""

import re
from functools import lru_cache
from typing import Any

from starlette.types import Scope, Send

from bitcodes.server import limits
from bitcodes.server.parameters import HowToSearch
from bitcodes.server.plain import RowJob
from bitcodes.server.service import Service
from bitcodes.tasks.searching.searcher import Terms

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
        job = self._plain(scope["query_string"])
        if job is None:
            return False
        scope["route"] = _Route
        body = await self._service.searches.submit(job)
        length = (b"content-length", str(len(body)).encode())
        headers = [(b"content-type", b"application/json"), length]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return True

    def _plain(self, query: bytes) -> RowJob | None:
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
        return RowJob(live, opened, _terms(k, radius), row)


@lru_cache(maxsize=1024)
def _terms(k: int | None, radius: int | None) -> Terms:
    how: dict[str, Any] = {"k": k, "radius": radius}
    return HowToSearch(**how).terms().completed()
