"""Settings from the command line, by name."""

from __future__ import annotations

import pytest

from masklet.errors import ConfigError
from masklet.train.clips import ClipDataConfig
from masklet.train.config import (
    UNRELATED_TO_RESULTS,
    TrainConfig,
    changed_settings,
    config_to_dict,
    settings_of,
    with_settings,
)
from masklet.train.data import ImageDataConfig

CONFIG = TrainConfig(images=ImageDataConfig(root="images"), clips=ClipDataConfig(image_root="images"))


def test_settings_of_every_kind() -> None:
    changed = with_settings(
        CONFIG,
        {
            "optimizer.learning_rate": "1",
            "trainable.frozen": '["memory_*"]',
            "hardware.recompute": "true",
            "step.image_clicks": "3",
            "trainable.lora.rank": "4",
            "teacher": "nano",
            "step.memory.policy": "official",
            "images.weights": '{"coffee": 0.5}',
            "clips.num_frames": "7",
        },
    )
    assert (changed.optimizer.learning_rate, changed.hardware.recompute) == (1.0, True)
    assert (changed.step.image_clicks, changed.teacher) == (3, "nano")
    assert changed.clips == ClipDataConfig(image_root="images", num_frames=7)
    assert (changed.images.weights, changed.trainable.frozen) == ({"coffee": 0.5}, ("memory_*",))
    assert changed.trainable.lora is not None
    assert changed.trainable.lora.rank == 4


def test_changes_since_an_older_version_are_named() -> None:
    stored = config_to_dict(CONFIG)
    del stored["optimizer"]["layer_decay"], stored["step"]["clip_clicks"], stored["model"]["images_only"]
    assert changed_settings(CONFIG, stored) == {}
    stored["log"]["every"] = 7
    stored["step"]["image_clicks"] = 9
    stored["images"]["size"] = 320
    changes = changed_settings(CONFIG, stored)
    assert list(changes) == ["images.size", "step.image_clicks"]
    assert str(changes["images.size"]) == "320 in the run, 256 now"


def test_adapters_that_a_stored_run_did_not_have_are_a_change() -> None:
    adapted = with_settings(CONFIG, {"trainable.lora.rank": "4"})
    assert "trainable.lora.rank" in changed_settings(adapted, config_to_dict(CONFIG))
    assert list(changed_settings(CONFIG, config_to_dict(adapted))) == ["trainable.lora"]


def test_a_run_with_flat_settings_cannot_be_continued() -> None:
    with pytest.raises(ConfigError, match=r"started with a version of masklet before 0\.2"):
        changed_settings(CONFIG, {"image_root": "images", "steps": 3000, "model": CONFIG.model.to_dict()})


def test_every_setting_has_a_name_a_value_and_a_default() -> None:
    settings = settings_of(CONFIG)
    assert settings["optimizer.learning_rate"] == (6e-4, 6e-4)
    assert settings["images.root"] == ("images", None)
    assert all(name in settings for name in UNRELATED_TO_RESULTS)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("learningrate", "1", "unknown setting 'learningrate': expected one of images, clips"),
        ("learning_rate", "1", "unknown setting 'learning_rate': did you mean optimizer.learning_rate"),
        ("frames_per_clip", "1", "unknown setting 'frames_per_clip': did you mean clips.num_frames"),
        ("size", "320", "did you mean images.size or clips.size"),
        ("step.clicks", "1", "unknown setting 'step.clicks'"),
        ("schedule.steps.more", "1", "steps has no parts"),
        ("step", "1", "step has parts: set one of them, as in step.image_prompts"),
        ("schedule.steps", "many", "schedule.steps must be like 3000, got 'many'"),
        ("images.size", "100", "images.size must be a multiple of 32"),
        ("optimizer.learning_rate", "0", "optimizer.learning_rate must be above 0"),
        ("schedule.clip_fraction", "2", r"schedule.clip_fraction must be in \[0, 1\], got 2"),
    ],
)
def test_settings_that_cannot_be(name: str, value: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        with_settings(CONFIG, {name: value})
