"""The clips show what their names say, and are the same each time."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.stress.film import SIZE_HW, Actor, Film, Pose, View
from benchmarks.stress.materials import Materials
from benchmarks.stress.run import StressTask, follow, load_result, save_result
from benchmarks.stress.scenes import SCENES, StressClip, make_clip
from masklet.records import ByteArray
from tests.fake_engine import FakeEngine

FRAMES = 40


@lru_cache
def materials() -> Materials:
    return Materials()


def clip_of(failure: str, frames: int = FRAMES) -> StressClip:
    return make_clip(failure, 0, materials(), frames=frames)


def visible(clip: StressClip, index: int, object_id: int = 1) -> int:
    return int(np.count_nonzero(clip.film.frame(index)[1] == object_id))


@pytest.mark.parametrize("failure", SCENES)
def test_all_followed_objects_are_there_to_be_prompted(failure: str) -> None:
    clip = clip_of(failure)
    rgb, owners = clip.film.frame(clip.prompt_frame)
    assert rgb.shape == (*SIZE_HW, 3)
    for object_id in clip.tracked:
        assert np.count_nonzero(owners == object_id) > 300


@pytest.mark.parametrize(
    ("failure", "seen", "unseen"),
    [
        ("full occlusion", (0, 39), (18, 21)),
        ("leave and return", (0, 39), (14, 22)),
        ("shot cut", (0, 12, 23, 39), (14, 21)),
        ("twin at the far side", (20, 39), (0, 4)),
    ],
)
def test_it_is_hidden_when_it_should_be(failure: str, seen: tuple[int, ...], unseen: tuple[int, ...]) -> None:
    clip = clip_of(failure)
    assert all(visible(clip, index) > 300 for index in seen)
    assert all(visible(clip, index) == 0 for index in unseen)


def test_the_twin_is_there_when_the_object_is_not_yet() -> None:
    clip = clip_of("twin at the far side")
    assert visible(clip, 0, 2) > 300
    assert visible(clip, clip.prompt_frame, 2) == 0


def test_the_camera_comes_near_and_goes_back() -> None:
    clip = clip_of("zoom")
    assert visible(clip, FRAMES // 2) > 10 * visible(clip, 0)


def test_seen_edge_on_little_is_left() -> None:
    clip = clip_of("depth rotation")
    assert visible(clip, round(FRAMES / 1.25 / 4)) < 0.4 * visible(clip, 0)


def test_the_same_seed_makes_the_same_clip_and_another_take_another() -> None:
    first, again = clip_of("crowd").film.frame(7), clip_of("crowd").film.frame(7)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    other = make_clip("crowd", 1, materials(), frames=FRAMES).film.frame(7)
    assert not np.array_equal(first[1], other[1])


def square(value: int, size: int = 40) -> ByteArray:
    made = np.full((size, size, 4), 255, np.uint8)
    made[:, :, :3] = value
    return made


def film(*actors: Actor, camera: View | None = None, shutter: float = 0.0) -> Film:
    sky = np.full((100, 160, 3), 90, np.uint8)
    return Film(10, actors, lambda time: sky, lambda time: camera or View(), shutter)


def test_the_front_object_owns_the_pixel() -> None:
    behind = Actor(square(10), lambda time: Pose(200, 100, 40), 1)
    before = Actor(square(250), lambda time: Pose(220, 100, 40), 2)
    rgb, owners = film(behind, before).frame(0)
    assert (owners[100, 185], owners[100, 215], owners[100, 250]) == (1, 2, 0)
    assert rgb[100, 215].mean() > 230
    assert np.count_nonzero(owners == 1) == pytest.approx(800, rel=0.05)


def test_the_camera_moves_and_enlarges_all_alike() -> None:
    actor = Actor(square(10), lambda time: Pose(SIZE_HW[1] / 2 + 20, SIZE_HW[0] / 2, 40), 1)
    _, owners = film(actor, camera=View(20, 0, zoom=2.0)).frame(0)
    rows, columns = np.nonzero(owners == 1)
    assert (columns.mean(), rows.mean()) == pytest.approx((SIZE_HW[1] / 2, SIZE_HW[0] / 2), abs=1)
    assert len(rows) == pytest.approx(6400, rel=0.03)


def test_motion_during_exposure_is_blurred() -> None:
    actor = Actor(square(255), lambda time: Pose(100 + 30 * time, 100, 40), 1, throws_shadow=False)
    rgb, owners = film(actor, shutter=1.0).frame(0)
    grey = rgb[100, 85:130, 0].astype(int)
    assert np.count_nonzero((grey > 110) & (grey < 235)) > 15
    assert 20 < np.count_nonzero(owners[100] == 1) < 50  # where it was for more than half of the time


def test_several_policies_look_at_a_frame_that_is_encoded_once(tmp_path: Path) -> None:
    engine = FakeEngine()
    task = StressTask("twin at the far side", 0, (), 0, 12, 8)
    results = follow(engine, task, ("official", "reliable"))
    # Back from the prompt on frame 6, and then forward from it.
    assert len(engine.encoded) == 7 + 6
    assert [verdict.num_judged for verdict in results["reliable"].verdicts] == [11]
    save_result(tmp_path, task, "reliable", "fake", results["reliable"])
    assert load_result(tmp_path, task, "reliable", "fake") == results["reliable"]
    assert load_result(tmp_path, task, "reliable", "another") is None
