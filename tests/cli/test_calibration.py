"""`masklet evaluate calibration`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import masklet
from masklet.engine.onnx_engine import SPEC_FILE, read_spec
from tests.cli.conftest import Run
from tests.datasets.tiny import ids, save, write_clip, write_images
from tests.fake_engine import FakeEngine

NANO = Path(masklet.__file__).parent / "models" / "nano"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", names="abcdef")
    for name in "ab":
        write_clip(tmp_path / "clips" / name / "frames", tmp_path / "clips" / name / "masks")
    return tmp_path


def test_errors_before_and_after_are_shown(engine: FakeEngine, run: Run, data: Path) -> None:
    result = run("evaluate", "calibration", "--images", data / "images", "--clips", data / "clips", "--json")
    assert result.status == 0, result.err
    stages = {stage["stage"]: stage for stage in result.json["stages"]}
    assert {"click", "box"} <= set(stages)
    assert stages["box"]["num_observations"] == 12
    assert all(0 <= stage["error_after"] <= 1 for stage in stages.values())


def test_curves_are_written_to_a_folder(
    engine: FakeEngine, run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data / "model"
    folder.mkdir()
    shutil.copy(NANO / SPEC_FILE, folder)
    monkeypatch.setattr("masklet.engine.open.find_model", lambda name: folder)
    result = run("evaluate", "calibration", "--images", data / "images", "--write")
    assert result.status == 0, result.err
    assert "error before" in result.out
    assert "only curves that are better are kept" in result.out
    assert set(read_spec(folder).calibration) <= {"click", "clicks", "box"}


def test_empty_data_are_refused(engine: FakeEngine, run: Run, data: Path) -> None:
    for path in (data / "images/masks").iterdir():
        save(path, ids({}))
    run("evaluate", "calibration", "--images", data / "images").fails_with(
        "0 observations are not enough to calibrate: give at least two images or clips with labelled objects"
    )
    (data / "empty/images").mkdir(parents=True)
    (data / "empty/masks").mkdir()
    run("evaluate", "calibration", "--images", data / "empty").fails_with("empty/images holds no images")
    run("evaluate", "calibration", "--clips", data / "images").fails_with("holds no clips, only 6 images")


def test_there_must_be_data_and_a_folder(
    engine: FakeEngine, run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("evaluate", "calibration").fails_with("give --images or --clips, or both")
    monkeypatch.setattr("masklet.engine.open.find_model", lambda name: data / "model.pt")
    run("evaluate", "calibration", "--images", data / "images", "--write").fails_with(
        "--write needs an exported model's folder"
    )
