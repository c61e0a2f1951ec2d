"""What becomes of objects: statuses, explosions, collisions, cuts, and which frames to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from masklet.memory.bank import MemoryConfig
from masklet.memory.policies import Sighting
from masklet.prompts import Prompt
from masklet.records import ByteArray, FloatArray, Frame
from masklet.tracking.collisions import Claim, CollisionGuard, pairwise_iou, weaker
from masklet.tracking.mask_store import Scores
from masklet.tracking.shot_cuts import ShotCutDetector
from masklet.tracking.status import LOST_AFTER, MAX_REFUSALS, StatusMonitor
from masklet.tracking.suggestions import suggest
from masklet.tracking.tracker import Tracker
from tests.fake_engine import FakeEngine, frame, pictures


def sighting(area: float = 0.1, score: float = 8.0, iou: float = 0.9, *, prompted: bool = False) -> Sighting:
    mask = np.arange(100) < round(100 * area)
    return Sighting(0, 1, score, (iou,), mask[None, None], prompted=prompted)


def watched(*seen: Sighting) -> StatusMonitor:
    monitor = StatusMonitor()
    for one in seen:
        monitor.update(one)
    return monitor


# Statuses.


def test_an_object_is_present_then_occluded_then_lost_then_back() -> None:
    monitor = watched(sighting(prompted=True), *[sighting()] * 5)
    verdicts = [monitor.update(sighting(score=-5)) for _ in range(LOST_AFTER + 3)]
    assert [verdict.status for verdict in verdicts] == ["occluded"] * LOST_AFTER + ["lost"] * 3
    assert [index for index, verdict in enumerate(verdicts) if verdict.review] == [LOST_AFTER]  # when it is lost, once
    assert monitor.update(sighting()) == ("present", False)


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (sighting(), "present"),
        (sighting(0.12, 6.0, 0.7), "present"),
        (sighting(iou=0.3), "uncertain"),
        (sighting(score=0.5), "uncertain"),
        (sighting(0.4), "uncertain"),  # four times as large as before
        (sighting(0.02), "uncertain"),
        (sighting(0.0), "occluded"),
    ],
)
def test_doubt_is_relative_to_what_was_seen_before(seen: Sighting, status: str) -> None:
    monitor = watched(*[sighting()] * 5)
    assert monitor.update(seen) == (status, status == "uncertain")


def test_a_modest_model_is_not_always_uncertain() -> None:
    monitor = watched(*[sighting(iou=0.4)] * 5)
    assert monitor.update(sighting(iou=0.35)).status == "present"


def test_a_mask_of_low_expected_iou_is_uncertain_however_usual_it_is() -> None:
    monitor = watched(*[sighting(iou=0.35)] * 5)
    assert monitor.update(sighting(iou=0.35), confidence=0.49) == ("uncertain", True)
    assert monitor.update(sighting(iou=0.35), confidence=0.51) == ("present", False)
    assert monitor.update(sighting(iou=0.35, prompted=True), confidence=0.1) == ("present", False)


def test_what_the_user_says_is_certain() -> None:
    monitor = watched(*[sighting()] * 5)
    assert monitor.update(sighting(0.9, 0.1, 0.1, prompted=True)) == ("present", False)
    assert monitor.update(sighting(0.9, 8.0, 0.9)).status == "present"


def test_an_explosion_is_not_believed_until_it_lasts() -> None:
    monitor = watched(*[sighting(0.1)] * 5)
    assert not monitor.has_exploded(0.4)
    for _ in range(MAX_REFUSALS):
        assert monitor.has_exploded(0.8)
        assert monitor.update(sighting(0.8), refused=True) == ("uncertain", True)
    assert not monitor.has_exploded(0.8)
    assert not StatusMonitor().has_exploded(0.9)
    large = watched(*[sighting(0.3)] * 5)
    assert not large.has_exploded(0.8)
    monitor.forget_areas()
    assert not monitor.has_exploded(0.8)


def test_a_watch_goes_around_a_file() -> None:
    monitor = watched(*[sighting()] * 3, sighting(score=-1))
    assert StatusMonitor.restored(monitor.state()).state() == monitor.state()


# Collisions.


def test_pairwise_iou() -> None:
    columns = np.arange(8)
    masks = [np.tile(columns < width, (2, 1)) for width in (4, 8, 0)]
    assert pairwise_iou(masks).tolist() == [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]
    assert pairwise_iou([]).shape == (0, 0)


@pytest.mark.parametrize(
    ("first", "second", "loser"),
    [
        ((8.0, 0.0), (3.0, 0.0), 1),
        ((3.0, 0.0), (8.0, 9.0), 0),
        ((8.0, 4.0), (7.5, 0.1), 0),
        ((8.0, 0.1), (8.0, 4.0), 1),
    ],
)
def test_the_weaker_has_the_lower_score_or_the_less_steady_one(first: Any, second: Any, loser: int) -> None:
    assert weaker(Claim(*first), Claim(*second)) == loser


def test_only_objects_that_were_apart_collide() -> None:
    here = np.ones((2, 2), bool)
    guard = CollisionGuard()
    assert guard.losers({1: here, 2: here}, {1: Claim(5, 0), 2: Claim(8, 0)}) == {1}
    assert guard.losers({1: here, 2: here}, {1: Claim(5, 0, prompted=True), 2: Claim(8, 0)}) == set()
    assert guard.losers({1: here, 2: here}, {1: Claim(5, 0), 2: Claim(8, 0)}) == set()  # the user said so
    guard.forget(2)
    assert guard.losers({1: here, 2: here}, {1: Claim(5, 0), 2: Claim(8, 0)}) == {1}
    assert guard.losers({1: here, 2: ~here}, {1: Claim(5, 0), 2: Claim(8, 0)}) == set()


# Cuts.


def scene(seed: int, shift: int = 0, gain: float = 1.0) -> ByteArray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (4, 6, 3))
    pixels = np.kron(coarse, np.ones((32, 32, 1), int))
    return np.clip(np.roll(pixels, shift, axis=1) * gain, 0, 255).astype(np.uint8)


def cuts(*frames: ByteArray) -> list[int]:
    detector = ShotCutDetector()
    return [index for index, rgb in enumerate(frames) if detector.is_cut(rgb)]


def test_cuts_are_found_and_motion_and_flashes_are_none() -> None:
    assert cuts(*[scene(1)] * 4, *[scene(2)] * 4, scene(1)) == [4, 8]
    assert cuts(*(scene(1, shift) for shift in range(0, 40, 4))) == []
    assert cuts(scene(1), scene(1), scene(1, gain=1.6), scene(1)) == []
    black = np.zeros((20, 30, 3), np.uint8)
    assert cuts(black, black, np.full_like(black, 3)) == []


def test_restless_videos_are_not_all_cuts() -> None:
    assert len(cuts(*(scene(seed) for seed in range(12)))) <= 2  # each frame is another: there is no cut among them


def test_a_detector_goes_around_a_file() -> None:
    detector = ShotCutDetector()
    for rgb in (scene(1), scene(1, 4)):
        detector.is_cut(rgb)
    other = ShotCutDetector()
    other.restore(detector.state())
    assert other.state() == detector.state()
    assert other.is_cut(scene(2))
    other.reset()
    assert not other.is_cut(scene(1))


# In the tracker.


def test_a_cut_drops_recent_memories_and_keeps_the_last_and_prompted_ones() -> None:
    for memory, kept in ((MemoryConfig(), [0, 7]), (MemoryConfig.official(), [0, 2, 3, 4, 5, 6, 7])):
        engine = FakeEngine()
        tracker = Tracker(engine, memory=memory)
        for index in range(10):
            rgb = scene(1 if index < 8 else 2)
            rgb[0, 0] = index, 0, 0
            tracker.step(Frame(index, rgb, index / 10), {1: Prompt.create(points_xy=[(1, 1)])} if index == 0 else None)
        assert [number for _, number in engine.recall_of(8).spatial] == kept
        assert (0, 0) in engine.recall_of(9).spatial
        assert 8 in [number for _, number in engine.recall_of(9).spatial]


class Growing(FakeEngine):
    """One object covers a corner, and on frame 5 everything; or two objects that become one on frame 5."""

    def to_numpy(self, array: int) -> FloatArray:
        logits = super().to_numpy(array)
        logits[..., :, :] = -5
        logits[..., :1, :2] = 5
        if self.decoded and self.decoded[-1][0] == 5:
            logits[:] = 5
        return logits


def test_a_mask_that_explodes_is_neither_shown_nor_remembered() -> None:
    engine = Growing()
    tracker = Tracker(engine, pictures(8))
    tracker.prompt(points_xy=[(1, 1)])
    results = list(tracker.run())
    assert [masks.statuses for masks in results] == [("present",)] * 5 + [("uncertain",)] + [("present",)] * 2
    assert [masks.frame_index for masks in results if masks.needs_review] == [5]
    assert not results[5].masks.any()
    assert 5 not in [number for _, number in engine.recall_of(7).spatial]
    official = Tracker(Growing(), pictures(8), memory=MemoryConfig.official())
    official.prompt(points_xy=[(1, 1)])
    assert [bool(masks.masks.all()) for masks in official.run()] == [False] * 5 + [True] + [False] * 2


class Twins(FakeEngine):
    """Two objects, left and right, that both claim the left from frame 5 on; the second is less sure of it."""

    def decode(self, conditioned: Any, prompts: Any, *, multimask: bool | None = None) -> Any:
        from dataclasses import replace

        answers = super().decode(conditioned, prompts, multimask=multimask)
        return [replace(answer, object_score=8.0 - 3 * row) for row, answer in enumerate(answers)]

    def to_numpy(self, array: int) -> FloatArray:
        logits = super().to_numpy(array)
        self.asked = getattr(self, "asked", 0) + 1
        number = self.decoded[-1][0] if self.decoded else 0
        return -logits if number < 5 and self.asked % 2 == 0 else logits


@pytest.mark.parametrize("withhold", [False, True])
def test_of_two_objects_that_become_one_the_weaker_is_marked_and_may_stop_remembering(withhold: bool) -> None:
    engine = Twins()
    tracker = Tracker(engine, pictures(9), memory=MemoryConfig(withhold_collapsed=withhold))
    for object_id in (1, 2):
        tracker.prompt(object_id, 0, points_xy=[(1, 1)])
    results = list(tracker.run())
    assert [masks.statuses[1] for masks in results] == ["present"] * 5 + ["uncertain"] * 4
    assert {masks.statuses[0] for masks in results} == {"present"}
    assert [number for _, number in engine.recall_of(8, row=0).spatial][-3:] == [5, 6, 7]
    assert [number for _, number in engine.recall_of(8, row=1).spatial][-3:] == ([2, 3, 4] if withhold else [5, 6, 7])
    assert tracker.suggest_frames(1)[0][:2] == (5, 2)


def test_an_object_that_was_long_gone_is_found_again() -> None:
    engine = FakeEngine(lambda number: -6.0 if 20 <= number < 120 else 8.0)
    tracker = Tracker(engine, pictures(130))
    tracker.prompt(points_xy=[(1, 1)])
    statuses = [masks.statuses[0] for masks in tracker.run()]
    assert statuses[19:21] == ["present", "occluded"]
    assert statuses[119:122] == ["lost", "present", "present"]
    assert [number for _, number in engine.recall_of(120).spatial] == [0, 15, 16, 17, 18, 19, 119]


def test_frames_by_hand_are_judged_too() -> None:
    tracker = Tracker(FakeEngine())
    masks = tracker.step(frame(0), {1: Prompt.create(points_xy=[(1, 1)])})
    assert masks.statuses == ("present",)
    assert not masks.needs_review


# Suggestions.


def scores(*statuses: str, object_id: int = 1, sure: float = 0.9, **fields: Any) -> list[Scores]:
    values = {"prompted": False, "accepted": False} | fields
    return [Scores(index, object_id, sure, status, **values) for index, status in enumerate(statuses)]  # type: ignore[arg-type]


def test_the_beginning_of_a_failure_comes_first() -> None:
    statuses = ["present"] * 30 + ["uncertain"] * 20 + ["present"] * 50
    assert suggest(scores(*statuses), 1)[0].frame_index == 30


def test_suggestions_are_diverse_in_time() -> None:
    statuses = ["present"] * 100
    for start in (20, 22, 80):
        statuses[start] = "uncertain"
    chosen = suggest(scores(*statuses), 2)
    assert chosen[1].frame_index == 80 or chosen[0].frame_index == 80
    assert len({one.frame_index // 50 for one in chosen}) == 2


def test_nothing_is_suggested_where_there_is_no_doubt() -> None:
    assert suggest([], 5) == []
    assert suggest(scores(*["present"] * 10, sure=1.0), 5) == []
    assert suggest(scores(*["lost"] * 10, accepted=True), 5) == []
    assert suggest(scores("uncertain", "present"), 0) == []
