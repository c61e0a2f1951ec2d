"""Comparison of two runs, object by object, with a test of whether chance explains the difference.

Two runs of one data set measure the same images and clips, so their differences are taken image by image and clip by
clip. A paired bootstrap then asks how the mean difference would vary with other images or clips of the same kind: it
draws as many as there are, with replacement, many times over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from masklet.errors import DataError
from masklet.evaluation.records import Scores
from masklet.evaluation.report import NOC_MAX, TABLE_METRICS, is_count

DRAWS = 2000
SEED = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One object, or one image, of a report."""

    row: str
    """Source or clip."""
    unit: str
    """The image or clip, which is drawn as a whole, since its objects have much in common."""
    name: str
    scores: Scores


@dataclass(frozen=True, slots=True)
class Interval:
    """Confidence interval of the mean difference of one metric."""

    low: float
    """2.5 % of the draws are below."""
    high: float
    p_value: float
    """Twice the share of draws on the other side of 0, at most 1: how often chance would do as much. Not below
    2^(1 - n) for n images or clips that changed, which is what their signs alone can show: draws from three clips that
    all gained would never lose, and yet three gains are no proof."""


@dataclass(frozen=True, slots=True)
class Change:
    """One number of two runs."""

    name: str
    """Source or clip, 'overall', or an object."""
    metric: str
    before: float
    after: float
    interval: Interval | None = None
    """Set for 'overall', where the reports have objects in common."""

    @property
    def difference(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences over everything that both reports have measured."""

    before_model: str
    after_model: str
    changes: tuple[Change, ...]
    items: tuple[Change, ...]
    """Each object's change in the first metric they share, the greatest loss first."""
    unmatched: tuple[str, ...]
    """Sources or clips that only one of the two has: `overall` then compares different things."""

    def to_dict(self) -> dict[str, Any]:
        rows: dict[str, dict[str, Any]] = {}
        for change in self.changes:
            rows.setdefault(change.name, {})[change.metric] = _change_dict(change)
        return {
            "before": self.before_model,
            "after": self.after_model,
            "changes": rows,
            "items": [{"name": change.name, "metric": change.metric, **_change_dict(change)} for change in self.items],
            "unmatched": list(self.unmatched),
        }

    def table(self) -> Table:
        """Rows as in the reports; each cell the new value and the change, in per cent; * where p is below 0.05."""
        metrics = list(dict.fromkeys(change.metric for change in self.changes))[:TABLE_METRICS]
        cells: dict[str, dict[str, str]] = {}
        for change in self.changes:
            cells.setdefault(change.name, {})[change.metric] = _cell(change)
        table = Table(show_edge=False)
        table.add_column("")
        for metric in metrics:
            table.add_column(metric, justify="right")
        for name, row in cells.items():
            if name == "overall":
                table.add_section()
            style = "bold" if name == "overall" else ""
            table.add_row(escape(name), *(row.get(metric, "") for metric in metrics), style=style)
        return table

    def item_table(self, count: int) -> Table:
        """Return the objects that lost most and those that gained most."""
        losses = [change for change in self.items if change.difference < 0][:count]
        gains = [change for change in reversed(self.items) if change.difference > 0][:count]
        table = Table(show_edge=False)
        table.add_column("object")
        table.add_column("metric")
        for title in ("before", "after", "change"):
            table.add_column(title, justify="right")
        for change in [*losses, *gains[::-1]]:
            before, after, difference = change.before * 100, change.after * 100, change.difference * 100
            table.add_row(escape(change.name), change.metric, f"{before:.1f}", f"{after:.1f}", f"{difference:+.1f}")
        return table


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Compare two report documents (`to_dict`, or read back from JSON).

    Raises:
        DataError: a document is not a report, or the two measured different tasks.
    """
    for document in (before, after):
        if not {"task", "model", "overall"} <= document.keys() or _rows(document) is None:
            raise DataError(
                "this is not a report of `masklet evaluate`: it has no task, model, overall, and sources or clips"
            )
    if before["task"] != after["task"]:
        raise DataError(f"the reports measured different tasks: {before['task']!r} and {after['task']!r}")
    rows_before, rows_after = _rows(before) or {}, _rows(after) or {}
    pairs = _paired(_items(before), _items(after))
    changes = [
        change
        for name in rows_before
        if name in rows_after
        for change in _changes(name, rows_before[name], rows_after[name], before["overall"])
    ]
    intervals = {metric: bootstrap(pairs, metric) for metric in before["overall"]}
    changes += _changes("overall", before["overall"], after["overall"], before["overall"], intervals)
    metric = next((name for name in before["overall"] if any(name in old.scores for old, _ in pairs)), None)
    items = [
        Change(old.name, metric, old.scores[metric], new.scores[metric])
        for old, new in pairs
        if metric is not None and metric in old.scores and metric in new.scores
    ]
    return Comparison(
        before["model"],
        after["model"],
        tuple(changes),
        tuple(sorted(items, key=lambda change: change.difference)),
        tuple(sorted(rows_before.keys() ^ rows_after.keys())),
    )


def bootstrap(pairs: Sequence[tuple[Item, Item]], metric: str) -> Interval | None:
    """Estimate how the mean difference of a metric varies with other images or clips of the same kind.

    The mean is that of `overall` in most reports: over objects in a row, then over rows. Rows of many images keep
    their place, and images are drawn within them; where each row is one clip, clips are drawn.

    Returns:
        None when fewer than two images or clips have the metric in both reports.
    """
    by_row: dict[str, dict[str, list[float]]] = {}
    for old, new in pairs:
        if metric in old.scores and metric in new.scores:
            difference = new.scores[metric] - old.scores[metric]
            by_row.setdefault(old.row, {}).setdefault(old.unit, []).append(difference)
    if sum(len(units) for units in by_row.values()) < 2:
        return None
    rng = np.random.default_rng(SEED)
    if all(len(units) == 1 for units in by_row.values()):
        means = np.array([np.mean(values) for units in by_row.values() for values in units.values()])
        draws = means[rng.integers(0, len(means), (DRAWS, len(means)))].mean(axis=1)
    else:
        draws = np.mean([_draws_of_row(list(units.values()), rng) for units in by_row.values()], axis=0)
    low, high = np.percentile(draws, [2.5, 97.5])
    other_side = min(float((draws <= 0).mean()), float((draws >= 0).mean()))
    changed = sum(sum(values) != 0 for units in by_row.values() for values in units.values())
    return Interval(float(low), float(high), min(1.0, max(2 * other_side, 2.0 ** (1 - changed))))


def _draws_of_row(units: Sequence[Sequence[float]], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (DRAWS,) means over objects, of images drawn with replacement."""
    sums = np.array([sum(values) for values in units], np.float64)
    counts = np.array([len(values) for values in units], np.float64)
    drawn_units = rng.integers(0, len(units), (DRAWS, len(units)))
    drawn: NDArray[np.float64] = sums[drawn_units].sum(axis=1) / counts[drawn_units].sum(axis=1)
    return drawn


def _paired(before: Sequence[Item], after: Sequence[Item]) -> list[tuple[Item, Item]]:
    """Return the items that both reports have, matched by row and name."""
    after_by_name = {(item.row, item.name): item for item in after}
    return [(item, after_by_name[item.row, item.name]) for item in before if (item.row, item.name) in after_by_name]


def _items(document: Mapping[str, Any]) -> list[Item]:
    """Return the objects of a report, or its images for automatic masks."""
    if "images" in document:
        return [
            Item(image["source"], image["image"], image["image"], {"AR@1000": image["AR@1000"]})
            for image in document["images"]
            if image["AR@1000"] is not None
        ]
    if "objects" in document:
        return [
            Item(entry["source"], entry["image"], f"{entry['image']} object {entry['object_id']}", _click_scores(entry))
            for entry in document["objects"]
        ]
    return [
        Item(clip, clip, f"{clip} object {object_id}", _numbers(entry))
        for clip, row in document.get("clips", {}).items()
        for object_id, entry in row.get("objects", {}).items()
    ]


def _click_scores(entry: Mapping[str, Any]) -> Scores:
    ious = entry["ious"]
    scores = {f"miou@{count}": iou for count, iou in enumerate(ious, start=1)}
    scores["miou@1_best"] = entry["best_iou"]
    if entry["box_iou"] is not None:
        scores["miou@box"] = entry["box_iou"]
    for level in (85, 90):
        reached = next((count for count, iou in enumerate(ious, start=1) if iou >= level / 100), NOC_MAX)
        scores[f"noc@{level}"] = float(reached)
        scores[f"failed@{level}"] = float(max(ious) < level / 100)
    return scores


def _numbers(entry: Mapping[str, Any]) -> Scores:
    return {name: float(value) for name, value in entry.items() if isinstance(value, int | float)}


def _rows(document: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]] | None:
    rows = document.get("sources", document.get("clips"))
    return rows if isinstance(rows, Mapping) else None


def _changes(
    name: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    metrics: Mapping[str, Any],
    intervals: Mapping[str, Interval | None] | None = None,
) -> list[Change]:
    return [
        Change(name, metric, float(before[metric]), float(after[metric]), (intervals or {}).get(metric))
        for metric in metrics
        if metric in before and metric in after
    ]


def _change_dict(change: Change) -> dict[str, Any]:
    document: dict[str, Any] = {
        "before": change.before,
        "after": change.after,
        "difference": change.difference,
    }
    if change.interval is not None:
        document["interval"] = [change.interval.low, change.interval.high]
        document["p_value"] = change.interval.p_value
    return document


def _cell(change: Change) -> str:
    counts = is_count(change.metric)
    better = change.difference < 0 if counts or change.metric.startswith("failed") else change.difference > 0
    style = "dim" if change.difference == 0 else "green" if better else "red"
    scale, digits = (1, 2) if counts else (100, 1)
    sure = "*" if change.interval is not None and change.interval.p_value < 0.05 else ""
    return f"{change.after * scale:.{digits}f} [{style}]{change.difference * scale:+.{digits}f}{sure}[/]"
