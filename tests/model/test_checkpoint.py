"""Weights in three layouts: read, recognised, written, converted there and back, and refused when they do not fit."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from masklet.engine.torch_engine import TorchEngine
from masklet.errors import CheckpointError, ConfigError, EngineError, OutputError
from masklet.model.checkpoint import (
    Checkpoint,
    from_sam2,
    from_transformers,
    load_model,
    read_checkpoint,
    save_checkpoint,
    to_sam2,
    to_transformers,
)
from masklet.model.config import NANO_CONFIG, OFFICIAL_CONFIGS, ModelConfig
from masklet.model.foreign import config_to_transformers
from masklet.model.sam2 import SAM2
from masklet.segmentation.segmenter import Segmenter
from masklet.tracking.tracker import Tracker

from .tiny import TINY, TINY_OLD, random_model


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    unused = {"no_memory_position": torch.randn(TINY.embed_dim)}
    return Checkpoint(TINY, random_model().state_dict(), unused)


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert value.dtype == theirs[key].dtype
        assert torch.equal(value, theirs[key]), key


def blank(config: ModelConfig) -> Checkpoint:
    """Shapes without weights: full-size models at no cost."""
    with torch.device("meta"):
        return Checkpoint(config, SAM2(config).state_dict())


OFFICIAL_SHAPES = {
    "image_encoder.trunk.patch_embed.proj.weight": (96, 3, 7, 7),
    "image_encoder.trunk.blocks.1.proj.weight": (192, 96),
    "image_encoder.neck.convs.0.conv.weight": (256, 768, 1, 1),
    "image_encoder.neck.convs.3.conv.weight": (256, 96, 1, 1),
    "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": (2, 128),
    "sam_prompt_encoder.point_embeddings.3.weight": (1, 256),
    "sam_prompt_encoder.mask_downscaling.6.bias": (256,),
    "sam_mask_decoder.transformer.layers.1.cross_attn_token_to_image.out_proj.weight": (256, 128),
    "sam_mask_decoder.output_hypernetworks_mlps.2.layers.2.weight": (32, 256),
    "sam_mask_decoder.conv_s1.weight": (64, 256, 1, 1),
    "memory_attention.layers.3.cross_attn_image.k_proj.weight": (256, 64),
    "memory_encoder.mask_downsampler.encoder.12.weight": (256, 256, 1, 1),
    "memory_encoder.fuser.layers.1.gamma": (256,),
    "maskmem_tpos_enc": (7, 1, 1, 64),
    "no_mem_embed": (1, 1, 256),
    "no_mem_pos_enc": (1, 1, 256),
    "no_obj_ptr": (1, 256),
    "no_obj_embed_spatial": (1, 64),
    "obj_ptr_tpos_proj.weight": (64, 256),
    "mask_downsample.weight": (1, 1, 4, 4),
}


def test_official_names_and_shapes() -> None:
    state = to_sam2(blank(OFFICIAL_CONFIGS["sam2.1-tiny"]))
    assert len(state) == 471
    assert {key: tuple(state[key].shape) for key in OFFICIAL_SHAPES} == OFFICIAL_SHAPES


@pytest.mark.parametrize("name", OFFICIAL_CONFIGS)
def test_released_models_are_recognised_by_their_weights(name: str) -> None:
    model = blank(OFFICIAL_CONFIGS[name])
    assert from_sam2(to_sam2(model)).config == OFFICIAL_CONFIGS[name]


@pytest.mark.parametrize("config", [TINY, TINY_OLD], ids=["sam2.1", "sam2"])
def test_there_and_back_is_exact(config: ModelConfig) -> None:
    weights = random_model(config).state_dict()
    unused = {"no_memory_position": torch.randn(config.embed_dim)}
    ours = Checkpoint(config, weights, unused)
    official = to_sam2(ours)
    again = from_sam2(official, config)
    assert_same(again.weights, weights)
    assert_same(again.unused, unused)
    theirs = to_transformers(again)
    assert_same(to_sam2(from_transformers(theirs, config)), official)


def test_slots_and_labels_are_in_our_order(checkpoint: Checkpoint) -> None:
    official = to_sam2(checkpoint)
    slots = checkpoint.weights["slot_encodings"]
    for frames_ago in range(1, 7):  # sam2_base.py: maskmem_tpos_enc[num_maskmem - t_pos - 1], t_pos = 7 - frames ago
        assert torch.equal(official["maskmem_tpos_enc"][frames_ago - 1, 0, 0], slots[frames_ago])
    assert torch.equal(official["maskmem_tpos_enc"][6, 0, 0], slots[0])
    labels = checkpoint.weights["prompt_encoder.label_embeddings"]
    for label in range(4):
        assert torch.equal(official[f"sam_prompt_encoder.point_embeddings.{label}.weight"][0], labels[label])


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("model.pt", "masklet"),
        ("model.safetensors", "masklet"),
        ("model.pt", "sam2"),
        ("model.safetensors", "sam2"),
        ("folder", "transformers"),
    ],
)
def test_files_of_every_layout(tmp_path: Path, checkpoint: Checkpoint, name: str, layout: Any) -> None:
    path = tmp_path / name
    save_checkpoint(checkpoint, path, layout)
    again = read_checkpoint(path, TINY if layout == "sam2" else None)
    assert again.layout == layout
    assert dataclasses.replace(again.config, name=TINY.name) == TINY
    assert_same(again.weights, checkpoint.weights)
    assert_same(again.unused, checkpoint.unused)
    plain = tmp_path / "plain"
    plain.touch()
    assert all(file.stat().st_mode == plain.stat().st_mode for file in tmp_path.rglob("*.*"))  # others may read it, too


def test_a_loaded_model_has_the_weights(tmp_path: Path, checkpoint: Checkpoint) -> None:
    half = Checkpoint(TINY, {key: value.half() for key, value in checkpoint.weights.items()})
    save_checkpoint(half, tmp_path / "half.safetensors")
    loaded = read_checkpoint(tmp_path / "half.safetensors")
    assert loaded.config == TINY
    assert_same(loaded.weights, half.weights)
    model = load_model(tmp_path / "half.safetensors")
    assert_same(dict(model.state_dict()), {key: value.float() for key, value in half.weights.items()})
    assert not model.training


def test_weights_of_a_training_run(tmp_path: Path) -> None:
    """As `masklet.train.loop` writes them."""
    model = blank(NANO_CONFIG)
    weights = {key: torch.zeros(value.shape) for key, value in model.weights.items()}
    torch.save({"config": NANO_CONFIG.to_dict(), "model": weights}, tmp_path / "ema.pt")
    assert read_checkpoint(tmp_path / "ema.pt").config == NANO_CONFIG
    torch.save({"config": {"steps": 10}, "model": weights, "optimizer": {}}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=r"last\.pt: this is the state of a training: give the ema\.pt"):
        read_checkpoint(tmp_path / "last.pt")


def test_weights_written_before_configurations_had_inference_facts(tmp_path: Path) -> None:
    weights = {key: torch.zeros(value.shape) for key, value in blank(NANO_CONFIG).weights.items()}
    config = {name: value for name, value in NANO_CONFIG.to_dict().items() if name != "inference"}
    torch.save({"config": config, "model": weights}, tmp_path / "ema.pt")
    assert read_checkpoint(tmp_path / "ema.pt").config == NANO_CONFIG


def test_bare_state_dicts_are_read(tmp_path: Path, checkpoint: Checkpoint) -> None:
    torch.save(to_sam2(checkpoint), tmp_path / "bare.pt")
    assert_same(read_checkpoint(tmp_path / "bare.pt", TINY).weights, checkpoint.weights)


def test_keys_that_do_not_fit_are_listed_by_their_names_in_the_file(checkpoint: Checkpoint) -> None:
    state = to_sam2(checkpoint)
    del state["no_obj_ptr"]
    state["memory_encoder.out_proj.bias"] = torch.zeros(3)
    state["mask_downsample.bias"] = torch.zeros(1, dtype=torch.int64)
    state |= {f"extra.{i:02}": torch.zeros(1) for i in range(12)}
    with pytest.raises(CheckpointError) as caught:
        from_sam2(state, TINY)
    text = str(caught.value)
    assert "1 missing: no_obj_ptr" in text
    assert "12 unexpected: extra.00, extra.01" in text
    assert "extra.09 and 2 more" in text
    assert "extra.10" not in text
    assert "memory_encoder.out_proj.bias (expected (64,), got (3,))" in text
    assert "mask_downsample.bias (torch.int64)" in text


def test_half_of_the_newer_version_is_missing_keys() -> None:
    state = to_sam2(blank(OFFICIAL_CONFIGS["sam2.1-small"]))
    del state["no_obj_embed_spatial"]
    with pytest.raises(CheckpointError, match=r"do not fit sam2\.1-small; keys 1 missing: no_obj_embed_spatial"):
        from_sam2(state)


def test_an_unknown_trunk_needs_its_configuration(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=r"no released model has this trunk.*16 in \(1, 2, 3, 2\).*96 in \("):
        from_sam2(to_sam2(checkpoint))


FAMILIES = {
    "SAM 1": (["image_encoder.blocks.0.norm1.weight", "mask_decoder.iou_token.weight"], "weights of SAM 1"),
    "SAM 1 in transformers": (["vision_encoder.layers.0.attn.qkv.weight", "mask_decoder.iou_token.weight"], "SAM 1"),
    "EdgeTAM": (["image_encoder.trunk.body.stem.weight", "sam_mask_decoder.iou_token.weight"], "weights of EdgeTAM"),
    "EfficientTAM": (
        ["image_encoder.trunk.blocks.0.norm1.weight", "sam_mask_decoder.iou_token.weight"],
        "EfficientTAM",
    ),
    "SAM 3": (["detector.backbone.vision_backbone.trunk.pos_embed"], "weights of SAM 3"),
    "a ResNet": (["conv1.weight", "layer1.0.conv1.weight"], "not weights of SAM 2.*'conv1.weight'"),
    "an empty file": ([], "none of its parts is among the 0 keys"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_other_families_are_named(tmp_path: Path, family: str) -> None:
    keys, words = FAMILIES[family]
    torch.save({key: torch.zeros(2) for key in keys}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(tmp_path / "other.pt")


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this must never run",))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_refused_and_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], zipped: bool
) -> None:
    torch.save({"model": _Code()}, tmp_path / "evil.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"evil\.pt: it holds more than tensors.*and reading that could run code"):
        read_checkpoint(tmp_path / "evil.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kept", [7, 0.5, 0.999])
def test_truncated_files(tmp_path: Path, checkpoint: Checkpoint, suffix: str, kept: float) -> None:
    path = tmp_path / f"model{suffix}"
    save_checkpoint(checkpoint, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    with pytest.raises(CheckpointError, match=r"damaged, or no .{0,120}: download or copy it again$"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"hello, world\n" * 20, pickle.dumps([1, 2])], ids=["text", "a list"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_of_another_kind(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"file\{suffix}: "):
        read_checkpoint(path)


def test_missing_files_and_folders_say_what_to_give(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.pt"):
        with pytest.raises(CheckpointError, match="does not exist: give a"):
            read_checkpoint(path)


IMAGE_PARTS = ("vision_encoder.", "prompt_encoder.", "mask_decoder.", "no_memory_embedding", "shared_image_embedding")


def test_an_image_model_segments_and_refuses_to_track(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """Without the memory the answers for images are the same."""
    save_checkpoint(checkpoint, tmp_path / "video", "transformers")
    state = load_file(tmp_path / "video" / "model.safetensors")
    save_file({k: v for k, v in state.items() if k.startswith(IMAGE_PARTS)}, tmp_path / "image.safetensors")
    whole = TorchEngine(load_model(tmp_path / "video"), device="cpu")
    image = TorchEngine(load_model(tmp_path / "image.safetensors", TINY), device="cpu")
    assert image.info.images_only
    assert image.info.name == "sam2-tiny-images"
    assert not whole.info.images_only
    rgb = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    expected, found = (Segmenter(engine).set_image(rgb).predict(points_xy=[(30, 20)]) for engine in (whole, image))
    assert np.array_equal(found.low_res_logits, expected.low_res_logits)
    with pytest.raises(EngineError, match="sam2-tiny-images cannot track: its weights are those of an image model"):
        Tracker(image)


def test_half_a_memory_is_missing_keys(checkpoint: Checkpoint) -> None:
    state = to_transformers(checkpoint)
    half = {key: value for key, value in state.items() if not key.startswith("memory_attention.")}
    with pytest.raises(CheckpointError, match=r"missing: memory_attention\.layer_norm"):
        from_transformers(half, TINY)


def test_the_image_model_of_transformers_is_read(tmp_path: Path, checkpoint: Checkpoint) -> None:
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install transformers")
    parts = config_to_transformers(dataclasses.replace(TINY, images_only=True))
    model = transformers.Sam2Model(transformers.Sam2Config(**parts))
    model.load_state_dict({k: v for k, v in to_transformers(checkpoint).items() if k.startswith(IMAGE_PARTS)})
    model.save_pretrained(tmp_path / "theirs")
    again = read_checkpoint(tmp_path / "theirs")
    of_a_memory = {"memory_layers": TINY.memory_layers, "memory_mlp_dim": TINY.memory_mlp_dim}  # which it cannot say
    expected = dataclasses.replace(TINY, images_only=True, name="sam2-custom-images")
    assert dataclasses.replace(again.config, **of_a_memory) == expected
    image_keys = [key for key in checkpoint.weights if key in again.own_weights]
    assert_same(again.own_weights, {key: checkpoint.weights[key] for key in image_keys})
    assert again.num_parameters == sum(parameter.numel() for parameter in model.parameters())


# What people have.


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "module._orig_mod.", "sam2_model."])
@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict"])
def test_checkpoints_of_training_scripts(tmp_path: Path, checkpoint: Checkpoint, key: str, prefix: str) -> None:
    """Optimizer, epoch and what trainers wrap around a model are no part of it."""
    state = {prefix + name: value for name, value in to_sam2(checkpoint).items()}
    content = {key: state, "optimizer": {"state": {}}, "epoch": 3, "best_meter_values": {"loss": 0.5}}
    torch.save(content, tmp_path / "checkpoint.pt")
    assert_same(read_checkpoint(tmp_path / "checkpoint.pt", TINY).weights, checkpoint.weights)


def test_other_weights_in_the_folder_are_not_taken_for_the_model(checkpoint: Checkpoint, tmp_path: Path) -> None:
    state = {f"net.{name}": value for name, value in to_sam2(checkpoint).items()}
    torch.save({"state_dict": state | {"loss.weight": torch.ones(1)}}, tmp_path / "lightning.ckpt")
    with pytest.raises(CheckpointError, match=r"keys 1 unexpected: loss\.weight"):
        read_checkpoint(tmp_path / "lightning.ckpt", TINY)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_fp32(tmp_path: Path, checkpoint: Checkpoint, dtype: torch.dtype) -> None:
    state = {key: value.to(dtype) for key, value in to_sam2(checkpoint).items()}
    save_file(state, tmp_path / "model.safetensors")
    assert read_checkpoint(tmp_path / "model.safetensors", TINY).dtypes == (str(dtype).removeprefix("torch."),)
    model = load_model(tmp_path / "model.safetensors", TINY)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}


def test_a_model_that_was_trained_at_another_size(tmp_path: Path, checkpoint: Checkpoint) -> None:
    save_checkpoint(checkpoint, tmp_path / "model.pt", "sam2")
    model = load_model(tmp_path / "model.pt", TINY, image_size=64)
    assert TorchEngine(model, device="cpu").info.image_size == 64
    with pytest.raises(ConfigError, match="image_size must be a multiple of 32, got 100"):
        load_model(tmp_path / "model.pt", TINY, image_size=100)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"it is empty \(0 bytes\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n", "pointer of git-lfs.*git lfs pull"),
        (b"<!DOCTYPE html>\n<html>", "it is a web page"),
    ],
    ids=["empty", "git-lfs", "web page"],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_other_files_are_refused_with_a_reason(tmp_path: Path, content: bytes, words: str, suffix: str) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(path)


def test_a_yolo_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As torch answers to the pickled classes of Ultralytics."""

    def load(*_: Any, **__: Any) -> Any:
        raise pickle.UnpicklingError(
            "Weights only load failed.\n\tWeightsUnpickler error: Unsupported global: GLOBAL "
            "ultralytics.nn.tasks.DetectionModel was not an allowed global by default."
        )

    monkeypatch.setattr("masklet.model.checkpoint.torch.load", load)
    (tmp_path / "yolo.pt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"model of YOLO \(ultralytics\.nn\.tasks\.DetectionModel\)"):
        read_checkpoint(tmp_path / "yolo.pt")


def test_integers_instead_of_weights(tmp_path: Path, checkpoint: Checkpoint) -> None:
    save_file({key: value.to(torch.int8) for key, value in to_sam2(checkpoint).items()}, tmp_path / "int8.safetensors")
    with pytest.raises(CheckpointError, match=r"\d+ not of floating-point numbers: .*\(torch\.int8\).* and \d+ more"):
        read_checkpoint(tmp_path / "int8.safetensors", TINY)


def test_a_folder_without_its_config_is_recognised_by_its_weights(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(checkpoint, tmp_path / "folder", "transformers")
    (tmp_path / "folder" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="no released model has this trunk"):
        read_checkpoint(tmp_path / "folder")
    monkeypatch.setattr("masklet.model.checkpoint.OFFICIAL_CONFIGS", {"sam2.1-toy": TINY})
    assert_same(read_checkpoint(tmp_path / "folder").weights, checkpoint.weights)


def test_transformers_may_save_its_frequencies_once_but_not_two_kinds(checkpoint: Checkpoint) -> None:
    copies = ("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding")
    for name in copies:
        state = to_transformers(checkpoint)
        del state[name]
        assert_same(from_transformers(state, TINY).weights, checkpoint.weights)
    state = to_transformers(checkpoint)
    state[copies[0]] = state[copies[0]] + 1
    with pytest.raises(CheckpointError, match="must be equal"):
        from_transformers(state, TINY)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "config.json is not JSON"),
        ("[]", "model_type"),
        ('{"model_type": "sam"}', "got 'sam'"),
        ('{"model_type": "sam2_video"}', "describes no model"),
    ],
)
def test_transformers_config_that_does_not_fit(tmp_path: Path, checkpoint: Checkpoint, text: str, words: str) -> None:
    save_checkpoint(checkpoint, tmp_path / "folder", "transformers")
    (tmp_path / "folder" / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(tmp_path / "folder")


def test_masklets_own_file_with_an_unknown_field(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "model.safetensors"
    description = json.dumps(TINY.to_dict() | {"wings": 2})
    save_file(checkpoint.weights, path, {"masklet": description})
    with pytest.raises(CheckpointError, match="wings"):
        read_checkpoint(path)


def test_models_of_masklets_own_kind_cannot_be_written_in_other_layouts(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nano is not of the official kind \(prompt_maps"):
        to_sam2(blank(NANO_CONFIG))
    with pytest.raises(CheckpointError, match="nano is not of the official kind"):
        save_checkpoint(blank(NANO_CONFIG), tmp_path / "folder", "transformers")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_full_disk_is_reported_and_leaves_no_file(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def save(content: object, path: Path, *more: object) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 20014016 vs 20013904\nmore")

    monkeypatch.setattr(torch, "save", save)
    monkeypatch.setattr("masklet.model.checkpoint.save_file", save)
    with pytest.raises(OutputError, match=rf"cannot write .*{name}: \[enforce fail.* vs 20013904$"):
        save_checkpoint(checkpoint, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_unknown_layout_is_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="layout must be one of masklet, sam2, transformers, got 'onnx'"):
        save_checkpoint(checkpoint, tmp_path / "model.pt", "onnx")  # type: ignore[arg-type]


def test_transformers_reads_our_folder_and_we_read_its(tmp_path: Path, checkpoint: Checkpoint) -> None:
    transformers = pytest.importorskip("transformers", reason="needs transformers: pip install transformers")
    save_checkpoint(checkpoint, tmp_path / "ours", "transformers")
    model = transformers.Sam2VideoModel.from_pretrained(tmp_path / "ours")
    assert_same(dict(model.state_dict()), load_file(tmp_path / "ours" / "model.safetensors"))
    model.save_pretrained(tmp_path / "theirs")
    again = read_checkpoint(tmp_path / "theirs")
    assert dataclasses.replace(again.config, name=TINY.name) == TINY
    assert_same(again.weights, checkpoint.weights)
    assert_same(again.unused, checkpoint.unused)
