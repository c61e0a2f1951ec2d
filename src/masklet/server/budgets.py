"""Budgets of requests, checked before routing: who sends it, how long its address is, how many bytes it brings.

A body that is not an upload is read here, up to its budget, and only for somebody who may send it.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from masklet.errors import MaskletError
from masklet.server.database import UserRow
from masklet.server.errors import ApiError, as_api_error
from masklet.server.security import Accounts, error_response
from masklet.server.settings import API_BASE, Limits

OPEN_TO_ALL = frozenset({f"{API_BASE}/{name}" for name in ("me", "login", "logout", "openapi.json")})
"""Addresses of the API that need no login."""

UPLOADS = re.compile(rf"{API_BASE}/(projects/[^/]+/(media|assets)|media/[^/]+/import)")
"""Addresses whose POST bodies are streamed to files; `masklet.server.uploads.ingest` counts their bytes."""

MASKS = re.compile(rf"{API_BASE}/media/[^/]+/frames/[^/]+/objects/[^/]+/(prompt|mask)")
"""Addresses whose bodies may hold a mask."""


class Budgets:
    """Checks the budgets of a request; the user who sends it is `scope["state"]["user"]` afterwards.

    Args:
        app: handles the requests within their budgets.
        accounts: tell who sends a request.
        limits: the budgets.
    """

    def __init__(self, app: ASGIApp, *, accounts: Accounts, limits: Limits) -> None:
        self._app = app
        self._accounts = accounts
        self._limits = limits
        self._running: Counter[str] = Counter()
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check_address(scope)
            user = await self._user(scope)
            with self._counted(user):
                if not _is_upload(scope):
                    receive = await self._body(scope, receive, user)
                await self._app(scope, receive, send)
        except ClientDisconnect:
            return
        except MaskletError as error:
            await error_response(as_api_error(error))(scope, receive, send)

    def _check_address(self, scope: Scope) -> None:
        length = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
        if length > self._limits.max_url_bytes:
            most = self._limits.max_url_bytes
            raise ApiError(414, "long_address", f"an address may have {most} bytes, and this one has {length}")

    async def _user(self, scope: Scope) -> UserRow | None:
        """Return the sender of a request; None where no login is needed.

        Raises:
            ApiError: a login is needed, and the sender is unknown.
        """
        path = scope["path"]
        if not path.startswith(f"{API_BASE}/") or path in OPEN_TO_ALL:
            return None
        user = await anyio.to_thread.run_sync(self._accounts.user_of, HTTPConnection(scope))
        if user is None:
            raise ApiError(401, "login", "log in first: POST /api/v1/login, or send Authorization: Bearer TOKEN")
        scope.setdefault("state", {})["user"] = user
        return user

    @contextmanager
    def _counted(self, user: UserRow | None) -> Iterator[None]:
        """Count the requests of a user while they are worked on."""
        if user is None:
            yield
            return
        if self._running[user.id] >= self._limits.requests_per_user:
            most = self._limits.requests_per_user
            message = f"{most} requests of yours are being worked on: wait for one to finish"
            raise ApiError(429, "too_many_requests", message, retry_after_s=1)
        self._running[user.id] += 1
        try:
            yield
        finally:
            self._running[user.id] -= 1
            if not self._running[user.id]:
                del self._running[user.id]

    async def _body(self, scope: Scope, receive: Receive, user: UserRow | None) -> Receive:
        """Read a request's body, and return a function that gives it to the application again.

        Raises:
            ApiError: it is larger than its budget, or takes too long.
        """
        most = self._budget(scope, user)
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        if announced.isdigit() and int(announced) > most:
            raise _too_large(most)
        body = bytearray()
        with anyio.move_on_after(self._limits.body_seconds) as waiting:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if len(body) > most:
                    raise _too_large(most)
                if not message.get("more_body", False):
                    break
        if waiting.cancelled_caught:
            raise ApiError(408, "slow", f"the request's body did not arrive within {self._limits.body_seconds:.0f} s")
        first: Message | None = {"type": "http.request", "body": bytes(body), "more_body": False}

        async def receive_again() -> Message:
            nonlocal first
            message, first = first, None
            return message or await receive()

        return receive_again

    def _budget(self, scope: Scope, user: UserRow | None) -> int:
        if user is None:
            return self._limits.max_login_bytes
        return self._limits.max_mask_bytes if MASKS.fullmatch(scope["path"]) else self._limits.max_json_bytes


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "POST" and UPLOADS.fullmatch(scope["path"]) is not None


def _too_large(most: int) -> ApiError:
    return ApiError(413, "too_large", f"this request may have a body of {most:,} bytes, and it is larger")
