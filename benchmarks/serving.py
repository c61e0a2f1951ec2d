"""A studio in a process of its own, for the campaigns: started, killed, and looked at from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from masklet.server.client import Studio

CLIP = Path(__file__).parents[1] / "examples" / "media" / "bunny.mp4"


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    process: subprocess.Popen[str]
    studio: Studio

    def kill(self) -> None:
        """End the server as a power cut of its process: SIGKILL."""
        self.process.kill()
        self.process.wait()

    @property
    def usage(self) -> Usage:
        return Usage.of(self.process.pid)


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory, threads and descriptors of a process (Linux)."""

    rss_mb: float
    threads: int
    descriptors: int

    @classmethod
    def of(cls, process_id: int) -> Usage:
        folder = Path("/proc") / str(process_id)
        pages = int((folder / "statm").read_text().split()[1])
        return cls(
            pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            len(list((folder / "task").iterdir())),
            len(list((folder / "fd").iterdir())),
        )


@contextmanager
def server(data: Path, model: str = "nano", *options: str) -> Iterator[Served]:
    """Start `masklet serve`, or with the model "fake" a server whose engine answers at once; end it after the block.

    Raises:
        RuntimeError: it did not start; the message is what it printed.
    """
    command = [sys.executable, "-m", "masklet", "serve", "--no-browser", "--port", "0", "--model", model]
    if model == "fake":
        command = [sys.executable, "-m", "benchmarks.fake_studio"]
    process = subprocess.Popen(
        [*command, "--data", str(data), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if "http" not in line:
            raise RuntimeError(process.stderr.read().strip())
        yield Served(process, Studio(line.split()[-1].rstrip("/")))
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()


def machine() -> str:
    """Return a line about the machine and its load at this moment."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def table(header: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
