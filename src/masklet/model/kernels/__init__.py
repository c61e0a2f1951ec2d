"""An attention kernel in C for CPUs with AVX-512, in fp32 and in bf16, several times as fast as PyTorch's own there.

It is compiled by the machine's C compiler when it is first needed, two seconds' work that is kept in the cache folder.
Where there is no compiler, no such CPU, or `MASKLET_KERNELS=0`, `find` answers None and PyTorch's kernel is used;
`look` says why, and `masklet doctor` says it to users.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from masklet.output import atomic_path, cache_folder

SOURCE = Path(__file__).with_name("attention.c")
FLAGS = (
    *("-O3", "-std=gnu11", "-fno-strict-aliasing", "-shared", "-fPIC"),
    *("-mavx512f", "-mavx512bw", "-mavx512vl", "-mfma"),
)
HALF_FLAGS = ("-mavx512bf16", "-DHALF")
PACK, LANES = 64, 16
"""Keys per block and channels per group of values, in the layouts of the C source."""
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
"""Errors of building and loading: no compiler or a failing one, no cache folder, a library without the function."""


class Look(NamedTuple):
    """Result of looking for the kernel."""

    kernel: Kernel | None
    why: str
    """Its path; or why it is missing, and what to do."""


def find(half: bool) -> Kernel | None:
    """Return the compiled kernel, for bf16 if `half` and else for fp32, or None where it is not available."""
    return look(half).kernel


@lru_cache(maxsize=2)
def look(half: bool) -> Look:
    """Return the kernel, or why there is none. Compiles it if needed; the answer is kept for the whole process."""
    reason = _unwanted(half)
    if reason is not None:
        return Look(None, reason)
    try:
        path = _compiled(half)
        function = ctypes.CDLL(str(path)).masklet_attention
    except NOT_TO_BE_HAD as error:
        reason = _what_to_do(error)
        logging.getLogger(__name__).info("attention is PyTorch's own: %s", reason)
        return Look(None, reason)
    function.restype = None
    return Look(lambda arguments: function(ctypes.byref(arguments)), f"compiled into {path}")


def _unwanted(half: bool) -> str | None:
    """Return why the kernel cannot run here, or None. It needs AVX-512 and, for bf16, AVX512_BF16 without AMX."""
    if os.environ.get("MASKLET_KERNELS") == "0":
        return "switched off by MASKLET_KERNELS=0: unset it"
    if not sys.platform.startswith("linux"):
        return f"it is for Linux, and this is {sys.platform}"
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("flags")[2].partition("\n")[0].split()
    except OSError as error:
        return f"the CPU's instruction sets cannot be read: {error}"
    required = ("avx512f", "avx512bw", "avx512vl", *(("avx512_bf16",) if half else ()))
    missing = [flag for flag in required if flag not in flags]
    if missing:
        return f"this CPU lacks {', '.join(missing)}"
    if half and "amx_bf16" in flags:
        return "this CPU has AMX, for which PyTorch has a kernel"
    return None


def _what_to_do(error: Exception) -> str:
    compiler = _compiler()[0]
    if isinstance(error, FileNotFoundError) and error.filename == compiler:
        return f"there is no C compiler {compiler!r}: install one, such as gcc, or name yours in CC"
    if isinstance(error, subprocess.CalledProcessError):
        message = (error.stderr.decode(errors="replace").strip() or str(error)).splitlines()[0]
        return f"{compiler} does not compile it ({message}): name a newer compiler in CC, such as gcc 10"
    return f"it could not be built ({error}): XDG_CACHE_HOME must be a folder that can be written to and run from"


def _compiler() -> list[str]:
    return os.environ.get("CC", "").split() or ["cc"]


def _compiled(half: bool) -> Path:
    """Return the library for this source and these flags, from the cache or compiled now."""
    flags = (*FLAGS, *(HALF_FLAGS if half else ()))
    digest = hashlib.sha256(SOURCE.read_bytes() + " ".join(flags).encode()).hexdigest()[:16]
    path = cache_folder() / f"attention-{digest}.so"
    if not path.is_file():
        with atomic_path(path) as made:  # another process may load it
            command = [*_compiler(), *flags, str(SOURCE), "-o", str(made), "-lm"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
    return path


@lru_cache(maxsize=1)
def parallel() -> int | None:
    """Return the address of the OpenMP runtime that PyTorch has loaded, so that its threads are shared."""
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value
    except AttributeError:
        return None
