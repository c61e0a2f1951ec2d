"""Security: tokens, logins, and checks of hosts, origins and headers of every request."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, select
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from masklet.errors import ConfigError
from masklet.foreign.documents import clean_text
from masklet.server.database import Database, LoginRow, SecretRow, UserRow, now
from masklet.server.errors import ApiError
from masklet.server.settings import LOOPBACK, Settings

COOKIE = "masklet"
LOCAL_USER = "local"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MIN_TOKEN_LENGTH = 16

SCRYPT = {"n": 2**14, "r": 8, "p": 1}
"""Parameters of scrypt: 16 MB and about 50 ms per hash, because users may choose weak tokens."""

HASHES_AT_ONCE = 2
"""Slow hashes that are computed at the same time: each takes 16 MB."""

HASH_WAIT_SECONDS = 3.0
"""Time for which a login waits for its turn to be hashed, with a thread of the server."""

HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?", re.IGNORECASE)
"""A host name or address with or without a port, as browsers send it."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self' blob: data:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

HEADERS: Mapping[str, str] = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}
"""Headers of every answer. The two cross-origin ones let the page use threads in WebAssembly."""


def new_token() -> str:
    return secrets.token_urlsafe(32)


class Accounts:
    """Users, their tokens and their logins.

    Args:
        database: stores them; tokens only as hashes.
        settings: tell whether a login is needed.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._salt = self._secret("token_salt")
        if not settings.needs_login:
            database.user_named(LOCAL_USER)
        # User id and slow hash by a fast hash, so that not every request of a program takes 50 ms.
        self._known: OrderedDict[bytes, tuple[str, str]] = OrderedDict()
        self._own_key = secrets.token_bytes(32)
        self._attempts: dict[str, deque[float]] = {}
        """Times of wrong attempts, and of those under way, of the last minute by network."""
        self._hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
        self._lock = threading.Lock()

    def set_token(self, name: str, token: str) -> UserRow:
        """Set a user's token, in place of the old one. The user is created if necessary.

        Raises:
            ConfigError: the token is too short to be safe.
        """
        if len(token) < MIN_TOKEN_LENGTH:
            raise ConfigError(f"a token must have at least {MIN_TOKEN_LENGTH} characters, got {len(token)}")
        user = self._database.user_named(name)
        with self._database.session() as session:
            stored = session.get_one(UserRow, user.id)
            stored.token_hash = self._hash(token)
            session.execute(delete(LoginRow).where(LoginRow.user_id == user.id))
        with self._lock:
            self._known.clear()
        return user

    def names(self) -> list[str]:
        """Return the names of users who can log in."""
        with self._database.session() as session:
            return list(
                session.scalars(select(UserRow.name).where(UserRow.token_hash.is_not(None)).order_by(UserRow.name))
            )

    def revoke(self, name: str) -> None:
        """Revoke a user's token and logins; the projects stay.

        Raises:
            ConfigError: the user does not exist.
        """
        with self._database.session() as session:
            user = session.scalar(select(UserRow).where(UserRow.name == name))
            if user is None:
                raise ConfigError(f"there is no user {name!r}: masklet users list names them")
            user.token_hash = None
            session.execute(delete(LoginRow).where(LoginRow.user_id == user.id))

    def has_access(self, user_id: str) -> bool:
        """Return True if a user may use the server: the token has not been revoked."""
        with self._database.session() as session:
            user = session.get(UserRow, user_id)
        return user is not None and (not self._settings.needs_login or user.token_hash is not None)

    def user_of(self, connection: HTTPConnection) -> UserRow | None:
        """Return the user who sends a request; None for an unknown one.

        Raises:
            ApiError: the token is wrong, or there were too many wrong ones.
        """
        if not self._settings.needs_login:
            return self._database.user_named(LOCAL_USER)
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self.check(token.strip(), address_of(connection))
        cookie = connection.cookies.get(COOKIE)
        return None if not cookie else self._user_of_cookie(cookie)

    def check(self, token: str, address: str) -> UserRow:
        """Return the user of a token.

        Raises:
            ApiError: it is wrong, or there were too many wrong ones from this address.
        """
        fast = hmac.digest(self._own_key, token.encode(), "sha256")
        with self._lock:
            entry = self._known.get(fast)
        if entry is None:
            with self._attempt(network_of(address)):
                entry = self._look_up(token)
            with self._lock:
                self._known[fast] = entry
                while len(self._known) > 1000:
                    self._known.popitem(last=False)
        user_id, hashed = entry
        with self._database.session() as session:
            user = session.get(UserRow, user_id)
        if user is None or not hmac.compare_digest(user.token_hash or "", hashed):  # it has been revoked
            with self._lock:
                self._known.pop(fast, None)
            raise ApiError(401, "wrong_token", "this token has been revoked", "token")
        return user

    def _look_up(self, token: str) -> tuple[str, str]:
        """Return the id of the user with this token, and its hash. All users are compared, each in constant time."""
        token_hash = self._hash(token)
        with self._database.session() as session:
            users = session.scalars(select(UserRow).where(UserRow.token_hash.is_not(None))).all()
        matching = [user for user in users if hmac.compare_digest(user.token_hash or "", token_hash)]
        if not matching:
            raise ApiError(401, "wrong_token", "this token is unknown: ask the administrator of the server", "token")
        return matching[0].id, token_hash

    def login(self, user: UserRow) -> str:
        """Log a user in, and return the value of the new cookie."""
        value = secrets.token_urlsafe(32)
        expires = now() + timedelta(days=self._settings.limits.login_days)
        with self._database.session() as session:
            session.execute(delete(LoginRow).where(LoginRow.expires_at < now()))
            session.add(LoginRow(cookie_hash=_digest(value), user_id=user.id, expires_at=expires))
        return value

    def logout(self, connection: HTTPConnection) -> None:
        cookie = connection.cookies.get(COOKIE)
        if cookie:
            with self._database.session() as session:
                session.execute(delete(LoginRow).where(LoginRow.cookie_hash == _digest(cookie)))

    def _user_of_cookie(self, value: str) -> UserRow | None:
        with self._database.session() as session:
            login = session.get(LoginRow, _digest(value))
            if login is None or login.expires_at < now():
                return None
            return session.get(UserRow, login.user_id)

    def _hash(self, token: str) -> str:
        if not self._hashing.acquire(timeout=HASH_WAIT_SECONDS):
            raise ApiError(503, "busy", "too many logins at once: try again soon", "token", retry_after_s=5)
        try:
            return hashlib.scrypt(token.encode(), salt=self._salt.encode(), maxmem=2**26, **SCRYPT).hex()
        finally:
            self._hashing.release()

    def _secret(self, name: str) -> str:
        with self._database.session() as session:
            secret = session.get(SecretRow, name)
            if secret is None:
                secret = SecretRow(name=name, value=secrets.token_hex(32))
                session.add(secret)
            return secret.value

    @contextmanager
    def _attempt(self, network: str) -> Iterator[None]:
        """Count an attempt as a wrong one until it turns out otherwise, so that many at once are not more than in turn.

        Raises:
            ApiError: there were too many within a minute.
        """
        with self._lock:
            now_s = time.monotonic()
            for other in [key for key, times in self._attempts.items() if not times or times[-1] < now_s - 60]:
                del self._attempts[other]
            times = self._attempts.setdefault(network, deque())
            while times and times[0] < now_s - 60:
                times.popleft()
            if len(times) >= self._settings.limits.logins_per_minute:
                raise ApiError(
                    429, "too_many_attempts", "too many wrong tokens: wait a minute", "token", retry_after_s=60
                )
            times.append(now_s)
        is_wrong = False
        try:
            yield
        except ApiError as error:
            is_wrong = error.status == 401
            raise
        finally:
            if not is_wrong:
                with self._lock, suppress(ValueError):
                    times.remove(now_s)


class Guard:
    """Checks first that a request is meant for this server and comes from this server's own page.

    a) Host: without a login, only this machine's own names are allowed; otherwise another site's name could be pointed
       at this server, and its scripts would have access (DNS rebinding).
    b) A request that changes something without a bearer token must have the header `X-Masklet: 1`, which pages of other
       sites cannot send without CORS permission, and its Origin, if any, must be this server's own (CSRF).
    c) A WebSocket must have this server's origin, because browsers let any page open one.
    d) Answers have headers that make browsers trust only this server.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": str(refusal)[:100]})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if "cache-control" not in headers:
                    headers["cache-control"] = "no-store"
            await send(message)

        if refusal is not None:
            await error_response(refusal)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own_host(host):
            return ApiError(
                403, "wrong_host", f"this server does not answer to the name {host[:100]!r}: start it with --allow-host"
            )
        is_socket = scope["type"] == "websocket"
        if not is_socket and scope["method"] in SAFE_METHODS:
            return None
        if headers.get("authorization", "").lower().startswith("bearer ") and self._settings.needs_login:
            return None
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return ApiError(403, "wrong_origin", "this request comes from another site's page")
        if not is_socket and headers.get("x-masklet") != "1":
            return ApiError(403, "no_header", "a request that changes something must have the header X-Masklet: 1")
        return None

    def _is_own_host(self, host: str) -> bool:
        match = HOST.fullmatch(host)
        name = "" if match is None else (match[1] or match[2]).lower()
        allowed = self._settings.allowed_hosts
        if name in LOOPBACK or name in allowed or name == self._settings.host.lower():
            return True
        if not self._settings.needs_login:
            return _is_loopback(name)
        return not allowed and bool(name)


def open_accounts(data: Path, database: str = "") -> Accounts:
    """Open the accounts of a server, which need not be running.

    Raises:
        OutputError: the database cannot be opened.
    """
    settings = Settings(data=data, database=database)
    data.mkdir(parents=True, exist_ok=True)
    return Accounts(Database(settings.database_url), settings)


def error_response(error: ApiError) -> JSONResponse:
    """Return an error as a response, in the form of all errors; what it quotes of the request can always be sent."""
    field = None if error.field is None else clean_text(error.field)
    document = {"error": {"code": error.code, "message": clean_text(str(error)), "field": field}}
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(document, status_code=error.status, headers=headers)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def network_of(address: str) -> str:
    """Return the network whose wrong attempts are counted together: one customer has a whole half of IPv6 addresses."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


def _digest(value: str) -> str:
    """Return the hash of a random value, which needs no salt."""
    return hashlib.sha256(value.encode()).hexdigest()


def address_of(connection: HTTPConnection) -> str:
    """Return the address of a client; behind a proxy that is trusted, the one that the proxy reports."""
    return connection.client.host if connection.client is not None else "?"
