from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from masklet.errors import ConfigError, DataError
from masklet.evaluation.rules import RULES
from masklet.evaluation.running import RunOptions
from masklet.evaluation.vos import evaluate_vos
from masklet.evaluation.written import evaluate_masks

from .oracle import OracleEngine, rectangle, write_pair

Array = np.ndarray


@pytest.fixture
def oracle() -> OracleEngine:
    return OracleEngine()


def moving_square(count: int, value: int = 1, top: int = 4) -> list[Array]:
    return [rectangle(top, 2 + 5 * index, top + 20, 22 + 5 * index, value) for index in range(count)]


def write_clip(root: Path, name: str, truth: list[Array], seen: list[Array] | None = None) -> None:
    for index, labels in enumerate(truth):
        write_pair(
            root / name / f"frames/{index:05d}.png",
            root / name / f"masks/{index:05d}.png",
            labels,
            seen=None if seen is None else seen[index],
        )


@pytest.mark.parametrize("prompt", ["mask", "click", "box"])
def test_a_perfect_engine_scores_one(tmp_path: Path, oracle: OracleEngine, prompt) -> None:
    write_clip(tmp_path, "two", [a + b for a, b in zip(moving_square(4), moving_square(4, 2, top=40), strict=True)])
    report = evaluate_vos(oracle, tmp_path, prompt=prompt)
    assert report.overall == report.rows["two"] == {"J": 1.0, "F": 1.0, "J&F": 1.0}
    assert [track.object_id for track in report.tracks] == [1, 2]


@pytest.mark.parametrize(
    ("prompt", "skip_last", "judged"),
    [("mask", False, (1, 2, 3)), ("mask", True, (1, 2)), ("click", False, (0, 1, 2, 3)), ("box", True, (0, 1, 2))],
)
def test_which_frames_are_judged(tmp_path: Path, oracle: OracleEngine, prompt, skip_last, judged) -> None:
    write_clip(tmp_path, "clip", moving_square(4))
    report = evaluate_vos(oracle, tmp_path, prompt=prompt, skip_last=skip_last)
    assert report.tracks[0].frame_indices == judged


def test_an_object_that_comes_later_is_prompted_and_judged_from_there(tmp_path: Path, oracle: OracleEngine) -> None:
    late = [np.zeros_like(frame) for frame in moving_square(2)] + moving_square(5, 2, top=40)[2:]
    write_clip(tmp_path, "clip", [a + b for a, b in zip(moving_square(5), late, strict=True)])
    first, second = evaluate_vos(oracle, tmp_path).tracks
    assert (first.prompted_frame, first.frame_indices) == (0, (1, 2, 3, 4))
    assert (second.prompted_frame, second.frame_indices) == (2, (3, 4))
    assert second.scores["J&F"] == 1


def test_frames_without_a_mask_are_tracked_but_not_judged(tmp_path: Path, oracle: OracleEngine) -> None:
    write_clip(tmp_path, "clip", moving_square(5))
    for index in (1, 3):
        (tmp_path / f"clip/masks/{index:05d}.png").unlink()
    calls: list[tuple[int, int, str]] = []
    report = evaluate_vos(oracle, tmp_path, run=RunOptions(progress=lambda *call: calls.append(call)))
    assert report.tracks[0].frame_indices == (2, 4)
    assert oracle.images_encoded == 5
    assert calls[-1] == (5, 5, "clip")


def test_an_absent_object_is_right_when_nothing_is_predicted(tmp_path: Path, oracle: OracleEngine) -> None:
    truth = moving_square(4)
    truth[2] = truth[3] = np.zeros_like(truth[0])
    seen = [*moving_square(3), np.zeros_like(truth[0])]  # sees it on frame 2 though it has gone
    write_clip(tmp_path, "clip", truth, seen)
    track = evaluate_vos(oracle, tmp_path).tracks[0]
    assert track.region == track.boundary == (1.0, 0.0, 1.0)
    assert track.worst.frame_index == 2


def test_void_is_not_judged(tmp_path: Path, oracle: OracleEngine) -> None:
    seen = moving_square(3)
    truth = [np.where((np.arange(64) < 10)[:, None] & (labels == 1), 255, labels) for labels in seen]
    write_clip(tmp_path, "clip", truth, seen)
    assert evaluate_vos(oracle, tmp_path).overall["J&F"] == 1


def test_means_go_over_frames_then_objects_then_clips(tmp_path: Path, oracle: OracleEngine) -> None:
    write_clip(tmp_path, "good", [a + b for a, b in zip(moving_square(3), moving_square(3, 2, 40), strict=True)])
    half = [rectangle(4, 2, 24, 22), *[rectangle(4, 2, 14, 22)] * 2]
    write_clip(tmp_path, "half", [rectangle(4, 2, 24, 22)] * 3, half)
    report = evaluate_vos(oracle, tmp_path)
    assert report.rows["half"]["J"] == pytest.approx(0.5)
    assert report.overall["J"] == pytest.approx((1 + 0.5) / 2)
    assert report.over_objects["J"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert report.overall["J&F"] == pytest.approx((report.overall["J"] + report.overall["F"]) / 2)


def test_masks_are_saved_under_the_names_of_the_frames_and_score_the_same(tmp_path: Path, oracle: OracleEngine) -> None:
    seen = [np.roll(labels, index, axis=1) for index, labels in enumerate(moving_square(4))]
    write_clip(tmp_path / "data", "late", [np.zeros_like(seen[0]), *moving_square(4)], [np.zeros_like(seen[0]), *seen])
    report = evaluate_vos(oracle, tmp_path / "data", save_masks=tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved/late").iterdir()) == [f"{i:05d}.png" for i in range(1, 5)]
    written = evaluate_masks(tmp_path / "saved", tmp_path / "data")
    assert 0 < report.overall["J"] < 1
    assert written.overall == report.overall
    assert written.tracks == report.tracks


def test_clips_by_name_and_limit(tmp_path: Path, oracle: OracleEngine) -> None:
    for name in ("a", "b", "c", "d"):
        write_clip(tmp_path, name, moving_square(2))
    assert list(evaluate_vos(oracle, tmp_path, clips=["d", "b"]).rows) == ["d", "b"]
    assert list(evaluate_vos(oracle, tmp_path, limit=2).rows) == ["a", "c"]
    with pytest.raises(DataError, match="no 'x': there are a, b, c, d"):
        evaluate_vos(oracle, tmp_path, clips=["x"])


def test_davis_2016_merges_all_objects(tmp_path: Path, oracle: OracleEngine) -> None:
    left, right = rectangle(4, 4, 24, 24, 1), rectangle(30, 30, 50, 50, 2)
    write_clip(tmp_path, "clip", [left + right] * 4, seen=[(left + right > 0).astype(np.uint8)] * 4)
    report = evaluate_vos(oracle, tmp_path, rules=RULES["davis2016"])
    assert len(report.tracks) == 1
    assert report.overall["J&F"] == 1
    assert report.tracks[0].frame_indices == (1, 2)


def test_clips_without_objects_are_named(tmp_path: Path, oracle: OracleEngine) -> None:
    write_clip(tmp_path, "full", moving_square(3))
    write_clip(tmp_path, "empty", [np.zeros((64, 64), np.uint8)] * 2)
    report = evaluate_vos(oracle, tmp_path)
    assert list(report.rows) == ["full"]
    assert report.settings["clips_without_objects"] == ["empty"]
    with pytest.raises(DataError, match="none of the 1 clips"):
        evaluate_vos(oracle, tmp_path / "empty")


def test_an_unknown_prompt_is_refused(tmp_path: Path, oracle: OracleEngine) -> None:
    with pytest.raises(ConfigError, match="mask, click, box, got 'word'"):
        evaluate_vos(oracle, tmp_path, prompt="word")  # type: ignore[arg-type]
