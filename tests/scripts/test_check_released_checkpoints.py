"""The comparison of released checkpoints, on tiny random ones in the official layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="checkpoints need PyTorch")
pytest.importorskip("transformers", reason="the comparison needs transformers")

from masklet.model.checkpoint import Checkpoint, save_checkpoint  # noqa: E402
from masklet.model.config import ModelConfig  # noqa: E402
from scripts.check_released_checkpoints import check, main, row  # noqa: E402
from tests.model.tiny import TINY, TINY_OLD, random_model  # noqa: E402

CONFIGS = {
    "sam2.1-tiny": dataclasses.replace(TINY, name="sam2.1-tiny"),
    "sam2-tiny": dataclasses.replace(TINY_OLD, name="sam2-tiny"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    released: Mapping[str, ModelConfig] = CONFIGS
    monkeypatch.setattr("masklet.model.checkpoint.OFFICIAL_CONFIGS", released)
    for name, config in CONFIGS.items():
        file = f"{name.replace('-', '_hiera_')}.pt"
        model = random_model(config)
        with torch.no_grad():  # the object is there on every frame, or there would be nothing to compare
            model.mask_decoder.object_score_head.layers[-1].bias.fill_(50.0)
        save_checkpoint(Checkpoint(config, model.state_dict()), tmp_path / file, "sam2")
    return tmp_path


def test_the_same_weights_give_the_same_masks(folder: Path) -> None:
    name = "sam2-tiny"
    result = check(name, folder, num_frames=2)
    assert (result.name, result.weights) == (name, "masklet's")
    assert 0 < result.photo_difference < 1e-2
    assert 0 < result.video_difference < 1e-2
    assert result.photo_iou > 0.999
    assert result.video_iou > 0.99
    assert row(result).startswith(f"| {name} | masklet's | ")


def test_other_weights_are_noticed(folder: Path) -> None:
    theirs = pytest.importorskip("transformers").Sam2VideoModel
    from masklet.model.checkpoint import to_transformers
    from masklet.model.foreign import config_to_transformers

    config = CONFIGS["sam2.1-tiny"]
    configuration = pytest.importorskip("transformers").Sam2VideoConfig(**config_to_transformers(config))
    other = theirs(configuration)
    other.load_state_dict(to_transformers(Checkpoint(config, random_model(config, seed=1).state_dict())))
    other.save_pretrained(folder / "sam2.1-hiera-tiny")
    result = check("sam2.1-tiny", folder, num_frames=1)
    assert result.weights == "its own"
    assert result.photo_difference > 0.1
    assert result.photo_iou < 0.999


def test_the_table_and_what_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--folder", str(folder), "--only", "sam2.1-tiny", "--only", "sam2.1-large", "--frames", "1"])
    told = capsys.readouterr()
    assert status == 1
    assert [line.split("|")[1].strip() for line in told.out.splitlines() if line.startswith("| sam")] == ["sam2.1-tiny"]
    assert told.err.startswith("error: sam2.1-large: ")
