"""A training learns, resumes exactly, and keeps what it has when it fails."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.train.tiny_data import write_data

from masklet.errors import CheckpointError
from masklet.model.config import NANO_CONFIG
from masklet.model.sam2 import SAM2
from masklet.train.config import TrainConfig
from masklet.train.loop import Part, Trainer, train
from masklet.train.recipes import RECIPES
from masklet.train.steps import StepConfig

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


def config(data: Path, weights: Path, **changes: object) -> TrainConfig:
    values = {
        "image_root": str(data),
        "model": TINY,
        "init": str(weights),
        "steps": 4,
        "size": SIZE,
        "images_per_step": 2,
        "objects_per_image": 2,
        "clips_per_step": 1,
        "objects_per_clip": 2,
        "frames_per_clip": 3,
        "clip_fraction": 0.5,
        "warmup_steps": 1,
        "log_every": 1,
        "checkpoint_every": 2,
        "workers": 0,
        "pictures": False,
        "more_clicks_from": 1.0,
        "step": StepConfig(image_clicks=2),
    }
    return TrainConfig(**(values | changes))  # type: ignore[arg-type]


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
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
    with pytest.raises(CheckpointError, match="learning_rate differ"):
        train(config(data, weights, steps=2, learning_rate=1.0), tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(config(data, weights, clip_fraction=0.0), tmp_path)
    trainer._save()
    with torch.no_grad():
        trainer.model.mask_decoder.mask_tokens.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="at step 0"):
        trainer.run()
    assert torch.load(tmp_path / "last.pt", weights_only=True)["done_steps"] == 0


def test_what_is_frozen_stays_and_the_rest_moves(data: Path, weights: Path, tmp_path: Path) -> None:
    before = torch.load(weights, weights_only=True)["model"]
    trainer = Trainer(config(data, weights, frozen_trunk_stages=7), tmp_path)
    trainer.run()
    after = trainer.model.state_dict()
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert not any(name.startswith("image_encoder.trunk") for name in moved)
    assert any(name.startswith("mask_decoder") for name in moved)
    assert any(name.startswith("memory_attention") for name in moved)
    assert any(name.startswith("correspondence") for name in moved)


@pytest.mark.slow
def test_training_lowers_the_loss(data: Path, weights: Path, tmp_path: Path) -> None:
    train(config(data, weights, steps=80, clip_fraction=0.3, learning_rate=2e-3), tmp_path)
    course = losses(tmp_path)
    assert sum(course[-10:]) < 0.8 * sum(course[:10])


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_make_valid_configurations(name: str) -> None:
    recipe = RECIPES[name]("images/", "clips/", "start.pt")
    assert (recipe.image_root, recipe.clip_root, recipe.init) == ("images/", "clips/", "start.pt")
