"""From a name or a path to an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from masklet.engine.protocol import Engine
from masklet.errors import CheckpointError, EngineError

EMBEDDED = ("nano",)
"""Models inside the package, as exported folders."""


def embedded_folder(name: str) -> Path:
    """Where a model of `EMBEDDED` lies."""
    return Path(__file__).resolve().parent.parent / "models" / name


def open_engine(
    name: str | Path = "nano", *, device: str = "auto", precision: str = "auto", num_threads: int = 0
) -> Engine[Any]:
    """Open a model with the engine that suits it.

    Args:
        name: a name of `EMBEDDED`, or a path to an exported folder or a checkpoint (a file, or a folder of
            transformers).
        device: "auto", "cpu", "cuda", ...; exported folders run on the CPU.
        precision: "auto", "fp32", "bf16" or "fp16"; exported folders compute in fp32.
        num_threads: CPU threads; 0 leaves it to the runtime (one a core). PyTorch has one number for the process.

    Raises:
        CheckpointError: unknown name, missing or unfit files.
        EngineError: a missing extra, or a device or precision that the engine does not have.
    """
    path = embedded_folder(str(name)) if str(name) in EMBEDDED else Path(name)
    # transformers' folders have a config.json, exported ones never.
    if path.is_dir() and not (path / "config.json").is_file():
        if device not in ("auto", "cpu") or precision not in ("auto", "fp32"):
            raise EngineError(
                f"exported models run on the CPU in fp32, got device {device!r} and precision {precision!r}: give a "
                f"checkpoint instead"
            )
        from masklet.engine.onnx_engine import OnnxEngine

        return OnnxEngine(path, num_threads=num_threads)
    if not path.exists():
        known = ", ".join(EMBEDDED)
        raise CheckpointError(f"model {str(name)!r} is neither a known name ({known}) nor an existing path")
    try:
        from masklet.engine.torch_engine import TorchEngine
        from masklet.model.checkpoint import load_model
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise EngineError(f'checkpoint {path} needs PyTorch: pip install "masklet[torch]"') from error
    if num_threads:
        import torch

        torch.set_num_threads(num_threads)
    return TorchEngine(load_model(path), device=device, precision=precision)
