"""Logits of the model's answer, as they are shown: tidied and at the frame's size."""

from __future__ import annotations

import numpy as np

from masklet.masks.operations import tidied_logits, upsample_logits
from masklet.prompts import Prompt
from masklet.records import EngineInfo, FloatArray


def shown_logits(
    low_res_logits: FloatArray,
    info: EngineInfo,
    prompt: Prompt | None,
    size_hw: tuple[int, int],
    out: FloatArray | None = None,
) -> FloatArray:
    """Scale the logits of one candidate to the frame, (h, w) to (H, W), tidied; for the arguments see `tidied`, for
    `out` see `upsample_logits`."""
    return upsample_logits(tidied(low_res_logits, info, prompt, size_hw), size_hw, out)


def tidied(low_res_logits: FloatArray, info: EngineInfo, prompt: Prompt | None, size_hw: tuple[int, int]) -> FloatArray:
    """Return (h, w) logits without the holes and pieces that the model leaves by mistake.

    Args:
        low_res_logits: (h, w) of one candidate.
        info: the model, which says how large holes and pieces are tidied away.
        prompt: the prompt that was answered; pieces that it clicks on stay. None on a tracked frame.
        size_hw: size of the frame.
    """
    if info.max_hole or info.max_piece:
        clicked = None
        if prompt is not None:
            per_pixel = np.array(low_res_logits.shape[::-1]) / np.array(size_hw[::-1])
            clicked = prompt.foreground_xy * per_pixel
        low_res_logits = tidied_logits(
            low_res_logits, max_hole=info.max_hole, max_piece=info.max_piece, kept_xy=clicked
        )
    return low_res_logits
