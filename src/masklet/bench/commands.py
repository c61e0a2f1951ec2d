"""Whole commands in processes of their own: what a user waits for, start-up included."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from masklet.bench.stages import spread
from masklet.errors import MaskletError

_LAUNCHER = Path(__file__).with_name("launch.py")


class _Took(NamedTuple):
    """Cost of one run, by the keys of `launch.py`."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Medians of some runs of one command."""

    name: str
    wall_s: float
    cpu_s: float
    peak_bytes: int
    """Highest resident size."""
    runs: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def run_commands(commands: Mapping[str, Sequence[str]], repeats: int) -> list[CommandResult]:
    """`masklet` with each list of arguments; commands take turns, and the first round only warms up the disk.

    Args:
        commands: arguments by a name; `{out}` in them is an empty folder.
        repeats: rounds that count.

    Raises:
        MaskletError: a command fails.
    """
    runs: dict[str, list[_Took]] = {name: [] for name in commands}
    for turn in range(repeats + 1):
        for name, arguments in commands.items():
            with tempfile.TemporaryDirectory() as out:
                measured = _run([argument.replace("{out}", out) for argument in arguments])
            if turn:
                runs[name].append(measured)
    return [
        CommandResult(
            name,
            statistics.median(run.wall_s for run in runs),
            statistics.median(run.cpu_s for run in runs),
            max(run.peak_bytes for run in runs),
            len(runs),
        )
        for name, runs in runs.items()
    ]


def _run(arguments: Sequence[str]) -> _Took:
    command = [sys.executable, "-I", "-S", str(_LAUNCHER), sys.executable, "-m", "masklet", *arguments]
    process = subprocess.run(command, capture_output=True, check=False)
    if process.returncode:
        raise MaskletError(f"masklet {' '.join(arguments)} failed: {process.stderr.decode(errors='replace').strip()}")
    return _Took(**json.loads(process.stdout))


def starts(model: str, photo: Path, clip: Path) -> dict[str, list[str]]:
    """Return short commands, in which start-up dominates."""
    return {
        "masklet --help": ["--help"],
        "segment, a click": ["segment", str(photo), "--point", "150,150", "--model", model, "--out", "{out}"],
        "track, first mask written": [
            *("track", str(clip), "--point", "400,240", "--stop", "1", "--model", model, "--out", "{out}/clip.mp4")
        ],
    }


def tracks(
    model: str, speed: str, clip: Path, size_hw: tuple[int, int], objects: Sequence[int], lengths: tuple[int, int]
) -> dict[str, list[str]]:
    """A video of two lengths for each number of objects: the difference is frames alone, without start-up."""
    commands = {}
    for count in objects:
        prompts = [
            text
            for row, (x, y) in enumerate(spread(count, size_hw))
            for text in ("--object", str(row + 1), "--point", f"{x:.0f},{y:.0f}")
        ]
        for length in lengths:
            commands[f"{speed}, {count} x {length}"] = [
                *("track", str(clip), *prompts, "--stop", str(length), "--model", model, "--speed", speed),
                *("--out", "{out}/clip.mp4"),
            ]
    return commands


def seconds_a_frame(results: Sequence[CommandResult], lengths: tuple[int, int]) -> list[dict[str, Any]]:
    """Return wall and processor seconds per frame of the whole pipeline, from `tracks` commands."""
    by_name = {result.name: result for result in results}
    rows = []
    for name, short in by_name.items():
        what, _, length = name.rpartition(" x ")
        if not what or int(length) != lengths[0]:
            continue
        long, frames = by_name[f"{what} x {lengths[1]}"], lengths[1] - lengths[0]
        speed, count = what.split(", ")
        rows.append(
            {
                "speed": speed,
                "objects": int(count),
                "wall_s": (long.wall_s - short.wall_s) / frames,
                "cpu_s": (long.cpu_s - short.cpu_s) / frames,
                "peak_bytes": long.peak_bytes,
            }
        )
    return rows
