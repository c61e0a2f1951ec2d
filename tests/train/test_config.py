"""Settings from the command line, by name."""

from __future__ import annotations

import pytest

from masklet.errors import ConfigError
from masklet.train.config import TrainConfig, changed_fields, config_to_dict, with_settings

CONFIG = TrainConfig(image_root="images")


def test_settings_of_every_kind() -> None:
    changed = with_settings(
        CONFIG,
        {
            "learning_rate": "1",
            "frozen": '["memory_*"]',
            "recompute": "true",
            "step.image_clicks": "3",
            "lora.rank": "4",
            "teacher": "nano",
            "step.memory.policy": "official",
        },
    )
    assert (changed.learning_rate, changed.frozen, changed.recompute) == (1.0, ("memory_*",), True)
    assert (changed.step.image_clicks, changed.teacher) == (3, "nano")
    assert changed.lora is not None
    assert changed.lora.rank == 4


def test_what_changed_since_an_older_version_stored_it() -> None:
    stored = config_to_dict(CONFIG)
    del stored["layer_decay"], stored["step"]["clip_clicks"], stored["model"]["images_only"]
    assert changed_fields(CONFIG, stored) == []
    stored["log_every"] = 7
    stored["step"]["image_clicks"] = 9
    stored["size"] = 320
    assert changed_fields(CONFIG, stored) == ["size", "step"]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("learningrate", "1", "there is no setting 'learningrate'"),
        ("step.clicks", "1", "there is no setting 'step.clicks'"),
        ("steps.more", "1", "steps has no parts"),
        ("step", "1", "step has parts: set one of them, as in step.image_prompts"),
        ("steps", "many", "steps must be like 3000, got 'many'"),
        ("size", "100", "size must be a multiple of 32"),
        ("learning_rate", "0", "learning_rate must be above 0"),
    ],
)
def test_settings_that_cannot_be(name: str, value: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        with_settings(CONFIG, {name: value})
