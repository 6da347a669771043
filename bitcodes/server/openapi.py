"""What the description of the interface (OpenAPI) says beside the code of the routes."""

from typing import Any

from bitcodes.server.parameters import Search
from bitcodes.server.problems import MEDIA_TYPE

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_MEANINGS = {
    400: ("Something is wrong with the request", "row: expected a whole number of at least 0"),
    401: ("The token is missing", "expected the token of the service"),
    403: ("The request comes from another site", "Origin: expected this service's own page"),
    413: ("The body is too large", "expected at most 33,554,432 bytes; found more"),
    421: ("The name of the host is not one of ours", "Host: expected an address or localhost"),
    422: ("The image cannot be read", "the image cannot be read: truncated"),
    503: ("Too much waits, or it took too long", "too many searches wait already; try again"),
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": meaning,
        "content": {
            MEDIA_TYPE: {
                "schema": _PROBLEM,
                "example": {
                    "type": "about:blank",
                    "title": meaning,
                    "status": status,
                    "detail": detail,
                },
            }
        },
    }
    for status, (meaning, detail) in _MEANINGS.items()
}

_ENTRY = {"row": 17, "path": "holidays/beach.jpg", "labels": ["sea"]}
_IMAGE = {
    "codes": "photos",
    "version": "9f2c01ab",
    **_ENTRY,
    "code": "8f00d1e2a3b4c5d6",
}
_HIT = {
    "rank": 1,
    "row": 17,
    "path": "holidays/beach.jpg",
    "distance": 4,
    "similarity": 0.9375,
    "feature_distance": None,
    "output_distance": None,
    "labels": ["sea"],
}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "search": {
        "codes": "photos",
        "version": "9f2c01ab",
        "bits": 64,
        "count": 2880,
        "k": 10,
        "radius": None,
        "rerank": False,
        "asymmetric": False,
        "shortlist": None,
        "queries": [
            {
                "path": "holidays/beach2.jpg",
                "labels": [],
                "more": False,
                "tied": False,
                "code": "8f00d1e2a3b4c5d7",
                "results": [_HIT],
            }
        ],
        "skipped": [],
    },
    "image": _IMAGE,
    "duplicates": {
        "codes": "photos",
        "version": "9f2c01ab",
        "radius": 8,
        "count": 2880,
        "extra": 12,
        "total": 9,
        "offset": 0,
        "notes": [],
        "groups": [
            [
                {"row": 17, "path": "holidays/beach.jpg", "distance": 0},
                {"row": 40, "path": "small/beach.jpg", "distance": 2},
            ]
        ],
    },
    "info": {
        "bitcodes": "0.1.0",
        "sets": [
            {
                "name": "photos",
                "version": "9f2c01ab",
                "count": 2880,
                "bits": 64,
                "parts": None,
                "labels": [{"name": "sea", "count": 31}],
                "features": False,
                "images": True,
                "duplicate_radius": 8,
            }
        ],
        "preparing": None,
        "decisions": False,
        "limits": {"bytes": 33554432, "pixels": 64000000, "queries": 64, "k": 1000},
    },
    "decisions": {"codes": "photos", "version": "9f2c01ab", "decisions": 3},
    "clusters": {
        "codes": "photos",
        "version": "9f2c01ab",
        "of": "",
        "count": 2880,
        "clusters": [{"name": "0", "count": 130, "images": [_ENTRY]}],
        "images": [_ENTRY],
    },
    "images": {
        "codes": "photos",
        "version": "9f2c01ab",
        "total": 2880,
        "offset": 17,
        "images": [_ENTRY],
    },
}


def example(name: str) -> dict[int | str, dict[str, Any]]:
    """The answer 200 of a route, with an example."""
    return {
        200: {
            "description": "Done",
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": _EXAMPLES[name]}
            },
        }
    }


_BINARY = {"schema": {"type": "string", "format": "binary"}}
POST_SEARCH: dict[str, Any] = {
    "responses": example("search"),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "image/*": _BINARY,
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {
                            "image": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "string", "format": "binary"},
                            }
                        },
                    }
                },
                "application/json": {
                    "schema": Search.model_json_schema(),
                    "example": {"row": [0, 5], "k": 3, "under": "holidays/"},
                },
            },
        }
    },
}
