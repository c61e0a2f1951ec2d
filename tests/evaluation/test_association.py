from __future__ import annotations

import math
import sys
from itertools import pairwise

import numpy as np
import pytest

from masklet.errors import EngineError
from masklet.evaluation.association import AssociationMeter, association_scores, check_trackeval
from masklet.masks.rle import CocoRle, encode_rle

from .oracle import rectangle

pytest.importorskip("trackeval", reason="the extra evaluate is not installed")


def box(left: int, width: int = 10) -> CocoRle:
    return encode_rle(rectangle(0, left, 10, left + width) > 0)


def scores(*frames: tuple[dict[int, CocoRle], dict[int, CocoRle]]) -> dict[str, float]:
    meter = AssociationMeter()
    for truth, tracks in frames:
        meter.add(truth, tracks)
    return association_scores([meter.counts()])


def test_tracks_that_are_the_objects_score_one() -> None:
    frames = [({1: box(0), 2: box(30)}, {7: box(0), 5: box(30)})] * 4
    result = scores(*frames)
    assert {result[name] for name in ("hota", "deta", "assa", "idf1", "owta")} == {1.0}
    assert result["id_switches"] == result["id_switches_per_100"] == 0


def test_a_track_of_something_unlabelled_lowers_deta_but_not_owta() -> None:
    result = scores(*[({1: box(0)}, {1: box(0), 2: box(40)})] * 4)
    assert result["deta"] == pytest.approx(1 / 2)  # 4 matches, 4 false masks
    assert result["assa"] == result["owta"] == 1
    assert result["hota"] == pytest.approx(math.sqrt(1 / 2))
    assert result["idf1"] == pytest.approx(4 / (4 + 0.5 * 4))


def test_an_id_that_changes_halfway_costs_association_only() -> None:
    result = scores(*[({1: box(0)}, {1: box(0)})] * 5, *[({1: box(0)}, {2: box(0)})] * 5)
    assert result["deta"] == 1
    assert result["assa"] == pytest.approx(1 / 2)  # each track: 5 common frames of the object's 10
    assert result["hota"] == pytest.approx(math.sqrt(1 / 2))
    assert result["idf1"] == pytest.approx(5 / (5 + 0.5 * 5 + 0.5 * 5))
    assert result["id_switches"] == 1
    assert result["id_switches_per_100"] == pytest.approx(10)


def test_a_mask_counts_at_the_thresholds_that_its_iou_reaches() -> None:
    result = scores(({1: box(0)}, {1: box(0, width=6)}))  # an IoU of 0.6: 12 of the thresholds 0.05, 0.10, ... 0.95
    assert result["deta"] == pytest.approx(12 / 19)
    assert result["hota"] == pytest.approx(12 / 19)


def test_a_lost_object_counts_as_missed_and_its_return_under_the_same_id_is_no_switch() -> None:
    seen, lost = ({1: box(0)}, {1: box(0)}), ({1: box(0)}, {})
    result = scores(seen, lost, seen, seen)
    assert result["deta"] == pytest.approx(3 / 4)
    assert result["id_switches"] == 0


def test_clips_are_combined_over_their_masks() -> None:
    perfect, empty = AssociationMeter(), AssociationMeter()
    for _ in range(3):
        perfect.add({1: box(0)}, {1: box(0)})
    empty.add({1: box(0)}, {})
    combined = association_scores([perfect.counts(), empty.counts()])
    assert combined["deta"] == pytest.approx(3 / 4)
    assert combined["assa"] == 1
    assert combined["idf1"] == pytest.approx(3 / (3 + 0.5))


def test_frames_without_objects_or_tracks_can_be_judged() -> None:
    assert scores(({}, {}), ({}, {1: box(0)}))["hota"] == 0


def test_random_tracks_agree_with_sums_over_their_definition() -> None:
    rng = np.random.default_rng(0)
    meter, true_ids, track_ids = AssociationMeter(), [], []
    for _ in range(30):  # one object, on track 1, 2 or none; masks are right or absent
        track_id = int(rng.integers(0, 3))
        meter.add({1: box(0)}, {track_id: box(0)} if track_id else {})
        true_ids.append(1)
        track_ids.append(track_id)
    counts = {track_id: track_ids.count(track_id) for track_id in (1, 2)}
    matches = sum(counts.values())
    assa = sum(count * count / 30 for count in counts.values()) / matches
    result = association_scores([meter.counts()])
    assert result["assa"] == pytest.approx(assa)
    assert result["hota"] == pytest.approx(math.sqrt(assa * matches / 30))
    held = [track_id for track_id in track_ids if track_id]
    assert result["id_switches"] == sum(earlier != later for earlier, later in pairwise(held))


def test_without_trackeval_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)
    with pytest.raises(EngineError, match=r'pip install "masklet\[evaluate\]"'):
        check_trackeval()
