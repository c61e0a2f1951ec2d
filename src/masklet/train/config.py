"""Configuration of a training run: one frozen record of parts, which `config.json` in the run's folder repeats."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from masklet.checks import check_fraction, check_positive, check_whole, set_checked
from masklet.errors import ConfigError
from masklet.model.config import NANO_CONFIG, ModelConfig
from masklet.train.clips import ClipDataConfig
from masklet.train.data import ImageDataConfig
from masklet.train.losses import LossWeights
from masklet.train.steps import StepConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraConfig:
    """Low-rank adapters: the model's own layers stay as they are, and small matrices next to them learn.

    Source: Hu et al. 2021, arXiv 2106.09685.
    """

    rank: int = 8
    alpha: int = 16
    """The adapters' output is multiplied by alpha / rank."""
    layers: tuple[str, ...] = ("*attention*", "*mlp*", "*tokens_to_image*", "*image_to_tokens*")
    """Patterns for names of linear layers, `*` for anything; each layer that matches one gets an adapter."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"lora.rank must be at least 1, got {self.rank}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleConfig:
    """Number of steps, what each is on, and what changes during the run. Progress runs from 0 to 1."""

    steps: int = 3000
    images_per_step: int = 8
    """Images per image step, over all processes."""
    clips_per_step: int = 4
    """Clips per clip step, over all processes."""
    clip_fraction: float = 0.0
    """Fraction of steps that are on clips."""
    micro_batches: int | None = None
    """A step's batch is cut into this many parts with random numbers of their own, whose gradients are averaged. Memory
    for one part is enough, and any number of processes that divides it computes the same. None: one per process."""
    cross_entropy_until: float = 0.0
    """Progress up to which cross entropy replaces the focal loss."""
    more_clicks_from: float = 0.67
    """Progress from which images get two more corrective clicks."""

    def __post_init__(self) -> None:
        counts = ("steps", "images_per_step", "clips_per_step", "micro_batches")
        set_checked(self, counts, check_whole, prefix="schedule.", least=1)
        fractions = ("clip_fraction", "cross_entropy_until", "more_clicks_from")
        set_checked(self, fractions, check_fraction, prefix="schedule.")


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """AdamW, its learning rates, and the average of the weights."""

    learning_rate: float = 6e-4
    """Rate at the top of the schedule, after the warm-up."""
    warmup_steps: int = 100
    """Steps over which the rate rises linearly."""
    final_rate: float = 0.02
    """Rate at the end, as a fraction of the top, reached by a cosine."""
    trunk_scale: float = 0.25
    """Rate of the trunk over that of the rest."""
    layer_decay: float = 1.0
    """Rate of each block of the trunk over that of the block behind it (SAM 2: 0.9 or 0.8)."""
    old_scale: float = 1.0
    """Rate of the parts that images train (neck, prompt encoder, mask decoder) over that of the memory."""
    weight_decay: float = 0.02
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    ema_decay: float = 0.998
    """Decay per step of the averaged weights, which are the result (`ema.pt`)."""

    def __post_init__(self) -> None:
        set_checked(self, ("learning_rate", "clip_norm", "layer_decay"), check_positive, prefix="optimizer.")
        set_checked(self, ["final_rate"], check_fraction, prefix="optimizer.")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainableConfig:
    """Selection of the parameters that learn."""

    frozen_trunk_stages: int = 3
    """First stages of the trunk that do not learn. nano has seven, Hiera four; more freeze the whole trunk."""
    frozen: tuple[str, ...] = ()
    """Patterns for names of parameters that do not learn, such as "memory_*"."""
    lora: LoraConfig | None = None
    """Train adapters instead of the layers next to which they are put."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationConfig:
    """Data to measure on, and how often."""

    root: str | None = None
    """A data set of images that are measured and never trained on."""
    every: int = 0
    """Steps between measurements; 0: at the start and at the end only."""
    limit: int | None = 50
    """Images per source at most, evenly spaced; None for all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogConfig:
    """Files that a run writes into its folder, and how often."""

    every: int = 50
    """Steps between lines of the log."""
    checkpoint_every: int = 250
    """Steps between saved states."""
    pictures: bool = True
    """Draw predictions when validating or, without validation data, when saving."""
    tensorboard: bool = False

    def __post_init__(self) -> None:
        set_checked(self, ("every", "checkpoint_every"), check_whole, prefix="log.", least=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class HardwareConfig:
    """Device, precision and processes of a run."""

    device: str = "auto"
    """"auto" (CUDA if there is one), "cpu" or "cuda"."""
    bf16: bool | None = None
    """Autocast to bf16; None = where the hardware has it, since emulated it is 100 times slower."""
    recompute: bool = False
    """Activation checkpointing: blocks of trunk and memory attention run twice and keep less in memory."""
    workers: int = 1
    """Processes that make samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training run."""

    images: ImageDataConfig
    """Images to train on, and how they are varied."""
    clips: ClipDataConfig | None = None
    """Clips to train on, and how they are made; needed if `schedule.clip_fraction` is above 0."""
    model: ModelConfig = NANO_CONFIG
    init: str | None = None
    """A checkpoint to start from, such as `ema.pt` of another run; None starts nano from its ImageNet trunk."""
    teacher: str | None = None
    """A model whose masks for the same prompts on the same images are learnt as well (`loss.distillation` is their
    weight): whatever `masklet.load` takes."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainable: TrainableConfig = field(default_factory=TrainableConfig)
    step: StepConfig = field(default_factory=StepConfig)
    """Settings by which prompts are drawn in a step."""
    loss: LossWeights = field(default_factory=LossWeights)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    log: LogConfig = field(default_factory=LogConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    seed: int = 0
    """Seed of the weights, the samples and the prompts."""

    def __post_init__(self) -> None:
        for name, data in (("images", self.images), ("clips", self.clips)):
            if data is not None and data.size % 32:
                raise ConfigError(f"{name}.size must be a multiple of 32, got {data.size}")
        if self.schedule.clip_fraction and self.model.images_only:
            raise ConfigError(f"{self.model.name} is a model of images only and cannot learn from clips")
        if self.schedule.clip_fraction and self.clips is None:
            raise ConfigError(f"clips must be set for schedule.clip_fraction {self.schedule.clip_fraction}, got None")


UNRELATED_TO_RESULTS = frozenset(
    {
        "hardware.workers",
        "log.every",
        "log.checkpoint_every",
        "log.pictures",
        "log.tensorboard",
        "validation.every",
        "validation.limit",
    }
)
"""Settings that may change between a run and its continuation: they do not touch the weights."""


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """Return plain values for JSON and for comparing runs."""
    values = dataclasses.asdict(config)
    values["model"] = config.model.to_dict()
    return json.loads(json.dumps(values))  # type: ignore[no-any-return]


class Setting(NamedTuple):
    """One setting of a run, as plain values."""

    value: Any
    default: Any
    """Default value; None if there is none."""


def settings_of(config: TrainConfig) -> dict[str, Setting]:
    """Return every setting by its name for `--set`, as `optimizer.learning_rate`; the model is one setting."""
    return dict(_settings(config, config_to_dict(config), ""))


def _settings(record: Any, values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Setting]]:
    for part in dataclasses.fields(record):
        name, value = prefix + part.name, getattr(record, part.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, ModelConfig):
            yield from _settings(value, values[part.name], f"{name}.")
        else:
            yield name, Setting(values[part.name], _default_of(part))


def _default_of(part: dataclasses.Field[Any]) -> Any:
    if part.default_factory is not dataclasses.MISSING:
        value = part.default_factory()
    else:
        value = None if part.default is dataclasses.MISSING else part.default
    value = value.to_dict() if isinstance(value, ModelConfig) else value
    return json.loads(json.dumps(value))


class SettingChange(NamedTuple):
    """A setting that differs between a stored run and the one at hand."""

    stored: Any
    now: Any

    def __str__(self) -> str:
        return f"{_shown(self.stored)} in the run, {_shown(self.now)} now"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def changed_settings(config: TrainConfig, stored: dict[str, Any]) -> dict[str, SettingChange]:
    """Return the settings that touch the weights and differ from a stored run's, by name.

    A setting that the run's version of masklet did not have counts as stored at its default.

    Args:
        config: the settings now.
        stored: `config_to_dict` of the run.

    Raises:
        ConfigError: this version cannot continue the run: its settings have the form used before 0.2, or its model is
            of an unknown kind.
    """
    if "schedule" not in stored:
        raise ConfigError("the run was started with a version of masklet before 0.2, whose settings have another form")
    stored = stored | {"model": json.loads(json.dumps(ModelConfig.from_dict(stored["model"]).to_dict()))}
    pairs = {
        name: SettingChange(_stored(stored, name, setting), setting.value)
        for name, setting in settings_of(config).items()
    }
    changed = {name: change for name, change in pairs.items() if change.stored != change.now}
    return {name: changed[name] for name in sorted(changed.keys() - UNRELATED_TO_RESULTS)}


def _stored(stored: dict[str, Any], name: str, setting: Setting) -> Any:
    value: Any = stored
    for part in name.split("."):
        if value is None:
            return None  # a whole part, such as the adapters, was not used
        if part not in value:
            return setting.default
        value = value[part]
    return value


def with_settings(config: TrainConfig, settings: dict[str, str]) -> TrainConfig:
    """Return a configuration with settings replaced by name, as the command line gives them.

    Args:
        config: the recipe's.
        settings: values as JSON by name, such as `optimizer.learning_rate`; a word that is not JSON is taken as text.

    Raises:
        ConfigError: an unknown setting, or a value that does not fit it.
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
        raise ConfigError(f"unknown setting {name!r}: {_suggestion(record, path[-1], name, fields)}")
    current = getattr(record, path[0])
    if len(path) > 1:
        if current is None and path[0] == "lora":
            current = LoraConfig()
        if not dataclasses.is_dataclass(current):
            raise ConfigError(f"unknown setting {name!r}: {path[0]} has no parts")
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


def _suggestion(record: Any, last: str, name: str, fields: Sequence[str]) -> str:
    """Return a hint for an unknown setting: settings with the same last name, or the names to choose from."""
    if isinstance(record, TrainConfig):
        names = [full for full in settings_of(record) if full.rsplit(".", 1)[-1] == last]
        names = [_RENAMED[name]] if name in _RENAMED else names
        if names:
            return f"did you mean {' or '.join(names)}?"
    return f"expected one of {', '.join(fields)}"


_RENAMED = {
    "image_root": "images.root",
    "clip_root": "clips.clip_root",
    "validation_root": "validation.root",
    "clip_size": "clips.size",
    "min_clip_object_area": "clips.min_object_area",
    "frames_per_clip": "clips.num_frames",
    "real_clip_fraction": "clips.real_probability",
    "log_every": "log.every",
    "validate_every": "validation.every",
    "validation_images": "validation.limit",
}
"""Settings whose last name has changed, too, for suggestions."""
