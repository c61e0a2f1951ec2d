"""The machine card of a benchmark: hardware, versions, and the peak throughput of the processor."""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from masklet._version import __version__

PACKAGES = ("numpy", "onnxruntime", "openvino", "torch", "transformers", "av", "opencv-python-headless")

_CPU_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 bf16",
    "amx_bf16": "AMX bf16",
    "asimd": "NEON",
    "bf16": "NEON bf16",
}
"""Linux's flag and what it is called."""


def cpu() -> dict[str, Any]:
    """Name, cores that this process may use, and vector extensions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name, flags = platform.processor() or platform.machine(), set()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = (part.strip() for part in line.partition(":"))
            if key == "model name":
                name = value
            elif key in ("flags", "Features"):
                flags = set(value.split())
    return {"name": name, "cores": cores, "features": [title for flag, title in _CPU_FEATURES.items() if flag in flags]}


def card(threads: int) -> dict[str, Any]:
    """Everything that a figure depends on besides the code."""
    versions = {"masklet": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu(),
        "threads": threads or "one a core",
        "versions": versions,
        "load": load,
        "ceiling": ceiling(),
    }


def ceiling(size: int = 1024, repeats: int = 9) -> dict[str, float]:
    """GFLOP/s of numpy's fp32 matrix product, the best of some: a second of waiting, and a second of one processor."""
    a = np.random.default_rng(0).random((size, size), np.float32)
    walls, cpus = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        a @ a
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - processor)
    work = 2 * size**3 / 1e9
    return {"gflops_wall": work / min(walls), "gflops_cpu": work / min(cpus)}
