"""SAM 2's own rule: read the frames right before this one, whatever they show."""

from __future__ import annotations

from dataclasses import dataclass

from masklet.checks import check_whole, set_checked
from masklet.memory.policies.base import Policy, PolicyConfig, Reads, View


@dataclass(frozen=True, kw_only=True, slots=True)
class OfficialConfig(PolicyConfig):
    """Settings of `OfficialPolicy`."""

    stride: int = 1
    """All but the newest of the tracked frames lie on a grid of this many frames
    (memory_temporal_stride_for_eval)."""

    def __post_init__(self) -> None:
        set_checked(self, ["stride"], check_whole, prefix="official.", least=1)


class OfficialPolicy(Policy):
    """Read the frames right before the current one.

    a) Slot 1 is the previous frame. Slot s > 1 is the (s - 1)-th frame back on a grid of `stride` frames that starts
       two frames back; with stride 1 it is simply s frames back.
    b) Pointers are those of the last `pointer_span - 1` frames.
    A frame that is not remembered leaves its slot empty.

    Source: sam2 2b90b9f, sam2_base.py `_prepare_memory_conditioned_features`.
    """

    Config = OfficialConfig
    config: OfficialConfig

    def read(self, view: View) -> Reads:
        # The official grid rounds down when tracking forward and up when tracking backward. On a time axis that points
        # in the direction of tracking, both are the same rule.
        now, stride = view.frame_index * view.direction, self.config.stride
        grid = (now - 2) // stride * stride
        slots = range(self.memory.spatial_slots - 1, 0, -1)
        times = [(slot, now - 1 if slot == 1 else grid - (slot - 2) * stride) for slot in slots]
        return Reads(
            [(slot, time * view.direction) for slot, time in times],
            [(ago, view.frame_index - ago * view.direction) for ago in range(1, view.pointer_span)],
        )
