"""Official `automatic_mask_generator.py`: everything in an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from masklet.checks import check_choice
from masklet.compat.sam2.model import engine_of
from masklet.compat.sam2.sam2_image_predictor import SAM2ImagePredictor
from masklet.errors import ConfigError
from masklet.masks.rle import run_lengths
from masklet.media.images import ImageSource, read_image
from masklet.segmentation.automatic import AutomaticConfig, AutomaticMask, Box, segment_everything

if TYPE_CHECKING:
    from typing_extensions import Self

OutputMode = Literal["binary_mask", "uncompressed_rle", "coco_rle"]


class SAM2AutomaticMaskGenerator:
    """Finds everything in an image with a grid of clicks; the arguments are described in `AutomaticConfig`.

    Args:
        model: from `build_sam2` or `masklet.load`.
        points_per_side: clicks along a side; None when there are `point_grids`.
        min_mask_region_area: holes and pieces of up to so many pixels *of the low-res logits* go, as in SAM 2.
        output_mode: what "segmentation" is: an (H, W) bool array, or run lengths as lists or as COCO's text.

    Raises:
        ConfigError: an argument out of its range, or both or neither of points_per_side and point_grids.
    """

    def __init__(
        self,
        model: Any,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.8,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        mask_threshold: float = 0.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[Any] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
        use_m2m: bool = False,
        multimask_output: bool = True,
        **kwargs: Any,
    ) -> None:
        if (points_per_side is None) == (point_grids is None):
            raise ConfigError("give one of points_per_side and point_grids, and None for the other")
        check_choice("output_mode", output_mode, get_args(OutputMode))
        self.predictor = SAM2ImagePredictor(model)
        self.output_mode = output_mode
        self.config = AutomaticConfig(
            points_per_side=points_per_side or 1,
            points_per_batch=points_per_batch,
            min_iou=pred_iou_thresh,
            min_stability=stability_score_thresh,
            stability_offset=stability_score_offset,
            mask_threshold=mask_threshold,
            nms_iou=box_nms_thresh,
            crop_layers=crop_n_layers,
            crop_nms_iou=crop_nms_thresh,
            crop_overlap=crop_overlap_ratio,
            crop_points_divisor=crop_n_points_downscale_factor,
            point_grids=point_grids,
            low_res_region_area=min_mask_region_area,
            refine=use_m2m,
            multimask=multimask_output,
            order="crop",
        )

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> Self:
        """Build one with the weights of a hub repository; arguments are those of `build_sam2` and of this class."""
        from masklet.compat.sam2.build_sam import build_sam2_hf

        return cls(build_sam2_hf(model_id, **kwargs), **kwargs)

    def generate(self, image: ImageSource) -> list[dict[str, Any]]:
        """The masks, as dicts with the official keys.

        Args:
            image: (H, W, 3) uint8 RGB, or what `masklet.media.images.read_image` takes.

        Returns:
            segmentation, area (pixels), bbox and crop_box ([x, y, width, height]; of bbox as SAM has it, one less than
            the pixels across), predicted_iou, stability_score, point_coords ([[x, y]]).

        Raises:
            ImageError: the image cannot be read.
            ConfigError: it is too small for so many crops.
        """
        masks = segment_everything(engine_of(self.predictor.model), read_image(image), self.config)
        return [self._annotation(mask) for mask in masks]

    def _annotation(self, mask: AutomaticMask) -> dict[str, Any]:
        segmentation: Any = mask.rle
        if self.output_mode == "binary_mask":
            segmentation = mask.mask
        elif self.output_mode == "uncompressed_rle":
            segmentation = {"size": mask.rle["size"], "counts": run_lengths(mask.mask)}
        left, top, right, bottom = mask.box_xyxy
        return {
            "segmentation": segmentation,
            "area": mask.area,
            "bbox": [float(left), float(top), float(right - 1 - left), float(bottom - 1 - top)],
            "predicted_iou": mask.iou_prediction,
            "point_coords": [list(mask.point_xy)],
            "stability_score": mask.stability,
            "crop_box": _xywh(mask.crop_box_xyxy),
        }


def _xywh(box_xyxy: Box) -> list[int]:
    left, top, right, bottom = box_xyxy
    return [left, top, right - left, bottom - top]
