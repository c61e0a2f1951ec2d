"""Segments images: encode once, then ask as often as you like.

Like the tracker, it moves handles between the parts of an engine and knows no tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from masklet.engine.protocol import Engine
from masklet.errors import PromptError
from masklet.masks.edges import EdgeConfig, refine_edges
from masklet.masks.operations import mask_logits
from masklet.masks.shown import shown_logits
from masklet.media.images import ImageSource, read_image
from masklet.prompts import Prompt
from masklet.records import Decoded, FloatArray, ImageFeatures, Recall, SegmentResult
from masklet.segmentation.automatic import AutomaticConfig, AutomaticMask, OnProgress, segment_everything

A = TypeVar("A")

Refine = Callable[..., FloatArray]
"""`refine_edges` for one picture."""


class Segmenter(Generic[A]):
    """Segments images with one engine.

    Args:
        engine: runs the model.
        edges: how the edges of masks are refined by the picture; None leaves them as the model has them.
    """

    def __init__(self, engine: Engine[A], *, edges: EdgeConfig | None = None) -> None:
        self.engine = engine
        self.edges = edges

    def set_image(self, image: ImageSource) -> EncodedImage[A]:
        """Encode an image, the slow part; what comes back answers prompts in milliseconds, and stays valid.

        Args:
            image: a path, a PIL image, or (H, W, 3) uint8 RGB; see `masklet.media.images.read_image`.

        Raises:
            ImageError: the image is missing, damaged, too large, or an array of another form.
        """
        rgb = read_image(image)
        return EncodedImage(
            self.engine,
            self.engine.encode_image(rgb),
            refine=None if self.edges is None else partial(refine_edges, rgb=rgb, config=self.edges),
        )

    def everything(
        self, image: ImageSource, config: AutomaticConfig | None = None, *, on_progress: OnProgress | None = None
    ) -> list[AutomaticMask]:
        """Find everything in an image without being told what; see `masklet.segmentation.automatic.segment_everything`.

        Args:
            image: as in `set_image`.
            config: what is asked and what stays; `AutomaticConfig.for_engine` when left out.
            on_progress: called with an `AutomaticProgress` after each batch of clicks.

        Raises:
            ImageError: the image is missing, damaged, too large, or an array of another form.
            ConfigError: the image is too small for so many crops.
        """
        return segment_everything(self.engine, read_image(image), config, on_progress=on_progress)


class EncodedImage(Generic[A]):
    """One image, ready for prompts. Made by `Segmenter.set_image`."""

    def __init__(self, engine: Engine[A], features: ImageFeatures[A], *, refine: Refine | None = None) -> None:
        self.engine = engine
        self.features = features
        self._refine = refine

    @property
    def size_hw(self) -> tuple[int, int]:
        """Size of the image; prompts are in its pixels and masks have its size."""
        return self.features.size_hw

    def predict(
        self,
        points_xy: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box_xyxy: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        previous_logits: ArrayLike | None = None,
        multimask: bool | None = None,
    ) -> SegmentResult:
        """Segment one object.

        Args:
            points_xy: (P, 2) source pixels, x right, y down.
            labels: (P,) 1 on the object, 0 not on it; all 1 when left out.
            box_xyxy: (4,) source pixels around the object.
            mask: (H, W) a rough mask to start from, alone or with points and a box.
            previous_logits: (h, w) from `SegmentResult.low_res_logits`, to be corrected by the points.
            multimask: three candidates (True) or one (False). None gives three to a lone point, which may mean a
                part, a whole or a group, and one to all else.

        Returns:
            The candidates, the one of highest IoU prediction first.

        Raises:
            PromptError: see `Prompt.create`; or both mask and previous_logits are given.
        """
        return self._decode([self._ready(points_xy, labels, box_xyxy, mask, previous_logits)], multimask)[0]

    def predict_many(self, prompts: Sequence[Prompt], *, multimask: bool | None = None) -> list[SegmentResult]:
        """Segment several objects, or one in several ways, in one batch.

        Args:
            prompts: one an object. A mask is a rough one, as in `predict`.
            multimask: as in `predict`; None decides for each prompt.

        Returns:
            One result a prompt, in their order.

        Raises:
            PromptError: a prompt does not fit the image.
        """
        ready = [self._ready(p.points_xy, p.labels, p.box_xyxy, p.mask, p.previous_logits) for p in prompts]
        return self._decode(ready, multimask)

    def decode(self, prompts: Sequence[Prompt], *, multimask: bool) -> list[Decoded[A]]:
        """The decoder's own answers, one a prompt, candidates in its order and as handles of the engine.

        Args:
            prompts: taken as they are: in pixels of this image, with logits of the model's size.
            multimask: three candidates (True) or one (False).
        """
        conditioned = self.engine.attend(self.features, [Recall()] * len(prompts))
        return self.engine.decode(conditioned, prompts, multimask=multimask)

    def _ready(
        self,
        points_xy: ArrayLike | None,
        labels: ArrayLike | None,
        box_xyxy: ArrayLike | None,
        mask: ArrayLike | None,
        previous_logits: ArrayLike | None,
    ) -> Prompt:
        """The prompt checked against this image, and as the engine is to see it: with logits in place of a mask."""
        side = self.engine.info.low_res_size
        logits: FloatArray | None = None
        if mask is not None:
            if previous_logits is not None:
                raise PromptError(
                    "mask and previous_logits exclude each other: the points can correct only one of them"
                )
            rough = Prompt.create(mask=mask, size_hw=self.size_hw).mask
            assert rough is not None
            logits = mask_logits(rough, side)
        elif previous_logits is not None:
            logits = np.squeeze(np.asarray(previous_logits, np.float32))
            if logits.shape != (side, side) or not np.isfinite(logits).all():
                raise PromptError(
                    f"previous_logits must be finite and ({side}, {side}), as in SegmentResult.low_res_logits, "
                    f"got {np.shape(previous_logits)}"
                )
        if logits is not None and box_xyxy is None and _is_empty(points_xy) and _is_empty(labels):
            return Prompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int32), previous_logits=logits)
        return Prompt.create(
            points_xy=points_xy, labels=labels, box_xyxy=box_xyxy, previous_logits=logits, size_hw=self.size_hw
        )

    def _decode(self, prompts: Sequence[Prompt], multimask: bool | None) -> list[SegmentResult]:
        several = [_is_ambiguous(prompt) if multimask is None else multimask for prompt in prompts]
        results: dict[int, SegmentResult] = {}
        for choice in sorted(set(several)):  # the number of candidates is one for a whole batch
            rows = [row for row, wanted in enumerate(several) if wanted == choice]
            answers = self.decode([prompts[row] for row in rows], multimask=choice)
            results.update((row, self._result(answer, prompts[row])) for row, answer in zip(rows, answers, strict=True))
        return [results[row] for row in range(len(prompts))]

    def _result(self, decoded: Decoded[A], prompt: Prompt) -> SegmentResult:
        best_first = list(decoded.best_first)
        logits = self.engine.to_numpy(decoded.low_res_logits)[best_first]
        full = np.stack([shown_logits(plane, self.engine.info, prompt, self.size_hw) for plane in logits])
        if self._refine is not None:
            for plane in full:
                plane[...] = self._refine(plane, low_res_hw=logits.shape[1:])
        return SegmentResult(
            masks=full > 0,
            iou_predictions=np.asarray(decoded.iou_predictions, np.float32)[best_first],
            low_res_logits=logits,
            object_score=decoded.object_score,
        )


def _is_ambiguous(prompt: Prompt) -> bool:
    """One lone point may mean a part, the whole or a group; everything else says which."""
    return prompt.num_points == 1 and prompt.previous_logits is None


def _is_empty(values: ArrayLike | None) -> bool:
    return values is None or np.asarray(values, object).size == 0  # also of what is no array, which prompts then refuse
