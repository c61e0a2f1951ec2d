"""The training loop: optimiser, schedule, averaging, data parallelism, checkpoints and resume.

A run is a folder: `config.json` says everything needed to repeat it, `log.jsonl` has a line every few steps, `last.pt`
is the state to resume from, `ema.pt` the averaged weights. Killed and resumed, a run goes on as if nothing happened:
samples and prompts depend on (seed, rank, step) alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from masklet.errors import CheckpointError, ConfigError
from masklet.model.checkpoint import read_checkpoint
from masklet.model.config import NANO_CONFIG, ModelConfig
from masklet.model.sam2 import SAM2
from masklet.train.clips import ClipDataConfig, ClipSamples
from masklet.train.data import ImageDataConfig, ImageSamples
from masklet.train.initialise import initialise_nano
from masklet.train.losses import LossWeights
from masklet.train.steps import StepConfig, StepResult, clip_step, image_step


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training run."""

    image_root: str
    """Folder of image sources."""
    clip_root: str | None = None
    """Folder of real clips."""
    model: ModelConfig = NANO_CONFIG
    init: str | None = None
    """A checkpoint to start from, such as `ema.pt` of another run; None starts nano from its ImageNet trunk."""
    steps: int = 3000
    size: int = 256
    """Side of the input, pixels."""
    images_per_step: int = 8
    """Over all processes."""
    objects_per_image: int = 3
    clips_per_step: int = 4
    """Over all processes."""
    objects_per_clip: int = 3
    frames_per_clip: int = 5
    clip_fraction: float = 0.0
    """Of steps that are on clips."""
    real_clip_fraction: float = 0.35
    learning_rate: float = 6e-4
    trunk_scale: float = 0.25
    """Learning rate of the trunk over that of the rest."""
    old_scale: float = 1.0
    """Learning rate of what images train (neck, prompt encoder, mask decoder) over that of the memory."""
    frozen_trunk_stages: int = 3
    """Of seven; 7 freezes the whole trunk."""
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
    seed: int = 0
    bf16: bool | None = None
    """Autocast to bf16; None = where the CPU has it in hardware, since emulated it is 100 times slower."""
    log_every: int = 50
    checkpoint_every: int = 250
    workers: int = 1

    def __post_init__(self) -> None:
        if self.size % 32:
            raise ConfigError(f"size must be a multiple of 32, got {self.size}")
        for name in ("clip_fraction", "real_clip_fraction", "cross_entropy_until", "more_clicks_from"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in [0, 1], got {getattr(self, name)}")


def train(config: TrainConfig, out: Path) -> Path:
    """Run or resume a training.

    Several processes started by torchrun train in parallel on the CPU (gloo), each with its share of every batch.

    Returns:
        The averaged weights, `out / "ema.pt"`.

    Raises:
        CheckpointError: `out` holds a run of another configuration.
        FloatingPointError: the loss is not finite; the last checkpoint stays.
    """
    return Trainer(config, out).run()


_MEMORY_PARTS = (
    "memory_",
    "slot_",
    "absent_",
    "pointer_",
    "no_object_pointer",
    "correspondence",
    "mask_decoder.object_score",
)
"""Beginnings of the names of what only clips train."""


class Trainer:
    """State of one run in one process."""

    def __init__(self, config: TrainConfig, out: Path) -> None:
        self.config, self.out = config, out
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("gloo")
        self.model = self._build_model()
        self.model.image_encoder.trunk.freeze(config.frozen_trunk_stages)  # type: ignore[operator]
        # The rows of the mask prompt's reduction are engine arithmetic, not something to learn.
        self.model.mask_prompt_conv.requires_grad_(False)
        has_bf16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        self.bf16 = has_bf16 if config.bf16 is None else config.bf16
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = self._build_optimizer()
        self.average = WeightAverage(self.model, config.ema_decay)
        self.done_steps = 0
        self.clip_steps = 0
        if self.rank == 0:
            out.mkdir(parents=True, exist_ok=True)
        self._resume()

    def run(self) -> Path:
        config = self.config
        images, clips = self._image_batches(), self._clip_batches()
        log = _Log(self.out / "log.jsonl") if self.rank == 0 else None
        self.model.train()
        while self.done_steps < config.steps:
            progress = self.done_steps / config.steps
            is_clip = self._is_clip_step(self.done_steps)
            torch.manual_seed(hash((config.seed, self.rank, self.done_steps)) % 2**63)
            rate = self._set_learning_rate(progress)
            result = self._compute(next(clips) if is_clip else next(images), progress, is_clip=is_clip)
            norm = self._update(result)
            self.done_steps += 1
            self.clip_steps += is_clip
            if log is not None:
                log.add(result, norm)
                if self.done_steps % config.log_every == 0:
                    log.write(self.done_steps, rate)
                if self.done_steps % config.checkpoint_every == 0 or self.done_steps == config.steps:
                    self._save()
        return self.out / "ema.pt"

    def _compute(self, batch: tuple[Tensor, ...], progress: float, *, is_clip: bool) -> StepResult:
        config = self.config
        cross_entropy = progress < config.cross_entropy_until
        weights = LossWeights(pixel=2.0 if cross_entropy else 20.0, cross_entropy=cross_entropy)
        rgb, masks, void = batch
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            if is_clip:
                result = clip_step(self.model, rgb, masks, void, config.step, weights)
            else:
                step = config.step
                if progress >= config.more_clicks_from:
                    step = dataclasses.replace(step, image_clicks=step.image_clicks + 2)
                result = image_step(self.model, rgb, masks, void, step, weights)
        if not torch.isfinite(result.loss):
            raise FloatingPointError(
                f"the loss is {result.loss.item()} at step {self.done_steps} ({'clips' if is_clip else 'images'}); the "
                f"last good state is {self.out / 'last.pt'}"
            )
        return result

    def _update(self, result: StepResult) -> float:
        self.optimizer.zero_grad()
        result.loss.backward()  # type: ignore[no-untyped-call]
        if self.world > 1:
            _average_gradients(self.parameters, self.world)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        self.optimizer.step()
        self.average.update(self.model)
        return norm.item()

    def _is_clip_step(self, step: int) -> bool:
        fraction = self.config.clip_fraction
        return math.floor((step + 1) * fraction) > math.floor(step * fraction)

    def _set_learning_rate(self, progress: float) -> float:
        config = self.config
        warmup = min(1.0, (self.done_steps + 1) / max(1, config.warmup_steps))
        cosine = config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimizer.param_groups:
            group["lr"] = group["top"] * warmup * cosine
        return config.learning_rate * warmup * cosine

    def _build_model(self) -> SAM2:
        torch.manual_seed(self.config.seed)
        model = SAM2(dataclasses.replace(self.config.model, image_size=self.config.size))
        if self.config.init is None:
            samples = ImageSamples(ImageDataConfig(root=self.config.image_root, size=self.config.size))
            iterator = iter(samples)
            initialise_nano(model, torch.stack([next(iterator).rgb for _ in range(16)]))
        else:
            load_weights(model, Path(self.config.init))
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _build_optimizer(self) -> torch.optim.Optimizer:
        """Three rates (trunk, image parts, memory parts); no weight decay on biases, norms and embeddings."""
        config = self.config
        memory_parts = tuple(_MEMORY_PARTS)
        groups: dict[tuple[float, float], list[Tensor]] = {}
        for name, parameter in self.model.named_parameters():
            if not parameter.requires_grad:
                continue
            if name.startswith("image_encoder.trunk"):
                scale = config.trunk_scale
            else:
                scale = 1.0 if name.startswith(memory_parts) else config.old_scale
            decay = config.weight_decay if parameter.ndim > 1 and "embedding" not in name else 0.0
            groups.setdefault((scale, decay), []).append(parameter)
        return torch.optim.AdamW(
            [
                {"params": parameters, "top": config.learning_rate * scale, "weight_decay": decay}
                for (scale, decay), parameters in groups.items()
            ],
            lr=config.learning_rate,
            betas=config.betas,
            fused=True,
        )

    def _image_batches(self) -> Iterator[tuple[Tensor, ...]]:
        config = self.config
        size = max(1, config.images_per_step // self.world)
        data = ImageDataConfig(
            root=config.image_root, size=config.size, objects_per_image=config.objects_per_image, seed=config.seed
        )
        start = (self.done_steps - self.clip_steps) * size
        return self._batches(ImageSamples(data, rank=self.rank, start=start, batch_size=size), size)

    def _clip_batches(self) -> Iterator[tuple[Tensor, ...]]:
        config = self.config
        if config.clip_fraction == 0:
            return iter(())
        size = max(1, config.clips_per_step // self.world)
        data = ClipDataConfig(
            image_root=config.image_root,
            clip_root=config.clip_root,
            size=config.size,
            objects_per_clip=config.objects_per_clip,
            num_frames=config.frames_per_clip,
            real_probability=config.real_clip_fraction if config.clip_root else 0.0,
            seed=config.seed,
        )
        start = self.clip_steps * size
        return self._batches(ClipSamples(data, rank=self.rank, start=start, batch_size=size), size)

    def _batches(self, samples: Any, size: int) -> Iterator[tuple[Tensor, ...]]:
        loader = torch.utils.data.DataLoader(
            samples,
            batch_size=size,
            num_workers=self.config.workers,
            prefetch_factor=3 if self.config.workers else None,
        )
        return iter(loader)

    def _save(self) -> None:
        state = {
            "config": config_to_dict(self.config),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "done_steps": self.done_steps,
            "clip_steps": self.clip_steps,
        }
        _save_atomically(state, self.out / "last.pt")
        weights = {"config": self.config.model.to_dict(), "model": self.average.weights(self.model)}
        _save_atomically(weights, self.out / "ema.pt")

    def _resume(self) -> None:
        path = self.out / "last.pt"
        if not path.exists():
            if self.rank == 0:
                text = json.dumps(config_to_dict(self.config), indent=2)
                (self.out / "config.json").write_text(text + "\n", encoding="utf-8")
            return
        state = torch.load(path, weights_only=True)
        given, stored = config_to_dict(self.config), state["config"]
        changed = {k for k in given if given[k] != stored.get(k)} - {"log_every", "checkpoint_every", "workers"}
        if changed:
            raise CheckpointError(
                f"{path} belongs to a run with other settings ({', '.join(sorted(changed))} differ): choose another "
                f"--out, or remove it"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.done_steps, self.clip_steps = state["done_steps"], state["clip_steps"]


class WeightAverage:
    """Exponential moving average of the trained parameters, younger at the start."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.names = [name for name, p in model.named_parameters() if p.requires_grad]
        self.values = [p.detach().clone() for p in model.parameters() if p.requires_grad]

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = [p.detach() for p in model.parameters() if p.requires_grad]
        torch._foreach_lerp_(self.values, current, 1 - decay)

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's state dict with averaged parameters."""
        state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        state.update({name: value.clone() for name, value in zip(self.names, self.values, strict=True)})
        return state

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "values": dict(zip(self.names, self.values, strict=True))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        self.values = [state["values"][name] for name in self.names]


class _Log:
    """Means over the last steps, one JSON line at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.since = time.perf_counter()

    def add(self, result: StepResult, norm: float) -> None:
        for name, value in {"loss": result.loss.item(), "gradient_norm": norm, **result.metrics}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def write(self, step: int, rate: float) -> None:
        now = time.perf_counter()
        line = {"step": step, "rate": rate, "seconds_per_step": (now - self.since) / self.counts["loss"]}
        line |= {name: total / self.counts[name] for name, total in self.sums.items()}
        rounded = {key: round(value, 5) for key, value in line.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded) + "\n")
        self.sums, self.counts, self.since = {}, {}, now


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """Plain values for JSON and for comparing runs."""
    values = dataclasses.asdict(config)
    values["model"] = config.model.to_dict()
    return json.loads(json.dumps(values))  # type: ignore[no-any-return]


def load_weights(model: SAM2, path: Path) -> None:
    """Read a checkpoint, of whatever layout, into a model of the same parts.

    Raises:
        CheckpointError: missing file, or keys or shapes that do not fit.
    """
    try:
        model.load_state_dict(read_checkpoint(path).weights)
    except RuntimeError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"weights {path} do not fit the model: {error}") from error


def _average_gradients(parameters: list[nn.Parameter], world: int) -> None:
    """One all-reduce of all gradients in a flat tensor: far cheaper on gloo than one for each parameter."""
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= world
    offset = 0
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = flat[offset : offset + gradient.numel()].view_as(gradient)
        offset += gradient.numel()


def _save_atomically(state: dict[str, Any], path: Path) -> None:
    """A full disk or a kill leaves the file that was there."""
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    os.replace(partial, path)
