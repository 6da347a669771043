"""Answers to searches and about images, as JSON has them."""

from collections.abc import Sequence
from typing import Any

from bitcodes.codes.paths import escape, unescape
from bitcodes.errors import DataError
from bitcodes.tasks.duplicates.groups import Duplicates
from bitcodes.tasks.live_set import LiveSet, OpenSet
from bitcodes.tasks.searching.results import SearchResults
from bitcodes.tasks.searching.rows import labels_of
from bitcodes.tasks.searching.single_queries import SingleQuery
from bitcodes.wording import shortened


def found(
    live: LiveSet, opened: OpenSet, results: SearchResults, queries: Sequence[SingleQuery]
) -> dict[str, Any]:
    """The results of a search, as `bitcodes search --json` has them, without places of files."""
    answer = results.to_dict()
    answer |= {"codes": live.name, "version": opened.version}
    for entry, query in zip(answer["queries"], queries, strict=True):
        entry["code"] = query.code.tobytes().hex()
        for hit in entry["results"]:
            del hit["file"], hit["relevant"]
    return answer


def grouped(live: LiveSet, opened: OpenSet, result: Duplicates, part: slice) -> dict[str, Any]:
    """Some groups of duplicates, as `bitcodes duplicates --json` has them, and how many of all."""
    groups = [
        [
            {"row": image.row, "path": escape(image.path), "distance": image.distance}
            for image in images
        ]
        for images in result.groups[part]
    ]
    return {
        "codes": live.name,
        "version": opened.version,
        "radius": result.radius,
        "count": result.count,
        "extra": result.extra,
        "total": len(result.groups),
        "offset": part.start,
        "notes": list(result.notes),
        "groups": groups,
    }


def image(live: LiveSet, opened: OpenSet, row: int) -> dict[str, Any]:
    """What the set knows of the image of a row."""
    code = opened.database.codes[row].tobytes().hex()
    return {"codes": live.name, "version": opened.version, **_entry(opened, row), "code": code}


def images(
    live: LiveSet, opened: OpenSet, rows: Sequence[int], offset: int, total: int
) -> dict[str, Any]:
    """Some images of `total` ones, from `offset` on."""
    return {
        "codes": live.name,
        "version": opened.version,
        "total": total,
        "offset": offset,
        "images": [_entry(opened, row) for row in rows],
    }


def clustered(live: LiveSet, opened: OpenSet, name: str, most: int) -> dict[str, Any]:
    """A cluster: its parts with some images of each, and its own first images."""
    cluster, parts = opened.cluster(name)
    return {
        "codes": live.name,
        "version": opened.version,
        "of": cluster.name,
        "count": len(cluster.rows),
        "clusters": [
            {
                "name": part.name,
                "count": len(part.rows),
                "images": [_entry(opened, row) for row in part.examples],
            }
            for part in parts
        ],
        "images": [_entry(opened, row) for row in cluster.rows[:most].tolist()],
    }


def _entry(opened: OpenSet, row: int) -> dict[str, Any]:
    database = opened.database
    labels = labels_of(database, row, database.class_names)
    path = escape(database.paths[row])
    return {"row": row, "path": path, "labels": [escape(label) for label in labels]}


def path_in(text: str) -> str:
    """A path as a request has it, escaped as in answers. DataError if it is not."""
    try:
        return unescape(text.encode())
    except (ValueError, UnicodeError) as error:
        raise DataError(
            f"path: expected a path as results have it; found {shortened(repr(text))} ({error})"
        ) from None


def described(live: LiveSet) -> dict[str, Any]:
    """What a set holds."""
    opened = live.current
    database = opened.database
    parts = database.parts
    return {
        "name": live.name,
        "version": opened.version,
        "count": database.count,
        "bits": database.bits,
        "parts": None if parts is None else parts.model_dump(),
        "labels": [
            {"name": escape(name), "count": count} for name, count in opened.rows.labels() if count
        ],
        "features": database.features is not None,
        "images": database.root is not None,
        "duplicate_radius": opened.duplicate_radius,
    }
