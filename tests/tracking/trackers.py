"""Trackers of the integer engine, and prompts for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from masklet.records import FrameMasks
from masklet.tracking.tracker import Tracker
from tests.fake_engine import SIZE_HW, FakeEngine, pictures

CLICK: dict[str, Any] = {"points_xy": [(1, 1)]}
CORRECTION: dict[str, Any] = {"points_xy": [(5, 2)], "labels": [0]}
LEFT_HALF = np.arange(SIZE_HW[1]) < SIZE_HW[1] // 2


def tracker_of(count: int = 10, engine: FakeEngine | None = None, **options: Any) -> tuple[Tracker[int], FakeEngine]:
    engine = engine or FakeEngine()
    return Tracker(engine, pictures(count), **options), engine


def shown(results: Iterator[FrameMasks]) -> list[tuple[int, tuple[int, ...]]]:
    return [(masks.frame_index, masks.object_ids) for masks in results]


def tracked(count: int = 30, objects: tuple[int, ...] = (1, 2), **options: Any) -> tuple[Tracker[int], FakeEngine]:
    """Return a tracker that has tracked its video to the end, and its engine with empty records."""
    engine = FakeEngine()
    tracker = Tracker(engine, pictures(count), **options)
    for object_id in objects:
        tracker.prompt(object_id, 0, **CLICK)
    for _ in tracker.run():
        pass
    for record in (engine.encoded, engine.attended, engine.decoded, engine.memorised):
        record.clear()
    return tracker, engine


def tracked_frames(engine: FakeEngine) -> list[int]:
    """Return the frames that were decoded without a prompt, in order."""
    return [number for number, prompts, _ in engine.decoded if prompts[0] is None]
