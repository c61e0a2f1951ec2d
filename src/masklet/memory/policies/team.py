"""Several policies as one: each question goes to all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from masklet.memory.policies.base import Branch, Path, Policy, Reads, Sighting, View, Write, reliability
from masklet.memory.policies.reliable import Reliable

if TYPE_CHECKING:
    from masklet.memory.bank import MemoryConfig


class Team(Policy):
    """What the tracker and the bank talk to: policies in the order of their names, none of them always right.

    a) `read`, `rate` and `select`: the last member with an opinion has it. Nobody: read as `reliable` does, leave the
       choice to the engine, go on with the best candidate of each path.
    b) `write`: remembered when all members want it, resolved when one does, as reliable as the most doubtful says.

    Args:
        members: by name.
        config: settings that all policies share.
    """

    def __init__(self, members: Mapping[str, Policy], config: MemoryConfig) -> None:
        super().__init__(config)
        self.members = dict(members)
        self._fallback = Reliable(config)

    def read(self, view: View) -> Reads:
        reads = self._fallback.read(view)
        for member in self.members.values():
            reads = member.read(view) or reads
        return reads

    def rate(self, sighting: Sighting) -> Sequence[float] | None:
        ratings: Sequence[float] | None = None
        for member in self.members.values():
            own = member.rate(sighting)
            ratings = ratings if own is None else own
        return ratings

    def select(self, paths: Sequence[Path]) -> list[Branch]:
        branches = [
            Branch(row, max(range(len(path.ratings)), key=path.ratings.__getitem__), path.score)
            for row, path in enumerate(paths)
        ]
        for member in self.members.values():
            branches = member.select(paths) or branches
        return branches

    def write(self, sighting: Sighting) -> Write:
        writes = [member.write(sighting) for member in self.members.values()]
        said = [write.reliability for write in writes if write.reliability is not None]
        return Write(
            remember=all(write.remember for write in writes),
            resolved=any(write.resolved for write in writes),
            reliability=min(said, default=reliability(sighting.object_score, sighting.iou_prediction)),
        )

    def path(self, score: float, sighting: Sighting) -> Path:
        """A path with its ratings: IoU predictions where no member has an opinion."""
        ratings = self.rate(sighting)
        return Path(score, sighting, sighting.iou_predictions if ratings is None else tuple(ratings))

    def reset(self) -> None:
        for member in self.members.values():
            member.reset()

    def state(self) -> dict[str, Any]:
        return {name: state for name, member in self.members.items() if (state := member.state())}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name, member in self.members.items():
            if name in state:
                member.restore(state[name])

    def fork(self) -> Team:
        return Team({name: member.fork() for name, member in self.members.items()}, self.config)
