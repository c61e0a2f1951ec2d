"""Calibration: monotone curves, cross-fitted errors, and what is kept in a model folder."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

import masklet
from masklet.engine.onnx_engine import SPEC_FILE, read_spec
from masklet.errors import CheckpointError, DataError
from masklet.evaluation.calibration import (
    Observation,
    calibrate,
    calibration_error,
    curves_of,
    fit_curve,
    observe_clips,
    observe_images,
    write_curves,
)
from tests.datasets.tiny import write_clip, write_images
from tests.fake_engine import FakeEngine

NANO = Path(masklet.__file__).parent / "models" / "nano"


def observations(count: int = 400, *, optimism: float = 0.25) -> list[Observation]:
    """Predictions that are too high by `optimism`, with noise."""
    random = np.random.default_rng(0)
    ious = random.uniform(0.1, 0.7, count)
    values = ious + optimism + random.normal(0, 0.02, count)
    return [
        Observation(f"source {index % 3}", f"image {index}", "click", float(value), float(iou))
        for index, (value, iou) in enumerate(zip(values, ious, strict=True))
    ]


def test_an_optimist_is_set_right() -> None:
    (click,) = calibrate(observations())
    assert click.error_before == pytest.approx(0.25, abs=0.02)
    assert click.error_after < 0.03
    assert np.interp(0.65, click.inputs, click.outputs) == pytest.approx(0.4, abs=0.03)


def test_the_error_is_that_of_data_the_curve_has_not_seen() -> None:
    random = np.random.default_rng(1)
    noise = [
        Observation("one", f"image {index}", "click", float(value), float(random.uniform(0, 1)))
        for index, value in enumerate(random.uniform(0, 1, 40))
    ]
    (click,) = calibrate(noise)
    assert click.error_after > 0.05  # a curve judged on its own data would be nearly perfect


def test_a_curve_that_does_not_carry_over_is_not_kept() -> None:
    # What the first half of the images teaches is wrong on the second.
    rows = [
        Observation("all", name, "box", 0.5, 0.9 if zlib.crc32(name.encode()) % 2 else 0.1)
        for name in (f"image {index}" for index in range(200))
    ]
    (box,) = calibrate(rows)
    assert box.error_after > box.error_before
    assert curves_of([box]) == {}


def test_each_source_has_equal_weight() -> None:
    many = [Observation("many", f"a{index}", "box", 0.5, 0.2) for index in range(90)]
    few = [Observation("few", f"b{index}", "box", 0.5, 0.8) for index in range(10)]
    (box,) = calibrate(many + few)
    assert box.outputs == (0.5,)


def test_curves_do_not_fall() -> None:
    random = np.random.default_rng(2)
    values, ious = random.uniform(0, 1, 200), random.uniform(0, 1, 200)
    inputs, outputs = fit_curve(values, ious, np.ones(200))
    assert (np.diff(inputs) > 0).all()
    assert (np.diff(outputs) >= 0).all()
    assert outputs.mean() == pytest.approx(ious.mean(), abs=0.05)


def test_the_error_is_the_mean_distance_over_bins() -> None:
    confidences, ious = np.array([0.15, 0.95, 0.95]), np.array([0.15, 0.75, 0.95])
    assert calibration_error(confidences, ious) == pytest.approx(0.2 / 3)
    assert calibration_error(confidences, ious, np.array([1.0, 0.0, 1.0])) == pytest.approx(0.0)
    assert calibration_error(np.array([1.0]), np.array([1.0])) == 0.0


def test_nothing_to_calibrate_on_is_an_error() -> None:
    with pytest.raises(DataError, match="0 observations are not enough to calibrate"):
        calibrate([])
    with pytest.raises(DataError, match="at least two images or clips"):
        calibrate([Observation("a", "the only image", "box", 0.5, 0.4)] * 5)


def test_curves_are_kept_in_the_model_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(NANO / SPEC_FILE, folder)
    curves = curves_of(calibrate(observations()))
    write_curves(folder, curves)
    assert read_spec(folder).calibration == curves
    document = json.loads((folder / SPEC_FILE).read_text())
    document["spec"]["calibration"] = {"click": {"inputs": [1, 0], "outputs": [0, 1]}}
    (folder / SPEC_FILE).write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match="calibration of click must have ascending inputs"):
        read_spec(folder)


def test_curves_are_written_into_model_folders_only(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not an exported model"):
        write_curves(tmp_path, {})


def test_images_and_clips_are_observed(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    write_clip(tmp_path / "clips" / "a" / "frames", tmp_path / "clips" / "a" / "masks")
    engine = FakeEngine()
    images = observe_images(engine, str(tmp_path / "images"))
    assert {row.stage for row in images} == {"click", "clicks", "box"}
    clips = observe_clips(engine, str(tmp_path / "clips"))
    assert {row.stage for row in clips} <= {"tracked", "absent"}
    assert clips
    assert all(0 <= row.iou <= 1 for row in images + clips)
