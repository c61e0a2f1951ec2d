"""Objects come and go as the names of the scenes say."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.stress.discovery import CROWD_SIZE, CROWD_START, SCENES, make_film, write_clip
from benchmarks.stress.materials import Materials
from masklet.datasets import open_dataset

FRAMES = 40


@lru_cache
def materials() -> Materials:
    return Materials()


def objects_at(scene: str, index: int) -> set[int]:
    owners = make_film(scene, 0, materials(), frames=FRAMES).frame(index)[1]
    counts = np.bincount(owners.ravel())
    return {int(object_id) for object_id in np.flatnonzero(counts > 60) if object_id}


def test_objects_enter_one_by_one_and_stay() -> None:
    seen = [objects_at("entering", index) for index in (0, 12, 24, 39)]
    assert seen[0] == {1}
    assert all(earlier < later for earlier, later in pairwise(seen))
    assert seen[-1] == set(range(1, 7))


def test_a_crowd_grows_from_four_to_forty() -> None:
    assert len(objects_at("growing crowd", 0)) == CROWD_START
    assert CROWD_START < len(objects_at("growing crowd", 20)) < CROWD_SIZE
    assert len(objects_at("growing crowd", 39)) == CROWD_SIZE


def test_the_twins_leave_and_come_back() -> None:
    assert objects_at("returning twins", 0) == objects_at("returning twins", 39) == {1, 2, 3, 4}
    assert objects_at("returning twins", 20) == {4}


@pytest.mark.parametrize("scene", SCENES)
def test_a_clip_is_a_data_set(tmp_path: Path, scene: str) -> None:
    film = make_film(scene, 1, materials(), frames=2)
    write_clip(tmp_path / "clip", film)
    (clip,) = open_dataset(tmp_path).need_clips()
    assert clip.num_frames == 2
    assert np.array_equal(clip.read_labels(1).flat(), film.frame(1)[1])
    assert np.array_equal(clip.read_frames([1])[0], film.frame(1)[0])
