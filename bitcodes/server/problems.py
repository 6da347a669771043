"""Errors as problem+json (RFC 9457), in the words of the command line."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route

from bitcodes.errors import BitcodesError, ImageError, ModelError
from bitcodes.server.batching import FullError
from bitcodes.wording import as_utf8, either, number_in_words, shortened

MEDIA_TYPE = "application/problem+json"
_BOUNDS = {
    "greater_than_equal": "ge",
    "less_than_equal": "le",
    "int_parsing": "ge",
    "int_type": "ge",
    "int_from_float": "ge",
}


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """An answer that says what is wrong."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return JSONResponse(
        {**content, "detail": as_utf8(detail), **more},
        status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def status_of(error: BitcodesError) -> int:
    """The status of an error: 422 for an image that cannot be read, 503 without a model."""
    if isinstance(error, ImageError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.SERVICE_UNAVAILABLE if isinstance(error, ModelError) else 400


def in_words(errors: Sequence[Any]) -> str:
    """What is wrong with the parameters of a request: NAME: expected …; found …, one per line."""
    lines: dict[str, str] = {}
    for error in errors:
        place = [str(part) for part in error["loc"] if part not in ("query", "body", "path")]
        name = place[0] if place else "the request"
        lines.setdefault(name, f"{name}: {_expectation(error)}")
    return "\n".join(lines.values())


def _expectation(error: Mapping[str, Any]) -> str:
    kind, details = error["type"], error.get("ctx", {})
    message = str(error["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return "there is no such parameter"
    if kind == "missing":
        return "it is missing"
    if kind == "value_error":
        return message
    if kind == "json_invalid":
        return f"expected JSON; found text that is none ({details.get('error', message)})"
    expected = message[:1].lower() + message[1:]
    if kind in _BOUNDS:
        bounds = {key: value for key, value in details.items() if key in ("ge", "le")}
        expected = f"expected {number_in_words(int, **bounds)}"
    elif kind == "literal_error":
        choices = details["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        expected = f"expected {either(choices)}"
    elif kind in ("too_long", "string_too_long"):
        most = details["max_length"]
        expected = f"expected at most {most:,} {'of them' if kind == 'too_long' else 'characters'}"
    return f"{expected}; found {shortened(repr(error.get('input')), 40)}"


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Let the app answer errors with problem+json; `routes` may share paths."""

    @app.exception_handler(BitcodesError)
    async def _bitcodes(request: Request, error: BitcodesError) -> JSONResponse:
        return problem(status_of(error), str(error))

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> JSONResponse:
        return problem(400, in_words(error.errors()))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            methods = _methods(routes, request, (error.headers or {})["Allow"])
            detail = f"expected {either(methods)}; found {shortened(request.method, 40)}"
            return problem(405, detail, {"Allow": ", ".join(methods)})
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(FullError)
    async def _full(request: Request, error: FullError) -> JSONResponse:
        return problem(503, "too many searches wait already; try again", {"Retry-After": "1"})

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> JSONResponse:
        return problem(500, "a fault of the service; its log says more")


def _methods(routes: Sequence[BaseRoute], request: Request, known: str) -> list[str]:
    """The methods for the path of a request: those `known` of one route, and of others."""
    methods = set(known.split(", "))
    for route in routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is Match.PARTIAL:
            methods |= route.methods or set()
    return sorted(methods)
