"""Plots of counts over time (extra "plot")."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from masklet.counting.intervals import running_interval
from masklet.errors import ConfigError

if TYPE_CHECKING:
    from masklet.counting.count import CountReport, Direction, Series, ZoneCounts

PLOT_SUFFIXES = (".png", ".svg", ".pdf")
WIDTH, HEIGHT = 9.0, 2.4
"""Size of one diagram, inches."""
DPI = 120
MAX_CLASSES = 8
"""Classes with a line of their own, the most frequent ones."""
COLORS: dict[Direction, str] = {"in": "#1f77b4", "out": "#d95f02"}
MARKERS: dict[Direction, str] = {"in": "^", "out": "v"}


def save_plot(report: CountReport, path: Path) -> None:
    """Write the plot to a .png, .svg or .pdf.

    Raises:
        ConfigError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigError('plots need matplotlib: pip install "masklet[plot]"') from error
    figure = Figure(figsize=(WIDTH, HEIGHT * (1 + len(report.zones))), layout="constrained")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # names in other scripts become boxes
        draw_counts(report, figure)
        figure.savefig(path, dpi=DPI, format=path.suffix.lower().lstrip("."))


def draw_counts(report: CountReport, figure: Any) -> None:
    """Draw the counts into a `matplotlib.figure.Figure`: visible objects, then one diagram for each line and region."""
    all_axes = figure.subplots(1 + len(report.zones), 1, sharex=True, squeeze=False)[:, 0]
    times = [report.trajectories.time_s(frame) for frame in report.frames]
    has_times = None not in times
    xs = np.array(times if has_times else list(report.frames), np.float64)
    _draw_visible(report, all_axes[0], xs)
    for axes, counts in zip(all_axes[1:], report.zones, strict=True):
        if counts.inside is not None:
            _draw_inside(report, axes, counts, xs)
        else:
            _draw_crossings(report, axes, counts, xs)
    for axes in all_axes:
        axes.set_ylim(0, max(1.15, axes.get_ylim()[1] * 1.1))
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            # Next to the title: over the curves the legend would hide some of them.
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, fontsize="small", frameon=False)
    all_axes[-1].set_xlabel("time, seconds" if has_times else "frame")


def _draw_visible(report: CountReport, axes: Any, xs: Any) -> None:
    percent = f"{report.config.level:.0%} interval"
    _draw_series(axes, xs, report.visible[None], "#333333", "all" if len(report.visible) > 1 else "", percent)
    by_size = sorted(
        (label for label in report.visible if label is not None),
        key=lambda label: -int(report.visible[label].values.sum()),
    )
    for label in by_size[:MAX_CLASSES]:
        axes.step(xs, report.visible[label].values, where="post", linewidth=1.2, label=_text(label or "without class"))
    total = report.total()
    axes.set_title(f"Visible objects; different ones: {_interval_text(total.value, total.low, total.high)}", loc="left")


def _draw_inside(report: CountReport, axes: Any, counts: ZoneCounts, xs: Any) -> None:
    assert counts.inside is not None
    _draw_series(axes, xs, counts.inside, "#333333", "inside", f"{report.config.level:.0%} interval")
    for direction, marker in MARKERS.items():
        shown = [item for item in counts.crossings if item.direction == direction and item.is_decided]
        if shown:
            positions = [report.frames.index(item.frame_index) for item in shown]
            axes.plot(
                xs[positions],
                counts.inside.values[positions],
                marker,
                color=COLORS[direction],
                markersize=5,
                label=direction,
            )
    axes.set_title(_zone_title(counts), loc="left")


def _draw_crossings(report: CountReport, axes: Any, counts: ZoneCounts, xs: Any) -> None:
    for direction, color in COLORS.items():
        shown = [item for item in counts.crossings if item.direction == direction]
        positions = [report.frames.index(item.frame_index) for item in shown]
        edges = np.array([xs[0], *xs[positions], xs[-1]])
        decided = np.cumsum([0, *(item.is_decided for item in shown)])
        lows, highs = running_interval((item.probability for item in shown), report.config.level)
        axes.step(edges, [*decided, decided[-1]], where="post", color=color, label=direction)
        axes.fill_between(
            edges, [*lows, lows[-1]], [*highs, highs[-1]], step="post", color=color, alpha=0.15, linewidth=0
        )
    axes.set_title(_zone_title(counts), loc="left")


def _draw_series(axes: Any, xs: Any, series: Series, color: str, label: str, percent: str) -> None:
    axes.fill_between(xs, series.lows, series.highs, step="post", color=color, alpha=0.15, linewidth=0, label=percent)
    axes.step(xs, series.values, where="post", color=color, linewidth=1.4, label=label or None)


def _zone_title(counts: ZoneCounts) -> str:
    texts = []
    for direction in COLORS:
        count = counts.count(direction)
        texts.append(f"{direction} {_interval_text(count.value, count.low, count.high)}")
    return f"{_text(counts.zone.name)}: {', '.join(texts)}"


def _interval_text(value: int, low: int, high: int) -> str:
    return str(value) if low == high == value else f"{value} ({low} to {high})"


def _text(text: str) -> str:
    """Return a text that matplotlib shows as it is: $ would begin a formula, and a leading _ hides a label."""
    return text.replace("$", r"\$").lstrip("_") or "_"
