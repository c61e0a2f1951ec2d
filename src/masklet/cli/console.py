"""Printing: results on stdout, errors on stderr, and progress on stderr if it is a terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

PIPED_WIDTH = 240
"""Columns when the output is not a terminal: wide enough that no line of a table is wrapped or cut."""

MAX_ROWS = 40
"""Rows shown in a summary; further rows are only counted."""

command_line: ContextVar[str] = ContextVar("command_line", default="masklet")
"""The command as typed, for documents that record it; `main` sets it."""


def stdout() -> Console:
    """Return the console for results; a new one on each call, because tests and notebooks replace the stream."""
    return _console(stderr=False)


def stderr() -> Console:
    """Return the console for errors and progress."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=PIPED_WIDTH)


def print_error(message: str, *, word: str = "error") -> None:
    """Print one line on stderr, however many lines the message has."""
    line = " ".join(part.strip() for part in message.splitlines() if part.strip())
    console = stderr()
    console.print(f"[bold red]{word}:[/]", end=" ")
    console.print(line, markup=False, soft_wrap=True)


def print_json(document: Mapping[str, Any]) -> None:
    """Print the one document of `--json`."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str] = ()) -> None:
    """Print a summary. Numbers are aligned to the right; columns named in `left` are text."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=True)
    for row in rows[:MAX_ROWS]:
        table.add_row(*(_escaped(cell) for cell in row))
    console = stdout()
    console.print(table)
    if len(rows) > MAX_ROWS:
        console.print(f"... and {len(rows) - MAX_ROWS} more rows", style="dim")


def print_line(text: str) -> None:
    """Print one line of a summary without markup."""
    stdout().print(text, markup=False, soft_wrap=True)


def describe_outputs(paths: Sequence[Path]) -> str:
    """Return 'out/clip.mp4 (2.1 MB)', or how many files are in which folders."""
    if len(paths) == 1 and paths[0].is_file():
        return f"{paths[0]} ({format_bytes(paths[0].stat().st_size)})"
    if len(paths) <= 4:
        return ", ".join(str(path) for path in paths)
    folders = sorted({str(path.parent) for path in paths})
    return f"{len(paths)} files in {', '.join(folders)}"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: 1 frame, 2 frames."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_bytes(count: int) -> str:
    """Return a size in decimal units, as file managers show it."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def format_rate(per_second: float) -> str:
    """Return a rate with about three digits."""
    return f"{per_second:.0f}" if per_second >= 100 else f"{per_second:.1f}" if per_second >= 1 else f"{per_second:.2f}"


def _escaped(cell: str) -> str:
    return cell.replace("[", "\\[")


class ProgressReport:
    """Shows the progress of a run, as a `masklet.records.Progress`; does nothing unless stderr is a terminal."""

    def __call__(self, done: int, total: int | None, name: str = "") -> None:
        self.update(done, name[-40:], total)

    def update(self, done: int, status: str = "", total: int | None = None) -> None:
        """Show `done` of the total, and `status` at the end of the line. `total` may become known later."""

    def describe(self, description: str) -> None:
        """Show a description of the current step."""


class _BarReport(ProgressReport):
    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task

    def update(self, done: int, status: str = "", total: int | None = None) -> None:
        self._progress.update(self._task, completed=done, status=status, total=total)

    def describe(self, description: str) -> None:
        self._progress.update(self._task, description=description)


@contextmanager
def show_progress(description: str, total: int | None, unit: str) -> Iterator[ProgressReport]:
    """Show a bar with count, rate and time left until the block ends; on a terminal only.

    Args:
        description: what is being done.
        total: number of steps; None if unknown.
        unit: name of the steps, in the plural.
    """
    console = stderr()
    if not console.is_terminal:
        yield ProgressReport()
        return
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(bar_width=24),
        _pace_column(unit),
        TextColumn("{task.fields[status]}", style="cyan", markup=False),
        console=Console(stderr=True, highlight=False),
        transient=True,
        refresh_per_second=5,
    ) as progress:
        yield _BarReport(progress, progress.add_task(description, total=total, status=""))


def _pace_column(unit: str) -> ProgressColumn:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class PaceColumn(ProgressColumn):
        """Shows '12/300 frames, 8.1 frames/s, 0:35 left'."""

        def render(self, task: Task) -> Text:
            total = "" if task.total is None else f"/{task.total:.0f}"
            parts = [f"{task.completed:.0f}{total} {unit}"]
            if task.speed:
                parts.append(f"{format_rate(task.speed)} {unit}/s")
            if task.time_remaining is not None and task.completed:
                minutes, seconds = divmod(int(task.time_remaining), 60)
                hours, minutes = divmod(minutes, 60)
                parts.append(f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left")
            return Text(", ".join(parts))

    return PaceColumn()


@contextmanager
def show_status(text: str) -> Iterator[None]:
    """Show a spinner next to a text until the block ends; on a terminal only."""
    console = stderr()
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        yield


class Stopwatch:
    """Measures the seconds since it was created."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._since
