"""Safeguards of the tracker: shot cuts, masks that explode, collisions and objects that are gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from masklet.memory.bank import MemoryConfig
from masklet.prompts import Prompt
from masklet.records import FloatArray, Frame
from masklet.tracking.tracker import Tracker
from tests.fake_engine import FakeEngine, frame, pictures
from tests.scene_engine import SceneEngine, filled, still
from tests.scene_engine import pictures as scenes
from tests.tracking.test_shot_cuts import scene


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
        answers = super().decode(conditioned, prompts, multimask=multimask)
        return [replace(answer, object_score=8.0 - 3 * row) for row, answer in enumerate(answers)]

    def to_numpy(self, array: int) -> FloatArray:
        logits = super().to_numpy(array)
        self.asked = getattr(self, "asked", 0) + 1
        number = self.decoded[-1][0] if self.decoded else 0
        return -logits if number < 5 and self.asked % 2 == 0 else logits


class LookAlikes(SceneEngine):
    """Cannot tell its boxes apart: every mask shows all of them."""

    def to_numpy(self, array: int) -> FloatArray:
        logits = super().to_numpy(array)
        masks = [filled(place(array % 4096)) for place in self.scene.values()]
        return np.where(np.any(masks, axis=0), np.abs(logits), -np.abs(logits))


def test_a_look_alike_that_comes_in_is_not_taken_for_a_piece_of_the_object() -> None:
    twins = {1: still(1, 1, 4, 4), 2: still(10, 10, 13, 13, first=3)}
    masks = {}
    for name, memory in (("masklet", MemoryConfig()), ("official", MemoryConfig.official())):
        tracker = Tracker(LookAlikes(twins), scenes(6), memory=memory)
        tracker.prompt(box_xyxy=(1, 1, 4, 4))
        masks[name] = [results.masks[0] for results in tracker.run()]
    assert all((mask == filled((1, 1, 4, 4))).all() for mask in masks["masklet"])
    assert [np.count_nonzero(mask) for mask in masks["official"]] == [9, 9, 9, 18, 18, 18]


def test_an_object_that_was_prompted_in_distant_pieces_keeps_them() -> None:
    shoes = {1: still(1, 1, 4, 4), 2: still(10, 10, 13, 13, gone=[3])}
    tracker = Tracker(LookAlikes(shoes), scenes(6))
    tracker.prompt(box_xyxy=(1, 1, 4, 4))
    assert [np.count_nonzero(results.masks[0]) for results in tracker.run()] == [18, 18, 18, 9, 18, 18]


def test_an_object_that_moves_on_quickly_is_followed() -> None:
    jumping = {1: lambda number: (1, 1, 4, 4) if number < 3 else (10, 10, 13, 13)}
    tracker = Tracker(SceneEngine(jumping), scenes(5))
    tracker.prompt(box_xyxy=(1, 1, 4, 4))
    assert [bool(results.masks[0, 11, 11]) for results in tracker.run()] == [False] * 3 + [True] * 2


@pytest.mark.parametrize("withhold", [False, True])
def test_the_weaker_of_two_collided_objects_is_uncertain_and_can_stop_remembering(withhold: bool) -> None:
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


def test_an_object_is_found_again_after_a_long_absence() -> None:
    engine = FakeEngine(lambda number: -6.0 if 20 <= number < 120 else 8.0)
    tracker = Tracker(engine, pictures(130))
    tracker.prompt(points_xy=[(1, 1)])
    statuses = [masks.statuses[0] for masks in tracker.run()]
    assert statuses[19:21] == ["present", "occluded"]
    assert statuses[119:122] == ["lost", "present", "present"]
    assert [number for _, number in engine.recall_of(120).spatial] == [0, 15, 16, 17, 18, 19, 119]


def test_frames_given_to_step_have_statuses_too() -> None:
    tracker = Tracker(FakeEngine())
    masks = tracker.step(frame(0), {1: Prompt.create(points_xy=[(1, 1)])})
    assert masks.statuses == ("present",)
    assert not masks.needs_review
