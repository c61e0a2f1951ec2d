"""The studio's server as a user starts it, for tests of what talks to it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.waiting import PATIENCE_S


class Server:
    """`masklet serve` in a process of its own, on a port that it keeps when it is started again."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data, self.options, self.port = data, options, 0
        self.process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "masklet", "serve", "--data", str(self.data), "--no-browser"]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), *self.options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "2"},
        )
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if found := re.search(r"http://[^:]+:(\d+)/", line):
                self.port = int(found[1])
                return
        self.stop()
        raise AssertionError("masklet serve ended: " + "".join(said))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
