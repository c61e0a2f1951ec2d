from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from masklet.datasets import open_dataset
from masklet.errors import DataError
from masklet.evaluation.discovery_records import ClipDiscovery, Timing
from masklet.evaluation.track_judging import judge_tracks
from masklet.tracking.mask_rows import given_row
from masklet.tracking.mask_store import MaskStore

from .oracle import SIZE, rectangle, write_pair

pytest.importorskip("trackeval", reason="the extra evaluate is not installed")

Array = np.ndarray
SQUARE = rectangle(4, 4, 24, 24)
EMPTY = np.zeros((SIZE, SIZE), np.uint8)


def judged(
    root: Path,
    truth: list[Array],
    tracks: Mapping[int, list[Array]],
    shown_from: Mapping[int, int] | None = None,
) -> ClipDiscovery:
    for index, labels in enumerate(truth):
        write_pair(root / f"clip/frames/{index:05d}.png", root / f"clip/masks/{index:05d}.png", labels)
    store = MaskStore()
    for track_id, masks in tracks.items():
        store.write(given_row(index, track_id, mask > 0) for index, mask in enumerate(masks))
    (clip,) = open_dataset(root).need_clips()
    return judge_tracks(
        clip,
        store,
        dict.fromkeys(tracks, 0) if shown_from is None else shown_from,
        num_frames=len(truth),
        timings=[Timing(1, len(truth), 0.5)],
    )


def test_each_object_is_judged_by_its_best_track(tmp_path: Path) -> None:
    second = rectangle(40, 40, 60, 60, 2)
    half = rectangle(4, 4, 14, 24)
    result = judged(tmp_path, [SQUARE + second] * 3, {1: [half] * 3, 4: [second] * 3, 9: [SQUARE] * 3})
    first, other = result.objects
    assert (first.track_id, first.region, first.boundary) == (9, 1, 1)
    assert (other.track_id, other.best_iou) == (4, 1)
    assert result.num_tracks == 3
    assert result.scores["recall@75"] == result.scores["best_track_J&F"] == 1


def test_frames_that_do_not_show_the_object_are_not_its_frames(tmp_path: Path) -> None:
    result = judged(tmp_path, [EMPTY, SQUARE, SQUARE, EMPTY], {1: [EMPTY, SQUARE, EMPTY, SQUARE]})
    (found,) = result.objects
    assert (found.first_frame, found.num_frames, found.region) == (1, 2, 0.5)
    assert found.worst.frame_index == 2
    assert result.scores["recall@50"] == 1
    assert result.scores["recall@75"] == 0


def test_the_best_track_has_the_highest_mean_of_j_and_f(tmp_path: Path) -> None:
    wide = rectangle(4, 4, 24, 34)  # an IoU of 2/3, with three outlines right
    speckled = SQUARE.copy()
    speckled[6:22:2, 5:23:2] = 0  # an IoU of 0.82, with outlines inside
    result = judged(tmp_path, [SQUARE] * 2, {1: [speckled] * 2, 2: [wide] * 2})
    (found,) = result.objects
    assert found.best_iou == pytest.approx(1 - 72 / 400)
    assert found.track_id == 2


def test_an_object_that_no_track_touches_is_missed(tmp_path: Path) -> None:
    result = judged(tmp_path, [SQUARE] * 2, {1: [rectangle(40, 40, 60, 60)] * 2})
    (found,) = result.objects
    assert (found.track_id, found.best_iou, found.latency) == (None, 0, None)
    assert (found.worst.frame_index, found.worst.score) == (0, 0)
    assert result.scores["recall@50"] == result.scores["best_track_J&F"] == 0
    assert "latency_frames" not in result.scores


def test_masks_that_were_added_afterwards_do_not_shorten_the_latency(tmp_path: Path) -> None:
    truth = [EMPTY, *[SQUARE] * 5]
    found = judged(tmp_path, truth, {1: truth}, shown_from={1: 4}).objects[0]
    assert found.region == 1
    assert found.latency == 3
    assert judged(tmp_path, truth, {1: truth}, shown_from={}).objects[0].latency is None


def test_a_track_that_is_always_empty_is_no_track(tmp_path: Path) -> None:
    assert judged(tmp_path, [SQUARE] * 2, {1: [SQUARE] * 2, 2: [EMPTY] * 2}).num_tracks == 1


def test_void_belongs_to_no_mask(tmp_path: Path) -> None:
    truth = SQUARE.copy()
    truth[:, 24:] = 255
    around, aside = rectangle(4, 4, 24, 34), rectangle(30, 30, 60, 60)
    result = judged(tmp_path, [truth] * 2, {1: [around] * 2, 2: [aside] * 2})
    assert result.objects[0].region == 1
    assert result.scores["hota"] == 1


def test_the_rank_of_an_object_is_that_of_the_best_ranked_track_that_is_it(tmp_path: Path) -> None:
    longer = [rectangle(40, 40, 60, 60)] * 4
    result = judged(tmp_path, [SQUARE] * 4, {1: [SQUARE, SQUARE, SQUARE, EMPTY], 2: longer})
    assert result.objects[0].ranks == (2, 2)


def test_masks_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"00000\.png: the mask is"):
        judged(tmp_path, [SQUARE], {1: [np.ones((8, 8), np.uint8)]})
