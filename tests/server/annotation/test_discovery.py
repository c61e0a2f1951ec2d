"""Discovery in an open medium: what a user has made, accepted or drawn stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from masklet.discovery import DiscoveryConfig
from masklet.masks.rle import decode_rle
from masklet.media.source import open_source
from masklet.records import BoolArray, ByteArray
from masklet.server.annotation.store import AnnotationStore
from masklet.server.annotation.workspace import Workspace
from masklet.server.shared_model import SharedEngine
from tests import scene_engine
from tests.fake_engine import FakeEngine, pictures
from tests.scene_engine import SceneEngine, still

FRAMES = 20
CONFIG = DiscoveryConfig(every=2, level="both")


def opened(
    folder: Path, engine: FakeEngine | SceneEngine, frames: Sequence[ByteArray], size_hw: tuple[int, int]
) -> Workspace:
    store = AnnotationStore(folder / "annotations.db")
    return Workspace(SharedEngine(engine), store, lambda: open_source(frames), size_hw=size_hw, num_frames=len(frames))


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def workspace(tmp_path: Path, engine: FakeEngine) -> Iterator[Workspace]:
    """A clip without objects."""
    clip = opened(tmp_path, engine, pictures(FRAMES), (6, 8))
    yield clip
    clip.close()


def drawn() -> BoolArray:
    mask = np.zeros((6, 8), np.bool_)
    mask[2:5, 2:7] = True
    return mask


def shown(workspace: Workspace, object_id: int, frame_index: int) -> BoolArray:
    (row,) = [row for row in workspace.masks(frame_index) if row.object_id == object_id]
    return decode_rle(row.rle)


def test_an_object_without_prompts_gets_no_masks(workspace: Workspace) -> None:
    mine = workspace.create_object(name="mine").object_id
    list(workspace.discover(CONFIG, "both"))
    assert [row.name for row in workspace.store.objects()] == ["mine", "Object 2"]
    assert set(workspace.store.current_frames()) == {mine + 1}
    assert workspace.store.current_frames()[mine + 1] == set(range(FRAMES))


def test_accepted_and_drawn_masks_of_a_found_object_stay(workspace: Workspace) -> None:
    for frame_index, _ in workspace.discover(CONFIG, "both"):
        if frame_index == 14:
            workspace.accept(4, 6)
            workspace.draw_mask(1, 2, drawn())
            workspace.draw_mask(1, 16, drawn())
    assert workspace.store.accepted_frames(1) == {4, 5}
    for index in (2, 16):
        assert (shown(workspace, 1, index) == drawn()).all()
    assert not (shown(workspace, 1, 15) == drawn()).all()
    # What the drawn mask on frame 2 can change is still to be tracked again.
    assert {stale.object_id for stale in workspace.store.stale_ranges()} == {1}


def test_what_is_drawn_meanwhile_leads_the_frames_to_come(workspace: Workspace, engine: FakeEngine) -> None:
    for frame_index, _ in workspace.discover(CONFIG):
        if frame_index == 10:
            workspace.draw_mask(1, 12, drawn())
            engine.memorised.clear()
    assert (12, (True,)) in engine.memorised


def test_an_object_that_is_prompted_meanwhile_keeps_what_was_drawn(workspace: Workspace) -> None:
    mine = workspace.create_object().object_id
    workspace.set_prompt(mine, 0, points_xy=[(1, 1)])
    for frame_index, _ in workspace.discover(CONFIG, "both"):
        if frame_index == 8:
            workspace.draw_mask(mine, 12, drawn())
    assert (shown(workspace, mine, 12) == drawn()).all()
    assert [row.object_id for row in workspace.store.objects()] == [mine]


def test_a_found_object_that_is_locked_meanwhile_gets_no_more_masks(workspace: Workspace) -> None:
    for frame_index, _ in workspace.discover(CONFIG):
        if frame_index == 14:
            workspace.change_objects([1], locked=True)
    assert workspace.store.current_frames()[1] == set(range(15))


def test_objects_found_before_a_restart_count_among_the_most(tmp_path: Path) -> None:
    scene = {1: still(1, 1, 6, 6, gone=range(9, 12)), 2: still(9, 1, 14, 6)}
    size_hw = (scene_engine.SIDE, scene_engine.SIDE)
    config = DiscoveryConfig(every=2, level="both", max_objects=1)
    numbers_refused = []
    for stop in (15, FRAMES):
        clip = opened(tmp_path, SceneEngine(scene), scene_engine.pictures(FRAMES), size_hw)
        running = clip.discover(config, on_end=lambda discovery: numbers_refused.append(discovery.num_refused))
        assert [index for index, _ in zip(range(stop), running, strict=False)][-1] == stop - 1
        running.close()
        assert [row.name for row in clip.store.objects()] == ["Object 1"]
        clip.close()
    assert all(numbers_refused)
