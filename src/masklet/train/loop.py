"""The training loop: schedule, data parallelism, checkpoints and resume.

A run is a folder. `config.json` has every setting, `run.json` how the run was started, `log.jsonl` a line every few
steps, `validation.jsonl` one line per measurement, `last.pt` the state to resume from, `ema.pt` the averaged weights,
`pictures/` predictions, `unused_data.txt` files that could not be used, and `MODEL_CARD.md` the summary. A run that was
killed and resumed continues exactly: samples and prompts depend on (seed, part of the batch, step) alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from masklet.errors import CheckpointError, ConfigError, OutputError
from masklet.model.allocator import keep_freed_memory
from masklet.model.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from masklet.model.packed import computes_in_bf16
from masklet.model.sam2 import SAM2
from masklet.output import atomic_path, make_folder, only_user
from masklet.train.adapters import add_adapters, plain_weights
from masklet.train.card import write_card
from masklet.train.clips import ClipSamples
from masklet.train.config import TrainConfig, changed_settings, config_to_dict
from masklet.train.data import ImageDataConfig, ImageSamples, open_images
from masklet.train.distillation import Teacher
from masklet.train.initialise import initialise_nano
from masklet.train.parameters import WeightAverage, build_optimizer, freeze
from masklet.train.pictures import draw_batch
from masklet.train.record import RunLog, describe_run
from masklet.train.steps import StepResult, clip_step, image_step
from masklet.train.unused import UNUSED, UnusedData
from masklet.train.validation import Validator

ZERO_INITIALISED_PARTS = ("fine_prompts.", "mask_decoder.refine_")
"""Name prefixes of parts that can be added to a trained model: they start with zeros and change nothing at first."""


class Part(NamedTuple):
    """A part of a step's batch, with the numbers of its samples."""

    tensors: tuple[Tensor, ...]
    stream: int
    first_sample: int
    is_clip: bool

    def __str__(self) -> str:
        kind = "clips" if self.is_clip else "images"
        last = self.first_sample + len(self.tensors[0]) - 1
        return f"{kind} {self.first_sample} to {last} of stream {self.stream}"


def train(config: TrainConfig, out: Path, *, command: str | None = None) -> Path:
    """Run or resume a training.

    Several processes started by torchrun train in parallel (gloo on CPUs, nccl on GPUs), each with its share of every
    batch.

    Args:
        config: what to do.
        out: the run's folder.
        command: what was typed, for `run.json` and the model card.

    Returns:
        The averaged weights, `out / "ema.pt"`.

    Raises:
        CheckpointError: `out` holds a run of another configuration.
        ConfigError: settings that do not fit each other or the number of processes.
        FloatingPointError: the loss is not finite; the last checkpoint stays, and the batch is kept next to it.
        OutputError: a checkpoint cannot be written, then the one before stays; or another process uses `out`.
    """
    is_first = os.environ.get("RANK", "0") == "0"  # it writes for all
    with only_user(out) if is_first else nullcontext():
        return Trainer(config, Path(out), command=command).run()


class Trainer:
    """State of one run in one process."""

    def __init__(self, config: TrainConfig, out: Path, *, command: str | None = None) -> None:
        self.config, self.out = config, out
        self.rank, self.world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        self.device = _device(config.hardware.device)
        keep_freed_memory()
        self.unused = UnusedData(out / UNUSED)
        if self.rank == 0:
            self.unused.clear()
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        self.streams = _share(config, self.rank, self.world)
        self.bf16 = _has_bf16(self.device) if config.hardware.bf16 is None else config.hardware.bf16
        self.model = self._build_model()
        freeze(self.model, config.trainable.frozen_trunk_stages, config.trainable.frozen)
        if config.trainable.lora is not None:
            add_adapters(self.model, config.trainable.lora)
        if config.hardware.recompute:
            _recompute(self.model)
        self.model.to(self.device)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        if not self.parameters:
            raise ConfigError("everything is frozen, so nothing can learn")
        self.optimizer = build_optimizer(self.model, config.optimizer)
        self.average = WeightAverage(self.model, config.optimizer.ema_decay)
        self.teacher = _open_teacher(config)
        self.done_steps = 0
        self.clip_steps = 0
        if self.rank == 0:
            make_folder(out)
        self._resume()
        if self.rank == 0:
            describe_run(out, command, processes=self.world, device=str(self.device))

    def run(self) -> Path:
        config, steps = self.config, self.config.schedule.steps
        images, clips = self._image_parts(), self._clip_parts()
        log = RunLog(self.out, self.done_steps, tensorboard=config.log.tensorboard) if self.rank == 0 else None
        validator = Validator(config, self.out, self.unused) if self.rank == 0 else None
        if self.done_steps == 0:
            self._validate(validator, log)
        self.model.train()
        since = time.perf_counter()  # what saving and measuring take does not count as a step's time
        while self.done_steps < steps:
            rate = self._set_learning_rate(self.done_steps / steps)
            is_clip = self._is_clip_step(self.done_steps)
            metrics = self._step(clips if is_clip else images)
            self.done_steps += 1
            self.clip_steps += is_clip
            if log is None:
                continue
            log.add(metrics | {"seconds_per_step": time.perf_counter() - since})
            if self.done_steps % config.log.every == 0 or self.done_steps == steps:
                log.write(self.done_steps, rate)
            if self.done_steps % config.log.checkpoint_every == 0 or self.done_steps == steps:
                self._save()
            if self._is_validation_due():
                self._validate(validator, log)
            since = time.perf_counter()
        if log is not None:
            log.close()
            write_card(config, self.out, self._count_data())
        return self.out / "ema.pt"

    def _step(self, parts: Iterator[Part]) -> dict[str, float]:
        """Forward and backward over this process's parts of the batch, and one update."""
        self.optimizer.zero_grad()
        sums: dict[str, list[float]] = {}
        for _ in self.streams:
            part = next(parts)
            torch.manual_seed(_random_seed(self.config.seed, part.stream, self.done_steps))
            result = self._compute(part)
            if not torch.isfinite(result.loss):
                self._stop_at("loss", result.loss.item(), part)
            (result.loss / (len(self.streams) * self.world)).backward()  # type: ignore[no-untyped-call]
            for name, value in {"loss": result.loss.item(), **result.metrics}.items():
                sums.setdefault(name, []).append(value)
        if self.world > 1:
            _add_gradients(self.parameters)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.optimizer.clip_norm)
        if not torch.isfinite(norm):
            self._stop_at("gradient's norm", norm.item(), part)
        self.optimizer.step()
        self.average.update(self.model)
        return {name: sum(values) / len(values) for name, values in sums.items()} | {"gradient_norm": norm.item()}

    def _compute(self, part: Part) -> StepResult:
        config, progress = self.config, self.done_steps / self.config.schedule.steps
        weights = config.loss
        if progress < config.schedule.cross_entropy_until:
            weights = dataclasses.replace(weights, pixel=weights.pixel / 10, cross_entropy=True)
        rgb, masks, void = (t.to(self.device, non_blocking=True) for t in part.tensors)
        with torch.device(self.device), torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            if part.is_clip:
                return clip_step(self.model, rgb, masks, void, config.step, weights)
            step = config.step
            if progress >= config.schedule.more_clicks_from:
                step = dataclasses.replace(step, image_clicks=step.image_clicks + 2)
            return image_step(self.model, rgb, masks, void, step, weights, self.teacher)

    def _stop_at(self, what: str, value: float, part: Part) -> None:
        """Save the batch for inspection, and raise."""
        path = self.out / f"bad_batch_{self.rank}"
        torch.save(part.tensors, path.with_suffix(".pt"))
        draw_batch(part.tensors[0], part.tensors[1], path.with_suffix(".png"), f"step {self.done_steps}: {part}")
        kept = self.out / "last.pt"
        state = f"the last good state is {kept}" if kept.exists() else "nothing had been saved yet"
        raise FloatingPointError(
            f"the {what} is {value} at step {self.done_steps}, {part} (kept as {path}.png and .pt); {state}. "
            f"Try a lower optimizer.learning_rate or optimizer.clip_norm, or hardware.bf16=false"
        )

    def _is_clip_step(self, step: int) -> bool:
        fraction = self.config.schedule.clip_fraction
        return math.floor((step + 1) * fraction) > math.floor(step * fraction)

    def _set_learning_rate(self, progress: float) -> float:
        config = self.config.optimizer
        warmup = min(1.0, (self.done_steps + 1) / max(1, config.warmup_steps))
        cosine = config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimizer.param_groups:
            group["lr"] = group["top"] * warmup * cosine
        return config.learning_rate * warmup * cosine

    def _is_validation_due(self) -> bool:
        config = self.config
        if self.done_steps == config.schedule.steps:
            return True
        if config.validation.every:
            return self.done_steps % config.validation.every == 0
        return config.validation.root is None and self.done_steps % config.log.checkpoint_every == 0

    def _validate(self, validator: Validator | None, log: RunLog | None) -> None:
        """Measure and draw what the averaged weights predict. Other processes wait at their next gradient."""
        if validator is None or log is None:
            return
        scores = validator.measure(self._plain(), self.done_steps)
        if scores:
            log.write_validation(self.done_steps, scores)

    # Model and data.

    def _build_model(self) -> SAM2:
        config = self.config
        torch.manual_seed(config.seed)
        model = SAM2(dataclasses.replace(config.model, image_size=config.images.size))
        if config.init is None:
            iterator = iter(ImageSamples(self._calibration_images(), unused=self.unused))
            initialise_nano(model, torch.stack([next(iterator).rgb for _ in range(16)]))
        else:
            load_weights(model, Path(config.init))
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _calibration_images(self) -> ImageDataConfig:
        """Return the run's images with default augmentation, so that fresh weights do not depend on its settings."""
        images = self.config.images
        return ImageDataConfig(
            root=images.root,
            size=images.size,
            weights=images.weights,
            part_sources=images.part_sources,
            cutout_sources=images.cutout_sources,
        )

    def _image_parts(self) -> Iterator[Part]:
        config = self.config
        size = _part_size("images_per_step", config.schedule.images_per_step, len(self.streams) * self.world)
        start = (self.done_steps - self.clip_steps) * size
        samples = ImageSamples(
            config.images, seed=config.seed, rank=self.streams, start=start, batch_size=size, unused=self.unused
        )
        return self._parts(samples, size, start, is_clip=False)

    def _clip_parts(self) -> Iterator[Part]:
        config = self.config
        if config.schedule.clip_fraction == 0:
            return iter(())
        assert config.clips is not None, "TrainConfig checks it"
        size = _part_size("clips_per_step", config.schedule.clips_per_step, len(self.streams) * self.world)
        start = self.clip_steps * size
        samples = ClipSamples(
            config.clips, seed=config.seed, rank=self.streams, start=start, batch_size=size, unused=self.unused
        )
        return self._parts(samples, size, start, is_clip=True)

    def _parts(self, samples: Any, size: int, start: int, *, is_clip: bool) -> Iterator[Part]:
        workers = self.config.hardware.workers
        loader = torch.utils.data.DataLoader(
            samples,
            batch_size=size,
            num_workers=workers,
            prefetch_factor=3 if workers else None,
            pin_memory=self.device.type == "cuda",
        )
        for number, tensors in enumerate(loader):
            turn, row = divmod(number, len(self.streams))
            yield Part(tuple(tensors), self.streams[row], start + turn * size, is_clip)

    def _count_data(self) -> dict[str, int]:
        groups = open_images(self.config.images.root, self.unused)
        return {name: len(examples) for _, sources in groups for name, examples in sources.items()}

    # The run's folder.

    def _plain(self) -> Checkpoint:
        """Return the averaged weights as a plain checkpoint, without adapters."""
        with self.average.applied(self.model):
            return Checkpoint(self.config.model, {k: v.cpu() for k, v in plain_weights(self.model).items()})

    def _save(self) -> None:
        state = {
            "config": config_to_dict(self.config),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "done_steps": self.done_steps,
            "clip_steps": self.clip_steps,
        }
        path = self.out / "last.pt"
        try:
            with atomic_path(path) as partial_path:
                torch.save(state, partial_path)
            save_checkpoint(self._plain(), self.out / "ema.pt")
        except (OSError, RuntimeError) as error:  # torch says RuntimeError where a disk is full
            if isinstance(error, OutputError):
                raise
            raise OutputError(
                f"cannot save step {self.done_steps} in {self.out}: {str(error).splitlines()[0]}; the files of the "
                f"last save are whole, and the same command continues from there"
            ) from error

    def _resume(self) -> None:
        path = self.out / "last.pt"
        if not path.exists():
            if self.rank == 0:
                text = json.dumps(config_to_dict(self.config), indent=2)
                with atomic_path(self.out / "config.json") as partial_path:
                    partial_path.write_text(text + "\n", encoding="utf-8")
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises nearly anything on a damaged file
            raise CheckpointError(f"{path} cannot be read ({error}): remove it to start again") from error
        try:
            changed = changed_settings(self.config, state["config"])
        except ConfigError as error:
            raise CheckpointError(
                f"{path} cannot be continued: {error}. To start a new run from its weights, give "
                f"--init {self.out / 'ema.pt'} and another --out"
            ) from error
        if changed:
            raise CheckpointError(
                f"{self.out} holds a run with other settings ({'; '.join(f'{n}: {c}' for n, c in changed.items())}). "
                f"A run is continued with the settings it was started with, since its learning rate depends on its "
                f"number of steps. To continue from its weights, give --model {self.out} and another --out"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.done_steps, self.clip_steps = state["done_steps"], state["clip_steps"]


def load_weights(model: SAM2, path: Path) -> None:
    """Read a checkpoint, of any layout, into a model of the same parts, or of these and new ones that start at zero.

    Raises:
        CheckpointError: missing file, or keys or shapes that do not fit.
    """
    weights = dict(read_checkpoint(path).weights)
    for name, value in model.state_dict().items():
        if name.startswith(ZERO_INITIALISED_PARTS):
            weights.setdefault(name, value)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"weights {path} do not fit the model: {error}") from error


def _device(name: str) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu or cuda, got {name!r}")
    if name == "cpu" or not torch.cuda.is_available():
        if name == "cuda":
            raise ConfigError(f"device cuda was asked for, but this PyTorch ({torch.__version__}) sees none")
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return computes_in_bf16()


def _share(config: TrainConfig, rank: int, world: int) -> tuple[int, ...]:
    """Return the parts of every batch that a process computes."""
    count = world if config.schedule.micro_batches is None else config.schedule.micro_batches
    if count < 1 or count % world:
        raise ConfigError(f"micro_batches must be a multiple of the {world} processes, got {count}")
    return tuple(range(rank, count, world))


def _part_size(name: str, whole: int, parts: int) -> int:
    if whole % parts and parts > 1:
        raise ConfigError(f"{name} must be a multiple of the {parts} parts a batch is cut into, got {whole}")
    return whole // parts


def _random_seed(seed: int, stream: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, stream, step]).generate_state(1, np.uint32)[0])


def _open_teacher(config: TrainConfig) -> Teacher | None:
    if config.teacher is None:
        return None
    from masklet.engine.open import open_engine

    return Teacher(open_engine(config.teacher))


def _recompute(model: SAM2) -> None:
    """Turn on activation checkpointing: blocks drop what they computed and compute it again in the backward pass."""
    trunk = model.image_encoder.trunk
    blocks = [*getattr(trunk, "blocks", ()), *getattr(trunk, "stages", ()), *model.memory_attention.layers]
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def _add_gradients(parameters: list[nn.Parameter]) -> None:
    """Sum all gradients in one all-reduce of a flat tensor: far cheaper on gloo than one per parameter.

    A parameter without a gradient in any process keeps none: with a gradient of zeros, weight decay would shrink it.
    """
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    has_gradient = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    flat = torch.cat([has_gradient, *(g.flatten() for g in gradients)])
    dist.all_reduce(flat)
    offset = len(parameters)
    for parameter, gradient, processes in zip(parameters, gradients, flat[:offset].tolist(), strict=True):
        summed = flat[offset : offset + gradient.numel()].view_as(gradient)
        # In place, since the norm's last bits depend on the layout in memory.
        parameter.grad = gradient.copy_(summed) if processes else None
        offset += gradient.numel()
