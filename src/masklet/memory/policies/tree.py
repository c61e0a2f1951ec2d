"""Keep several ways open, and let time tell which was right."""

from __future__ import annotations

import math
from collections.abc import Sequence

from masklet.memory.policies.base import Branch, CandidateTrack, Policy, Sighting, Write

NUM_PATHS = 3
SURE = 2.0
"""Of an object score, present or absent: above it the best ways are kept, else different ones."""
MIN_IOU_TO_REMEMBER = 0.1
"""IoU prediction at or below which a frame is not read again."""


class TreePolicy(Policy):
    """Follow up to three ways at once; each frame, three candidates of each are nine ways on.

    a) A way's score is the sum over its frames of the logarithm of the chosen candidate's rating: its IoU prediction,
       unless another policy rates.
    b) When a way is sure whether the object is there (its object score is beyond 2 either way), the three best ways
       are kept.
    c) Else the three best that differ: of those with the same IoU prediction to two decimals, counted as negative
       where the object is absent, one; if that leaves fewer, ways from tracks that would end are added.
    d) Read are frames with the object present and an IoU prediction above 0.1, as `reliable` reads them.

    Shown is the best way at each frame; a frame that has been shown is not revised when another way proves better.

    Source: SAM2Long, arXiv 2410.16268, without its modulation of memory attention (keys scaled by 0.95 to 1.05 by
    object score), which would be another graph.
    """

    def select(self, tracks: Sequence[CandidateTrack]) -> list[Branch]:
        branches = [
            Branch(row, candidate, path.score + math.log(max(rating, 0.0) + 1e-5))
            for row, path in enumerate(tracks)
            for candidate, rating in enumerate(path.ratings)
        ]
        branches.sort(key=lambda branch: -branch.score)
        if max(abs(path.sighting.object_score) for path in tracks) > SURE:
            return branches[:NUM_PATHS]
        kept: list[Branch] = []
        for branch in branches:
            if len(kept) < NUM_PATHS and _kind(tracks, branch) not in {_kind(tracks, one) for one in kept}:
                kept.append(branch)
        while len(kept) < min(NUM_PATHS, len(branches)):
            others = [branch for branch in branches if branch not in kept]
            going_on = {branch.track for branch in kept}
            kept.append(min(others, key=lambda branch: branch.track in going_on))  # of equals the first, the best
        kept.sort(key=lambda branch: -branch.score)
        return kept

    def write(self, sighting: Sighting) -> Write:
        good = sighting.is_present and sighting.iou_prediction > MIN_IOU_TO_REMEMBER
        return Write(reliability=None if good or sighting.prompted else 0.0)


def _kind(tracks: Sequence[CandidateTrack], branch: Branch) -> float:
    sighting = tracks[branch.track].sighting
    iou = round(sighting.iou_predictions[branch.candidate], 2)
    return iou if sighting.is_present else -iou
