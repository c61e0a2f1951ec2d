"""The model of the official predictors: here a handle on an engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from masklet.compat.sam2.arguments import PAGE
from masklet.engine.devices import PRECISIONS, device_text, precision_text
from masklet.engine.staged import StagedEngine
from masklet.engine.torch_engine import TorchEngine
from masklet.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from typing_extensions import Self


class SAM2Base:
    """A loaded model. Anything that takes one also takes a `masklet.Model` or an engine: see `engine_of`."""

    training = False
    """Always: to train, use `masklet train`."""

    def __init__(self, engine: StagedEngine[Any]) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        # Copying and pickling ask for names before there is an engine.
        raise AttributeError(
            f"{type(self).__name__} has no {name!r}: models of masklet.compat.sam2 are handles, and the modules of "
            f"official ones are in masklet.model (see {PAGE})"
            if not name.startswith("__")
            else name
        )

    @property
    def image_size(self) -> int:
        """Side of the model's square input, pixels."""
        return self.engine.info.image_size

    @property
    def num_maskmem(self) -> int:
        """Kinds of memory that the model tells apart."""
        return self.engine.info.spatial_slots

    @property
    def max_obj_ptrs_in_encoder(self) -> int:
        """Frames over which object pointers are read."""
        return self.engine.info.max_pointers

    @property
    def device(self) -> torch.device:
        """Device of the model, and of the tensors that it returns."""
        return torch.device(self.engine.info.device)

    # What scripts call on any torch.nn.Module.

    def eval(self) -> Self:
        """Return the model unchanged: there is no other mode."""
        return self

    def train(self, mode: bool = True) -> Self:
        """Return the model unchanged for `mode=False`.

        Raises:
            ConfigError: `mode` is True.
        """
        if mode:
            raise ConfigError(f"models of masklet.compat.sam2 do not learn: use `masklet train` (see {PAGE})")
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Return the model unchanged for `requires_grad=False`: it computes without gradients anyway.

        Raises:
            ConfigError: `requires_grad` is True.
        """
        return self.train(requires_grad)

    def parameters(self, recurse: bool = True) -> Iterator[torch.nn.Parameter]:
        """Return the weights.

        Raises:
            EngineError: the model is an exported one, as nano: its weights are in graphs.
        """
        return self._module().parameters(recurse)

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Return the weights by masklet's names; raises as `parameters`."""
        return self._module().named_parameters(prefix, recurse)

    def modules(self) -> Iterator[torch.nn.Module]:
        """Return the modules of masklet's model; raises as `parameters`."""
        return self._module().modules()

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the weights by masklet's names; raises as `parameters`."""
        return self._module().state_dict()

    def to(self, device: Any = None, dtype: torch.dtype | None = None, non_blocking: bool = False) -> Self:
        """Move the model to a device, or to a precision.

        Args:
            device: a torch device, its name or index; or a torch type, as in `to(torch.bfloat16)`.
            dtype: a torch type.
            non_blocking: accepted and not needed.

        Raises:
            EngineError: there is no such device or precision, or the model is an exported one, which runs on the CPU
                in fp32.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        if isinstance(device, torch.Tensor):
            device, dtype = device.device, device.dtype
        info = self.engine.info
        name = info.device if device is None else device_text(device)
        precision = info.precision if dtype is None else precision_text(dtype)
        if (torch.device(name), precision) == (self.device, info.precision):
            return self
        if not isinstance(self.engine, TorchEngine):
            raise EngineError(
                f"{info.name} is an exported model: it stays on the CPU in {PRECISIONS[0]}, got {name!r} and "
                f"{precision!r}"
            )
        moved = TorchEngine(self.engine.model, device=name, precision=precision, speed=info.speed)
        moved.spec = self.engine.spec
        self.engine = moved
        return self

    def cuda(self, device: Any = None) -> Self:
        """Call `to("cuda")`, or `to` with this device."""
        return self.to("cuda" if device is None else device)

    def cpu(self) -> Self:
        """Call `to("cpu")`."""
        return self.to("cpu")

    def float(self) -> Self:
        """Compute in fp32."""
        return self.to(torch.float32)

    def half(self) -> Self:
        """Compute in fp16."""
        return self.to(torch.float16)

    def bfloat16(self) -> Self:
        """Compute in bf16."""
        return self.to(torch.bfloat16)

    def _module(self) -> torch.nn.Module:
        if isinstance(self.engine, TorchEngine):
            return self.engine.model
        name = self.engine.info.name
        raise EngineError(
            f"{name} runs as exported graphs and has no torch parameters: load a checkpoint, such as "
            f"weights/nano.safetensors of masklet's repository for nano (see {PAGE})"
        )


def engine_of(model: Any) -> StagedEngine[Any]:
    """Return the engine behind a model of this module, a `masklet.Model`, or an engine itself.

    Raises:
        EngineError: it is none of these.
    """
    engine = (
        model if isinstance(model, StagedEngine) else vars(model).get("engine") if hasattr(model, "__dict__") else None
    )
    if not isinstance(engine, StagedEngine):
        raise EngineError(
            f"a model must come from build_sam2(...) or masklet.load(...), got {type(model).__name__}: models of the "
            f"sam2 package itself cannot be used, load their checkpoint instead"
        )
    return engine
