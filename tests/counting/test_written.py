"""Reports as files: JSON, tables and plots."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from masklet import ConfigError
from masklet.counting import CountReport, Line, Region, count_objects, write_crossings, write_report
from tests.counting.walks import along_x, walked


@pytest.fixture
def report() -> CountReport:
    walks = {1: along_x(range(60, 141)), 2: along_x(range(140, 59, -1))}
    zones = [Line("=gate $1", (100, 0), (100, 100)), Region("room", ((80, 0), (120, 0), (120, 100), (80, 100)))]
    return count_objects(walked(walks, labels={1: "_duck", 2: "鴨"}, confidence=0.9, probability=0.8), zones)


def test_json_holds_everything(report: CountReport, tmp_path: Path) -> None:
    document = json.loads(write_report(report, tmp_path / "counts.json").read_text())
    assert document["objects"]["count"] == 2
    assert document["objects"]["classes"]["鴨"]["count"] == 1
    assert document["objects"]["tracks"][0]["best_frame"] == 0
    assert document["visible"]["count"] == [2] * 81
    assert document["visible"]["times_s"][10] == 1.0
    (line,), (region,) = document["lines"], document["regions"]
    assert (line["in"]["count"], line["out"]["count"], line["start_xy"]) == (1, 1, [100, 0])
    assert region["inside"]["count"][40] == 2
    assert [row["frame_index"] for row in line["crossings"]] == [40, 40]


def test_tables_open_in_spreadsheets(report: CountReport, tmp_path: Path) -> None:
    with write_report(report, tmp_path / "counts.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 81
    assert rows[80]["'=gate $1 in"] == "1"
    assert (rows[40]["visible"], rows[40]["room inside"], rows[0]["room inside"]) == ("2", "2", "0")
    with write_crossings(report, tmp_path / "crossings.csv").open(encoding="utf-8-sig", newline="") as file:
        crossings = list(csv.DictReader(file))
    assert len(crossings) == 6
    assert {row["zone"] for row in crossings} == {"'=gate $1", "room"}
    assert all(int(row["before_frame"]) < int(row["frame_index"]) <= int(row["after_frame"]) for row in crossings)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_plots(report: CountReport, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = write_report(report, tmp_path / f"counts{suffix}")
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(start)
    if suffix == ".png":
        with Image.open(path) as image:
            assert len(set(image.convert("L").resize((40, 40)).tobytes())) > 20


def test_other_suffixes_are_refused(report: CountReport, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"counts are written to .json, .csv, .png, .svg, .pdf, got '.xlsx'"):
        write_report(report, tmp_path / "counts.xlsx")
