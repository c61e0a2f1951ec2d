"""Follow several candidate tracks, and let later frames decide between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from masklet.checks import check_fraction, check_positive, check_whole, set_checked
from masklet.memory.policies.base import (
    Branch,
    CandidateTrack,
    Policy,
    PolicyConfig,
    Sighting,
    Write,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeConfig(PolicyConfig):
    """Settings of `TreePolicy`."""

    num_tracks: int = 3
    """Candidate tracks followed at once."""
    certain_score: float = 2.0
    """Absolute object score above which the best branches are kept, else different ones."""
    min_iou_to_remember: float = 0.1
    """IoU prediction at or below which a frame is not read again."""

    def __post_init__(self) -> None:
        set_checked(self, ["num_tracks"], check_whole, prefix="tree.", least=1)
        set_checked(self, ["certain_score"], check_positive, prefix="tree.")
        set_checked(self, ["min_iou_to_remember"], check_fraction, prefix="tree.")


class TreePolicy(Policy):
    """Follow up to three candidate tracks: on each frame, three candidates of each give nine branches.

    a) The score of a branch is the sum over its frames of the logarithm of the chosen candidate's rating: its IoU
       prediction, unless another policy rates.
    b) If a track is certain whether the object is present (its object score is beyond 2 either way), the three best
       branches are kept.
    c) Otherwise the three best that differ: branches with the same IoU prediction to two decimals, counted as negative
       where the object is absent, are one. If fewer remain, branches of tracks that would end are added.
    d) Frames are read as `reliable` reads them, if the object is present and the IoU prediction is above 0.1.

    The best branch of each frame is shown. A frame that was shown is not revised when another track proves better.

    Source: SAM2Long, arXiv 2410.16268, without its modulation of memory attention (keys scaled by 0.95 to 1.05 by
    object score), which would be another graph.
    """

    Config = TreeConfig
    config: TreeConfig

    def select(self, tracks: Sequence[CandidateTrack]) -> list[Branch]:
        branches = [
            Branch(row, candidate, track.score + math.log(max(rating, 0.0) + 1e-5))
            for row, track in enumerate(tracks)
            for candidate, rating in enumerate(track.ratings)
        ]
        branches.sort(key=lambda branch: -branch.score)
        if max(abs(track.sighting.object_score) for track in tracks) > self.config.certain_score:
            return branches[: self.config.num_tracks]
        kept: list[Branch] = []
        for branch in branches:
            if len(kept) < self.config.num_tracks and _kind(tracks, branch) not in {
                _kind(tracks, other) for other in kept
            }:
                kept.append(branch)
        while len(kept) < min(self.config.num_tracks, len(branches)):
            others = [branch for branch in branches if branch not in kept]
            continued = {branch.track for branch in kept}
            kept.append(min(others, key=lambda branch: branch.track in continued))  # of equals the first, the best
        kept.sort(key=lambda branch: -branch.score)
        return kept

    def write(self, sighting: Sighting) -> Write:
        good = sighting.is_present and sighting.iou_prediction > self.config.min_iou_to_remember
        return Write(reliability=None if good or sighting.prompted else 0.0)


def _kind(tracks: Sequence[CandidateTrack], branch: Branch) -> float:
    """Return a number that is equal for branches that say the same: IoU prediction, negative where absent."""
    sighting = tracks[branch.track].sighting
    iou = round(sighting.iou_predictions[branch.candidate], 2)
    return iou if sighting.is_present else -iou
