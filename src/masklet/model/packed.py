"""Linear layers whose weights are laid out once for the CPU's vector instructions, with what follows them fused in.

oneDNN's operators behind `torch.compile`, called without it: nothing is compiled, and nothing waits for a compiler.
"""

from __future__ import annotations

import copy
import platform
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["relu", "gelu"]

M = TypeVar("M", bound=nn.Module)

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}


class PackedLinear(nn.Module):
    """`nn.Linear` in float32 or bfloat16, summed in fp32; for inference."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features, self.dtype = linear.in_features, linear.out_features, dtype
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(dtype))
        self._bias = None if linear.bias is None else linear.bias.detach().to(dtype)

    def forward(self, x: Tensor, activation: Activation | None = None) -> Tensor:
        settings: Any = (activation or "none", [], "none" if activation == "gelu" else "")
        run = torch.ops.mkldnn._linear_pointwise
        return run(x.to(self.dtype), self._weight, self._bias, *settings)  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedLinear:
        return self  # it never changes, and a packed weight has no storage that could be copied

    def __reduce__(self) -> tuple[Any, ...]:
        return _repacked, (self._weight.to_dense(), self._bias, self.dtype)

    def can_add_to(self, residual: Tensor, x: Tensor) -> bool:
        """Return whether the fused operator takes this residual: it reads memory as it lies and broadcasts nothing."""
        return residual.dtype == self.dtype and residual.shape[:-1] == x.shape[:-1] and residual.is_contiguous()

    def added_to(self, residual: Tensor, x: Tensor) -> Tensor:
        run = torch.ops.mkldnn._linear_pointwise.binary
        return run(x.to(self.dtype), residual, self._weight, self._bias, "add")  # type: ignore[no-any-return]


def _repacked(weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> PackedLinear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=dtype)
    with torch.no_grad():
        linear.weight.copy_(weight)
        if bias is not None:
            linear.bias.copy_(bias)
    return PackedLinear(linear, dtype)


def activated(linear: nn.Module, x: Tensor, activation: Activation) -> Tensor:
    """activation(linear(x))"""
    if isinstance(linear, PackedLinear):
        return linear(x, activation)  # type: ignore[no-any-return]
    return ACTIVATIONS[activation](linear(x))


def added(residual: Tensor, linear: nn.Module, x: Tensor) -> Tensor:
    """residual + linear(x); one residual may serve for a batch."""
    if isinstance(linear, PackedLinear) and linear.can_add_to(residual, x):
        return linear.added_to(residual, x)
    return residual + linear(x)  # type: ignore[no-any-return]


def packed(model: M, parts: tuple[str, ...], dtype: torch.dtype) -> M:
    """Return a model that shares everything with `model` except the linear layers of `parts`, which are packed.

    Args:
        model: on the CPU; not changed.
        parts: names of modules, as "image_encoder.trunk".
        dtype: float32 or bfloat16.
    """
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    shadow = copy.deepcopy(model, shared)
    for part in parts:
        for module in list(shadow.get_submodule(part).modules()):
            for name, child in list(module.named_children()):
                if type(child) is nn.Linear:
                    setattr(module, name, PackedLinear(child, dtype))
    return shadow


def computes_in_bf16() -> bool:
    """Return whether the CPU has bf16 instructions. PyTorch's emulation is some 75 times slower than fp32."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def can_pack(dtype: torch.dtype) -> bool:
    """Return whether this x86 CPU computes in `dtype`, and PyTorch has the internal operators that packed layers
    call; they may go away."""
    if dtype not in (torch.float32, torch.bfloat16):
        return False
    if dtype == torch.bfloat16 and not computes_in_bf16():
        return False
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
