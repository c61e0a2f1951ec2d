"""A training learns, resumes exactly, and keeps what it has when it fails."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from masklet.errors import CheckpointError, ConfigError, DataError, OutputError
from masklet.model.checkpoint import read_checkpoint
from masklet.model.config import NANO_CONFIG
from masklet.model.sam2 import SAM2
from masklet.output import only_user
from masklet.train import loop
from masklet.train.clips import ClipDataConfig
from masklet.train.config import (
    HardwareConfig,
    LogConfig,
    LoraConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainableConfig,
    TrainConfig,
    ValidationConfig,
)
from masklet.train.data import ImageDataConfig
from masklet.train.loop import Part, Trainer, train
from masklet.train.recipes import RECIPES
from masklet.train.steps import StepConfig
from tests.conftest import LimitFiles
from tests.train.tiny_data import write_data

SIZE = 64
TINY = dataclasses.replace(NANO_CONFIG, image_size=SIZE, memory_layers=1, decoder_depth=1, memory_fuser_blocks=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "start.pt"
    torch.save({"config": TINY.to_dict(), "model": SAM2(TINY).state_dict()}, path)
    return path


def config(data: Path, weights: Path | None, **changes: object) -> TrainConfig:
    """A small run, with fields of its parts set by their names."""
    parts: dict[str, Any] = {
        "images": ImageDataConfig(root=str(data), size=SIZE, objects_per_image=2),
        "clips": ClipDataConfig(
            image_root=str(data), size=SIZE, objects_per_clip=2, num_frames=3, min_object_area=0.006
        ),
        "schedule": ScheduleConfig(
            steps=4, images_per_step=2, clips_per_step=1, clip_fraction=0.5, more_clicks_from=1.0
        ),
        "optimizer": OptimizerConfig(warmup_steps=1),
        "trainable": TrainableConfig(),
        "validation": ValidationConfig(),
        "log": LogConfig(every=1, checkpoint_every=2, pictures=False),
        "hardware": HardwareConfig(workers=0),
    }
    for name, value in changes.items():
        part = next(part for part, record in parts.items() if hasattr(record, name))
        parts[part] = dataclasses.replace(parts[part], **{name: value})
    init = None if weights is None else str(weights)
    return TrainConfig(model=TINY, init=init, step=StepConfig(image_clicks=2), **parts)


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_a_killed_run_resumes_with_identical_results(
    data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(config(data, weights), whole)
    step = Trainer._step

    def step_until_killed(trainer: Trainer, parts: Iterator[Part]) -> dict[str, float]:
        if trainer.done_steps == 3:  # a checkpoint was written after step 2
            raise KeyboardInterrupt
        return step(trainer, parts)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", step_until_killed)
        with pytest.raises(KeyboardInterrupt):
            train(config(data, weights), killed)
    train(config(data, weights), killed)
    assert losses(killed) == losses(whole)
    one, other = (torch.load(run / "ema.pt", weights_only=True)["model"] for run in (whole, killed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_is_not_continued_with_other_settings(data: Path, weights: Path, tmp_path: Path) -> None:
    train(config(data, weights, steps=2), tmp_path)
    with pytest.raises(CheckpointError, match=r"learning_rate: .* in the run, 1\.0 now"):
        train(config(data, weights, steps=2, learning_rate=1.0), tmp_path)
    with pytest.raises(CheckpointError, match=r"schedule\.steps: 2 in the run, 3 now.*--model .* and another --out"):
        train(config(data, weights, steps=3), tmp_path)


def test_a_run_without_newer_settings_can_be_resumed(data: Path, weights: Path, tmp_path: Path) -> None:
    train(config(data, weights, steps=2), tmp_path)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    del state["config"]["optimizer"]["layer_decay"]
    torch.save(state, tmp_path / "last.pt")
    train(config(data, weights, steps=2), tmp_path)
    with pytest.raises(CheckpointError, match=r"layer_decay: 1\.0 in the run, 0\.5 now"):
        train(config(data, weights, steps=2, layer_decay=0.5), tmp_path)


def test_a_run_with_flat_settings_is_refused_but_its_weights_can_be_loaded(
    data: Path, weights: Path, tmp_path: Path
) -> None:
    before = tmp_path / "before"
    train(config(data, weights, steps=2, clip_fraction=0.0), before)
    state = torch.load(before / "last.pt", weights_only=True)
    model = {name: value for name, value in TINY.to_dict().items() if name != "inference"}
    state["config"] = {"image_root": str(data), "steps": 2, "learning_rate": 6e-4, "model": model}
    torch.save(state, before / "last.pt")
    average = torch.load(before / "ema.pt", weights_only=True)
    torch.save({"config": model, "model": average["model"]}, before / "ema.pt")
    with pytest.raises(
        CheckpointError, match=r"started with a version of masklet before 0\.2.*--init .*before/ema\.pt"
    ):
        train(config(data, weights, steps=2), before)
    train(config(data, before / "ema.pt", steps=1, clip_fraction=0.0), tmp_path / "after")
    assert len(losses(tmp_path / "after")) == 1


def test_a_loss_that_is_not_finite_stops_the_run_names_the_batch_and_keeps_the_checkpoint(
    data: Path, weights: Path, tmp_path: Path
) -> None:
    trainer = Trainer(config(data, weights, clip_fraction=0.0), tmp_path)
    trainer._save()
    with torch.no_grad():
        trainer.model.mask_decoder.mask_tokens.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="at step 0, images 0 to 1 of stream 0"):
        trainer.run()
    assert torch.load(tmp_path / "last.pt", weights_only=True)["done_steps"] == 0
    assert torch.load(tmp_path / "bad_batch_0.pt", weights_only=True)[0].shape == (2, SIZE, SIZE, 3)
    assert (tmp_path / "bad_batch_0.png").is_file()


def test_a_full_disk_leaves_the_previous_checkpoint(
    data: Path, weights: Path, tmp_path: Path, limit_files: LimitFiles
) -> None:
    trainer = Trainer(config(data, weights), tmp_path)
    trainer._save()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    trainer.done_steps = 7
    with limit_files(1 << 20), pytest.raises(OutputError, match="cannot save step 7"):
        trainer._save()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def gradients_of_first_step(
    run: TrainConfig, out: Path, monkeypatch: pytest.MonkeyPatch, rank: int = 0, world: int = 1
) -> list[torch.Tensor]:
    """What one of several processes would add to the others' gradients."""
    found: list[torch.Tensor] = []
    with monkeypatch.context() as patch:
        patch.setenv("RANK", str(rank))
        patch.setenv("WORLD_SIZE", str(world))
        patch.setattr("torch.distributed.init_process_group", lambda backend: None)
        patch.setattr(loop, "_add_gradients", lambda parameters: None)
        trainer = Trainer(run, out)
        update = trainer.optimizer.step
        patch.setattr(nn.utils, "clip_grad_norm_", lambda parameters, norm: torch.ones(()))
        patch.setattr(trainer.optimizer, "step", lambda: (found.extend(grads(trainer)), update()))
        trainer._step(trainer._clip_parts() if run.schedule.clip_fraction else trainer._image_parts())
    return found


def grads(trainer: Trainer) -> list[torch.Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in trainer.parameters]


@pytest.mark.parametrize("clip_fraction", [0.0, 1.0])
def test_two_processes_compute_the_gradient_of_one(
    data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip_fraction: float
) -> None:
    run = config(data, weights, micro_batches=2, clips_per_step=2, clip_fraction=clip_fraction)
    alone = gradients_of_first_step(run, tmp_path / "one", monkeypatch)
    first, second = (
        gradients_of_first_step(run, tmp_path / str(rank), monkeypatch, rank, world=2) for rank in range(2)
    )
    assert any(gradient.any() for gradient in alone)
    assert all(torch.equal(one, a + b) for one, a, b in zip(alone, first, second, strict=True))


@pytest.mark.slow
def test_two_real_processes_end_with_the_weights_of_one(data: Path, weights: Path, tmp_path: Path) -> None:
    settings = [
        "images.size=64",
        "schedule.images_per_step=2",
        "schedule.micro_batches=2",
        "log.pictures=false",
        "hardware.workers=0",
        "hardware.device=cpu",
    ]
    for processes in (1, 2):
        arguments = [f"--data={data}", f"--model={weights}", f"--out={tmp_path / str(processes)}", "--steps=3"]
        command = [sys.executable, "-m", "masklet", "train", "finetune", *arguments, f"--processes={processes}"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([*command, *(f"--set={text}" for text in settings)], check=True, env=environment)
    one, two = (torch.load(tmp_path / name / "ema.pt", weights_only=True)["model"] for name in ("1", "2"))
    different = {
        name: (one[name] - two[name]).abs().max().item() for name in one if not torch.equal(one[name], two[name])
    }
    assert different == {}


def test_a_batch_must_fit_its_parts(data: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="images_per_step must be a multiple of the 3 parts"):
        Trainer(config(data, weights, micro_batches=3), tmp_path).run()


def test_frozen_parameters_stay_and_the_others_change(data: Path, weights: Path, tmp_path: Path) -> None:
    before = torch.load(weights, weights_only=True)["model"]
    trainer = Trainer(config(data, weights, frozen_trunk_stages=7), tmp_path)
    trainer.run()
    after = trainer.model.state_dict()
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert not any(name.startswith("image_encoder.trunk") for name in moved)
    assert any(name.startswith("mask_decoder") for name in moved)
    assert any(name.startswith("memory_attention") for name in moved)
    assert any(name.startswith("correspondence") for name in moved)


def test_frozen_patterns_and_layer_decay(data: Path, weights: Path, tmp_path: Path) -> None:
    run = config(data, weights, frozen=("memory_*",), frozen_trunk_stages=5, layer_decay=0.5, trunk_scale=0.5)
    trainer = Trainer(run, tmp_path)
    learning = {name for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert not any(name.startswith(("memory_", "image_encoder.trunk.stages.4")) for name in learning)
    rates = {id(p): group["top"] for group in trainer.optimizer.param_groups for p in group["params"]}
    parameters = dict(trainer.model.named_parameters())
    rate = {name: rates[id(parameters[name])] / run.optimizer.learning_rate for name in learning}
    assert rate["image_encoder.trunk.stages.6.0.project.weight"] == 0.5
    assert rate["image_encoder.trunk.stages.5.0.project.weight"] == 0.25
    assert rate["mask_decoder.mask_tokens"] == 1
    with pytest.raises(ConfigError, match=r"no parameter is named like 'memry_\*'"):
        Trainer(config(data, weights, frozen=("memry_*",)), tmp_path / "other")
    with pytest.raises(ConfigError, match="everything is frozen, so nothing can learn"):
        Trainer(config(data, weights, frozen=("*",)), tmp_path / "other")


def test_recomputing_changes_nothing(
    data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, recomputed = (
        gradients_of_first_step(
            config(data, weights, frozen_trunk_stages=0, clip_fraction=1.0, recompute=recompute),
            tmp_path / str(recompute),
            monkeypatch,
        )
        for recompute in (False, True)
    )
    assert any(gradient.any() for gradient in plain)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, recomputed, strict=True))


def test_adapters_learn_and_are_merged_into_the_saved_weights(data: Path, weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    run = config(data, weights, lora=LoraConfig(rank=2), frozen=("*",), learning_rate=1e-2, clip_fraction=0.0)
    trainer = Trainer(run, tmp_path)
    assert all("lora_" in name for name, p in trainer.model.named_parameters() if p.requires_grad)
    trainer.run()
    before, after = (read_checkpoint(path).weights for path in (weights, tmp_path / "ema.pt"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all("attention" in name or "_to_" in name or "mlp" in name for name in moved)
    resumed = Trainer(run, tmp_path)
    assert resumed.done_steps == run.schedule.steps
    again = resumed._plain().weights
    assert all(torch.equal(after[name], again[name]) for name in after)
    with pytest.raises(ConfigError, match="no linear layer is named like nothing"):
        Trainer(config(data, weights, lora=LoraConfig(layers=("nothing",))), tmp_path / "other")


def test_a_broken_file_of_the_validation_data_ends_the_run_before_its_first_step(
    data: Path, weights: Path, tmp_path: Path
) -> None:
    held_out = write_data(tmp_path / "held-out", 2)
    (held_out / "one/images/001.png").write_bytes(b"not an image")
    run = dataclasses.replace(config(data, weights), validation=ValidationConfig(root=str(held_out)))
    with pytest.raises(DataError, match=r"held-out/one/images/001\.png is not an image"):
        train(run, tmp_path / "run")
    assert not (tmp_path / "run/last.pt").exists()


def test_a_run_writes_scores_and_a_model_card(data: Path, weights: Path, tmp_path: Path) -> None:
    run = config(data, weights, steps=2, pictures=True)
    run = dataclasses.replace(run, validation=ValidationConfig(root=str(data), limit=1))
    train(run, tmp_path, command="masklet train tiny")
    measured = [json.loads(line) for line in (tmp_path / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in measured] == [0, 2]
    assert measured[1].keys() >= {"miou@1", "miou@3", "miou@box"}
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["000000.png", "000002.png"]
    started = json.loads((tmp_path / "run.json").read_text())["starts"]
    assert started[0]["command"] == "masklet train tiny"
    assert started[0]["versions"]["torch"] == torch.__version__
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert f"| one click | {100 * measured[0]['miou@1']:.1f} | {100 * measured[1]['miou@1']:.1f} |" in card
    assert "| two | 3 |" in card
    assert "masklet train tiny" in card
    assert f"masklet evaluate clicks {data} --clicks 3 --box --limit 1 --model {tmp_path}`" in card
    assert "| `schedule.steps` | `2` |" in card


@pytest.mark.slow
def test_training_lowers_the_loss(data: Path, weights: Path, tmp_path: Path) -> None:
    train(config(data, weights, steps=80, clip_fraction=0.3, learning_rate=2e-3), tmp_path)
    course = losses(tmp_path)
    assert sum(course[-10:]) < 0.8 * sum(course[:10])


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_make_valid_configurations(name: str, weights: Path) -> None:
    recipe = RECIPES[name]("images/", "clips/", str(weights))
    assert recipe.clips is not None
    assert (recipe.images.root, recipe.clips.clip_root, recipe.init) == ("images/", "clips/", str(weights))


def test_zero_initialised_parts_can_be_added_to_trained_weights(tmp_path: Path) -> None:
    maps = dataclasses.replace(NANO_CONFIG.prompt_maps, fine_sigmas=())  # type: ignore[type-var]
    before = SAM2(dataclasses.replace(TINY, decoder_refines=False, prompt_maps=maps))
    torch.save({"config": before.config.to_dict(), "model": before.state_dict()}, tmp_path / "before.pt")
    grown = SAM2(TINY)
    loop.load_weights(grown, tmp_path / "before.pt")
    decode = {
        "embedding": torch.randn(1, 128, 4, 4),
        "high_res_4": torch.randn(1, 16, 16, 16),
        "high_res_8": torch.randn(1, 32, 8, 8),
        "points_xy": torch.tensor([[[20.0, 30.0], [0.0, 0.0]]]),
        "labels": torch.tensor([[1, -1]]),
        "mask_logits": torch.randn(1, 1, 16, 16),
        "has_mask": torch.tensor([True]),
    }
    with torch.no_grad():
        assert torch.equal(before.decode(**decode).low_res_logits, grown.decode(**decode).low_res_logits)
    with pytest.raises(CheckpointError, match="fine_prompts"):
        loop.load_weights(before, _saved(grown, tmp_path / "grown.pt"))


def _saved(model: SAM2, path: Path) -> Path:
    torch.save({"config": model.config.to_dict(), "model": model.state_dict()}, path)
    return path


def test_a_run_in_use_is_refused(data: Path, weights: Path, tmp_path: Path) -> None:
    with only_user(tmp_path / "run"), pytest.raises(OutputError, match="run is in use by process"):
        train(config(data, weights), tmp_path / "run")
