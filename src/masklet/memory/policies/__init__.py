"""Memory policies by name: which frames an object reads, which candidate it is, what it remembers.

How to write one
----------------

A policy is a small class with no arrays in it but a low-res mask or two: derive from `Policy` (in `base.py`), put it in
a module of its own beside this one, and enter it in `POLICIES` under its name. Each object gets its own, made as
`YourPolicy(config)`, so whatever it learns it keeps in plain attributes. Override what you have an opinion on:

`read(view) -> Reads`
    Before a frame. Of the tracked frames behind it, with their reliabilities, which are read in which slot, and which
    object pointers at which distance. Prompted frames are no concern of yours: the bank reads them in slot 0. One rule
    must hold, or streaming would drop what you need: *what the next frame does not read, no later one does*. It holds
    by itself when you read the nearest of what qualifies.

`rate(sighting) -> ratings`
    On a frame without a prompt, after decoding: how likely each candidate is the object. `sighting` has their IoU
    predictions, areas, boxes and low-res masks.

`select(paths) -> branches`
    For policies that keep several ways open. Each path has the score that it came with, its sighting and its ratings;
    answer with the branches to go on with, best first. Each gets a bank and a copy of you (`fork`). All are decoded in
    one batch with all objects. A prompt settles it: one path goes on from there.

`write(sighting) -> Write`
    After the choice, once on every frame, prompted ones too: learn from it, and say whether the frame is remembered,
    how reliable it is, and whether it is as good as a prompted one (`resolved`). The first call is the first prompt.

`reset()`
    There was a cut, or tracking turned round or jumped: forget what a motion model would carry over.

`state()` and `restore(state)`
    What you have learnt, as JSON can hold it. Without them a session that is saved and resumed would differ.

Policies combine: `"motion+distractor"` asks both, see `Team`. So have an opinion only where you have something to say:
a policy that only rates leaves reading to the other.

Test it on integers, as `tests/policies/` does: a `View` is numbers, a `Sighting` takes boolean grids of any size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from masklet.errors import ConfigError
from masklet.memory.policies.base import (
    Box,
    Branch,
    Path,
    Policy,
    Reads,
    Sighting,
    View,
    Write,
    box_iou,
    box_of,
    reliability,
)
from masklet.memory.policies.distractor import Distractor
from masklet.memory.policies.motion import Motion
from masklet.memory.policies.official import Official
from masklet.memory.policies.reliable import Reliable
from masklet.memory.policies.team import Team
from masklet.memory.policies.tree import Tree

if TYPE_CHECKING:
    from masklet.memory.bank import MemoryConfig

__all__ = [
    "POLICIES",
    "Box",
    "Branch",
    "Path",
    "Policy",
    "Reads",
    "Sighting",
    "Team",
    "View",
    "Write",
    "box_iou",
    "box_of",
    "check_policy",
    "make_policy",
    "reliability",
]

POLICIES: Mapping[str, type[Policy]] = {
    "reliable": Reliable,
    "official": Official,
    "motion": Motion,
    "distractor": Distractor,
    "tree": Tree,
}


def check_policy(name: str) -> tuple[str, ...]:
    """The policies that a name stands for: `"motion"` is one, `"motion+distractor"` are two.

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


def make_policy(config: MemoryConfig) -> Team:
    """The policies of one object, as `config.policy` names them."""
    return Team({name: POLICIES[name](config) for name in check_policy(config.policy)}, config)
