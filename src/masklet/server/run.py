"""Runs the server: one process, until Ctrl-C or SIGTERM; the current frame is then finished."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI

from masklet.errors import ConfigError
from masklet.server.studio import StudioState

GRACE_SECONDS = 15
"""Time that running requests have to finish when the server is told to stop."""


class _Server(uvicorn.Server):
    """Tells the studio to stop on a signal, so that event streams and jobs end, and reports when it listens."""

    def __init__(self, config: uvicorn.Config, studio: StudioState, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._studio = studio
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._studio.stop()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket to serve on; port 0 takes any free port.

    Raises:
        ConfigError: the address is in use, or does not belong to this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --port, 0 takes any"
        ) from error
    sock.set_inheritable(True)
    return sock


def serve(app: FastAPI, sock: socket.socket, *, on_start: Callable[[], None] = lambda: None, log_level: str) -> None:
    """Serve until a signal or `StudioState.stop`."""
    studio: StudioState = app.state.studio
    limits, proxies = studio.limits, sorted(studio.settings.proxies)
    config = uvicorn.Config(
        app,
        log_level=log_level,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        http="h11",  # the other implementation has no limit for headers
        h11_max_incomplete_event_size=64 * 2**10,
        limit_concurrency=limits.connections,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        ws_max_size=max(limits.live_message_bytes, limits.max_json_bytes),
        ws_max_queue=2,
    )
    logging.getLogger("masklet.server").setLevel(log_level.upper())
    with suppress(KeyboardInterrupt):  # uvicorn raises it again after a clean shutdown
        _Server(config, studio, on_start).run([sock])
