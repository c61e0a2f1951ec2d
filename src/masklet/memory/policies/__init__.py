"""Memory policies: which frames an object reads, which candidate mask it continues with, which frames it remembers.

How to write one
----------------

A policy is a small class that sees numbers and low-res masks, never features. Derive from `Policy` (in `base.py`) and
register the class under a name. The tracker makes one instance per object, so state is kept in plain attributes.
Override the methods in which your policy has a rule of its own:

`read(view) -> Reads`
    Called before a frame is decoded. Choose which tracked frames behind it are read in which slot, and which object
    pointers at which distance. The bank itself reads prompted frames in slot 0. One rule must hold, or streaming would
    drop frames that you need: *a frame that the next frame does not read is never read later*. It holds automatically
    if you read the nearest frames that qualify.

`rate(sighting) -> ratings`
    Called after decoding, on frames without a prompt. Rate each candidate mask: how likely is it the object? `sighting`
    has the IoU predictions, areas, boxes and low-res masks of the candidates.

`select(tracks) -> branches`
    For policies that follow several candidate tracks. Each has its score so far, its sighting and its ratings; return
    the branches to continue with, best first. Each branch gets its own bank and its own copy of the policy (`fork`).
    All branches of all objects are decoded in one batch. A prompt ends the ambiguity: one track continues from there.

`write(sighting) -> Write`
    Called once per frame after the choice, on prompted frames too. Update your state, and return whether the frame is
    remembered, how reliable it is, and whether it counts as much as a prompted frame (`resolved`). The first call is
    for the first prompt.

`reset()`
    Called after a shot cut, a jump or a change of direction: drop what a motion model would extrapolate.

`state()` and `restore(state)`
    Your state as plain JSON values. Without them a session that was saved and resumed would behave differently.

Policies combine: `"motion+distractor"` asks both, see `CombinedPolicy`. Return None wherever you have no rule of your
own: a policy that only rates leaves reading to the others.

Test a policy on integers, as `tests/memory/policies/` does: a `View` is numbers, a `Sighting` takes boolean grids of
any size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from masklet.errors import ConfigError
from masklet.memory.policies.base import (
    Box,
    Branch,
    CandidateTrack,
    Policy,
    Reads,
    Sighting,
    View,
    Write,
    box_iou,
    box_of,
    reliability,
)
from masklet.memory.policies.combined import CombinedPolicy
from masklet.memory.policies.distractor import DistractorPolicy
from masklet.memory.policies.motion import MotionPolicy
from masklet.memory.policies.official import OfficialPolicy
from masklet.memory.policies.reliable import ReliablePolicy
from masklet.memory.policies.tree import TreePolicy

if TYPE_CHECKING:
    from masklet.memory.bank import MemoryConfig

__all__ = [
    "POLICIES",
    "Box",
    "Branch",
    "CandidateTrack",
    "CombinedPolicy",
    "Policy",
    "Reads",
    "Sighting",
    "View",
    "Write",
    "box_iou",
    "box_of",
    "check_policy",
    "make_policy",
    "reliability",
]

POLICIES: Mapping[str, type[Policy]] = {
    "reliable": ReliablePolicy,
    "official": OfficialPolicy,
    "motion": MotionPolicy,
    "distractor": DistractorPolicy,
    "tree": TreePolicy,
}


def check_policy(name: str) -> tuple[str, ...]:
    """Split a name into those of its policies: `"motion"` is one, `"motion+distractor"` are two.

    Raises:
        ConfigError: there is no such policy, or one is named twice.
    """
    names = tuple(name.split("+")) if isinstance(name, str) else (name,)
    for one in names:
        if one not in POLICIES:
            raise ConfigError(f"policy must be one of {', '.join(POLICIES)}, or several joined by '+', got {name!r}")
    if len(set(names)) < len(names):
        raise ConfigError(f"policy names {name!r} twice: each may be there once")
    return names


def make_policy(config: MemoryConfig) -> CombinedPolicy:
    """Make the policies of one object, as `config.policy` names them."""
    return CombinedPolicy({name: POLICIES[name](config) for name in check_policy(config.policy)}, config)
