"""Every conversion from one layout to another and back, by the command."""

from __future__ import annotations

import hashlib
from itertools import permutations
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from masklet.model.checkpoint import Checkpoint, Layout, read_checkpoint, save_checkpoint
from masklet.model.config import NANO_CONFIG
from masklet.model.sam2 import SAM2
from tests.cli.conftest import Run
from tests.cli.test_models import TOY

NAMES: dict[Layout, str] = {"sam2": "model.pt", "masklet": "model.safetensors", "transformers": "model"}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """Return random weights in bf16, with the official model's unused part; the toy counts as a released model."""
    monkeypatch.setattr("masklet.model.checkpoint.OFFICIAL_CONFIGS", {"sam2.1-toy": TOY})
    weights = {key: value.bfloat16() for key, value in SAM2(TOY).state_dict().items()}
    return Checkpoint(TOY, weights, {"no_memory_position": torch.randn(TOY.embed_dim).bfloat16()})


def digests(path: Path) -> dict[str, str]:
    """Return a digest of every tensor in the file, with its type and shape."""
    if path.suffix == ".pt":
        tensors: dict[str, Tensor] = torch.load(path, weights_only=True)["model"]
    else:
        tensors = load_file(path / "model.safetensors" if path.is_dir() else path)
    return {
        key: f"{value.dtype} {tuple(value.shape)} "
        + hashlib.sha256(value.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
        for key, value in tensors.items()
    }


@pytest.mark.parametrize(("start", "other"), list(permutations(NAMES, 2)))
def test_a_round_trip_is_exact(workdir: Path, run: Run, toy: Checkpoint, start: Layout, other: Layout) -> None:
    source, between, back = (
        workdir / folder / NAMES[layout] for folder, layout in zip("abc", (start, other, start), strict=True)
    )
    save_checkpoint(toy, source, start)
    assert run("convert", source, between).status == 0
    assert run("convert", between, back).status == 0
    assert digests(back) == digests(source)
    assert digests(between) != digests(source)


def test_weights_without_the_unused_part_are_converted_without_it(workdir: Path, run: Run, toy: Checkpoint) -> None:
    save_checkpoint(Checkpoint(TOY, toy.weights), workdir / "a.safetensors")
    run("convert", "a.safetensors", "b.pt")
    run("convert", "b.pt", "c.safetensors")
    assert digests(workdir / "c.safetensors") == digests(workdir / "a.safetensors")


def test_image_models_convert_too(workdir: Path, run: Run, toy: Checkpoint) -> None:
    save_checkpoint(toy, workdir / "video", "transformers")
    state = load_file(workdir / "video" / "model.safetensors")
    image_parts = ("vision_encoder.", "prompt_encoder.", "mask_decoder.", "no_memory_embedding", "shared_image")
    (workdir / "image").mkdir()
    save_file({k: v for k, v in state.items() if k.startswith(image_parts)}, workdir / "image" / "model.safetensors")
    (workdir / "image" / "config.json").write_bytes((workdir / "video" / "config.json").read_bytes())
    assert run("convert", "image", "image.safetensors", "--json").json["model"] == "sam2-custom-images"
    run("convert", "image.safetensors", "again")
    assert digests(workdir / "again") == digests(workdir / "image")
    assert '"Sam2Model"' in (workdir / "again" / "config.json").read_text()
    assert read_checkpoint(workdir / "again").config.image_size == 128


def test_the_report(workdir: Path, run: Run, toy: Checkpoint) -> None:
    save_checkpoint(toy, workdir / "model.pt", "sam2")
    found = run("convert", "model.pt", "out/model.safetensors", "--image-size", "64", "--json").json
    assert found["from"] == "sam2"
    assert found["to"] == "masklet"
    assert found["bytes"] == (workdir / "out" / "model.safetensors").stat().st_size
    assert read_checkpoint(workdir / "out" / "model.safetensors").config.image_size == 64
    assert run("convert", "model.pt", "plain.safetensors", "--layout", "sam2").out.splitlines() == [
        "sam2.1-toy, from the layout of sam2 to that of sam2",
        f"wrote plain.safetensors ({(workdir / 'plain.safetensors').stat().st_size / 1e6:.1f} MB)",
        f"the layout of sam2 does not store the input size: load it with image_size={toy.config.image_size}",
    ]
    assert digests(workdir / "plain.safetensors") == digests(workdir / "model.pt")


def test_nothing_is_replaced_without_force(workdir: Path, run: Run, toy: Checkpoint) -> None:
    save_checkpoint(toy, workdir / "model.pt", "sam2")
    (workdir / "taken.safetensors").write_bytes(b"mine")
    run("convert", "model.pt", "taken.safetensors").fails_with("taken.safetensors exists")
    assert (workdir / "taken.safetensors").read_bytes() == b"mine"
    assert run("convert", "model.pt", "taken.safetensors", "--force").status == 0
    run("convert", "model.pt", "folder")
    run("convert", "model.pt", "folder").fails_with("folder exists and is not empty")
    assert run("convert", "model.pt", "folder", "--force").status == 0
    assert not list(workdir.rglob("*.part*"))


def test_a_bad_source_does_not_change_the_target(workdir: Path, run: Run) -> None:
    (workdir / "bad.pt").write_bytes(b"not a checkpoint")
    (workdir / "old.safetensors").write_bytes(b"mine")
    run("convert", "bad.pt", "old.safetensors", "--force").fails_with("damaged, or no PyTorch file")
    assert (workdir / "old.safetensors").read_bytes() == b"mine"
    run("convert", "bad.pt", "folder").fails_with("damaged")
    assert not (workdir / "folder").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nano", "nano.pt"], "is an exported model, which cannot be converted back"),
        (["model.pt", "out.pt", "--layout", "onnx"], "--layout must be one of sam2, transformers, masklet, got 'onnx'"),
        (["model.pt", "out.pt", "--image-size", "512"], "would be lost in the official layout"),
        (["model.pt", "out.safetensors", "--image-size", "100"], "image_size must be a multiple of 32, got 100"),
        (["model.pt", "out.pt", "--layout", "transformers"], "the layout of transformers is a folder, got out.pt"),
        (["model.pt", "out.onnx"], "the layout of transformers is a folder, got out.onnx"),
        (["model.pt", "out", "--layout", "sam2"], "the layout of sam2 is a file, got out"),
        (["nothing.pt", "out.safetensors"], "model 'nothing.pt' does not exist"),
    ],
)
def test_impossible_requests(workdir: Path, run: Run, toy: Checkpoint, arguments: list[str], words: str) -> None:
    save_checkpoint(toy, workdir / "model.pt", "sam2")
    run("convert", *arguments).fails_with(words)
    assert [path.name for path in workdir.iterdir()] == ["model.pt"]


def test_models_of_masklets_own_kind_have_no_other_layout(workdir: Path, run: Run) -> None:
    weights = SAM2(NANO_CONFIG).state_dict()
    save_checkpoint(Checkpoint(NANO_CONFIG, weights), workdir / "nano.safetensors")
    run("convert", "nano.safetensors", "nano.pt").fails_with("only masklet's own layout can hold it")
    run("convert", "nano.safetensors", "folder").fails_with("only masklet's own layout can hold it")
    assert [path.name for path in workdir.iterdir()] == ["nano.safetensors"]
