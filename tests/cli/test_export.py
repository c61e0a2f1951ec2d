from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run


def test_a_folder_that_runs_without_torch(workdir: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    pytest.importorskip("torch")
    asked: list[tuple[Any, str]] = []
    calibrations: list[Any] = []

    def export_model(model: Any, folder: Path, *, precision: str, calibrate: Any) -> None:
        asked.append((model, precision))
        calibrations.append(calibrate)
        (folder / "decode.onnx").write_bytes(bytes(2000))

    monkeypatch.setattr("masklet.model.checkpoint.load_model", lambda path: f"model of {path}")
    monkeypatch.setattr("masklet.engine.export.export_model", export_model)
    (workdir / "ema.pt").touch()
    result = run("export", "ema.pt", "out", "--precision", "fp32")
    assert result.status == 0
    assert asked == [("model of ema.pt", "fp32")]
    assert "decode.onnx" in result.out
    assert "wrote out (2.0 kB)" in result.out
    run("export", "ema.pt", "out").fails_with("out exists and is not empty")
    assert run("export", "ema.pt", "out", "--force", "--json").json["bytes"] == {"decode.onnx": 2000}
    assert asked[-1][1] == "fp16"
    assert calibrations == [None, None]
    monkeypatch.setattr("masklet.evaluation.int8.calibration_run", lambda roots: f"run on {roots}")
    assert run("export", "ema.pt", "eight", "--precision", "int8", "--calibrate", "clips").status == 0
    assert (asked[-1][1], calibrations[-1]) == ("fp16", "run on ['clips']")


def test_bad_input(workdir: Path, run: Run) -> None:
    run("export", "ema.pt", "out", "--precision", "int4").fails_with(
        "--precision must be one of fp16, fp32, int8, got 'int4'"
    )
    for options in (("--precision", "int8"), ("--calibrate", "clips")):
        run("export", "ema.pt", "out", *options).fails_with("--precision int8 and --calibrate ROOT go together")
    pytest.importorskip("torch")
    run("export", "ema.pt", "out").fails_with("model 'ema.pt' does not exist")
    run("export", "nano", "out").fails_with("nano is an exported model already: give a checkpoint")
    assert not (workdir / "out").exists()


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "masklet.engine.export", raising=False)
    run("export", "ema.pt", "out").fails_with('exporting needs torch: pip install "masklet[export]"')
