"""Trackers that share an engine see what they would see alone, and ask for it once."""

from __future__ import annotations

import numpy as np

from benchmarks.stress.run import Shared
from masklet.memory.bank import MemoryConfig
from masklet.prompts import Prompt
from masklet.records import FrameMasks
from masklet.tracking.tracker import Tracker
from tests.fake_engine import FakeEngine, frame


def follow(trackers: list[Tracker[int]], count: int) -> list[list[FrameMasks]]:
    prompts = {1: Prompt.create(points_xy=[(1, 1)])}
    shown = []
    for index in range(count):
        seen = frame(index)
        shown.append([tracker.step(seen, prompts if index == 0 else None) for tracker in trackers])
    return shown


def test_equal_requests_of_two_policies_are_computed_once() -> None:
    configs = [MemoryConfig(policy=name) for name in ("official", "reliable", "tree")]
    engine = FakeEngine()
    shared = Shared(engine)
    together = follow([Tracker(shared, memory=config) for config in configs], 6)
    alone = [follow([Tracker(FakeEngine(), memory=config)], 6) for config in configs]
    for index, row in enumerate(together):
        for shown, own in zip(row, alone, strict=True):
            np.testing.assert_array_equal(shown.masks, own[index][0].masks)
            np.testing.assert_array_equal(shown.iou_predictions, own[index][0].iou_predictions)
    assert engine.encoded == list(range(6))
    assert [(number, len(recalls)) for number, recalls in engine.attended] == [(number, 1) for number in range(6)]


def test_those_who_read_differently_are_answered_differently() -> None:
    # Absent on frames 1 and 2: only the official rule reads them.
    engine = FakeEngine(lambda number: -8.0 if number in (1, 2) else 8.0)
    configs = [MemoryConfig(policy=name) for name in ("official", "reliable")]
    follow([Tracker(Shared(engine), memory=config) for config in configs[:1]], 5)
    alone = len(engine.attended)
    engine.attended.clear()
    shared = Shared(engine)
    follow([Tracker(shared, memory=config) for config in configs], 5)
    assert alone == 5
    assert len(engine.attended) > alone
    last = [recall for number, recalls in engine.attended if number == 4 for recall in recalls]
    assert [[slot for slot, _ in recall.spatial] for recall in last] == [[0, 3, 2, 1], [0, 1]]
