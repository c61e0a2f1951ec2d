"""The default rule: read the last frames in which the object was really there."""

from __future__ import annotations

from masklet.memory.policies.base import Policy, Reads, View


class ReliablePolicy(Policy):
    """Read the last frames in which the object was really there.

    a) Walk back over what is remembered: the previous frame in any case, then every reliable one.
    b) Slots go by order: the most recent has slot 1.
    c) Pointers keep their distance in time, up to the largest within the span: after a long absence the last sight
       of the object counts as old, and not as something that the model was never trained for.

    Source: sam3 99d02f2, sam3_tracker_base.py, memory selection (there pointers count by order, too).
    """

    def read(self, view: View) -> Reads:
        previous = view.frame_index - view.direction
        nearest_first = sorted(view.reliability, key=lambda index: abs(view.frame_index - index))
        threshold = self.config.reliability_threshold
        frames = [index for index in nearest_first if index == previous or view.reliability[index] > threshold]
        slots = list(enumerate(frames[: self.config.spatial_slots - 1], start=1))
        farthest = view.pointer_span - 1
        return Reads(
            slots[::-1], [(min(abs(view.frame_index - index), farthest), index) for index in frames[:farthest]]
        )
