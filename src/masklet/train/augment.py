"""Augmentation of an image together with the ids of its objects, and cutting objects out to paste them elsewhere.

Everything here is a function of arrays and a random generator; nothing knows of files or tensors.

Shapes: H x W source pixels, S the model's square input. Images are (H, W, 3) uint8 RGB; `ids` are (H, W) uint8 with
0 for background, 255 (`VOID`) for pixels that are not judged; `alpha` is uint8, 255 where a pixel is all object.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from masklet.records import BoolArray, ByteArray, FloatArray

VOID = 255
"""Id of pixels that belong to no known object and are ignored by the loss."""

CUTOUT_MARGIN_PX = 2
"""Background kept around a cut-out, so that interpolation at its outline never meets the end of the array."""

DRAWN_IN: ByteArray = np.clip((np.arange(256) - 80) * (255 / 175), 0, 255).astype(np.uint8)
"""Table from the alpha of a softened outline to that of one a third of a pixel further in."""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image and the ids of its objects, of one size."""

    rgb: ByteArray
    """(H, W, 3)."""
    ids: ByteArray
    """(H, W), 0 background, `VOID` unknown."""

    def crop(self, window: Window) -> LabelledImage:
        """Return the part inside a window, as views."""
        rows = slice(window.top, window.top + window.height)
        columns = slice(window.left, window.left + window.width)
        return LabelledImage(self.rgb[rows, columns], self.ids[rows, columns])

    def flip(self) -> LabelledImage:
        """Return image and ids mirrored left to right, as views."""
        return LabelledImage(self.rgb[:, ::-1], self.ids[:, ::-1])

    def merge_objects(self) -> LabelledImage:
        """Return all objects as one, of id 1: the parts of a person become the person."""
        ids = self.ids.copy()
        ids[(ids != 0) & (ids != VOID)] = 1
        return LabelledImage(self.rgb, ids)


@dataclass(frozen=True, slots=True)
class Window:
    """A crop in source pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Cutout:
    """One object cut out of its image, with a margin of `CUTOUT_MARGIN_PX`."""

    rgb: ByteArray
    """(h, w, 3) the box around the object, background included."""
    alpha: ByteArray
    """(h, w)."""
    borders_touched: int
    """Number of image sides that cut the object off, 0 to 4: such an object looks wrong when moved inside."""

    def flip(self) -> Cutout:
        """Return the cut-out mirrored left to right."""
        return Cutout(self.rgb[:, ::-1], self.alpha[:, ::-1], self.borders_touched)


def object_ids(ids: ByteArray, min_fraction: float, max_fraction: float) -> list[int]:
    """Return the ids whose area lies within two fractions of the image's; never background or void."""
    areas = np.bincount(ids.ravel(), minlength=256)
    areas[[0, VOID]] = 0
    present = (areas >= max(1.0, min_fraction * ids.size)) & (areas <= max_fraction * ids.size)
    return [int(object_id) for object_id in np.flatnonzero(present)]


def random_window(ids: ByteArray, rng: np.random.Generator, *, min_area: float, min_side_px: int) -> Window:
    """Draw a crop of `min_area` to all of the image, of about its shape, that holds a pixel of a random object.

    Args:
        ids: (H, W) object ids; without an object the position is random.
        min_area: smallest crop as a fraction of the image's area, in (0, 1].
        min_side_px: no side gets shorter than this, unless the image is.
    """
    height, width = ids.shape
    scale = np.sqrt(rng.uniform(min_area, 1.0))
    stretch = np.exp(rng.uniform(-0.25, 0.25))
    crop_height = min(height, max(min_side_px, round(height * scale * stretch)))
    crop_width = min(width, max(min_side_px, round(width * scale / stretch)))
    present = object_ids(ids, 0.0, 1.0)
    if present:
        pixels = np.flatnonzero(ids == rng.choice(present))
        row, column = divmod(int(rng.choice(pixels)), width)
    else:
        row, column = int(rng.integers(height)), int(rng.integers(width))
    top = rng.integers(max(0, row - crop_height + 1), min(row, height - crop_height) + 1)
    left = rng.integers(max(0, column - crop_width + 1), min(column, width - crop_width) + 1)
    return Window(int(top), int(left), crop_height, crop_width)


def resize_coverage(region: BoolArray | ByteArray, size: int) -> ByteArray:
    """Return how much of each of size x size pixels a region covers, 0 to 255.

    Args:
        region: (H, W) bool, or uint8 alpha.
    """
    alpha = np.ascontiguousarray(region, np.uint8)
    if region.dtype == np.bool_:
        alpha = alpha * np.uint8(255)
    interpolation = cv2.INTER_AREA if alpha.shape[0] > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(alpha, (size, size), interpolation=interpolation), np.uint8)


def random_colour(rng: np.random.Generator, strength: float = 1.0) -> FloatArray:
    """Draw a random change of light and colour, as a matrix for `apply_colour`.

    Gain and offset, in 40 % of draws a gain per channel (white balance), and saturation. `strength` 1 is an image
    augmentation, less is what may happen within a clip, 0 changes nothing.

    Returns:
        (3, 4) float32: 3 x 3 on RGB, and an offset in [0, 255] units.
    """
    gain = np.full(3, 1.0 + strength * rng.uniform(-0.3, 0.3))
    if rng.random() < 0.4:
        gain += strength * rng.uniform(-0.15, 0.15, 3)
    saturation = 1.0 + strength * rng.uniform(-0.6, 0.4)
    offset = strength * rng.uniform(-20.0, 20.0)
    mix = saturation * np.eye(3) + (1.0 - saturation) / 3.0
    return np.column_stack([mix * gain, np.full(3, offset)]).astype(np.float32)


def apply_colour(rgb: ByteArray, matrix: FloatArray) -> ByteArray:
    """Apply a (3, 4) colour matrix, clipped to [0, 255]."""
    return np.asarray(cv2.transform(np.ascontiguousarray(rgb), matrix), np.uint8)


@dataclass(frozen=True, slots=True)
class Degradation:
    """Degradation by a camera and a codec; the same for all frames of a clip."""

    blur_sigma_px: float = 0.0
    noise_sigma: float = 0.0
    """Standard deviation of the noise, in units of [0, 255]."""
    jpeg_quality: int = 100
    """1 to 100; 100 leaves the image alone."""

    def apply(self, rgb: ByteArray, rng: np.random.Generator) -> ByteArray:
        """Apply blur, then noise, then compression."""
        if self.blur_sigma_px:
            rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), self.blur_sigma_px), np.uint8)
        if self.noise_sigma:
            noise = rng.standard_normal(rgb.shape, dtype=np.float32) * np.float32(self.noise_sigma)
            rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
        return rgb if self.jpeg_quality == 100 else compress(rgb, self.jpeg_quality)


def random_degradation(rng: np.random.Generator, probability: float) -> Degradation:
    """Draw blur, noise and compression, each with the given probability."""
    blur, noise, jpeg = rng.random(3) < probability
    return Degradation(
        blur_sigma_px=rng.uniform(0.5, 1.5) if blur else 0.0,
        noise_sigma=rng.uniform(2.0, 8.0) if noise else 0.0,
        jpeg_quality=int(rng.integers(25, 70)) if jpeg else 100,
    )


def compress(rgb: ByteArray, quality: int) -> ByteArray:
    """Compress and decompress an image as JPEG, quality 1 to 100."""
    _, encoded = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def cut_out(image: LabelledImage, object_id: int) -> Cutout:
    """Cut one object out of its image. The object must be in the image."""
    region = image.ids == object_id
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    height, width = region.shape
    borders_touched = int(top == 0) + int(left == 0) + int(bottom == height) + int(right == width)
    box = (slice(top, bottom), slice(left, right))
    margin = (CUTOUT_MARGIN_PX, CUTOUT_MARGIN_PX)
    rgb = np.pad(image.rgb[box], (margin, margin, (0, 0)), mode="edge")
    alpha = np.pad(region[box].astype(np.uint8) * np.uint8(255), (margin, margin))
    return Cutout(rgb, alpha, borders_touched)


def scale_cutout(cutout: Cutout, longest_side_px: float) -> Cutout:
    """Resize a cut-out to a longest side, and soften its outline inwards.

    The outline is blurred over about a pixel and drawn in by a third of one, which removes the rim of old
    background.
    """
    height, width = cutout.alpha.shape
    scale = longest_side_px / max(height, width)
    size_wh = (max(4, round(width * scale)), max(4, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    rgb = cv2.resize(np.ascontiguousarray(cutout.rgb), size_wh, interpolation=interpolation)
    alpha = cv2.resize(np.ascontiguousarray(cutout.alpha), size_wh, interpolation=interpolation)
    blurred = cv2.GaussianBlur(alpha, (0, 0), 0.8, borderType=cv2.BORDER_CONSTANT)
    return Cutout(np.asarray(rgb, np.uint8), DRAWN_IN[blurred], cutout.borders_touched)


def blend(below: ByteArray, above: ByteArray, alpha: ByteArray) -> ByteArray:
    """Blend `above` over `below`, both (h, w, 3), by alpha (h, w)."""
    weight = alpha[:, :, None].astype(np.float32) * np.float32(1 / 255)
    return (below + (above.astype(np.float32) - below) * weight + np.float32(0.5)).astype(np.uint8)


def paste(rgb: ByteArray, cutout: Cutout, centre_xy: tuple[int, int]) -> tuple[ByteArray, ByteArray]:
    """Paste a cut-out into an image, at its own size; parts beyond the image are lost.

    Returns:
        The new image, and the pasted object's alpha (H, W).
    """
    height, width = rgb.shape[:2]
    cut_height, cut_width = cutout.alpha.shape
    top, left = centre_xy[1] - cut_height // 2, centre_xy[0] - cut_width // 2
    rows = slice(max(0, top), max(0, min(height, top + cut_height)))
    columns = slice(max(0, left), max(0, min(width, left + cut_width)))
    part = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    pasted, alpha = rgb.copy(), np.zeros((height, width), np.uint8)
    pasted[rows, columns] = blend(rgb[rows, columns], cutout.rgb[part], cutout.alpha[part])
    alpha[rows, columns] = cutout.alpha[part]
    return pasted, alpha
