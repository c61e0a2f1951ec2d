"""Prompts of one object on one frame, and how they correct what has been tracked."""

from __future__ import annotations

import numpy as np
import pytest

from masklet.errors import TrackingError
from masklet.memory.bank import MemoryConfig
from tests.fake_engine import LOW_RES, SIZE_HW, FakeEngine
from tests.tracking.trackers import CLICK, CORRECTION, LEFT_HALF, tracker_of


def test_prompts_of_one_object_on_one_frame_add_up() -> None:
    tracker, engine = tracker_of(2)
    tracker.prompt(points_xy=[(1, 1)])
    tracker.prompt(points_xy=[(6, 2)], labels=[0])
    list(tracker.run())
    prompt = engine.prompt_of(0)
    assert prompt is not None
    assert prompt.points_xy.tolist() == [[1, 1], [6, 2]]
    assert prompt.labels.tolist() == [1, 0]
    assert prompt.previous_logits is None


def test_points_join_a_box_and_a_new_box_replaces_both() -> None:
    tracker, engine = tracker_of(1)
    tracker.prompt(box_xyxy=(0, 0, 3, 3))
    tracker.prompt(**CLICK)
    tracker.preview(0)
    prompt = engine.prompt_of(0)
    assert prompt is not None
    assert prompt.num_points == 3
    tracker.prompt(box_xyxy=(1, 1, 5, 5))
    tracker.preview(0)
    prompt = engine.prompt_of(0)
    assert prompt is not None
    assert prompt.num_points == 2
    assert prompt.previous_logits is None


def test_clear_replaces_the_earlier_prompt() -> None:
    tracker, engine = tracker_of(1)
    tracker.prompt(points_xy=[(1, 1)])
    tracker.preview()
    tracker.prompt(points_xy=[(2, 2)], clear=True)
    tracker.preview()
    prompt = engine.prompt_of(0)
    assert prompt is not None
    assert prompt.points_xy.tolist() == [[2, 2]]
    assert prompt.previous_logits is None


def test_points_correct_the_answer_of_a_preview() -> None:
    tracker, engine = tracker_of(3)
    tracker.prompt(**CLICK)
    tracker.preview(0)
    tracker.prompt(**CORRECTION)
    tracker.preview(0)
    prompt = engine.prompt_of(0)
    assert prompt is not None
    assert prompt.previous_logits is not None
    # The second of three candidates is the best; its logits of 41 are clamped.
    assert prompt.previous_logits.shape == (LOW_RES, LOW_RES)
    assert (prompt.previous_logits.min(), prompt.previous_logits.max()) == (-32, 32)
    list(tracker.run())
    assert [number for number, _, _ in engine.decoded] == [0, 0, 1, 2]  # the preview's answer is what is tracked
    assert engine.encoded == [0, 1, 2]


def test_a_preview_leaves_memory_alone() -> None:
    tracker, engine = tracker_of(8)
    tracker.prompt(1, 5, **CLICK)
    masks = tracker.preview(5)
    assert (masks.frame_index, masks.object_ids, masks.prompted.tolist()) == (5, (1,), [True])
    assert engine.memorised == []
    with pytest.raises(TrackingError, match="no object is prompted on frame 4"):
        tracker.preview(4)


def test_a_mask_prompt_is_shown_as_it_is() -> None:
    tracker, engine = tracker_of(2)
    mask = np.zeros(SIZE_HW, bool)
    mask[3, 2:7] = True
    tracker.prompt(mask=mask)
    first, second = tracker.run()
    assert (first.mask(1) == mask).all()
    assert (second.mask(1) == LEFT_HALF).all()
    assert engine.recall_of(0).is_empty


def test_points_on_a_mask_correct_the_mask() -> None:
    tracker, engine = tracker_of(1)
    tracker.prompt(mask=np.ones(SIZE_HW, bool))
    tracker.prompt(**CORRECTION)
    list(tracker.run())
    prompt = engine.prompt_of(0)
    assert prompt is not None
    assert prompt.mask is None
    assert prompt.previous_logits is not None
    assert (prompt.previous_logits == 10).all()
    tracker.prompt(points_xy=[(2, 4)])
    tracker.preview()
    prompt = engine.prompt_of(0)
    assert prompt is not None
    assert prompt.num_points == 2
    assert prompt.previous_logits is not None
    assert prompt.previous_logits.max() == 32  # of the answer to the first point, no longer of the mask


# Corrections.


def test_a_correction_on_the_frame_just_seen_reads_memory_and_encodes_nothing_again() -> None:
    tracker, engine = tracker_of(8)
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(2, 0, **CLICK)
    for masks in tracker.run():
        if masks.frame_index == 4:
            tracker.prompt(1, 4, **CORRECTION)
    assert engine.encoded == list(range(8))
    decoded = [(number, prompts) for number, prompts, _ in engine.decoded if number == 4]
    assert [len(prompts) for _, prompts in decoded] == [2, 1]  # the other object is not asked again
    prompt = decoded[1][1][0]
    assert prompt is not None
    assert prompt.previous_logits is not None
    assert engine.recall_of(4).spatial == ((0, 0), (3, 1), (2, 2), (1, 3))
    # From here on the correction is a prompted frame for the one object, and a tracked one for the other.
    assert [slot for slot, number in engine.recall_of(7, row=0).spatial if number == 4] == [0]
    assert [slot for slot, number in engine.recall_of(7, row=1).spatial if number == 4] == [3]


def test_official_corrections_are_forgotten_after_six_frames() -> None:
    tracker, engine = tracker_of(20, memory=MemoryConfig.official())
    tracker.prompt(1, 0, **CLICK)
    for masks in tracker.run():
        if masks.frame_index == 4:
            tracker.prompt(1, 4, **CORRECTION)
    assert engine.memorised[5] == (4, (True,))
    assert dict(engine.recall_of(5).spatial)[1] == 4
    assert 4 not in [number for _, number in engine.recall_of(11).spatial]


@pytest.mark.parametrize(
    ("rules", "lowest", "highest"), [(MemoryConfig(), -32, 32), (MemoryConfig.official(), -32, -32)]
)
def test_a_correction_where_the_object_was_absent(rules: MemoryConfig, lowest: float, highest: float) -> None:
    """Official: what is corrected is the empty mask that was shown. Else the decoder's second thoughts count."""
    tracker, engine = tracker_of(8, FakeEngine(lambda number: -6.0 if number == 4 else 8.0), memory=rules)
    tracker.prompt(1, 0, **CLICK)
    for masks in tracker.run():
        if masks.frame_index == 4:
            tracker.prompt(1, 4, **CORRECTION)
    prompt = engine.prompt_of(4)
    assert prompt is not None
    assert prompt.previous_logits is not None
    assert (prompt.previous_logits.min(), prompt.previous_logits.max()) == (lowest, highest)


def test_unprompt_removes_the_prompt_of_a_frame() -> None:
    tracker, engine = tracker_of(8)
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(1, 3, **CLICK)
    list(tracker.run())
    assert [slot for slot, number in engine.recall_of(5).spatial if number == 3] == [0]
    tracker.unprompt(1, 3, keep_memory=True)
    assert [bool(masks.prompted.any()) for masks in tracker.run(start=3)] == [False] * 5
    assert [slot for slot, number in engine.recall_of(5).spatial if number == 3] == [2]
    with pytest.raises(TrackingError, match="object 2 is unknown: known are 1"):
        tracker.unprompt(2, 3, keep_memory=True)
    tracker.unprompt(1, 0, keep_memory=True)
    with pytest.raises(TrackingError, match="object 1 has no prompts left: prompt it again or remove it"):
        tracker.run()


def test_previous_logits_are_corrected_in_place_of_the_last_answer() -> None:
    tracker, engine = tracker_of()
    tracker.prompt(1, 0, **CLICK)
    tracker.preview(0)
    own = np.full((LOW_RES, LOW_RES), 3.0)
    tracker.prompt(1, 0, **CORRECTION, previous_logits=own, clear=True)
    tracker.preview(0)
    prompt = engine.prompt_of(0)
    assert prompt is not None
    assert len(prompt.points_xy) == 1
    assert prompt.previous_logits is not None
    assert (prompt.previous_logits == own).all()


def test_answers_are_the_decoders_handles_for_the_last_masks() -> None:
    tracker, _ = tracker_of()
    tracker.prompt(3, 0, **CLICK)
    assert tracker.answers == {}
    masks = next(tracker.run())
    assert tracker.answers.keys() == {3}
    assert tracker.answers[3].object_score == masks.object_scores[0]


def test_running_again_from_a_correction() -> None:
    tracker, engine = tracker_of(8)
    tracker.prompt(1, 0, **CLICK)
    for masks in tracker.run():
        if masks.frame_index == 5:
            break
    tracker.prompt(1, 5, **CORRECTION)
    results = list(tracker.run(start=5))
    assert [(masks.frame_index, bool(masks.prompted[0])) for masks in results] == [(5, True), (6, False), (7, False)]
    assert engine.recall_of(5).spatial == ((0, 0), (4, 1), (3, 2), (2, 3), (1, 4))
    assert engine.recall_of(6).spatial[:2] == ((0, 0), (0, 5))
    assert engine.encoded == list(range(8))


def test_running_again_gives_the_same() -> None:
    tracker, engine = tracker_of(12)
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(1, 6, **CLICK)
    first = [engine.recall_of(masks.frame_index) for masks in tracker.run() if not masks.prompted.any()]
    second = [engine.recall_of(masks.frame_index) for masks in tracker.run() if not masks.prompted.any()]
    assert first[:5] == second[:5]
    assert first[5:] == second[5:]
