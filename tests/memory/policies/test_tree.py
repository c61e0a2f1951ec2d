from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from masklet.memory.bank import MemoryConfig
from masklet.memory.policies import Branch, CandidateTrack
from masklet.memory.policies.tree import TreePolicy
from masklet.tracking.tracker import Tracker
from tests.fake_engine import FakeEngine, pictures
from tests.memory.policies.scenes import sighting

BOX = (2, 2, 8, 8)


def track(score: float, ious: Sequence[float], object_score: float = 8.0) -> CandidateTrack:
    seen = sighting(5, [BOX] * len(ious), ious, object_score=object_score)
    return CandidateTrack(score, seen, seen.iou_predictions)


def ways(branches: list[Branch] | None) -> list[tuple[int, int]]:
    assert branches is not None
    return [(branch.track, branch.candidate) for branch in branches]


def test_after_a_prompt_the_three_candidates_are_three_ways() -> None:
    branches = TreePolicy(MemoryConfig()).select([track(0.0, (0.5, 0.9, 0.7))])
    assert ways(branches) == [(0, 1), (0, 2), (0, 0)]
    assert branches is not None
    assert branches[0].score == pytest.approx(math.log(0.9), abs=1e-4)


def test_when_the_score_is_certain_the_three_best_branches_of_nine_continue() -> None:
    tracks = [track(-0.1, (0.9, 0.8, 0.2)), track(-0.5, (0.9, 0.1, 0.1)), track(-5.0, (0.99, 0.9, 0.9))]
    assert ways(TreePolicy(MemoryConfig()).select(tracks)) == [(0, 0), (0, 1), (1, 0)]


def test_when_the_score_is_uncertain_equal_branches_count_once() -> None:
    tracks = [track(-0.1, (0.9, 0.9, 0.2), 1.0), track(-0.5, (0.9, 0.5, 0.1), 1.0)]
    assert ways(TreePolicy(MemoryConfig()).select(tracks)) == [(0, 0), (1, 1), (0, 2)]


def test_absent_and_present_differ_at_the_same_iou() -> None:
    tracks = [track(-0.1, (0.9, 0.9, 0.9), 1.0), track(-0.2, (0.9, 0.9, 0.9), -1.0)]
    kept = ways(TreePolicy(MemoryConfig()).select(tracks))
    assert (0, 0) in kept
    assert (1, 0) in kept
    assert len(kept) == 3


def test_when_too_few_branches_differ_other_tracks_continue() -> None:
    tracks = [track(-0.1, (0.9,) * 3, 1.0), track(-0.2, (0.9,) * 3, 1.0), track(-0.3, (0.9,) * 3, 1.0)]
    assert ways(TreePolicy(MemoryConfig()).select(tracks)) == [(0, 0), (1, 0), (2, 0)]


def test_poor_and_absent_frames_are_not_read_again() -> None:
    tree = TreePolicy(MemoryConfig())
    assert tree.write(sighting(3, [BOX], [0.1])).reliability == 0
    assert tree.write(sighting(3, [BOX], object_score=-1)).reliability == 0
    assert tree.write(sighting(3, [BOX], [0.2])).reliability is None


def test_a_tracker_decodes_three_hypotheses_in_one_batch() -> None:
    engine = FakeEngine()
    tracker = Tracker(engine, pictures(6), memory=MemoryConfig(policy="tree"))
    tracker.prompt(1, 0, points_xy=[(1, 1)])
    shown = list(tracker.run())
    assert len(shown) == 6
    assert shown[-1].object_ids == (1,)
    assert [len(recalls) for _, recalls in engine.attended] == [1, 1, 3, 3, 3, 3]


def test_motion_can_rate_the_branches() -> None:
    engine = FakeEngine()
    tracker = Tracker(engine, pictures(30), memory=MemoryConfig(policy="tree+motion"))
    tracker.prompt(1, 0, points_xy=[(1, 1)])
    assert len(list(tracker.run())) == 30
