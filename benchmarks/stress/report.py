"""Tables of policies against failures, and pictures to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.stress.judge import Verdict
from benchmarks.stress.run import Footage, Result, Task
from masklet.masks.drawing import draw_overlay
from masklet.masks.rle import decode_rle
from masklet.media.base import VideoInfo
from masklet.media.writer import VideoWriter, h264
from masklet.output import atomic_path
from masklet.records import BoolArray, ByteArray

Results = Mapping[tuple[str, str], Result]
"""By clip and policy."""


def share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def mean_jf(verdicts: Sequence[Verdict]) -> float | None:
    return 100 * float(np.mean([verdict.jf for verdict in verdicts])) if verdicts else None


def switched(verdicts: Sequence[Verdict]) -> float | None:
    part = share(sum(one.num_switched for one in verdicts), sum(one.num_judged for one in verdicts))
    return None if part is None else 100 * part


def ghosts(verdicts: Sequence[Verdict]) -> float | None:
    part = share(sum(one.num_ghosts for one in verdicts), sum(one.num_absent for one in verdicts))
    return None if part is None else 100 * part


def found_after(verdicts: Sequence[Verdict]) -> float | None:
    frames = [frames for one in verdicts for frames in one.found_after]
    return float(np.mean(frames)) if frames else None


def never_found(verdicts: Sequence[Verdict]) -> float | None:
    part = share(sum(one.num_never_found for one in verdicts), sum(len(one.found_after) for one in verdicts))
    return None if part is None else 100 * part


MEASURES: Mapping[str, Callable[[Sequence[Verdict]], float | None]] = {
    "J&F": mean_jf,
    "frames with another's identity, %": switched,
    "absent, but a mask is given, % of absent frames": ghosts,
    "frames until it is found again": found_after,
    "returns after which it was not found, %": never_found,
}


def summarise(results: Results, failures: Sequence[str], policies: Sequence[str]) -> dict[str, Any]:
    """Every measure by failure and policy, and over all failures with each counting alike."""
    summary: dict[str, Any] = {}
    for title, measure in MEASURES.items():
        rows: dict[str, dict[str, float | None]] = {}
        for failure in failures:
            rows[failure] = {
                policy: measure(
                    [
                        verdict
                        for (_, by), result in results.items()
                        if by == policy
                        for verdict in result.verdicts
                        if verdict.failure == failure
                    ]
                )
                for policy in policies
            }
        means: dict[str, float | None] = {}
        for policy in policies:
            known = [value for row in rows.values() if (value := row[policy]) is not None]
            means[policy] = float(np.mean(known)) if known else None
        summary[title] = {**rows, "mean": means}
    cost = {
        policy: float(np.mean([result.seconds for (_, by), result in results.items() if by == policy]))
        for policy in policies
    }
    return {"measures": summary, "processor seconds an object and frame, without the image encoder": cost}


def markdown(summary: Mapping[str, Any], policies: Sequence[str]) -> str:
    """Return the tables, as they stand in docs/benchmarks/memory-policies.md."""
    lines: list[str] = []
    for title, rows in summary["measures"].items():
        lines += [f"**{title}**", "", f"| failure | {' | '.join(policies)} |", "|---" * (len(policies) + 1) + "|"]
        for failure, row in rows.items():
            values = [row[policy] for policy in policies]
            if any(value is not None for value in values):
                lines.append(f"| {failure} | {' | '.join(_cell(value) for value in values)} |")
        lines.append("")
    cost = summary["processor seconds an object and frame, without the image encoder"]
    base = cost[policies[0]]
    relative = ", ".join(f"{policy} {cost[policy] / base:.2f}" for policy in policies)
    lines.append(f"Processor time an object, image encoder aside, as a multiple of {policies[0]}: {relative}.")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def draw(out: Path, task: Task, results: Mapping[str, Result], *, video: bool = True, columns: int = 9) -> None:
    """A contact sheet (policies below the truth, time to the right) and a video with the policies side by side."""
    footage = task.open()
    shown = set(np.linspace(0, footage.num_frames - 1, columns).round().astype(int).tolist())
    rows: dict[str, list[ByteArray]] = {name: [] for name in ("truth", *results)}
    size: tuple[int, int] = (1, 1)
    frames: list[ByteArray] = []
    for index in range(footage.num_frames) if video else sorted(shown):
        rgb, owners = footage.frame(index)
        size = (240, round(240 * rgb.shape[0] / rgb.shape[1]))
        panels = {"truth": _overlay(rgb, _true(footage, owners), "truth")}
        for policy, result in results.items():
            masks = {i: decode_rle(own[index]) for i, own in result.masks.items() if index in own}
            panels[policy] = _overlay(rgb, masks, policy)
        if index in shown:
            for name, panel in panels.items():
                rows[name].append(cv2.resize(panel, size, interpolation=cv2.INTER_AREA))
        frames.append(_grid(list(panels.values())))
    sheet = np.vstack([np.hstack(row) for row in rows.values()])
    with atomic_path(out / "sheets" / f"{task.name}.png") as path:
        cv2.imwrite(str(path), sheet[:, :, ::-1])
    if video:
        _write_video(out / "videos" / f"{task.name}.mp4", frames)


def _true(footage: Footage, owners: ByteArray | None) -> dict[int, BoolArray]:
    return {} if owners is None else {i: owners == i for i in footage.prompts}


def _overlay(rgb: ByteArray, masks: Mapping[int, BoolArray], title: str) -> ByteArray:
    rows = np.array(list(masks.values()), np.bool_).reshape(-1, *rgb.shape[:2])
    panel = draw_overlay(rgb, rows, list(masks), labels=len(masks) > 1)
    for color, width in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(panel, title, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, color, width, cv2.LINE_AA)
    return panel


def _grid(panels: Sequence[ByteArray]) -> ByteArray:
    columns = min(3, len(panels))
    blank = np.zeros_like(panels[0])
    padded = [*panels, *[blank] * (-len(panels) % columns)]
    return np.vstack([np.hstack(padded[start : start + columns]) for start in range(0, len(padded), columns)])


def _write_video(path: Path, frames: Sequence[ByteArray], fps: float = 12) -> None:
    height, width = frames[0].shape[:2]
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, VideoInfo(path.name, (height, width), fps, len(frames)), h264()) as writer:
        for index, rgb in enumerate(frames):
            writer.write(rgb, index / fps)
