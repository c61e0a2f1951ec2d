"""Official `utils/misc.py`: pieces of masks, boxes, frames of videos, and points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from masklet.compat.sam2.utils.amg import batched_mask_to_box
from masklet.compat.sam2.utils.transforms import MEAN, STD
from masklet.errors import ConfigError, VideoError
from masklet.masks.geometry import to_square_bicubic
from masklet.media.source import FrameSource, VideoSource, open_source

FILLED_LOGIT = 0.1
"""Logit of pixels in small holes that are filled."""


def get_sdpa_settings() -> tuple[bool, bool, bool]:
    """Return whether the GPU is old, whether flash attention can be used, and whether plain attention must stay on."""
    if not torch.cuda.is_available():
        return True, False, True
    major = torch.cuda.get_device_properties(0).major
    return major < 7, major >= 8, major < 8


def get_connected_components(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Number the pieces of masks; pixels that touch at a corner are connected.

    Args:
        mask: (N, 1, H, W), foreground where not 0.

    Returns:
        (N, 1, H, W) int32 number of the piece, from 1, and its area in pixels; 0 on the background.
    """
    if mask.ndim != 4 or mask.shape[1] != 1:
        raise ConfigError(f"mask must be (N, 1, H, W), got {tuple(mask.shape)}")
    labels = np.zeros(mask.shape, np.int32)
    areas = np.zeros(mask.shape, np.int32)
    for row, plane in enumerate((mask[:, 0] != 0).to(torch.uint8).cpu().numpy()):
        if plane.size:
            _, labels[row, 0], stats, _ = cv2.connectedComponentsWithStats(plane, connectivity=8)
            areas[row, 0] = np.where(labels[row, 0] > 0, stats[labels[row, 0], cv2.CC_STAT_AREA], 0)
    return torch.from_numpy(labels).to(mask.device), torch.from_numpy(areas).to(mask.device)


def mask_to_box(masks: Tensor) -> Tensor:
    """Return the boxes of (B, 1, H, W) masks, (B, 1, 4): left, top, right, bottom of their pixels.

    An empty mask has (W, H, -1, -1), as in the official code.
    """
    is_filled = (masks > 0).flatten(-2).any(-1)
    height, width = masks.shape[-2:]
    empty = torch.tensor([width, height, -1, -1], device=masks.device)
    return torch.where(is_filled[..., None], batched_mask_to_box(masks), empty)


def fill_holes_in_mask_scores(mask: Tensor, max_area: float) -> Tensor:
    """Return (N, 1, H, W) logits in which holes of up to `max_area` pixels are filled.

    Raises:
        ConfigError: `max_area` is not above 0.
    """
    if not max_area > 0:
        raise ConfigError(f"max_area must be above 0, got {max_area}")
    labels, areas = get_connected_components(mask <= 0)
    return torch.where((labels > 0) & (areas <= max_area), FILLED_LOGIT, mask)


def concat_points(
    old_point_inputs: dict[str, Tensor] | None, new_points: Tensor, new_labels: Tensor
) -> dict[str, Tensor]:
    """Return (B, P, 2) points and (B, P) labels with new ones at the end, as point_coords and point_labels."""
    if old_point_inputs is None:
        return {"point_coords": new_points, "point_labels": new_labels}
    return {
        "point_coords": torch.cat([old_point_inputs["point_coords"], new_points], 1),
        "point_labels": torch.cat([old_point_inputs["point_labels"], new_labels], 1),
    }


class VideoTensors(Sequence[Tensor]):
    """Frames of a source as the official models see them, (3, S, S) float32 each, made when they are asked for.

    Args:
        source: the video, of known length.
        image_size: side of the square, S.
        device: of the tensors.
        mean: of RGB in [0, 1].
        std: of RGB in [0, 1].
    """

    def __init__(
        self,
        source: FrameSource,
        image_size: int,
        device: Any = "cpu",
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        self._source = source
        self._image_size = image_size
        self._mean, self._std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
        self.device = torch.device(device)
        self.dtype = torch.float32
        self.video_height, self.video_width = source.info.size_hw

    def __len__(self) -> int:
        return self._source.info.num_frames or 0

    def __getitem__(self, index: Any) -> Tensor:  # type: ignore[override]  # a slice is stacked, as of a tensor
        if isinstance(index, slice):
            frames = [self[number] for number in range(*index.indices(len(self)))]
            return torch.stack(frames) if frames else torch.zeros(0, *self.shape[1:], device=self.device)
        number = int(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"frame {number} does not exist: the video has {len(self)}")
        square = to_square_bicubic(self._source.frame(number % len(self)).rgb, self._image_size)
        pixels = torch.from_numpy(square / np.float32(255)).permute(2, 0, 1)
        return ((pixels - self._mean) / self._std).to(self.device)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[number] for number in range(len(self)))

    def __deepcopy__(self, memo: dict[int, Any]) -> VideoTensors:
        return self  # it never changes

    @property
    def shape(self) -> torch.Size:
        """(T, 3, S, S)."""
        return torch.Size([len(self), 3, self._image_size, self._image_size])


def load_video_frames(
    video_path: VideoSource,
    image_size: int,
    offload_video_to_cpu: bool = True,
    img_mean: Sequence[float] = MEAN,
    img_std: Sequence[float] = STD,
    async_loading_frames: bool = False,
    compute_device: Any = "cpu",
) -> tuple[Tensor | VideoTensors, int, int]:
    """Read a video as the official models see it.

    Args:
        video_path: what `masklet.media.source.open_source` takes: also a folder, a file, an array.
        image_size: side of the square, S.
        offload_video_to_cpu: keep the frames on the CPU; else on `compute_device`.
        img_mean: of RGB in [0, 1].
        img_std: of RGB in [0, 1].
        async_loading_frames: return `VideoTensors`, which are made when they are asked for.
        compute_device: see above.

    Returns:
        (T, 3, S, S) float32, and the height and width of the video.

    Raises:
        VideoError: it cannot be opened, or has no known length.
    """
    source = open_source(video_path)
    if source.info.num_frames is None:
        raise VideoError(f"{source.info.name} has no known number of frames, so that they cannot be loaded")
    device = "cpu" if offload_video_to_cpu else compute_device
    frames = VideoTensors(source, image_size, device, img_mean, img_std)
    height, width = source.info.size_hw
    return (frames if async_loading_frames else frames[:]), height, width
