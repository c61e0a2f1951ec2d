"""Creates the application: routes, errors, guard, and the page with its files."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from masklet.api import Model
from masklet.errors import EngineError, MaskletError
from masklet.server import schemas
from masklet.server.budgets import Budgets
from masklet.server.classes import finish_class_changes
from masklet.server.depends import studio_of
from masklet.server.errors import FAULT, ApiError
from masklet.server.openapi import about_api, api_router
from masklet.server.security import Guard, error_response
from masklet.server.settings import Settings
from masklet.server.studio import StudioState

logger = logging.getLogger("masklet.server")

STATIC = Path(__file__).parent / "static"

OTHER_ROUTES = "other"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
"""Set explicitly because the MIME tables of machines differ."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

NO_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>masklet studio: page not built</title>
<body style="font: 16px/1.5 system-ui; max-width: 40em; margin: 4em auto; padding: 0 1em">
<h1>The server runs, but the studio's page is not built</h1>
<p>This copy of masklet comes from its sources, and the page has not been built yet. There are two ways to get it:</p>
<ul>
<li>In a clone: run <code>make studio</code> (needs Node.js and npm), then reload this page.</li>
<li>Otherwise: install a released wheel, <code>pip install "masklet[server]"</code>, which contains the page.</li>
</ul>
<p>The HTTP API is described in <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p>"""


def create_app(settings: Settings, model: Model) -> FastAPI:
    """Create the application. The state shared by all requests is `app.state.studio`.

    Args:
        settings: the server's settings.
        model: the model for all users.

    Raises:
        EngineError: the model has no memory.
        MaskletError: the data folder or the database cannot be used.
    """
    if model.engine.info.images_only:
        raise EngineError(
            f"the studio cannot use {model.engine.info.name}: its weights are those of an image model, without a "
            "memory; give --model weights of a video model"
        )
    studio = StudioState(settings, model)
    try:
        finish_class_changes(studio)
    except BaseException:
        studio.close()
        raise

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Each request that computes has a thread; more threads would only wait for the model.
        anyio.to_thread.current_default_thread_limiter().total_tokens = 40
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(studio.close)

    app = FastAPI(**about_api(), lifespan=lifespan)
    app.state.studio = studio
    app.include_router(api_router())
    _add_health(app, studio)
    _add_page(app)
    _add_errors(app)
    app.add_middleware(Budgets, accounts=studio.accounts, limits=settings.limits)
    app.add_middleware(_Meter, studio=studio)
    app.add_middleware(Guard, settings=settings)
    return app


class _Meter:
    """Counts requests and their durations by route; addresses with ids would be too many labels."""

    def __init__(self, app: ASGIApp, *, studio: StudioState) -> None:
        self._app = app
        self._studio = studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), "none"

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            route = getattr(scope.get("route"), "path", OTHER_ROUTES)
            method = scope["method"] if scope["method"] in METHODS else OTHER_ROUTES
            duration_s = time.perf_counter() - started
            self._studio.metrics.requests.labels(method, route, status).observe(duration_s)


def _add_health(app: FastAPI, studio: StudioState) -> None:
    @app.get("/healthz", tags=["server"], include_in_schema=False)
    def healthz() -> schemas.Health:
        return schemas.Health(status="ok")

    @app.get("/readyz", tags=["server"], include_in_schema=False)
    def readyz(response: Response) -> schemas.Health:
        faults = studio.readiness.faults()
        response.status_code = 503 if faults else 200
        return schemas.Health(status="not ready" if faults else "ok", faults=faults)

    @app.get("/metrics", tags=["server"], include_in_schema=False)
    def metrics(request: Request) -> Response:
        if studio.settings.needs_login and studio.accounts.user_of(request) is None:
            raise ApiError(401, "login", "metrics need a token: Authorization: Bearer TOKEN")
        return Response(studio.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def has_page() -> bool:
    """True if the studio's page is built; a clone has it only after `make studio` or scripts/build_page."""
    return (STATIC / "index.html").is_file()


def _add_page(app: FastAPI) -> None:
    """Serve the page and its files; any other address is a view of the page."""
    root = STATIC.resolve()

    @app.get("/{path:path}", include_in_schema=False)
    def page(path: str) -> Response:
        if path.startswith("api/"):
            raise ApiError(404, "not_found", f"there is nothing at /{path[:200]}")
        index = root / "index.html"
        file = _file_in(root, path)
        if file is not None:
            is_hashed = "assets" in file.relative_to(root).parts
            cache_control = "public, max-age=31536000, immutable" if is_hashed else "no-cache"
            return FileResponse(file, media_type=TYPES.get(file.suffix), headers={"cache-control": cache_control})
        if not index.is_file():
            return HTMLResponse(NO_PAGE, headers={"cache-control": "no-store"})
        return FileResponse(index, headers={"cache-control": "no-cache"})


def _file_in(root: Path, path: str) -> Path | None:
    """Return the file at a relative path inside a folder; None if there is none, or the path leads out of it."""
    try:
        file = (root / path).resolve()
        return file if path and file.is_file() and file.is_relative_to(root) else None
    except (OSError, ValueError):  # a name that no file can have: too long, or with a NUL
        return None


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(MaskletError)
    @app.exception_handler(OSError)
    @app.exception_handler(sqlite3.Error)
    async def explained_error(request: Request, error: Exception) -> JSONResponse:
        answer = studio_of(request).explain(error)
        if answer.status >= 500:
            is_fault = not isinstance(error, MaskletError) and answer.status == 500
            logger.error("%s %s: %s", request.method, request.url.path, error, exc_info=error if is_fault else None)
        return error_response(answer)

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        loc = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
        name = ".".join(loc) or None
        value = repr(first.get("input"))[:100]
        is_broken = first["type"] in ("json_invalid", "missing") and not loc
        message = f"{name or 'the request'}: {first['msg']}, got {value}"
        return error_response(ApiError(400 if is_broken else 422, "invalid", message, name))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "not_found", 405: "wrong_method"}
        answer = error_response(ApiError(error.status_code, codes.get(error.status_code, "http"), str(error.detail)))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def internal_error(request: Request, error: Exception) -> JSONResponse:
        return error_response(ApiError(500, "fault", FAULT))
