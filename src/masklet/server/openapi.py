"""Writes the description of the HTTP API, from which the page's TypeScript types are generated.

    python -m masklet.server.openapi [FILE]

The document depends on the code only: no model is loaded and no data folder is opened. Knows nothing of the studio.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from masklet._version import __version__
from masklet.output import atomic_path
from masklet.server.routes import ROUTERS
from masklet.server.routes.responses import ERRORS
from masklet.server.settings import API_BASE


def api_router() -> APIRouter:
    """Return all routes of the API under `API_BASE`."""
    router = APIRouter(prefix=API_BASE, responses=ERRORS, generate_unique_id_function=operation_id)
    for part in ROUTERS:
        router.include_router(part)
    return router


def operation_id(route: APIRoute) -> str:
    """Return the name of the route's function, which is unique in the API."""
    return route.name


def about_api() -> dict[str, Any]:
    """Return the arguments of `FastAPI` that describe the API."""
    return {
        "title": "masklet studio",
        "version": __version__,
        "summary": "Segment and track anything in images and videos.",
        "description": "Masks are COCO RLE, coordinates source pixels, frames count from 0. All errors have one form.",
        "openapi_url": f"{API_BASE}/openapi.json",
        "docs_url": None,
        "redoc_url": None,
    }


def api_document() -> dict[str, Any]:
    """Return the OpenAPI document that a server of this version serves at `/api/v1/openapi.json`."""
    app = FastAPI(**about_api())
    app.include_router(api_router())
    return app.openapi()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the document to a file, or to stdout without one."""
    files = sys.argv[1:] if arguments is None else list(arguments)
    if len(files) > 1 or any(file.startswith("-") for file in files):
        sys.stderr.write("usage: python -m masklet.server.openapi [FILE]\n")
        return 2
    text = json.dumps(api_document(), indent=2, ensure_ascii=False) + "\n"
    if not files:
        sys.stdout.write(text)
        return 0
    with atomic_path(files[0]) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
