"""Any detector as a Python function: pixels in, boxes or masks out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.checks import check_numbers, check_whole, host_array
from masklet.discovery.detections import Box, Detection, Detector
from masklet.errors import DataError
from masklet.masks.foreground import foreground_of, mask_array
from masklet.records import BoolArray, ByteArray, FloatArray, Frame

DetectFunction = Callable[[ByteArray], Any]
"""Takes (H, W, 3) uint8 RGB. Returns boxes or masks, or a tuple of these with scores and labels, of which the last ones
can be left out; or None for nothing. An object or a mapping will do as well, such as `supervision.Detections`: with
`xyxy` or `boxes`, `mask` or `masks`, `confidence` or `scores`, and `class_name`, `data["class_name"]`, `labels` or
`class_id`."""

MAX_DETECTIONS = 1000
"""Most detections of one frame that are used: those of the highest scores."""


_SCORE_TOLERANCE = 1e-3
"""Scores this far outside [0, 1] are rounding errors."""


class FunctionDetector:
    """Calls a function on each key frame, and checks its answer.

    Detections that cannot be used are left out, with a Python warning that names the first of each kind.

    Args:
        function: see `DetectFunction`.
        class_names: names of whole-number labels, by number.
    """

    def __init__(self, function: DetectFunction, class_names: Mapping[int, str] | Sequence[str] = ()) -> None:
        self._function = function
        names = class_names if isinstance(class_names, Mapping) else dict(enumerate(class_names))
        self._class_names = {int(number): str(name) for number, name in names.items()}
        self._warned: set[str] = set()

    def detect(self, frame: Frame, covered: BoolArray) -> Sequence[Detection]:
        """Return the function's detections on a frame; see `Detector`.

        Raises:
            DataError: its answer has another form, named with the frame.
        """
        place = f"the detector's answer on frame {frame.index}"
        try:
            return self._detections(self._function(frame.rgb), frame.size_hw, place)
        except DataError as error:
            raise DataError(f"{place}: {error}") from error

    def _detections(self, answer: Any, size_hw: tuple[int, int], place: str) -> list[Detection]:
        shapes, scores, labels = _fields(answer)
        if shapes is None:
            return []
        array = _shape_array(shapes)
        if not array.size:
            return []
        count = len(array)
        form = f"one number per object, {count}"
        numbers = np.ones(count) if scores is None else check_numbers("scores", scores, form, error=DataError)
        if numbers.shape != (count,):
            raise DataError(f"scores must be {form}, got an array of shape {numbers.shape}")
        names = [""] * count if labels is None else self._names(labels)
        if len(names) != count:
            raise DataError(f"labels must be one per object, {count}, got {len(names)}")
        detections = []
        for row in self._used(numbers, place):
            detection = _detection(array[row], float(np.clip(numbers[row], 0, 1)), names[row], size_hw)
            if detection is None:
                self._warn("shape", f"{place}: {_fault(array[row], size_hw)}; such detections are left out")
            else:
                detections.append(detection)
        return detections

    def _used(self, scores: NDArray[np.float64], place: str) -> Sequence[int]:
        """Return the rows to use, those of the highest scores first."""
        is_bad = ~((scores >= -_SCORE_TOLERANCE) & (scores <= 1 + _SCORE_TOLERANCE))
        if is_bad.any():
            example = f"scores must be in [0, 1], got {scores[is_bad][0]:g}"
            self._warn("score", f"{place}: {example}; detections with other scores are left out")
        rows = [int(row) for row in np.argsort(-scores, kind="stable") if not is_bad[row]]
        if len(rows) > MAX_DETECTIONS:
            most = f"the {MAX_DETECTIONS:,} with the highest scores are used"
            self._warn("number", f"{place}: {len(rows):,} detections; {most}")
        return rows[:MAX_DETECTIONS]

    def _warn(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(text, stacklevel=2)

    def _names(self, labels: Any) -> list[str]:
        if isinstance(labels, str) or not isinstance(labels, Iterable):
            raise DataError(f"labels must be a list of text or whole numbers, got {labels!r:.80}")
        return [self._name(label) for label in labels]

    def _name(self, label: Any) -> str:
        if isinstance(label, str):
            return str(label)
        number = check_whole("a label that is not text", label, error=DataError)
        return self._class_names.get(number, str(number))


def _shape_array(shapes: Any) -> np.ndarray[Any, Any]:
    """Return boxes (N, 4) or masks (N, H, W) as an array; an empty one of any shape for nothing.

    Raises:
        DataError: they are neither.
    """
    form = "boxes (N, 4): left, top, right, bottom in pixels, or masks (N, H, W)"
    try:
        array = host_array(shapes)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"expected {form}, all of one shape: {error}") from error
    if array.size and (array.dtype.kind not in "iufb" or array.ndim < 2 or (array.ndim == 2 and array.shape[1] != 4)):
        raise DataError(f"expected {form}, got an array of {array.dtype} of shape {array.shape}")
    return array


def _detection(shape: Any, score: float, label: str, size_hw: tuple[int, int]) -> Detection | None:
    if np.ndim(shape) == 1:
        box = box_within(np.asarray(shape, np.float64), size_hw)
        return None if box is None else Detection(box, score, label)
    mask = foreground_of(mask_array("masks", shape, error=DataError))
    if mask.shape != size_hw:
        raise DataError(f"masks must have the frame's size, {size_hw}, got {mask.shape}")
    return Detection.of_mask(mask, score=score, label=label)


def _fault(shape: Any, size_hw: tuple[int, int]) -> str:
    """Return why a box or a mask shows nothing."""
    if np.ndim(shape) > 1:
        return "a mask is empty"
    box = ", ".join(f"{edge:g}" for edge in shape)
    return f"less than a pixel of the box ({box}) is within the frame of {size_hw[1]} x {size_hw[0]} (width x height)"


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
    """Return shapes, scores and labels of an answer; None for those that it lacks.

    Raises:
        DataError: it has none of the forms of `DetectFunction`.
    """
    if answer is None:
        return None, None, None
    if isinstance(answer, tuple):
        if not 1 <= len(answer) <= 3:
            raise DataError(f"a tuple must be (boxes or masks, scores, labels), got {len(answer)} entries")
        shapes, scores, labels = (*answer, None, None)[:3]
        return shapes, scores, labels
    is_mapping = isinstance(answer, Mapping)
    if not is_mapping and _is_array_like(answer):
        return answer, None, None
    if not any(name in answer if is_mapping else hasattr(answer, name) for name in _SHAPE_NAMES):
        names = f" with {', '.join(map(str, answer))}"[:200] if is_mapping else ""
        raise DataError(
            "expected boxes or masks, a tuple (boxes or masks, scores, labels), or an object or a mapping with one of "
            f"{', '.join(_SHAPE_NAMES)}, got {type(answer).__name__}{names}"
        )
    shapes, scores, labels = (_first(answer, names) for names in (_SHAPE_NAMES, _SCORE_NAMES, _LABEL_NAMES))
    data = _field(answer, "data")
    if isinstance(data, Mapping) and data.get("class_name") is not None:  # supervision
        labels = data["class_name"]
    return shapes, scores, labels


def _is_array_like(answer: Any) -> bool:
    """Return True for arrays, tensors, lists and iterators, which can only be boxes or masks."""
    is_array = isinstance(answer, list) or hasattr(answer, "__array__") or hasattr(answer, "detach")
    return is_array or (isinstance(answer, Iterable) and not hasattr(answer, "__len__"))


def _first(answer: Any, names: Sequence[str]) -> Any:
    return next((value for name in names if (value := _field(answer, name)) is not None), None)


def _field(answer: Any, name: str) -> Any:
    return answer.get(name) if isinstance(answer, Mapping) else getattr(answer, name, None)
