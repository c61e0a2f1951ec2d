"""Pictures that carry their own truth, and an engine that reads it off them: what it should score is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from masklet.prompts import Prompt
from masklet.records import Conditioned, Decoded, EngineInfo, FrameMemory, ImageFeatures, Recall

SIZE = 64
PALETTE_STEP = 10  # an object's id times this is its red value

Array = np.ndarray


class OracleEngine:
    """Answers with the true mask of the object under the prompt, read from the image's red channel.

    `flaw` makes it wrong in a known way: "half" loses the lower half of every mask it was not corrected on,
    "modest" ranks the true candidate below a half one.
    """

    def __init__(self, flaw: str | None = None) -> None:
        self.flaw = flaw
        self.images_encoded = 0
        self.batches: list[tuple[int, bool | None]] = []
        self.fed_back: list[bool] = []

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("oracle", SIZE * 4, 7, 16, "numpy", "cpu", "fp32")

    def encode_image(self, rgb: Array, *, in_video: bool = False) -> ImageFeatures[Array]:
        self.images_encoded += 1
        labels = (rgb[..., 0].astype(np.float32) / PALETTE_STEP).round()
        return ImageFeatures({"labels": labels}, (rgb.shape[0], rgb.shape[1]))

    def attend(self, features: ImageFeatures[Array], recalls: Sequence[Recall[Array]]) -> Conditioned[Array]:
        ids = tuple(recall.pointers[0][1] if recall.pointers else np.zeros(1, np.float32) for recall in recalls)
        return Conditioned(ids, features)

    def decode(
        self, conditioned: Conditioned[Array], prompts: Sequence[Prompt | None], *, multimask: bool | None = None
    ) -> list[Decoded[Array]]:
        self.batches.append((len(prompts), multimask))
        labels = conditioned.features.arrays["labels"]
        return [
            self._answer(labels, prompt, embedding, multimask)
            for prompt, embedding in zip(prompts, conditioned.embeddings, strict=True)
        ]

    def encode_memory(
        self, features: ImageFeatures[Array], decoded: Sequence[Decoded[Array]], prompted: Sequence[bool]
    ) -> list[FrameMemory[Array]]:
        return [FrameMemory(answer.pointer, answer.pointer) for answer in decoded]

    def to_numpy(self, array: Array) -> Array:
        return np.asarray(array, np.float32)

    def from_numpy(self, array: Array) -> Array:
        return array

    def _answer(self, labels: Array, prompt: Prompt | None, embedding: Array, multimask: bool | None) -> Decoded[Array]:
        object_id = _prompted_id(labels, prompt) if prompt is not None else float(embedding[0])
        mask = cv2.resize((labels == object_id).astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST) > 0
        half = mask & (np.arange(SIZE)[:, None] < _middle_row(mask))
        corrected = prompt is not None and prompt.previous_logits is not None
        if prompt is not None:
            self.fed_back.append(corrected)
        if multimask and self.flaw == "modest":
            masks, ious = [half, mask, np.zeros_like(mask)], (0.9, 0.6, 0.1)
        elif multimask:
            masks, ious = [np.zeros_like(mask), mask, half], (0.1, 0.9, 0.5)
        else:
            masks, ious = [half if self.flaw == "half" and not corrected else mask], (0.9,)
        if self.flaw == "half" and multimask:
            masks, ious = [half, half, half], (0.9, 0.8, 0.7)
        logits = np.where(np.stack(masks), 10.0, -10.0).astype(np.float32)
        score = 10.0 if mask.any() else -10.0
        pointers = (np.array([object_id], np.float32),) * len(ious)
        return Decoded(logits, ious, int(np.argmax(ious)), score, pointers)


def _prompted_id(labels: Array, prompt: Prompt) -> float:
    if prompt.mask is not None:
        values = labels[prompt.mask]
    elif prompt.box_xyxy is not None:
        left, top, right, bottom = prompt.box_xyxy.astype(int)
        values = labels[top:bottom, left:right].ravel()
    else:
        x, y = prompt.points_xy[0].astype(int)
        return float(labels[y, x])
    values = values[values > 0]
    return float(np.bincount(values.astype(int)).argmax())


def _middle_row(mask: Array) -> float:
    rows = np.flatnonzero(mask.any(axis=1))
    return float(rows[0] + rows[-1] + 1) / 2 if len(rows) else 0.0


def write_pair(image_path: Path, mask_path: Path, labels: Array, *, seen: Array | None = None) -> None:
    """An image that shows `seen` (what the oracle will answer; the truth unless given) and its indexed mask."""
    for path in (image_path, mask_path):
        path.parent.mkdir(parents=True, exist_ok=True)
    shown = np.where(labels == 255, 0, labels) if seen is None else seen
    rgb = np.zeros((*labels.shape, 3), np.uint8)
    rgb[..., 0] = shown * PALETTE_STEP
    Image.fromarray(rgb).save(image_path)
    Image.fromarray(labels.astype(np.uint8)).save(mask_path)


def rectangle(top: int, left: int, bottom: int, right: int, value: int = 1, onto: Array | None = None) -> Array:
    labels = np.zeros((SIZE, SIZE), np.uint8) if onto is None else onto.copy()
    labels[top:bottom, left:right] = value
    return labels
