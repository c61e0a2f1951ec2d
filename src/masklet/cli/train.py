"""`masklet train`: train by a recipe on data, into the folder of a run; an interrupted run is resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.checks import check_choice
from masklet.cli.console import (
    ProgressReport,
    Stopwatch,
    command_line,
    print_error,
    print_line,
    print_table,
    show_progress,
)
from masklet.cli.groups import OptionGroup, with_groups
from masklet.cli.options import examples
from masklet.errors import Cancelled, ConfigError, MaskletError

if TYPE_CHECKING:
    from masklet.train.config import TrainConfig

EPILOG = examples(
    (
        "A model of your own from 20 images",
        "masklet train finetune --data mine/train --validation mine/val --out runs/mine",
    ),
    ("Use it", "masklet segment photo.jpg --model runs/mine --point 500,375"),
    (
        "From an official checkpoint, with adapters",
        "masklet train finetune --data mine --model sam2.1-tiny --set trainable.lora.rank=8 --out runs/mine",
    ),
    (
        "nano from the start: prompts, images, clips",
        "masklet train nano-prompts --data train/ --out runs/prompts --processes 2",
    ),
    (
        "... each from the one before",
        "masklet train nano-images --data train/ --model runs/prompts --out runs/images --processes 2",
    ),
    notes="To continue a run that was stopped, repeat its command. RUN/log.jsonl has a line every few steps, "
    "RUN/pictures its predictions, RUN/ema.pt the weights, RUN/MODEL_CARD.md the summary, RUN/config.json every "
    "setting that --set can change.",
)

_WATCH_EVERY_S = 1.0
_SHOWN_UNUSED = 5
"""Lines about unused data that are printed."""


class Setup(OptionGroup):
    """Options of a run other than its recipe, data and folder."""

    clips: Annotated[
        list[str] | None,
        typer.Option(metavar="ROOT", help="A data set of clips. Repeat to mix.", show_default=False),
    ] = None
    validation: Annotated[
        str | None,
        typer.Option(metavar="ROOT", help="Images to measure on, never trained on.", show_default=False),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            "--init",
            help="The model to start from: a name, a checkpoint or another run. finetune starts from nano by default.",
            show_default=False,
        ),
    ] = None
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of steps, instead of the recipe's.", show_default=False)
    ] = None
    processes: Annotated[
        int, typer.Option(min=1, help="Number of parallel processes, each with one thread and its share of the batch.")
    ] = 1
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any setting of config.json, such as optimizer.learning_rate=1e-4 or schedule.steps=300. "
            "Repeat for more.",
            show_default=False,
        ),
    ] = None
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write RUN/tensorboard, for TensorBoard.")] = (
        False
    )

    def config(self, recipe: str, data: list[str]) -> TrainConfig:
        """Return the recipe's configuration with these options applied.

        Raises:
            ConfigError: the recipe or a setting does not exist.
        """
        config = _config(recipe, data, self.clips, self.model)
        if self.steps is not None:
            config = replace(config, schedule=replace(config.schedule, steps=self.steps))
        if self.validation is not None:
            config = replace(config, validation=replace(config.validation, root=self.validation))
        if self.tensorboard:
            config = replace(config, log=replace(config.log, tensorboard=True))
        return _with_settings(config, self.settings or [])

    def arguments(self, recipe: str, data: list[str], out: Path) -> list[str]:
        """Return the arguments of each of several processes."""
        repeated = {"data": data, "clips": self.clips or [], "set": self.settings or []}
        single = {"out": out, "validation": self.validation, "model": self.model, "steps": self.steps}
        settings = [f"--{name}={value}" for name, values in repeated.items() for value in values]
        settings += [f"--{name}={value}" for name, value in single.items() if value is not None]
        return ["train", recipe, *settings, *(["--tensorboard"] if self.tensorboard else [])]


@with_groups
def train(
    recipe: Annotated[
        str,
        typer.Argument(help="finetune, sam2, nano-prompts, nano-images, nano-clips or nano-whole.", show_default=False),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            metavar="ROOT",
            help="A data set of images, as ROOT or ROOT?split=train:2 (weight 2). Repeat to mix.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="RUN", help="The run: state, log and weights.", show_default=False)
    ],
    *,
    setup: Setup,
) -> int:
    """Train a model, or continue a run that was stopped."""
    # Before PyTorch is imported: threads that spin while they wait take the cores from everything else.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    config = setup.config(recipe, data)
    if "LOCAL_RANK" in os.environ:  # one of several processes, started by torchrun
        _train(config, out, os.environ.get(_COMMAND))
        return 0
    watch = Stopwatch()
    try:
        with show_progress(f"training {recipe}", config.schedule.steps, "steps") as report, _watching(out, report):
            if setup.processes == 1:
                _train(config, out, command_line.get())
            else:
                _spawn(setup.processes, setup.arguments(recipe, data, out))
    except KeyboardInterrupt as stop:
        raise Cancelled("the same command continues from the last checkpoint") from stop
    except FloatingPointError as error:
        raise MaskletError(str(error)) from error
    took = f"{watch.seconds / 60:.0f} min" if watch.seconds >= 120 else f"{watch.seconds:.0f} s"
    print_line(f"{config.schedule.steps} steps; this run took {took}")
    _print_scores(out)
    print_line(f"wrote {out / 'ema.pt'}, {out / 'MODEL_CARD.md'}")
    return 0


_COMMAND = "MASKLET_TRAIN_COMMAND"
"""Environment variable that passes the typed command to the processes of one training."""


def _config(recipe: str, data: list[str], clips: list[str] | None, model: str | None) -> TrainConfig:
    from masklet.engine.open import needs_extra

    with needs_extra("train", "training"):
        from masklet.train.recipes import RECIPES
    check_choice("recipe", recipe, RECIPES)
    config: TrainConfig = RECIPES[recipe](image_root=_roots(data), clip_root=_roots(clips), init=model)
    return config


def _roots(folders: list[str] | None) -> str | tuple[str, ...] | None:
    return None if not folders else folders[0] if len(folders) == 1 else tuple(folders)


def _with_settings(config: TrainConfig, settings: list[str]) -> TrainConfig:
    from masklet.train.config import with_settings

    for text in settings:
        if "=" not in text:
            raise ConfigError(f"--set must be NAME=VALUE, got {text!r}")
    return with_settings(config, dict(text.split("=", 1) for text in settings))


def _print_scores(out: Path) -> None:
    """Print the first and the last measurement, if there are any."""
    from masklet.train.record import VALIDATION, read_lines

    lines = read_lines(out / VALIDATION)
    if len(lines) > 1:
        first, last = lines[0], lines[-1]
        rows = [(name, f"{100 * first[name]:.1f}", f"{100 * last[name]:.1f}") for name in last if name != "step"]
        print_table(("in per cent", f"step {first['step']}", f"step {last['step']}"), rows, left=("in per cent",))


class _UnusedNotes:
    """Prints what of the data a run does not use, and why.

    Args:
        path: the run's list, which an earlier start of the run may have left.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._earlier = self._written_at()
        self._num_printed = 0

    def print_new(self) -> None:
        """Print the lines that have come since the last call, up to `_SHOWN_UNUSED` in all."""
        for line in self._lines()[self._num_printed : _SHOWN_UNUSED]:
            print_error(line, word="note")
            self._num_printed += 1

    def print_rest(self) -> None:
        """Print the lines that have come since the last call, and how many are in the list only."""
        self.print_new()
        if (num_more := len(self._lines()) - self._num_printed) > 0:
            print_error(f"{num_more} more lines like these are in {self._path}", word="note")

    def _lines(self) -> list[str]:
        from masklet.train.unused import read_unused

        return [] if self._written_at() == self._earlier else read_unused(self._path)

    def _written_at(self) -> tuple[int, int] | None:
        """Return what tells whether the list has been written; None if there is none."""
        if not self._path.is_file():
            return None
        status = self._path.stat()
        return status.st_ino, status.st_mtime_ns


def _train(config: TrainConfig, out: Path, command: str | None) -> None:
    from masklet.train.loop import train as run

    run(config, out, command=command)


def _spawn(processes: int, arguments: list[str]) -> None:
    """Run the same command in several processes, which connect through torchrun.

    Raises:
        MaskletError: a process failed; the text is that of its error.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", _COMMAND: command_line.get()}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stderr:
        with _terminable():
            child = subprocess.Popen(
                [*_torchrun(processes), "-m", "masklet", *arguments], env=environment, stderr=stderr
            )
            try:
                status = child.wait()
            except BaseException as stop:
                if not isinstance(stop, KeyboardInterrupt):  # Ctrl-C has been sent to the child, too
                    child.terminate()
                child.wait()
                raise
        if status:
            stderr.seek(0)
            lines = [line.strip() for line in stderr if line.strip()]
            errors = [line.split("error: ", 1)[1] for line in lines if line.startswith("error: ")]
            raise MaskletError(
                errors[0] if errors else f"training failed with status {status}: {' | '.join(lines[-3:])}"
            )


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that the child processes are ended, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda number, stack: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _torchrun(processes: int) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]


@contextmanager
def _watching(out: Path, report: ProgressReport) -> Iterator[None]:
    """Advance the progress bar as the run's log grows, and print what of the data is not used once it is known."""
    from masklet.train.record import LOG, read_lines
    from masklet.train.unused import UNUSED

    finished = threading.Event()
    notes = _UnusedNotes(out / UNUSED)

    def watch() -> None:
        while not finished.wait(_WATCH_EVERY_S):
            notes.print_new()
            lines = read_lines(out / LOG)
            if lines:
                report.update(int(lines[-1]["step"]), _status(lines[-1]))

    thread = threading.Thread(target=watch, name="masklet-watch-log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
        notes.print_rest()


def _status(line: dict[str, Any]) -> str:
    """Return the status text, such as 'loss 0.412, IoU click 0.71 box 0.80 last 0.83'."""
    ious = [f"{short} {line[name]:.2f}" for name, short in _IOUS.items() if name in line]
    return f"loss {line.get('loss', 0):.3f}" + (f", IoU {' '.join(ious)}" if ious else "")


_IOUS = {"image_click": "click", "image_box": "box", "image_last": "last", "tracked": "tracked"}
