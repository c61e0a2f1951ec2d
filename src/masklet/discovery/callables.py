"""Any detector as a Python function: pixels in, boxes or masks out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from masklet.checks import check_numbers, host_array
from masklet.discovery.detections import Box, Detection, Detector
from masklet.errors import DataError
from masklet.masks.foreground import foreground_of, mask_array
from masklet.records import BoolArray, ByteArray, FloatArray, Frame

DetectFunction = Callable[[ByteArray], Any]
"""Takes (H, W, 3) uint8 RGB. Returns boxes or masks, or a tuple of these with scores and labels, of which the last ones
can be left out; or an object or a mapping with `xyxy` or `boxes`, `mask` or `masks`, `confidence` or `scores`, and
`class_name` or `labels`, as detectors of the field return."""

MAX_DETECTIONS = 1000
"""Most detections of one frame that are used: those of the highest scores."""


class FunctionDetector:
    """Calls a function on each key frame, and checks its answer.

    Args:
        function: see `DetectFunction`.
        class_names: names of whole-number labels, by number.
    """

    def __init__(self, function: DetectFunction, class_names: Mapping[int, str] | Sequence[str] = ()) -> None:
        self._function = function
        names = class_names if isinstance(class_names, Mapping) else dict(enumerate(class_names))
        self._class_names = {int(number): str(name) for number, name in names.items()}

    def detect(self, frame: Frame, covered: BoolArray) -> Sequence[Detection]:
        """Return the function's detections on a frame; see `Detector`.

        Raises:
            DataError: its answer has another form, named with the frame.
        """
        try:
            return self._detections(self._function(frame.rgb), frame.size_hw)
        except DataError as error:
            raise DataError(f"the detector's answer on frame {frame.index}: {error}") from error

    def _detections(self, answer: Any, size_hw: tuple[int, int]) -> list[Detection]:
        shapes, scores, labels = _fields(answer)
        if shapes is None:
            return []
        array = host_array(shapes)
        if not array.size:
            return []
        count = len(array)
        numbers = np.ones(count) if scores is None else check_numbers("scores", scores, f"{count} numbers")
        if numbers.shape != (count,):
            raise DataError(f"scores must be one number per object, {count}, got {numbers.shape}")
        names = [""] * count if labels is None else [self._name(label) for label in labels]
        if len(names) != count:
            raise DataError(f"labels must be one per object, {count}, got {len(names)}")
        order = [row for row in np.argsort(-numbers, kind="stable") if np.isfinite(numbers[row])][:MAX_DETECTIONS]
        found = [self._detection(array[row], float(np.clip(numbers[row], 0, 1)), names[row], size_hw) for row in order]
        return [detection for detection in found if detection is not None]

    def _detection(self, shape: Any, score: float, label: str, size_hw: tuple[int, int]) -> Detection | None:
        if np.ndim(shape) == 1:
            box = box_within(np.asarray(shape, np.float64), size_hw)
            return None if box is None else Detection(box, score, label)
        mask = foreground_of(mask_array("masks", shape, error=DataError))
        if mask.shape != size_hw:
            raise DataError(f"masks must have the frame's size, {size_hw}, got {mask.shape}")
        return Detection.of_mask(mask, score=score, label=label)

    def _name(self, label: Any) -> str:
        if isinstance(label, str):
            return label
        number = int(label)
        return self._class_names.get(number, str(number))


def box_within(box_xyxy: FloatArray, size_hw: tuple[int, int]) -> Box | None:
    """Return the part of a box within the frame; None if nothing is left of it, or it has NaN.

    Raises:
        DataError: it does not have four numbers.
    """
    if box_xyxy.shape != (4,):
        raise DataError(f"boxes must be (N, 4): left, top, right, bottom in pixels, got {box_xyxy.shape} for one")
    height, width = size_hw
    left, top, right, bottom = (float(value) for value in np.clip(box_xyxy, 0, [width, height, width, height]))
    return (left, top, right, bottom) if right - left >= 1 and bottom - top >= 1 else None


def as_detector(detector: Detector | DetectFunction) -> Detector:
    """Return a detector for a function, or the detector itself.

    Raises:
        DataError: it is neither.
    """
    if hasattr(detector, "detect"):
        return detector
    if callable(detector):
        return FunctionDetector(detector)
    raise DataError(
        f"a detector must be a function (rgb) -> boxes or masks, scores, labels, or have a method detect(frame, "
        f"covered), got {type(detector).__name__}"
    )


_SHAPE_NAMES = ("mask", "masks", "xyxy", "boxes")
_SCORE_NAMES = ("confidence", "scores", "score")
_LABEL_NAMES = ("class_name", "labels", "class_id")


def _fields(answer: Any) -> tuple[Any, Any, Any]:
    """Return shapes, scores and labels of an answer; None for those that it lacks."""
    if answer is None:
        return None, None, None
    if isinstance(answer, tuple):
        if not 1 <= len(answer) <= 3:
            raise DataError(f"a tuple must be (boxes or masks, scores, labels), got {len(answer)} entries")
        shapes, scores, labels = (*answer, None, None)[:3]
        return shapes, scores, labels
    named = [
        next((value for name in names if (value := _field(answer, name)) is not None), None)
        for names in (_SHAPE_NAMES, _SCORE_NAMES, _LABEL_NAMES)
    ]
    if named[0] is None:
        return (answer, None, None) if isinstance(answer, np.ndarray | list) else (None, None, None)
    return named[0], named[1], named[2]


def _field(answer: Any, name: str) -> Any:
    return answer.get(name) if isinstance(answer, Mapping) else getattr(answer, name, None)
