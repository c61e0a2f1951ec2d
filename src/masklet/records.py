"""The records that move between the parts. Numpy only; no part of masklet passes a dict instead.

Shapes: N objects, K candidate masks, H x W source pixels, h x w low-res logits (stride 4 of the model's square).
`A` is an engine's own array type: a torch tensor, an OrtValue, an int in tests. Records carry `A` as an opaque
handle; only the engine that made it may look inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

A = TypeVar("A")

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]

PRESENT_SCORE = 10.0
"""Object score (logit) of an object whose mask was given, not predicted.
Source: sam2 2b90b9f, sam2_base.py `_use_mask_as_output`."""
ABSENT_SCORE = -10.0
"""Object score (logit) of an object that a user has marked as absent."""
ABSENT_LOGIT = -1024.0
"""Mask logit of every pixel of an object that is not in the frame. Source: sam2 2b90b9f, sam2_base.py."""
PREVIOUS_LOGIT_LIMIT = 32.0
"""Logits of an earlier answer are clipped to +-32 before they are corrected.
Source: sam2 2b90b9f, sam2_video_predictor.py `add_new_points_or_box`, sam2_image_predictor.py `_predict`."""

Progress = Callable[[int, int | None, str], None]
"""Called as a run proceeds with (steps done, steps in total, name of what is being done). The total is None where it is
not known; the name may be empty."""

ObjectStatus = Literal["present", "uncertain", "occluded", "lost"]
"""Of one object on one frame: seen; seen, but something speaks against it; gone for a moment; gone for longer."""


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


@dataclass(frozen=True, kw_only=True)
class ObjectResult:
    """Tracker output for one object on one frame, without its pixels; see `tracking.mask_rows` for its other forms."""

    object_id: int
    """The user's id."""
    iou_prediction: float
    """In [0, 1]: how good the model thinks the mask is."""
    object_score: float
    """Logit: present where > 0."""
    prompted: bool = False
    """True where the user prompted this object on this frame."""
    status: ObjectStatus = "present"
    review: bool = False
    """True where a user should review this mask: the object is uncertain, or has just been lost."""
    confidence: float = math.nan
    """In [0, 1], never NaN: the expected IoU of this mask after calibration. The IoU prediction when left out."""

    def __post_init__(self) -> None:
        if math.isnan(self.confidence):
            object.__setattr__(self, "confidence", min(1.0, max(0.0, self.iou_prediction)))


@dataclass(frozen=True, slots=True, eq=False)
class EncodedRows:
    """The stored rows of a frame's masks, carried along so that no mask is encoded twice."""

    rows: tuple[Any, ...]
    """(N,) `tracking.mask_rows.MaskRow`, or None for an object without one."""
    masks: BoolArray
    """(N, H, W) the array that they encode. They say nothing of another array that has been put in its place."""


@dataclass(frozen=True, slots=True)
class FrameMasks:
    """Tracker output for one frame; row i of every field is the same object.

    A field with `metadata={"row": name}` holds the field `name` of every object's `ObjectResult`.
    """

    frame_index: int
    time_s: float
    object_ids: tuple[int, ...] = field(metadata={"row": "object_id"})
    """(N,) the user's ids, ascending."""
    masks: BoolArray
    """(N, H, W) source size; all False where the object is absent."""
    iou_predictions: FloatArray = field(metadata={"row": "iou_prediction"})
    """(N,) in [0, 1]: how good the model thinks each mask is."""
    object_scores: FloatArray = field(metadata={"row": "object_score"})
    """(N,) logits: present where > 0."""
    prompted: BoolArray = field(metadata={"row": "prompted"})
    """(N,) True where the user prompted this object on this frame."""
    statuses: tuple[ObjectStatus, ...] = field(default=(), metadata={"row": "status"})
    """(N,) present, uncertain, occluded or lost; empty in a preview, which judges nothing."""
    review: BoolArray | None = field(default=None, metadata={"row": "review"})
    """(N,) True where a user should review this mask: the object is uncertain, or has just been lost. None in a
    preview."""
    confidences: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32), metadata={"row": "confidence"})
    """(N,) in [0, 1]: estimated quality of each mask, its expected IoU after calibration. The IoU predictions when
    left out."""
    encoded: EncodedRows | None = field(default=None, repr=False, compare=False)
    """The rows as they were stored, if they were."""

    def __post_init__(self) -> None:
        if len(self.confidences) != len(self.object_ids):
            object.__setattr__(self, "confidences", np.clip(self.iou_predictions, 0, 1))

    @property
    def needs_review(self) -> bool:
        """True if a user should review some object on this frame."""
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
    confidences: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    """(K,) in [0, 1]: estimated quality of each mask, its expected IoU after calibration. The IoU predictions when
    left out."""

    def __post_init__(self) -> None:
        if len(self.confidences) != len(self.iou_predictions):
            object.__setattr__(self, "confidences", np.clip(self.iou_predictions, 0, 1))

    @property
    def mask(self) -> BoolArray:
        """(H, W) the best candidate."""
        best: BoolArray = self.masks[0]
        return best

    @property
    def confidence(self) -> float:
        """Confidence of the best candidate."""
        return float(self.confidences[0])


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
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """Curves from IoU prediction to expected IoU by stage (`masklet.engine.calibration`)."""
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
