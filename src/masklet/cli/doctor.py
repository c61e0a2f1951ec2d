"""`masklet doctor`: what is installed, what this machine can do, and what will therefore be used."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from masklet._version import __version__
from masklet.cli.console import print_json, print_line, print_table, show_status
from masklet.cli.options import JsonOption
from masklet.errors import MaskletError

_PACKAGES = {
    "numpy": "core",
    "onnxruntime": "core",
    "pillow": "core",
    "opencv-python-headless": "core",
    "av": "core",
    "pycocotools": "core",
    "torch": "torch",
    "safetensors": "torch",
    "onnx": "export",
    "onnxscript": "export",
}
"""Distribution and the extra that brings it."""


def doctor(as_json: JsonOption = False) -> int:
    """Show what is installed, which engine and precision will be used, and why."""
    from masklet.bench.card import cpu

    with show_status("checking this machine ..."):
        report: dict[str, Any] = {
            "masklet": __version__,
            "python": platform.python_version(),
            "executable": sys.executable,
            "platform": platform.platform(),
            "packages": {name: _version(name) for name in _PACKAGES},
            "cpu": cpu(),
            "gpu": _or_reason(_gpu),
            "h264_encoder": _or_reason(_h264),
            "nano": _or_reason(_nano),
            "checkpoints": _or_reason(_checkpoints),
            "attention_kernel": {
                "fp32": _or_reason(lambda: _attention(half=False)),
                "bf16": _or_reason(lambda: _attention(half=True)),
            },
        }
    if as_json:
        print_json(report)
    else:
        _print(report)
    return 0 if report["nano"]["works"] else 2


def _version(name: str) -> str | None:
    """Return the version of an installed distribution, without importing it."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and `masklet --help` imports this

    with suppress(PackageNotFoundError):
        return version(name)
    # The build with windows (GUI) works as well.
    return _version("opencv-python") if name == "opencv-python-headless" else None


def _or_reason(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the result of a check, or the error as its reason: an error must not end the report."""
    try:
        return {"works": True, **check()}
    except MaskletError as error:
        return {"works": False, "why": str(error)}
    except Exception as error:
        return {"works": False, "why": f"{type(error).__name__}: {error}"}


def _gpu() -> dict[str, Any]:
    if _version("torch") is None:
        return {"works": False, "why": 'unknown, because PyTorch is not installed: pip install "masklet[torch]"'}
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return {"why": f"PyTorch sees {', '.join(names)}"}
    if torch.backends.mps.is_available():
        return {"why": "PyTorch sees Apple's MPS"}
    return {"works": False, "why": f"PyTorch {torch.__version__} sees no GPU"}


def _h264() -> dict[str, Any]:
    import av

    encoders = [name for name in ("libx264", "libopenh264") if name in av.codecs_available]
    if not encoders:
        return {"works": False, "why": "this FFmpeg has no H.264 encoder: overlays become MPEG-4"}
    return {"why": f"{encoders[0]}, in PyAV {av.__version__}"}


def _nano() -> dict[str, Any]:
    from masklet.engine.open import embedded_folder, open_engine

    info = open_engine("nano").info
    return {
        "backend": info.backend,
        "device": info.device,
        "precision": info.precision,
        "why": "it is exported, so it needs no PyTorch, and runs on the CPU",
        "path": str(embedded_folder("nano")),
    }


def _checkpoints() -> dict[str, Any]:
    """Report how checkpoints run, from an engine with a small model: its own choices, not a copy of their rules."""
    if _version("torch") is None:
        return {"works": False, "why": 'they need PyTorch: pip install "masklet[torch]"'}
    import torch

    from masklet.engine.torch_engine import TorchEngine
    from masklet.model.config import NANO_CONFIG
    from masklet.model.sam2 import SAM2

    info = TorchEngine(SAM2(NANO_CONFIG)).info
    reason = {
        "cuda": "PyTorch sees a CUDA device, which computes bf16 fastest",
        "mps": "PyTorch sees Apple's MPS",
        "cpu": "PyTorch sees no GPU",
    }[torch.device(info.device).type]
    return {"backend": info.backend, "device": info.device, "precision": info.precision, "why": reason}


def _attention(*, half: bool) -> dict[str, Any]:
    """Report whether checkpoints on CPUs use masklet's attention kernel, which is compiled now if necessary."""
    if _version("torch") is None:
        return {"works": False, "why": 'it is for checkpoints, which need PyTorch: pip install "masklet[torch]"'}
    import torch

    from masklet.model import kernels

    kernel, why = kernels.look(half)
    if kernel is not None and torch.get_num_threads() > 1 and kernels.parallel() is None:
        why = "PyTorch was built without GNU OpenMP, whose threads it needs: OMP_NUM_THREADS=1 enables it on one thread"
        kernel = None
    return {"works": kernel is not None, "why": why}


def _print(report: dict[str, Any]) -> None:
    cpu = report["cpu"]
    features = ", ".join(cpu["features"]) or "no vector extensions that matter here"
    print_line(f"masklet {report['masklet']}, Python {report['python']} ({report['executable']}), {report['platform']}")
    print_line(f"CPU: {cpu['name']}, {cpu['cores']} cores, {features}")
    print_line(f"GPU: {report['gpu']['why']}")
    print_line(f"H.264: {report['h264_encoder']['why']}")
    for precision, state in report["attention_kernel"].items():
        print_line(f"attention kernel, {precision}: {'in use' if state['works'] else 'not in use'}, {state['why']}")
    print_line("")
    rows = [
        (name, report["packages"][name] or "missing", "" if extra == "core" else f"masklet[{extra}]")
        for name, extra in _PACKAGES.items()
    ]
    print_table(("package", "version", "extra"), rows, left=("package", "version", "extra"))
    print_line("")
    uses = [
        (title, _engine(report[key]), report[key]["why"])
        for title, key in (("nano and exported folders", "nano"), ("checkpoints (.pt, .safetensors)", "checkpoints"))
    ]
    print_table(("model", "runs on", "because"), uses, left=("model", "runs on", "because"))
    if report["nano"]["works"]:
        print_line("")
        print_line(f"nano is in {report['nano']['path']}")


def _engine(state: dict[str, Any]) -> str:
    return f"{state['backend']}, {state['device']}, {state['precision']}" if state["works"] else "nothing yet"
