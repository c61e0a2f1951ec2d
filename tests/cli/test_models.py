from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from masklet.cli import models
from masklet.model.checkpoint import Checkpoint, Layout, save_checkpoint
from masklet.model.config import NANO_CONFIG, OFFICIAL_CONFIGS, HieraConfig, ModelConfig
from masklet.model.sam2 import SAM2
from tests.cli.conftest import Run

TOY = ModelConfig(
    name="sam2.1-toy",
    image_size=128,
    trunk=HieraConfig(embed_dim=16, num_heads=1, stages=(1, 1, 1, 1), global_attention_blocks=(2,)),
    embed_dim=128,
    decoder_mlp_dim=32,
    memory_layers=1,
    memory_mlp_dim=32,
)


@pytest.fixture
def embedded(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of nano; official models are searched next to it."""
    monkeypatch.setattr("masklet.engine.hub.embedded_folder", lambda name: workdir / name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(workdir / "hub"))
    monkeypatch.setenv("MASKLET_MODELS", str(workdir))
    return workdir / "nano"


def test_the_list(embedded: Path, run: Run) -> None:
    listed = {model["name"]: model for model in run("models", "--json").json["models"]}
    assert len(listed) == 9
    assert not listed["nano"]["present"]
    assert listed["sam2.1-tiny"] == {
        "name": "sam2.1-tiny",
        "million_parameters": 39.0,
        "image_size": 1024,
        "origin": "hub: facebook/sam2.1-hiera-tiny",
        "present": False,
        "path": None,
    }


def test_the_list_as_text(embedded: Path, run: Run) -> None:
    embedded.mkdir()
    (embedded / "model.json").write_text(json.dumps({"spec": {"image_size": 384}}))
    (embedded / "decode.onnx").write_bytes(bytes(5_000_000))
    (embedded.parent / "sam2_hiera_large.pt").write_bytes(bytes(3000))
    result = run("models")
    assert result.status == 0
    large = next(line for line in result.out.splitlines() if line.startswith("sam2-large"))
    assert large.rstrip().endswith("yes, 3.0 kB")
    nano = next(line for line in result.out.splitlines() if line.startswith("nano"))
    assert "384 x 384" in nano
    assert nano.rstrip().endswith("yes, 5.0 MB")
    assert "sam2.1-base-plus" in result.out


def test_parameter_counts_are_correct() -> None:
    counted = {}
    for name, config in {"nano": NANO_CONFIG, **OFFICIAL_CONFIGS}.items():
        with torch.device("meta"):
            model = SAM2(config)
        counted[name] = round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 1)
    assert counted == models._MILLION_PARAMETERS


# What is this file?


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """Replaces a released model, so that its official weights are recognised."""
    monkeypatch.setattr("masklet.model.checkpoint.OFFICIAL_CONFIGS", {"sam2.1-toy": TOY})
    return Checkpoint(TOY, SAM2(TOY).state_dict())


@pytest.mark.parametrize(
    ("file", "layout"), [("toy.pt", "sam2"), ("toy.safetensors", "masklet"), ("toy", "transformers")]
)
def test_inspecting_every_layout(workdir: Path, run: Run, tiny: Checkpoint, file: str, layout: Layout) -> None:
    save_checkpoint(tiny, workdir / file, layout)
    found = run("models", "--inspect", file, "--json").json
    name = "sam2-custom" if layout == "transformers" else "sam2.1-toy"
    parameters = sum(parameter.numel() for parameter in SAM2(TOY).parameters())
    assert found.pop("bytes") > 4 * parameters
    assert found.pop("description") == (
        "like SAM 2: D=128, Hiera of 16 channels in 1, 1, 1, 1 blocks, memory attention of 1 layers"
    )
    assert found == {
        "path": file,
        "family": "SAM 2.1",
        "layout": layout,
        "model": name,
        "released": False,
        "parameters": parameters,
        "dtypes": ["float32"],
        "image_size": 128,
        "images_only": False,
    }


def test_inspecting_an_image_model_in_half_precision(workdir: Path, run: Run, tiny: Checkpoint) -> None:
    image_model = Checkpoint(
        dataclasses.replace(TOY, images_only=True), {key: value.half() for key, value in tiny.weights.items()}
    )
    save_checkpoint(image_model, workdir / "half.safetensors")
    lines = [line.split(maxsplit=1) for line in run("models", "--inspect", "half.safetensors").out.splitlines() if line]
    found = {line[0]: line[1].strip() for line in lines if len(line) == 2}
    assert found["numbers"] == "float16"
    assert found["use"] == "images only: it has no memory"
    assert found["family"] == "SAM 2"
    assert found["layout"] == "masklet"
    assert int(found["parameters"].replace(",", "")) < sum(value.numel() for value in tiny.weights.values())


def test_inspecting_what_is_inside_the_package(run: Run) -> None:
    found = run("models", "--inspect", "nano", "--json").json
    assert (found["layout"], found["model"], found["image_size"], found["released"]) == ("onnx", "nano", 384, True)


def test_inspecting_a_file_that_is_not_a_model(workdir: Path, run: Run) -> None:
    (workdir / "notes.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    run("models", "--inspect", "notes.pt").fails_with("notes.pt: it is a pointer of git-lfs")
    run("models", "--inspect", "nothing.pt").fails_with("model 'nothing.pt' does not exist")
