"""The application: the routes, the page, and what stands before them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitcodes.callbacks import Note
from bitcodes.server import problems
from bitcodes.server.api import router
from bitcodes.server.logs import Access
from bitcodes.server.preparing import Preparing
from bitcodes.server.problems import problem
from bitcodes.server.quick import Quick
from bitcodes.server.safety import Guard
from bitcodes.server.service import Service
from bitcodes.tasks.live_set import LiveSet
from bitcodes.version import __version__

_PAGE = Path(__file__).parent / "page"


def create_app(
    sets: Sequence[LiveSet],
    names: Iterable[str],
    token: str | None,
    note: Note,
    preparing: Preparing | None = None,
    access: Access | None = None,
    takes_decisions: bool = False,
) -> App:
    """The service of some code sets, as an ASGI application.

    `names` are those that the Host header may have beside addresses and localhost; `token` is what
    each request must carry, if it is not None. `note` gets lines for the log.
    `access` gets the facts of each request; `preparing` is what makes a set that is not there yet.
    `takes_decisions`: people may decide on duplicates, which is written beside the sets.
    """
    service = Service(sets, note, preparing)
    service.takes_decisions = takes_decisions

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = App(
        title="bitcodes",
        version=__version__,
        description="Search images by the Hamming distance of their codes.",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    app.front = Timed(Guard(app.routes_only, Quick(service), names, token), service, access)
    app.state.service = service
    problems.install(app, router.routes)
    app.include_router(router)

    @app.get("/healthz", include_in_schema=False)
    async def _healthy() -> Response:
        return Response("ok\n", media_type="text/plain")

    @app.get("/readyz", include_in_schema=False)
    async def _ready() -> Response:
        if not service.is_ready:
            return problem(503, "the code set is not open yet", {"Retry-After": "1"})
        if faults := [live.fault for live in service.sets.values() if live.fault]:
            return problem(503, "\n".join(faults), {"Retry-After": "1"})
        return Response("ready\n", media_type="text/plain")

    @app.get("/metrics", include_in_schema=False)
    async def _metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/", include_in_schema=False)
    async def _page() -> Response:
        return FileResponse(_PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/page", _PageFiles(directory=_PAGE))
    return app


class App(FastAPI):
    """An application with a `front` that sees requests before FastAPI does: most end there."""

    front: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or start and stop."""
        await self.front(scope, receive, send)

    async def routes_only(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request without the front."""
        await super().__call__(scope, receive, send)


class _PageFiles(StaticFiles):
    """The files of the page; a browser asks each time whether they have changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


class Timed:
    """ASGI middleware: measures how long requests take, by route and status.

    When the service ends, each answer closes its connection: so no later request is cut off.
    """

    def __init__(self, app: ASGIApp, service: Service, access: Access | None) -> None:
        self._app = app
        self._service = service
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the time to the metrics."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._service.is_ending:
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - start
            self._service.metrics.observe(route, status, seconds)
            if self._access is not None:
                facts = {"method": scope["method"], "route": route, "status": status}
                self._access({"level": "info", **facts, "ms": round(1000 * seconds, 1)})
