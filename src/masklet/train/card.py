"""A model card for a finished run: what it was made from, how, and how good it is, as Markdown next to the weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from masklet.output import atomic_path
from masklet.train.config import UNRELATED_TO_RESULTS, TrainConfig, settings_of
from masklet.train.record import DESCRIPTION, LOG, VALIDATION, read_lines

CARD, CURVE = "MODEL_CARD.md", "curve.png"
_MEASURES = {
    "miou@1": "one click",
    "miou@1_best": "one click, best of three",
    "miou@3": "three clicks",
    "miou@box": "box",
}
_CURVE_ROWS = 12


def write_card(config: TrainConfig, folder: Path, data: Mapping[str, int]) -> Path:
    """Write `MODEL_CARD.md` from what the run's folder holds.

    Args:
        config: the run's.
        folder: the run's.
        data: number of images (or clips) by source.
    """
    log, validation = read_lines(folder / LOG), read_lines(folder / VALIDATION)
    starts = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["starts"]
    parts = [
        f"# {config.model.name}, trained on {_names(config.images.root)}",
        _summary(config),
        "## How good it is",
        _scores(config, validation, folder),
        "## Training data",
        _table(("source", "images"), [(name, str(count)) for name, count in data.items()]),
        f"Images: {_listed(config.images.root)}"
        + (f"; clips: {_listed(config.clips.clip_root)}" if config.clips and config.clips.clip_root else "")
        + ". "
        "Their licence, and what may be done with a model made of them, is for you to say here.",
        "## How it was trained",
        f"{config.schedule.steps} steps in {_minutes(log):.1f} minutes. Settings that are not at their defaults "
        "(`config.json` has all):",
        _settings(config),
        _curve_text(log, folder),
        "## To repeat it",
        _commands(starts),
        "## What it is for, and not for",
        "Say here who may rely on it, for what, and where it fails: look at the pictures in `pictures/` and at "
        "`masklet evaluate clicks ... --worst`. Numbers on other data will be lower than those above.",
    ]
    path = folder / CARD
    with atomic_path(path) as partial:
        partial.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    return path


def _each(roots: str | Sequence[str]) -> tuple[str, ...]:
    return (roots,) if isinstance(roots, str) else tuple(roots)


def _names(roots: str | Sequence[str]) -> str:
    return " and ".join(Path(root).name for root in _each(roots))


def _listed(roots: str | Sequence[str]) -> str:
    return ", ".join(f"`{root}`" for root in _each(roots))


def _summary(config: TrainConfig) -> str:
    start = f"`{config.init}`" if config.init else "its trunk's ImageNet weights"
    how = f" through LoRA of rank {config.trainable.lora.rank}" if config.trainable.lora else ""
    teacher = f", with the teacher `{config.teacher}`" if config.teacher else ""
    return (
        f"Trained by masklet from {start}{how}{teacher}. The weights are in `ema.pt`; `masklet.load` and `--model` "
        f"take this folder, and `masklet export` makes one that runs without PyTorch."
    )


def _scores(config: TrainConfig, validation: Sequence[Mapping[str, Any]], folder: Path) -> str:
    if not validation:
        return "Not measured: the run had no validation data (`--validation`)."
    first, last = validation[0], validation[-1]
    rows = [
        (text, f"{100 * first[name]:.1f}", f"{100 * last[name]:.1f}")
        for name, text in _MEASURES.items()
        if name in first and name in last
    ]
    count = "all" if config.validation.limit is None else f"at most {config.validation.limit}"
    limit = "" if config.validation.limit is None else f" --limit {config.validation.limit}"
    return (
        f"Mean IoU in per cent on `{config.validation.root}` ({count} images per source), which was not trained on:\n\n"
        + _table(("prompt", f"step {first['step']}", f"step {last['step']}"), rows)
        + "\n\nAgain: `masklet evaluate clicks "
        + f"{config.validation.root} --clicks 3 --box{limit} --model {folder}`"
    )


def _settings(config: TrainConfig) -> str:
    hidden = UNRELATED_TO_RESULTS | {"images.root", "clips.image_root", "clips.clip_root", "validation.root", "model"}
    changed = {
        name: setting.value
        for name, setting in settings_of(config).items()
        if name not in hidden | {"init"} and setting.value != setting.default
    }
    return _table(("setting", "value"), [(f"`{name}`", f"`{json.dumps(value)}`") for name, value in changed.items()])


def _curve_text(log: Sequence[Mapping[str, Any]], folder: Path) -> str:
    if not log:
        return ""
    rows = [log[round(row * (len(log) - 1) / max(1, _CURVE_ROWS - 1))] for row in range(min(len(log), _CURVE_ROWS))]
    names = [
        name
        for name in ("loss", "image_click", "image_box", "image_last", "tracked")
        if any(name in line for line in rows)
    ]
    cells = [(str(row["step"]), *(f"{row[name]:.3f}" if name in row else "" for name in names)) for row in rows]
    picture = f"![loss and IoU by step]({CURVE})\n\n" if draw_curve(log, folder / CURVE) else ""
    return picture + _table(("step", *names), cells)


def _commands(starts: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for start in starts:
        versions = ", ".join(f"{name} {value}" for name, value in start["versions"].items())
        lines.append(
            f"- {start['time']}, {start['processes']} process(es) on {start['device']}, {start['machine']}; {versions}"
            + (f"; git {start['git']}" if start["git"] else "")
        )
        if start["command"]:
            lines.append(f"  `{start['command']}`")
    return "\n".join(lines)


def _minutes(log: Sequence[Mapping[str, Any]]) -> float:
    previous, seconds = 0, 0.0
    for line in log:
        seconds += line["seconds_per_step"] * (line["step"] - previous)
        previous = line["step"]
    return seconds / 60


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw_curve(log: Sequence[Mapping[str, Any]], path: Path) -> bool:
    """Draw loss and IoUs over the steps as a PNG; return False where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    loss_axes = figure.subplots()
    steps = [line["step"] for line in log]
    loss_axes.plot(steps, [line["loss"] for line in log], color="0.4", label="loss")
    loss_axes.set(xlabel="step", ylabel="loss")
    iou_axes = loss_axes.twinx()
    for name in ("image_click", "image_box", "image_last", "tracked"):
        points = [(line["step"], line[name]) for line in log if name in line]
        if points:
            iou_axes.plot(*zip(*points, strict=True), label=name)
    iou_axes.set(ylabel="IoU while training", ylim=(0, 1))
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=110)
    return True
