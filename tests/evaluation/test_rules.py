from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from masklet.datasets import open_dataset
from masklet.errors import ConfigError, DataError
from masklet.evaluation.records import ObjectTrack, WorstFrame
from masklet.evaluation.rules import RULES, read_groups, rules_named
from masklet.evaluation.vos import evaluate_vos
from masklet.masks.rle import encode_rle

from .oracle import OracleEngine, rectangle, write_pair

LABELLED = (0, 5, 10, 15, 20)


@pytest.mark.parametrize(
    ("name", "mask_given", "first", "last", "judged"),
    [
        ("masklet", True, 5, 15, (10, 15, 20)),
        ("masklet", False, 5, 15, (5, 10, 15, 20)),
        ("davis2017", True, 5, 15, (5, 10, 15)),
        ("davis2016", True, 0, 20, (5, 10, 15)),
        ("mose", True, 5, 15, (5, 10, 15)),
        ("sa-v", True, 0, 20, (5, 10, 15)),
        ("youtube-vos", False, 5, 15, (10, 15, 20)),
        ("lvos", True, 5, 20, (10, 15)),
        ("lvos", True, 0, 15, (5, 10)),
    ],
)
def test_which_frames_each_benchmark_judges(name, mask_given, first, last, judged) -> None:
    assert rules_named(name).frames(LABELLED, first, last, mask_given=mask_given) == judged


def test_an_unknown_benchmark_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"benchmark must be one of masklet, davis2016, .* got 'davis'"):
        rules_named("davis")


def write_youtube(root: Path) -> None:
    """One clip of a cow (1, in the training set) and of a newt (2, not)."""
    for index in range(3):
        labels = rectangle(40, 2, 60, 22, 2, onto=rectangle(4, 2, 24, 22, 1))
        seen = labels.copy()
        if index:
            seen[50:60, 2:22] = 0  # half of the newt is lost
        write_pair(
            root / f"valid/JPEGImages/c/{index:05d}.png",
            root / f"valid/Annotations/c/{index:05d}.png",
            labels,
            seen=seen,
        )
    for split, kinds in (("valid", ("cow", "newt")), ("train", ("cow", "dog"))):
        objects = {str(number): {"category": kind, "frames": []} for number, kind in enumerate(kinds, start=1)}
        (root / split).mkdir(exist_ok=True)
        (root / split / "meta.json").write_text(json.dumps({"videos": {"c": {"objects": objects}}}))


def test_youtube_vos_averages_seen_and_unseen_apart(tmp_path: Path) -> None:
    write_youtube(tmp_path)
    report = evaluate_vos(OracleEngine(), open_dataset(tmp_path, split="valid"), rules=RULES["youtube-vos"])
    assert report.group_scores["seen"]["J"] == 1
    assert report.group_scores["unseen"]["J"] == pytest.approx(0.5)
    four = [report.group_scores[group][metric] for group in ("seen", "unseen") for metric in ("J", "F")]
    assert report.overall["J&F"] == pytest.approx(np.mean(four))


def test_lvos_lists_its_unseen_clips(tmp_path: Path) -> None:
    for clip in ("a", "b"):
        write_pair(tmp_path / f"JPEGImages/{clip}/0.png", tmp_path / f"Annotations/{clip}/0.png", rectangle(0, 0, 9, 9))
    (tmp_path / "unseen_videos.txt").write_text("b\n")
    group_of = read_groups(open_dataset(tmp_path).clips)
    assert (group_of("a", 1), group_of("b", 1)) == ("seen", "unseen")


def test_without_such_files_there_are_no_groups(tmp_path: Path) -> None:
    write_pair(tmp_path / "JPEGImages/a/0.png", tmp_path / "Annotations/a/0.png", rectangle(0, 0, 9, 9))
    assert read_groups(open_dataset(tmp_path).clips)("a", 1) is None


def test_a_broken_meta_file_is_named(tmp_path: Path) -> None:
    write_youtube(tmp_path)
    (tmp_path / "valid/meta.json").write_text("{}")
    with pytest.raises(DataError, match=r"meta\.json is not a meta\.json of YouTube-VOS"):
        read_groups(open_dataset(tmp_path, split="valid").clips)


def test_recall_and_decay_are_those_of_davis() -> None:
    """Numbers of davis2017-evaluation's `db_statistics` on the same values."""
    values = (0.9, 0.8, 0.7, 0.6, 0.55, 0.5, 0.45, 0.4, 0.2)
    track = ObjectTrack(
        "c", 1, 0, tuple(range(9)), values, values, WorstFrame(8, 0.2, encode_rle(np.eye(2, dtype=bool)))
    )
    # linspace(1, 9, 5) - 1 is 0, 2, 4, 6, 8: quarters [0.9, 0.8, 0.7] and [0.45, 0.4, 0.2]
    assert track.statistics["J_recall"] == pytest.approx(5 / 9)
    assert track.statistics["J_decay"] == pytest.approx(0.8 - 0.35)
