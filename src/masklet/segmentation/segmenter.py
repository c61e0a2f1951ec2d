"""Image segmentation: an image is encoded once, and then takes any number of prompts.

Like the tracker, it moves handles between the functions of an engine and knows no tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from masklet.engine.calibration import confidence_of, stage_of
from masklet.engine.protocol import Engine
from masklet.masks.edges import EdgeConfig, refine_edges
from masklet.masks.shown import shown_logits
from masklet.media.images import ImageSource, read_image
from masklet.prompts import Prompt, PromptFields
from masklet.records import ByteArray, Decoded, ImageFeatures, Recall, SegmentResult, size_text
from masklet.segmentation.automatic import AutomaticConfig, AutomaticMask, OnCounts, segment_everything

if TYPE_CHECKING:
    from typing_extensions import Unpack

A = TypeVar("A")


class Segmenter(Generic[A]):
    """Segments images with one engine.

    Args:
        engine: runs the model.
        edges: settings for refining mask edges by the picture; None keeps the model's edges.
    """

    def __init__(self, engine: Engine[A], *, edges: EdgeConfig | None = None) -> None:
        self.engine = engine
        self.edges = edges

    def __repr__(self) -> str:
        edges = "" if self.edges is None else f", edges={self.edges}"
        return f"Segmenter({self.engine.info.name!r}{edges})"

    def set_image(self, image: ImageSource) -> EncodedImage[A]:
        """Encode an image. This is the slow part; the result answers prompts in milliseconds and stays valid.

        Args:
            image: a path, a PIL image, or (H, W, 3) uint8 RGB; see `masklet.media.images.read_image`.

        Raises:
            ImageError: the image is missing, damaged, too large, or an array of another form.
        """
        rgb = read_image(image)
        return EncodedImage(
            self.engine,
            self.engine.encode_image(rgb),
            rgb=rgb,
            edges=self.edges,
        )

    def set_images(self, images: Iterable[ImageSource]) -> Iterator[EncodedImage[A]]:
        """Encode images one after the other, each when it is asked for, so that memory does not grow with their number.

        Args:
            images: such as the paths of a folder; see `set_image`.

        Yields:
            Each image, encoded, in the same order.

        Raises:
            ImageError: as `set_image`, when that image is reached.
        """
        return (self.set_image(image) for image in images)

    def everything(
        self, image: ImageSource, config: AutomaticConfig | None = None, *, on_progress: OnCounts | None = None
    ) -> list[AutomaticMask]:
        """Segment everything in an image without prompts; see `masklet.segmentation.automatic.segment_everything`.

        Args:
            image: as in `set_image`.
            config: density of the clicks, and thresholds; `AutomaticConfig.for_engine` by default.
            on_progress: called with an `AutomaticCounts` after each batch of clicks.

        Raises:
            ImageError: the image is missing, damaged, too large, or an array of another form.
            ConfigError: the image is too small for this number of crops.
        """
        return segment_everything(self.engine, read_image(image), config, on_progress=on_progress)


class EncodedImage(Generic[A]):
    """An encoded image, ready for prompts. Made by `Segmenter.set_image`."""

    def __init__(
        self,
        engine: Engine[A],
        features: ImageFeatures[A],
        *,
        rgb: ByteArray | None = None,
        edges: EdgeConfig | None = None,
    ) -> None:
        self.engine = engine
        self.features = features
        self.rgb = rgb
        """(H, W, 3) uint8: the picture, which results show; None if it is not kept."""
        self.edges = edges
        """The refinement of mask edges, which needs `rgb`; None keeps the model's edges."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Size of the image; prompts are in its pixels and masks have its size."""
        return self.features.size_hw

    def predict(
        self, prompt: Prompt | None = None, *, multimask: bool | None = None, **fields: Unpack[PromptFields]
    ) -> SegmentResult:
        """Segment one object.

        A single click is often ambiguous: on a shirt it may mean the shirt, the person or the group. Ask for three
        candidates then, and take the one of the highest IoU prediction, or let a user choose. A box or several clicks
        usually mean one mask, and a single answer is better.

        To correct a mask, predict again with all clicks so far and the low-res logits of the chosen candidate as
        `previous_logits`. The model then sees its own answer, and the new clicks change it where it is wrong. Without
        them it would start again from the clicks alone, and could lose what was right.

        Args:
            prompt: of the object; or give its fields.
            multimask: three candidates (True) or one (False). None returns three for a single click that corrects
                nothing, and one for all other prompts.
            points_xy: (P, 2) source pixels, x right, y down.
            labels: (P,) 1 on the object, 0 not on it; all 1 by default.
            box_xyxy: (4,) source pixels around the object.
            mask: (H, W) a rough mask to start from, alone or with points and a box.
            previous_logits: (h, w) `SegmentResult.low_res_logits[k]` of an earlier prediction, to be corrected by the
                points. They come from the same image: logits of another image are meaningless here.

        Returns:
            The candidates, the one of the highest IoU prediction first.

        Raises:
            PromptError: see `Prompt.create`; or both mask and previous_logits are given.
        """
        side = self.engine.info.low_res_size
        checked = Prompt.of(prompt, fields, size_hw=self.size_hw, low_res_size=side)
        return self._decode([checked.with_logits_for_mask(side)], multimask)[0]

    def predict_many(self, prompts: Sequence[Prompt], *, multimask: bool | None = None) -> list[SegmentResult]:
        """Segment several objects, or one in several ways, in one batch.

        Args:
            prompts: one per object. A mask is a rough one, as in `predict`.
            multimask: as in `predict`; None decides for each prompt.

        Returns:
            One result per prompt, in their order.

        Raises:
            PromptError: a prompt does not fit the image.
        """
        side = self.engine.info.low_res_size
        fitted = [prompt.fitted(self.size_hw, side).with_logits_for_mask(side) for prompt in prompts]
        return self._decode(fitted, multimask)

    def decode(self, prompts: Sequence[Prompt], *, multimask: bool) -> list[Decoded[A]]:
        """Return the decoder's raw answers, one per prompt, with candidates in its order and handles of the engine.

        Args:
            prompts: not checked: in pixels of this image, with logits of the model's size.
            multimask: three candidates (True) or one (False).
        """
        conditioned = self.engine.attend(self.features, [Recall()] * len(prompts))
        return self.engine.decode(conditioned, prompts, multimask=multimask)

    def __repr__(self) -> str:
        return f"EncodedImage({self.engine.info.name!r}, {size_text(self.size_hw)})"

    def _decode(self, prompts: Sequence[Prompt], multimask: bool | None) -> list[SegmentResult]:
        several = [prompt.is_ambiguous if multimask is None else multimask for prompt in prompts]
        results: dict[int, SegmentResult] = {}
        for choice in sorted(set(several)):  # all prompts of a batch have the same number of candidates
            rows = [row for row, is_several in enumerate(several) if is_several == choice]
            answers = self.decode([prompts[row] for row in rows], multimask=choice)
            results.update((row, self._result(answer, prompts[row])) for row, answer in zip(rows, answers, strict=True))
        return [results[row] for row in range(len(prompts))]

    def _result(self, decoded: Decoded[A], prompt: Prompt) -> SegmentResult:
        best_first = list(decoded.best_first)
        logits = self.engine.to_numpy(decoded.low_res_logits)[best_first]
        full = np.stack([shown_logits(plane, self.engine.info, prompt, self.size_hw) for plane in logits])
        if self.edges is not None and self.rgb is not None:
            for plane in full:
                plane[...] = refine_edges(plane, self.rgb, (logits.shape[1], logits.shape[2]), self.edges)
        iou_predictions = np.asarray(decoded.iou_predictions, np.float32)[best_first]
        stage = stage_of(prompt)
        return SegmentResult(
            masks=full > 0,
            iou_predictions=iou_predictions,
            confidences=np.array([confidence_of(iou, self.engine.info, stage) for iou in iou_predictions], np.float32),
            low_res_logits=logits,
            object_score=decoded.object_score,
            rgb=self.rgb,
        )
