"""Official `sam2_image_predictor.py`: prompts on images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from masklet.compat.sam2.arguments import make_prompt, to_array, to_boxes, to_labels, to_logits, to_pixels
from masklet.compat.sam2.model import SAM2Base, engine_of
from masklet.compat.sam2.utils.transforms import SAM2Transforms, as_rgb
from masklet.errors import PromptError
from masklet.masks.operations import upsample_logits, without_small_parts
from masklet.masks.shown import tidied
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
        max_sprinkle_area: separate pieces of up to so many of them are removed. Where neither is given, masks are
            tidied as suits the model: not at all for official ones.

    Raises:
        ConfigError: a number is not finite, or an area is below 0.
        EngineError: `sam_model` is not a model of masklet.
    """

    def __init__(
        self,
        sam_model: Any,
        mask_threshold: float = 0.0,
        max_hole_area: float | None = None,
        max_sprinkle_area: float | None = None,
        **kwargs: Any,
    ) -> None:
        engine = engine_of(sam_model)
        self.model = sam_model if isinstance(sam_model, SAM2Base) else SAM2Base(engine)
        self._is_tidied = max_hole_area is None and max_sprinkle_area is None
        self._transforms = SAM2Transforms(
            self.model.image_size, mask_threshold, max_hole_area or 0.0, max_sprinkle_area or 0.0
        )
        self.mask_threshold = self._transforms.mask_threshold
        self.max_hole_area = self._transforms.max_hole_area
        self.max_sprinkle_area = self._transforms.max_sprinkle_area
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
            PromptError: it is not a list. An empty one is a batch without results.
        """
        self.reset_predictor()
        if isinstance(image_list, np.ndarray | torch.Tensor | str | bytes):
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
            point_labels: (P,) or (B, P), 1 on the object, 0 not on it, -1 for points that fill up an array.
            box: (4,) or (B, 4) left, top, right, bottom.
            mask_input: (1, h, w) or (B, 1, h, w) low-res logits of an earlier prediction; or a mask of that size.
            multimask_output: three candidates, or one.
            return_logits: logits in place of masks.
            normalize_coords: coordinates are pixels of the image; else fractions of its width and height.

        Returns:
            masks (C, H, W) float32 of 0 and 1, or logits; IoU predictions (C,); low-res logits (C, h, w) in [-32, 32].
            With B > 1 objects each has B in front, and with none, as of an image without detections, 0.

        Raises:
            PromptError: there is no image, or the prompts do not fit it or each other.
        """
        if self._is_batch:
            raise PromptError("a batch of images is set: use predict_batch, or set one image with set_image")
        image = self._image(-1)
        prompts = _prompts(image, point_coords, point_labels, box, mask_input, normalize_coords)
        if prompts is None:
            raise PromptError("the prompt is empty: give point_coords, box or mask_input")
        return self._answered(image, prompts, multimask_output, return_logits)

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
        """`predict` on each image of the batch, with the arguments at its place in the lists; None for nothing there.

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
            prompts = _prompts(image, points, labels, box, mask, normalize_coords) or []
            results.append(self._answered(image, prompts, multimask_output, return_logits))
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

    @property
    def _is_image_set(self) -> bool:
        return bool(self._images)

    @property
    def _orig_hw(self) -> list[tuple[int, int]] | None:
        """Sizes of the images; not ours to have here either, but much read."""
        return [image.size_hw for image in self._images] or None

    @property
    def _bb_feat_sizes(self) -> list[tuple[int, int]]:
        return [(self.model.image_size // stride,) * 2 for stride in (4, 8, 16)]

    def _encode(self, image: ImageSource) -> EncodedImage[Any]:
        # A PIL image is taken without rotation: `read_image` would turn it upright.
        return Segmenter(self.model.engine).set_image(as_rgb(image))

    def _image(self, index: int) -> EncodedImage[Any]:
        if not self._images:
            raise PromptError("there is no image: call set_image first")
        return self._images[index]

    # Not public in the official package either, but much called by scripts that work on tensors.

    def _prep_prompts(
        self,
        point_coords: Any,
        point_labels: Any,
        box: Any,
        mask_logits: Any,
        normalize_coords: bool,
        img_idx: int = -1,
    ) -> tuple[torch.Tensor | None, ...]:
        """Return logits (B, 1, h, w), points (B, P, 2) in the model's square, their labels, and boxes (B, 2, 2)."""
        size_hw, transforms = self._image(img_idx).size_hw, self._transforms
        points = labels = corners = logits = None
        if point_coords is not None:
            points = self._tensor(to_array(point_coords, "point_coords"))
            points = transforms.transform_coords(points, normalize_coords, size_hw)
            labels = self._tensor(to_labels(point_labels, "point_labels"))
            points, labels = (points[None], labels[None]) if points.ndim == 2 else (points, labels)
        if box is not None:
            boxes = self._tensor(to_array(box, "box"))
            corners = transforms.transform_boxes(boxes, normalize_coords, size_hw)
        if mask_logits is not None:
            logits = self._tensor(to_logits(mask_logits, "mask_logits"))
            logits = logits[None] if logits.ndim == 3 else logits
        return logits, points, labels, corners

    def _predict(
        self,
        point_coords: Any,
        point_labels: Any,
        boxes: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        img_idx: int = -1,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`predict` for tensors as `_prep_prompts` returns them; results (B, C, ...) are tensors, too."""
        image, side = self._image(img_idx), self.model.image_size
        prompts = _prompts(
            image,
            None if point_coords is None else to_array(point_coords, "point_coords") / side,
            point_labels,
            None if boxes is None else to_array(boxes, "boxes").reshape(-1, 4) / side,
            mask_input,
            normalize=False,
        )
        if prompts is None:
            raise PromptError("the prompt is empty: give point_coords, boxes or mask_input")
        results = self._answered(image, prompts, multimask_output, return_logits)
        if len(prompts) == 1:
            results = (results[0][None], results[1][None], results[2][None])
        masks, ious, low_res = (self._tensor(result) for result in results)
        return masks if return_logits else masks > 0, ious, low_res

    def _tensor(self, values: NDArray[Any]) -> torch.Tensor:
        kind = torch.int32 if values.dtype.kind == "i" else torch.float32
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, kind)

    def _answered(
        self, image: EncodedImage[Any], prompts: Sequence[Prompt], multimask: Any, return_logits: Any
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return masks (B, C, H, W), IoU predictions (B, C) and logits (B, C, h, w); without B if that is 1."""
        info = self.model.engine.info
        side, size_hw = info.low_res_size, image.size_hw
        if not prompts:
            count = 3 if multimask else 1
            shapes = ((count, *size_hw), (count,), (count, side, side))
            none: tuple[FloatArray, ...] = tuple(np.zeros((0, *shape), np.float32) for shape in shapes)
            return none[0], none[1], none[2]
        answers = image.decode(prompts, multimask=bool(multimask))
        low_res = np.stack([self.model.engine.to_numpy(answer.low_res_logits) for answer in answers])  # (B, C, h, w)
        ious = np.array([answer.iou_predictions for answer in answers], np.float32)
        areas = int(self.max_hole_area), int(self.max_sprinkle_area)
        planes = [
            tidied(plane, info, prompt, size_hw)
            if self._is_tidied
            else without_small_parts(plane, *areas, threshold=self.mask_threshold)
            for prompt, candidates in zip(prompts, low_res, strict=True)
            for plane in candidates
        ]
        full = upsample_logits(np.stack(planes), size_hw)
        masks = full if return_logits else (full > self.mask_threshold).astype(np.float32)
        masks = masks.reshape(*low_res.shape[:2], *size_hw)
        low_res = low_res.clip(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT)
        return (masks[0], ious[0], low_res[0]) if len(answers) == 1 else (masks, ious, low_res)


def _prompts(
    image: EncodedImage[Any], point_coords: Any, point_labels: Any, box: Any, mask_input: Any, normalize: Any
) -> list[Prompt] | None:
    """Return one prompt per object, which may be none; None if no argument is given."""
    size_hw, side = image.size_hw, image.engine.info.low_res_size
    columns: dict[str, NDArray[Any]] = {}
    if point_coords is not None:
        if point_labels is None:
            raise PromptError("point_coords came without point_labels: give 1 (on the object) or 0 for each point")
        points, labels = to_array(point_coords, "point_coords"), to_labels(point_labels, "point_labels")
        if (
            points.ndim < 3 and not points.size and not labels.size
        ):  # no points at all, as of an image without detections
            points, labels = points.reshape(0, 0, 2), labels.reshape(0, 0)
        if points.ndim == 2:
            points, labels = points[None], labels[None]
        if points.ndim != 3 or points.shape[2] != 2 or labels.shape != points.shape[:2]:
            raise PromptError(
                f"point_coords must be (P, 2) or (B, P, 2) and point_labels (P,) or (B, P), got "
                f"{np.shape(point_coords)} and {np.shape(point_labels)}"
            )
        columns["point_coords"], columns["point_labels"] = to_pixels(points, size_hw, normalize=normalize), labels
    elif point_labels is not None:
        raise PromptError("point_labels came without point_coords")
    if box is not None:
        columns["box"] = to_boxes(box, size_hw, normalize=normalize)
    if mask_input is not None:
        columns["mask_input"] = _mask_inputs(mask_input, side)
    return _rows(columns) if columns else None


def _mask_inputs(mask_input: Any, side: int) -> FloatArray:
    """Return (B, h, w) low-res logits."""
    logits = to_logits(mask_input, "mask_input")
    if logits.ndim < 2 or logits.shape[-2:] != (side, side) or logits.size % (side * side):
        raise PromptError(
            f"mask_input must be (1, {side}, {side}) or (B, 1, {side}, {side}), as the low-res logits that "
            f"predict gives, got {logits.shape}"
        )
    return logits.reshape(-1, side, side)


def _rows(columns: dict[str, NDArray[Any]]) -> list[Prompt]:
    """Return one prompt for each row of the columns; a column of one row is for all."""
    if columns.keys() == {"point_coords", "point_labels", "box"} and not len(columns["point_coords"]):
        columns = {"box": columns["box"]}  # an empty list of points next to a box is ignored
    counts = {len(values) for values in columns.values()}
    count = 0 if 0 in counts else max(counts)
    for name, values in columns.items():
        if len(values) not in (1, count):
            other = next(length for length in counts if length != len(values))
            raise PromptError(f"{name} is for {len(values)} objects, but another argument is for {other}")
        columns[name] = np.broadcast_to(values if count else values[:0], (count, *values.shape[1:]))
    arguments = ("point_coords", "point_labels", "box", "mask_input")
    rows = [[columns[name][row] if name in columns else None for name in arguments] for row in range(count)]
    return [make_prompt(*values) for values in rows]
