"""Official `sam2_image_predictor.py`: prompts on images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from masklet.compat.sam2.model import SAM2Base, engine_of, make_prompt, to_array, to_pixels
from masklet.errors import PromptError
from masklet.masks.operations import upsample_logits, without_small_parts
from masklet.media.images import ImageSource
from masklet.prompts import Prompt
from masklet.records import PREVIOUS_LOGIT_LIMIT, FloatArray
from masklet.segmentation.segmenter import EncodedImage, Segmenter

if TYPE_CHECKING:
    from typing_extensions import Self


class SAM2ImagePredictor:
    """Encodes an image or a batch of images, and answers prompts on them.

    Args:
        sam_model: from `build_sam2` or `masklet.load`.
        mask_threshold: logit above which a pixel is foreground.
        max_hole_area: holes of up to so many pixels of the low-res logits are filled.
        max_sprinkle_area: separate pieces of up to so many of them are removed.
    """

    def __init__(
        self,
        sam_model: Any,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        **kwargs: Any,
    ) -> None:
        engine = engine_of(sam_model)
        self.model = sam_model if isinstance(sam_model, SAM2Base) else SAM2Base(engine)
        self.mask_threshold = mask_threshold
        self.max_hole_area = max_hole_area
        self.max_sprinkle_area = max_sprinkle_area
        self._images: list[EncodedImage[Any]] = []
        self._is_batch = False

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> Self:
        """Build one with the weights of a hub repository; arguments are those of `build_sam2` and of this class."""
        from masklet.compat.sam2.build_sam import build_sam2_hf

        return cls(build_sam2_hf(model_id, **kwargs), **kwargs)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.model.device

    def reset_predictor(self) -> None:
        """Forget the image or images."""
        self._images, self._is_batch = [], False

    def set_image(self, image: ImageSource) -> None:
        """Encode an image for `predict`.

        Args:
            image: (H, W, 3) uint8 RGB or a PIL image, whose pixels are taken as they lie; or what `read_image` takes.

        Raises:
            ImageError: it is none of these, or cannot be read.
        """
        self.reset_predictor()
        self._images = [self._encode(image)]

    def set_image_batch(self, image_list: Sequence[ImageSource]) -> None:
        """Encode images, which may have different sizes, for `predict_batch`.

        Raises:
            ImageError: one of them is not an image.
            PromptError: there are none.
        """
        self.reset_predictor()
        if isinstance(image_list, np.ndarray | str | bytes) or not len(image_list):
            raise PromptError(f"image_list must be a list of images, got {type(image_list).__name__}")
        self._images, self._is_batch = [self._encode(image) for image in image_list], True

    def predict(
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Segment one object, or B at once, on the image.

        Args:
            point_coords: (P, 2) or (B, P, 2) x and y.
            point_labels: (P,) or (B, P), 1 on the object, 0 not on it.
            box: (4,) or (B, 4) left, top, right, bottom.
            mask_input: (1, h, w) or (B, 1, h, w) low-res logits of an earlier prediction.
            multimask_output: three candidates, or one.
            return_logits: logits in place of masks.
            normalize_coords: coordinates are pixels of the image; else fractions of its width and height.

        Returns:
            masks (C, H, W) float32 of 0 and 1, or logits; IoU predictions (C,); low-res logits (C, h, w) in [-32, 32].
            With B > 1 objects each has B in front.

        Raises:
            PromptError: there is no image, or the prompts do not fit it or each other.
        """
        if self._is_batch:
            raise PromptError("a batch of images is set: use predict_batch, or set one image with set_image")
        image = self._image(-1)
        prompts = _prompts(image, point_coords, point_labels, box, mask_input, normalize_coords)
        return self._predict(image, prompts, multimask_output, return_logits)

    def predict_batch(
        self,
        point_coords_batch: Sequence[Any] | None = None,
        point_labels_batch: Sequence[Any] | None = None,
        box_batch: Sequence[Any] | None = None,
        mask_input_batch: Sequence[Any] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[list[FloatArray], list[FloatArray], list[FloatArray]]:
        """`predict` on each image of the batch, with the arguments at its place in the lists.

        Raises:
            PromptError: no batch of images is set, or a list is not as long as it; see `predict`.
        """
        if not self._is_batch:
            raise PromptError("no batch of images is set: call set_image_batch first")
        columns = {
            "point_coords_batch": point_coords_batch,
            "point_labels_batch": point_labels_batch,
            "box_batch": box_batch,
            "mask_input_batch": mask_input_batch,
        }
        for name, values in columns.items():
            if values is not None and len(values) != len(self._images):
                raise PromptError(f"{name} must have one entry per image, {len(self._images)}, got {len(values)}")
        results = []
        for index, image in enumerate(self._images):
            points, labels, box, mask = (None if values is None else values[index] for values in columns.values())
            prompts = _prompts(image, points, labels, box, mask, normalize_coords)
            results.append(self._predict(image, prompts, multimask_output, return_logits))
        return [r[0] for r in results], [r[1] for r in results], [r[2] for r in results]

    def get_image_embedding(self) -> torch.Tensor:
        """(B, C, h, w) what the mask decoder sees of each image.

        Raises:
            PromptError: there is no image.
        """
        self._image(-1)
        return self._arrays("unconditioned")

    @property
    def _features(self) -> dict[str, Any] | None:
        """The mask decoder's view of the images, by the official names; None without an image. Not ours to have
        here, but the official notebook prints its shapes, and many scripts read it.
        """
        if not self._images:
            return None
        high_res = [self._arrays("high_res_4"), self._arrays("high_res_8")]
        return {"image_embed": self._arrays("unconditioned"), "high_res_feats": high_res}

    def _arrays(self, name: str) -> torch.Tensor:
        return torch.cat([torch.as_tensor(image.features.arrays[name]) for image in self._images])

    def _encode(self, image: ImageSource) -> EncodedImage[Any]:
        if isinstance(image, Image.Image):
            image = np.array(image.convert("RGB"))  # without rotation: `read_image` would turn it upright
        return Segmenter(self.model.engine).set_image(image)

    def _image(self, index: int) -> EncodedImage[Any]:
        if not self._images:
            raise PromptError("there is no image: call set_image first")
        return self._images[index]

    def _predict(
        self, image: EncodedImage[Any], prompts: Sequence[Prompt], multimask: bool, return_logits: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        answers = image.decode(prompts, multimask=multimask)
        low_res = np.stack([self.model.engine.to_numpy(answer.low_res_logits) for answer in answers])  # (B, C, h, w)
        ious = np.array([answer.iou_predictions for answer in answers], np.float32)
        planes = low_res.reshape(-1, *low_res.shape[2:])
        if self.max_hole_area or self.max_sprinkle_area:
            areas = int(self.max_hole_area), int(self.max_sprinkle_area)
            planes = np.stack([without_small_parts(plane, *areas, threshold=self.mask_threshold) for plane in planes])
        full = upsample_logits(planes, image.size_hw)
        masks = full if return_logits else (full > self.mask_threshold).astype(np.float32)
        masks = masks.reshape(*low_res.shape[:2], *image.size_hw)
        low_res = low_res.clip(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT)
        return (masks[0], ious[0], low_res[0]) if len(answers) == 1 else (masks, ious, low_res)


def _prompts(
    image: EncodedImage[Any], point_coords: Any, point_labels: Any, box: Any, mask_input: Any, normalize: bool
) -> list[Prompt]:
    """Return one prompt per object."""
    size_hw, side = image.size_hw, image.engine.info.low_res_size
    fields: dict[str, FloatArray] = {}
    if point_coords is not None:
        if point_labels is None:
            raise PromptError("point_coords came without point_labels: give 1 (on the object) or 0 for each point")
        points, labels = to_array(point_coords, "point_coords"), to_array(point_labels, "point_labels")
        if points.ndim == 2:
            points, labels = points[None], labels[None]
        if points.ndim != 3 or points.shape[2] != 2 or labels.shape != points.shape[:2]:
            raise PromptError(
                f"point_coords must be (P, 2) or (B, P, 2) and point_labels (P,) or (B, P), got "
                f"{np.shape(point_coords)} and {np.shape(point_labels)}"
            )
        fields["point_coords"], fields["point_labels"] = to_pixels(points, size_hw, normalize=normalize), labels
    elif point_labels is not None:
        raise PromptError("point_labels came without point_coords")
    if box is not None:
        boxes = to_array(box, "box")
        if boxes.size % 4 or not boxes.size:
            raise PromptError(f"box must be (4,) or (B, 4), got {boxes.shape}")
        corners = to_pixels(boxes.reshape(-1, 2, 2), size_hw, normalize=normalize, are_corners=True)
        fields["box"] = corners.reshape(-1, 4)
    if mask_input is not None:
        logits = to_array(mask_input, "mask_input")
        if logits.ndim < 2 or logits.shape[-2:] != (side, side) or logits.size % (side * side):
            raise PromptError(
                f"mask_input must be (1, {side}, {side}) or (B, 1, {side}, {side}), as the low-res logits that "
                f"predict gives, got {logits.shape}"
            )
        fields["mask_input"] = logits.reshape(-1, side, side)
    if not fields:
        raise PromptError("the prompt is empty: give point_coords, box or mask_input")
    count = max(len(values) for values in fields.values())
    for name, values in fields.items():
        if len(values) not in (1, count):
            raise PromptError(f"{name} is for {len(values)} objects, but another argument is for {count}")
        fields[name] = np.broadcast_to(values, (count, *values.shape[1:]))
    return [
        make_prompt(
            fields["point_coords"][row] if "point_coords" in fields else None,
            fields["point_labels"][row] if "point_labels" in fields else None,
            fields["box"][row] if "box" in fields else None,
            fields["mask_input"][row] if "mask_input" in fields else None,
            size_hw,
        )
        for row in range(count)
    ]
