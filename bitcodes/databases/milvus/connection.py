"""Connections to Milvus, and its errors in one line, without tokens."""

import logging
import os
import re
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from bitcodes.errors import CodeSetError

with warnings.catch_warnings():  # pymilvus, of packages that it uses
    warnings.simplefilter("ignore")
    from pymilvus import MilvusClient, MilvusException

TOKEN = "MILVUS_TOKEN"
"""The environment variable with USER:PASSWORD or an API key."""

NOT_FOUND = 100
"""The code of the error for a collection that is not there."""

_COLLECTION = "codes"
"""The collection of a URL that names none."""

_EXPECTED = (
    "expected milvus://HOST:PORT/COLLECTION, or milvus:FILE.db?table=COLLECTION for a file of "
    f"Milvus Lite; the user and password come from {TOKEN}=USER:PASSWORD"
)

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,199}")

_SECONDS = 10
"""How long a server may take to answer at first."""


class Place(NamedTuple):
    """Where a set is: on which server or in which file, and in which collection."""

    address: str
    """What the client connects to."""
    database: str
    collection: str
    name: str
    """The URL as messages show it."""
    file: Path | None
    """The file of Milvus Lite, unless it is a server."""


def parse_url(url: str, collection: str | None = None) -> Place:
    """Split a URL; `collection` stands in for the one that it names.

    CodeSetError if it is malformed: the URL is not repeated there, for it may hold a password.
    """
    try:
        split = urlsplit(url)
        options = dict(parse_qsl(split.query, keep_blank_values=True, strict_parsing=True))
        named = unquote(split.path.strip("/"))
        if split.netloc:
            address, file = _server(split.netloc, options.pop("secure", "false")), None
        else:
            address = unquote(split.path)
            file, named = Path(address), options.pop("table", "")
        database = options.pop("database", "")
        if options or split.fragment or "@" in url or (file is not None and file.suffix != ".db"):
            raise ValueError
    except ValueError:
        raise CodeSetError(f"the URL of the database cannot be read: {_EXPECTED}") from None
    collection = collection or named or _COLLECTION
    if not _NAME.fullmatch(collection):
        raise CodeSetError(
            f"collection {collection!r}: expected up to 200 letters of a to z, digits and _, and "
            "no digit first; name another one (--table)"
        )
    if file is not None:
        name = f"milvus:{split.path}?table={collection}"
    else:
        query = f"?{split.query}" if split.query else ""
        name = f"milvus://{split.netloc}/{collection}{query}"
    return Place(address, database, collection, name, file)


def _server(place: str, secure: str) -> str:
    """The address of a server; ValueError if it cannot be one."""
    split = urlsplit(f"//{place}")
    if not split.hostname or secure not in ("true", "false"):
        raise ValueError
    scheme = "https" if secure == "true" else "http"
    host = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
    return f"{scheme}://{host}:{split.port or 19530}"


def connect(place: Place) -> MilvusClient:
    """Open a connection, or raise CodeSetError with the reason."""
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # errors are raised, too
    logging.getLogger("pymilvus.milvus_client").setLevel(logging.CRITICAL)
    token = os.environ.get(TOKEN, "")
    with database_errors(place.name), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MilvusClient(
            place.address,
            token=token,
            db_name=place.database,
            timeout=_SECONDS,
            alias=uuid.uuid4().hex,  # else clients share a connection, and who closes it
        )


@contextmanager
def database_errors(name: str) -> Iterator[None]:
    """Turn what the server or the client says into a CodeSetError of one line."""
    try:
        yield
    except MilvusException as error:
        if error.code == NOT_FOUND:
            reason = "the code set was replaced meanwhile; run the command again"
        else:
            reason = " ".join(str(error.message).split())[:500] or type(error).__name__
        raise CodeSetError(f"{name}: {reason}") from error
