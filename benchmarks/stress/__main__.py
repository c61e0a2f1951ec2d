"""`python -m benchmarks.stress`: policies against failures, as a table, as JSON, and as pictures."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.stress.report import draw, markdown, summarise
from benchmarks.stress.run import Follow, RealTask, StressTask, Task, load_result
from benchmarks.stress.scenes import FRAMES, SCENES
from masklet.datasets import open_dataset
from masklet.engine.open import open_engine
from masklet.errors import ConfigError, MaskletError
from masklet.evaluation.running import RunOptions, Unit, run_units
from masklet.memory.policies import check_policy
from masklet.output import atomic_path

app = typer.Typer(add_completion=False)


@app.command()
def stress(
    policies: Annotated[
        str, typer.Option(help="Memory policies, joined by commas; '+' combines two, @field=value sets.")
    ] = ("official,reliable"),
    model: Annotated[str, typer.Option(help="As masklet.load takes it.")] = "nano",
    out: Annotated[Path, typer.Option(help="Results, tables and pictures; a run goes on with what is there.")] = Path(
        "out/stress"
    ),
    data: Annotated[
        list[Path] | None, typer.Option(help="Images with masks to cut objects from; without: examples/media alone.")
    ] = None,
    clips: Annotated[Path | None, typer.Option(help="Real clips with masks, as masklet evaluate takes them.")] = None,
    only: Annotated[str, typer.Option(help="Only these failures, joined by commas; 'none' leaves real clips.")] = "",
    takes: Annotated[int, typer.Option(min=1, help="Clips a failure.")] = 2,
    seed: Annotated[int, typer.Option(help="Other clips of the same kind.")] = 0,
    frames: Annotated[int, typer.Option(min=12, help="Frames a clip.")] = FRAMES,
    long_frames: Annotated[int, typer.Option(min=120, help="Frames of the long clip: 2000 take their time.")] = 120,
    crowd_size: Annotated[int, typer.Option(min=3, max=8, help="Look-alikes in the crowd.")] = 8,
    processes: Annotated[int, typer.Option(min=1, help="Clips at a time.")] = 1,
    videos: Annotated[bool, typer.Option(help="Draw a video of each clip beside its contact sheet.")] = True,
) -> None:
    """Track every failure under every policy."""
    names = tuple(policies.split(","))
    for name in names:
        check_policy(name.partition("@")[0])
    tasks = _tasks(only, takes, seed, frames, long_frames, crowd_size, tuple(data or ()), clips)
    opener = partial(open_engine, model, num_threads=1) if processes > 1 else partial(open_engine, model)
    missing = [(task, tuple(name for name in names if load_result(out, task, name, model) is None)) for task in tasks]
    units = [Unit(task.name, task.name, task.num_frames, (task, lacking)) for task, lacking in missing if lacking]
    options = RunOptions(
        processes=processes,
        open_engine=opener,
        progress=lambda done, total, label: print(f"\r{done}/{total} frames  {label:30s}", end="", flush=True),
    )
    if units:
        run_units(opener() if processes == 1 else None, Follow(out, model), units, str, options, {})
        print()
    results = {
        (task.name, name): result
        for task in tasks
        for name in names
        if (result := load_result(out, task, name, model)) is not None
    }
    failures = list(dict.fromkeys(task.failure for task in tasks))
    summary = summarise(results, failures, names)
    text = markdown(summary, names)
    with atomic_path(out / "summary.json") as path:
        path.write_text(json.dumps({"model": model, "policies": names, **summary}, indent=1))
    with atomic_path(out / "tables.md") as path:
        path.write_text(text + "\n")
    print(text)
    for task, lacking in missing:
        if lacking or not (out / "sheets" / f"{task.name}.png").exists():
            draw(out, task, {name: results[task.name, name] for name in names}, video=videos)
    print(f"\nPictures are in {out / 'sheets'}" + (f" and {out / 'videos'}" if videos else ""))


def _tasks(
    only: str,
    takes: int,
    seed: int,
    frames: int,
    long_frames: int,
    crowd_size: int,
    roots: tuple[Path, ...],
    clips: Path | None,
) -> list[Task]:
    wanted = [] if only == "none" else [name for name in only.split(",") if name] or list(SCENES)
    for name in wanted:
        if name not in SCENES:
            raise ConfigError(f"only must name failures out of {', '.join(SCENES)}, got {name!r}")
    tasks: list[Task] = [
        StressTask(name, take, roots, seed, long_frames if name == "long" else frames, crowd_size)
        for take in range(takes)
        for name in wanted
    ]
    if clips is not None:
        tasks += [RealTask(clip) for clip in open_dataset(clips).need_clips()]
    return tasks


if __name__ == "__main__":
    try:
        app()
    except MaskletError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
