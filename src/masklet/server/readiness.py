"""Whether the server can do its work: database, data folder, model and threads, as `/readyz` reports."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from masklet.errors import MaskletError
from masklet.output import make_folder

if TYPE_CHECKING:
    from masklet.server.studio import StudioState

CHECK_SECONDS = 5.0
"""Time within which the checks must end: a database or a network folder that hangs is not ready."""

FRESH_SECONDS = 1.0
"""Time for which a result is used again: anybody may ask."""

HANGS = "the database or the data folder does not answer"


class Readiness:
    """Checks a server, one check at a time and in a thread of its own.

    Args:
        studio: the server's state.
    """

    def __init__(self, studio: StudioState) -> None:
        self._studio = studio
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._checked_at = float("-inf")
        self._faults: list[str] = []

    def faults(self) -> list[str]:
        """Return what keeps the server from working, in words without details; empty if it is ready."""
        if self._studio.is_stopping:
            return ["the server is stopping"]
        with self._lock:
            if self._thread is None and time.monotonic() - self._checked_at > FRESH_SECONDS:
                self._thread = threading.Thread(target=self._check, name="masklet-ready", daemon=True)
                self._thread.start()
            thread = self._thread
        if thread is not None:
            thread.join(CHECK_SECONDS)
            if thread.is_alive():
                return [HANGS]
        return self._faults

    def _check(self) -> None:
        try:
            faults = [fault for fault in (self._database(), self._folder(), self._model(), self._threads()) if fault]
        except Exception as error:
            faults = [f"a check failed: {type(error).__name__}"]
        with self._lock:
            self._faults, self._checked_at, self._thread = faults, time.monotonic(), None

    def _database(self) -> str | None:
        try:
            self._studio.database.check_writable()
        except MaskletError:
            return "the database cannot be written"
        return None

    def _folder(self) -> str | None:
        data = self._studio.data
        try:
            with data.scratch() as folder:
                (folder / "ready").write_bytes(b"ready")
            for name in ("media", "results"):
                make_folder(data.root / name)
            free = data.free_bytes()
        except OSError:
            return "the data folder cannot be written"
        if free < self._studio.limits.spare_bytes:
            return f"the data folder has {free / 1e6:,.0f} MB left"
        return None

    def _model(self) -> str | None:
        return "the model does not run: its last call failed" if self._studio.engine.is_failing else None

    def _threads(self) -> str | None:
        return None if self._studio.jobs.is_alive and self._studio.is_swept else "a thread of the server has ended"
