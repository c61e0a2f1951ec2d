from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from masklet.discovery import DiscoveryConfig
from masklet.errors import ConfigError, DataError
from masklet.evaluation.baselines import LOST_FRAMES, OverlapLinker
from masklet.evaluation.compare import compare
from masklet.evaluation.discovery import METHODS, evaluate_discovery
from masklet.evaluation.running import RunOptions
from masklet.masks.rle import CocoRle, encode_rle

from .oracle import OracleEngine, _prompted_id, rectangle, write_pair

pytest.importorskip("trackeval", reason="the extra evaluate is not installed")

OFTEN = DiscoveryConfig(every=1, confirm_hits=2)
ISSUE_KEYS = {
    *("recall@50", "recall@75", "hota", "deta", "assa", "idf1", "id_switches", "tracks"),
    "best_track_J&F",
}


class ObjectsOnly(OracleEngine):
    """Does not take the background for an object; asks a coarse grid for everything."""

    @property
    def info(self):
        return replace(super().info, automatic_defaults={"points_per_side": 8, "min_stability": 0})

    def _answer(self, labels, prompt, embedding, multimask):
        answer = super()._answer(labels, prompt, embedding, multimask)
        on_background = prompt is not None and prompt.mask is None and _prompted_id(labels, prompt) == 0
        return replace(answer, iou_predictions=(0.0,) * len(answer.iou_predictions)) if on_background else answer


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A clip with an object on all six frames, and another one from frame 3 on."""
    for index in range(6):
        labels = rectangle(4, 2 + 3 * index, 24, 22 + 3 * index)
        if index >= 3:
            labels = rectangle(36, 30, 60, 60, 2, onto=labels)
        write_pair(
            tmp_path / f"clips/late/frames/{index:05d}.png", tmp_path / f"clips/late/masks/{index:05d}.png", labels
        )
    return tmp_path / "clips"


@pytest.mark.parametrize("method", METHODS)
def test_a_report_has_the_metrics_of_every_clip_and_overall(clips: Path, method: str) -> None:
    report = evaluate_discovery(ObjectsOnly(), clips, method=method)
    document = json.loads(json.dumps(report.to_dict()))
    assert document["overall"].keys() >= ISSUE_KEYS
    assert document["clips"]["late"].keys() >= ISSUE_KEYS
    assert sum(row["frames"] for row in document["ms_by_objects"]) == 6
    assert document["clips"]["late"]["objects"]["1"]["best_track_J&F"] == 1


def test_prompts_on_the_first_frame_miss_what_comes_later(clips: Path) -> None:
    report = evaluate_discovery(ObjectsOnly(), clips, method="first-frame")
    assert report.overall["recall@50"] == report.overall["best_track_J&F"] == 0.5
    assert report.overall["tracks"] == 1
    assert report.overall["idf1"] == pytest.approx(6 / (6 + 0.5 * 3))


def test_everything_on_each_frame_finds_what_comes_later_at_once(clips: Path) -> None:
    report = evaluate_discovery(ObjectsOnly(), clips, method="everything-per-frame")
    assert report.overall["recall@75"] == report.overall["hota"] == 1
    assert report.overall["tracks"] == 2
    assert report.overall["latency_frames"] == 0
    assert report.recall_curve()[0] == {"tracks": 1, "recall@50": 0.5, "recall@75": 0.5}


def test_discovery_finds_what_comes_later_once_it_is_confirmed(clips: Path) -> None:
    report = evaluate_discovery(ObjectsOnly(), clips, config=OFTEN)
    assert report.overall["recall@75"] == report.overall["hota"] == 1
    assert report.overall["tracks"] == 2
    assert [found.latency for found in report.clips[0].objects] == [1, 1]
    assert report.settings["discovery"]["confirm_hits"] == 2


def test_an_object_that_is_confirmed_at_the_end_is_a_track_without_latency(clips: Path) -> None:
    report = evaluate_discovery(ObjectsOnly(), clips, config=replace(OFTEN, confirm_hits=3), frames=5)
    assert [found.best_iou for found in report.clips[0].objects] == [1, 1]
    assert [found.latency for found in report.clips[0].objects] == [2, None]


def test_only_the_first_frames_and_the_best_masks_can_be_measured(clips: Path) -> None:
    report = evaluate_discovery(
        ObjectsOnly(), clips, method="everything-per-frame", config=DiscoveryConfig(max_objects=1), frames=4
    )
    assert report.clips[0].num_frames == 4
    assert [found.num_frames for found in report.clips[0].objects] == [4, 1]
    assert {timing.num_objects for timing in report.clips[0].timings} == {1}


def test_an_interrupted_run_continues_from_its_journal(clips: Path, tmp_path: Path) -> None:
    journal = RunOptions(journal=tmp_path / "discovery.jsonl")
    first = evaluate_discovery(ObjectsOnly(), clips, config=OFTEN, run=journal)
    engine = ObjectsOnly()
    assert evaluate_discovery(engine, clips, config=OFTEN, run=journal) == first
    assert engine.images_encoded == 0


def test_two_methods_can_be_compared(clips: Path) -> None:
    before, after = (evaluate_discovery(ObjectsOnly(), clips, method=name) for name in METHODS[1:])
    changes = {
        change.metric: change.difference
        for change in compare(before.to_dict(), after.to_dict()).changes
        if change.name == "overall"
    }
    assert changes["recall@50"] == 0.5
    assert changes["tracks"] == 1


def test_a_clip_without_objects_has_tracks_but_no_recall(clips: Path) -> None:
    for index in range(2):
        path = f"none/{{}}/{index:05d}.png"
        write_pair(clips / path.format("frames"), clips / path.format("masks"), np.zeros((64, 64), np.uint8))
    report = evaluate_discovery(ObjectsOnly(), clips, method="first-frame")
    assert report.rows["none"].keys() == {"tracks", "ms_per_frame"}
    assert report.overall["tracks"] == 0.5
    with pytest.raises(DataError, match="none of the 1 clips has an object"):
        evaluate_discovery(ObjectsOnly(), clips, clips=["none"])


def test_an_unknown_method_is_refused(clips: Path) -> None:
    with pytest.raises(ConfigError, match="method must be"):
        evaluate_discovery(ObjectsOnly(), clips, method="sort")
    with pytest.raises(ConfigError, match="direction must be"):
        evaluate_discovery(ObjectsOnly(), clips, direction="backward")


def box(left: int) -> CocoRle:
    return encode_rle(rectangle(0, left, 10, left + 10) > 0)


def test_masks_are_linked_by_overlap_and_ids_are_never_used_again() -> None:
    linker = OverlapLinker()
    assert linker.link(0, [box(0), box(30)]) == [1, 2]
    assert linker.link(1, [box(32), box(3)]) == [2, 1]
    assert linker.link(2, [box(50)]) == [3]
    assert linker.link(1 + LOST_FRAMES, [box(3)]) == [1]
    assert linker.link(2 + 2 * LOST_FRAMES, [box(3)]) == [4]


def test_the_greater_overlap_gets_the_track() -> None:
    linker = OverlapLinker()
    linker.link(0, [box(10)])
    assert linker.link(1, [box(4), box(11)]) == [2, 1]
