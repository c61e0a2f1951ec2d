"""Counts objects over time, over lines and in regions, with the frames that show each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from masklet.checks import check_choice, check_number, set_checked
from masklet.counting.intervals import CHUNK, LEVEL, Count, count_of, interval
from masklet.counting.trajectories import Anchor, Trajectories, Trajectory
from masklet.counting.transitions import Transition, transitions
from masklet.counting.zones import Line, Region, Zone, check_in_frame
from masklet.errors import ConfigError

Direction = Literal["in", "out"]

MARGIN_SHARE = 0.1
"""Margin of an object as a share of its size, unless its masks are rough; see `CountConfig.margin`."""
MARGIN_ERRORS = 2.0
"""Margin of an object in multiples of its typical position error: beyond it an anchor is rarely by chance."""
MAX_ZONES = 64
"""Most lines and regions of one count."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CountConfig:
    """How objects are counted."""

    anchor: Anchor = "center"
    """The point of an object that crosses lines."""
    margin: float | None = None
    """Distance from a line or an outline, in pixels, that the anchor must reach on the new side before a crossing
    counts. None takes a tenth of each object's own size, or twice its typical position error if that is more
    (`Trajectory.position_errors`), and at least one pixel."""
    level: float = LEVEL
    """Probability that the intervals cover."""

    def __post_init__(self) -> None:
        check_choice("anchor", self.anchor, get_args(Anchor))
        set_checked(self, ["margin"], check_number, least=0)
        set_checked(self, ["level"], check_number, least=0.5, most=0.999)


@dataclass(frozen=True, slots=True)
class Crossing:
    """One object that crosses a line, or enters or leaves a region."""

    zone: str
    direction: Direction
    """Over a line: `in` is from the right to the left of its arrow. Of a region: `in` is an entry."""
    object_id: int
    label: str
    frame_index: int
    """The first frame on the new side."""
    before_frame: int
    """The last frame that shows the object clearly on its former side; of an undecided crossing at the beginning of a
    track, the last frame on that side."""
    after_frame: int
    """The first frame that shows it clearly on the new side."""
    time_s: float | None
    """Time of `frame_index`."""
    probability: float
    """In [0, 1]; see `masklet.counting.transitions`."""
    is_decided: bool
    """False where the track begins or ends within the margin. Such a crossing is not counted; it widens the
    interval."""

    def to_dict(self) -> dict[str, Any]:
        """Return the crossing as JSON."""
        return {
            "zone": self.zone,
            "direction": self.direction,
            "object_id": self.object_id,
            "class": self.label,
            "frame_index": self.frame_index,
            "time_s": None if self.time_s is None else round(self.time_s, 4),
            "before_frame": self.before_frame,
            "after_frame": self.after_frame,
            "probability": round(self.probability, 4),
            "counted": self.is_decided,
        }


@dataclass(frozen=True, slots=True)
class Series:
    """The number of visible objects on each of F frames."""

    values: NDArray[np.int64]
    """(F,)"""
    lows: NDArray[np.int64]
    highs: NDArray[np.int64]
    """(F,) with the probability of the level at least low and at most high are real."""

    def to_dict(self) -> dict[str, list[int]]:
        """Return the series as JSON."""
        return {"count": self.values.tolist(), "low": self.lows.tolist(), "high": self.highs.tolist()}


@dataclass(frozen=True, slots=True)
class CountedObject:
    """One object with the frames that show it."""

    object_id: int
    label: str
    first_frame: int
    last_frame: int
    best_frame: int
    """The frame of its highest confidence."""
    num_frames: int
    probability: float
    """That it is an object: the probability of its best frame."""

    def to_dict(self) -> dict[str, Any]:
        """Return the object as JSON."""
        return {
            "object_id": self.object_id,
            "class": self.label,
            "first_frame": self.first_frame,
            "last_frame": self.last_frame,
            "best_frame": self.best_frame,
            "num_frames": self.num_frames,
            "probability": round(self.probability, 4),
        }


@dataclass(frozen=True, slots=True)
class ZoneCounts:
    """The counts of one line or region."""

    zone: Zone
    crossings: tuple[Crossing, ...]
    """By frame."""
    inside: Series | None
    """Of a region: the objects in it on each frame. None for a line."""
    level: float

    def count(self, direction: Direction, label: str | None = None) -> Count:
        """Return how many objects crossed in a direction; of one class, or of all."""
        matching = [
            crossing
            for crossing in self.crossings
            if crossing.direction == direction and label in (None, crossing.label)
        ]
        decided = sum(crossing.is_decided for crossing in matching)
        return count_of((crossing.probability for crossing in matching), decided, self.level)


@dataclass(frozen=True, slots=True)
class CountReport:
    """Everything that was counted in one video."""

    trajectories: Trajectories
    config: CountConfig
    objects: tuple[CountedObject, ...]
    visible: dict[str | None, Series]
    """Visible objects over time, by class; None is all classes together."""
    zones: tuple[ZoneCounts, ...]

    @property
    def frames(self) -> range:
        """The frames of every series."""
        return self.trajectories.frames

    def total(self, label: str | None = None) -> Count:
        """Return how many different objects were seen; of one class, or of all."""
        matching = [item.probability for item in self.objects if label in (None, item.label)]
        return count_of(matching, level=self.config.level)


def count_objects(
    trajectories: Trajectories, zones: Iterable[Zone] = (), *, config: CountConfig | None = None
) -> CountReport:
    """Count the objects of a video: those visible on each frame, different ones, crossings and entries.

    Args:
        trajectories: where the objects were; see `Trajectories.of_masklets` and `masklet.counting.open_trajectories`.
        zones: lines and regions, of different names.
        config: the rules.

    Raises:
        ConfigError: two zones have one name, one lies outside of the frame, or there are more than `MAX_ZONES`.
    """
    config = config or CountConfig()
    zones = tuple(zones)
    if len(zones) > MAX_ZONES:
        raise ConfigError(f"at most {MAX_ZONES} lines and regions can be counted at once, got {len(zones)}")
    names = [zone.name for zone in zones]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ConfigError(
            f"lines and regions must have different names, got {repeated[0]!r} {names.count(repeated[0])} times"
        )
    if trajectories.size_hw is not None:
        for zone in zones:
            check_in_frame(zone, trajectories.size_hw)
    labels = trajectories.labels
    visible: dict[str | None, Series] = {None: _visible(trajectories, trajectories.objects, config.level)}
    for label in labels if len(labels) > 1 else ():
        of_class = [trajectory for trajectory in trajectories.objects if trajectory.label == label]
        visible[label] = _visible(trajectories, of_class, config.level)
    return CountReport(
        trajectories,
        config,
        tuple(_counted(trajectory) for trajectory in trajectories.objects),
        visible,
        tuple(_zone_counts(trajectories, zone, config) for zone in zones),
    )


def _counted(trajectory: Trajectory) -> CountedObject:
    best = int(trajectory.confidences.argmax())
    return CountedObject(
        trajectory.object_id,
        trajectory.label,
        int(trajectory.frames[0]),
        int(trajectory.frames[-1]),
        int(trajectory.frames[best]),
        len(trajectory.frames),
        float(trajectory.probabilities[best]),
    )


def _visible(trajectories: Trajectories, objects: Sequence[Trajectory], level: float) -> Series:
    rows = [(item.frames, item.probabilities) for item in objects]
    return _series(trajectories.frames, rows, level)


def _series(frames: range, rows: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]], level: float) -> Series:
    """Return the number of rows on each frame.

    Args:
        frames: of the series.
        rows: frame indices and probabilities, per object.
        level: of the intervals.
    """
    values, lows, highs = (np.zeros(len(frames), np.int64) for _ in range(3))
    if not rows:
        return Series(values, lows, highs)
    positions = (np.concatenate([indices for indices, _ in rows]) - frames.start) // frames.step
    probabilities = np.concatenate([values for _, values in rows])
    order = np.argsort(positions, kind="stable")
    positions, probabilities = positions[order], probabilities[order]
    values += np.bincount(positions, minlength=len(frames))
    columns = np.arange(len(positions)) - np.searchsorted(positions, positions)
    for start in range(0, len(frames), CHUNK):
        stop = min(start + CHUNK, len(frames))
        inside = slice(*np.searchsorted(positions, [start, stop]))
        table = np.zeros((stop - start, int(values[start:stop].max())))
        table[positions[inside] - start, columns[inside]] = probabilities[inside]
        lows[start:stop], highs[start:stop] = interval(table, level)
    return Series(values, lows, highs)


def _zone_counts(trajectories: Trajectories, zone: Zone, config: CountConfig) -> ZoneCounts:
    crossings: list[Crossing] = []
    inside = []
    for trajectory in trajectories.objects:
        anchors = trajectory.anchors(config.anchor)
        distances, margins = zone.distances(anchors), _margins(trajectory, zone, config)
        decided: list[tuple[int, int]] = []
        for transition in transitions(distances, margins, trajectory.position_errors(), trajectory.probabilities):
            row = _crossing_row(zone, anchors, distances, transition)
            if row is None:
                continue
            crossings.append(_crossing(trajectories, trajectory, zone, transition, row))
            if transition.is_decided:
                decided.append((row, transition.direction))
        if isinstance(zone, Region):
            is_inside = _inside_rows(distances, decided)
            inside.append((trajectory.frames[is_inside], trajectory.probabilities[is_inside]))
    crossings.sort(key=lambda crossing: (crossing.frame_index, crossing.object_id))
    series = _series(trajectories.frames, inside, config.level) if isinstance(zone, Region) else None
    return ZoneCounts(zone, tuple(crossings), series, config.level)


def _margins(trajectory: Trajectory, zone: Zone, config: CountConfig) -> NDArray[np.float64]:
    """Return (T,) the hysteresis in pixels."""
    if config.margin is not None:
        margin = config.margin
    else:
        size, error = float(np.median(trajectory.sizes())), float(np.median(trajectory.position_errors()))
        margin = max(1.0, MARGIN_SHARE * size, MARGIN_ERRORS * error)
    return np.full(len(trajectory.frames), min(margin, zone.reach))


def _crossing_row(
    zone: Zone, anchors: NDArray[np.float64], distances: NDArray[np.float64], transition: Transition
) -> int | None:
    """Return the first row on the new side after the last change; None if the object went around the line's end."""
    rows = np.arange(transition.before, transition.after + 1)
    signs = np.where(distances[rows] * transition.direction >= 0, 1, -1)
    changes = np.flatnonzero(np.diff(signs))
    if not len(changes):
        return transition.after
    if isinstance(zone, Line):
        net = 0
        for change in changes:
            first, second = rows[change], rows[change + 1]
            share = distances[first] / (distances[first] - distances[second])
            meeting = anchors[first] + share * (anchors[second] - anchors[first])
            if 0 <= zone.positions(meeting[None])[0] <= 1:
                net += int(signs[change + 1])
        if net <= 0:
            return None
    return int(rows[changes[-1] + 1])


def _inside_rows(distances: NDArray[np.float64], decided: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return (T,) True where an object is in a region.

    Args:
        distances: (T,) of its anchor, positive inside.
        decided: first row on the new side, and direction, of its decided crossings. Without one the object is where it
            is seen most clearly.
    """
    before_first = -decided[0][1] if decided else distances[np.abs(distances).argmax()]
    inside = np.full(len(distances), before_first > 0)
    for row, direction in decided:
        inside[row:] = direction > 0
    return inside


def _crossing(
    trajectories: Trajectories, trajectory: Trajectory, zone: Zone, transition: Transition, row: int
) -> Crossing:
    frame_index = int(trajectory.frames[row])
    return Crossing(
        zone.name,
        "in" if transition.direction > 0 else "out",
        trajectory.object_id,
        trajectory.label,
        frame_index,
        int(trajectory.frames[transition.before]),
        int(trajectory.frames[transition.after]),
        trajectories.time_s(frame_index),
        transition.probability,
        transition.is_decided,
    )
