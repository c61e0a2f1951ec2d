"""Descriptions of bodies and answers that several routes share, for the API's OpenAPI document."""

from __future__ import annotations

from typing import Any

from masklet.server import schemas

Responses = dict[int | str, dict[str, Any]]

ERRORS: Responses = {
    400: {"model": schemas.ErrorAnswer, "description": "The request cannot be parsed."},
    401: {"model": schemas.ErrorAnswer, "description": "Login required."},
    403: {"model": schemas.ErrorAnswer, "description": "The request does not come from this server's own page."},
    404: {"model": schemas.ErrorAnswer, "description": "It does not exist, or it belongs to another user."},
    409: {"model": schemas.ErrorAnswer, "description": "It conflicts with the current state."},
    422: {"model": schemas.ErrorAnswer, "description": "A value is out of its range."},
    503: {"model": schemas.ErrorAnswer, "description": "The database or the data folder is away: try again later."},
    507: {"model": schemas.ErrorAnswer, "description": "The server has no space left."},
}
"""Errors of every route."""

TOO_BUSY: Responses = {
    409: {"model": schemas.ErrorAnswer, "description": "The medium is being tracked, or there is nothing to track."},
    429: {"model": schemas.ErrorAnswer, "description": "You have too many jobs."},
    503: {"model": schemas.ErrorAnswer, "description": "The queue is full, or the storage is away."},
}
"""Errors of routes that queue a job."""

UPLOAD_ERRORS: Responses = {
    408: {"model": schemas.ErrorAnswer, "description": "The upload stopped."},
    413: {"model": schemas.ErrorAnswer, "description": "The upload has too many bytes or files."},
    415: {"model": schemas.ErrorAnswer, "description": "The body is not multipart/form-data."},
    429: {"model": schemas.ErrorAnswer, "description": "Too many uploads of yours are being checked."},
    503: {"model": schemas.ErrorAnswer, "description": "Too many uploads are being checked."},
}
"""Errors of routes with uploads."""

JPEG: Responses = {200: {"content": {"image/jpeg": {}}, "description": "A JPEG."}}
BYTES: Responses = {200: {"content": {"application/octet-stream": {}}, "description": "Bytes."}}

UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            }
        },
    }
}
"""`openapi_extra` of routes with uploads: their bodies are streamed to disk, so FastAPI does not see them."""
