"""The routes under /v1: searches, images and their thumbnails, duplicates, information."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from bitcodes.errors import DataError
from bitcodes.server import answers, limits
from bitcodes.server.openapi import POST_SEARCH, PROBLEMS, example
from bitcodes.server.parameters import (
    Decision,
    DecisionBatch,
    HowToSearch,
    Part,
    Radius,
    Row,
    Search,
    Text,
    WhichGroups,
)
from bitcodes.server.service import ImageJob, PictureJob, SearchJob, Service, picture_tag
from bitcodes.tasks.duplicates.decisions import add_decisions, decision_line
from bitcodes.tasks.live_set import LiveSet, OpenSet
from bitcodes.tasks.searching.single_queries import (
    SingleQuery,
    check_reranking,
    query_of_code,
    query_of_row,
)
from bitcodes.version import __version__
from bitcodes.wording import counted

router = APIRouter(prefix="/v1", responses=PROBLEMS)
_ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"description": "It has begun"}}
SetName: TypeAlias = Annotated[Text | None, Query(alias="set", description="Name of the code set.")]


@router.get("/search", summary="Search by rows, paths or codes", responses=example("search"))
async def search(request: Request, search: Annotated[Search, Query()]) -> Response:
    """The images nearest to each query, exactly, by the Hamming distance of their codes."""
    return await _search_by_name(_service(request), search)


@router.post("/search", summary="Search by images, or by a JSON document", **POST_SEARCH)
async def search_by_image(request: Request, how: Annotated[HowToSearch, Query()]) -> Response:
    """The images nearest to each of those uploaded: one as the body, or several as a form.

    A JSON document holds the parameters of `GET /v1/search`.
    """
    service = _service(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            search = Search.model_validate_json(await request.body())
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from None
        return await _search_by_name(service, search)
    live = service.find(how.set)
    opened = live.current
    images = await _images(request, kind)
    waiting: list[asyncio.Future[SingleQuery]] = []
    try:
        waiting.extend(service.images.submit(ImageJob(live, opened, data)) for data in images)
        queries = await asyncio.gather(*waiting)
    finally:
        for future in waiting:
            future.cancel()
    return await _search(service, live, opened, how, queries)


@router.get("/images", summary="Images of the set", responses=example("images"))
async def images(request: Request, part: Annotated[Part, Query()]) -> Response:
    """The images that a filter leaves, in the order of their rows."""
    live = _service(request).find(part.set)
    opened = live.current
    condition = part.filter()
    only = await asyncio.to_thread(opened.select, condition) if condition else None
    rows = range(opened.database.count) if only is None else only.rows.tolist()
    some = rows[part.offset : part.offset + part.limit]
    return JSONResponse(answers.images(live, opened, some, part.offset, len(rows)))


@router.get("/images/{row}", summary="One image of the set", responses=example("image"))
async def image(request: Request, row: Row, name: SetName = None) -> Response:
    """The path, labels and code of a row."""
    live, opened = _row(request, row, name)
    return JSONResponse(answers.image(live, opened, row))


@router.get(
    "/images/{row}/thumbnail",
    summary="A small picture of an image",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, 304: {"description": "Not changed"}},
)
async def thumbnail(
    request: Request,
    row: Row,
    size: Literal["small", "medium", "large"] = "small",
    version: Annotated[
        Text | None, Query(description="Version of the set: the answer can be kept for a day.")
    ] = None,
    name: SetName = None,
) -> Response:
    """A JPEG file that fits 160, 320 or 1024 pixels, without the metadata of the image."""
    _, opened = _row(request, row, name)
    tag = picture_tag(opened, row, size)
    is_fixed = version == opened.version
    headers = {
        "ETag": f'"{tag}"',
        "Cache-Control": "private, max-age=86400" if is_fixed else "private, no-cache",
    }
    if f'"{tag}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    job = PictureJob(opened, row, limits.SIZES[size])
    data = await _service(request).thumbnail(job, tag)
    return Response(data, media_type="image/jpeg", headers=headers)


@router.get(
    "/images/{row}/duplicates", summary="Near-duplicates of an image", responses=example("search")
)
async def duplicates_of(
    request: Request, row: Row, radius: Radius | None = None, name: SetName = None
) -> Response:
    """The images within the radius of a row, itself included. Default: an eighth of the bits."""
    live, opened = _row(request, row, name)
    how = HowToSearch(radius=opened.duplicate_radius if radius is None else radius)
    query = query_of_row(opened.database, row)
    return await _search(_service(request), live, opened, how, [query])


@router.get("/duplicates", summary="Groups of near-duplicates", responses=example("duplicates"))
async def duplicates(request: Request, which: Annotated[WhichGroups, Query()]) -> Response:
    """Groups of images within the radius of the first, which is to keep.

    A filter leaves the groups of which it leaves an image. What people have decided counts, see
    `POST /v1/decisions`. If finding the groups takes longer than a request may, the answer is 503,
    and a later request gets them.
    """
    service = _service(request)
    live = service.find(which.set)
    opened = live.current
    only = await asyncio.to_thread(opened.select, which.filter())
    result = await service.duplicates(opened, which.radius)
    if only is not None:
        result = await asyncio.to_thread(result.among, only.rows)
    part = slice(which.offset, which.offset + which.limit)
    return JSONResponse(answers.grouped(live, opened, result, part))


@router.post("/decisions", summary="Decide on near-duplicates", responses=example("decisions"))
async def decide(request: Request, batch: DecisionBatch) -> Response:
    """Add decisions to the file `codes.decisions.tsv` beside the code set.

    Only where the service was started with `--decisions`; else the answer is 403.
    """
    service = _service(request)
    if not service.takes_decisions:
        raise HTTPException(403, "no decisions are taken: start the service with --decisions")
    live = service.find(batch.set)
    assert live.path is not None, "the server refuses decisions on sets in a database"
    opened = live.current
    count = await asyncio.to_thread(_decide, live.path, opened, batch.decisions)
    return JSONResponse({"codes": live.name, "version": opened.version, "decisions": count})


def _decide(file: Path, opened: OpenSet, decisions: Sequence[Decision]) -> int:
    """Save decisions; returns how many lines the file has then."""
    lines = []
    for decision in decisions:
        paths = [answers.path_in(path) for path in decision.paths]
        for path in paths:
            opened.rows.of_path(path)
        lines.append(decision_line(decision.word, paths))
    return len(add_decisions(file, lines).lines)


@router.get("/clusters", summary="Clusters of the set", responses=example("clusters"))
async def clusters(
    request: Request,
    of: Annotated[Text, Query(description="Name of the cluster. Default: the whole set.")] = "",
    name: SetName = None,
) -> Response:
    """A cluster of images with like codes: the clusters in it, and its images nearest the middle.

    The clusters of a version of a set are always the same.
    """
    live = _service(request).find(name)
    answer = await asyncio.to_thread(answers.clustered, live, live.current, of, limits.MAX_SHOWN)
    return JSONResponse(answer)


@router.get("/info", summary="The sets of the service", responses=example("info"))
async def info(request: Request) -> Response:
    """What each set holds, and the limits of requests."""
    service = _service(request)
    sets = [await asyncio.to_thread(answers.described, live) for live in service.sets.values()]
    bounds = {
        "bytes": limits.MAX_BYTES,
        "pixels": limits.MAX_PIXELS,
        "queries": limits.MAX_QUERIES,
        "k": limits.MAX_K,
    }
    preparing = None if service.preparing is None else service.preparing.describe()
    answer = {
        "bitcodes": __version__,
        "sets": sets,
        "preparing": preparing,
        "decisions": service.takes_decisions,
        "limits": bounds,
    }
    return JSONResponse(answer)


@router.post("/encode", summary="Encode the folder", status_code=202, responses=_ACCEPTED)
async def encode(request: Request) -> Response:
    """Encode the folder that the service was started with; `GET /v1/info` tells how far it is."""
    service = _service(request)
    if service.preparing is None:
        raise DataError("there is no folder to encode: the code set is there")
    service.preparing.begin(service.use)
    return JSONResponse(service.preparing.describe(), 202)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _row(request: Request, row: int, name: str | None) -> tuple[LiveSet, OpenSet]:
    """The set of a request, and its present version. DataError if it has no such row."""
    live = _service(request).find(name)
    opened = live.current
    query_of_row(opened.database, row)
    return live, opened


async def _search_by_name(service: Service, search: Search) -> Response:
    if not 1 <= search.count <= limits.MAX_QUERIES:
        expected = f"expected 1 to {limits.MAX_QUERIES} queries: row, path, hex or base64"
        raise DataError(f"{expected}; found {search.count}")
    live = service.find(search.set)
    opened = live.current
    database = opened.database
    rows = list(search.row)
    if search.path:
        paths = [answers.path_in(path) for path in search.path]
        rows += await asyncio.to_thread(lambda: [opened.rows.of_path(path) for path in paths])
    queries = [query_of_row(database, row) for row in rows]
    queries += [query_of_code(database, text, "hex") for text in search.hex]
    queries += [query_of_code(database, text, "base64") for text in search.base64]
    return await _search(service, live, opened, search, queries)


async def _search(
    service: Service,
    live: LiveSet,
    opened: OpenSet,
    how: HowToSearch,
    queries: Sequence[SingleQuery],
) -> Response:
    terms = how.terms()
    for query in queries:
        check_reranking(opened.database, query, terms.reranked)
    condition = how.filter()
    only = await asyncio.to_thread(opened.select, condition) if condition else None
    start = time.perf_counter()
    results = await service.searches.submit(SearchJob(opened, terms, only, queries))
    milliseconds = 1000 * (time.perf_counter() - start)
    headers = {"Server-Timing": f"search;dur={milliseconds:.1f}"}
    return JSONResponse(answers.found(live, opened, results, queries), headers=headers)


async def _images(request: Request, kind: str) -> list[bytes]:
    """The images in the body of a request. DataError if there are none, or too many."""
    if kind != "multipart/form-data":
        data = await request.body()
        if not data:
            raise DataError("the body of the request: expected an image; found nothing")
        return [data]
    async with request.form(max_files=limits.MAX_QUERIES, max_fields=limits.MAX_QUERIES) as form:
        parts: list[Any] = [part for _, part in form.multi_items()]
        images = [await part.read() for part in parts if isinstance(part, UploadFile)]
    if not images or len(images) != len(parts):
        found = counted(len(parts) - len(images), "part") + " without a file name"
        raise DataError(f"the form: expected images as files; found {found}")
    return images
