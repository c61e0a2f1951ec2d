"""The grid of clicks: where it asks, and in which turn."""

from __future__ import annotations

import numpy as np
import pytest

from masklet.records import BoolArray, Frame
from masklet.segmentation.automatic import AutomaticConfig
from masklet.tracking.frame_engine import FrameEngine
from masklet.tracking.grid_detector import QUARTERS, GridDetector
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


def asked(
    grid: GridDetector[int], engine: SceneEngine, frame: Frame, covered: BoolArray
) -> tuple[int, list[tuple[float, ...]]]:
    """Return how many clicks the grid asks on a frame while something is tracked, and the boxes that it finds."""
    engine.prompted.clear()
    detections = grid.detect(frame, covered, is_tracking=True)
    return len(engine.prompted), [detection.box_xyxy for detection in detections]


def test_covered_pixels_are_not_asked_and_a_quarter_of_the_others_in_turn() -> None:
    grid, engine = detector()
    covered = filled((0, 0, SIDE, SIDE // 2))
    assert asked(grid, engine, FRAME, covered) == (SIDE * SIDE // 2, [SMALL])  # none has been asked before
    for number in range(1, 5):
        assert asked(grid, engine, Frame(number, picture(number), 0.0), covered) == (SIDE * SIDE // 4, [SMALL])


def test_clicks_on_what_has_not_changed_are_not_repeated() -> None:
    grid, engine = detector()
    assert len(grid.detect(FRAME, filled(None))) == 3
    assert asked(grid, engine, FRAME, filled(None)) == (0, [])
    noisy = np.clip(FRAME.rgb.astype(int) + np.arange(SIDE)[:, None] % 5, 0, 255).astype(np.uint8)
    assert asked(grid, engine, Frame(0, noisy, 0.0), filled(None)) == (0, [])


def test_what_comes_in_is_asked_at_once_though_it_is_small() -> None:
    grid, engine = detector()
    grid.detect(FRAME, filled(None))
    changed = FRAME.rgb.copy()
    left, top, right, bottom = SMALL
    changed[top:bottom, left:right] = 200
    assert asked(grid, engine, Frame(0, changed, 0.0), filled(None)) == (4, [SMALL])


def test_clicks_where_a_track_was_are_asked_when_it_has_gone() -> None:
    grid, engine = detector()
    grid.detect(FRAME, filled(None))
    assert asked(grid, engine, FRAME, filled(SMALL)) == (0, [])
    assert asked(grid, engine, FRAME, filled(None)) == (4, [SMALL])


def test_all_clicks_can_be_asked_again() -> None:
    grid, engine = detector()
    grid.detect(FRAME, filled(None))
    assert asked(grid, engine, FRAME, filled(None)) == (0, [])
    grid.ask_again()
    assert asked(grid, engine, FRAME, filled(None))[0] == SIDE * SIDE // len(QUARTERS)


def test_the_clicks_that_have_waited_longest_come_first() -> None:
    grid, engine = detector()
    grid.detect(FRAME, filled(None))
    upper = FRAME.rgb.copy()
    upper[1 : SIDE // 2] = 100
    asked(grid, engine, Frame(0, upper, 0.0), filled(None))
    everywhere = FRAME.rgb.copy()
    everywhere[1:] = 200
    results = [asked(grid, engine, Frame(0, everywhere, 0.0), filled(None)) for _ in range(5)]
    # What was asked a moment ago, in the upper half, comes last.
    assert [SMALL in boxes for _, boxes in results] == [True, True, True, False, False]
    assert [count for count, _ in results[:3]] == [SIDE * SIDE // 4] * 3


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
