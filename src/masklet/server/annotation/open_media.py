"""Open media: each is open once, shared by all requests, and closed when nobody uses it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from masklet.server.annotation.workspace import Workspace
from masklet.server.errors import ConflictError


class Workspaces:
    """The media that are open: made when somebody asks, closed when nobody has for a while, or when they are too many.

    Args:
        limit: how many may be open.
        idle_seconds: after which one is closed.
    """

    def __init__(self, *, limit: int, idle_seconds: float) -> None:
        self.limit = limit
        self.idle_seconds = idle_seconds
        self._open: OrderedDict[str, Workspace] = OrderedDict()
        self._users: dict[str, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def using(self, key: str, make: Callable[[], Workspace]) -> Iterator[Workspace]:
        """Give a workspace that stays open for the length of the block."""
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

    def close_idle(self) -> int:
        """Close the workspaces that nobody has used lately, and return how many."""
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

    def discard(self, key: str) -> None:
        """Close a workspace whose medium is to be deleted.

        Raises:
            ConflictError: it is in use.
        """
        with self._lock:
            if self._users.get(key):
                raise ConflictError("it is in use: stop what is going on with it first")
            closing = [self._open.pop(key)] if key in self._open else []
        _close(closing)

    def close(self) -> None:
        with self._lock:
            closing = list(self._open.values())
            self._open.clear()
        _close(closing)


def _close(workspaces: Iterable[Workspace]) -> None:
    """Close what has been taken out: all of it, also where one cannot be closed.

    Not under the lock, or everybody would wait. So a medium may be opened again while its former workspace is still
    closing, and that does no harm: who uses a workspace is counted under the lock under which it is taken out, so
    nobody has the former one any more and it has nothing left to write; and of the file of annotations SQLite serves
    both, the newcomer waiting where closing tidies up.
    """
    with ExitStack() as stack:
        for workspace in workspaces:
            stack.callback(workspace.close)
