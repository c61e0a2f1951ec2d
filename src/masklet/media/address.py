"""Addresses of videos and streams: how messages name them, and why one cannot be opened."""

from __future__ import annotations

import errno
import re
import socket
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import av

SECRET_FIELD = re.compile("auth|cred|key|pass|pwd|secret|session|sig|token|user", re.IGNORECASE)
"""Fields of a query whose values are not shown."""


def without_secrets(address: str) -> str:
    """Return an address for messages and files: without user name, password, and keys in its query."""
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
        fields = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return f"{address.partition('://')[0]}://..."
    query = parts.query
    if any(SECRET_FIELD.search(name) for name, _ in fields):
        query = "&".join(f"{name}={'...' if SECRET_FIELD.search(name) else value}" for name, value in fields)
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def why_not_open(error: Exception, address: str, timeout_s: float) -> str:
    """Return the reason why an address could not be opened or broke off, without secrets."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "the address is not valid"
    if isinstance(error, av.error.ProtocolNotFoundError):
        return f"masklet knows no addresses with {parts.scheme}://; rtsp, rtmp, udp, http and https are usual"
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        if "@" in parts.netloc:
            return "the server refused the user name and password in the address"
        return f"the server asks for a user name and password: write {parts.scheme}://USER:PASSWORD@{parts.netloc}/..."
    if isinstance(error, av.error.HTTPNotFoundError):
        return "the server has nothing at this address (404)"
    if isinstance(error, av.error.ExitError):
        return f"no data came for {timeout_s:.0f} seconds"
    if isinstance(error, av.error.InvalidDataError):
        return "what the server sends is not a video"
    if isinstance(error, av.error.ConnectionRefusedError):
        return f"connection refused: nothing listens at {parts.netloc.rpartition('@')[2]}"
    if isinstance(error, av.error.OSError) and parts.hostname and not _is_host(parts.hostname):
        return f"there is no host {parts.hostname}"
    if getattr(error, "errno", None) == errno.EIO:
        return "the connection was closed"
    if isinstance(error, UnicodeError):
        return "the address is not valid"
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _is_host(name: str) -> bool:
    try:
        socket.getaddrinfo(name, None)
    except (OSError, UnicodeError):
        return False
    return True
