"""What a training run is: one frozen record, which `config.json` in the run's folder repeats."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from masklet.checks import check_fraction, check_positive, check_whole
from masklet.errors import ConfigError
from masklet.model.config import NANO_CONFIG, ModelConfig
from masklet.train.losses import LossWeights
from masklet.train.steps import StepConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraConfig:
    """Low-rank adapters: the model stays as it is, and small matrices beside its layers learn (Hu et al. 2021)."""

    rank: int = 8
    alpha: int = 16
    """The adapters' output is multiplied by alpha / rank."""
    layers: tuple[str, ...] = ("*attention*", "*mlp*", "*tokens_to_image*", "*image_to_tokens*")
    """Patterns for names of linear layers, `*` for anything; a layer that matches one gets an adapter."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"lora.rank must be at least 1, got {self.rank}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training run."""

    image_root: str | tuple[str, ...]
    """Data sets of images, each as `masklet.datasets.mixture.DataSpec.parse` reads it."""
    clip_root: str | tuple[str, ...] | None = None
    """Data sets of real clips."""
    validation_root: str | None = None
    """A data set of images that are measured and never trained on."""
    model: ModelConfig = NANO_CONFIG
    init: str | None = None
    """A checkpoint to start from, such as `ema.pt` of another run; None starts nano from its ImageNet trunk."""
    steps: int = 3000
    size: int = 256
    """Side of the input, pixels."""
    clip_size: int | None = None
    """The same for clips, which cost more; None = `size`."""
    min_clip_object_area: float = 0.006
    """Smallest object on the first frame of a clip, as a fraction of it."""
    images_per_step: int = 8
    """Over all processes."""
    objects_per_image: int = 3
    clips_per_step: int = 4
    """Over all processes."""
    objects_per_clip: int = 3
    frames_per_clip: int = 5
    micro_batches: int | None = None
    """A step's batch is cut into this many parts with random numbers of their own, whose gradients are averaged: memory
    for one part is enough, and any number of processes that divides it computes the same. None: one a process."""
    clip_fraction: float = 0.0
    """Of steps that are on clips."""
    real_clip_fraction: float = 0.35
    paste_probability: float = 0.35
    """That an object of another image is pasted into an image."""
    crop_probability: float = 0.8
    """That a random crop of an image is taken."""
    learning_rate: float = 6e-4
    trunk_scale: float = 0.25
    """Learning rate of the trunk over that of the rest."""
    layer_decay: float = 1.0
    """Learning rate of each block of the trunk over that of the block behind it (SAM 2: 0.9 or 0.8)."""
    old_scale: float = 1.0
    """Learning rate of what images train (neck, prompt encoder, mask decoder) over that of the memory."""
    frozen_trunk_stages: int = 3
    """nano has seven, Hiera four; more than there are freeze the whole trunk."""
    frozen: tuple[str, ...] = ()
    """Patterns for names of parameters that do not learn, such as "memory_*"."""
    lora: LoraConfig | None = None
    """Train adapters instead of the layers that they stand beside."""
    weight_decay: float = 0.02
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: float = 1.0
    warmup_steps: int = 100
    final_rate: float = 0.02
    """Learning rate at the end over that at the top, reached by a cosine."""
    ema_decay: float = 0.998
    cross_entropy_until: float = 0.0
    """Progress (0 to 1) up to which cross entropy stands in for the focal loss."""
    more_clicks_from: float = 0.67
    """Progress from which images get two more corrective clicks."""
    step: StepConfig = field(default_factory=StepConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    teacher: str | None = None
    """A model whose masks for the same prompts on the same images are learnt as well (`loss.distillation` is their
    weight): whatever `masklet.load` takes."""
    seed: int = 0
    device: str = "auto"
    """"auto" (CUDA if there is one), "cpu" or "cuda"."""
    bf16: bool | None = None
    """Autocast to bf16; None = where the hardware has it, since emulated it is 100 times slower."""
    recompute: bool = False
    """Activation checkpointing: blocks of trunk and memory attention run twice and keep less in memory."""
    log_every: int = 50
    checkpoint_every: int = 250
    validate_every: int = 0
    """Steps between measurements on the validation data; 0: at the start and at the end only."""
    validation_images: int | None = 50
    """A source at most, evenly spaced; None for all."""
    pictures: bool = True
    """Draw predictions when validating or, without validation data, when saving."""
    tensorboard: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("size", "clip_size"):
            if (getattr(self, name) or 0) % 32:
                raise ConfigError(f"{name} must be a multiple of 32, got {getattr(self, name)}")
        for name in (
            "clip_fraction",
            "real_clip_fraction",
            "paste_probability",
            "crop_probability",
            "cross_entropy_until",
            "more_clicks_from",
            "final_rate",
        ):
            check_fraction(name, getattr(self, name))
        for name in ("learning_rate", "clip_norm", "layer_decay"):
            check_positive(name, getattr(self, name))
        for name in ("steps", "images_per_step", "objects_per_image", "log_every", "checkpoint_every"):
            check_whole(name, getattr(self, name), least=1)
        if self.model.images_only and self.clip_fraction:
            raise ConfigError(f"{self.model.name} is a model of images only and cannot learn from clips")


UNRELATED_TO_RESULTS = frozenset(
    {"log_every", "checkpoint_every", "validate_every", "validation_images", "pictures", "tensorboard", "workers"}
)
"""Fields that may change between a run and its continuation: they do not touch the weights."""


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """Plain values for JSON and for comparing runs."""
    values = dataclasses.asdict(config)
    values["model"] = config.model.to_dict()
    return json.loads(json.dumps(values))  # type: ignore[no-any-return]


def changed_fields(config: TrainConfig, stored: dict[str, Any]) -> list[str]:
    """Which settings that touch the weights differ from a stored run's. What an older version did not know is at its
    default.

    Raises:
        ConfigError: the stored model is of no kind that this version knows.
    """
    given = config_to_dict(config)
    before = _completed(stored, config_to_dict(TrainConfig(image_root="")))
    before["model"] = json.loads(json.dumps(ModelConfig.from_dict(stored["model"]).to_dict()))
    return sorted(name for name in given.keys() - UNRELATED_TO_RESULTS if given[name] != before[name])


def _completed(values: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Values with the default where one is missing, in all parts."""
    both = default | values
    return {
        name: _completed(value, default[name])
        if isinstance(value, dict) and isinstance(default.get(name), dict)
        else value
        for name, value in both.items()
    }


def with_settings(config: TrainConfig, settings: dict[str, str]) -> TrainConfig:
    """A configuration with fields replaced by name, as the command line gives them.

    Args:
        config: the recipe's.
        settings: values as JSON by field name, `step.image_clicks` for a field of a part; a word that is no JSON is
            taken as text.

    Raises:
        ConfigError: an unknown field, or a value that does not fit it.
    """
    for name, text in settings.items():
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        config = _replaced(config, name.split("."), value, name)
    return config


def _replaced(record: Any, path: list[str], value: Any, name: str) -> Any:
    fields = [field.name for field in dataclasses.fields(record)]
    if path[0] not in fields:
        raise ConfigError(f"there is no setting {name!r}: expected one of {', '.join(fields)}")
    current = getattr(record, path[0])
    if len(path) > 1:
        if current is None and path[0] == "lora":
            current = LoraConfig()
        if not dataclasses.is_dataclass(current):
            raise ConfigError(f"there is no setting {name!r}: {path[0]} has no parts")
        return dataclasses.replace(record, **{path[0]: _replaced(current, path[1:], value, name)})
    if dataclasses.is_dataclass(current):
        raise ConfigError(f"{name} has parts: set one of them, as in {name}.{dataclasses.fields(current)[0].name}=...")
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    expected = type(current)
    if current is not None and not isinstance(value, expected):
        raise ConfigError(f"{name} must be like {json.dumps(current)}, got {value!r}")
    return dataclasses.replace(record, **{path[0]: value})
