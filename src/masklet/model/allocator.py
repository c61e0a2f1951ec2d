"""Keeps freed memory in the process, where PyTorch would ask the kernel for it again a moment later.

PyTorch takes a fresh block for every intermediate tensor. glibc gives blocks of this size back to the kernel at once,
which then fills each page with zeros when the next tensor touches it: a quarter of the CPU time of a training step
(docs/lab-notes.md).
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

# Source: glibc, malloc/malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1
"""Bytes: what fits mallopt's int. More than this at the top of the heap is still given back."""
_OLD_GLIBC_LARGEST = 32 * 2**20
"""Bytes: the highest threshold that older versions of glibc take."""
_OWN_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Let glibc's malloc, for this process, keep what is freed for the next tensor of the size.

    The process then holds up to its peak instead of what it uses at the moment. Calling it again changes nothing.

    Returns:
        Whether it was done: only on Linux with glibc, and not where the environment sets malloc up itself.
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    if any(name in os.environ for name in _OWN_SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    taken = mallopt(_M_MMAP_THRESHOLD, _LARGEST) or mallopt(_M_MMAP_THRESHOLD, _OLD_GLIBC_LARGEST)
    return bool(taken and mallopt(_M_TRIM_THRESHOLD, _LARGEST))
