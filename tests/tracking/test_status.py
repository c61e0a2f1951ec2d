"""The status of one object: present, uncertain, occluded or lost, and masks that explode over the frame."""

from __future__ import annotations

import numpy as np
import pytest

from masklet.memory.policies import Sighting
from masklet.tracking.status import LOST_AFTER, MAX_REFUSALS, StatusMonitor


def sighting(area: float = 0.1, score: float = 8.0, iou: float = 0.9, *, prompted: bool = False) -> Sighting:
    mask = np.arange(100) < round(100 * area)
    return Sighting(0, 1, score, (iou,), mask[None, None], prompted=prompted)


def monitor_after(*sightings: Sighting) -> StatusMonitor:
    monitor = StatusMonitor()
    for each in sightings:
        monitor.update(each)
    return monitor


def test_an_object_is_present_then_occluded_then_lost_then_back() -> None:
    monitor = monitor_after(sighting(prompted=True), *[sighting()] * 5)
    verdicts = [monitor.update(sighting(score=-5)) for _ in range(LOST_AFTER + 3)]
    assert [verdict.status for verdict in verdicts] == ["occluded"] * LOST_AFTER + ["lost"] * 3
    assert [index for index, verdict in enumerate(verdicts) if verdict.review] == [LOST_AFTER]  # when it is lost, once
    assert monitor.update(sighting()) == ("present", False)


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        (sighting(), "present"),
        (sighting(0.12, 6.0, 0.7), "present"),
        (sighting(iou=0.3), "uncertain"),
        (sighting(score=0.5), "uncertain"),
        (sighting(0.4), "uncertain"),  # four times as large as before
        (sighting(0.02), "uncertain"),
        (sighting(0.0), "occluded"),
    ],
)
def test_an_object_is_uncertain_compared_with_its_last_frames(seen: Sighting, status: str) -> None:
    monitor = monitor_after(*[sighting()] * 5)
    assert monitor.update(seen) == (status, status == "uncertain")


def test_low_scores_that_are_usual_are_not_uncertain() -> None:
    monitor = monitor_after(*[sighting(iou=0.4)] * 5)
    assert monitor.update(sighting(iou=0.35)).status == "present"


def test_a_mask_of_low_expected_iou_is_always_uncertain() -> None:
    monitor = monitor_after(*[sighting(iou=0.35)] * 5)
    assert monitor.update(sighting(iou=0.35), confidence=0.49) == ("uncertain", True)
    assert monitor.update(sighting(iou=0.35), confidence=0.51) == ("present", False)
    assert monitor.update(sighting(iou=0.35, prompted=True), confidence=0.1) == ("present", False)


def test_a_prompted_mask_is_never_uncertain() -> None:
    monitor = monitor_after(*[sighting()] * 5)
    assert monitor.update(sighting(0.9, 0.1, 0.1, prompted=True)) == ("present", False)
    assert monitor.update(sighting(0.9, 8.0, 0.9)).status == "present"


def test_an_exploded_mask_is_refused_until_it_persists() -> None:
    monitor = monitor_after(*[sighting(0.1)] * 5)
    assert not monitor.has_exploded(0.4)
    for _ in range(MAX_REFUSALS):
        assert monitor.has_exploded(0.8)
        assert monitor.update(sighting(0.8), refused=True) == ("uncertain", True)
    assert not monitor.has_exploded(0.8)
    assert not StatusMonitor().has_exploded(0.9)
    large = monitor_after(*[sighting(0.3)] * 5)
    assert not large.has_exploded(0.8)
    monitor.forget_areas()
    assert not monitor.has_exploded(0.8)


def test_a_monitor_is_restored_from_its_state() -> None:
    monitor = monitor_after(*[sighting()] * 3, sighting(score=-1))
    assert StatusMonitor.restored(monitor.state()).state() == monitor.state()
