"""SAM 2's own rule: read the frames right before this one, whatever they show."""

from __future__ import annotations

from masklet.memory.policies.base import Policy, Reads, View


class OfficialPolicy(Policy):
    """Read the frames right before this one.

    a) Slot 1 is the previous frame. Slot s > 1 is the (s - 1)-th frame back on a grid of `memory_stride` frames
       that starts two frames back; with stride 1 it is simply s frames back.
    b) Pointers are those of the last `pointer_span - 1` frames.
    A frame that is not remembered leaves its slot empty.

    Source: sam2 2b90b9f, sam2_base.py `_prepare_memory_conditioned_features`.
    """

    def read(self, view: View) -> Reads:
        # The official grid rounds down going forward and up going backward: on time that runs with the tracking, the
        # two are one rule.
        now, stride = view.frame_index * view.direction, self.config.memory_stride
        grid = (now - 2) // stride * stride
        slots = range(self.config.spatial_slots - 1, 0, -1)
        times = [(slot, now - 1 if slot == 1 else grid - (slot - 2) * stride) for slot in slots]
        return Reads(
            [(slot, time * view.direction) for slot, time in times],
            [(ago, view.frame_index - ago * view.direction) for ago in range(1, view.pointer_span)],
        )
