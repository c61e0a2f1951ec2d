"""Policies by name, several as one, and what the tracker and the bank make of their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from masklet.errors import ConfigError
from masklet.memory.bank import MemoryBank, MemoryConfig
from masklet.memory.policies import (
    POLICIES,
    Branch,
    CandidateTrack,
    Policy,
    PolicyConfig,
    Reads,
    Sighting,
    View,
    Write,
    box_iou,
    check_policy,
    make_policy,
)
from masklet.records import FrameMemory
from masklet.tracking.tracker import Tracker
from tests.fake_engine import FakeEngine, pictures


class Last(Policy):
    """Chooses the last candidate, and counts what it has seen."""

    def __init__(self, memory: MemoryConfig, config: PolicyConfig | None = None) -> None:
        super().__init__(memory, config)
        self.seen: list[int] = []
        self.resets = 0

    def rate(self, sighting: Sighting) -> Sequence[float]:
        return range(len(sighting.iou_predictions))

    def write(self, sighting: Sighting) -> Write:
        self.seen.append(sighting.frame_index)
        return Write(remember=sighting.frame_index != 3, resolved=sighting.frame_index == 4, reliability=0.5)

    def reset(self) -> None:
        self.resets += 1

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.seen = list(state["seen"])


class Nearest(Policy):
    """Reads the previous frame and no more; doubts all frames."""

    def read(self, view: View) -> Reads:
        return Reads([(1, view.frame_index - view.direction)], [])

    def write(self, sighting: Sighting) -> Write:
        return Write(reliability=0.25)


class TwoWays(Policy):
    """Keeps two ways open: the best path with its two best candidates."""

    def select(self, tracks: Sequence[CandidateTrack]) -> list[Branch]:
        order = sorted(range(len(tracks[0].ratings)), key=lambda k: -tracks[0].ratings[k])
        return [Branch(0, candidate, tracks[0].score + tracks[0].ratings[candidate]) for candidate in order[:2]]


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, policy in (("last", Last), ("nearest", Nearest), ("ways", TwoWays)):
        monkeypatch.setitem(POLICIES, name, policy)


def sighting(*areas: int, chosen: int = 0) -> Sighting:
    """One candidate an area, of ten columns."""
    masks = np.array([np.arange(10) < area for area in areas])[:, None]
    return Sighting(5, 1, 3.0, [0.9 - k / 10 for k in range(len(areas))], masks, chosen)


def test_names() -> None:
    assert check_policy("last+nearest") == ("last", "nearest")
    for name in ("best", "last+", "last+best"):
        with pytest.raises(ConfigError, match=r"policy must be one of reliable, official.* joined by"):
            MemoryConfig(policy=name)
    with pytest.raises(ConfigError, match="twice"):
        MemoryConfig(policy="last+last")


def test_a_sighting_measures_its_candidates() -> None:
    seen = sighting(5, 0, 10)
    assert seen.areas == (0.5, 0.0, 1.0)
    assert seen.boxes == ((0.0, 0.0, 0.5, 1.0), None, (0.0, 0.0, 1.0, 1.0))
    other = seen.choosing(2)
    assert (other.area, other.iou_prediction) == (1.0, pytest.approx(0.7))
    assert (seen.area, seen.chosen) == (0.5, 0)
    assert box_iou(seen.boxes[0], seen.boxes[2]) == pytest.approx(0.5)
    assert box_iou(seen.boxes[0], None) == 0


def test_the_last_opinion_counts_and_doubts_add_up() -> None:
    combined = make_policy(MemoryConfig(policy="last+nearest"))
    view = View(9, 1, 16, {5: 1.0, 8: 1.0})
    assert combined.read(view) == Reads([(1, 8)], [])
    assert combined.candidate_track(0.0, sighting(1, 2, 3)).ratings == (0, 1, 2)
    assert combined.write(sighting(1)) == Write(True, False, 0.25)


def test_without_an_opinion_the_defaults_hold() -> None:
    combined = make_policy(MemoryConfig(policy="ways"))
    view = View(9, 1, 16, {5: 1.0, 6: 0.0, 8: 0.0})
    assert combined.read(view) == make_policy(MemoryConfig()).read(view)
    assert combined.candidate_track(0.0, sighting(1, 2)).ratings == (0.9, 0.8)
    plain = make_policy(MemoryConfig())
    assert plain.select([plain.candidate_track(1.5, sighting(1, 2))]) == [Branch(0, 0, 1.5)]


def test_a_fork_is_independent_and_state_round_trips() -> None:
    combined = make_policy(MemoryConfig(policy="last"))
    combined.write(sighting(1))
    fork = combined.fork()
    combined.write(sighting(1))
    assert (combined.state(), fork.state()) == ({"last": {"seen": [5, 5]}}, {"last": {"seen": [5]}})
    fork.restore(combined.state())
    assert fork.state() == combined.state()


# In the bank.


def test_resolved_frames_are_read_in_addition_to_prompted_ones() -> None:
    bank: MemoryBank[int] = MemoryBank(MemoryConfig(max_prompted=4, max_resolved=3))
    for index in range(60):
        bank.write(
            index,
            FrameMemory(index, index),
            prompted=index in (0, 5),
            iou_prediction=0.9,
            object_score=5.0,
            resolved=index % 10 == 9,
        )
    assert [index for slot, index in bank.recall(60).spatial if slot == 0] == [0, 5, 39, 49]  # 59 is the previous one
    assert (1, 59) in bank.recall(60).spatial
    assert len(bank.resolved_frames) <= 4
    bank.keep_last_tracked()
    assert bank.tracked_frames == (58,)
    assert 49 in bank.resolved_frames
    bank.forget_tracked()
    assert bank.resolved_frames == ()


def test_a_forked_bank_is_independent() -> None:
    bank: MemoryBank[int] = MemoryBank()
    bank.write(0, FrameMemory(0, 0), prompted=True, iou_prediction=0.9, object_score=5.0)
    fork = bank.fork()
    fork.write(1, FrameMemory(1, 1), prompted=False, iou_prediction=0.9, object_score=5.0)
    assert (bank.tracked_frames, fork.tracked_frames) == ((), (1,))
    assert fork.policy is not bank.policy


# In the tracker.


def tracked(policy: str, count: int = 8) -> tuple[Tracker[int], FakeEngine]:
    engine = FakeEngine()
    tracker = Tracker(engine, pictures(count), memory=MemoryConfig(policy=policy))
    tracker.prompt(points_xy=[(1, 1)])
    return tracker, engine


def test_the_rated_candidate_is_shown_and_remembered() -> None:
    tracker, engine = tracked("last")
    results = list(tracker.run())
    assert [round(float(masks.iou_predictions[0]), 1) for masks in results] == [0.9] + [0.7] * 7
    # Frame 3 stayed out, frame 4 is as good as a prompted one.
    assert engine.recall_of(7).spatial == ((0, 0), (0, 4), (4, 1), (3, 2), (2, 5), (1, 6))


def test_a_policy_is_reset_when_tracking_changes_direction_or_jumps() -> None:
    tracker, _ = tracked("last", 40)
    list(tracker.run(stop=10))
    (member,) = tracker._state.tracks[1].bank.policy.members.values()
    assert isinstance(member, Last)
    assert (member.seen, member.resets) == (list(range(10)), 0)
    list(tracker.run("backward", start=5, stop=3))
    assert member.resets == 0  # in that direction nothing is known of the object
    list(tracker.run(start=35))
    assert member.resets == 1


def test_two_hypotheses_are_decoded_in_one_batch_and_share_no_memory() -> None:
    tracker, engine = tracked("ways")
    tracker.prompt(1, 5, points_xy=[(1, 1)])
    list(tracker.run())
    assert [len(prompts) for _, prompts, _ in engine.decoded] == [1, 1, 2, 2, 2, 1, 1, 2]
    assert [len(prompted) for _, prompted in engine.memorised] == [1, 2, 2, 2, 2, 1, 2, 2]
    first, second = tracker._state.tracks[1].hypotheses
    assert first.bank is not second.bank
    assert (first.score, second.score) == (pytest.approx(1.8), pytest.approx(1.6))  # since the prompt on frame 5
