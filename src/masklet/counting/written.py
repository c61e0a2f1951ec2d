"""Counts as files: one JSON document, a table over time, a table of crossings, a plot."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from masklet.counting.count import CountReport, Direction, ZoneCounts
from masklet.counting.plotting import PLOT_SUFFIXES, save_plot
from masklet.counting.zones import Line
from masklet.errors import ConfigError
from masklet.output import atomic_path, naming_errors, spreadsheet_text

FORMAT = "masklet count"
VERSION = 1
SUFFIXES = (".json", ".csv", *PLOT_SUFFIXES)
"""Suffixes of `write_report`."""

DIRECTIONS: tuple[Direction, ...] = ("in", "out")


def report_document(report: CountReport) -> dict[str, Any]:
    """Return all counts as one JSON document; `docs/guides/counting.md` explains its keys."""
    frames, trajectories = report.frames, report.trajectories
    labels = [label for label in trajectories.labels if label]
    lines = [_zone_document(counts, labels) for counts in report.zones if isinstance(counts.zone, Line)]
    regions = [_zone_document(counts, labels) for counts in report.zones if not isinstance(counts.zone, Line)]
    times = [trajectories.time_s(frame) for frame in frames]
    return {
        "format": FORMAT,
        "version": VERSION,
        "settings": {"anchor": report.config.anchor, "margin": report.config.margin, "level": report.config.level},
        "objects": {
            **report.total().to_dict(),
            "classes": {label: report.total(label).to_dict() for label in labels},
            "tracks": [item.to_dict() for item in report.objects],
        },
        "visible": {
            "frames": list(frames),
            "times_s": None if None in times else [round(time, 4) for time in times if time is not None],
            **report.visible[None].to_dict(),
            "classes": {label: report.visible[label].to_dict() for label in labels if label in report.visible},
        },
        "lines": lines,
        "regions": regions,
    }


def _zone_document(counts: ZoneCounts, labels: Sequence[str]) -> dict[str, Any]:
    document = counts.zone.to_dict()
    for direction in DIRECTIONS:
        classes = {label: counts.count(direction, label).to_dict() for label in labels}
        document[direction] = {**counts.count(direction).to_dict(), "classes": classes}
    if counts.inside is not None:
        document["inside"] = counts.inside.to_dict()
    document["crossings"] = [crossing.to_dict() for crossing in counts.crossings]
    return document


def write_report(report: CountReport, path: str | Path) -> Path:
    """Write the counts; the suffix decides: .json is everything, .csv the table over time, .png, .svg and .pdf a plot.

    Raises:
        ConfigError: the suffix is another one, or matplotlib is needed and not installed.
        OutputError: the file cannot be written.
    """
    path = check_suffix(path)
    with naming_errors(path), atomic_path(path) as temporary:
        if path.suffix.lower() == ".json":
            temporary.write_text(json.dumps(report_document(report), indent=1) + "\n", encoding="utf-8")
        elif path.suffix.lower() == ".csv":
            _write_table(temporary, time_table(report))
        else:
            save_plot(report, temporary)
    return path


def check_suffix(path: str | Path) -> Path:
    """Return the path of a report.

    Raises:
        ConfigError: `write_report` has no format for its suffix.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: counts are written to {', '.join(SUFFIXES)}, got {path.suffix or 'no suffix'!r}")
    return path


def write_crossings(report: CountReport, path: str | Path) -> Path:
    """Write a CSV with one row for each crossing of a line, and each entry into and exit from a region.

    Raises:
        OutputError: the file cannot be written.
    """
    header = ("zone", "direction", "object_id", "class", "frame_index", "time_s", "before_frame", "after_frame",
              "probability", "counted")  # fmt: skip
    crossings = [crossing.to_dict() for counts in report.zones for crossing in counts.crossings]
    path = Path(path)
    with naming_errors(path), atomic_path(path) as temporary:
        _write_table(temporary, [header, *([_cell(row[name]) for name in header] for row in crossings)])
    return path


def time_table(report: CountReport) -> list[list[object]]:
    """Return the counts over time as rows, the header first: visible objects, and of each zone the sums so far."""
    columns: list[tuple[str, Sequence[object]]] = [
        ("frame_index", list(report.frames)),
        ("time_s", [_cell(report.trajectories.time_s(frame)) for frame in report.frames]),
    ]
    for label, series in report.visible.items():
        name = "visible" if label is None else f"visible {label or 'without class'}"
        columns.append((name, series.values.tolist()))
        if label is None:
            columns += [("visible_low", series.lows.tolist()), ("visible_high", series.highs.tolist())]
    for counts in report.zones:
        name = counts.zone.name
        if counts.inside is not None:
            columns += [
                (f"{name} inside", counts.inside.values.tolist()),
                (f"{name} inside_low", counts.inside.lows.tolist()),
                (f"{name} inside_high", counts.inside.highs.tolist()),
            ]
        columns += [(f"{name} {direction}", _sums(report, counts, direction)) for direction in DIRECTIONS]
    header: list[object] = [spreadsheet_text(name) for name, _ in columns]
    return [header, *(list(row) for row in zip(*(values for _, values in columns), strict=True))]


def _sums(report: CountReport, counts: ZoneCounts, direction: Direction) -> list[int]:
    """Return the crossings so far, on each frame of the report."""
    frames = [
        crossing.frame_index for crossing in counts.crossings if crossing.direction == direction and crossing.is_decided
    ]
    sums: list[int] = np.searchsorted(frames, list(report.frames), side="right").tolist()
    return sums


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return f"{value:.4f}"
    return spreadsheet_text(value) if isinstance(value, str) else value


def _write_table(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV in UTF-8, with a byte order mark for spreadsheets."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows)
