"""What `bitcodes serve` is compared with: a constant answer, and FAISS behind FastAPI."""

import os

import faiss
import numpy as np
from fastapi import FastAPI, Query, Response

constant = FastAPI()
_BODY = b"[" + b"1" * (int(os.environ.get("ANSWER_BYTES", "2000")) - 2) + b"]"


@constant.get("/v1/search")
async def answer(row: int, k: int = 10) -> Response:
    """The same bytes for every request."""
    return Response(_BODY, media_type="application/json")


flat = FastAPI()
_CODES = np.load(os.environ["CODES"]) if "CODES" in os.environ else np.zeros((1, 8), np.uint8)
_INDEX = faiss.IndexBinaryFlat(_CODES.shape[1] * 8)
_INDEX.add(_CODES)


@flat.get("/v1/search")
def search(row: int, k: int = Query(10, ge=1, le=1000)) -> dict:
    """The nearest rows, as one writes it without much thought: a thread for each request."""
    distances, rows = _INDEX.search(_CODES[row : row + 1], k)
    results = [
        {"rank": rank, "row": int(near), "distance": int(distance)}
        for rank, (distance, near) in enumerate(zip(distances[0], rows[0], strict=True), 1)
    ]
    return {"queries": [{"row": row, "results": results}]}
