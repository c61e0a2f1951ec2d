"""Frames with their masks for a render: as they are stored, or steadied over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from masklet.masks.stabilise import StabiliseConfig, stabilised
from masklet.records import BoolArray, Frame, FrameMasks
from masklet.render.composition import Composition
from masklet.render.frame import check_mask_size
from masklet.tracking.mask_rows import from_results
from masklet.tracking.masklets import Masklets

FrameWithMasks = tuple[Frame, Mapping[int, BoolArray]]
"""A frame, and (H, W) masks by object id."""

REACH = StabiliseConfig().reach
"""Frames before and after a frame on which its steady masks depend."""


def steadies(composition: Composition) -> bool:
    """Return True if the outlines are steadied: where it is asked for, and by default where objects are cut out.

    A cut-out shows every pixel by which an outline jumps; a highlight hides them.
    """
    choice = composition.edges.stabilise
    return choice == "on" or (choice == "auto" and composition.cuts_out)


def frames_with_masks(frames: Iterable[Frame], masklets: Masklets, *, stabilise: bool) -> Iterator[FrameWithMasks]:
    """Yield each frame with its masks.

    Args:
        frames: consecutive frames.
        masklets: their masks.
        stabilise: steady the masks over time; see `masklet.masks.stabilise`. Masks that a user gave or accepted stay
            as they are. Frames come later by `REACH`.

    Raises:
        DataError: a mask does not have the size of its frame.
    """
    if not stabilise:
        for frame in frames:
            yield frame, masklets.masks_at(frame.index)
        return
    for frame, masks in stabilised((frame, _frame_masks(frame, masklets)) for frame in frames):
        yield frame, dict(zip(masks.object_ids, masks.masks, strict=True))


def _frame_masks(frame: Frame, masklets: Masklets) -> FrameMasks:
    rows = masklets.at(frame.index)
    for row in rows:
        check_mask_size(row.object_id, row.mask, frame.size_hw)
    masks = np.array([row.mask for row in rows], np.bool_).reshape(-1, *frame.size_hw)
    result = from_results(frame.index, frame.time_s, rows, masks)
    result.prompted[:] |= np.array([row.accepted for row in rows], np.bool_)
    return result
