"""Configurations: plain values there and back, and values that cannot be."""

from __future__ import annotations

import dataclasses
import json
from typing import get_args, get_type_hints

import pytest

from masklet.errors import ConfigError
from masklet.model.config import NANO_CONFIG, OFFICIAL_CONFIGS, HieraConfig, ModelConfig

from .tiny import TINY


@pytest.mark.parametrize("config", [TINY, NANO_CONFIG, *OFFICIAL_CONFIGS.values()], ids=lambda config: config.name)
def test_json_there_and_back(config: ModelConfig) -> None:
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("config", [NANO_CONFIG, OFFICIAL_CONFIGS["sam2-large"]], ids=lambda config: config.name)
def test_a_description_without_inference_facts_has_those_of_its_family(config: ModelConfig) -> None:
    written_before = {name: value for name, value in config.to_dict().items() if name != "inference"}
    assert ModelConfig.from_dict(written_before) == config
    partial = written_before | {"inference": {"max_hole": 0.5}}
    assert ModelConfig.from_dict(partial).inference == dataclasses.replace(config.inference, max_hole=0.5)


def test_inference_facts_do_not_follow_from_the_trunk() -> None:
    config = dataclasses.replace(OFFICIAL_CONFIGS["sam2.1-tiny"], inference=NANO_CONFIG.inference)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))).inference == NANO_CONFIG.inference


def test_every_trunk_has_a_default_for_files_without_inference_facts() -> None:
    for trunk in get_args(get_type_hints(ModelConfig)["trunk"]):
        config = ModelConfig.from_dict({"trunk": {"kind": trunk.kind}})
        assert type(config.trunk) is trunk


def test_the_defaults_are_a_released_model() -> None:
    assert ModelConfig() == OFFICIAL_CONFIGS["sam2.1-base-plus"]


def test_the_eight_released_configs_differ() -> None:
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
        ({"inference": {"resize": "cubic"}}, "inference.resize must be one of area, antialias, got 'cubic'"),
        ({"inference": {"speed": "warp"}}, "inference.speed must be one of exact, fast, got 'warp'"),
        ({"inference": {"wings": 2}}, "does not fit this version of masklet.*wings"),
        ({"colour": "red"}, "does not fit this version of masklet.*colour"),
    ],
)
def test_descriptions_of_another_version(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ModelConfig.from_dict(TINY.to_dict() | changes)
