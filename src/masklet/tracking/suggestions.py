"""Chooses the frames on which a click would help most."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from masklet.records import ObjectStatus
from masklet.tracking.mask_store import Scores

STATUS_DOUBT = {"present": 0.0, "uncertain": 0.5, "occluded": 0.3, "lost": 0.3}
"""Doubt that a status adds to what a mask's reliability leaves. That an object is gone may well be true."""
ONSET = 0.4
"""Added where things begin to go wrong: a click there also corrects what follows."""


class Suggestion(NamedTuple):
    """A tracked frame on which a click is likely to help."""

    frame_index: int
    object_id: int
    """The object that is in doubt there."""
    status: ObjectStatus
    doubt: float
    """Expected use of a click, about 0 to 1; comparable within one list."""


def suggest(scores: Sequence[Scores], count: int) -> list[Suggestion]:
    """Return the frames on which a click would help most, the most useful first, diverse in time.

    a) Each tracked mask has a doubt: the lower its reliability the higher, more if the object is uncertain or gone, and
       more where that begins. Prompted and accepted frames have none.
    b) The frame of the highest doubt comes first. It lowers the doubts of its neighbours in time, the nearer the more,
       since a click there also corrects those.

    Args:
        scores: by object and frame.
        count: the largest number of frames; fewer when there is no doubt left.
    """
    doubts = list(_doubts(scores))
    if not doubts or count < 1:
        return []
    frames = [doubt.frame_index for doubt in doubts]
    reach = max(2.0, (max(frames) - min(frames) + 1) / (3 * count))
    suggestions: list[Suggestion] = []
    remaining = [doubt.doubt for doubt in doubts]
    while len(suggestions) < count:
        best = max(range(len(doubts)), key=remaining.__getitem__)
        if remaining[best] < 0.05:
            break
        suggestions.append(doubts[best])
        for row, frame_index in enumerate(frames):
            remaining[row] *= 1 - math.exp(-(((frame_index - frames[best]) / reach) ** 2))
    return suggestions


def _doubts(scores: Sequence[Scores]) -> Iterable[Suggestion]:
    settled = (0.0, "present")
    before: tuple[Scores | None, tuple[float, str]] = (None, settled)
    for score in scores:
        last, (last_doubt, last_status) = before
        if last is None or last.object_id != score.object_id or last.frame_index != score.frame_index - 1:
            last_doubt, last_status = settled
        if score.prompted or score.accepted:
            before = score, settled
            continue
        missing = 1 - score.reliability if score.status in ("present", "uncertain") else 0.0
        doubt = 0.5 * missing + STATUS_DOUBT[score.status]
        onset = ONSET if score.status != "present" and last_status == "present" else max(0.0, doubt - last_doubt)
        before = score, (doubt, score.status)
        yield Suggestion(score.frame_index, score.object_id, score.status, round(doubt + onset, 4))
