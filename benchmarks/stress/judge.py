"""Measures of one tracked object: J&F, wrong identity, the way back after an absence, seeing what is not there.

Pure numbers from masks; knows nothing of trackers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from masklet.evaluation.metrics import boundary_measure, region_similarity
from masklet.records import BoolArray, ByteArray

MIN_VISIBLE = 25
"""Pixels. Where less of an object is seen, but not nothing, the truth is unclear: such frames are not judged."""
FOUND = 0.5
"""J from which an object counts as found again."""
MIN_ABSENCE = 3
"""Frames; a shorter one is not an absence."""
VOID = 255


@dataclass(frozen=True, slots=True)
class Sight:
    """One object on one frame."""

    visible: int
    """True pixels."""
    claimed: int
    """Pixels of the predicted mask."""
    j: float
    f: float
    switched: bool
    """The mask covers more of another object than of its own."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One object over one clip."""

    clip: str
    failure: str
    policy: str
    object_id: int
    j: float
    f: float
    num_judged: int
    num_switched: int
    """Frames with the identity of another."""
    num_absent: int
    num_ghosts: int
    """Frames on which it was absent and a mask was given all the same."""
    found_after: tuple[int, ...]
    """For each return: frames until it was found again; as many as it stayed when it was not."""
    num_never_found: int
    """Returns after which it was not found."""

    @property
    def jf(self) -> float:
        return (self.j + self.f) / 2


def see(object_id: int, predicted: BoolArray, owners: ByteArray) -> Sight:
    """Compare one mask with the truth.

    Args:
        object_id: whose mask it is.
        predicted: (H, W).
        owners: (H, W) object id of each pixel, 0 for nobody's, 255 for what was not judged.
    """
    void = owners == VOID
    truth = owners == object_id
    predicted = predicted & ~void
    covered = np.bincount(owners[predicted], minlength=256)
    covered[[0, VOID]] = 0
    own = int(covered[object_id])
    covered[object_id] = 0
    return Sight(
        visible=int(np.count_nonzero(truth)),
        claimed=int(np.count_nonzero(predicted)),
        j=region_similarity(predicted, truth),
        f=boundary_measure(predicted, truth),
        switched=int(covered.max()) > own,
    )


def judge(clip: str, failure: str, policy: str, object_id: int, legs: Sequence[Sequence[Sight]]) -> Verdict | None:
    """Sum up.

    Args:
        clip, failure, policy, object_id: what it is about.
        legs: the ways that were tracked, each from the prompt outwards without the prompted frame, in order of
            tracking.

    Returns:
        None when no frame could be judged.
    """
    sights = [sight for leg in legs for sight in leg if _is_clear(sight)]
    if not sights:
        return None
    absent = [sight for sight in sights if sight.visible == 0]
    returns = [found for leg in legs for found in _returns(leg)]
    return Verdict(
        clip=clip,
        failure=failure,
        policy=policy,
        object_id=object_id,
        j=float(np.mean([sight.j for sight in sights])),
        f=float(np.mean([sight.f for sight in sights])),
        num_judged=len(sights),
        num_switched=sum(sight.switched for sight in sights),
        num_absent=len(absent),
        num_ghosts=sum(sight.claimed > 0 for sight in absent),
        found_after=tuple(frames for frames, _ in returns),
        num_never_found=sum(not found for _, found in returns),
    )


def _is_clear(sight: Sight) -> bool:
    return sight.visible == 0 or sight.visible >= MIN_VISIBLE


def _returns(leg: Sequence[Sight]) -> list[tuple[int, bool]]:
    """(frames until it was found, whether it was) for each stretch of visible frames after an absence."""
    returns: list[tuple[int, bool]] = []
    absence, index = 0, 0
    while index < len(leg):
        if leg[index].visible < MIN_VISIBLE:
            absence, index = absence + 1, index + 1
            continue
        start = index
        while index < len(leg) and leg[index].visible >= MIN_VISIBLE:
            index += 1
        if absence >= MIN_ABSENCE:
            found = [step for step, sight in enumerate(leg[start:index]) if sight.j >= FOUND]
            returns.append((found[0], True) if found else (index - start, False))
        absence = 0
    return returns
