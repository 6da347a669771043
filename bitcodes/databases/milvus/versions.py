"""Versions of a set: each is a collection that never changes, and one of them counts.

On a server, an alias names that one. Milvus Lite has no aliases: there, an empty collection beside
each complete one says that it is complete, and the newest one counts.
"""

import json
import re
import time
from typing import NamedTuple

import numpy as np
from pymilvus import DataType, MilvusClient, MilvusException

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.header import CodeSetHeader, parse_header
from bitcodes.codes.pack import code_bytes
from bitcodes.databases.milvus.connection import NOT_FOUND, Place
from bitcodes.databases.store import signed_header
from bitcodes.errors import CodeSetError

_NO_ALIAS = 1600
"""The code of the error for an alias that is not there."""

_COMPLETE = "_complete"


class Version(NamedTuple):
    """A version of a set."""

    collection: str
    head: CodeSet
    """The set without its rows."""
    header: CodeSetHeader
    """What was stored of the set: the number of rows, and which files they were."""
    end: int
    """The number after that of the last row."""


class Versions:
    """The versions of the set at a place."""

    def __init__(self, client: MilvusClient, place: Place) -> None:
        self._client = client
        self._place = place
        self._is_version = re.compile(f"{place.collection}_([0-9a-f]{{16}})({_COMPLETE})?")

    def current(self) -> Version | None:
        """The version that counts; None if there is no set. CodeSetError for other data."""
        collection = self._aliased() if self._place.file is None else self._newest()
        if collection is None:
            return None
        try:
            about = self._client.describe_collection(collection)
        except MilvusException as error:
            if error.code == NOT_FOUND:
                return None
            raise
        if not self._is_version.fullmatch(collection):
            raise CodeSetError(
                f"{self._place.name}: expected a collection of bitcodes, or none; found a "
                "collection of other data, which is left alone; name another one (--table)"
            )
        return _parse(collection, about["description"], self._place.name)

    def new_name(self) -> str:
        """A name for the next version, which sorts after those that there are."""
        newest = max(self._collections(), default="")
        match = self._is_version.fullmatch(newest)
        stamp = max(time.time_ns(), int(match[1], 16) + 1 if match else 0)
        return f"{self._place.collection}_{stamp:016x}"

    def switch(self, collection: str) -> None:
        """Let this version count."""
        if self._place.file is not None:
            made = MilvusClient.create_schema(auto_id=False)
            made.add_field("id", DataType.INT64, is_primary=True)
            made.add_field("code", DataType.BINARY_VECTOR, dim=8)
            self._client.create_collection(collection + _COMPLETE, schema=made)
            return
        try:
            self._client.alter_alias(collection, self._place.collection)
        except MilvusException as error:
            if error.code != _NO_ALIAS:
                raise
            self._client.create_alias(collection, self._place.collection)

    def older(self, collection: str) -> list[str]:
        """The collections of versions before this one, also what killed pushes have left."""
        current = self.current()
        kept = collection if current is None else current.collection
        names = (name for name in self._collections() if name < collection)
        return [name for name in names if not name.startswith(kept)]

    def _collections(self) -> list[str]:
        return sorted(filter(self._is_version.fullmatch, self._client.list_collections()))

    def _aliased(self) -> str:
        """The collection that the alias names, or that has the name itself."""
        try:
            return str(self._client.describe_alias(self._place.collection)["collection_name"])
        except MilvusException as error:
            if error.code != _NO_ALIAS:
                raise
            return self._place.collection

    def _newest(self) -> str | None:
        complete = [name for name in self._collections() if name.endswith(_COMPLETE)]
        return complete[-1].removesuffix(_COMPLETE) if complete else None


def description_of(code_set: CodeSet, end: int) -> str:
    """What a collection keeps of a set beside the rows."""
    labels = None if code_set.labels is None else list(code_set.labels.shape[1:])
    about = {
        "bitcodes": signed_header(code_set).to_bytes().decode(),
        "labels": labels,
        "stat": code_set.stat is not None,
        "end": end,
    }
    return json.dumps(about)


def _parse(collection: str, description: str, name: str) -> Version:
    try:
        about = json.loads(description)
        header = parse_header(about["bitcodes"].encode(), f"the header of {name}")
        labels = None
        if about["labels"] is not None:
            kind = np.uint8 if about["labels"] else np.int32
            labels = np.zeros((0, *about["labels"]), kind)
        stat = np.zeros((0, 2), np.int64) if about["stat"] else None
        end = int(about["end"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CodeSetError(
            f"{name}: the description of the collection cannot be read; push the code set again"
        ) from None
    codes = np.zeros((0, code_bytes(header.bits)), np.uint8)
    of_none = header.model_copy(update={"count": 0, "files": {}})
    head = CodeSet(None, of_none, codes, (), labels, stat=stat, url=name)
    return Version(collection, head, header, end)
