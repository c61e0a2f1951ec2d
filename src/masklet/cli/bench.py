"""`masklet bench` measures how long each part takes on this machine, and other implementations next to it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import command_line, print_line, print_table, show_status
from masklet.cli.groups import OptionGroup, with_groups
from masklet.cli.options import MODEL_PANEL, DeviceOption, ModelOption, examples, split_list
from masklet.errors import ConfigError, EngineError
from masklet.output import atomic_path, make_folder

if TYPE_CHECKING:
    from masklet.bench.report import BenchReport
    from masklet.engine.protocol import Engine
    from masklet.records import ByteArray

PARTS = ("stages", "commands", "peers")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")

EPILOG = examples(
    ("nano, from the image encoder to whole commands", "masklet bench"),
    ("A checkpoint on a GPU, one and eight objects", "masklet bench stages --model sam2.1-tiny --objects 1,8"),
    ("Two models side by side", "masklet bench --against runs/mine"),
    (
        "Compared with transformers, onnxruntime and OpenVINO, with random weights",
        "masklet bench peers --model sam2.1-tiny --random-weights --exported tiny/ --out benchmarks/results",
    ),
    notes="The implementations take turns; figures are medians. The gain is in processor time, relative to the first "
    "line of a table. The deviation is the norm of the difference from the result of the first line, over the "
    "norm of that result.",
)


class Contestants(OptionGroup):
    """The engines that are measured."""

    model: ModelOption = "nano"
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="stages: another model of the same size next to it, such as the one before a training.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None
    device: DeviceOption = "auto"
    precision: Annotated[
        str,
        typer.Option(metavar="LIST", help="auto, fp32, bf16, fp16, int8 or several.", rich_help_panel=MODEL_PANEL),
    ] = "auto"
    compiled: Annotated[
        bool, typer.Option("--compiled", help="stages: also measure each one with torch.compile, which takes minutes.")
    ] = False
    speed: Annotated[str, typer.Option(metavar="LIST", help="exact, fast or both.")] = "exact"
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="An official architecture without its weights: for timing only.")
    ] = False
    exported: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="peers: the same model, as exported by `masklet export`.")
    ] = None

    def speeds(self) -> list[str]:
        """Return the speeds to compare.

        Raises:
            ConfigError: a speed is unknown, or the list is empty.
        """
        from masklet.engine.staged import SPEEDS

        return _not_empty(split_list(self.speed, of=SPEEDS, name="--speed"), "--speed")

    def engines(self, threads: int) -> dict[str, Engine[Any]]:
        """Return the engines by the settings in which they differ.

        Raises:
            ConfigError: a precision or a speed is unknown, or the two models differ in size.
        """
        precisions = _not_empty(split_list(self.precision, of=PRECISIONS, name="--precision"), "--precision")
        models = [self.model] if self.against is None else [self.model, self.against]
        by_model = [
            _engines(
                _Settings(model, self.device, threads, self.random_weights), self.speeds(), precisions, self.compiled
            )
            for model in models
        ]
        if self.against is None:
            return by_model[0]
        sides = [next(iter(engines.values())).info.image_size for engines in by_model]
        if sides[0] != sides[1]:
            raise ConfigError(
                f"--against must be a model of the same input size: {self.model} takes {sides[0]} pixels, "
                f"{self.against} {sides[1]}"
            )
        return {
            f"{model}, {name}": engine
            for model, engines in zip(models, by_model, strict=True)
            for name, engine in engines.items()
        }


class Workload(OptionGroup):
    """The workload to measure, and the number of repetitions."""

    objects: Annotated[str, typer.Option(metavar="LIST", help="Numbers of objects.")] = "1,8"
    clip: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A video to measure on. By default a synthetic one, 480 x 854.")
    ] = None
    frames: Annotated[
        str, typer.Option(metavar="SHORT,LONG", help="commands: numbers of tracked frames; the difference is reported.")
    ] = "5,45"
    repeats: Annotated[int, typer.Option(min=1, help="Number of rounds, after one to warm up.")] = 5
    threads: Annotated[
        int, typer.Option(min=0, help="Threads for every implementation; 0 keeps each one's default (one per core).")
    ] = 0

    def counts(self) -> list[int]:
        """Return the numbers of objects.

        Raises:
            ConfigError: they are not whole numbers of at least 1.
        """
        return _not_empty([_number(text, "--objects") for text in split_list(self.objects)], "--objects")

    def lengths(self) -> tuple[int, int]:
        """Return the two numbers of tracked frames, the smaller first.

        Raises:
            ConfigError: the option does not have two numbers, the smaller first.
        """
        lengths = [_number(text, "--frames") for text in split_list(self.frames)]
        if len(lengths) != 2 or lengths[0] >= lengths[1]:
            raise ConfigError(f"--frames must be two numbers, the smaller first, got {self.frames!r}")
        return lengths[0], lengths[1]


@with_groups
def bench(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            help="What to measure: stages, commands, peers. By default stages and commands; with --against, stages."
        ),
    ] = None,
    *,
    contestants: Contestants,
    workload: Workload,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help="Save the report to this folder, as MODEL_HARDWARE_DATE.md."
        ),
    ] = None,
) -> int:
    """Measure speed: stages, whole commands, and other implementations next to them. The last line is JSON."""
    from masklet.bench.card import card
    from masklet.bench.report import BenchReport

    by_default = ("stages", "commands") if contestants.against is None else ("stages",)
    selected_parts = split_list(",".join(parts or by_default), of=PARTS, name="PARTS")
    speeds, counts = contestants.speeds(), workload.counts()
    workload.lengths()  # raises before anything is measured
    if contestants.against is not None and selected_parts != ["stages"]:
        raise ConfigError(f"--against compares stages alone, got {', '.join(selected_parts)}")
    if contestants.against == contestants.model:
        raise ConfigError(f"--against must be another model than --model, got {contestants.against} for both")
    if "commands" in selected_parts and contestants.random_weights:
        raise ConfigError("commands load a model by its name: leave --random-weights out")
    if "commands" in selected_parts and not hasattr(os, "wait4"):
        raise EngineError("commands can only be measured on Linux and macOS: choose stages")
    report = BenchReport(contestants.model, command_line.get(), card(workload.threads))
    for line in report.card_lines():
        print_line(line)
    with tempfile.TemporaryDirectory() as scratch:
        if "stages" in selected_parts or "peers" in selected_parts:
            rgb = _first_frame(workload.clip)
            engines = contestants.engines(workload.threads)
            if "stages" in selected_parts:
                _measure_stages(report, engines, rgb, counts, workload.repeats)
            if "peers" in selected_parts:
                _measure_peers(report, engines, rgb, contestants.exported, workload.repeats)
        if "commands" in selected_parts:
            _measure_commands(report, contestants.model, speeds, workload, Path(scratch))
    if out is not None:
        path = make_folder(out) / f"{report.name}.md"
        with atomic_path(path) as partial:
            partial.write_text(report.to_markdown(), encoding="utf-8")
        print_line(f"wrote {path}")
    print_line(report.to_json())
    return 0


def _not_empty(entries: list[Any], option: str) -> list[Any]:
    if not entries:
        raise ConfigError(f"{option} must not be empty")
    return entries


def _number(text: str, name: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ConfigError(f"{name} must be whole numbers of at least 1, got {text!r}")
    return int(text)


def _first_frame(clip: Path | None) -> ByteArray:
    from masklet.bench.material import picture
    from masklet.media.source import open_source

    if clip is None:
        return picture()
    with open_source(clip) as source:
        return source.frame(0).rgb


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings that all engines of a run share."""

    model: str
    device: str
    threads: int
    random_weights: bool


def _engines(settings: _Settings, speeds: list[str], precisions: list[str], compiled: bool) -> dict[str, Engine[Any]]:
    """Return the engines by the settings in which they differ."""
    engines = {}
    for precision in precisions:
        for speed in speeds:
            name = speed if len(precisions) == 1 else f"{speed}, {precision}"
            engine = engines[name] = _engine(settings, precision, speed)
            if compiled:
                engines[f"{name}, compiled"] = _compiled(engine)
    return engines


def _engine(settings: _Settings, precision: str, speed: str) -> Engine[Any]:
    from masklet.engine.open import needs_extra, open_engine

    model, device, threads = settings.model, settings.device, settings.threads
    if not settings.random_weights:
        return open_engine(model, device=device, precision=precision, speed=speed, num_threads=threads)
    with needs_extra("torch", "--random-weights"):
        import torch

        from masklet.engine.torch_engine import TorchEngine
        from masklet.model.config import OFFICIAL_CONFIGS
        from masklet.model.sam2 import SAM2
    if model not in OFFICIAL_CONFIGS:
        raise ConfigError(f"--random-weights needs one of {', '.join(OFFICIAL_CONFIGS)}, got {model!r}")
    torch.manual_seed(0)
    if threads:
        torch.set_num_threads(threads)
    return TorchEngine(SAM2(OFFICIAL_CONFIGS[model]), device=device, precision=precision, speed=speed)


def _compiled(engine: Engine[Any]) -> Engine[Any]:
    """Return the same engine through `torch.compile`."""
    from masklet.engine.open import needs_extra

    with needs_extra("torch", "--compiled"):
        from masklet.engine.torch_engine import TorchEngine
    if not isinstance(engine, TorchEngine):
        raise EngineError("--compiled needs a model that PyTorch runs, exported folders are not")
    info = engine.info
    return TorchEngine(engine.model, device=info.device, precision=info.precision, speed=info.speed, compiled=True)


def _measure_stages(
    report: BenchReport, engines: dict[str, Engine[Any]], rgb: ByteArray, counts: list[int], repeats: int
) -> None:
    from masklet.bench.stages import STAGES, StageScene, contestants, disagreement
    from masklet.bench.timing import compete

    for count in counts:
        with show_status(f"{count} objects ..."):
            scenes = {speed: StageScene(engine, rgb, count) for speed, engine in engines.items()}
            table = contestants(scenes)
            for stage in STAGES:
                if stage != "encode image" or count == counts[0]:
                    _add(report, stage, count, compete(table[stage], repeats))
            report.records[f"1 - IoU x {count}"] = dict(zip(scenes, disagreement(list(scenes.values())), strict=True))


def _measure_peers(
    report: BenchReport, engines: dict[str, Engine[Any]], rgb: ByteArray, exported: Path | None, repeats: int
) -> None:
    from masklet.bench.peers import peers
    from masklet.bench.stages import StageScene, contestants
    from masklet.bench.timing import compete
    from masklet.engine.open import needs_extra

    with needs_extra("torch", "peers"):
        from masklet.engine.torch_engine import TorchEngine
    engine = next(iter(engines.values()))
    if not isinstance(engine, TorchEngine) or engine.spec.has_keys or engine.device.type != "cpu":
        raise EngineError("peers are compared with an official architecture on a CPU: --model sam2.1-tiny --device cpu")
    with show_status("peers ..."):
        scenes = {f"masklet {speed}": StageScene(contestant, rgb, 1) for speed, contestant in engines.items()}
        others, missing = peers(engine, next(iter(scenes.values())), exported)
        report.remarks += [f"not compared: {reason}" for reason in missing]
        own_contestants = contestants(scenes)
        for stage, competitors in others.items():
            _add(report, stage, 1, compete([*competitors, *own_contestants[stage]], repeats))


def _measure_commands(report: BenchReport, model: str, speeds: list[str], workload: Workload, scratch: Path) -> None:
    from PIL import Image

    from masklet.bench.commands import run_commands, seconds_a_frame, starts, tracks
    from masklet.bench.material import write_clip
    from masklet.media.source import open_source

    counts, lengths, clip = workload.counts(), workload.lengths(), workload.clip
    video = write_clip(scratch / "clip.mp4", lengths[1]) if clip is None else clip
    photo = scratch / "photo.png"
    with open_source(video) as source:
        size_hw = source.info.size_hw
        Image.fromarray(source.frame(0).rgb).save(photo)
    commands = starts(model, photo, video)
    for speed in speeds:
        commands |= tracks(model, speed, video, size_hw, counts, lengths)
    with show_status("commands ..."):
        results = run_commands(commands, workload.repeats)
    report.add_commands(results)
    report.add_frames(seconds_a_frame(results, lengths), report.card["cpu"]["cores"])
    for table in report.tables[-2:]:
        print_table((table.title, *table.columns[1:]), table.rows, left=(table.title,))


def _add(report: BenchReport, stage: str, count: int, results: Any) -> None:
    report.add_stage(stage, count, results)
    table = report.tables[-1]
    print_table((table.title, *table.columns[1:]), table.rows, left=(table.title,))
