"""Runs an evaluation over its sequences: one after the other or in parallel, kept as it goes.

An evaluation is a function of an engine and one sequence (a clip, or an image). It knows nothing of processes and
journals; what is here knows nothing of masks. Every process has an engine of its own, and the order of the results is
that of the sequences, so the numbers do not depend on how many processes there were.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for_end
from pathlib import Path
from typing import Any, Generic, TypeVar

from masklet._version import __version__
from masklet.checks import check_whole
from masklet.engine.protocol import Engine
from masklet.errors import Cancelled, ConfigError, DataError, EngineError
from masklet.evaluation.journal import Journal
from masklet.records import Progress

T = TypeVar("T")
R = TypeVar("R")

Tick = Callable[[], None]
"""Called by an evaluation after each step (a frame, or an image). Raises `Cancelled` when the run is to stop."""

Work = Callable[[Any, T, Tick], list[R]]
"""A function that evaluates an engine on one sequence, or a dataclass that is called: it is pickled for processes."""

OpenEngine = Callable[[], Engine[Any] | None]
"""Opens another engine like the first. It is pickled, so it is a function or a `functools.partial` of one."""

POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Unit(Generic[T]):
    """One sequence to be evaluated."""

    name: str
    """Unique in its run."""
    label: str
    """Shown while it is being done."""
    steps: int
    """Number of ticks."""
    item: T


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """Options that change how an evaluation runs, but not its numbers."""

    processes: int = 1
    """Sequences done at once, each in a process of its own."""
    open_engine: OpenEngine | None = None
    """Needed for more than one process."""
    journal: Path | None = None
    """A file of JSON lines with what is finished; a run that finds its own file continues where it ended."""
    identity: str = ""
    """Says which weights and data these are, where names could be the same: part of the journal's first line."""
    progress: Progress | None = None

    def __post_init__(self) -> None:
        check_whole("processes", self.processes, least=1)


def run_units(
    engine: Engine[Any] | None,
    work: Work[T, R],
    units: Sequence[Unit[T]],
    record_type: type[R],
    options: RunOptions,
    about: Mapping[str, Any],
) -> list[R]:
    """Evaluate the sequences that are not finished yet.

    Args:
        engine: for a run in this process; None for work that needs none.
        work: what is done with each sequence.
        units: the sequences.
        record_type: what `work` returns a list of.
        options: how to run.
        about: the settings that the numbers depend on.

    Returns:
        The records of all sequences, in their order.

    Raises:
        EngineError: a process died.
        MaskletError: whatever `work` raises; what was finished is in the journal.
        KeyboardInterrupt: on Ctrl-C, with all processes ended.
    """
    model = None if engine is None else engine.info.name
    run = {"masklet": __version__, "model": model, "identity": options.identity, **about}
    journal = Journal(options.journal, record_type, run)
    done = journal.load()
    todo = [unit for unit in units if unit.name not in done]
    total = sum(unit.steps for unit in todo)

    def report(steps: int, label: str) -> None:
        if options.progress is not None:
            options.progress(steps, total, label)

    if options.processes > 1 and len(todo) > 1:
        finished = _in_processes(work, todo, options, report)
    else:
        finished = _in_this_process(engine, work, todo, report)
    for unit, records in finished:
        journal.add(unit.name, records)
        done[unit.name] = records
    return [record for unit in units for record in done[unit.name]]


def spread(items: Sequence[T], count: int | None) -> list[T]:
    """Return `count` items evenly spaced over the list, the same ones every time; all of them for None."""
    if count is None or count >= len(items):
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


def choose(items: Sequence[T], name_of: Callable[[T], str], names: Sequence[str] | None, limit: int | None) -> list[T]:
    """Return the items of these names, or as many as the limit, evenly spaced.

    Raises:
        DataError: a name is not among them.
    """
    if names is not None:
        by_name = {name_of(item): item for item in items}
        if unknown := [name for name in names if name not in by_name]:
            raise DataError(f"there is no {unknown[0]!r}: there are {', '.join(list(by_name)[:20])}")
        items = [by_name[name] for name in dict.fromkeys(names)]
    return spread(items, limit)


def _in_this_process(
    engine: Engine[Any] | None, work: Work[T, R], units: Sequence[Unit[T]], report: Callable[[int, str], None]
) -> Iterator[tuple[Unit[T], list[R]]]:
    steps = 0
    for unit in units:

        def tick(label: str = unit.label) -> None:
            nonlocal steps
            steps += 1
            report(steps, label)

        yield unit, work(engine, unit.item, tick)


def _in_processes(
    work: Work[T, R], units: Sequence[Unit[T]], options: RunOptions, report: Callable[[int, str], None]
) -> Iterator[tuple[Unit[T], list[R]]]:
    if options.open_engine is None:
        raise ConfigError(f"{options.processes} processes need open_engine: each opens an engine of its own")
    context = multiprocessing.get_context("spawn")  # a fork would copy the runtimes' threads and locks
    steps, stop = context.Value("l", 0), context.Value("b", 0)
    executor = ProcessPoolExecutor(
        min(options.processes, len(units)),
        context,
        initializer=_start_process,
        initargs=(work, options.open_engine, steps, stop),
    )
    waiting: dict[Future[list[R]], Unit[T]] = {}
    try:
        waiting = {executor.submit(_work_in_process, unit.item): unit for unit in units}
        label = ""
        while waiting:
            finished, _ = wait(waiting, timeout=POLL_S, return_when=FIRST_COMPLETED)
            for future in finished:
                unit = waiting.pop(future)
                label = unit.label
                yield unit, future.result()
            report(steps.value, label)
    except BrokenProcessPool as error:
        raise EngineError(
            "a process of the evaluation died, most likely because memory ran out: run again with fewer processes; "
            "what was finished is kept"
        ) from error
    finally:
        stop.value = 1
        executor.shutdown(wait=True, cancel_futures=True)


@dataclass(slots=True)
class _Process:
    """State of a worker process."""

    work: Work[Any, Any]
    open_engine: OpenEngine
    steps: Any
    """Tick counter shared by all processes."""
    stop: Any
    """Set to a non-zero value to stop the workers."""
    opened: list[Engine[Any] | None] = field(default_factory=list)
    """The engine, once there is one."""

    def tick(self) -> None:
        with self.steps.get_lock():
            self.steps.value += 1
        if self.stop.value:
            raise Cancelled


_process: _Process | None = None


def _start_process(work: Work[Any, Any], open_engine: OpenEngine, steps: Any, stop: Any) -> None:
    global _process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent handles it
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    import cv2

    cv2.setNumThreads(1)
    _process = _Process(work, open_engine, steps, stop)


def _end_with(sentinel: int) -> None:
    """End the worker when its parent has ended, even if the parent was killed."""
    wait_for_end([sentinel])
    os._exit(1)


def _work_in_process(item: Any) -> list[Any]:
    assert _process is not None
    if not _process.opened:  # opened here and not at the start, so that an error reaches the parent unchanged
        _process.opened.append(_process.open_engine())
    return _process.work(_process.opened[0], item, _process.tick)
