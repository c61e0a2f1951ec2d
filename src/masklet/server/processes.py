"""Runs work on files from outside in limited processes: reading uploads and imports, whose decoders may be attacked.

A process has bounded memory, processor time and file sizes. It answers on a pipe that no decoder can write to by
accident, and its whole group is killed when it is done, takes too long, or the server stops.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from masklet.server.errors import ApiError
from masklet.server.settings import Limits

T = TypeVar("T")

CHILD = "masklet.server.limited_child"

MAX_ANSWER_BYTES = 64 * 2**20
"""Bytes that a process may answer: a million run-length codes of average size."""

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT", "TZ")
"""Environment variables of the server that a process gets. The others may be secrets."""

RETRY_AFTER_S = 10


@dataclass(slots=True)
class Answers:
    """What a limited process has answered."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    failure: str | None = None
    """Why the process ended early, in words that follow "because"; None if it finished."""


class LimitedProcesses:
    """The limited processes of a server: few at a time, and a bounded queue for their turn.

    Args:
        limits: numbers of processes and requests, and the memory of a process.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turns = threading.BoundedSemaphore(limits.processes)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._requests: Counter[str] = Counter()
        self._limiter: anyio.CapacityLimiter | None = None
        self._limiters: dict[str, anyio.CapacityLimiter] = {}
        self._is_closed = False
        self._lock = threading.Lock()

    async def queued(self, user_id: str, work: Callable[..., T], *args: Any) -> T:
        """Call `work(*args)` in a thread when it is this request's turn; no thread is held until then.

        One user's requests never take all processes, if there are two or more.

        Raises:
            ApiError: the user has too many requests in the queue (429), or the queue is full (503).
        """
        self.check_room(user_id)
        self._requests[user_id] += 1
        try:
            if self._limiter is None:
                self._limiter = anyio.CapacityLimiter(self._limits.processes)
            if user_id not in self._limiters:
                self._limiters[user_id] = anyio.CapacityLimiter(max(1, self._limits.processes - 1))
            async with self._limiters[user_id]:
                return await anyio.to_thread.run_sync(lambda: work(*args), limiter=self._limiter)
        finally:
            self._requests[user_id] -= 1
            if not self._requests[user_id]:
                del self._requests[user_id], self._limiters[user_id]

    def check_room(self, user_id: str) -> None:
        """Check that one more request may enter the queue; called also before its files are received.

        Raises:
            ApiError: as `queued`.
        """
        if self._requests[user_id] >= self._limits.checks_per_user:
            raise ApiError(
                429,
                "too_many_files",
                f"{self._limits.checks_per_user} uploads or imports of yours are being checked: send the next when "
                "one is done",
                retry_after_s=RETRY_AFTER_S,
            )
        if self._requests.total() >= self._limits.queued_checks:
            raise ApiError(
                503,
                "busy",
                f"{self._limits.queued_checks} uploads and imports are waiting to be checked: try again soon",
                retry_after_s=RETRY_AFTER_S,
            )

    def run(self, task: str, document: Mapping[str, Any], *, folder: Path, seconds: float) -> Answers:
        """Run a task in a limited process and return its answers.

        Args:
            task: `module:function`; the function takes the document and yields answers.
            document: JSON.
            folder: for temporary files of the process.
            seconds: time limit.
        """
        request = {
            "task": task,
            "document": document,
            "memory_bytes": self._limits.process_bytes,
            "file_bytes": self._limits.process_file_bytes,
            "cpu_seconds": int(seconds) * 2 + 5,
        }
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        with self._turns:
            process = subprocess.Popen(
                [sys.executable, "-c", f"from {CHILD} import main; main()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**environment, **threads, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)},
                start_new_session=True,
            )
            try:
                with self._lock:
                    self._running.add(process)
                    is_closed = self._is_closed
                if is_closed:
                    return Answers(failure="the server is stopping")
                return _converse(process, json.dumps(request).encode() + b"\n", seconds)
            finally:
                kill_group(process)
                with self._lock:
                    self._running.discard(process)
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    assert pipe is not None
                    with suppress(OSError):
                        pipe.close()

    def close(self) -> None:
        """Kill all processes; later ones are not started."""
        with self._lock:
            self._is_closed = True
            for process in self._running:
                kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that has not been waited for, and all processes that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _converse(process: subprocess.Popen[bytes], request: bytes, seconds: float) -> Answers:
    """Send the request, and read answers until the process closes its pipe or the time is up.

    Standard input stays open meanwhile: its end tells the process that the server is gone.
    """
    data = bytearray()

    def read() -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError, ValueError):
            process.stdin.write(request)
            process.stdin.flush()
            while len(data) <= MAX_ANSWER_BYTES and (chunk := process.stdout.read1(2**16)):  # type: ignore[attr-defined]
                data.extend(chunk)

    reader = threading.Thread(target=read, name="masklet-limited-process", daemon=True)
    reader.start()
    reader.join(seconds)
    is_late = reader.is_alive()
    kill_group(process)
    reader.join()
    if len(data) > MAX_ANSWER_BYTES:
        return Answers(failure="the files hold too much for one request")
    return _answers(bytes(data), f"checking took longer than {seconds:.0f} s" if is_late else "the decoder broke down")


def _answers(data: bytes, failure: str) -> Answers:
    """Parse lines of JSON; the last one says that the task is complete."""
    answers = Answers(failure=failure)
    for line in data.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        document = json.loads(line)
        if document.get("is_complete"):
            answers.failure = document["failure"]
            break
        answers.documents.append(document)
    return answers
