"""The table of tracks: one row per object."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from masklet.formats import export_masks
from masklet.records import BoolArray
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo
from tests.formats.material import SIZE, medium_of


def square(left: int, side: int = 10) -> BoolArray:
    mask = np.zeros(SIZE, np.bool_)
    mask[5 : 5 + side, left : left + side] = True
    return mask


def rows_of(form: str, path: Path) -> list[dict[str, str]]:
    empty = np.zeros(SIZE, np.bool_)
    # At 10 frames per second: 3 pixels a frame, absent for one frame, then a jump of 12 in two frames.
    masks = {0: {2: square(0)}, 1: {2: square(3)}, 2: {2: empty}, 3: {2: square(15), 5: square(20, 4)}, 4: {5: empty}}
    masklets = Masklets.of_masks(masks, [ObjectInfo(2, "=1+1", "ant"), ObjectInfo(5)])
    export_masks(form, [LabelledMedium("clip", medium_of({}).source, masklets)], path)
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def test_a_track_is_a_row(tmp_path: Path) -> None:
    ant, other = rows_of("tracks", tmp_path / "t.csv")
    assert (ant["object_id"], ant["name"], ant["class"]) == ("2", "'=1+1", "ant")
    assert [ant[name] for name in ("first_frame_index", "last_frame_index", "frames_visible")] == ["0", "3", "3"]
    assert [float(ant[name]) for name in ("start_s", "end_s", "duration_s")] == [0, 0.3, 0.3]
    assert [float(ant[f"mean_{edge}"]) for edge in ("left", "top", "right", "bottom")] == [6, 5, 16, 15]
    assert [float(ant[f"{word}_area_px"]) for word in ("mean", "least", "most")] == [100, 100, 100]
    assert (float(ant["path_px"]), float(ant["mean_speed_px_s"]), float(ant["most_speed_px_s"])) == (15, 50, 60)
    assert (other["first_frame_index"], other["duration_s"], other["mean_speed_px_s"]) == ("3", "0.0000", "")


def test_the_table_of_frames_has_the_speed(tmp_path: Path) -> None:
    speeds = [row["speed_px_s"] for row in rows_of("csv", tmp_path / "t.csv") if row["object_id"] == "2"]
    assert speeds[0] == speeds[2] == ""
    assert [float(speeds[1]), float(speeds[3])] == pytest.approx([30, 60])
