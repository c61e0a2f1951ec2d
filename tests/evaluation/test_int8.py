"""What a model is run on for the ranges of int8."""

from __future__ import annotations

from pathlib import Path

import pytest

from masklet.errors import DataError
from masklet.evaluation.int8 import calibration_run
from tests.datasets.tiny import write_clip, write_images
from tests.fake_engine import FakeEngine


def test_images_are_encoded_and_clips_tracked(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    write_clip(tmp_path / "clips" / "one" / "frames", tmp_path / "clips" / "one" / "masks", 3)
    engine = FakeEngine()
    calibration_run([tmp_path / "images", tmp_path / "clips"])(engine)
    assert engine.attended


def test_images_alone_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    with pytest.raises(DataError, match="clips"):
        calibration_run([tmp_path / "images"])
