"""Detections: what a grid of clicks, a detector or a file says is an object on a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from masklet.masks.operations import mask_box_xyxy
from masklet.masks.rle import CocoRle, decode_rle, encode_rle
from masklet.records import BoolArray, Frame

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Detection:
    """An object on one frame as a detector sees it: a mask, or only a box."""

    box_xyxy: Box
    """Left, top, right and bottom in source pixels, within the frame; right and bottom one past the last pixel."""
    score: float = 1.0
    """In [0, 1]: how sure its source is."""
    label: str = ""
    """Class of the object, as "person"; may be empty."""
    rle: CocoRle | None = field(default=None, repr=False)
    """The mask, run-length encoded in source size; None where only the box is known."""

    @classmethod
    def of_mask(cls, mask: BoolArray, *, score: float = 1.0, label: str = "") -> Detection | None:
        """Return the detection with an (H, W) mask; None for an empty mask."""
        box = mask_box_xyxy(mask)
        if box is None:
            return None
        left, top, right, bottom = (float(edge) for edge in box)
        return cls((left, top, right, bottom), score, label, encode_rle(mask))

    def mask(self, size_hw: tuple[int, int]) -> BoolArray:
        """Return the (H, W) mask; the filled box where there is no mask."""
        if self.rle is not None:
            return decode_rle(self.rle, size_hw)
        filled = np.zeros(size_hw, np.bool_)
        left, top, right, bottom = (round(edge) for edge in self.box_xyxy)
        filled[top:bottom, left:right] = True
        return filled


class Detector(Protocol):
    """Finds objects on single frames."""

    def detect(self, frame: Frame, covered: BoolArray) -> Sequence[Detection]:
        """Return the detections on a frame.

        Args:
            frame: the frame with its pixels.
            covered: (H, W) True where something is tracked already. A detector that searches point by point may leave
                these pixels out; one that sees the whole frame at once returns everything.
        """
        ...


@runtime_checkable
class RecordedDetector(Detector, Protocol):
    """A detector whose answers were written down earlier, for some frames."""

    @property
    def key_frames(self) -> range | frozenset[int]:
        """The frames that it has answers for: a range if the rules choose key frames in it, a set if each is one.

        On other frames nothing counts as missed.
        """
        ...
