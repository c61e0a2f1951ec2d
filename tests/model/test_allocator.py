"""What is freed stays in the process: counted in page faults, which do not depend on the clock."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from masklet.model import allocator

IS_GLIBC = sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc"

COUNT_FAULTS = """
import ctypes, resource
from masklet.model.allocator import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(40_000_000)))
    libc.memset(block, 1, ctypes.c_size_t(40_000_000))
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(environment: dict[str, str]) -> int:
    clean = {name: value for name, value in os.environ.items() if name not in allocator._OWN_SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS], env=clean | environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not IS_GLIBC, reason="only glibc's malloc is set up")
def test_freed_memory_is_used_again() -> None:
    left_alone = faults({"MALLOC_TOP_PAD_": "131072"})  # glibc's default: set, so that nothing is changed
    assert faults({}) < left_alone / 4


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not allocator.keep_freed_memory()


def test_settings_of_the_user_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072")
    assert not allocator.keep_freed_memory()
