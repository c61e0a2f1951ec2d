"""Prompts: points, boxes and masks that tell the model which object is meant. They are checked once, when created.

A kind of prompt is a field of `Prompt`. Sessions, the studio's database and API, JSON files and live streams use
`to_dict` and `from_dict`; the tracker uses `fitted`, `merged` and `in_order`; engines use `encoder_points`. None of
them names a field, so a new kind of prompt is added here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masklet.checks import check_numbers, check_whole
from masklet.errors import DataError, PromptError
from masklet.masks.foreground import foreground_of, logits_of, mask_array
from masklet.masks.operations import mask_logits
from masklet.masks.rle import decode_rle, encode_rle
from masklet.records import BoolArray, FloatArray, size_text

if TYPE_CHECKING:
    from typing_extensions import Self

PromptKind = Literal["points", "box", "mask", "logits"]

ROUNDING = 0.01
"""Pixels by which arithmetic may put a coordinate outside its frame: a box of a detector ends at 640.00006. It is then
moved to the edge."""
FARTHEST = 1e9
"""Coordinates are limited to this before they become float32."""

PromptDocument = dict[str, Any]
"""A prompt as a JSON object, by the names of `Prompt`'s fields; see `Prompt.to_dict`."""


class PromptFields(TypedDict, total=False):
    """The fields of a prompt as users give them; see `Prompt.create`."""

    points_xy: ArrayLike | None
    labels: ArrayLike | None
    box_xyxy: ArrayLike | None
    mask: ArrayLike | None
    previous_logits: ArrayLike | None


class PointLabel(IntEnum):
    """The meaning of a prompt point to the prompt encoder. Users give FOREGROUND and BACKGROUND only."""

    PADDING = -1
    BACKGROUND = 0
    FOREGROUND = 1
    BOX_TOP_LEFT = 2
    BOX_BOTTOM_RIGHT = 3


def _no_points() -> FloatArray:
    return np.zeros((0, 2), np.float32)


def _no_labels() -> NDArray[np.int32]:
    return np.zeros(0, np.int32)


def _typed(json_type: Any, description: str, example: Any = None) -> dict[str, Any]:
    """Describe a field that users can type or click, so that it is sent to a server as JSON."""
    return {"json_type": json_type, "description": description, "example": example}


@dataclass(frozen=True, slots=True, repr=False)
class Prompt:
    """A prompt for one object on one frame. Build it with `Prompt.create`, which checks everything.

    A prompt has points, a box, both, or a mask; `previous_logits` may accompany points and a box. An image segmenter
    also takes a mask or logits as a first guess, alone or with points and a box that correct it (`refine=True`).
    """

    points_xy: FloatArray = field(
        default_factory=_no_points,
        metadata=_typed(list[tuple[float, float]], "x and y.", [[210, 350]]),
    )
    """(P, 2) source pixels, x right, y down; (0, 2) if there are none."""
    labels: NDArray[np.int32] = field(
        default_factory=_no_labels,
        metadata=_typed(list[Literal[0, 1]], "One label per point: 1 on the object, 0 not on it.", [1]),
    )
    """(P,) `PointLabel.FOREGROUND` or `BACKGROUND`."""
    box_xyxy: FloatArray | None = field(
        default=None,
        metadata=_typed(tuple[float, float, float, float] | None, "Left, top, right, bottom."),
    )
    """(4,) source pixels: left, top, right, bottom."""
    mask: BoolArray | None = None
    """(H, W) the object itself: it becomes the frame's mask as it is. All False: the object is not on this frame."""
    previous_logits: FloatArray | None = None
    """(h, w) low-res logits of an earlier prediction, to be corrected by the points."""

    def __repr__(self) -> str:
        signs = "".join("+" if label else "-" for label in self.labels[:20])
        points = ", ".join(f"{sign}({x:g}, {y:g})" for sign, (x, y) in zip(signs, self.points_xy[:20], strict=False))
        more = len(self.points_xy) - 20
        parts = [f"points {points}" + (f" and {more} more" if more > 0 else "")] if points else []
        if self.box_xyxy is not None:
            parts.append("box ({:g}, {:g}, {:g}, {:g})".format(*self.box_xyxy))
        if self.mask is not None:
            parts.append(f"mask {size_text(self.mask.shape)} of {np.count_nonzero(self.mask)} pixels")
        if self.previous_logits is not None:
            parts.append(f"previous_logits {size_text(self.previous_logits.shape)}")
        return f"Prompt({', '.join(parts)})"

    # Creating a prompt.

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
        low_res_size: int | None = None,
        refine: bool = False,
    ) -> Self:
        """Check and normalise a user's input.

        Args:
            points_xy: (P, 2) source pixels, x right, y down.
            labels: (P,) 1 foreground, 0 background; all foreground by default. Points of label -1 are padding.
            box_xyxy: (4,) source pixels, left < right and top < bottom; zero rows of boxes are no box.
            mask: (H, W), bool, 0 and 1, 0 to 255, probabilities or logits; see
                `masklet.masks.foreground.foreground_of`.
            previous_logits: (h, w) float, from `SegmentResult.low_res_logits`; or a mask of that size.
            size_hw: the frame's size; when given, points, box and mask are checked against it.
            low_res_size: side of the model's low-res logits; when given, `previous_logits` is checked against it.
            refine: take a mask or logits as a first guess, alone or with points and a box that correct it.

        Raises:
            PromptError: the prompt is empty, shapes or labels do not fit, a point or box lies outside the frame,
                the box is inside out or empty, the mask has another size or is empty, a mask comes with points.
        """
        points, point_labels = _checked_points(points_xy, labels)
        box = None if box_xyxy is None else _checked_box(box_xyxy)
        object_mask = None if mask is None else _checked_mask(mask, size_hw)
        logits = None if previous_logits is None else _checked_logits(previous_logits, low_res_size)
        prompt = cls(points, point_labels, box, object_mask, logits)
        if size_hw is not None:
            prompt = prompt.fitted(size_hw)
        if refine:
            prompt._check_one_guess()
        elif object_mask is not None and (len(points) or box is not None):
            raise PromptError(
                "mask cannot be combined with points or a box in one prompt: give the mask first, then correct it "
                "with points in a second prompt"
            )
        if prompt.is_empty and not (refine and logits is not None):
            raise PromptError("the prompt is empty: give at least one point, a box or a mask")
        return prompt

    @classmethod
    def of(
        cls,
        prompt: Prompt | None,
        fields: PromptFields,
        *,
        size_hw: tuple[int, int] | None = None,
        low_res_size: int | None = None,
    ) -> Prompt:
        """Return the prompt of a call that takes either a prompt or its fields; for the arguments see `create`.

        Raises:
            PromptError: both are given, or neither, or a field does not fit.
        """
        named = [name for name, value in fields.items() if value is not None]
        if prompt is None:
            return cls.create(**fields, size_hw=size_hw, low_res_size=low_res_size, refine=True)
        if not isinstance(prompt, Prompt):
            raise PromptError(f"prompt must be a masklet.Prompt, got {type(prompt).__name__}: name its fields instead")
        if named:
            raise PromptError(f"give a prompt or its fields, got both: a Prompt and {', '.join(named)}")
        return prompt if size_hw is None else prompt.fitted(size_hw, low_res_size)

    @classmethod
    def of_logits(cls, previous_logits: ArrayLike) -> Self:
        """Return a prompt of (h, w) low-res logits alone: an image segmenter predicts their mask again.

        Raises:
            PromptError: they are not finite numbers of that shape.
        """
        return cls(previous_logits=_checked_logits(previous_logits, None))

    @classmethod
    def of_click(cls, point_xy: ArrayLike, label: int = PointLabel.FOREGROUND) -> Self:
        """Return a prompt of one click, (2,) in source pixels."""
        return cls.create(points_xy=_numbers("point_xy", point_xy, "two numbers, x and y")[None], labels=[label])

    @classmethod
    def absent(cls, size_hw: tuple[int, int]) -> Self:
        """Return a prompt that marks the object as absent from a frame of this size."""
        sides = [check_whole("size_hw", side, least=1, error=PromptError) for side in size_hw]
        return cls(mask=np.zeros(sides, np.bool_))

    # Properties.

    @property
    def is_empty(self) -> bool:
        """True if it has neither points nor a box nor a mask; it may still have logits."""
        return self.mask is None and not self.num_points

    @property
    def kind(self) -> PromptKind:
        """The main part of the prompt: the first of mask, box, points and logits that it has."""
        if self.mask is not None:
            return "mask"
        if self.box_xyxy is not None:
            return "box"
        return "points" if len(self.clicks[1]) else "logits"

    @property
    def clicks(self) -> tuple[FloatArray, NDArray[np.int32]]:
        """Points (P, 2) in source pixels and their labels (P,): foreground or background."""
        return self.points_xy, self.labels

    @property
    def encoder_points(self) -> tuple[FloatArray, NDArray[np.int32]]:
        """Points (P, 2) in source pixels and `PointLabel`s (P,) as the prompt encoder reads them: a box is two."""
        points, labels = self.clicks
        if self.box_xyxy is None:
            return points, labels
        corners = np.array([PointLabel.BOX_TOP_LEFT, PointLabel.BOX_BOTTOM_RIGHT], np.int32)
        return np.concatenate([self.box_xyxy.reshape(2, 2), points]), np.concatenate([corners, labels])

    @property
    def num_points(self) -> int:
        """Number of points as the prompt encoder counts them: a box is two."""
        return len(self.encoder_points[1])

    @property
    def foreground_xy(self) -> FloatArray:
        """(P, 2) clicks on the object."""
        points, labels = self.clicks
        on_object: FloatArray = points[labels == PointLabel.FOREGROUND]
        return on_object

    @property
    def is_single_click(self) -> bool:
        """True for one click and no box: it may mean a part, the whole or a group."""
        return self.num_points == 1

    @property
    def is_ambiguous(self) -> bool:
        """True if several masks may be meant: a single click that corrects nothing."""
        return self.is_single_click and self.previous_logits is None

    @property
    def locates_object(self) -> bool:
        """True if it gives a location of the object; background points alone do not."""
        return self.mask is not None or self.box_xyxy is not None or len(self.foreground_xy) > 0

    @property
    def says_absent(self) -> bool:
        """True if it marks the object as absent from the frame, see `absent`."""
        return self.mask is not None and not self.mask.any()

    @property
    def replaces_earlier(self) -> bool:
        """True if it replaces an earlier prompt of the object on this frame; points are added to that."""
        return self.mask is not None or self.box_xyxy is not None

    # Derived prompts.

    def fitted(self, size_hw: tuple[int, int], low_res_size: int | None = None) -> Self:
        """Return the prompt for a frame whose size was not known when it was made, after a check against it.

        A point or box that lies outside by no more than arithmetic explains is moved to the edge.

        Args:
            size_hw: the frame's size.
            low_res_size: side of the model's low-res logits; when given, `previous_logits` is checked against it.

        Raises:
            PromptError: a point or box lies outside the frame, or the mask or the logits have another size.
        """
        _check_inside(self.points_xy, self.box_xyxy, size_hw)
        if self.mask is not None:
            _check_mask_size(self.mask, size_hw)
        if self.previous_logits is not None:
            _checked_logits(self.previous_logits, low_res_size)
        points, box = _inside(self.points_xy, self.box_xyxy, size_hw)
        if points is self.points_xy and box is self.box_xyxy:
            return self
        return replace(self, points_xy=points, box_xyxy=box)

    def scaled(self, factor: float) -> Self:
        """Return the prompt for a frame that is `factor` times as large; logits stay as they are."""
        mask = self.mask
        if mask is not None:
            rows, columns = (_nearest(side, factor) for side in mask.shape)
            mask = mask[np.ix_(rows, columns)]
        box = None if self.box_xyxy is None else self.box_xyxy * np.float32(factor)
        return replace(self, points_xy=self.points_xy * np.float32(factor), box_xyxy=box, mask=mask)

    def merged(self, other: Prompt) -> Prompt:
        """Return this prompt combined with `other`: points are added, a box or mask replaces everything.

        Points of the other remove a mask of this prompt: the mask that they correct is in `previous_logits`.
        """
        if other.replaces_earlier:
            return other
        return replace(
            self,
            points_xy=np.concatenate([self.points_xy, other.points_xy]),
            labels=np.concatenate([self.labels, other.labels]),
            mask=None,
            previous_logits=self.previous_logits if other.previous_logits is None else other.previous_logits,
        )

    def extends(self, other: Prompt) -> bool:
        """Return True if this prompt is `other` with points added at the end; logits do not count."""
        (points, labels), (first_points, first_labels) = self.encoder_points, other.encoder_points
        count = len(first_labels)
        return (
            len(labels) > count
            and self.mask is None
            and other.mask is None
            and bool((points[:count] == first_points).all() and (labels[:count] == first_labels).all())
            and (self.box_xyxy is None) == (other.box_xyxy is None)
        )

    def in_order(self) -> list[Prompt]:
        """Return the prompts that a tracker processes in turn: a mask first, then the points that correct it.

        Raises:
            PromptError: it is of logits alone, or has a mask and a box.
        """
        if self.is_empty:
            raise PromptError("the prompt is empty: give at least one point, a box or a mask")
        if self.mask is None or not self.num_points:
            return [self]
        if self.box_xyxy is not None:
            raise PromptError(
                "mask cannot be combined with a box in one prompt: give the mask first, then correct it with points "
                "in a second prompt"
            )
        return [type(self)(mask=self.mask), replace(self, mask=None)]

    def with_logits_for_mask(self, low_res_size: int) -> Self:
        """Return the prompt with its mask as (low_res_size, low_res_size) logits, to be corrected."""
        if self.mask is None:
            return self
        self._check_one_guess()
        return replace(self, mask=None, previous_logits=mask_logits(self.mask, low_res_size))

    def _check_one_guess(self) -> None:
        if self.mask is not None and self.previous_logits is not None:
            raise PromptError("mask and previous_logits exclude each other: the points can correct only one of them")

    # Serialisation.

    def to_dict(self, store_array: Callable[[FloatArray], Any] | None = None) -> PromptDocument:
        """Return the prompt as a JSON object, by the names of its fields; masks as COCO RLE.

        Args:
            store_array: stores an array of floats elsewhere, and returns its replacement in the document. Without it,
                arrays are base64 of little-endian float32 with their shape.
        """
        store = store_array or _array_to_json
        return {
            name: None if getattr(self, name) is None else _to_json(name, getattr(self, name), store)
            for name in FIELD_NAMES
        }

    @classmethod
    def from_dict(
        cls,
        document: Mapping[str, Any],
        load_array: Callable[[Any], FloatArray] | None = None,
        *,
        size_hw: tuple[int, int] | None = None,
    ) -> Self:
        """Return the prompt of a document from `to_dict`. Missing fields have their defaults, unknown ones are ignored.

        Args:
            document: from `to_dict`.
            load_array: the inverse of `store_array`.
            size_hw: the frame's size; a mask of another size is refused before it is decoded.

        Raises:
            PromptError: it is not a prompt.
        """
        load = load_array or _array_from_json
        names = [name for name in FIELD_NAMES if document.get(name) is not None]
        values = {name: _from_json(name, document[name], load, size_hw) for name in names}
        if isinstance(values.get("mask"), np.ndarray) and not values["mask"].any():
            return cls.absent(values["mask"].shape)
        return cls.create(**values, refine=True)

    def to_request(self) -> PromptDocument:
        """Return the fields that users can type or click, as in the studio's API: by short names, without masks."""
        document = self.to_dict()
        return {item.short_name: document[item.name] for item in TYPED_FIELDS}

    @classmethod
    def from_request(cls, request: Any) -> Self:
        """Return the prompt of a request that has the fields of `to_request` as attributes.

        Raises:
            PromptError: it is empty, or its values do not fit together.
        """
        return cls.from_dict({item.name: getattr(request, item.short_name) for item in TYPED_FIELDS})

    def first_click(self) -> Self:
        """Return the prompt with only the first of its clicks."""
        return replace(self, points_xy=self.points_xy[:1], labels=self.labels[:1])


FIELD_NAMES = tuple(item.name for item in fields(Prompt))
"""Names of all fields of a prompt."""


class TypedField(NamedTuple):
    """A field of `Prompt` that users can type or click, so that it is sent as JSON."""

    name: str
    short_name: str
    """Name in the studio's API and database."""
    json_type: Any
    description: str
    example: Any


SHORT_NAMES = {name: name.split("_")[0] for name in FIELD_NAMES}
"""Names in the studio's API and database, by field name: `points_xy` is `points`, `box_xyxy` is `box`."""

TYPED_FIELDS = tuple(
    TypedField(item.name, SHORT_NAMES[item.name], **item.metadata) for item in fields(Prompt) if item.metadata
)
FILE_NAMES = (*(item.name for item in TYPED_FIELDS), "mask")
"""Fields that a JSON file of prompts may have."""

_TYPED_NAMES = frozenset(item.name for item in TYPED_FIELDS)


def mask_document(rle: Mapping[str, Any]) -> PromptDocument:
    """Return the document of a prompt whose mask is already run-length encoded."""
    return {"mask": dict(rle)}


def _nearest(side: int, factor: float) -> NDArray[np.intp]:
    """Return the index of the old pixel for each new pixel along a side."""
    count = max(1, round(side * factor))
    return ((np.arange(count) + 0.5) * side / count).astype(np.intp)


def _to_json(name: str, value: NDArray[Any], store_array: Callable[[FloatArray], Any]) -> Any:
    if name in _TYPED_NAMES:
        # The shortest decimals that round to these float32: 0.1, not 0.10000000149.
        return [_to_json(name, row, store_array) if row.ndim else _json_number(row) for row in value]
    return encode_rle(value) if value.dtype == np.bool_ else store_array(value)


def _from_json(name: str, value: Any, load_array: Callable[[Any], FloatArray], size_hw: tuple[int, int] | None) -> Any:
    if name in _TYPED_NAMES:
        return value
    if isinstance(value, Mapping) and "counts" in value:
        try:
            return decode_rle(value, size_hw)
        except DataError as error:
            raise PromptError(f"{name}: {error}") from error
    return load_array(value)


def _json_number(value: Any) -> float | int:
    """Return a numpy number as a Python number with the fewest digits that identify it."""
    return int(value) if np.issubdtype(np.asarray(value).dtype, np.integer) else float(str(value))


def _array_to_json(array: FloatArray) -> dict[str, Any]:
    data = np.ascontiguousarray(array, "<f4")
    return {"shape": list(data.shape), "float32": base64.b64encode(data.tobytes()).decode("ascii")}


def _array_from_json(value: Any) -> FloatArray:
    try:
        data = np.frombuffer(base64.b64decode(value["float32"], validate=True), "<f4")
        return np.asarray(data.reshape(value["shape"]), np.float32)
    except (TypeError, KeyError, ValueError) as error:
        raise PromptError(f"an array must be base64 of float32 and its shape, got {value!r:.80}") from error


def _numbers(name: str, values: ArrayLike, form: str) -> FloatArray:
    """Return finite numbers as float32."""
    values64 = check_numbers(name, values, form, error=PromptError)
    if not np.isfinite(values64).all():
        raise PromptError(f"{name} must be finite, got {_short(values64)}")
    return np.asarray(values64.clip(-FARTHEST, FARTHEST), np.float32)


def _short(values: NDArray[np.float64]) -> str:
    return f"{values.tolist()}"[:80]


def _checked_points(points_xy: ArrayLike | None, labels: ArrayLike | None) -> tuple[FloatArray, NDArray[np.int32]]:
    points = _numbers("points_xy", () if points_xy is None else points_xy, "numbers of shape (P, 2)")
    marks = None if labels is None else _checked_labels(labels)
    if points.size == 0:
        if marks is not None and marks.size:
            raise PromptError(f"labels came without points_xy: got {marks.size} labels and no point")
        return np.zeros((0, 2), np.float32), np.zeros(0, np.int32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise PromptError(f"points_xy must be (P, 2) as [(x, y), ...], got shape {points.shape}")
    if marks is None:
        return points, np.ones(len(points), np.int32)
    if marks.shape != (len(points),):
        raise PromptError(f"labels must be ({len(points)},), got {marks.shape}: give one label per point")
    is_point = marks != PointLabel.PADDING
    return points[is_point], marks[is_point]


def _checked_labels(labels: ArrayLike) -> NDArray[np.int32]:
    """Return labels of 1 and 0, and of -1 for points that only fill up an array; True and False are 1 and 0."""
    form = "1 (foreground) or 0 (background) for each point"
    marks = check_numbers("labels", labels, form, error=PromptError, with_flags=True)
    if not np.isin(marks, (PointLabel.PADDING, 0, 1)).all():
        raise PromptError(f"labels must be 1 (foreground) or 0 (background), got {_short(marks)}")
    return marks.astype(np.int32)


def _checked_box(box_xyxy: ArrayLike) -> FloatArray | None:
    """Return (4,) numbers; None if there are zero rows of them, as of a detector that has detected nothing."""
    box = _numbers("box_xyxy", box_xyxy, "four numbers")
    if box.size == 0:
        return None
    if box.shape == (1, 4):
        box = box[0]
    if box.shape != (4,):
        raise PromptError(f"box_xyxy must be four numbers (left, top, right, bottom), got {_short(box.astype(float))}")
    left, top, right, bottom = box.tolist()
    if left >= right or top >= bottom:
        raise PromptError(
            f"box_xyxy must be (left, top, right, bottom) with left < right and top < bottom, "
            f"got {coordinates_text(box)}"
        )
    return box


def _checked_mask(mask: ArrayLike, size_hw: tuple[int, int] | None) -> BoolArray:
    array = mask_array("mask", mask)
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):  # as a result has it, or a picture of one channel
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim != 2:
        raise PromptError(f"mask must be (H, W), got shape {array.shape}")
    if size_hw is not None:
        _check_mask_size(array, size_hw)
    foreground = foreground_of(array)
    if not foreground.any():
        raise PromptError("mask is empty: no pixel is foreground")
    return foreground


def _check_mask_size(mask: NDArray[Any], size_hw: tuple[int, int]) -> None:
    if mask.shape != tuple(size_hw):
        raise PromptError(
            f"mask must have the size of the frame, {size_hw[1]} x {size_hw[0]} (width x height), "
            f"got {mask.shape[1]} x {mask.shape[0]}"
        )


def _checked_logits(previous_logits: ArrayLike, low_res_size: int | None) -> FloatArray:
    logits = np.squeeze(mask_array("previous_logits", previous_logits))
    side = low_res_size
    if logits.ndim != 2 or (side is not None and logits.shape != (side, side)):
        form = "(h, w)" if side is None else f"({side}, {side})"
        raise PromptError(
            f"previous_logits must be finite and {form}, as in SegmentResult.low_res_logits[k], "
            f"got {np.shape(previous_logits)}"
        )
    return np.asarray(logits_of(logits), np.float32)


def _inside(
    points_xy: FloatArray, box_xyxy: FloatArray | None, size_hw: tuple[int, int]
) -> tuple[FloatArray, FloatArray | None]:
    """Return points and a box with those coordinates moved to the frame's edge that rounding has put outside."""
    sides = np.array(size_hw[::-1], np.float32)
    points = points_xy.clip(0, np.nextafter(sides, np.float32(0)))
    points = points_xy if (points == points_xy).all() else points
    if box_xyxy is None:
        return points, None
    box = box_xyxy.clip(0, np.concatenate([sides, sides]))
    return points, box_xyxy if (box == box_xyxy).all() else box


def _check_inside(points_xy: FloatArray, box_xyxy: FloatArray | None, size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    sides = np.array([width, height], np.float32)
    outside = ((points_xy < -ROUNDING) | (points_xy > sides + ROUNDING)).any(1)
    if outside.any():
        raise PromptError(
            f"point {coordinates_text(points_xy[outside][0])} lies outside the frame, which is {width} wide and "
            f"{height} high: x must be in [0, {width}) and y in [0, {height})"
        )
    if box_xyxy is not None:
        corners = box_xyxy.reshape(2, 2)
        if ((corners < -ROUNDING) | (corners > sides + ROUNDING)).any():
            raise PromptError(
                f"box {coordinates_text(box_xyxy)} lies outside the frame, which is {width} wide and {height} high: "
                f"clip it to (0, 0, {width}, {height})"
            )


def coordinates_text(values: FloatArray) -> str:
    """Return coordinates with as many digits as tell them from their neighbours: (159.5, 160.00002)."""
    return f"({', '.join(str(value).removesuffix('.0') for value in np.asarray(values, np.float32))})"
