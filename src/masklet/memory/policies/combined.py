"""Several policies as one: every question goes to all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from masklet.memory.policies.base import Branch, CandidateTrack, Policy, Reads, Sighting, View, Write, reliability
from masklet.memory.policies.reliable import ReliablePolicy

if TYPE_CHECKING:
    from masklet.memory.bank import MemoryConfig


class CombinedPolicy(Policy):
    """The one policy that the tracker and the bank call: it asks its members in the order of their names.

    a) `read`, `rate` and `select`: the last member that answers wins. If none does: read as `reliable` does, keep the
       engine's choice, continue each track with its best candidate.
    b) `write`: remembered if all members agree, resolved if any says so, with the lowest reliability of any member.

    Args:
        members: policies by name.
        memory: settings that all policies share.
    """

    def __init__(self, members: Mapping[str, Policy], memory: MemoryConfig) -> None:
        super().__init__(memory)
        self.members = dict(members)
        self._fallback = ReliablePolicy(memory, memory.settings_of("reliable"))

    def read(self, view: View) -> Reads:
        reads = self._fallback.read(view)
        for member in self.members.values():
            reads = member.read(view) or reads
        return reads

    def rate(self, sighting: Sighting) -> Sequence[float] | None:
        ratings: Sequence[float] | None = None
        for member in self.members.values():
            member_ratings = member.rate(sighting)
            ratings = ratings if member_ratings is None else member_ratings
        return ratings

    def select(self, tracks: Sequence[CandidateTrack]) -> list[Branch]:
        branches = [
            Branch(row, max(range(len(track.ratings)), key=track.ratings.__getitem__), track.score)
            for row, track in enumerate(tracks)
        ]
        for member in self.members.values():
            branches = member.select(tracks) or branches
        return branches

    def write(self, sighting: Sighting) -> Write:
        writes = [member.write(sighting) for member in self.members.values()]
        reliabilities = [write.reliability for write in writes if write.reliability is not None]
        return Write(
            remember=all(write.remember for write in writes),
            resolved=any(write.resolved for write in writes),
            reliability=min(reliabilities, default=reliability(sighting.object_score, sighting.iou_prediction)),
        )

    def candidate_track(self, score: float, sighting: Sighting) -> CandidateTrack:
        """Return a track with its ratings: IoU predictions where no member rates."""
        ratings = self.rate(sighting)
        return CandidateTrack(score, sighting, sighting.iou_predictions if ratings is None else tuple(ratings))

    def reset(self) -> None:
        for member in self.members.values():
            member.reset()

    def state(self) -> dict[str, Any]:
        return {name: state for name, member in self.members.items() if (state := member.state())}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name, member in self.members.items():
            if name in state:
                member.restore(state[name])

    def fork(self) -> CombinedPolicy:
        return CombinedPolicy({name: member.fork() for name, member in self.members.items()}, self.memory)
