"""Files of a run besides its weights: the log, TensorBoard's files, and how it was started."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from masklet import __version__
from masklet.errors import EngineError
from masklet.output import atomic_path

LOG, VALIDATION, DESCRIPTION = "log.jsonl", "validation.jsonl", "run.json"
_PACKAGES = ("torch", "numpy", "opencv-python-headless", "pillow", "onnxruntime", "peft")


class RunLog:
    """Means over the last steps, and measurements, one JSON line each; the same for TensorBoard where asked.

    Args:
        folder: the run's.
        done_steps: lines of later steps are dropped: they came after the checkpoint from which the run continues.
        tensorboard: also write `folder/tensorboard`.

    Raises:
        EngineError: tensorboard is asked for and not installed.
    """

    def __init__(self, folder: Path, done_steps: int, *, tensorboard: bool = False) -> None:
        self._folder = folder
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._board = _open_board(folder / "tensorboard", done_steps) if tensorboard else None
        for name in (LOG, VALIDATION):
            _cut(folder / name, done_steps)

    def add(self, values: Mapping[str, float]) -> None:
        """Add the numbers of one step; each is averaged over the steps that have it."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def write(self, step: int, rate: float) -> None:
        """Write the means since the last line."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        self._append(LOG, step, {"rate": rate, **means}, "train")

    def write_validation(self, step: int, scores: Mapping[str, float]) -> None:
        """Write a measurement on the validation data."""
        self._append(VALIDATION, step, scores, "validation")

    def close(self) -> None:
        if self._board is not None:
            self._board.close()

    def _append(self, name: str, step: int, values: Mapping[str, float], group: str) -> None:
        line = {"step": step, **{key: round(value, 6) for key, value in values.items()}}
        with (self._folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for key, value in values.items():
                self._board.add_scalar(f"{group}/{key}", value, step)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a log; none if there is no file. An incomplete last line is left out."""
    if not path.is_file():
        return []
    texts = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(text) for text in texts if text.endswith("}\n")]


def describe_run(folder: Path, command: str | None, *, processes: int, device: str) -> None:
    """Write or extend `run.json`: command, versions and machine of each start of the run."""
    path = folder / DESCRIPTION
    starts = json.loads(path.read_text(encoding="utf-8"))["starts"] if path.is_file() else []
    starts.append(
        {
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "command": command,
            "folder": os.getcwd(),
            "processes": processes,
            "device": device,
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
            "versions": {"python": platform.python_version(), "masklet": __version__, **_versions()},
            "git": _git_state(),
        }
    )
    with atomic_path(path) as partial:
        partial.write_text(json.dumps({"starts": starts}, indent=2) + "\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    return {package: number for package in _PACKAGES if (number := _version(package)) is not None}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_state() -> str | None:
    """Return the commit of the running source, and whether it was changed; None for an installed package."""
    package = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=package, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        if not git("ls-files", "__init__.py"):  # an installed package inside somebody else's repository
            return None
        return git("rev-parse", "HEAD") + (" with changes" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _cut(path: Path, done_steps: int) -> None:
    if not path.is_file():
        return
    kept = [line for line in read_lines(path) if line["step"] <= done_steps]
    with atomic_path(path) as partial:
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


def _open_board(folder: Path, done_steps: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise EngineError('logs for TensorBoard need it: pip install "masklet[train]"') from error
    return SummaryWriter(folder, purge_step=done_steps + 1)
