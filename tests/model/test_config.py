"""Configurations: plain values there and back, and values that cannot be."""

from __future__ import annotations

import dataclasses
import json

import pytest

from masklet.errors import ConfigError
from masklet.model.config import NANO_CONFIG, OFFICIAL_CONFIGS, HieraConfig, ModelConfig

from .tiny import TINY


@pytest.mark.parametrize("config", [TINY, NANO_CONFIG, *OFFICIAL_CONFIGS.values()], ids=lambda config: config.name)
def test_json_there_and_back(config: ModelConfig) -> None:
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_defaults_are_a_released_model() -> None:
    assert ModelConfig() == OFFICIAL_CONFIGS["sam2.1-base-plus"]


def test_eight_models_were_released_and_no_two_are_alike() -> None:
    nameless = {dataclasses.replace(config, name="") for config in OFFICIAL_CONFIGS.values()}
    assert len(OFFICIAL_CONFIGS) == len(nameless) == 8
    for name, config in OFFICIAL_CONFIGS.items():
        assert config.name == name
        assert isinstance(config.trunk, HieraConfig)
        assert max(config.trunk.global_attention_blocks) < sum(config.trunk.stages)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_size": 1000}, "image_size must be a multiple of 32, got 1000"),
        ({"embed_dim": 100}, r"multiple of memory_dim \(64\), got 100"),
        ({"decoder_activation": "tanh"}, "'gelu' or 'relu', got 'tanh'"),
    ],
)
def test_values_that_cannot_be(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ModelConfig(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trunk": "hiera"}, "does not fit this version of masklet"),
        ({"trunk": {"kind": "hiera", "depth": 3}}, "does not fit this version of masklet.*depth"),
        ({"image_size": "large"}, "does not fit this version of masklet"),
        ({"trunk": {"kind": "resnet"}}, "trunk.kind must be one of .*got 'resnet'"),
        ({"colour": "red"}, "does not fit this version of masklet.*colour"),
    ],
)
def test_descriptions_of_another_version(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ModelConfig.from_dict(TINY.to_dict() | changes)
