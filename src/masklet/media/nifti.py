"""NIfTI volumes. Needs nibabel: the extra `nifti`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.errors import ImageError, VideoError
from masklet.media.base import DEFAULT_FPS, VolumeInfo
from masklet.media.images import check_size
from masklet.media.values import Window
from masklet.media.volume import VolumeSource, needed

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".mgz", ".mgh")

MAX_UNPACKED_BYTES = 2 * 2**30
"""Largest volume in a compressed file, which is unpacked into memory as a whole."""


class NiftiSource(VolumeSource):
    """A NIfTI (or MGH) volume: slices along its third axis, or frames in time if each volume is one slice.

    Slices are shown in the radiological convention: up is the head, or the front if the head is not in view; left on
    the screen is the patient's right, or the front. Their order is that of the file. Label volumes are not affected:
    they have the file's own grid.
    """

    def __init__(self, path: str | Path, *, fps: float = DEFAULT_FPS, window: Window | None = None) -> None:
        """Open the file. A compressed file is unpacked into memory; otherwise slices are read as needed.

        Raises:
            VideoError: the file is missing, damaged, not a volume, or a series of volumes.
            EngineError: nibabel is not installed.
        """
        nibabel = needed("nibabel", "nifti")
        self._path = Path(path)
        try:
            image = nibabel.load(self._path)
            _check_header(image, self._path, nibabel.spatialimages.SpatialImage)
            stored = (
                image.dataobj.get_unscaled() if hasattr(image.dataobj, "get_unscaled") else np.asarray(image.dataobj)
            )
        except FileNotFoundError as error:
            raise VideoError(f"no such volume: {path}") from error
        except VideoError:
            raise
        except MemoryError as error:
            raise VideoError(f"{path} cannot be read as a volume: it needs more memory than there is") from error
        except Exception as error:  # nibabel, gzip and numpy each raise their own kinds
            raise VideoError(f"{path} cannot be read as a volume: {error or type(error).__name__}") from error
        if stored.dtype.names:  # RGB24: three named bytes
            stored = stored.view((np.uint8, len(stored.dtype.names)))[..., :3]
            stored, colors = np.moveaxis(stored, -1, 0), True
        else:
            stored, colors = stored[None], False
        shape = tuple(int(side) for side in stored.shape[1:])
        while len(shape) > 3 and 1 in shape[2:]:
            axis = 1 + 2 + shape[2:].index(1)
            stored = stored.squeeze(axis)
            shape = tuple(int(side) for side in stored.shape[1:])
        if len(shape) == 2:
            stored, shape = stored[..., None], (*shape, 1)
        slope, intercept = getattr(image.dataobj, "slope", 1.0), getattr(image.dataobj, "inter", 0.0)
        self._scale = float(slope), float(intercept)
        self._calibrated = _calibrated(image.header)
        axes, flips = _radiological(nibabel.orientations.io_orientation(image.affine)[:, :2])
        volume = VolumeInfo(
            shape=(shape[0], shape[1], shape[2]),
            axes=axes,
            flips=flips,
            affine=np.asarray(image.affine, np.float64),
            header_path=self._path.absolute() if str(path).lower().endswith((".nii", ".nii.gz")) else None,
        )
        self._planes = [volume.as_frames(plane) for plane in stored]
        self._is_color = colors
        super().__init__(str(path), shape[2], fps, window, "nifti", volume)

    def _own_range(self) -> tuple[float, float] | None:
        return self._calibrated

    def _values(self, index: int) -> NDArray[Any]:
        try:
            if self._is_color:
                return np.stack([plane[index] for plane in self._planes], axis=-1)
            values: NDArray[Any] = np.asarray(self._planes[0][index])
        except (OSError, ValueError) as error:
            raise VideoError(f"{self._label(index)} cannot be read: {error}", frame_index=index) from error
        if self._scale == (1.0, 0.0):
            return values
        return values.astype(np.float32) * np.float32(self._scale[0]) + np.float32(self._scale[1])

    def _label(self, index: int) -> str:
        return f"slice {index} of {self._path}"


def _check_header(image: Any, path: Path, volume_type: Any) -> None:
    """Refuse what is not one volume or too large, before any of its values is read."""
    if not isinstance(image, volume_type):
        raise VideoError(f"{path} holds not a volume but {type(image).__name__.removesuffix('Image')} data")
    sides = [int(side) for side in image.shape]
    if len(sides) < 2 or sum(side > 1 for side in sides[2:]) > 1 or min(sides) < 1:
        raise VideoError(
            f"{path} must be one volume, got the shape {tuple(sides)}: split a series into volumes "
            "(nibabel.four_to_three, fslsplit) and take one"
        )
    try:
        check_size(sides[0], sides[1], f"each slice of {path}")
    except ImageError as error:
        raise VideoError(str(error)) from error
    num_bytes = math.prod(sides) * image.get_data_dtype().itemsize
    if path.suffix.lower() in (".gz", ".mgz", ".bz2") and num_bytes > MAX_UNPACKED_BYTES:
        raise VideoError(
            f"{path} unpacks to {num_bytes / 2**30:.1f} GB, the limit is {MAX_UNPACKED_BYTES / 2**30:.0f} GB: unpack "
            "it with gunzip, and its slices are read one by one"
        )


def _calibrated(header: Any) -> tuple[float, float] | None:
    """Return the values that the file declares as black and white; None if it declares none, as most files."""
    if "cal_min" not in header.keys():  # noqa: SIM118 (a header is not a mapping)
        return None
    low, high = float(header["cal_min"]), float(header["cal_max"])
    return (low, high) if high > low else None


def _radiological(orientation: NDArray[Any]) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Choose the display of slices along the third axis: rows and columns run to the left, back and feet.

    Args:
        orientation: (3, 2) nibabel's: for each axis of the array the one of the world (0 right, 1 front, 2 top) that it
            runs along, and 1 or -1, whether with or against it. NaN for an axis of no extent.

    Returns:
        `axes` and `flips` of `VolumeInfo`.
    """
    world = [2 if not np.isfinite(axis) else int(axis) for axis in orientation[:, 0]]
    rows = 0 if world[0] > world[1] else 1
    columns = 1 - rows
    flips = [bool(orientation[axis, 1] > 0) for axis in (rows, columns)]
    return (2, rows, columns), (False, flips[0], flips[1])
