"""Official `utils/transforms.py`: images, coordinates and masks between their own size and the model's square."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from masklet.checks import check_number, check_whole
from masklet.errors import ConfigError
from masklet.masks.geometry import to_square_antialias
from masklet.masks.operations import without_small_parts
from masklet.media.images import ImageSource, read_image
from masklet.records import ByteArray

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of RGB in [0, 1], by which the official models' inputs are normalised."""


class SAM2Transforms(nn.Module):
    """Transforms of one model.

    Args:
        resolution: side of the model's square, pixels.
        mask_threshold: logit above which a pixel is foreground.
        max_hole_area: holes of up to so many pixels of the low-res logits are filled.
        max_sprinkle_area: separate pieces of up to so many of them are removed.
    """

    def __init__(
        self, resolution: int, mask_threshold: float, max_hole_area: float = 0.0, max_sprinkle_area: float = 0.0
    ) -> None:
        super().__init__()
        self.resolution = check_whole("resolution", resolution, least=1)
        self.mask_threshold = check_number("mask_threshold", mask_threshold)
        self.max_hole_area = check_number("max_hole_area", max_hole_area, least=0)
        self.max_sprinkle_area = check_number("max_sprinkle_area", max_sprinkle_area, least=0)
        self.mean, self.std = list(MEAN), list(STD)

    def forward(self, x: ImageSource) -> Tensor:
        """Return an image, (H, W, 3) uint8 RGB or a PIL image, as (3, S, S) float32, normalised."""
        square = torch.from_numpy(to_square_antialias(as_rgb(x), self.resolution))
        return normalised(square / 255)

    def forward_batch(self, img_list: Sequence[ImageSource]) -> Tensor:
        """Return images of any size as (B, 3, S, S)."""
        if not len(img_list):
            return torch.zeros(0, 3, self.resolution, self.resolution)
        return torch.stack([self(image) for image in img_list])

    def transform_coords(self, coords: Tensor, normalize: bool = False, orig_hw: Sequence[int] | None = None) -> Tensor:
        """Return (..., 2) x and y as pixels of the square.

        Args:
            coords: in pixels of the image where `normalize`, else in fractions of its width and height.
            normalize: see above.
            orig_hw: size of the image, needed where `normalize`.
        """
        if normalize:
            if orig_hw is None:
                raise ConfigError("orig_hw must be the image's (height, width) where normalize is True, got None")
            coords = coords / torch.tensor([orig_hw[1], orig_hw[0]], device=coords.device)
        return coords * self.resolution

    def transform_boxes(self, boxes: Tensor, normalize: bool = False, orig_hw: Sequence[int] | None = None) -> Tensor:
        """Return (B, 4) boxes as (B, 2, 2) corners in pixels of the square; see `transform_coords`."""
        return self.transform_coords(boxes.reshape(-1, 2, 2), normalize, orig_hw)

    def postprocess_masks(self, masks: Tensor, orig_hw: Sequence[int]) -> Tensor:
        """Return (B, C, h, w) logits at the size of the image, without small holes and pieces."""
        masks = masks.float()
        if (self.max_hole_area or self.max_sprinkle_area) and masks.numel():
            areas = int(self.max_hole_area), int(self.max_sprinkle_area)
            planes = [
                without_small_parts(plane, *areas, threshold=self.mask_threshold)
                for plane in masks.detach().flatten(0, -3).cpu().numpy()
            ]
            masks = torch.from_numpy(np.stack(planes)).reshape(masks.shape).to(masks.device)
        if not masks.numel():
            return masks.new_zeros(*masks.shape[:-2], *orig_hw)
        return F.interpolate(masks, tuple(orig_hw), mode="bilinear", align_corners=False)


def normalised(square: Tensor) -> Tensor:
    """Return (S, S, 3) of [0, 1] as (3, S, S), normalised as the official models' inputs."""
    return ((square - torch.tensor(MEAN)) / torch.tensor(STD)).permute(2, 0, 1).contiguous()


def as_rgb(image: ImageSource) -> ByteArray:
    """Return an image as (H, W, 3) uint8; the pixels of a PIL image as they lie, whatever its orientation tag says.

    Raises:
        ImageError: it is not an image.
    """
    return read_image(image, upright=not isinstance(image, Image.Image))
