"""Contestants take turns; medians of wall and processor time, and how far the answers are apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from masklet.records import FloatArray


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way of doing a piece of work."""

    name: str
    run: Callable[[], Any]
    """Does it to its end, devices included."""
    as_array: Callable[[Any], FloatArray] = np.asarray
    """The result, on the host; not timed. The answers of one table's contestants mean the same."""


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    wall_s: float
    cpu_s: float
    """Processor seconds of all threads of the process."""
    runs: int
    deviation: float
    """Length of the difference from the first contestant's answer over the length of that."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compete(contestants: Sequence[Contestant], repeats: int, *, warm_up: int = 1) -> list[Result]:
    """Each once to warm up, then `repeats` rounds, every round starting with another one."""
    times: dict[str, list[tuple[float, float]]] = {contestant.name: [] for contestant in contestants}
    answers = {contestant.name: contestant.run() for contestant in contestants for _ in range(warm_up)}
    for turn in range(repeats):
        shift = turn % len(contestants)
        for contestant in (*contestants[shift:], *contestants[:shift]):
            wall, cpu = time.perf_counter(), time.process_time()
            answers[contestant.name] = contestant.run()
            times[contestant.name].append((time.perf_counter() - wall, time.process_time() - cpu))
    arrays = {contestant.name: contestant.as_array(answers[contestant.name]) for contestant in contestants}
    reference = arrays[contestants[0].name]
    return [
        Result(
            contestant.name,
            statistics.median(wall for wall, _ in times[contestant.name]),
            statistics.median(cpu for _, cpu in times[contestant.name]),
            repeats,
            deviation(arrays[contestant.name], reference),
        )
        for contestant in contestants
    ]


def deviation(answer: FloatArray, reference: FloatArray) -> float:
    """|answer - reference| / |reference|."""
    size = float(np.linalg.norm(reference))
    return float(np.linalg.norm(answer - reference)) / size if size else float(np.abs(answer).max(initial=0))
