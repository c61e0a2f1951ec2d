"""Trajectories for tests: points that walk, with a box of 10 x 10 pixels around each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from masklet.counting import Trajectories, TrajectoryBuilder

Walk = Iterable[tuple[float, float] | None]
"""A point per frame; None where the object is not visible."""


def walked(
    walks: Mapping[int, Walk],
    *,
    labels: Mapping[int, str] | None = None,
    confidence: float = 1.0,
    probability: float | None = None,
    fps: float | None = 10,
) -> Trajectories:
    builder = TrajectoryBuilder(dict(labels or {}))
    for object_id, walk in walks.items():
        for frame_index, point in enumerate(walk):
            builder.note_frame(frame_index)
            if point is not None:
                x, y = point
                box = (x - 5, y - 5, x + 5, y + 5)
                builder.add(frame_index, object_id, box, confidence, probability=probability)
    return builder.built(fps=fps)


def along_x(xs: Iterable[float], y: float = 50) -> list[tuple[float, float] | None]:
    return [(x, y) for x in xs]
