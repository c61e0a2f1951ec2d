"""Devices, precisions and paths of models, as users have them: objects, names in any case, indices, nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import masklet
from masklet.engine.devices import device_text, precision_text
from masklet.engine.hub import embedded_folder
from masklet.errors import CheckpointError, ConfigError, EngineError

torch = pytest.importorskip("torch", reason="the forms of PyTorch need PyTorch")


@pytest.mark.parametrize(
    "device", ["cpu", "cpu:0", "CPU", " cpu ", None, "auto", torch.device("cpu"), torch.device("cpu", 0)]
)
def test_the_cpu_has_many_names(device: Any) -> None:
    assert masklet.load("nano", device=device).info.device == "cpu"


def test_devices_as_text() -> None:
    devices = {0: "cuda:0", np.int64(1): "cuda:1", "CUDA": "cuda", torch.device("cuda", 1): "cuda:1", "mps": "mps"}
    assert {device: device_text(device) for device in devices} == devices


@pytest.mark.parametrize("device", [True, 1.5, -1, [0], b"cpu"], ids=repr)
def test_what_is_no_device_is_refused(device: Any) -> None:
    with pytest.raises(EngineError, match="device must be"):
        masklet.load("nano", device=device)


@pytest.mark.parametrize("device", ["meta", "gpu", "vulkan", "cuda:99"])
def test_a_device_that_cannot_compute_is_refused(device: str) -> None:
    from masklet.engine.torch_engine import TorchEngine
    from tests.model.tiny import random_model

    with pytest.raises(EngineError, match="device"):
        TorchEngine(random_model(), device=device)


@pytest.mark.parametrize("precision", ["fp32", "float32", None, "auto", torch.float32, np.float32, np.dtype("float32")])
def test_fp32_has_many_names(precision: Any) -> None:
    assert masklet.load("nano", precision=precision).info.precision == "fp32"


def test_precisions_as_text() -> None:
    assert [precision_text(name) for name in (torch.bfloat16, "half", torch.half)] == ["bf16", "fp16", "fp16"]


class Somewhere:
    """A path of another library."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


def test_paths_of_any_kind(tmp_path: Path) -> None:
    folder = embedded_folder("nano")
    assert [masklet.load(path).info.name for path in (folder, str(folder), Somewhere(folder))] == ["nano"] * 3
    with pytest.raises(CheckpointError, match="no_model"):
        masklet.load(Somewhere(tmp_path / "no_model"))


@pytest.mark.parametrize("name", [None, 3, b"nano", "", True], ids=repr)
def test_what_is_no_model_is_refused(name: Any) -> None:
    with pytest.raises(CheckpointError, match="model must be a name or a path"):
        masklet.load(name)


def test_other_settings_are_checked() -> None:
    assert masklet.load("nano", speed=None).info.speed == "fast"
    with pytest.raises(ConfigError, match="image_size must be a whole number of at least 32, got 'big'"):
        masklet.load("nano", image_size="big")  # type: ignore[arg-type]
