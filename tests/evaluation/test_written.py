from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from masklet.errors import DataError
from masklet.evaluation.rules import RULES
from masklet.evaluation.written import evaluate_masks

Array = np.ndarray


def random_labels(seed: int, num_objects: int = 3, size_hw: tuple[int, int] = (96, 128)) -> Array:
    """Ellipses, some cut by the border; each object has pixels."""
    generator = np.random.default_rng(seed)
    labels = np.zeros(size_hw, np.uint8)
    for object_id in range(1, num_objects + 1):
        centre = (int(generator.integers(0, size_hw[1])), int(generator.integers(0, size_hw[0])))
        axes = (int(generator.integers(8, 30)), int(generator.integers(8, 30)))
        cv2.ellipse(labels, centre, axes, float(generator.integers(0, 180)), 0, 360, object_id, -1)
    return labels


def write_masks(root: Path, clip: str, masks: list[Array]) -> None:
    (root / clip).mkdir(parents=True, exist_ok=True)
    for index, labels in enumerate(masks):
        Image.fromarray(labels).save(root / clip / f"{index:05d}.png")


def shaken(masks: list[Array], seed: int) -> list[Array]:
    generator = np.random.default_rng(seed)
    return [np.roll(labels, tuple(generator.integers(-6, 7, 2)), axis=(0, 1)) for labels in masks]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Results and truth of three clips. In the last one object 2 comes late and is foretold, and 3 goes."""
    for number, clip in enumerate(("one", "two", "three")):
        truth = [random_labels(10 * number + index) for index in range(7)]
        if clip == "three":
            for index in range(3):
                truth[index][truth[index] == 2] = 0
            for index in range(5, 7):
                truth[index][truth[index] == 3] = 0
        results = shaken(truth, number)
        if clip == "three":
            results[2][:20, :20] = 2
        write_masks(tmp_path / "truth", clip, truth)
        write_masks(tmp_path / "results", clip, results)
    return tmp_path / "results", tmp_path / "truth"


@pytest.mark.parametrize("clip", ["one", "two", "three"])
@pytest.mark.parametrize("skip", [True, False])
def test_every_object_scores_as_in_vos_benchmark(folders: tuple[Path, Path], clip: str, skip: bool) -> None:
    benchmark = pytest.importorskip("vos_benchmark.benchmark")
    results, truth = folders
    _, region, boundary = benchmark.VideoEvaluator(truth, results, skip_first_and_last=skip)(clip)
    rules = replace(RULES["mose"], skip_first=skip, skip_last=skip)
    tracks = evaluate_masks(results, truth, rules=rules, clips=[clip]).tracks
    assert {track.object_id for track in tracks} == set(region)
    for track in tracks:
        assert 0 < track.scores["J"] < 1
        assert track.scores["J"] == pytest.approx(region[track.object_id] / 100, abs=1e-6)
        assert track.scores["F"] == pytest.approx(boundary[track.object_id] / 100, abs=1e-6)


def test_the_global_score_of_davis_is_that_of_vos_benchmark(folders: tuple[Path, Path]) -> None:
    benchmark = pytest.importorskip("vos_benchmark.benchmark")
    results, truth = folders
    clips = ["one", "two"]  # whose objects are always there: where they are not, the two packages differ
    found = [benchmark.VideoEvaluator(truth, results)(clip) for clip in clips]
    region = np.mean([value for _, by_object, _ in found for value in by_object.values()]) / 100
    boundary = np.mean([value for _, _, by_object in found for value in by_object.values()]) / 100
    overall = evaluate_masks(results, truth, rules=RULES["davis2017"], clips=clips).overall
    assert overall == pytest.approx({"J": region, "F": boundary, "J&F": (region + boundary) / 2}, abs=1e-6)


def test_davis_also_counts_frames_before_an_object_appears(folders: tuple[Path, Path]) -> None:
    results, truth = folders
    report = evaluate_masks(results, truth, rules=RULES["davis2017"], clips=["three"])
    tracks = {track.object_id: track for track in report.tracks}
    assert tracks[2].frame_indices == (1, 2, 3, 4, 5)
    assert tracks[2].region[:2] == (1.0, 0.0)  # rightly absent, then foretold
    assert tracks[3].region[-1] == 1.0  # it has gone, and nothing is predicted


def test_one_png_per_object_as_in_sa_v(tmp_path: Path) -> None:
    truth = [random_labels(index) for index in range(5)]
    for root, masks in (("truth", truth), ("results", shaken(truth, 1))):
        for index, labels in enumerate(masks):
            for object_id in (1, 2, 3):
                folder = tmp_path / root / "clip" / f"{object_id - 1:03d}"
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(((labels == object_id) * 255).astype(np.uint8)).save(folder / f"{index:05d}.png")
    write_masks(tmp_path / "flat_truth", "clip", truth)
    write_masks(tmp_path / "flat_results", "clip", shaken(truth, 1))
    per_object = evaluate_masks(tmp_path / "results", tmp_path / "truth", rules=RULES["sa-v"])
    flat = evaluate_masks(tmp_path / "flat_results", tmp_path / "flat_truth", rules=RULES["sa-v"])
    assert [track.object_id for track in per_object.tracks] == [0, 1, 2]
    assert per_object.overall == flat.overall


def test_missing_or_unfitting_files_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    results, truth = folders
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(results / "one/00003.png")
    with pytest.raises(DataError, match=r"one/00003\.png, frame 00003, is 10 x 10 .* the truth is 128 x 96"):
        evaluate_masks(results, truth)
    (results / "one/00003.png").unlink()
    with pytest.raises(DataError, match="no mask for frame 00003"):
        evaluate_masks(results, truth)
    for path in (results / "two").iterdir():
        path.unlink()
    (results / "two").rmdir()
    with pytest.raises(DataError, match=r"no folder 'two', a clip of .* \(1 of 3 missing\)"):
        evaluate_masks(results, truth)
    with pytest.raises(DataError, match="results nowhere is not a folder"):
        evaluate_masks("nowhere", truth)
    with pytest.raises(DataError, match="nowhere is not a folder"):
        evaluate_masks(results, "nowhere")
