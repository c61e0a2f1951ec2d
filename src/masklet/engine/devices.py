"""Devices and precisions as users write them, without PyTorch: text, `torch.device`, an index, `torch.dtype`."""

from __future__ import annotations

from typing import Any

from masklet.checks import check_whole, plain
from masklet.errors import EngineError

PRECISIONS = ("fp32", "bf16", "fp16")

_PRECISION_NAMES = {
    "float32": "fp32",
    "float": "fp32",
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
}


def device_text(device: Any) -> str:
    """Return a device as text: "auto", "cpu", "cuda:0", ...

    Args:
        device: text in any case, a `torch.device`, the index of a CUDA device, or None for "auto".

    Raises:
        EngineError: it is none of these.
    """
    if device is None:
        return "auto"
    if isinstance(device, str) or (hasattr(device, "type") and hasattr(device, "index")):
        text = str(device).strip().lower()
        kind, _, index = text.partition(":")
        return kind if kind == "cpu" and (not index or index.isdigit()) else text
    if isinstance(plain(device), int):
        return f"cuda:{check_whole('device', device, least=0, error=EngineError)}"
    raise EngineError(f"device must be auto or a torch device such as cpu or cuda:0, got {device!r}")


def precision_text(precision: Any) -> str:
    """Return a precision as text: "auto", "fp32", "bf16", "fp16" or "int8"; other text as it is: the engine refuses.

    Args:
        precision: one of these, a `torch.dtype` or numpy type, their names, or None for "auto".
    """
    if precision is None:
        return "auto"
    name = getattr(precision, "__name__", None) or str(precision)
    name = name.strip().lower().removeprefix("torch.")
    return _PRECISION_NAMES.get(name, name)
