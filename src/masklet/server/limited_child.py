"""The limited process itself: `masklet.server.processes` starts it.

Answers go to what was standard output at the start. It is moved away before any decoder is loaded, so that nothing
else can write there: neither a library that prints, nor a program that a decoder starts.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any


def main() -> None:
    """Read one request from standard input, and answer with lines of JSON."""
    answers = os.fdopen(os.dup(1), "wb")  # the copy is not inherited by programs
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    module, _, name = request["task"].partition(":")
    task = getattr(importlib.import_module(module), name)
    limit(request["memory_bytes"], request["cpu_seconds"], request["file_bytes"])
    failure = None
    try:
        for document in task(request["document"]):
            answers.write(json.dumps(document).encode() + b"\n")
            answers.flush()
    except MemoryError:
        failure = f"more than {request['memory_bytes'] >> 20} MB of memory would be needed"
    except Exception as error:  # a fault of the task is one of this file, not of the server
        failure = f"{type(error).__name__}: {error}"
    answers.write(json.dumps({"is_complete": True, "failure": failure}).encode() + b"\n")
    answers.flush()
    os._exit(0)  # libraries have nothing to tidy up


def _end_with_the_server() -> None:
    """Kill this process and its children when the server has ended, however it did."""
    while os.read(0, 2**12):
        pass
    if hasattr(os, "killpg"):
        os.killpg(os.getpgid(0), signal.SIGKILL)
    os._exit(1)


def limit(memory_bytes: int, cpu_seconds: int, file_bytes: int) -> None:
    """Bound what this process may take from now on, where the system can.

    Args:
        memory_bytes: address space beyond what the loaded libraries have.
        cpu_seconds: processor time.
        file_bytes: size of each file that it writes.
    """
    try:
        import resource
    except ImportError:  # Windows: only the time is limited, by the server
        return
    bounds: dict[Any, int] = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_AS: _address_space() + memory_bytes,
    }
    for kind, bound in bounds.items():
        _, hard = resource.getrlimit(kind)
        most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (most, most))


def _address_space() -> int:
    """Return the bytes of address space in use; 1 GB where the system does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 2**30
