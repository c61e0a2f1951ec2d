from __future__ import annotations

import json

import pytest

from masklet.memory.bank import MemoryBank, MemoryConfig
from masklet.memory.policies import View
from masklet.memory.policies.base import Sighting
from masklet.memory.policies.distractor import DistractorPolicy, has_rival
from masklet.records import FrameMemory
from tests.memory.policies.scenes import sighting

MINE, TWIN = (2, 5, 6, 11), (14, 5, 18, 11)


def told_apart(frame_index: int, **changes: object) -> Sighting:
    """The object, and another candidate that is its twin."""
    return sighting(frame_index, [MINE, TWIN], [0.9, 0.7], **changes)  # type: ignore[arg-type]


def begun() -> DistractorPolicy:
    policy = DistractorPolicy(MemoryConfig())
    for index in range(6):
        policy.write(sighting(index, [MINE], prompted=index == 0))
    return policy


def test_a_rival_is_something_else_not_a_part_of_the_object() -> None:
    assert has_rival(told_apart(0), 0.7)
    assert not has_rival(sighting(0, [MINE, (2, 5, 6, 8)]), 0.7)  # a part
    assert not has_rival(sighting(0, [MINE, (2, 5, 7, 11)]), 0.7)  # hardly more


def test_a_frame_with_a_rival_is_kept() -> None:
    assert begun().write(told_apart(6)).resolved


@pytest.mark.parametrize(
    "seen",
    [
        sighting(6, [MINE]),
        sighting(6, [MINE, TWIN], [0.8, 0.7]),
        sighting(6, [(2, 5, 6, 8), TWIN]),
        sighting(6, [(2, 5, 10, 11), TWIN]),
        told_apart(5),
        told_apart(6, object_score=-1.0),
        told_apart(6, prompted=True),
    ],
    ids=["no rival", "unsure", "smaller", "larger", "too soon", "absent", "a prompt is kept anyway"],
)
def test_others_are_not(seen: Sighting) -> None:
    assert not begun().write(seen).resolved


def test_resolved_frames_are_at_least_six_frames_apart() -> None:
    policy = begun()
    kept = [index for index in range(6, 20) if policy.write(told_apart(index)).resolved]
    assert kept == [6, 12, 18]


def test_the_prompt_may_be_on_any_frame_and_time_may_run_backward() -> None:
    policy = DistractorPolicy(MemoryConfig())
    policy.write(told_apart(40, prompted=True))
    kept = [index for index in range(39, 25, -1) if policy.write(told_apart(index, direction=-1)).resolved]
    assert kept == [34, 28]


def test_recent_memories_are_the_previous_frame_and_a_grid_of_five_without_absences() -> None:
    policy = DistractorPolicy(MemoryConfig())
    view = View(33, 1, 16, {index: 0.0 if index == 25 else 0.9 for index in range(1, 33)}, num_prompted=1)
    assert policy.read(view).spatial == [(6, 5), (5, 10), (4, 15), (3, 20), (2, 30), (1, 32)]


def test_resolved_frames_replace_recent_ones_down_to_half() -> None:
    view = View(33, 1, 16, dict.fromkeys(range(1, 33), 0.9), num_prompted=4)
    assert [index for _, index in DistractorPolicy(MemoryConfig()).read(view).spatial] == [25, 30, 32]
    few = DistractorPolicy(MemoryConfig(spatial_slots=4))
    assert [index for _, index in few.read(view).spatial] == [30, 32]


def test_in_a_bank_the_kept_frames_stay_and_memory_is_bounded() -> None:
    bank: MemoryBank[int] = MemoryBank(MemoryConfig(policy="distractor"))
    sizes = []
    for index in range(200):
        write = bank.policy.write(told_apart(index, prompted=index == 0))
        bank.write(
            index,
            FrameMemory(index, index),
            prompted=index == 0,
            iou_prediction=0.9,
            object_score=8.0,
            resolved=write.resolved,
            reliable=write.reliability,
        )
        sizes.append(len(bank))
    slots = [(slot, index) for slot, index in bank.recall(200).spatial]
    assert [index for slot, index in slots if slot == 0] == [0, 186, 192, 198]
    assert [index for slot, index in slots if slot > 0] == [190, 195, 199]
    assert max(sizes[100:]) == max(sizes[40:100])


def test_the_state_is_saved() -> None:
    policy, other = begun(), DistractorPolicy(MemoryConfig())
    other.restore(json.loads(json.dumps(policy.state())))
    assert [policy.write(told_apart(i)) for i in range(6, 14)] == [other.write(told_apart(i)) for i in range(6, 14)]
