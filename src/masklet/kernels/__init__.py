"""An attention kernel in C for CPUs with AVX-512, in fp32 and in bf16, several times as fast as PyTorch's own there.

It is compiled by the machine's C compiler when it is first wanted, two seconds' work that is kept in the cache folder.
Where there is no compiler, no such CPU, or `MASKLET_KERNELS=0`, `find` answers None and PyTorch's kernel is used.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from masklet.output import cache_folder

SOURCE = Path(__file__).with_name("attention.c")
FLAGS = (
    *("-O3", "-std=gnu11", "-fno-strict-aliasing", "-shared", "-fPIC"),
    *("-mavx512f", "-mavx512bw", "-mavx512vl", "-mfma"),
)
HALF_FLAGS = ("-mavx512bf16", "-DHALF")
PACK, LANES = 64, 16
"""As in the source: keys are laid out in blocks of so many, values in channels of so many."""
MAX_WIDTH = 512

Strides = ctypes.c_int64 * 3


class Arguments(ctypes.Structure):
    """`Attention` of the source, field by field."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("queries", "keys", "values", "out")),
        *((f"{name}_strides", Strides) for name in ("query", "key", "value", "out")),
        *((name, ctypes.c_int64) for name in ("batch", "heads", "num_queries", "num_keys", "width", "value_width")),
        *((name, ctypes.c_void_p) for name in ("bias", "query_cosines", "query_sines", "key_cosines", "key_sines")),
        ("key_period", ctypes.c_int64),
        ("num_placed", ctypes.c_int64),
        ("scale", ctypes.c_float),
        ("packed_keys", ctypes.c_void_p),
        ("packed_values", ctypes.c_void_p),
        ("parallel", ctypes.c_void_p),
        ("next", ctypes.c_int64),
    ]


Kernel = Callable[[Arguments], None]

NOT_TO_BE_HAD = (OSError, subprocess.SubprocessError, RuntimeError, AttributeError)
"""No compiler or a failing one, no home for the cache, a library without the function."""


@lru_cache(maxsize=2)
def find(half: bool) -> Kernel | None:
    """The compiled kernel, for bf16 if `half` and else for fp32, or None where it cannot be had."""
    if os.environ.get("MASKLET_KERNELS") == "0" or not sys.platform.startswith("linux") or not _is_wanted(half):
        return None
    try:
        function = ctypes.CDLL(str(_compiled(half))).masklet_attention
    except NOT_TO_BE_HAD as error:
        logging.getLogger(__name__).info("attention is PyTorch's own, the kernel was not built: %s", error)
        return None
    function.restype = None
    return lambda arguments: function(ctypes.byref(arguments))


def _is_wanted(half: bool) -> bool:
    """AVX-512; for bf16 its instructions for that, and no AMX, for which PyTorch has a kernel."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("flags")[2].partition("\n")[0].split()
    except OSError:
        return False
    if not {"avx512f", "avx512bw", "avx512vl"} <= set(flags):
        return False
    return not half or ("avx512_bf16" in flags and "amx_bf16" not in flags)


def _compiled(half: bool) -> Path:
    """The library: of this source and these flags, from the cache or made now."""
    flags = (*FLAGS, *(HALF_FLAGS if half else ()))
    digest = hashlib.sha256(SOURCE.read_bytes() + " ".join(flags).encode()).hexdigest()[:16]
    path = cache_folder() / f"attention-{digest}.so"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:  # renamed when whole: another process may look
            made = Path(scratch) / path.name
            compiler = os.environ.get("CC") or "cc"
            subprocess.run(
                [*compiler.split(), *flags, str(SOURCE), "-o", str(made), "-lm"],
                check=True,
                capture_output=True,
                timeout=60,
            )
            made.replace(path)
    return path


@lru_cache(maxsize=1)
def parallel() -> int | None:
    """Address of the OpenMP runtime that PyTorch has loaded, so that its threads are used and no second set."""
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value
    except AttributeError:
        return None
