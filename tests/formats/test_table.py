from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from masklet.formats import (
    export_masks,
)
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo
from tests.formats.material import blob, clip_masks, medium_of


def test_the_table_has_a_row_for_each_object_and_frame(tmp_path: Path) -> None:
    masks = clip_masks(overlap=True)
    export_masks("csv", [medium_of(masks)], tmp_path / "t.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text(encoding="utf-8-sig"))))
    assert len(rows) == 10
    first, absent = rows[0], rows[7]
    ys, xs = np.nonzero(masks[0][1])
    assert int(first["area_px"]) == len(ys)
    assert float(first["center_x"]) == pytest.approx(xs.mean() + 0.5, abs=0.01)
    assert (int(first["box_right"]), first["class"], first["time_s"]) == (xs.max() + 1, "person", "0.0000")
    assert (absent["object_id"], absent["area_px"], absent["box_left"]) == ("7", "0", "")
    assert rows[-1]["time_s"] == "0.5000"


def test_names_are_not_formulas(tmp_path: Path) -> None:
    masklets = Masklets.of_masks({0: {1: blob(1)}}, [ObjectInfo(1, "=HYPERLINK(1)")])
    medium = LabelledMedium("clip", medium_of({}).source, masklets)
    export_masks("csv", [medium], tmp_path / "t.csv")
    assert "'=HYPERLINK" in (tmp_path / "t.csv").read_text(encoding="utf-8-sig")
