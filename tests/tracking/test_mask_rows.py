"""Rows of masks: every form keeps all fields, and fields that an old version did not write get their defaults."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from masklet.masks.rle import CocoRle, encode_rle
from masklet.records import ABSENT_SCORE, BoolArray, FrameMasks, ObjectResult
from masklet.tracking import mask_rows
from masklet.tracking.mask_rows import (
    COLUMNS,
    MaskRow,
    from_json,
    from_rows,
    from_values,
    given_row,
    join,
    take,
    to_json,
    to_rows,
    to_values,
)

SIZE_HW = (3, 4)


def row(object_id: int = 1, **about: object) -> MaskRow:
    pixels = np.zeros(SIZE_HW, bool)
    pixels[object_id % 3] = True
    made = given_row(7, object_id, pixels, time_s=0.7, iou_prediction=0.5, object_score=3.0)
    return replace(made, **about)  # type: ignore[arg-type]


def frame(object_ids: tuple[int, ...] = (1, 2, 5)) -> FrameMasks:
    rows = [
        row(object_id, status="uncertain", review=True, prompted=False, confidence=0.25, iou_prediction=0.5)
        for object_id in object_ids
    ]
    return from_rows(7, 0.7, rows, SIZE_HW)


def same(first: FrameMasks, second: FrameMasks) -> bool:
    return all(np.array_equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(FrameMasks) if f.compare)


def test_every_field_of_a_result_has_its_column_in_a_frame() -> None:
    assert set(mask_rows._PER_OBJECT.values()) == {field.name for field in fields(ObjectResult)}


def test_rows_round_trip_through_sql_json_and_frame_masks() -> None:
    made = row(2, status="lost", review=True, accepted=True, stale=True, direction=-1, confidence=0.125)
    assert from_values(to_values(made)) == made
    assert from_json(json.loads(json.dumps(to_json(made)))) == made
    assert len(to_values(made)) == len(COLUMNS)
    masks = frame()
    assert same(from_rows(7, 0.7, to_rows(masks), SIZE_HW), masks)
    assert [one.confidence for one in to_rows(masks)] == [0.25] * 3


def test_a_frame_without_objects_survives_too() -> None:
    masks = from_rows(7, 0.7, [], SIZE_HW)
    assert masks.masks.shape == (0, *SIZE_HW)
    assert to_rows(masks) == []
    assert same(take(masks, []), masks)


def test_statuses_that_a_preview_does_not_have_stay_left_out() -> None:
    masks = replace(frame(), statuses=(), review=None)
    taken = take(masks, [2, 0])
    assert (taken.object_ids, taken.statuses, taken.review) == ((5, 1), (), None)
    assert [(one.status, one.review) for one in to_rows(masks)] == [("present", False)] * 3


def test_joining_orders_objects_by_id_and_keeps_them_apart() -> None:
    other = row(3, rle=encode_rle(np.ones(SIZE_HW, bool)))
    joined = join(frame((1, 5)), [other], keep_apart=True)
    assert joined.object_ids == (1, 3, 5)
    assert joined.masks.any(axis=(1, 2)).tolist() == [False, True, False]
    assert joined.statuses == ("uncertain", "present", "uncertain")
    assert joined.confidences.tolist() == [0.25, 0.5, 0.25]
    assert join(frame((1, 5)), [other], keep_apart=False).masks.any(axis=(1, 2)).all()


def test_columns_and_fields_that_an_old_version_did_not_write_get_their_defaults() -> None:
    values = dict(zip(COLUMNS, to_values(row(confidence=0.1)), strict=True)) | {"confidence": None, "review": None}
    assert from_values([values[name] for name in COLUMNS]) == row()
    record = {
        name: value for name, value in to_json(row(confidence=0.1)).items() if name not in ("confidence", "stale")
    }
    assert from_json(record) == row()


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert from_json(to_json(row()) | {"depth": 3}) == row()


def test_a_field_that_every_version_has_written_must_be_there() -> None:
    record = to_json(row())
    del record["iou_prediction"]
    with pytest.raises(TypeError, match="iou_prediction"):
        from_json(record)


@pytest.mark.parametrize(("iou_prediction", "confidence"), [(0.4, 0.4), (1.02, 1.0), (-0.1, 0.0)])
def test_confidence_defaults_to_the_iou_prediction(iou_prediction: float, confidence: float) -> None:
    assert row(iou_prediction=iou_prediction, confidence=float("nan")).confidence == confidence
    scores = np.array([iou_prediction], np.float32)
    masks = FrameMasks(0, 0.0, (1,), np.zeros((1, *SIZE_HW), bool), scores, scores, np.array([False]))
    assert masks.confidences == pytest.approx([confidence])


def test_an_object_marked_as_absent_counts_as_occluded() -> None:
    absent = given_row(0, 1, np.zeros(SIZE_HW, bool), object_score=ABSENT_SCORE, accepted=True)
    assert (absent.status, absent.reliability, absent.accepted, absent.prompted) == ("occluded", 0.0, True, True)


def test_codes_are_passed_on_but_never_those_of_other_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = frame()
    encoded: list[int] = []
    encode = mask_rows.encode_rle

    def counted(mask: BoolArray) -> CocoRle:
        encoded.append(int(mask.sum()))
        return encode(mask)

    monkeypatch.setattr(mask_rows, "encode_rle", counted)
    joined = join(masks, [row(3)], keep_apart=False)
    encoded.clear()  # that of the new row
    taken = take(joined, [0, 2])
    assert [one.object_id for one in to_rows(taken)] == [1, 3]
    assert encoded == []
    other = replace(masks, masks=np.zeros_like(masks.masks))
    assert not any(one.mask.any() for one in to_rows(other))
    assert encoded == [0, 0, 0]
    masks.masks[1, 0, 0] = ~masks.masks[1, 0, 0]  # a caller may change pixels
    changed = to_rows(masks)
    assert len(encoded) == 4
    masks.masks[1] = np.roll(masks.masks[1], 1, axis=1)  # the area stays
    changed = to_rows(masks)
    assert len(encoded) == 5
    for one, mask in zip(changed, masks.masks, strict=True):
        assert np.array_equal(one.mask, mask)
