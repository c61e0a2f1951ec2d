"""Memory policies: which frames an object reads, which candidate mask it continues with, which frames it remembers.

How to write one
----------------

A policy is a small class that sees numbers and low-res masks, never features. Derive from `Policy` (in `base.py`) and
register the class under a name: `register_policy("nearest", NearestPolicy)`, or an entry point of your package (see
`registry.py`). The tracker makes one instance per object, so state is kept in plain attributes. Settings are a frozen
dataclass derived from `PolicyConfig`; the class names it as its `Config`, and each instance has one as `self.config`:

    @dataclass(frozen=True, kw_only=True, slots=True)
    class NearestConfig(PolicyConfig):
        frames: int = 3

    class NearestPolicy(Policy):
        Config = NearestConfig
        config: NearestConfig

    model.tracker("clip.mp4", memory=MemoryConfig(policy="nearest", settings={"nearest": NearestConfig(frames=2)}))

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

from masklet.memory.policies.base import (
    Box,
    Branch,
    CandidateTrack,
    Policy,
    PolicyConfig,
    Reads,
    Sighting,
    View,
    Write,
    box_iou,
    box_of,
    reliability,
)
from masklet.memory.policies.combined import CombinedPolicy
from masklet.memory.policies.distractor import DistractorConfig, DistractorPolicy
from masklet.memory.policies.motion import MotionConfig, MotionPolicy
from masklet.memory.policies.official import OfficialConfig, OfficialPolicy
from masklet.memory.policies.registry import (
    POLICIES,
    check_policy,
    default_settings,
    find_policy,
    make_policy,
    policy_names,
    register_policy,
)
from masklet.memory.policies.reliable import ReliableConfig, ReliablePolicy
from masklet.memory.policies.tree import TreeConfig, TreePolicy

__all__ = [
    "POLICIES",
    "Box",
    "Branch",
    "CandidateTrack",
    "CombinedPolicy",
    "DistractorConfig",
    "DistractorPolicy",
    "MotionConfig",
    "MotionPolicy",
    "OfficialConfig",
    "OfficialPolicy",
    "Policy",
    "PolicyConfig",
    "Reads",
    "ReliableConfig",
    "ReliablePolicy",
    "Sighting",
    "TreeConfig",
    "TreePolicy",
    "View",
    "Write",
    "box_iou",
    "box_of",
    "check_policy",
    "default_settings",
    "find_policy",
    "make_policy",
    "policy_names",
    "register_policy",
    "reliability",
]
