from __future__ import annotations

import json

import numpy as np
import pytest
from rich.console import Console

from masklet import __version__
from masklet.errors import DataError
from masklet.evaluation.compare import compare
from masklet.evaluation.metrics import Click
from masklet.evaluation.records import ObjectClicks, ObjectTrack, WorstFrame
from masklet.evaluation.report import ClicksReport, VosReport
from masklet.masks.rle import encode_rle

RLE = encode_rle(np.eye(4, dtype=bool))


def clicks_on(source: str, *ious: float, box: float | None = 0.9) -> ObjectClicks:
    return ObjectClicks(source, f"{source}/a", 1, 0.2, ious, max(ious[0], 0.8), box, (Click(3, 4, 1),), RLE)


def track(clip: str, object_id: int, region: float, boundary: float) -> ObjectTrack:
    worst = WorstFrame(2, 0.1, RLE)
    return ObjectTrack(clip, object_id, 0, (1, 2), (region, region), (boundary, boundary), worst)


def clicks_report(model: str = "nano", shift: float = 0.0) -> ClicksReport:
    first = clicks_on("cats", 0.2 + shift, 0.3, 0.4, 0.5, 0.6)
    second = clicks_on("cats", 0.4 + shift, 0.5, 0.6, 0.7, 0.8)
    return ClicksReport(model, "numpy", 5, (first, second, clicks_on("dogs", 0.5 + shift, 0.6, 0.7, 0.8, 1.0)))


def printed(table: object) -> str:
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_clicks_document_has_all_fields() -> None:
    document = json.loads(json.dumps(clicks_report().to_dict("masklet evaluate clicks data")))
    assert document["sources"]["cats"] == pytest.approx(
        {"miou@1": 0.3, "miou@1_best": 0.8, "miou@3": 0.5, "miou@5": 0.7, "miou@box": 0.9, "num_objects": 2}
    )
    assert document["overall"]["miou@5"] == pytest.approx((0.7 + 1.0) / 2)
    assert document["num_objects"] == len(document["objects"]) == 3
    assert document["command"] == "masklet evaluate clicks data"
    assert document["model"] == "nano"
    assert document["versions"]["masklet"] == __version__


@pytest.mark.parametrize(
    ("count", "names"),
    [(1, {"miou@1"}), (2, {"miou@1", "miou@2"}), (4, {"miou@1", "miou@3", "miou@4"})],
)
def test_only_clicks_that_were_made_are_reported(count: int, names: set[str]) -> None:
    report = ClicksReport("nano", "numpy", count, (clicks_on("cats", *[0.5] * count, box=None),))
    assert set(report.overall) == names | {"miou@1_best"}


def test_number_of_clicks_to_reach_an_iou() -> None:
    record = clicks_on("cats", 0.5, 0.86, 0.8)
    assert record.clicks_to_reach(0.85) == 2
    assert record.clicks_to_reach(0.9) is None


def test_vos_document_has_all_fields() -> None:
    report = VosReport(
        "nano", "numpy", "vos click", (track("a", 1, 0.2, 0.4), track("a", 2, 0.4, 0.6), track("b", 1, 1, 1))
    )
    document = json.loads(json.dumps(report.to_dict()))
    assert document["task"] == "vos click"
    assert {name: document["clips"]["a"][name] for name in ("J", "F", "J&F")} == pytest.approx(
        {"J": 0.3, "F": 0.5, "J&F": 0.4}
    )
    assert document["clips"]["a"]["objects"]["2"]["J&F"] == pytest.approx(0.5)
    assert document["overall"]["J&F"] == pytest.approx(0.7)
    assert document["over_objects"]["J&F"] == pytest.approx((0.3 + 0.5 + 1) / 3)


def test_tables_show_every_row_and_the_overall() -> None:
    text = printed(clicks_report().table())
    assert "cats" in text
    assert "miou@1_best" in text
    assert "85.0" in text  # overall miou@5
    assert "[wild]" in printed(VosReport("nano", "numpy", "vos mask", (track("[wild]", 1, 0.5, 0.5),)).table())


def test_comparison_lists_what_changed() -> None:
    before, after = clicks_report().to_dict(), clicks_report("tiny", shift=0.1).to_dict()
    comparison = compare(before, json.loads(json.dumps(after)))
    document = comparison.to_dict()
    assert document["before"] == "nano"
    assert document["after"] == "tiny"
    assert document["changes"]["overall"]["miou@1"]["difference"] == pytest.approx(0.1)
    assert document["changes"]["cats"]["miou@3"]["difference"] == 0
    assert "+10.0" in printed(comparison.table())
    assert comparison.unmatched == ()


def test_comparison_lists_rows_that_only_one_run_has() -> None:
    fewer = ClicksReport("nano", "numpy", 1, (clicks_on("dogs", 0.5),)).to_dict()
    comparison = compare(clicks_report().to_dict(), fewer)
    assert comparison.unmatched == ("cats",)
    assert {change.metric for change in comparison.changes} == {"miou@1", "miou@1_best", "miou@box"}


def test_reports_of_different_tasks_cannot_be_compared() -> None:
    vos = VosReport("nano", "numpy", "vos mask", (track("a", 1, 0.5, 0.5),)).to_dict()
    with pytest.raises(DataError, match="'clicks' and 'vos mask'"):
        compare(clicks_report().to_dict(), vos)
    with pytest.raises(DataError, match="not a report"):
        compare({}, vos)
