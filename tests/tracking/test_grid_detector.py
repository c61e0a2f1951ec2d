"""The grid of clicks: where it asks, and in which turn."""

from __future__ import annotations

import numpy as np
import pytest

from masklet.records import Frame
from masklet.segmentation.automatic import AutomaticConfig
from masklet.tracking.frame_engine import FrameEngine
from masklet.tracking.grid_detector import TURNS, GridDetector
from tests.scene_engine import SIDE, SceneEngine, filled, picture, still

FRAME = Frame(0, picture(0), 0.0)
LEFT, RIGHT = (1, 1, 6, 6), (9, 1, 14, 6)
SMALL = (12, 12, 14, 14)


def detector() -> tuple[GridDetector[int], SceneEngine]:
    engine = SceneEngine({1: still(*LEFT), 2: still(*RIGHT), 3: still(*SMALL)})
    return GridDetector(FrameEngine(engine), AutomaticConfig(points_per_side=SIDE)), engine


def test_the_whole_grid_is_asked_where_nothing_is_tracked() -> None:
    grid, engine = detector()
    detections = grid.detect(FRAME, filled(None))
    assert len(engine.prompted) == SIDE**2
    assert sorted(detection.box_xyxy for detection in detections) == [LEFT, RIGHT, SMALL]


def test_covered_pixels_are_not_asked_and_a_quarter_of_the_others_in_turn() -> None:
    grid, engine = detector()
    covered = filled((0, 0, SIDE, SIDE // 2))
    counts = []
    for turn in range(4):
        engine.prompted.clear()
        detections = grid.detect(FRAME, covered, turn=turn)
        counts.append(len(engine.prompted))
        assert [detection.box_xyxy for detection in detections] == [SMALL]
    assert counts == [SIDE * SIDE // 8] * len(TURNS)


@pytest.mark.parametrize(
    ("doubtful", "segmented"),
    [
        ((1, 1, 9, 9), [(1, 1, 9, 9)]),
        ((1, 1, 9, 7), [(1, 1, 9, 9)]),
        ((3, 3, 6, 6), [(3, 3, 7, 7)]),
        ((10, 10, 14, 14), []),
        (None, []),
    ],
    ids=["whole", "too small", "part", "nothing there", "empty"],
)
def test_a_doubtful_mask_is_segmented_again_from_its_box(
    doubtful: tuple[int, int, int, int] | None, segmented: list[tuple[int, int, int, int]]
) -> None:
    whole, part = (1, 1, 9, 9), (3, 3, 7, 7)  # a click in the middle would find the part
    engine = SceneEngine({1: still(*whole), 2: still(*part)})
    grid = GridDetector(FrameEngine(engine), AutomaticConfig(points_per_side=SIDE))
    detections = grid.detect(FRAME, np.ones((SIDE, SIDE), np.bool_), [filled(doubtful)])
    assert [detection.box_xyxy for detection in detections] == segmented
    assert all((detection.mask((SIDE, SIDE)) == filled(detection.box_xyxy)).all() for detection in detections)


def test_nothing_to_ask_is_nothing_to_find() -> None:
    grid, engine = detector()
    assert grid.detect(FRAME, np.ones((SIDE, SIDE), np.bool_)) == []
    assert engine.prompted == []
