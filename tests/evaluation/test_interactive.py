from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from masklet.errors import ConfigError, DataError
from masklet.evaluation.interactive import annotation_time, evaluate_interactive
from masklet.evaluation.running import RunOptions
from masklet.prompts import Prompt
from masklet.records import Conditioned, Decoded

from .oracle import OracleEngine, rectangle, write_pair

Array = np.ndarray


class Forgetful(OracleEngine):
    """Loses the lower half of every object that it only tracks; a frame that is prompted is right."""

    def decode(
        self, conditioned: Conditioned[Array], prompts: Sequence[Prompt | None], *, multimask: bool | None = None
    ) -> list[Decoded[Array]]:
        answers = super().decode(conditioned, prompts, multimask=multimask)
        for row, prompt in enumerate(prompts):
            if prompt is None:
                mask = answers[row].low_res_logits[0] > 0
                rows = np.flatnonzero(mask.any(axis=1))
                if len(rows):
                    answers[row].low_res_logits[:, int(rows.mean()) + 1 :] = -10.0
        return answers


def write_clip(root: Path, name: str, count: int = 6, late: bool = True) -> None:
    for index in range(count):
        labels = rectangle(4, 4, 24, 24 + 2 * index)  # wider and wider
        if late and index >= 2:
            labels = rectangle(40, 4, 60, 24, 2, onto=labels)
        write_pair(root / name / f"frames/{index:05d}.png", root / name / f"masks/{index:05d}.png", labels)


def test_a_perfect_engine_needs_one_frame_and_one_click(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip")
    for mode in ("offline", "online"):
        report = evaluate_interactive(OracleEngine(), tmp_path, mode=mode, frames=3)  # type: ignore[arg-type]
        assert report.overall == {"J&F@1": 1.0, "J&F@2": 1.0, "J&F@3": 1.0, "J&F": 1.0}
        first, late = report.objects
        assert (first.prompted_frames, late.prompted_frames) == ((0,), (2,))
        assert [found.num_clicks for found in first.rounds] == [1, 1, 1]


def test_offline_corrects_the_worst_frame_of_each_object(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip")
    report = evaluate_interactive(Forgetful(), tmp_path, mode="offline", frames=4)
    first, late = report.objects
    # All tracked frames are half wrong: of equally bad ones the earliest comes first.
    assert first.prompted_frames == (0, 1, 2, 3)
    assert late.prompted_frames == (2, 3, 4, 5)
    assert late.scores["J&F@4"] == 1.0
    assert [found.num_frames for found in first.rounds] == [1, 2, 3, 4]
    regions = [found.region for found in first.rounds]
    assert regions == sorted(regions)
    assert regions[0] == pytest.approx((1 + 5 * 0.5) / 6, abs=0.02)


def test_online_pauses_where_the_mask_is_bad_and_only_there(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip", late=False)
    report = evaluate_interactive(Forgetful(), tmp_path, mode="online", frames=3)
    (found,) = report.objects
    assert found.prompted_frames == (0, 1, 2)
    regions = [after.region for after in found.rounds]
    assert regions == pytest.approx([(count + (6 - count) * 0.5) / 6 for count in (1, 2, 3)], abs=0.02)


def test_online_does_not_pause_above_the_limit(tmp_path: Path) -> None:
    for index in range(4):  # an IoU of 0.8 on every frame but the first
        seen = rectangle(4, 4, 24, 24) if index == 0 else rectangle(4, 4, 20, 24)
        write_pair(
            tmp_path / f"c/frames/{index}.png", tmp_path / f"c/masks/{index}.png", rectangle(4, 4, 24, 24), seen=seen
        )
    report = evaluate_interactive(OracleEngine(), tmp_path, mode="online", frames=4)
    assert report.objects[0].prompted_frames == (0,)
    assert report.overall["J&F@1"] == report.overall["J&F@4"] < 1


def test_frames_without_labels_are_tracked_but_never_chosen(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip", late=False)
    for index in (1, 2):
        (tmp_path / f"clip/masks/{index:05d}.png").unlink()
    for mode in ("offline", "online"):
        report = evaluate_interactive(Forgetful(), tmp_path, mode=mode, frames=2)  # type: ignore[arg-type]
        assert report.objects[0].prompted_frames == (0, 3)


def test_time_is_as_the_paper_has_it() -> None:
    # 300 frames: 30 s to watch. Two frames of three clicks: 2 x 1 s + 6 x 1.5 s.
    assert annotation_time("offline", num_frames=300, prompted_frames=2, clicks=6) == 11 + 2 * 30
    assert annotation_time("online", num_frames=300, prompted_frames=2, clicks=6) == 11 + 30


def test_the_document_has_a_curve_over_time(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip")
    document = evaluate_interactive(Forgetful(), tmp_path, frames=2).to_dict()
    assert document["task"] == "interactive offline"
    assert [effort["frames"] for effort in document["efforts"]] == [1, 2]
    assert document["efforts"][1]["J&F"] == pytest.approx(
        np.mean([found["J&F@2"] for found in document["clips"]["clip"]["objects"].values()])
    )


def test_bad_settings_are_named(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip")
    with pytest.raises(ConfigError, match="mode must be one of offline, online, got 'both'"):
        evaluate_interactive(OracleEngine(), tmp_path, mode="both")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="frames must be a whole number of at least 1, got 0"):
        evaluate_interactive(OracleEngine(), tmp_path, frames=0)
    write_pair(tmp_path / "no/frames/0.png", tmp_path / "no/masks/0.png", np.zeros((64, 64), np.uint8))
    with pytest.raises(DataError, match="none of the 1 clips has an object"):
        evaluate_interactive(OracleEngine(), tmp_path, clips=["no"])


def test_progress_counts_frames(tmp_path: Path) -> None:
    write_clip(tmp_path, "clip")
    calls: list[tuple[int, int, str]] = []
    evaluate_interactive(OracleEngine(), tmp_path, frames=2, run=RunOptions(progress=lambda *call: calls.append(call)))
    assert calls[-1] == (12, 12, "clip")
