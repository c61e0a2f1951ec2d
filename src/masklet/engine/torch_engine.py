"""Runs any model of the SAM 2 family with PyTorch. Handles are tensors on the engine's device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from masklet.engine.devices import device_text, precision_text
from masklet.engine.staged import STAGE_OUTPUTS, VARYING_AXES, WITH_KEYS, ModelSpec, StagedEngine, StageName
from masklet.errors import EngineError
from masklet.model.allocator import keep_freed_memory
from masklet.model.layers import pool_cells
from masklet.model.packed import can_pack, computes_in_bf16, packed
from masklet.model.sam2 import SAM2
from masklet.records import EngineInfo, FloatArray

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_PACKED = ("image_encoder", "memory_attention", "memory_encoder", "mask_decoder.transformer")
"""Parts whose linear layers are packed; the others are small and sensitive to precision."""


class TorchEngine(StagedEngine[Tensor]):
    """An engine for a `SAM2` module.

    Args:
        model: used as it is, moved to the device and set to evaluation mode.
        device: "auto" (CUDA, then Apple's MPS, then the CPU), a torch device or its name, or an index of CUDA.
        precision: "fp32", "bf16" or "fp16", or their torch types; "auto" is bf16 on CUDA, and for "fast" on CPUs that
            compute in it; else fp32.
        speed: "exact", "fast", or "auto" for the one that suits the model, see docs/guides/speed.md.
        compiled: run the stages through `torch.compile`, which takes a minute at their first runs and needs a compiler.
            Numbers of objects, memories and points may change without compiling again.

    Raises:
        EngineError: unknown device, precision or speed.
    """

    def __init__(
        self,
        model: SAM2,
        *,
        device: Any = "auto",
        precision: Any = "auto",
        speed: str = "auto",
        compiled: bool = False,
    ) -> None:
        self.device = _device(device)
        precision = precision_text(precision)
        precision = _auto_precision(self.device, speed) if precision == "auto" else precision
        if precision not in DTYPES:
            raise EngineError(f"precision must be auto, {', '.join(DTYPES)}, got {precision!r}")
        if self.device.type == "cpu":
            keep_freed_memory()
        self.model = model.to(self.device).eval()
        self.dtype = DTYPES[precision]
        self.compiled = compiled
        running = self.model
        if self.device.type == "cpu" and can_pack(self.dtype):
            running = packed(self.model, _PACKED, self.dtype)
        self._stages: dict[StageName, Callable[..., Any]] = {
            stage: torch.compile(getattr(running, stage)) if compiled else getattr(running, stage)
            for stage in STAGE_OUTPUTS
            if model.correspondence is not None or stage not in WITH_KEYS
        }
        super().__init__(
            spec_of(model),
            backend=f"torch {torch.__version__}",
            device=str(self.device),
            precision=precision,
            speed=speed,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the weights and settings; the packed layers are made again."""
        settings = {"device": str(self.device), "precision": self.info.precision, "compiled": self.compiled}
        return _made_again, (self.model, settings, self.spec, self.info)

    @torch.inference_mode()
    def run_stage(self, stage: StageName, inputs: Mapping[str, Tensor | NDArray[Any]]) -> dict[str, Tensor]:
        tensors = {name: self._uploaded(value) for name, value in inputs.items()}
        if self.compiled:
            _mark_counts(stage, tensors)
        with self._arithmetic():
            answer = self._stages[stage](**tensors)
        values = answer if isinstance(answer, tuple) else (answer,)
        outputs = zip(STAGE_OUTPUTS[stage], values, strict=True)
        return {name: self._kept(value) for name, value in outputs if value is not None}

    def _kept(self, value: Tensor) -> Tensor:
        """Return an output as it is handed on: of an fp32 engine fp32, also if the caller computes under autocast.

        Otherwise memories of frames inside and outside an autocast block, or of another thread, would not fit together.
        """
        is_lowered = self.dtype == torch.float32 and value.dtype in (torch.bfloat16, torch.float16)
        return value.float() if is_lowered else value

    def stack(self, handles: Sequence[Tensor]) -> Tensor:
        return torch.stack(tuple(handles))

    def take(self, handle: Tensor, *index: int | slice) -> Tensor:
        return handle[index]

    def pool(self, handle: Tensor) -> Tensor:
        return pool_cells(handle)

    def from_numpy(self, array: FloatArray) -> Tensor:
        return self._uploaded(array)

    def to_numpy(self, array: Tensor) -> FloatArray:
        return np.asarray(array.float().cpu().numpy())

    def _uploaded(self, value: Tensor | NDArray[Any]) -> Tensor:
        """Copy to the engine's device. A GPU copies from pinned memory while the program continues."""
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(value)
        if self.device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def _arithmetic(self) -> AbstractContextManager[Any]:
        """Enable half precision by autocast; or full fp32, without the TF32 (10 bits) that cuDNN would use."""
        if self.dtype != torch.float32:
            return torch.autocast(self.device.type, dtype=self.dtype)
        if self.device.type == "cuda":
            return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        return nullcontext()


def _made_again(model: SAM2, settings: Mapping[str, Any], spec: ModelSpec, info: EngineInfo) -> TorchEngine:
    engine = TorchEngine(model, speed=info.speed, **settings)
    engine.spec, engine.info = spec, info
    return engine


def _mark_counts(stage: StageName, tensors: Mapping[str, Tensor]) -> None:
    """Tell the compiler that numbers of objects, memories and points vary; the number 1 has its own graph.

    Sizes of maps do not vary here, unlike in exported graphs: an engine has one speed.
    """
    for name, axes in VARYING_AXES[stage].items():
        for axis in axes:
            if axis < 2 and name in tensors and tensors[name].shape[axis] > 1:
                torch._dynamo.maybe_mark_dynamic(tensors[name], axis)


def spec_of(model: SAM2) -> ModelSpec:
    """Return the description of a model for an engine: sizes and inference settings of its config, and two weights."""
    config = model.config
    kernel = model.mask_prompt_conv.weight.detach().float().cpu()[0, 0]
    bias = model.mask_prompt_conv.bias
    assert bias is not None
    return ModelSpec(
        name=config.name,
        image_size=config.image_size,
        spatial_slots=config.spatial_slots,
        max_pointers=config.max_pointers,
        mask_prompt_kernel=tuple(tuple(row) for row in kernel.tolist()),
        mask_prompt_bias=bias.detach().item(),
        has_keys=config.correspondence is not None,
        images_only=config.images_only,
        memory_dim=config.memory_dim,
        **asdict(config.inference),
    )


def _auto_precision(device: torch.device, speed: str) -> str:
    is_fast_cpu = device.type == "cpu" and speed == "fast" and computes_in_bf16()
    return "bf16" if device.type == "cuda" or is_fast_cpu else "fp32"


def _device(given: Any) -> torch.device:
    name = device_text(given)
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"device must be auto or a torch device such as cpu or cuda:0, got {given!r}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            f"device {name!r} was asked for, but this PyTorch ({torch.__version__}) sees no CUDA device: use 'cpu'"
        )
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, NotImplementedError, AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise EngineError(f"device {name!r} cannot be used by this PyTorch ({torch.__version__}): {reason}") from error
    return device
