"""Label maps: the masks of one frame as an array whose values are object ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.errors import DataError
from masklet.formats.base import is_seen
from masklet.formats.stream import FrameRows
from masklet.masks.rle import rle_area

OVERLAP_NOTE = "frames in which objects overlap: a pixel holds one object number only, so the smaller one is on top"


def label_map(
    frame: FrameRows, *, largest: int, holder: str, hint: str = "", note: Callable[[str], None] | None = None
) -> NDArray[Any]:
    """Paint the objects of a frame with their ids; where two overlap, the smaller one is on top.

    Args:
        frame: the frame; its masks have the medium's size.
        largest: the largest id that the file can hold; it also decides the type, uint8 or uint16.
        holder: the kind of file, for messages: "a TIFF".
        hint: appended to the error message.
        note: called with `OVERLAP_NOTE` if objects overlap.

    Returns:
        (H, W), 0 where there is no object.

    Raises:
        DataError: an id is 0 or too large.
    """
    visible = [row for row in frame.rows if is_seen(row)]
    outside = [row.object_id for row in visible if not 1 <= row.object_id <= largest]
    if outside:
        raise DataError(
            f"object id {outside[0]} does not fit {holder}, which has 1 to {largest}{hint}: choose smaller ids, one "
            "PNG per object, or the coco format"
        )
    labels = np.zeros(frame.medium.source.info.size_hw, np.uint8 if largest <= 255 else np.uint16)
    areas = [rle_area(row.rle) for row in visible]
    for index in sorted(range(len(visible)), key=lambda index: -areas[index]):
        labels[visible[index].mask] = visible[index].object_id
    if note is not None and np.count_nonzero(labels) < sum(areas):
        note(OVERLAP_NOTE)
    return labels
