"""The default rule: read the last frames in which the object was present."""

from __future__ import annotations

from dataclasses import dataclass

from masklet.checks import check_fraction, set_checked
from masklet.memory.policies.base import Policy, PolicyConfig, Reads, View


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliableConfig(PolicyConfig):
    """Settings of `ReliablePolicy`, which also reads for policies that have no opinion on reading."""

    threshold: float = 0.01
    """A tracked frame is read if its `reliability` (0 to 1) is above this."""

    def __post_init__(self) -> None:
        set_checked(self, ["threshold"], check_fraction, prefix="reliable.", below_one=True)


class ReliablePolicy(Policy):
    """Read the last frames in which the object was present.

    a) Walk back over the remembered frames: the previous frame in any case, then every reliable one.
    b) Slots count by order: the most recent frame has slot 1.
    c) Pointers keep their distance in time, up to the largest within the span. After a long absence the object's last
       frame thus counts as old, and never as older than the model was trained for.

    Source: sam3 99d02f2, sam3_tracker_base.py, memory selection (there pointers count by order, too).
    """

    Config = ReliableConfig
    config: ReliableConfig

    def read(self, view: View) -> Reads:
        previous = view.frame_index - view.direction
        nearest_first = sorted(view.reliability, key=lambda index: abs(view.frame_index - index))
        threshold = self.config.threshold
        frames = [index for index in nearest_first if index == previous or view.reliability[index] > threshold]
        slots = list(enumerate(frames[: self.memory.spatial_slots - 1], start=1))
        farthest = view.pointer_span - 1
        return Reads(
            slots[::-1], [(min(abs(view.frame_index - index), farthest), index) for index in frames[:farthest]]
        )
