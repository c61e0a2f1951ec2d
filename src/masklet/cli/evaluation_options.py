"""Options that the commands of `masklet evaluate` share: data, model, how they run, and where results go."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import command_line, print_json, print_line, show_progress, stdout
from masklet.cli.groups import OptionGroup
from masklet.cli.options import RESULT_PANEL, ForceOption, ModelAndSpeed
from masklet.errors import Cancelled, ConfigError
from masklet.output import atomic_path, check_writable, only_user, refuse_existing

if TYPE_CHECKING:
    from masklet.api import Model
    from masklet.datasets import Dataset
    from masklet.evaluation.report import EvaluationReport
    from masklet.evaluation.running import RunOptions

DATA_PANEL = "Data"
STDOUT = Path("-")


class MeasuredModel(ModelAndSpeed):
    """The model that is measured."""

    def open_engine(self) -> Callable[[], Any]:
        """Return a function that opens the engine in a worker process, with one thread: processes share the machine."""
        from masklet.engine.open import open_engine

        return functools.partial(
            open_engine,
            self.model,
            device=self.device,
            precision=self.precision,
            num_threads=1,
            speed=self.speed or "auto",
        )

    def identity(self) -> str:
        """Return a digest of weights and settings, so that a run does not resume another model's results."""
        from masklet.engine.open import find_model

        path = find_model(self.model)
        files = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
        digest = hashlib.sha256(f"{self.precision}{self.speed or ''}".encode())
        for file in files:
            if file.is_file():
                digest.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}".encode())
        return f"{self.model} {digest.hexdigest()[:16]}"


class DataChoice(OptionGroup):
    """The part of the data that is used."""

    layout: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Layout of ROOT. Detected by default.", rich_help_panel=DATA_PANEL),
    ] = None
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="A split that ROOT has, such as ImageSets/2017/val.txt.", rich_help_panel=DATA_PANEL
        ),
    ] = None
    resolution: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="480p (default) or Full-Resolution, for DAVIS.", rich_help_panel=DATA_PANEL),
    ] = None
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "--max-images",
            min=1,
            help="Maximum number of clips, or of images per source, evenly spaced.",
            rich_help_panel=DATA_PANEL,
        ),
    ] = None

    def open(self, root: Path) -> Dataset:
        from masklet.datasets import open_dataset

        return open_dataset(root, self.layout, split=self.split, resolution=self.resolution)


class RunChoice(OptionGroup):
    """Options of the run, and the destinations of its results."""

    json_path: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write the report, with every object, to a file; - prints it, and nothing else. Finished parts are "
            "kept next to it as JSON lines: after an interruption the same command continues from there.",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = None
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Write report.json, table.csv and pictures of the worst cases to a folder.",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = None
    worst: Annotated[
        Path | None,
        typer.Option(
            "--worst", metavar="FOLDER", help="Save pictures of the worst cases.", rich_help_panel=RESULT_PANEL
        ),
    ] = None
    worst_count: Annotated[
        int, typer.Option("--worst-count", min=1, help="Number of pictures.", rich_help_panel=RESULT_PANEL)
    ] = 20
    processes: Annotated[
        int, typer.Option("--processes", "-p", min=1, help="Clips or images evaluated at once, with one thread each.")
    ] = 1
    force: ForceOption = False

    @property
    def report_path(self) -> Path | None:
        """Path of the report; None if no file was requested."""
        if self.out is not None:
            return self.out / "report.json"
        return None if self.json_path == STDOUT else self.json_path

    @property
    def pictures_folder(self) -> Path | None:
        return self.out / "worst" if self.worst is None and self.out is not None else self.worst

    @property
    def journal(self) -> Path | None:
        """Path of the finished parts: `report.jsonl` next to `report.json`."""
        path = self.report_path
        return None if path is None else path.with_name(f"{path.name.removesuffix('.json')}.jsonl")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing the same results during the block.

        Raises:
            OutputError: another process writes them.
        """
        with ExitStack() as stack:
            if self.report_path is not None:
                stack.enter_context(only_user(self.report_path, is_file=True))
            if self.worst is not None:
                stack.enter_context(only_user(self.worst))
            yield

    def prepare(self) -> None:
        """Check that all results can be written, before a long evaluation starts."""
        if self.out is not None and self.json_path is not None:
            raise ConfigError("--out writes the report too: give it or --json, not both")
        for path in (self.report_path, self.pictures_folder):
            if path is not None:
                refuse_existing(path, self.force)
        if self.report_path is not None:
            check_writable(self.report_path)
        if self.pictures_folder is not None:
            check_writable(self.pictures_folder / "01.png")
        if self.force and self.journal is not None:
            self.journal.unlink(missing_ok=True)

    @contextmanager
    def running(self, root: Path, unit: str, model: MeasuredModel | None = None) -> Iterator[RunOptions]:
        """Show progress; if the run is interrupted, report which results are kept."""
        from masklet.evaluation.journal import count_finished
        from masklet.evaluation.running import RunOptions

        identity = str(root.resolve()) if model is None else f"{model.identity()} {root.resolve()}"
        try:
            with show_progress("evaluating", None, unit) as report:
                yield RunOptions(
                    processes=self.processes,
                    open_engine=None if model is None else model.open_engine(),
                    journal=self.journal,
                    identity=identity,
                    progress=report,
                )
        except KeyboardInterrupt as stop:
            if self.journal is None:
                raise Cancelled(
                    "nothing is kept: with --json FILE or --out FOLDER it would continue from here"
                ) from stop
            kept = f"{count_finished(self.journal)} of the {'clips' if unit == 'frames' else unit} are kept"
            raise Cancelled(f"{kept} in {self.journal}; the same command continues from there") from stop

    def deliver(self, report: EvaluationReport, data: Dataset | None) -> int:
        """Write and print the requested results."""
        document = report.to_dict(command=command_line.get())
        if self.report_path is not None:
            _write_text(self.report_path, json.dumps(document, indent=1) + "\n")
        if self.out is not None:
            _write_text(self.out / "table.csv", report.to_csv())
        pictures: list[Path] = []
        if self.pictures_folder is not None and data is not None:
            from masklet.evaluation.pictures import save_worst

            pictures = save_worst(report, [*data.images, *data.clips], self.pictures_folder, count=self.worst_count)
        if self.json_path == STDOUT:
            print_json(document)
            return 0
        print_line(f"{report.model} ({report.backend}), in per cent")
        stdout().print(report.table())
        _print_remarks(document)
        if self.report_path is not None:
            print_line(f"wrote {self.report_path}")
        if pictures:
            print_line(f"wrote {len(pictures)} pictures of the worst cases to {self.pictures_folder}")
        return 0


class Evaluation(MeasuredModel, RunChoice, DataChoice):
    """Options of an evaluation of a model, in the order data, run, model."""

    def measure(self, root: Path, unit: str, evaluate: Callable[[Model, Dataset, RunOptions], EvaluationReport]) -> int:
        """Open model and data, evaluate, and write the results.

        Args:
            root: the data set.
            unit: name of the steps of the progress bar, in the plural.
            evaluate: makes the report.
        """
        with self.locked():
            self.prepare()
            dataset, loaded = self.open(root), self.load()
            with self.running(root, unit, self) as run:
                report = evaluate(loaded, dataset, run)
            return self.deliver(report, dataset)


SourcesOption = Annotated[
    str | None,
    typer.Option(
        "--sources", metavar="LIST", help="Only these sources of ROOT, as in a,b,c.", rich_help_panel=DATA_PANEL
    ),
]
ClipsOption = Annotated[
    str | None,
    typer.Option("--clips", metavar="LIST", help="Only these clips of ROOT, as in a,b,c.", rich_help_panel=DATA_PANEL),
]
BenchmarkOption = Annotated[
    str,
    typer.Option(
        "--benchmark",
        metavar="NAME",
        help="The benchmark whose rules say what is judged and averaged: masklet, davis2016, davis2017, youtube-vos, "
        "mose, lvos or sa-v.",
    ),
]
SkipLastOption = Annotated[
    bool, typer.Option("--skip-last", help="Leave out each clip's last frame, even if the rules do not.")
]
ImagesArgument = Annotated[
    Path,
    typer.Argument(
        metavar="ROOT",
        help="A folder with images/ and masks/, a folder of such folders, or a data set.",
        show_default=False,
    ),
]
ClipsArgument = Annotated[
    Path,
    typer.Argument(
        metavar="ROOT", help="A folder of clips: <clip>/frames and <clip>/masks, or a data set.", show_default=False
    ),
]


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _print_remarks(document: dict[str, Any]) -> None:
    """Print the lines of a report that are not in its table."""
    if groups := document.get("groups"):
        scores = ", ".join(f"{name} J {row['J'] * 100:.1f} F {row['F'] * 100:.1f}" for name, row in groups.items())
        print_line(f"{scores}; overall is their mean")
    if stability := document.get("stability"):
        ours, true = stability["warped_iou"] * 100, stability["warped_iou_truth"] * 100
        print_line(
            f"steadiness {ours:.1f} (the true masks' {true:.1f}), jitter {stability['jitter']:.2f} "
            f"(true {stability['jitter_truth']:.2f}) thousandths of the diagonal"
        )
    if efforts := document.get("efforts"):
        last = efforts[-1]
        print_line(f"{last['clicks']:.1f} clicks on {last['frames']:.1f} frames per object, {last['seconds']:.0f} s")
    if empty := document["settings"].get("clips_without_objects"):
        print_line(f"without an object to judge: {', '.join(empty)}")
