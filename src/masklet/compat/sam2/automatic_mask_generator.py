"""Official `automatic_mask_generator.py`: everything in an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from masklet.checks import check_choice
from masklet.compat.sam2.arguments import PAGE
from masklet.compat.sam2.model import engine_of
from masklet.compat.sam2.sam2_image_predictor import SAM2ImagePredictor
from masklet.compat.sam2.utils.transforms import as_rgb
from masklet.errors import ConfigError
from masklet.masks.rle import run_lengths
from masklet.media.images import ImageSource
from masklet.segmentation.automatic import AutomaticConfig, AutomaticMask, Box, segment_everything

if TYPE_CHECKING:
    from typing_extensions import Self

OutputMode = Literal["binary_mask", "uncompressed_rle", "coco_rle"]


class _ModelDefault:
    """Stands for an argument that is left out."""

    def __repr__(self) -> str:
        return "the model's default"


MODEL_DEFAULT: Any = _ModelDefault()
"""The value that suits the model: the official default for official models, nano's own for nano."""

_FIELDS = {
    "points_per_side": "points_per_side",
    "points_per_batch": "points_per_batch",
    "pred_iou_thresh": "min_iou",
    "stability_score_thresh": "min_stability",
    "stability_score_offset": "stability_offset",
    "mask_threshold": "mask_threshold",
    "box_nms_thresh": "nms_iou",
    "crop_n_layers": "crop_layers",
    "crop_nms_thresh": "crop_nms_iou",
    "crop_overlap_ratio": "crop_overlap",
    "crop_n_points_downscale_factor": "crop_points_divisor",
    "point_grids": "point_grids",
    "min_mask_region_area": "low_res_region_area",
    "use_m2m": "refine",
    "multimask_output": "multimask",
}
"""Official argument: field of `AutomaticConfig`."""


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
        points_per_side: int | None = MODEL_DEFAULT,
        points_per_batch: int = MODEL_DEFAULT,
        pred_iou_thresh: float = MODEL_DEFAULT,
        stability_score_thresh: float = MODEL_DEFAULT,
        stability_score_offset: float = MODEL_DEFAULT,
        mask_threshold: float = MODEL_DEFAULT,
        box_nms_thresh: float = MODEL_DEFAULT,
        crop_n_layers: int = MODEL_DEFAULT,
        crop_nms_thresh: float = MODEL_DEFAULT,
        crop_overlap_ratio: float = MODEL_DEFAULT,
        crop_n_points_downscale_factor: int = MODEL_DEFAULT,
        point_grids: Sequence[Any] | None = None,
        min_mask_region_area: int = MODEL_DEFAULT,
        output_mode: str = "binary_mask",
        use_m2m: bool = MODEL_DEFAULT,
        multimask_output: bool = MODEL_DEFAULT,
        **kwargs: Any,
    ) -> None:
        arguments = dict(locals())
        if (points_per_side is None) == (point_grids is None):
            raise ConfigError("give one of points_per_side and point_grids, and None for the other")
        check_choice("output_mode", output_mode, get_args(OutputMode))
        engine = engine_of(model)
        changes: dict[str, Any] = {"order": "crop"}
        for name, field in _FIELDS.items():
            if arguments[name] is not MODEL_DEFAULT and arguments[name] is not None:
                changes[field] = AutomaticConfig.check(field, arguments[name], name=name)
        if min_mask_region_area is not MODEL_DEFAULT:
            changes["min_region_area"] = 0  # the caller's rule takes the place of the model's
        self.config = AutomaticConfig.for_engine(engine.info, **changes)
        self.predictor = SAM2ImagePredictor(model)
        self.output_mode = output_mode

    def __getattr__(self, name: str) -> Any:
        # Settings are read by their official names: generator.pred_iou_thresh.
        if name in _FIELDS and "config" in vars(self):
            return getattr(self.config, _FIELDS[name])
        raise AttributeError(f"{type(self).__name__} has no {name!r} (see {PAGE})")

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
        masks = segment_everything(engine_of(self.predictor.model), as_rgb(image), self.config)
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
