"""The state of a tracker: one owner of objects, masks and position, and what a session file restores of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from masklet.errors import TrackingError
from masklet.media.source import open_source
from masklet.memory.bank import MemoryConfig
from masklet.prompts import Prompt
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.session import load_session, load_state, save_session
from masklet.tracking.state import TrackerState, keeps_masks
from masklet.tracking.track import PromptState
from tests.fake_engine import FakeEngine, endless, pictures
from tests.tracking.trackers import CLICK, tracker_of


def state_of(*object_ids: int) -> TrackerState[int]:
    state: TrackerState[int] = TrackerState(None, MemoryConfig(), MaskStore())
    for object_id in object_ids:
        state.track_or_new(object_id).prompts[0] = PromptState(Prompt.create(points_xy=[(1, 1)]), initial=True)
    return state


@pytest.mark.parametrize("retention", ["streaming", "editing", "all"])
def test_masks_are_kept_where_a_source_can_go_back(retention: str) -> None:
    memory = MemoryConfig(retention=retention)  # type: ignore[arg-type]
    assert keeps_masks(open_source(pictures(3)), memory) == (retention != "all")
    assert not keeps_masks(open_source(endless()), memory)
    assert not keeps_masks(None, memory)


def test_an_unknown_object_is_named_with_the_known_ones() -> None:
    with pytest.raises(TrackingError, match="object 3 is unknown: known are 1, 2"):
        state_of(2, 1).track(3)
    with pytest.raises(TrackingError, match="object 3 is unknown: known are none"):
        state_of().track(3)
    assert state_of(5, 1).object_ids == (1, 5)
    assert state_of(5, 1).known_ids([7, 5, 1, 9]) == [5, 1]


def test_a_removed_object_leaves_nothing_behind() -> None:
    tracker, _ = tracker_of(3)
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(2, 0, **CLICK)
    list(tracker.run())
    state = tracker._state
    assert state.store is not None
    assert state.collisions.allowed == {(1, 2)}
    state.remove(1)
    assert (state.object_ids, state.collisions.allowed) == ((2,), set())
    assert {row.object_id for row in state.store.all()} == {2}
    state.clear()
    assert state.object_ids == ()
    assert list(state.store.all()) == []


def test_a_session_file_is_a_state(tmp_path: Path) -> None:
    tracker, engine = tracker_of(6)
    tracker.prompt(1, 0, **CLICK)
    tracker.notes["author"] = "me"
    list(tracker.run(stop=4))
    path = save_session(engine, tracker._state, tmp_path / "job.masklet")
    loaded = load_session(path, FakeEngine(), pictures(6))
    assert loaded.store is not None
    assert tracker._state.store is not None
    assert list(loaded.store.all()) == list(tracker._state.store.all())
    assert (loaded.position, loaded.direction, loaded.passes) == (3, 1, tracker._state.passes)
    assert (loaded.notes, loaded.memory, loaded.object_ids) == ({"author": "me"}, tracker.memory, (1,))


def test_objects_are_read_from_a_file_without_its_video(tmp_path: Path) -> None:
    tracker, engine = tracker_of(6)
    tracker.prompt(4, 0, **CLICK)
    tracker.rename(4, "pump")
    tracker.classify(4, "part")
    list(tracker.run(stop=4))
    state = load_state(tracker.save(tmp_path / "job.masklet"), engine)
    assert (state.source, state.store) == (None, None)
    inherited = state.inheritance(4)
    assert (len(inherited.memories), inherited.name, inherited.class_name) == (1, "pump", "part")
    with pytest.raises(TrackingError, match="object 1 is unknown there: known are 4"):
        state.inheritance(1)
