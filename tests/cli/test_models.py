from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Run
from masklet.cli import models


@pytest.fixture
def embedded(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where nano is looked for."""
    monkeypatch.setattr("masklet.engine.open.embedded_folder", lambda name: here / name)
    return here / "nano"


def test_the_list(embedded: Path, run: Run) -> None:
    listed = {model["name"]: model for model in run("models", "--json").json["models"]}
    assert len(listed) == 9
    assert not listed["nano"]["present"]
    assert listed["sam2.1-tiny"] == {
        "name": "sam2.1-tiny",
        "million_parameters": 39.0,
        "image_size": 1024,
        "origin": "facebookresearch/sam2",
        "present": False,
        "path": None,
    }


def test_the_list_to_read(embedded: Path, run: Run) -> None:
    embedded.mkdir()
    (embedded / "model.json").write_text(json.dumps({"spec": {"image_size": 384}}))
    (embedded / "decode.onnx").write_bytes(bytes(5_000_000))
    result = run("models")
    assert result.status == 0
    nano = next(line for line in result.out.splitlines() if line.startswith("nano"))
    assert "384 x 384" in nano
    assert nano.rstrip().endswith("yes, 5.0 MB")
    assert "sam2.1-base-plus" in result.out


def test_parameters_are_counted_right() -> None:
    torch = pytest.importorskip("torch")
    from masklet.model.config import NANO_CONFIG, OFFICIAL_CONFIGS
    from masklet.model.sam2 import SAM2

    counted = {}
    for name, config in {"nano": NANO_CONFIG, **OFFICIAL_CONFIGS}.items():
        with torch.device("meta"):
            model = SAM2(config)
        counted[name] = round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 1)
    assert counted == models._MILLION_PARAMETERS
