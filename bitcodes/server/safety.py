"""Who may ask, and what browsers may do with the answers: checked before anything else is done."""

import asyncio
import hmac
import ipaddress
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import overload
from urllib.parse import parse_qs, urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitcodes.server.limits import MAX_BYTES, MAX_SECONDS
from bitcodes.server.problems import problem
from bitcodes.server.quick import Quick

COOKIE = "bitcodes-token"
OPEN_PATHS = ("/healthz", "/readyz")
"""What answers without a token."""

_OWN = (b"same-origin", b"none")
_KNOWN = 100
"""Host headers that are remembered."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"geolocation=(), microphone=(), camera=(self)"),
]


Fields = dict[bytes, bytes]
"""The header fields of a request, by their names in lower case."""


class Guard:
    """ASGI middleware: refuses foreign hosts and origins, missing tokens and large bodies.

    A name in the Host header must be localhost or one of `names`: a page of another site cannot
    then pass for ours by a name that leads to this machine (DNS rebinding). Addresses cannot be
    used so, and are allowed. A request that changes or uploads something must come from our page.
    """

    def __init__(self, app: ASGIApp, quick: Quick, names: Iterable[str], token: str | None) -> None:
        self._app = app
        self._quick = quick
        self._names = {"localhost", *(name.lower().rstrip(".") for name in names)}
        self._token = token
        self._known: dict[str, bool] = {}  # Host headers that were allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refusal, or let the app answer, with the headers added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        headers = dict(scope["headers"])
        refusal = self._host_problem(scope) or self._origin_problem(scope["method"], headers)
        if refusal is not None:
            await problem(*refusal)(scope, receive, with_headers)
            return
        if self._token is not None and scope["path"] not in OPEN_PATHS:
            given = self._token_in_address(scope)
            if given is not None and self._is_token(given):
                await _remember(given, scope)(scope, receive, with_headers)
                return
            if not self._is_token(_bearer(headers)) and not self._is_token(_cookie(headers)):
                detail = (
                    "expected the token of the service, as `Authorization: Bearer TOKEN` or once "
                    "as ?token=TOKEN in the address of the page"
                )
                refused = problem(401, detail, {"WWW-Authenticate": "Bearer"})
                await refused(scope, receive, with_headers)
                return
        if not _length(headers) <= MAX_BYTES:
            await problem(413, _too_large())(scope, receive, with_headers)
            return
        if not await self._quick.answer(scope, with_headers):
            await self._in_time(scope, receive, with_headers)

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer, or say that it took too long."""
        has_begun = False

        async def noticed(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            async with asyncio.timeout(MAX_SECONDS):
                await self._app(scope, _bounded(receive), noticed)
        except TimeoutError:
            if has_begun:
                raise
            late = problem(503, "it took too long; try again", {"Retry-After": "5"})
            await late(scope, receive, send)

    def _host_problem(self, scope: Scope) -> tuple[int, str] | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
        if self._known.get(host):
            return None
        name = _name(host)
        if name in self._names or _is_address(name):
            if len(self._known) < _KNOWN:
                self._known[host] = True
            return None
        names = ", ".join(sorted(self._names))
        return 421, f"Host: expected an address or {names}; found {host!r:.80} (--allow-host NAME)"

    def _origin_problem(self, method: str, headers: Fields) -> tuple[int, str] | None:
        if method in ("GET", "HEAD") and headers.get(b"sec-fetch-mode") != b"cors":
            return None
        origin = _text(headers, b"origin")
        if origin is not None and _place(origin) != _text(headers, b"host", "").lower():
            return 403, f"Origin: expected this service's own page; found {origin!r:.80}"
        if origin is None and headers.get(b"sec-fetch-site", b"none") not in _OWN:
            return 403, "expected a request of this service's own page; found one of another site"
        return None

    def _token_in_address(self, scope: Scope) -> str | None:
        if scope["path"] != "/" or b"token=" not in scope["query_string"]:
            return None
        fields: dict[str, list[str]] = parse_qs(scope["query_string"].decode("latin-1"))
        return fields["token"][0] if "token" in fields else None

    def _is_token(self, given: str | None) -> bool:
        expected = self._token or ""
        return given is not None and hmac.compare_digest(given.encode(), expected.encode())


def _remember(token: str, scope: Scope) -> RedirectResponse:
    """Keep the token as a cookie, and take it out of the address."""
    answer = RedirectResponse(scope.get("root_path", "") + "/", 303)
    is_https = scope["scheme"] == "https"
    answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=is_https)
    return answer


def _name(host: str) -> str:
    """The host's name or address without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower().rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@overload
def _text(headers: Fields, name: bytes, default: str) -> str: ...
@overload
def _text(headers: Fields, name: bytes, default: None = None) -> str | None: ...


def _text(headers: Fields, name: bytes, default: str | None = None) -> str | None:
    """A header field as text."""
    return headers[name].decode("latin-1") if name in headers else default


def _place(origin: str) -> str | None:
    """The host and the port of an origin; None if it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _bearer(headers: Fields) -> str | None:
    scheme, _, token = _text(headers, b"authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _cookie(headers: Fields) -> str | None:
    try:
        morsel = SimpleCookie(_text(headers, b"cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def _length(headers: Fields) -> float:
    """The length of the body as the request says it; 0 if it does not."""
    text = _text(headers, b"content-length", "0")
    return int(text) if text.isdecimal() else float("inf")


def _too_large() -> str:
    return f"the body of the request: expected at most {MAX_BYTES:,} bytes; found more"


def _bounded(receive: Receive) -> Receive:
    """Receives a body up to its limit."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BYTES:
            raise HTTPException(413, _too_large())
        return message

    return bounded
