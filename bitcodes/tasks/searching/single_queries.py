"""Queries one by one, as a service gets them: rows, codes and images; and many of them as one."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import check_codes, code_bytes, pack_outputs
from bitcodes.errors import BitcodesError, CodeSetError, DataError, ImageError
from bitcodes.models.encoder import Encoder
from bitcodes.tasks.searching.queries import Queries, decode_of
from bitcodes.tasks.searching.results import Fine
from bitcodes.wording import counted, shortened


@dataclass(frozen=True)
class SingleQuery:
    """One query: its code, and what else is known of it."""

    path: str
    """What results call it."""
    code: NDArray[np.uint8]  # (B,)
    features: NDArray[np.floating] | None = None  # (D,)
    outputs: NDArray[np.float32] | None = None  # (K,)


def query_of_row(database: CodeSet, row: int) -> SingleQuery:
    """The image of a row of the set as a query. DataError if there is no such row."""
    if not 0 <= row < database.count:
        expected = f"a whole number from 0 to {database.count - 1:,}"
        raise DataError(f"row: expected {expected}; found {row}")
    features = database.features
    return SingleQuery(
        database.paths[row], database.codes[row], None if features is None else features[row]
    )


def query_of_code(database: CodeSet, text: str, form: str) -> SingleQuery:
    """A packed code, MSB-first, as a query; `form` is hex or base64.

    DataError if it is not written so, or has another length than the codes of the set.
    """
    expected = f"{form}: expected a code of {counted(database.bits, 'bit')}"
    try:
        data = bytes.fromhex(text) if form == "hex" else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise DataError(f"{expected} in {form}; found {shortened(repr(text), 40)}") from None
    if len(data) != (size := code_bytes(database.bits)):
        found = counted(len(data), "byte")
        raise DataError(f"{expected}, which are {counted(size, 'byte')}; found {found}")
    code = np.frombuffer(data, np.uint8)
    try:
        check_codes(code[None], database.bits)
    except CodeSetError as error:
        raise DataError(f"{form}: {error}") from None
    return SingleQuery(data.hex(), code)


def encode_pictures(
    model: Encoder, database: CodeSet, images: Sequence[bytes], most_pixels: int
) -> list[SingleQuery | BitcodesError]:
    """Encode files in memory as one batch, as the images of the set were.

    In place of an image that cannot be read, or has more than `most_pixels`, is the error.
    """
    from bitcodes.images.decode import image_size
    from bitcodes.sources.reading import read_pixels

    results: list[SingleQuery | BitcodesError] = []
    pixels, good = [], []
    for number, image in enumerate(images):
        try:
            width, height = image_size(image)
            if width * height > most_pixels:
                raise ImageError(
                    f"it has {width} x {height} pixels; expected at most {most_pixels:,} in all"
                )
            pixels.append(read_pixels(image, model.preprocessing, decode_of(database)))
        except ImageError as error:
            results.append(ImageError(f"the image cannot be read: {error}"))
        else:
            good.append(number)
            results.append(ImageError("not encoded"))
    if not good:
        return results
    encoded = model.encode_batch(np.stack(pixels))
    codes = pack_outputs(encoded.outputs)
    for number, code, features, outputs in zip(
        good, codes, encoded.features, encoded.outputs, strict=True
    ):
        results[number] = SingleQuery(code.tobytes().hex(), code, features, outputs)
    return results


def check_reranking(database: CodeSet, query: SingleQuery, reranked: Fine | None) -> None:
    """Raise CodeSetError unless set and query have what `reranked` orders results by."""
    if reranked == "features" and database.features is None:
        raise CodeSetError(
            f"{database.name} has no features to re-rank by; encode it again with --features"
        )
    if reranked == "features" and query.features is None:
        raise CodeSetError(
            "a code has no features to re-rank by; give the image itself, or its row, as the query"
        )
    if reranked == "outputs" and query.outputs is None:
        raise CodeSetError(
            "a code is not the hash outputs that an asymmetric search needs; give the image itself "
            "as the query"
        )


def as_one_search(
    database: CodeSet, queries: Sequence[SingleQuery], reranked: Fine | None
) -> Queries:
    """Several queries as those of one search, which is `reranked` or not."""
    codes = np.stack([query.code for query in queries])
    features = outputs = None
    if reranked == "features":
        features = np.stack([query.features for query in queries if query.features is not None])
    if reranked == "outputs":
        outputs = np.stack([query.outputs for query in queries if query.outputs is not None])
    paths = [query.path for query in queries]
    return Queries(CodeSet.from_arrays(codes, database.bits, paths, features=features), outputs)
