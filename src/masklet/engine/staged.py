"""The engine of a model that consists of stages, independent of the runtime.

It contains all steps between records and stages: resizing images, laying out prompts and memories as arrays, batching
objects of equal shape, choosing a candidate. `TorchEngine` and `OnnxEngine` differ only in how a stage is run and in
the type of a handle, so that they cannot disagree on the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from masklet.engine.calibration import Curves, checked_curves
from masklet.errors import CheckpointError, EngineError
from masklet.masks.geometry import points_to_square, to_square_antialias, to_square_area, to_square_bicubic
from masklet.masks.operations import mask_logits, square_mask
from masklet.prompts import PointLabel, Prompt
from masklet.records import (
    PRESENT_SCORE,
    ByteArray,
    Conditioned,
    Decoded,
    EngineInfo,
    FloatArray,
    FrameMemory,
    ImageFeatures,
    Recall,
)

A = TypeVar("A")

StageName = Literal["encode_image", "match", "attend", "decode", "decode_tracked", "encode_memory"]

_MASKS = ("low_res_logits", "iou_predictions", "object_score", "stability", "pointers")

STAGE_OUTPUTS: Mapping[StageName, tuple[str, ...]] = {
    "encode_image": ("embedding", "unconditioned", "high_res_4", "high_res_8", "keys"),
    "match": ("matches",),
    "attend": ("conditioned",),
    "decode": _MASKS,
    "decode_tracked": _MASKS,
    "encode_memory": ("memory",),
}
"""The outputs of each stage, in order. See `masklet.model.sam2.SAM2`."""

WITH_KEYS: frozenset[str] = frozenset({"match", "decode_tracked"})
"""Stages that only models with a correspondence have, as well as the output `keys`. Others decode tracked objects in
`decode`: they draw no prompts, so that nothing is to be spared."""

VARYING_AXES: Mapping[StageName, Mapping[str, Mapping[int, str]]] = {
    "encode_image": {},
    "match": {
        "memory_keys": {1: "frames"},
        "memory_masks": {1: "objects", 2: "frames"},
        "slots": {1: "objects", 2: "frames"},
    },
    "attend": {
        "memory": {0: "objects", 1: "memories", 3: "memory_rows", 4: "memory_columns"},
        "matches": {0: "objects"},
        "slots": {0: "objects", 1: "memories"},
        "pointers": {0: "objects", 1: "num_pointers"},
        "pointer_times": {0: "objects", 1: "num_pointers"},
    },
    "decode": {
        "embedding": {0: "objects"},
        "points_xy": {0: "objects", 1: "num_points"},
        "labels": {0: "objects", 1: "num_points"},
        "mask_logits": {0: "objects"},
        "has_mask": {0: "objects"},
    },
    "decode_tracked": {"embedding": {0: "objects"}},
    "encode_memory": {"low_res_logits": {0: "objects"}, "object_score": {0: "objects"}, "is_prompted": {0: "objects"}},
}
"""Axes of inputs whose length varies between calls."""

SPEEDS = ("exact", "fast")
"""Values of `speed`: attend to every cell of the memories, or to means of 2 x 2 cells."""


_RETIRED = frozenset({"tracks_with_candidates"})
"""Fields in folders exported by earlier versions; models no longer need them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """The facts that an engine needs about a model besides its stages; stored as JSON next to exported graphs."""

    name: str
    image_size: int
    """Side of the square input, pixels."""
    spatial_slots: int
    max_pointers: int
    resize: Literal["area", "antialias"]
    """The filter that scales images to the square, see `masklet.masks.geometry`. "antialias" is that of the official
    code, which uses another one for frames of videos."""
    mask_prompt_kernel: tuple[tuple[float, ...], ...]
    """(4, 4) weights that reduce a mask prompt to logits at a quarter of the size."""
    mask_prompt_bias: float
    has_keys: bool
    """True if `encode_image` returns keys for the correspondence."""
    stability_threshold: float = 0.98
    """A single mask less stable than this is replaced by the best candidate; 0 = never.
    Source: sam2 2b90b9f, mask_decoder.py `_dynamic_multimask_via_stability`."""
    pads_logits_alone: bool = True
    """True if logits to be corrected, without a point or box, are accompanied by padding."""
    memory_defaults: Mapping[str, Any] = field(default_factory=dict)
    """`MemoryConfig` fields that suit the model."""
    automatic_defaults: Mapping[str, Any] = field(default_factory=dict)
    """`AutomaticConfig` fields that suit the model."""
    calibration: Curves = field(default_factory=dict)
    """IoU prediction to expected IoU by stage (`masklet.engine.calibration`); empty: predictions are unchanged."""
    max_hole: float = 0.0
    max_piece: float = 0.0
    """Limits for cleaning the masks that are shown, see `masklet.records.EngineInfo`."""
    images_only: bool = False
    """True if the weights have no memory."""
    memory_dim: int = 64
    """Channels of a spatial memory that memory attention reads; the keys and the mask for `match` follow."""
    speed: str = "exact"
    """The one of `SPEEDS` that "auto" means for this model."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSpec:
        """Return the description from JSON; the inverse of `to_dict`.

        Raises:
            CheckpointError: a field is missing or unknown.
        """
        try:
            kernel = tuple(tuple(float(w) for w in row) for row in values["mask_prompt_kernel"])
            kept = {name: value for name, value in values.items() if name not in _RETIRED}
            curves = checked_curves(values.get("calibration", {}))
            return cls(**{**kept, "mask_prompt_kernel": kernel, "calibration": curves})
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"model description does not fit this version of masklet: {error}") from error


class StagedEngine(ABC, Generic[A]):
    """An `Engine` that runs the stages of `STAGE_OUTPUTS`; see `masklet.engine.protocol.Engine` for its methods."""

    def __init__(self, spec: ModelSpec, *, backend: str, device: str, precision: str, speed: str = "auto") -> None:
        if speed not in ("auto", *SPEEDS):
            raise EngineError(f"speed must be auto, {' or '.join(SPEEDS)}, got {speed!r}")
        self.spec = spec
        speed = spec.speed if speed == "auto" else speed
        self.info = EngineInfo(
            name=spec.name,
            image_size=spec.image_size,
            spatial_slots=spec.spatial_slots,
            max_pointers=spec.max_pointers,
            backend=backend,
            device=device,
            precision=precision,
            defaults=spec.memory_defaults,
            automatic_defaults=spec.automatic_defaults,
            calibration=spec.calibration,
            max_hole=spec.max_hole,
            max_piece=spec.max_piece,
            images_only=spec.images_only,
            speed=speed,
        )

    # Implemented by subclasses.

    @abstractmethod
    def run_stage(self, stage: StageName, inputs: Mapping[str, A | NDArray[Any]]) -> dict[str, A]:
        """Run a stage on handles and host arrays, named as in `SAM2`'s methods; outputs as in `STAGE_OUTPUTS`."""

    @abstractmethod
    def stack(self, handles: Sequence[A]) -> A:
        """Stack handles of one shape (...) to a handle of shape (N, ...)."""

    @abstractmethod
    def take(self, handle: A, *index: int | slice) -> A:
        """Return handle[index]."""

    @abstractmethod
    def pool(self, handle: A) -> A:
        """Pool (..., h, w) to (..., h / 2, w / 2) by means of 2 x 2 cells."""

    @abstractmethod
    def from_numpy(self, array: FloatArray) -> A:
        """Return a host array as a handle."""

    @abstractmethod
    def to_numpy(self, array: A) -> FloatArray:
        """Return a handle as a float32 host array."""

    # The four functions.

    def encode_image(self, rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[A]:
        pixels = self.squared(rgb, in_video)[None]
        return ImageFeatures(self.run_stage("encode_image", {"pixels": pixels}), (rgb.shape[0], rgb.shape[1]))

    def squared(self, rgb: ByteArray, in_video: bool) -> ByteArray | FloatArray:
        """Resize to (S, S, 3) of 0..255; uint8 or float32, the same for all calls: a graph takes only one."""
        if self.spec.resize == "area":
            return to_square_area(rgb, self.spec.image_size)
        if in_video:
            return to_square_bicubic(rgb, self.spec.image_size).astype(np.float32)
        return to_square_antialias(rgb, self.spec.image_size)

    def attend(self, features: ImageFeatures[A], recalls: Sequence[Recall[A]]) -> Conditioned[A]:
        embeddings: dict[int, A] = {}
        matches = self._matches(features, recalls)
        for rows in _group(recalls, lambda recall: (len(recall.spatial), len(recall.pointers))):
            if recalls[rows[0]].is_empty:
                unconditioned = self.take(features.arrays["unconditioned"], 0)
                embeddings.update(dict.fromkeys(rows, unconditioned))
            else:
                matched = [matches[row] for row in rows if row in matches]
                conditioned = self._attend_alike(features, [recalls[row] for row in rows], matched)
                embeddings.update((row, self.take(conditioned, i)) for i, row in enumerate(rows))
        return Conditioned(tuple(embeddings[row] for row in range(len(recalls))), features)

    def _attend_alike(self, features: ImageFeatures[A], recalls: Sequence[Recall[A]], matches: Sequence[A]) -> A:
        """Run memory attention for objects that recall equally many memories and pointers."""
        memories = [self.stack([self._attended(memory) for _, memory in recall.spatial]) for recall in recalls]
        inputs: dict[str, A | NDArray[Any]] = {
            "embedding": features.arrays["embedding"],
            "memory": self.stack(memories),
            "slots": np.array([recall.slots for recall in recalls], np.int64),
            "pointers": self._pointers(features, recalls),
            "pointer_times": np.array([recall.pointer_times for recall in recalls], np.float32),
        }
        if matches:
            inputs["matches"] = self.stack(matches)
        return self.run_stage("attend", inputs)["conditioned"]

    def _attended(self, memory: A) -> A:
        """Return what memory attention reads of a (C', h, w) memory: (C, h, w), pooled at speed "fast".

        It is pooled on reading, not on writing, so that stored memories are the same at either speed.
        """
        read = self.take(memory, slice(0, self.spec.memory_dim)) if self.spec.has_keys else memory
        return self.pool(read) if self.info.speed == "fast" else read

    def _matches(self, features: ImageFeatures[A], recalls: Sequence[Recall[A]]) -> dict[int, A]:
        """Match the image with all remembered frames, once for all objects.

        What is matched is never pooled: that would cost nano several points of J (docs/benchmarks/speed.md).

        Returns:
            By row of the recalls, (4, h, w); rows without spatial memories are left out.
        """
        reading = [row for row, recall in enumerate(recalls) if recall.spatial]
        if not self.spec.has_keys or not reading:
            return {}
        memories, read = _by_frame([recalls[row] for row in reading])
        slots = np.array([[[-1 if entry is None else entry[0] for entry in of_object] for of_object in read]])
        keys = slice(self.spec.memory_dim, -1)
        # The mask of a frame that an object does not read has no weight; any will do.
        masks = [
            self.stack(
                [
                    self.take(memory if entry is None else entry[1], -1)
                    for entry, memory in zip(of_object, memories, strict=True)
                ]
            )
            for of_object in read
        ]
        inputs: dict[str, A | NDArray[Any]] = {
            "keys": features.arrays["keys"],
            "memory_keys": self.stack([self.stack([self.take(memory, keys) for memory in memories])]),
            "memory_masks": self.stack([self.stack(masks)]),
            "slots": slots,
        }
        maps = self.run_stage("match", inputs)["matches"]
        return {row: self.take(maps, i) for i, row in enumerate(reading)}

    def _pointers(self, features: ImageFeatures[A], recalls: Sequence[Recall[A]]) -> A | NDArray[np.float32]:
        """Return the pointers, (N, R, D), of objects that recall equally many; R is 0 if all prompts come later."""
        if recalls[0].pointers:
            return self.stack([self.stack([pointer for _, pointer in recall.pointers]) for recall in recalls])
        width = self.to_numpy(self.take(features.arrays["embedding"], 0, slice(None), 0, 0)).size
        return np.zeros((len(recalls), 0, width), np.float32)

    def decode(
        self, conditioned: Conditioned[A], prompts: Sequence[Prompt | None], *, multimask: bool | None = None
    ) -> list[Decoded[A]]:
        size_hw = conditioned.features.size_hw
        tokens = [self._tokens(prompt, size_hw) for prompt in prompts]
        answers: dict[int, Decoded[A]] = {}
        # SAM attends to all tokens, padding too, so only objects with equal numbers of points can share a batch.
        kinds = [
            (self.spec.has_keys and prompt is None, len(labels))
            for prompt, (_, labels) in zip(prompts, tokens, strict=True)
        ]
        for rows in _group(kinds, lambda kind: kind):
            if kinds[rows[0]][0]:
                decoded = self._decode_tracked(conditioned, rows)
            else:
                decoded = self._decode_alike(conditioned, [prompts[r] for r in rows], [tokens[r] for r in rows], rows)
            scores = self.to_numpy(decoded["object_score"])
            ious = self.to_numpy(decoded["iou_predictions"])
            stability = self.to_numpy(decoded["stability"])
            for i, row in enumerate(rows):
                answers[row] = self._choose(
                    decoded, i, prompts[row], ious[i], float(scores[i]), float(stability[i]), multimask
                )
        return [answers[row] for row in range(len(prompts))]

    def _decode_tracked(self, conditioned: Conditioned[A], rows: Sequence[int]) -> dict[str, A]:
        """Decode objects without prompts."""
        features = conditioned.features
        inputs: dict[str, A | NDArray[Any]] = {
            "embedding": self.stack([conditioned.embeddings[row] for row in rows]),
            "high_res_4": features.arrays["high_res_4"],
            "high_res_8": features.arrays["high_res_8"],
        }
        return self.run_stage("decode_tracked", inputs)

    def _decode_alike(
        self,
        conditioned: Conditioned[A],
        prompts: Sequence[Prompt | None],
        tokens: Sequence[tuple[FloatArray, NDArray[np.int64]]],
        rows: Sequence[int],
    ) -> dict[str, A]:
        features = conditioned.features
        side = self.info.low_res_size
        logits = np.zeros((len(rows), 1, side, side), np.float32)
        has_mask = np.zeros(len(rows), np.bool_)
        embeddings = []
        for i, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
            fed_back = None if prompt is None else self._mask_input(prompt)
            if fed_back is not None:
                logits[i, 0], has_mask[i] = fed_back, True
            # A mask prompt is not predicted, only described by a pointer, from features without memory.
            is_given = prompt is not None and prompt.mask is not None
            raw = self.take(features.arrays["embedding"], 0) if is_given else conditioned.embeddings[row]
            embeddings.append(raw)
        return self.run_stage(
            "decode",
            {
                "embedding": self.stack(embeddings),
                "high_res_4": features.arrays["high_res_4"],
                "high_res_8": features.arrays["high_res_8"],
                "points_xy": np.stack([points for points, _ in tokens]),
                "labels": np.stack([labels for _, labels in tokens]),
                "mask_logits": logits,
                "has_mask": has_mask,
            },
        )

    def _choose(
        self,
        decoded: Mapping[str, A],
        row: int,
        prompt: Prompt | None,
        ious: FloatArray,
        object_score: float,
        stability: float,
        multimask: bool | None,
    ) -> Decoded[A]:
        """Choose the candidates among the four masks, and the one that is remembered."""
        if prompt is not None and prompt.mask is not None:
            logits = self.from_numpy(mask_logits(prompt.mask, self.info.low_res_size)[None])
            pointer = self.take(decoded["pointers"], row, 0)
            return Decoded(logits, (1.0,), 0, PRESENT_SCORE, (pointer,))
        if multimask is None:
            multimask = prompt is None or prompt.num_points <= 1
        if multimask:
            candidates = slice(1, ious.shape[0])
            best = int(ious[1:].argmax())
            pointer_rows = range(1, ious.shape[0])
        else:
            is_stable = stability >= self.spec.stability_threshold
            single = 0 if is_stable else 1 + int(ious[1:].argmax())
            candidates, best, pointer_rows = slice(single, single + 1), 0, range(1)
        return Decoded(
            low_res_logits=self.take(decoded["low_res_logits"], row, candidates),
            iou_predictions=tuple(float(iou) for iou in ious[candidates]),
            chosen=best,
            object_score=object_score,
            pointers=tuple(self.take(decoded["pointers"], row, pointer_row) for pointer_row in pointer_rows),
        )

    def encode_memory(
        self, features: ImageFeatures[A], decoded: Sequence[Decoded[A]], prompted: Sequence[bool]
    ) -> list[FrameMemory[A]]:
        # The masks of all absent objects are remembered as the same empty one.
        absent = [row for row, answer in enumerate(decoded) if not answer.is_present]
        rows = [row for row, answer in enumerate(decoded) if answer.is_present] + absent[:1]
        logits = [self.take(decoded[r].low_res_logits, slice(decoded[r].chosen, decoded[r].chosen + 1)) for r in rows]
        inputs: dict[str, A | NDArray[Any]] = {
            "embedding": features.arrays["embedding"],
            "low_res_logits": self.stack(logits),
            "object_score": np.array([decoded[row].object_score for row in rows], np.float32),
            "is_prompted": np.array([prompted[row] for row in rows], np.bool_),
        }
        if self.spec.has_keys:
            inputs["keys"] = features.arrays["keys"]
        memory = self.run_stage("encode_memory", inputs)["memory"]
        memories = {row: self.take(memory, i) for i, row in enumerate(rows)}
        memories.update(dict.fromkeys(absent, self.take(memory, len(rows) - 1)))
        return [FrameMemory(memories[row], answer.pointer) for row, answer in enumerate(decoded)]

    # Prompts as arrays.

    def _tokens(self, prompt: Prompt | None, size_hw: tuple[int, int]) -> tuple[FloatArray, NDArray[np.int64]]:
        """Return points (P, 2) in the square and labels (P,): the box's corners, the points, and SAM's padding point.

        Logits alone have no point for an official model: its image predictor leaves the points out, while its video
        predictor adds padding.

        Source: sam2 2b90b9f, sam2_base.py `_forward_sam_heads` and sam/prompt_encoder.py `_embed_points`.
        """
        points, labels = (Prompt() if prompt is None else prompt).encoder_points
        if prompt is not None and prompt.kind == "logits" and not self.spec.pads_logits_alone:
            return np.zeros((0, 2), np.float32), np.zeros(0, np.int64)
        padding = 1 if len(labels) else 2
        padded = np.concatenate([points, np.zeros((padding, 2), np.float32)])
        square = points_to_square(padded, size_hw, self.spec.image_size)
        return square.astype(np.float32), np.array([*labels, *[PointLabel.PADDING] * padding], np.int64)

    def _mask_input(self, prompt: Prompt) -> FloatArray | None:
        """Return (h, w) logits for the prompt encoder: earlier ones, or a mask prompt reduced by the model's kernel."""
        if prompt.mask is None:
            return prompt.previous_logits
        side, size = self.info.low_res_size, self.spec.image_size
        square = square_mask(prompt.mask, size).astype(np.float32)
        kernel = np.array(self.spec.mask_prompt_kernel, np.float32)
        reduced = np.einsum("iajb,ab->ij", square.reshape(side, 4, side, 4), kernel)
        return np.asarray(reduced + np.float32(self.spec.mask_prompt_bias), np.float32)


def _by_frame(
    recalls: Sequence[Recall[A]],
) -> tuple[list[A], list[list[tuple[int, A] | None]]]:
    """Sort the spatial memories of N objects by the frame that they remember.

    Returns:
        For each of F frames a memory of it, whosever; and N lists of F entries: slot and memory of what the object
        reads of a frame, or None.
    """
    columns: dict[object, int] = {}
    memories: list[A] = []
    read: list[dict[int, tuple[int, A]]] = []
    for recall in recalls:
        of_object: dict[int, tuple[int, A]] = {}
        for entry, frame in zip(recall.spatial, recall.frames or (None,) * len(recall.spatial), strict=True):
            column = len(memories) if frame is None else columns.setdefault(frame, len(memories))
            if column in of_object:  # read twice, in two slots
                column = len(memories)
            if column == len(memories):
                memories.append(entry[1])
            of_object[column] = entry
        read.append(of_object)
    return memories, [[of_object.get(column) for column in range(len(memories))] for of_object in read]


def _group(items: Sequence[Any], key: Any) -> list[list[int]]:
    """Group the indices of items with equal keys, in order of first appearance."""
    groups: dict[Any, list[int]] = {}
    for row, item in enumerate(items):
        groups.setdefault(key(item), []).append(row)
    return list(groups.values())
