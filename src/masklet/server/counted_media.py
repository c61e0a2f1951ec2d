"""Trajectories of media for counts, kept so that a line can be moved without reading all masks again."""

from __future__ import annotations

import threading
from collections import OrderedDict

from masklet.counting import Trajectories
from masklet.server.annotation.workspace import Workspace
from masklet.server.database import MediumRow
from masklet.tracking.masklets import Masklets

MAX_KEPT = 8
MAX_BOXES = 300_000
"""Boxes of a medium that is kept: 17 MB."""


class TrajectoryCache:
    """Keeps the trajectories of the media that were counted last, until their masks change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[int, Trajectories]] = OrderedDict()

    def of(self, medium: MediumRow, workspace: Workspace, masklets: Masklets) -> Trajectories:
        """Return where the objects of a medium are.

        Args:
            medium: whose fps count for masks without a time.
            workspace: the open medium.
            masklets: its masks, which are read only if they have changed.

        Raises:
            DataError: it has no masks.
        """
        revision = workspace.store.revision
        with self._lock:
            kept = self._kept.get(medium.id)
        if kept is not None and kept[0] == revision and not workspace.is_tracking:
            return kept[1]
        trajectories = Trajectories.of_masklets(masklets, fps=medium.fps)
        is_small = sum(len(item.frames) for item in trajectories.objects) <= MAX_BOXES
        with self._lock:
            self._kept.pop(medium.id, None)
            if is_small and not workspace.is_tracking:
                self._kept[medium.id] = (revision, trajectories)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return trajectories
