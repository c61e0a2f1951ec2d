"""The records that move between the parts. Numpy only; no part of masklet passes a dict instead.

Shapes: N objects, K candidate masks, H x W source pixels, h x w low-res logits (stride 4 of the model's square).
`A` is an engine's own array type: a torch tensor, an OrtValue, an int in tests. Records carry `A` as an opaque
handle; only the engine that made it may look inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masklet.errors import PromptError

A = TypeVar("A")

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]

ObjectStatus = Literal["present", "uncertain", "occluded", "lost"]
"""Of one object on one frame: seen; seen, but something speaks against it; gone for a moment; gone for longer."""


class PointLabel(IntEnum):
    """What a prompt point means to the prompt encoder. Users give FOREGROUND and BACKGROUND only."""

    PADDING = -1
    BACKGROUND = 0
    FOREGROUND = 1
    BOX_TOP_LEFT = 2
    BOX_BOTTOM_RIGHT = 3


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a user says about one object on one frame. Build it with `Prompt.create`, which checks everything.

    A prompt has points, a box, both, or a mask; `previous_logits` may accompany points and a box.
    """

    points_xy: FloatArray
    """(P, 2) source pixels, x right, y down; (0, 2) when there are none."""
    labels: NDArray[np.int32]
    """(P,) `PointLabel.FOREGROUND` or `BACKGROUND`."""
    box_xyxy: FloatArray | None = None
    """(4,) source pixels: left, top, right, bottom."""
    mask: BoolArray | None = None
    """(H, W) the object itself: it becomes the frame's mask as it is."""
    previous_logits: FloatArray | None = None
    """(h, w) low-res logits of an earlier prediction, to be corrected by the points."""

    @classmethod
    def create(
        cls,
        *,
        points_xy: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box_xyxy: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        previous_logits: ArrayLike | None = None,
        size_hw: tuple[int, int] | None = None,
    ) -> Prompt:
        """Check and normalise what a user gave.

        Args:
            points_xy: (P, 2) source pixels, x right, y down.
            labels: (P,) 1 foreground, 0 background; all foreground when left out.
            box_xyxy: (4,) source pixels, left < right and top < bottom.
            mask: (H, W), bool or numbers (foreground where > 0).
            previous_logits: (h, w) float, from `SegmentResult.low_res_logits`.
            size_hw: the frame's size; when given, points, box and mask are checked against it.

        Raises:
            PromptError: nothing was given, shapes or labels do not fit, a point or box lies outside the frame,
                the box is inside out or empty, the mask has another size or is empty, a mask comes with points.
        """
        points, point_labels = _checked_points(points_xy, labels, size_hw)
        box = None if box_xyxy is None else _checked_box(box_xyxy, size_hw)
        object_mask = None if mask is None else _checked_mask(mask, size_hw)
        if object_mask is not None and (len(points) or box is not None):
            raise PromptError(
                "mask cannot be combined with points or a box in one prompt: give the mask first, then correct it "
                "with points in a second prompt"
            )
        if object_mask is None and box is None and not len(points):
            raise PromptError("the prompt is empty: give at least one point, a box or a mask")
        logits = None
        if previous_logits is not None:
            logits = np.squeeze(_numbers("previous_logits", previous_logits, "numbers of shape (h, w)"))
            if logits.ndim != 2 or not np.isfinite(logits).all():
                raise PromptError(
                    f"previous_logits must be finite and (h, w) as in SegmentResult.low_res_logits[k], "
                    f"got shape {np.shape(previous_logits)}"
                )
        return cls(points, point_labels, box, object_mask, logits)

    @property
    def num_points(self) -> int:
        """Points as the prompt encoder counts them: a box is two."""
        return len(self.points_xy) + (2 if self.box_xyxy is not None else 0)


def _numbers(name: str, given: ArrayLike, form: str) -> FloatArray:
    try:
        return np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{name} must be {form}, got {str(given)[:80]}") from error


def _checked_points(
    points_xy: ArrayLike | None, labels: ArrayLike | None, size_hw: tuple[int, int] | None
) -> tuple[FloatArray, NDArray[np.int32]]:
    points = _numbers("points_xy", () if points_xy is None else points_xy, "numbers of shape (P, 2)")
    given = None if labels is None else _numbers("labels", labels, "1 (foreground) or 0 (background) for each point")
    if points.size == 0:
        if given is not None and given.size:
            raise PromptError(f"labels came without points_xy: got {given.size} labels and no point")
        return np.zeros((0, 2), np.float32), np.zeros(0, np.int32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise PromptError(f"points_xy must be (P, 2) as [(x, y), ...], got shape {points.shape}")
    if not np.isfinite(points).all():
        raise PromptError(f"points_xy must be finite, got {points.tolist()}")
    if given is None:
        point_labels = np.ones(len(points), np.int32)
    else:
        if given.shape != (len(points),):
            raise PromptError(f"labels must be ({len(points)},), got {given.shape}: give one label per point")
        if not np.isin(given, (0, 1)).all():
            raise PromptError(f"labels must be 1 (foreground) or 0 (background), got {given.tolist()}")
        point_labels = given.astype(np.int32)
    if size_hw is not None:
        height, width = size_hw
        outside = (points < 0).any(1) | (points[:, 0] >= width) | (points[:, 1] >= height)
        if outside.any():
            x, y = points[outside][0].tolist()
            raise PromptError(
                f"point ({x:g}, {y:g}) lies outside the frame, which is {width} wide and {height} high: "
                f"x must be in [0, {width}) and y in [0, {height})"
            )
    return points, point_labels


def _checked_box(box_xyxy: ArrayLike, size_hw: tuple[int, int] | None) -> FloatArray:
    box = _numbers("box_xyxy", box_xyxy, "four numbers")
    if box.shape != (4,) or not np.isfinite(box).all():
        raise PromptError(f"box_xyxy must be four finite numbers (left, top, right, bottom), got {box.tolist()}")
    left, top, right, bottom = box.tolist()
    if left >= right or top >= bottom:
        raise PromptError(
            f"box_xyxy must be (left, top, right, bottom) with left < right and top < bottom, "
            f"got ({left:g}, {top:g}, {right:g}, {bottom:g})"
        )
    if size_hw is not None:
        height, width = size_hw
        if left < 0 or top < 0 or right > width or bottom > height:
            raise PromptError(
                f"box ({left:g}, {top:g}, {right:g}, {bottom:g}) lies outside the frame, which is {width} wide and "
                f"{height} high"
            )
    return box


def _checked_mask(mask: ArrayLike, size_hw: tuple[int, int] | None) -> BoolArray:
    array = np.asarray(mask) if isinstance(mask, np.ndarray) else _numbers("mask", mask, "(H, W) of bool or numbers")
    if array.ndim != 2:
        raise PromptError(f"mask must be (H, W), got shape {array.shape}")
    if size_hw is not None and array.shape != tuple(size_hw):
        raise PromptError(
            f"mask must have the size of the frame, {size_hw[1]} x {size_hw[0]} (width x height), "
            f"got {array.shape[1]} x {array.shape[0]}"
        )
    foreground: BoolArray = array > 0
    if not foreground.any():
        raise PromptError("mask is empty: no pixel is foreground")
    return foreground


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a video, upright."""

    index: int
    """Position in the video, from 0."""
    rgb: ByteArray
    """(H, W, 3) uint8."""
    time_s: float
    """Presentation time in seconds from the first frame."""

    @property
    def size_hw(self) -> tuple[int, int]:
        return self.rgb.shape[0], self.rgb.shape[1]


@dataclass(frozen=True, slots=True)
class ImageFeatures(Generic[A]):
    """What `Engine.encode_image` makes of one image; handles by the names that the model gives them."""

    arrays: Mapping[str, A]
    size_hw: tuple[int, int]
    """Source size; prompts are in these pixels."""


@dataclass(frozen=True, slots=True)
class FrameMemory(Generic[A]):
    """What one object remembers of one frame."""

    spatial: A
    """(C, h/4, w/4) the memory encoder's output."""
    pointer: A
    """(D,) the object pointer."""


@dataclass(frozen=True, slots=True)
class Recall(Generic[A]):
    """What one object reads from its memory bank for one frame: integers and handles, no arithmetic.

    Empty (both tuples) means: no memory yet, as on the first prompted frame and on images.
    """

    spatial: tuple[tuple[int, A], ...] = ()
    """(slot, memory): slot 0 for prompted frames, else how many frames ago (1 = the most recent slot)."""
    pointers: tuple[tuple[int, A], ...] = ()
    """(frames ago, pointer); negative when the frame lies ahead in the direction of tracking."""
    pointer_span: int = 16
    """Frames over which pointer times are normalised (SAM 2: min(16, frames of the video))."""

    @property
    def is_empty(self) -> bool:
        return not self.spatial and not self.pointers


@dataclass(frozen=True, slots=True)
class Conditioned(Generic[A]):
    """Image features seen by N objects through their memories: what the mask decoder reads."""

    embeddings: tuple[A, ...]
    """(N,) a (D, h/4, w/4) each."""
    features: ImageFeatures[A]


@dataclass(frozen=True, slots=True)
class Decoded(Generic[A]):
    """The mask decoder's answer for one object: K candidates and which one was chosen."""

    low_res_logits: A
    """(K, h, w) float32, foreground where > 0. K = 3 for an ambiguous prompt, else 1."""
    iou_predictions: tuple[float, ...]
    """(K,) the model's own estimate of each candidate's IoU, in [0, 1]."""
    chosen: int
    """The candidate that is remembered: the highest IoU prediction."""
    object_score: float
    """Logit; the object is in the frame where > 0."""
    pointers: tuple[A, ...]
    """K times (D,): an object pointer for each candidate, so that another choice is one field."""

    @property
    def pointer(self) -> A:
        """(D,) object pointer of the chosen candidate."""
        return self.pointers[self.chosen]

    @property
    def iou_prediction(self) -> float:
        return self.iou_predictions[self.chosen]

    @property
    def best_first(self) -> tuple[int, ...]:
        """(K,) the candidates' places, that of the highest IoU prediction first."""
        return tuple(int(place) for place in np.argsort(-np.asarray(self.iou_predictions), kind="stable"))

    @property
    def is_present(self) -> bool:
        return self.object_score > 0


@dataclass(frozen=True, slots=True)
class FrameMasks:
    """What a tracker says of one frame: the rows of every field belong together."""

    frame_index: int
    time_s: float
    object_ids: tuple[int, ...]
    """(N,) the user's ids, ascending."""
    masks: BoolArray
    """(N, H, W) source size; all False where the object is absent."""
    iou_predictions: FloatArray
    """(N,) in [0, 1]: how good the model thinks each mask is."""
    object_scores: FloatArray
    """(N,) logits: present where > 0."""
    prompted: BoolArray
    """(N,) True where the user prompted this object on this frame."""
    statuses: tuple[ObjectStatus, ...] = ()
    """(N,) present, uncertain, occluded or lost; empty when nobody judged."""
    review: BoolArray | None = None
    """(N,) True where a user should have a look: an object is uncertain, or has just been lost."""

    @property
    def needs_review(self) -> bool:
        """Whether a user should have a look at some object on this frame."""
        return self.review is not None and bool(self.review.any())

    def mask(self, object_id: int) -> BoolArray:
        """The (H, W) mask of one object.

        Raises:
            KeyError: the object is not in this frame's list.
        """
        if object_id not in self.object_ids:
            raise KeyError(f"object {object_id} is not tracked on frame {self.frame_index}: known {self.object_ids}")
        mask: BoolArray = self.masks[self.object_ids.index(object_id)]
        return mask


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """Masks of one prompt on one image, best candidate first."""

    masks: BoolArray
    """(K, H, W) source size."""
    iou_predictions: FloatArray
    """(K,) in [0, 1], descending."""
    low_res_logits: FloatArray
    """(K, h, w) to be fed back as `previous_logits`, or thresholded elsewhere than at 0."""
    object_score: float
    """Logit; images: how sure the model is that the prompt marks an object at all."""

    @property
    def mask(self) -> BoolArray:
        """(H, W) the best candidate."""
        best: BoolArray = self.masks[0]
        return best


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the rest of masklet may know about the model behind an engine."""

    name: str
    image_size: int
    """Side of the model's square input, pixels."""
    spatial_slots: int
    """Memories the temporal encodings were trained for: prompted plus `spatial_slots - 1` recent (SAM 2: 7)."""
    max_pointers: int
    """Object pointers read at most (SAM 2: 16)."""
    backend: str
    """'torch 2.13.0' or 'onnxruntime 1.24.1'."""
    device: str
    precision: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Memory settings that suit this model (`MemoryConfig` fields)."""
    automatic_defaults: Mapping[str, Any] = field(default_factory=dict)
    """Settings for automatic masks that suit this model (`AutomaticConfig` fields)."""
    max_hole: float = 0.0
    """Holes up to this fraction of a mask's area are filled in what is shown (`masks.tidied_logits`)."""
    max_piece: float = 0.0
    """Separate pieces up to this fraction of a mask's area are left out of what is shown."""
    images_only: bool = False
    """The weights came without a memory: the model segments, and a tracker refuses it."""
    speed: str = "exact"
    """'exact', or 'fast': see docs/guides/speed.md."""
    path: str = ""
    """The file or folder that it was opened from, where that is known."""

    @property
    def low_res_size(self) -> int:
        return self.image_size // 4
