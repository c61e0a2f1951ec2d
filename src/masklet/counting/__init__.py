"""Counting: how many objects are visible, cross a line or enter a region, how sure that is, and what shows it.

Works on boxes and masks per frame and knows no model.

    report = count_objects(Trajectories.of_masklets(masklets, fps=25), [Line("gate", (100, 50), (200, 60))])
    report.zones[0].count("in")
"""

from masklet.counting.count import (
    CountConfig,
    CountedObject,
    CountReport,
    Crossing,
    Series,
    ZoneCounts,
    count_objects,
)
from masklet.counting.files import open_trajectories
from masklet.counting.intervals import Count, interval, poisson_binomial
from masklet.counting.trajectories import Trajectories, Trajectory, TrajectoryBuilder
from masklet.counting.written import report_document, write_crossings, write_report
from masklet.counting.zones import Line, Region, Zone

__all__ = [
    "Count",
    "CountConfig",
    "CountReport",
    "CountedObject",
    "Crossing",
    "Line",
    "Region",
    "Series",
    "Trajectories",
    "Trajectory",
    "TrajectoryBuilder",
    "Zone",
    "ZoneCounts",
    "count_objects",
    "interval",
    "open_trajectories",
    "poisson_binomial",
    "report_document",
    "write_crossings",
    "write_report",
]
