"""Running the service: in the foreground, or beside a notebook or a test."""

import asyncio
import ipaddress
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Self

import uvicorn

from bitcodes.callbacks import Note
from bitcodes.choices import LogFormat
from bitcodes.databases.urls import is_store_url
from bitcodes.errors import BitcodesError, ConfigError
from bitcodes.machine import core_count
from bitcodes.server.app import create_app
from bitcodes.server.logs import listeners
from bitcodes.server.preparing import Preparing, set_of
from bitcodes.server.service import Service
from bitcodes.tasks.live_set import LiveSet
from bitcodes.wording import shown

_GRACE = 10
"""Seconds that requests get to end when the service stops."""
_DRAINING = 1.0
"""Seconds that clients get to use their connections once more before they are closed."""
_BACKLOG = 1024

log = logging.getLogger("bitcodes.server")


class _Server(uvicorn.Server):
    """Ends without cutting off a request: first clients are told to close their connections."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no connection, let those that are used end with an answer, then end the rest."""
        self._service.is_ending = True
        for server in self.servers:
            server.close()
        deadline = time.monotonic() + _DRAINING
        while self.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


class Server:
    """A service of some code sets that listens at `host` and `port`; 0 is any free port.

    `codes` are code sets, or URLs of databases that hold some; these are read into memory. It may
    be one folder of images: if the code set `out` is not theirs, the page offers to encode them
    into it.

    `token` is what requests must carry; None: nothing if `host` is this machine alone, else a new
    random token. `allow_hosts` are names that clients may call the service by, beside addresses and
    localhost. With `decisions`, people may decide on duplicates.

    The socket is open at once; `run` answers until the service is stopped. Raises ConfigError if
    the address cannot be used, CodeSetError if a set cannot be opened.
    """

    def __init__(
        self,
        codes: Sequence[Path | str] | Path | str = "codes.npy",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        allow_hosts: Iterable[str] = (),
        run: Path | str | None = None,
        threads: int | None = None,
        out: Path = Path("codes.npy"),
        note: Note = log.info,
        log_format: LogFormat = "text",
        decisions: bool = False,
    ) -> None:
        note, access = listeners(log_format, note)
        self.note = note
        # One core is left to the thread that reads requests: else it waits for the others.
        threads = threads or max(1, core_count() - 1)
        open_set = partial(LiveSet, run=run, threads=threads, note=note)
        sources = [codes] if isinstance(codes, Path | str) else list(codes)
        if decisions and any(map(is_store_url, sources)):
            raise ConfigError(
                "--decisions: expected code sets in files, as decisions are written beside them; "
                "found a set in a database"
            )
        sets, preparing = _open_sets(sources, out, open_set, note)
        self.token = secrets.token_urlsafe(16) if token is None and not _is_local(host) else token
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.host = host
        named = [*allow_hosts, host, socket.gethostname()]
        app = create_app(sets, named, self.token, note, preparing, access, decisions)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            date_header=True,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=30,
            backlog=_BACKLOG,
            h11_max_incomplete_event_size=1 << 16,
        )
        self._server = _Server(config, app.state.service)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address of the page, without the token."""
        name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        if ":" in name and not name.startswith("["):
            name = f"[{name}]"
        return f"http://{name}:{self.port}/"

    @property
    def url_with_token(self) -> str:
        """The address to open in a browser."""
        return self.url if self.token is None else f"{self.url}?token={self.token}"

    def run(self) -> None:
        """Answer requests until the process is asked to end, or `stop` is called."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Take no more requests, finish those that have begun, and end."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start_thread(self) -> None:
        """`run` in a thread; returns when requests are answered."""
        thread = self._thread = threading.Thread(target=self.run, name="bitcodes-serve")
        thread.daemon = True
        thread.start()
        while not self._server.started:
            if not thread.is_alive():
                raise BitcodesError("the service did not start; its log says why")
            time.sleep(0.01)


def start(
    codes: Sequence[Path | str] | Path | str = "codes.npy",
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    allow_hosts: Iterable[str] = (),
    run: Path | str | None = None,
    threads: int | None = None,
    decisions: bool = False,
) -> Server:
    """Start the service in a thread of this process, for notebooks and tests; see Server.

    `server.url` is its address. `server.stop()` ends it, and so does a with block:

        with bitcodes.server.start("photos.npy") as server:
            print(server.url)
    """
    server = Server(
        codes,
        host=host,
        port=port,
        token=token,
        allow_hosts=allow_hosts,
        run=run,
        threads=threads,
        decisions=decisions,
    )
    server.start_thread()
    return server


def _open_sets(
    sources: Sequence[Path | str],
    out: Path,
    open_set: Callable[[Path | str], LiveSet],
    note: Note,
) -> tuple[list[LiveSet], Preparing | None]:
    """The sets to begin with, and what makes the set of a folder that has none."""
    preparing = None
    folders = [Path(name) for name in sources if not is_store_url(name) and Path(name).is_dir()]
    if folders:
        if len(sources) > 1:
            raise ConfigError("expected code sets, or one folder of images; found both")
        sources = [out]
        if not set_of(folders[0], out):
            preparing, sources = Preparing(folders[0], out, open_set, note), []
    sets = [open_set(name) for name in sources]
    names = [live.name for live in sets]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise ConfigError(
            f"two code sets are named {doubled.pop()!r}: expected names that differ, as requests "
            "call the sets by them; rename one"
        )
    return sets, preparing


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = places[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"--host {shown(host)}: expected a name or an address of this machine ({error})"
        ) from None
    try:
        if os.name == "posix":  # on Windows this would let two programs share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"--port {port}: cannot be used on {shown(host)} ({error.strerror}); stop what listens "
            "there, or choose another port, such as --port 0 for any free one"
        ) from None
    return listener
