"""Stored masks: reading them back, and the frames that a prompt outdates."""

from __future__ import annotations

import gc
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet.errors import OutputError
from masklet.masks.rle import encode_rle
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.mask_store import MaskStore, StaleRange


def mask(index: int, object_id: int = 1, **fields: Any) -> MaskRow:
    pixels = np.zeros((3, 4), bool)
    pixels[index % 3, :2] = True
    values: dict[str, Any] = {"iou_prediction": 0.9, "object_score": 5.0, "reliability": 0.8, "direction": 1}
    return MaskRow(
        frame_index=index, object_id=object_id, time_s=index / 10, rle=encode_rle(pixels), **(values | fields)
    )


def filled(count: int = 20, **store: Any) -> MaskStore:
    masks = MaskStore(**store)
    masks.write(mask(index, object_id) for index in range(count) for object_id in (1, 2))
    return masks


def test_stored_masks_are_read_unchanged() -> None:
    store = filled()
    assert store.mask(2, 7) == mask(7, 2)
    assert store.mask(2, 7).mask[1, :2].all()  # type: ignore[union-attr]
    assert store.mask(2, 99) is None
    assert store.frame(3) == [mask(3, 1), mask(3, 2)]
    assert list(store.all()) == [mask(index, object_id) for index in range(20) for object_id in (1, 2)]
    assert store.frames() == (0, 19)
    store.write([mask(3, 1, status="lost", review=True)])
    assert store.frame(3)[0].status == "lost"
    store.forget(1)
    assert [one.object_id for one in store.frame(3)] == [2]
    store.forget()
    assert store.frames() is None


def test_frames_behind_end_at_a_gap_or_a_frame_tracked_in_the_other_direction() -> None:
    store = filled()
    assert list(store.behind(1, 10, 1, 4)) == [9, 8, 7, 6]
    assert list(store.behind(1, 25, 1, 4)) == []
    assert list(store.behind(1, 10, -1, 4)) == []  # tracked forward
    store.accept(11, 1)
    assert list(store.behind(1, 10, -1, 4)) == [11]
    store.outdate(1, 8)
    assert list(store.behind(1, 8, 1, 3)) == [7, 6, 5]
    assert list(store.behind(1, 10, 1, 3)) == []


def test_a_prompt_outdates_its_object_up_to_the_next_barrier() -> None:
    store = filled()
    store.write([mask(15, 1, prompted=True)])
    assert store.outdate(1, 8) == [StaleRange(1, 8, 14, 1)]
    assert store.stale_ranges() == [StaleRange(1, 8, 14, 1)]
    assert not any(one.stale for one in store.frame(9) if one.object_id == 2)
    store.accept(5, 2)
    assert store.outdate(2, 2, prompted=[4]) == [StaleRange(2, 2, 3, 1)]
    assert store.accept(8, None) == 1  # of object 2: object 1 is outdated there
    assert [row.frame_index for row in store.all() if row.accepted and row.object_id == 2] == [5, 8]


def test_frames_tracked_backward_are_outdated_by_what_lies_ahead() -> None:
    store = MaskStore()
    store.write(mask(index, direction=-1 if index < 10 else 1, prompted=index == 10) for index in range(20))
    assert store.outdate(1, 5) == [StaleRange(1, 0, 5, -1)]
    assert store.outdate(1, 12) == [StaleRange(1, 12, 19, 1)]


def test_a_frame_is_written_whole_or_not_at_all() -> None:
    store = MaskStore()
    with pytest.raises(OutputError, match="cannot keep masks in a temporary file"):
        store.write([mask(0), mask(1, object_score=object())])  # type: ignore[arg-type]
    assert store.frames() is None


def test_a_full_disk_raises_output_error_and_keeps_stored_masks(tmp_path: Path) -> None:
    store = filled(path=tmp_path / "masks.db")
    store._database.execute(f"PRAGMA max_page_count = {store._database.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(OutputError, match=r"masks\.db: database or disk is full"):
        store.write(mask(index) for index in range(100, 2000))
    assert store.frames() == (0, 19)
    store.close()
    with pytest.raises(OutputError, match="cannot keep masks"):
        MaskStore(tmp_path)
    with closing(sqlite3.connect(tmp_path / "masks.db")) as database:
        assert database.execute("SELECT count(*) FROM masks").fetchone() == (40,)


def test_a_store_that_is_forgotten_closes_its_database() -> None:
    store = filled()
    database = store._database
    del store
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")
