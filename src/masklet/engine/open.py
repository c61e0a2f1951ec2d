"""Opens an engine by a model name or a path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.checks import check_path, check_whole
from masklet.engine.devices import device_text, precision_text
from masklet.engine.hub import EMBEDDED, embedded_folder, locate, official_name
from masklet.engine.protocol import Engine
from masklet.errors import CheckpointError, EngineError

if TYPE_CHECKING:
    from masklet.engine.staged import StagedEngine

__all__ = ["EMBEDDED", "embedded_folder", "find_model", "is_exported", "needs_extra", "open_engine"]


@contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Wrap imports of packages that an extra installs.

    Raises:
        EngineError: a package is missing; the text has the command to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "masklet":
            raise
        raise EngineError(f'{purpose} needs {error.name}: pip install "masklet[{extra}]"') from error


def find_model(name: str | PathLike[str]) -> Path:
    """Call `locate`, after a check that the model can be run: otherwise a download would be useless.

    Raises:
        CheckpointError: as `locate`.
        EngineError: PyTorch is missing.
    """
    text = check_path("model", name, error=CheckpointError)
    name = name if isinstance(name, str) else Path(text)
    if official_name(name) is not None:
        with needs_extra("torch", str(name)):
            import torch  # noqa: F401
    return locate(name)


def is_exported(path: Path) -> bool:
    """Return True for a folder of `masklet export`, False for a checkpoint.

    Raises:
        CheckpointError: it is a single file of an exported model, or a folder without a model.
    """
    if path.suffix == ".onnx" or path.name == "model.json":
        raise CheckpointError(f"{path} is one file of an exported model: give its folder, {path.parent}")
    if not path.is_dir() or (path / "model.safetensors").is_file():
        return False
    if (path / "model.json").is_file():
        return True
    hint = " (config.json is there, the weights are not)" if (path / "config.json").is_file() else ""
    raise CheckpointError(
        f"folder {path} holds no model{hint}: expected model.json and graphs (of masklet export), or "
        f"model.safetensors and config.json (of transformers)"
    )


def open_engine(
    name: str | PathLike[str] = "nano",
    *,
    device: Any = "auto",
    precision: Any = "auto",
    image_size: int | None = None,
    num_threads: int = 0,
    speed: str | None = "auto",
) -> Engine[Any]:
    """Open a model with the engine that suits it.

    Args:
        name: a model name, a path, or a repository on the hub, as in `masklet.engine.hub.locate`.
        device: as in `masklet.engine.devices.device_text`; exported folders run on the CPU.
        precision: as in `masklet.engine.devices.precision_text`; exported folders compute in fp32 unless "int8" is
            asked for, which nano has.
        image_size: side of the input, for a checkpoint that was trained at another size than it states.
        num_threads: CPU threads; 0 leaves the choice to the runtime (one per core). PyTorch has one per process.
        speed: "exact", "fast", or "auto" for the one that suits the model, see docs/guides/speed.md.

    Raises:
        CheckpointError: unknown name, missing or unsuitable files, or a failed download.
        ConfigError: `image_size` is not possible.
        EngineError: a missing extra, or a device, precision or speed that the engine does not have.
    """
    device, precision, speed = device_text(device), precision_text(precision), speed or "auto"
    num_threads = check_whole("num_threads", num_threads, least=0)
    if image_size is not None:
        image_size = check_whole("image_size", image_size, least=32)
    path = find_model(name)
    if is_exported(path):
        if device not in ("auto", "cpu") or precision not in ("auto", "fp32", "int8"):
            raise EngineError(
                f"exported models run on the CPU in fp32 or int8, got device {device!r} and precision {precision!r}: "
                f"give a checkpoint instead"
            )
        if image_size is not None:
            raise EngineError(f"exported models have a fixed size, got image_size {image_size}: export another")
        from masklet.engine.onnx_engine import OnnxEngine

        precision = "fp32" if precision == "auto" else precision
        return _known_as(OnnxEngine(path, num_threads=num_threads, precision=precision, speed=speed), path)
    with needs_extra("torch", f"checkpoint {path}"):
        from masklet.engine.torch_engine import TorchEngine
        from masklet.model.checkpoint import load_model
    if num_threads:
        import torch

        torch.set_num_threads(num_threads)
    model = load_model(path, image_size=image_size)
    return _known_as(TorchEngine(model, device=device, precision=precision, speed=speed), path)


def _known_as(engine: StagedEngine[Any], path: Path) -> Engine[Any]:
    engine.info = replace(engine.info, path=str(path.absolute()))
    return engine
