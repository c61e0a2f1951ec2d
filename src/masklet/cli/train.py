"""`masklet train`: a recipe, data, and a folder for the run; resumes by itself."""

from __future__ import annotations

import json
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

from masklet.cli.console import Interrupted, ProgressReport, Stopwatch, print_line, show_progress
from masklet.cli.options import examples
from masklet.errors import ConfigError, DataError, EngineError, MaskletError

if TYPE_CHECKING:
    from masklet.train.loop import TrainConfig

EPILOG = examples(
    ("Prompts first", "masklet train nano-prompts --data train/ --out runs/prompts --processes 2"),
    (
        "Then images",
        "masklet train nano-images --data train/ --init runs/prompts/ema.pt --out runs/images --processes 2",
    ),
    (
        "Then clips",
        "masklet train nano-clips --data train/ --clips clips/ --init runs/images/ema.pt --out runs/clips",
    ),
    ("What it is for", "masklet export runs/clips/ema.pt my-model/"),
    notes="The same command again goes on where the run was stopped. RUN/log.jsonl has a line every few steps, "
    "RUN/ema.pt the weights.",
)

_WATCH_EVERY_S = 1.0


def train(
    recipe: Annotated[str, typer.Argument(help="nano-prompts, nano-images or nano-clips.", show_default=False)],
    data: Annotated[
        Path,
        typer.Option(metavar="ROOT", help="Folders with images/ and masks/, in one folder.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="RUN", help="The run: state, log and weights.", show_default=False)
    ],
    clips: Annotated[
        Path | None, typer.Option(metavar="ROOT", help="Clips: <clip>/frames and <clip>/masks.", show_default=False)
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weights to start from: the ema.pt of a run.", show_default=False),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.", show_default=False)] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Side by side, each with a thread and its share of the batch.")
    ] = 1,
) -> int:
    """Train a model, or go on with a run that was stopped."""
    for option, path in (("--data", data), ("--clips", clips)):
        if path is not None and not path.is_dir():
            raise DataError(f"{option} {path} is not a folder")
    config = _config(recipe, data, clips, init, steps)
    if "LOCAL_RANK" in os.environ:  # started by torchrun: one of several
        _train(config, out)
        return 0
    watch = Stopwatch()
    try:
        with show_progress(f"training {recipe}", config.steps, "steps") as report, _watching(out, report):
            if processes == 1:
                _train(config, out)
            else:
                _spawn(processes, _arguments(recipe, data, out, clips=clips, init=init, steps=steps))
    except KeyboardInterrupt as stop:
        raise Interrupted("the same command goes on from the last checkpoint") from stop
    print_line(f"{config.steps} steps; this time took {watch.seconds / 60:.0f} min")
    print_line(f"wrote {out / 'ema.pt'}")
    return 0


def _config(recipe: str, data: Path, clips: Path | None, init: Path | None, steps: int | None) -> TrainConfig:
    try:
        from masklet.train.recipes import RECIPES
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] == "masklet":
            raise
        raise EngineError(f'training needs {error.name}: pip install "masklet[train]"') from error
    if recipe not in RECIPES:
        raise ConfigError(f"recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    clip_root, weights = (None if path is None else str(path) for path in (clips, init))
    config: TrainConfig = RECIPES[recipe](image_root=str(data), clip_root=clip_root, init=weights)
    return config if steps is None else replace(config, steps=steps)


def _train(config: TrainConfig, out: Path) -> None:
    from masklet.train.loop import train as run

    run(config, out)


def _arguments(recipe: str, data: Path, out: Path, **optional: Path | int | None) -> list[str]:
    given = [f"--{name}={value}" for name, value in optional.items() if value is not None]
    return ["train", recipe, f"--data={data}", f"--out={out}", *given]


def _spawn(processes: int, arguments: list[str]) -> None:
    """Run the same command in several processes, which find each other through torchrun.

    Raises:
        MaskletError: one of them failed; the text is its own.
    """
    # Waiting threads that spin would take the core from the process beside them.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
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
            told = [line.split("error: ", 1)[1] for line in lines if line.startswith("error: ")]
            raise MaskletError(told[0] if told else f"training failed with status {status}: {' | '.join(lines[-3:])}")


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM raises SystemExit, so that whoever ends this process does not leave others behind."""
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
    """Move the bar as the run's log grows."""
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(_WATCH_EVERY_S):
            line = _last_line(out / "log.jsonl")
            if line is not None:
                report.update(int(line["step"]), f"loss {line.get('loss', 0):.3f}")

    thread = threading.Thread(target=watch, name="masklet-watch-log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def _last_line(path: Path) -> dict[str, Any] | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        line: dict[str, Any] = json.loads(lines[-1])
    except (OSError, IndexError, ValueError):  # not there yet, or being written
        return None
    return line
