"""Open media: each is opened once, shared by all requests, and closed when unused."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from masklet.server.annotation.workspace import Workspace
from masklet.server.errors import ConflictError


class Workspaces:
    """The open media: opened on demand, and closed when unused for a while or when there are too many.

    Args:
        limit: largest number of open media.
        idle_seconds: time after which an unused medium is closed.
    """

    def __init__(self, *, limit: int, idle_seconds: float) -> None:
        self.limit = limit
        self.idle_seconds = idle_seconds
        self._open: OrderedDict[str, Workspace] = OrderedDict()
        self._users: dict[str, int] = {}
        self._lock = threading.Lock()
        self._is_unused = threading.Condition(self._lock)

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def using(self, key: str, make: Callable[[], Workspace]) -> Iterator[Workspace]:
        """Yield a workspace that stays open during the block."""
        with self._lock:
            if key not in self._open:
                self._open[key] = make()
            workspace = self._open[key]
            self._open.move_to_end(key)
            self._users[key] = self._users.get(key, 0) + 1
            workspace.used_at = time.monotonic()
            unused = [key for key in self._open if not self._users.get(key)]
            surplus = unused[: max(0, len(self._open) - self.limit)]
            closing = [self._open.pop(key) for key in surplus]
        _close(closing)
        try:
            yield workspace
        finally:
            with self._lock:
                workspace.used_at = time.monotonic()
                self._users[key] -= 1
                if not self._users[key]:
                    del self._users[key]
                    self._is_unused.notify_all()

    def close_idle(self) -> int:
        """Close the workspaces that have been idle too long, and return their number."""
        now = time.monotonic()
        with self._lock:
            idle = [
                key
                for key, workspace in self._open.items()
                if not self._users.get(key) and now - workspace.used_at > self.idle_seconds
            ]
            closing = [self._open.pop(key) for key in idle]
        _close(closing)
        return len(closing)

    def discard(self, key: str, timeout_s: float = 30.0) -> None:
        """Close a workspace whose medium is to be deleted, after the requests that use it.

        Raises:
            ConflictError: they do not end.
        """
        with self._lock:
            if not self._is_unused.wait_for(lambda: not self._users.get(key), timeout_s):
                raise ConflictError("it is in use: try again later")
            closing = [self._open.pop(key)] if key in self._open else []
        _close(closing)

    def close(self) -> None:
        with self._lock:
            closing = list(self._open.values())
            self._open.clear()
        _close(closing)


def _close(workspaces: Iterable[Workspace]) -> None:
    """Close all these workspaces, even if closing one fails.

    This happens outside the lock, so that other requests need not wait. A medium may therefore be opened again while
    its former workspace is still closing. That is safe: users are counted under the lock under which a workspace is
    removed, so the former one has no users and nothing left to write; and SQLite lets both open the file, the new
    one waiting while the former one cleans up.
    """
    with ExitStack() as stack:
        for workspace in workspaces:
            stack.callback(workspace.close)
