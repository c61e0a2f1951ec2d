"""What a Python function may return as a detector, and what is said of answers that cannot be used."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from masklet.discovery import Detection
from masklet.discovery.callables import MAX_DETECTIONS, FunctionDetector
from masklet.errors import DataError
from masklet.records import BoolArray, Frame

SIZE_HW = (48, 64)
FRAME = Frame(7, np.zeros((*SIZE_HW, 3), np.uint8), 0.0)
COVERED = np.zeros(SIZE_HW, np.bool_)
BOX, OTHER = (10.0, 5.0, 30.0, 25.0), (40.0, 5.0, 60.0, 25.0)


def detector(answer: Any, class_names: Mapping[int, str] | Sequence[str] = ()) -> FunctionDetector:
    return FunctionDetector(lambda rgb: answer() if callable(answer) else answer, class_names)


def answers(answer: Any, class_names: Mapping[int, str] | Sequence[str] = ()) -> list[Detection]:
    return list(detector(answer, class_names).detect(FRAME, COVERED))


def filled(box: tuple[float, ...]) -> BoolArray:
    mask = np.zeros(SIZE_HW, np.bool_)
    left, top, right, bottom = map(int, box)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(
    "answer",
    [
        [BOX, OTHER],
        np.array([BOX, OTHER]),
        ([BOX, OTHER],),
        lambda: iter([BOX, OTHER]),
        lambda: (box for box in (BOX, OTHER)),
        {"xyxy": [BOX, OTHER]},
        {"boxes": [BOX, OTHER], "masks": None},
        SimpleNamespace(xyxy=[BOX, OTHER], mask=None),
        [filled(BOX), filled(OTHER)],
        {"masks": [filled(BOX), filled(OTHER)], "boxes": [OTHER, BOX]},
    ],
    ids=str,
)
def test_boxes_and_masks_in_many_forms(answer: Any) -> None:
    assert [detection.box_xyxy for detection in answers(answer)] == [BOX, OTHER]


def test_a_bare_tensor_is_read_as_a_tensor_in_a_tuple() -> None:
    torch = pytest.importorskip("torch")
    boxes = torch.tensor([BOX, OTHER])
    assert answers(boxes) == answers((boxes,)) == answers([BOX, OTHER])


@pytest.mark.parametrize(
    "answer", [None, [], np.zeros((0, 4)), ([], [], []), {"boxes": []}, SimpleNamespace(xyxy=None)], ids=str
)
def test_nothing_is_detected(answer: Any) -> None:
    assert answers(answer) == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"bboxes": [BOX]}, "one of mask, masks, xyxy, boxes, got dict with bboxes"),
        (SimpleNamespace(bboxes=[BOX]), "got SimpleNamespace"),
        (5, "got int"),
        ("car", "got str"),
        ([[1, 2, 3, 4], [1, 2, 3]], r"expected boxes \(N, 4\).* all of one shape"),
        ([[1, 2, 3]], r"got an array of int64 of shape \(1, 3\)"),
        ([1, 2, 3, 4], r"got an array of int64 of shape \(4,\)"),
        ([["a", "b", "c", "d"]], "got an array of <U1"),
        ([np.zeros((5, 5), np.bool_)], r"masks must have the frame's size, \(48, 64\), got \(5, 5\)"),
        (([BOX], ["high"]), "scores must be one number per object, 1, got"),
        (([BOX], [0.5, 0.6]), r"scores must be one number per object, 1, got an array of shape \(2,\)"),
        (([BOX], None, ["a", "b"]), "labels must be one per object, 1, got 2"),
        (([BOX], None, [None]), "a label that is not text must be a whole number, got None"),
        (([BOX], None, [1.5]), "must be a whole number, got 1.5"),
        (([BOX], None, "car"), "labels must be a list of text or whole numbers, got 'car'"),
        (([BOX], None, 5), "labels must be a list of text or whole numbers, got 5"),
        ((), "a tuple must be"),
    ],
)
def test_answers_of_another_form_name_the_frame(answer: Any, text: str) -> None:
    with pytest.raises(DataError, match=f"the detector's answer on frame 7: .*{text}"):
        answers(answer)


def test_labels_are_text_or_numbers_with_names() -> None:
    labels = ["cat", np.str_("dog"), np.int64(2), 3.0]
    detections = answers(([BOX] * 4, None, labels), {2: "car"})
    assert [detection.label for detection in detections] == ["cat", "dog", "car", "3"]


def test_detections_of_supervision_have_the_names_of_their_classes() -> None:
    supervision = pytest.importorskip("supervision", reason="the package supervision is not installed")
    detections = supervision.Detections(
        xyxy=np.array([BOX, OTHER], np.float32),
        confidence=np.array([0.9, 0.8], np.float32),
        class_id=np.array([2, 0]),
        data={"class_name": np.array(["car", "person"])},
    )
    assert [(item.box_xyxy, item.label) for item in answers(detections)] == [(BOX, "car"), (OTHER, "person")]
    assert [item.score for item in answers(detections)] == pytest.approx([0.9, 0.8])
    detections.data = {}
    assert [item.label for item in answers(detections, ["person", "bike", "car"])] == ["car", "person"]
    assert answers(supervision.Detections.empty()) == []


@pytest.mark.parametrize("score", [np.nan, 95, -0.5, np.inf])
def test_scores_out_of_range_are_named_and_the_rest_is_used(score: float) -> None:
    with pytest.warns(UserWarning, match=rf"on frame 7: scores must be in \[0, 1\], got {score:g}"):
        assert [detection.box_xyxy for detection in answers(([BOX, OTHER], [score, 0.5]))] == [OTHER]


def test_scores_that_are_rounded_are_used() -> None:
    assert [detection.score for detection in answers(([BOX, OTHER], [1.0000001, -1e-9]))] == [1, 0]


def test_too_many_detections_are_named_and_the_best_are_used() -> None:
    scores = np.linspace(0, 1, MAX_DETECTIONS + 5)
    with pytest.warns(UserWarning, match="on frame 7: 1,005 detections; the 1,000 with the highest scores are used"):
        detections = answers(([BOX] * len(scores), scores))
    assert len(detections) == MAX_DETECTIONS
    assert min(detection.score for detection in detections) == scores[5]


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ([(70, 5, 90, 25), BOX], r"of the box \(70, 5, 90, 25\) is within the frame of 64 x 48"),
        ([(np.nan, 5, 90, 25), BOX], r"of the box \(nan, 5, 90, 25\)"),
        ([np.zeros(SIZE_HW), filled(BOX)], "a mask is empty"),
    ],
)
def test_boxes_and_masks_of_nothing_are_named_and_the_rest_is_used(shapes: Any, text: str) -> None:
    with pytest.warns(UserWarning, match=text):
        assert [detection.box_xyxy for detection in answers(shapes)] == [BOX]


def test_each_kind_of_fault_is_named_once() -> None:
    broken = detector(([BOX, OTHER], [0.5, 95]))
    with pytest.warns(UserWarning, match="scores"):
        broken.detect(FRAME, COVERED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(broken.detect(FRAME, COVERED)) == 1
