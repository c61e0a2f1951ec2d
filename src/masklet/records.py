"""Records that move between the parts of masklet. They hold numpy arrays and handles of an engine.

Shapes: N objects, K candidate masks, H x W source pixels, h x w low-res logits (stride 4 of the model's square).
`A` is an engine's own array type: a torch tensor, an OrtValue, an int in tests. Records carry `A` as an opaque
handle; only the engine that made it may look inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, replace
from dataclasses import fields as dataclass_fields
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from masklet.checks import check_number, check_whole, set_checked

if TYPE_CHECKING:
    from PIL.Image import Image
    from typing_extensions import Self

    from masklet.masks.convert import MaskSet
    from masklet.masks.plotting import Picture

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
"""Status of one object on one frame: visible; visible with doubts; absent for a moment; absent for longer."""


@dataclass(frozen=True, slots=True, repr=False)
class Frame:
    """One frame of a video, upright."""

    index: int
    """Position in the video, from 0."""
    rgb: ByteArray
    """(H, W, 3) uint8."""
    time_s: float
    """Presentation time in seconds from the first frame."""

    def __post_init__(self) -> None:
        if type(self.index) is not int or type(self.time_s) is not float:
            set_checked(self, ["index"], check_whole)
            set_checked(self, ["time_s"], check_number)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]

    def plot(self, *, ax: Any = None) -> Any:
        """Show the frame in matplotlib axes (extra "plot"), those of a new figure if `ax` is None; return the axes."""
        from masklet.masks.plotting import as_image, plot

        return plot(as_image(self.rgb), f"frame {self.index}, {self.time_s:.2f} s", ax)

    def _repr_png_(self) -> bytes:
        from masklet.masks.plotting import as_image, as_png

        return as_png(as_image(self.rgb))

    def __repr__(self) -> str:
        return f"Frame({self.index} at {self.time_s:.2f} s, {size_text(self.size_hw)})"


@dataclass(frozen=True, slots=True)
class ImageFeatures(Generic[A]):
    """Output of `Engine.encode_image` for one image: handles by the names that the model gives them."""

    arrays: Mapping[str, A] = field(repr=False)
    size_hw: tuple[int, int]
    """Source size; prompts are in these pixels."""


@dataclass(frozen=True, slots=True)
class FrameMemory(Generic[A]):
    """Memory of one object on one frame."""

    spatial: A = field(repr=False)
    """(C, h/4, w/4) the memory encoder's output."""
    pointer: A = field(repr=False)
    """(D,) the object pointer."""


@dataclass(frozen=True, slots=True, repr=False)
class Recall(Generic[A]):
    """Memories that one object reads from its bank for one frame: integers and handles, no arithmetic.

    The tuples are empty if there is no memory yet, as on the first prompted frame and on images.
    """

    spatial: tuple[tuple[int, A], ...] = ()
    """(slot, memory): slot 0 for prompted frames, else how many frames ago (1 = the most recent slot)."""
    pointers: tuple[tuple[int, A], ...] = ()
    """(frames ago, pointer); negative when the frame lies ahead in the direction of tracking."""
    pointer_span: int = 16
    """Frames over which pointer times are normalised (SAM 2: min(16, frames of the video))."""
    frames: tuple[int | None, ...] = ()
    """(M,) the frame of each spatial memory; None for a memory of another video. Empty: not known. Memories of one
    frame share what does not depend on the object."""

    @property
    def is_empty(self) -> bool:
        """True if nothing is read."""
        return not self.spatial and not self.pointers

    @property
    def slots(self) -> tuple[int, ...]:
        """(M,) slot of each spatial memory, as memory attention takes them."""
        return tuple(slot for slot, _ in self.spatial)

    @property
    def pointer_times(self) -> tuple[float, ...]:
        """(R,) frames ago of each pointer over the pointer span, as memory attention takes them."""
        return tuple(ago / max(1, self.pointer_span - 1) for ago, _ in self.pointers)

    def __repr__(self) -> str:
        slots, times = list(self.slots), [ago for ago, _ in self.pointers]
        return f"Recall(spatial slots {slots}, pointers of {times} frames ago, span {self.pointer_span})"


@dataclass(frozen=True, slots=True)
class Conditioned(Generic[A]):
    """Input of the mask decoder: the image features conditioned on the memories of N objects."""

    embeddings: tuple[A, ...] = field(repr=False)
    """(N,) one (D, h/4, w/4) per object."""
    features: ImageFeatures[A]


@dataclass(frozen=True, slots=True)
class Decoded(Generic[A]):
    """The mask decoder's answer for one object: K candidates, one of which is chosen."""

    low_res_logits: A = field(repr=False)
    """(K, h, w) float32, foreground where > 0. K = 3 for an ambiguous prompt, else 1."""
    iou_predictions: tuple[float, ...]
    """(K,) the model's own estimate of each candidate's IoU, in [0, 1]."""
    chosen: int
    """Index of the candidate that is remembered, at first the one of the highest IoU prediction."""
    object_score: float
    """Logit; the object is in the frame where > 0."""
    pointers: tuple[A, ...] = field(repr=False)
    """(K,) one (D,) object pointer per candidate, so that another choice changes one field only."""

    @property
    def pointer(self) -> A:
        """(D,) object pointer of the chosen candidate."""
        return self.pointers[self.chosen]

    @property
    def iou_prediction(self) -> float:
        """IoU prediction of the chosen candidate."""
        return self.iou_predictions[self.chosen]

    @property
    def best_first(self) -> tuple[int, ...]:
        """(K,) indices of the candidates, the highest IoU prediction first."""
        return tuple(int(index) for index in np.argsort(-np.asarray(self.iou_predictions), kind="stable"))

    @property
    def is_present(self) -> bool:
        """True if the object is in the frame."""
        return self.object_score > 0


class MaskResult:
    """Results with masks of one picture: boxes, areas and outlines, and the masks as other tools have them.

    The base of `FrameMasks` and `SegmentResult`. The work is done in `masklet.masks`, imported when it is needed.
    """

    __slots__ = ()

    masks: BoolArray
    """(N, H, W) source size."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the masks, source pixels."""
        return self.masks.shape[1], self.masks.shape[2]

    @property
    def boxes_xyxy(self) -> FloatArray:
        """(N, 4) tight boxes in source pixels, right and bottom one past the last pixel; zeros for an empty mask."""
        from masklet.masks.convert import boxes_xyxy

        return boxes_xyxy(self.masks)

    @property
    def areas(self) -> NDArray[np.int64]:
        """(N,) pixels of each mask."""
        from masklet.masks.convert import areas

        return areas(self.masks)

    def polygons(self, tolerance: float = 0.0) -> list[list[FloatArray]]:
        """Return the outlines of each mask, (P, 2) source pixels each; see `masklet.masks.operations.mask_polygons`."""
        from masklet.masks.operations import mask_polygons

        return [mask_polygons(mask, tolerance) for mask in self.masks]

    def overlay(self, rgb: Picture | None = None) -> Image:
        """Return the masks drawn over their picture."""
        raise NotImplementedError

    def to_coco(
        self, *, image_id: int = 1, category_id: int = 1, first_id: int = 1, as_polygons: bool = False
    ) -> list[dict[str, Any]]:
        """Return one COCO annotation per mask that is not empty, with `score` and what else the result knows of it.

        Args:
            image_id: of every annotation.
            category_id: of every annotation.
            first_id: of the first annotation; the others count up.
            as_polygons: write outlines in place of run lengths.
        """
        from masklet.masks.convert import to_coco

        ids = {"image_id": image_id, "category_id": category_id, "first_id": first_id}
        ids = {name: check_whole(name, number) for name, number in ids.items()}
        return to_coco(self.masks, **ids, as_polygons=as_polygons, columns=self._columns())

    @classmethod
    def from_coco(
        cls, annotations: Iterable[Mapping[str, Any]], *, size_hw: tuple[int, int] | None = None, **fields: Any
    ) -> Self:
        """Return the masks of COCO annotations of one image, as masks that somebody has drawn.

        Args:
            annotations: with run lengths or polygons; `score`, `track_id` and `object_id` are used if present.
            size_hw: size of the image; needed for polygons.
            fields: `frame_index` and `time_s` of `FrameMasks`; `low_res_size` and `rgb` of `SegmentResult`.

        Raises:
            DataError: a segmentation is missing or damaged, sizes differ, or an id comes twice.
        """
        from masklet.masks.convert import from_coco

        return cls._from_masks(from_coco(annotations, size_hw), **fields)

    def to_supervision(self) -> Any:
        """Return the masks that are not empty as `supervision.Detections`.

        Raises:
            DataError: supervision is not installed.
        """
        from masklet.masks.convert import to_supervision

        return to_supervision(self.masks, self._columns())

    @classmethod
    def from_supervision(cls, detections: Any, **fields: Any) -> Self:
        """Return the masks of `supervision.Detections`; see `from_coco` for the fields.

        Raises:
            DataError: the detections have no masks, or an id comes twice.
        """
        from masklet.masks.convert import from_supervision

        return cls._from_masks(from_supervision(detections), **fields)

    def to_pil(self) -> list[Image]:
        """Return each mask as a greyscale PIL image, 255 on the object and 0 elsewhere."""
        from masklet.masks.convert import to_pil

        return to_pil(self.masks)

    @classmethod
    def from_pil(cls, images: Iterable[Image], **fields: Any) -> Self:
        """Return images as masks, foreground where they are not black; see `from_coco` for the fields.

        Raises:
            DataError: the images differ in size.
        """
        from masklet.masks.convert import from_pil

        return cls._from_masks(from_pil(images), **fields)

    def _columns(self) -> dict[str, Sequence[Any] | NDArray[Any]]:
        """Values per mask for other tools, by their name there; `score` is one of them."""
        raise NotImplementedError

    @classmethod
    def _from_masks(cls, source: MaskSet, **fields: Any) -> Self:
        raise NotImplementedError

    def _repr_png_(self) -> bytes:
        from masklet.masks.plotting import as_png

        return as_png(self.overlay())


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
    packed: ByteArray
    """(N, B) its pixels as bits, to find out whether a caller has changed them since."""


@dataclass(frozen=True, slots=True, repr=False)
class FrameMasks(MaskResult):
    """Tracker output for one frame; row i of every field is the same object.

    A field with `metadata={"row": name}` holds the field `name` of every object's `ObjectResult`.

    It does not hold the picture: kept for every frame, pictures would fill the memory. Give the frame to `overlay` and
    `plot`, or see the masks on a plain background.
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
        ids = tuple(check_whole("object_ids", object_id) for object_id in self.object_ids)
        object.__setattr__(self, "object_ids", ids)
        if self.masks.dtype != np.bool_:
            object.__setattr__(self, "masks", self.masks > 0)
        if len(self.confidences) != len(self.object_ids):
            object.__setattr__(self, "confidences", np.clip(self.iou_predictions, 0, 1))

    @property
    def needs_review(self) -> bool:
        """True if a user should review some object on this frame."""
        return self.review is not None and bool(self.review.any())

    def mask(self, object_id: int) -> BoolArray:
        """Return the (H, W) mask of one object.

        Raises:
            KeyError: the object is not in this frame's list.
        """
        if object_id not in self.object_ids:
            raise KeyError(
                f"object {object_id} is not tracked on frame {self.frame_index}: known are {self.object_ids}"
            )
        mask: BoolArray = self.masks[self.object_ids.index(object_id)]
        return mask

    def overlay(self, rgb: Picture | None = None) -> Image:
        """Return the masks drawn over the frame, with ids, confidences, and the status of objects that are not there.

        Args:
            rgb: the frame, as `Frame`, PIL image or (H, W, 3) uint8; a plain dark background when left out.

        Raises:
            ConfigError: `rgb` has another form or size.
        """
        from masklet.masks.plotting import overlay

        absent = {i: status for i, status in zip(self.object_ids, self.statuses, strict=False) if status != "present"}
        return overlay(self.masks, self.object_ids, rgb, scores=self.confidences, words=absent)

    def plot(self, rgb: Picture | None = None, *, ax: Any = None) -> Any:
        """Show `overlay(rgb)` in matplotlib axes (extra "plot").

        Args:
            rgb: as in `overlay`.
            ax: axes to draw into; those of a new figure when left out.

        Returns:
            The axes.
        """
        from masklet.masks.plotting import plot

        return plot(self.overlay(rgb), f"frame {self.frame_index}, {self.time_s:.2f} s", ax)

    def _columns(self) -> dict[str, Sequence[Any] | NDArray[Any]]:
        columns: dict[str, Sequence[Any] | NDArray[Any]] = {
            "track_id": self.object_ids,
            "frame_index": [self.frame_index] * len(self.object_ids),
            "score": self.iou_predictions,
            "confidence": self.confidences,
            "object_score": self.object_scores,
            "prompted": self.prompted,
        }
        return columns | ({"status": self.statuses} if self.statuses else {})

    @classmethod
    def _from_masks(  # type: ignore[override]  # the fields come by name
        cls, source: MaskSet, *, frame_index: int = 0, time_s: float = 0.0
    ) -> Self:
        order = np.argsort(source.object_ids, kind="stable")
        masks = source.masks[order]
        return cls(
            frame_index=frame_index,
            time_s=time_s,
            object_ids=tuple(source.object_ids[row] for row in order),
            masks=masks,
            iou_predictions=source.scores[order],
            object_scores=np.where(masks.any(axis=(1, 2)), PRESENT_SCORE, ABSENT_SCORE).astype(np.float32),
            prompted=np.zeros(len(order), np.bool_),
        )

    def __repr__(self) -> str:
        words = [f"{status} " for status in self.statuses] or [""] * len(self.object_ids)
        rows = zip(self.object_ids, words, self.confidences, strict=True)
        objects = [f"{object_id}: {word}{confidence:.2f}" for object_id, word, confidence in rows]
        where = f"frame {self.frame_index} at {self.time_s:.2f} s, {size_text(self.size_hw)}"
        return f"FrameMasks({where}, {_counted(len(objects), 'object')} {{{_shortened(objects)}}})"


@dataclass(frozen=True, slots=True, repr=False)
class SegmentResult(MaskResult):
    """Masks of one prompt on one image, best candidate first.

    The candidates are answers to one question, not several objects. Conversions return all of them: take one with
    `candidate` before.
    """

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
    rgb: ByteArray | None = field(default=None, compare=False)
    """(H, W, 3) uint8: the picture, shared with the encoded image and not copied; None if it is not known."""

    def __post_init__(self) -> None:
        if len(self.confidences) != len(self.iou_predictions):
            object.__setattr__(self, "confidences", np.clip(self.iou_predictions, 0, 1))

    @property
    def mask(self) -> BoolArray:
        """(H, W) the best candidate."""
        best: BoolArray = self.masks[0]
        return best

    def candidate(self, number: int = 0) -> SegmentResult:
        """Return one candidate as a result of its own, 0 for the best.

        Raises:
            IndexError: there is no such candidate.
        """
        number = check_whole("candidate", number)
        if not 0 <= number < len(self.masks):
            raise IndexError(f"candidate must be from 0 to {len(self.masks) - 1}, got {number}")
        rows = slice(number, number + 1)
        return replace(
            self,
            masks=self.masks[rows],
            iou_predictions=self.iou_predictions[rows],
            low_res_logits=self.low_res_logits[rows],
            confidences=self.confidences[rows],
        )

    def overlay(self, rgb: Picture | None = None, *, candidate: int = 0) -> Image:
        """Return one candidate drawn over the picture, with its confidence.

        Args:
            rgb: drawn over in place of the result's own picture: a PIL image or (H, W, 3) uint8.
            candidate: 0 for the best.

        Raises:
            ConfigError: `rgb` has another form or size.
            IndexError: there is no such candidate.
        """
        from masklet.masks.plotting import overlay

        shown = self.candidate(candidate)
        return overlay(shown.masks, [1], self.rgb if rgb is None else rgb, scores=shown.confidences)

    def plot(self, rgb: Picture | None = None, *, candidate: int = 0, ax: Any = None) -> Any:
        """Show `overlay(rgb)` in matplotlib axes (extra "plot").

        Args:
            rgb: as in `overlay`.
            candidate: 0 for the best.
            ax: axes to draw into; those of a new figure when left out.

        Returns:
            The axes.
        """
        from masklet.masks.plotting import plot

        image = self.overlay(rgb, candidate=candidate)
        title = f"candidate {candidate + 1} of {len(self.masks)}, confidence {self.confidences[candidate]:.2f}"
        return plot(image, title, ax)

    def _columns(self) -> dict[str, Sequence[Any] | NDArray[Any]]:
        return {"score": self.iou_predictions, "confidence": self.confidences}

    @classmethod
    def _from_masks(  # type: ignore[override]  # the fields come by name
        cls, source: MaskSet, *, low_res_size: int = 256, rgb: ByteArray | None = None
    ) -> Self:
        from masklet.masks.operations import mask_logits

        order = np.argsort(-source.scores, kind="stable")
        logits = [mask_logits(source.masks[row], low_res_size) for row in order]
        return cls(
            masks=source.masks[order],
            iou_predictions=source.scores[order],
            low_res_logits=np.array(logits, np.float32).reshape(-1, low_res_size, low_res_size),
            object_score=PRESENT_SCORE,
            rgb=rgb,
        )

    def __repr__(self) -> str:
        shares = [f"{100 * area / max(1, math.prod(self.size_hw)):.1f} %" for area in self.areas]
        scores = [f"{score:.2f}" for score in self.confidences]
        return (
            f"SegmentResult({_counted(len(scores), 'candidate')} of {size_text(self.size_hw)}, "
            f"confidences {_shortened(scores)}, areas {_shortened(shares)}, object score {self.object_score:.1f})"
        )

    @property
    def confidence(self) -> float:
        """Confidence of the best candidate."""
        return float(self.confidences[0])


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Facts about the model behind an engine that the rest of masklet relies on."""

    name: str
    image_size: int
    """Side of the model's square input, pixels."""
    spatial_slots: int
    """Memories the temporal encodings were trained for: prompted plus `spatial_slots - 1` recent (SAM 2: 7)."""
    max_pointers: int
    """Largest number of object pointers that are read (SAM 2: 16)."""
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
    """True if the weights have no memory: the model can segment, but not track."""
    speed: str = "exact"
    """'exact', or 'fast': see docs/guides/speed.md."""
    path: str = ""
    """File or folder that the model was opened from; empty if it is not known."""

    @property
    def low_res_size(self) -> int:
        """Side of the low-res logits, pixels."""
        return self.image_size // 4


# Text for `repr`.


def size_text(size_hw: tuple[int, ...]) -> str:
    """Return "854 x 480" (width x height) for a size of (480, 854)."""
    return f"{size_hw[1]} x {size_hw[0]}"


def changes_text(record: Any) -> str:
    """Return the `repr` of a dataclass with the fields that differ from their defaults only."""
    items = dataclass_fields(record)
    defaults = {i.name: i.default if i.default_factory is MISSING else i.default_factory() for i in items}
    values = {name: getattr(record, name) for name in defaults}
    changed = [f"{name}={value!r}" for name, value in values.items() if value != defaults[name]]
    return f"{type(record).__name__}({', '.join(changed)})"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _shortened(texts: Sequence[str], most: int = 6) -> str:
    return ", ".join(texts if len(texts) <= most else [*texts[: most - 1], "..."])
