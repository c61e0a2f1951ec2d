"""Counts of walking points: lines, regions, hysteresis, and what the tracks leave open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from masklet import ConfigError
from masklet.counting import CountConfig, Line, Region, TrajectoryBuilder, Zone, count_objects
from tests.counting.walks import along_x, walked

GATE = Line("gate", (100, 0), (100, 100))
"""Its arrow points down the picture, so its left side is at the right of the picture."""
ROOM = Region("room", ((80, 0), (120, 0), (120, 100), (80, 100)))


def test_directions_over_a_line() -> None:
    report = count_objects(walked({1: along_x(range(80, 121)), 2: along_x(range(120, 79, -1))}), [GATE])
    rightward, leftward = report.zones[0].crossings
    assert (rightward.direction, leftward.direction) == ("in", "out")
    assert (rightward.object_id, rightward.frame_index) == (1, 20)
    assert rightward.time_s == 2.0
    assert rightward.before_frame < rightward.frame_index <= rightward.after_frame
    assert report.zones[0].count("in").to_dict() == {"count": 1, "expected": 1.0, "low": 1, "high": 1}


def test_directions_are_those_of_supervision() -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    walks = {1: along_x(range(60, 141, 4)), 2: along_x(range(140, 59, -4)), 3: along_x(range(60, 141, 4), y=150)}
    zone = supervision.LineZone(
        supervision.Point(100, 0), supervision.Point(100, 100), triggering_anchors=[supervision.Position.CENTER]
    )
    for points in zip(*walks.values(), strict=True):
        boxes = np.array([(x - 5, y - 5, x + 5, y + 5) for x, y in points])
        zone.trigger(supervision.Detections(xyxy=boxes, class_id=np.zeros(3, int), tracker_id=np.array([1, 2, 3])))
    counts = count_objects(walked(walks), [GATE]).zones[0]
    assert (counts.count("in").value, counts.count("out").value) == (zone.in_count, zone.out_count) == (1, 1)


def test_trembling_on_the_line_counts_once() -> None:
    trembling = np.random.default_rng(0).normal(100, 0.4, 200)
    walk = along_x([*np.linspace(80, 100, 20), *trembling, *np.linspace(100, 120, 20)])
    counts = count_objects(walked({1: walk}), [GATE], config=CountConfig(margin=3)).zones[0]
    assert [crossing.direction for crossing in counts.crossings] == ["in"]
    without_margin = count_objects(walked({1: walk}), [GATE], config=CountConfig(margin=0)).zones[0]
    assert len(without_margin.crossings) > 20


def test_an_object_that_turns_back_at_the_line_did_not_cross() -> None:
    walk = along_x([*range(80, 102), *range(101, 79, -1)])
    assert not count_objects(walked({1: walk}), [GATE], config=CountConfig(margin=3)).zones[0].crossings


def test_who_goes_around_the_end_of_the_line_did_not_cross_it() -> None:
    around = [(80, 50), (80, 150), (120, 150), (120, 50)]
    assert not count_objects(walked({1: around}), [GATE]).zones[0].crossings
    and_through = [*around, (80, 50)]
    crossings = count_objects(walked({1: and_through}), [GATE]).zones[0].crossings
    assert [crossing.direction for crossing in crossings] == ["out"]


def test_a_crossing_while_the_object_is_hidden_counts_when_it_returns() -> None:
    walk = [*along_x(range(80, 95)), *[None] * 10, *along_x(range(106, 120))]
    (crossing,) = count_objects(walked({1: walk}), [GATE]).zones[0].crossings
    assert (crossing.before_frame, crossing.after_frame, crossing.frame_index) == (14, 25, 25)


def test_the_anchor_decides_when_an_object_crosses() -> None:
    level = Line("floor", (0, 60), (200, 60))
    walk = [(50.0, float(y)) for y in range(30, 90)]
    center, bottom = (
        count_objects(walked({1: walk}), [level], config=CountConfig(anchor=anchor)).zones[0].crossings[0]
        for anchor in ("center", "bottom")
    )
    assert center.frame_index - bottom.frame_index == 5


def test_entries_exits_and_the_objects_inside() -> None:
    counts = count_objects(walked({1: along_x(range(60, 141)), 2: along_x([100] * 81)}), [ROOM]).zones[0]
    assert [(crossing.direction, crossing.object_id) for crossing in counts.crossings] == [("in", 1), ("out", 1)]
    assert counts.inside is not None
    assert counts.inside.values[[0, 40, 80]].tolist() == [1, 2, 1]


def test_a_region_smaller_than_the_margin_can_be_entered() -> None:
    slit = Region("slit", ((98, 0), (102, 0), (102, 100), (98, 100)))
    walk = along_x(np.arange(80, 120, 0.5))
    counts = count_objects(walked({1: walk}), [slit], config=CountConfig(margin=50)).zones[0]
    assert [crossing.direction for crossing in counts.crossings] == ["in", "out"]


def test_classes_are_counted_apart() -> None:
    walks = {1: along_x(range(80, 121)), 2: along_x(range(80, 121)), 3: along_x(range(60, 101))}
    report = count_objects(walked(walks, labels={1: "car", 2: "bus", 3: "car"}), [GATE])
    assert [report.total(label).value for label in (None, "car", "bus")] == [3, 2, 1]
    assert [report.zones[0].count("in", label).value for label in (None, "car", "bus")] == [2, 1, 1]
    assert report.visible["car"].values.tolist() == [2] * 41


def test_every_object_names_the_frames_that_show_it() -> None:
    builder = TrajectoryBuilder()
    for frame_index, confidence in ((3, 0.5), (4, 0.9), (7, 0.6)):
        builder.add(frame_index, 5, (0, 0, 10, 10), confidence)
    (counted,) = count_objects(builder.built()).objects
    assert (counted.first_frame, counted.best_frame, counted.last_frame, counted.num_frames) == (3, 4, 7, 3)


def test_an_undecided_end_widens_the_interval_and_is_not_counted() -> None:
    counts = count_objects(walked({1: along_x(range(80, 102))}, confidence=0.9), [GATE], config=CountConfig(margin=5))
    (crossing,) = counts.zones[0].crossings
    assert not crossing.is_decided
    count = counts.zones[0].count("in")
    assert (count.value, count.low, count.high) == (0, 0, 1)


def test_unsure_tracks_widen_the_interval() -> None:
    walks = {object_id: along_x(range(80, 121)) for object_id in range(20)}
    count = count_objects(walked(walks, confidence=0.9, probability=0.7), [GATE]).zones[0].count("in")
    assert count.value == 20
    assert 8 <= count.low < count.expected < count.high <= 19


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_intervals_cover_the_truth_of_simulated_tracks(noise: float) -> None:
    """Of 40 tracks each is an object with its stated probability; anchors are displaced as their confidence says."""
    rng = np.random.default_rng(7)
    covered, runs = 0, 60
    for _ in range(runs):
        builder, crossed = TrajectoryBuilder(), 0
        for object_id in range(40):
            start, stop = rng.uniform(60, 140, 2)
            probability = rng.uniform(0.4, 1)
            is_real = rng.random() < probability
            crossed += is_real and start < 100 < stop
            xs = np.linspace(start, stop, 12) + rng.normal(0, noise, 12)
            for frame_index, x in enumerate(xs):
                confidence = (10 - noise) / (10 + noise)
                builder.add(frame_index, object_id, (x - 5, 45, x + 5, 55), confidence, probability=probability)
        count = count_objects(builder.built(), [GATE]).zones[0].count("in")
        covered += count.low <= crossed <= count.high
    assert covered / runs >= 0.85


def test_frames_that_nobody_looked_at_are_not_counted_as_empty() -> None:
    builder = TrajectoryBuilder()
    for frame_index in (0, 6, 12, 18):
        builder.add(frame_index, 1, (0, 0, 10, 10), 1.0)
    assert count_objects(builder.built()).visible[None].values.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("zones", "message"),
    [
        ([GATE, GATE], "must have different names, got 'gate' 2 times"),
        ([Line(f"line {number}", (0, 0), (1, 1)) for number in range(65)], "at most 64 lines and regions"),
    ],
)
def test_zones_that_cannot_be_counted_together(zones: list[Line], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        count_objects(walked({1: along_x([1.0])}), zones)


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        (Line("far", (201, 0), (300, 90)), "line 'far' lies outside of the frame of 200 x 100 pixels"),
        (Region("far", ((0, -9), (9, -9), (9, -1))), "region 'far' lies outside of the frame of 200 x 100 pixels"),
    ],
)
def test_a_zone_outside_of_the_frame_is_refused_where_its_size_is_known(zone: Zone, message: str) -> None:
    trajectories = walked({1: along_x([1.0])})
    assert not count_objects(trajectories, [zone]).zones[0].crossings
    with pytest.raises(ConfigError, match=message):
        count_objects(replace(trajectories, size_hw=(100, 200)), [zone])


def test_a_zone_may_reach_beyond_the_frame() -> None:
    trajectories = replace(walked({1: along_x(range(80, 121))}), size_hw=(60, 200))
    assert count_objects(trajectories, [GATE, ROOM]).zones[0].count("in").value == 1
