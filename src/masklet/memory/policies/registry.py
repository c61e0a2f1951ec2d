"""Memory policies by name: those of masklet, those registered by a program, and those of installed packages.

A package offers a policy through an entry point, and `masklet track --policy NAME` finds it:

    [project.entry-points."masklet.policies"]
    nearest = "my_package.policies:NearestPolicy"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from masklet.errors import ConfigError
from masklet.memory.policies.base import Policy, PolicyConfig
from masklet.memory.policies.combined import CombinedPolicy
from masklet.memory.policies.distractor import DistractorPolicy
from masklet.memory.policies.motion import MotionPolicy
from masklet.memory.policies.official import OfficialPolicy
from masklet.memory.policies.reliable import ReliablePolicy
from masklet.memory.policies.tree import TreePolicy

if TYPE_CHECKING:
    from masklet.memory.bank import MemoryConfig

ENTRY_POINTS = "masklet.policies"
"""Group of entry points that offer policies: each name maps to a subclass of `Policy`."""

POLICIES: dict[str, type[Policy]] = {
    "reliable": ReliablePolicy,
    "official": OfficialPolicy,
    "motion": MotionPolicy,
    "distractor": DistractorPolicy,
    "tree": TreePolicy,
}
"""Policies known so far, by name. Add one with `register_policy`."""


def register_policy(name: str, policy: type[Policy]) -> None:
    """Make a policy available by name, to `MemoryConfig` and everything that takes one.

    Args:
        name: letters, digits, `-` and `_`.
        policy: the class; its `Config` is the dataclass of its settings.

    Raises:
        ConfigError: the name is not valid or is taken by another class, or `policy` is not a subclass of `Policy`.
    """
    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        raise ConfigError(f"a policy's name must be letters, digits, '-' and '_', got {name!r}")
    if not (isinstance(policy, type) and issubclass(policy, Policy)):
        raise ConfigError(f"policy {name!r} must be a subclass of masklet.memory.policies.Policy, got {policy!r}")
    if POLICIES.setdefault(name, policy) is not policy:
        raise ConfigError(f"policy {name!r} is already registered, as {POLICIES[name].__qualname__}: use another name")


def policy_names() -> tuple[str, ...]:
    """Return the names of all policies, those of installed packages included."""
    return (*POLICIES, *(name for name in _installed() if name not in POLICIES))


def check_policy(name: str) -> tuple[str, ...]:
    """Split a name into those of its policies: `"motion"` is one, `"motion+distractor"` are two.

    Raises:
        ConfigError: there is no such policy, it is named twice, or its package cannot be loaded.
    """
    names = tuple(name.split("+")) if isinstance(name, str) else (name,)
    for member in names:
        if find_policy(member) is None:
            choices = ", ".join(policy_names())
            raise ConfigError(f"policy must be one of {choices}, or several joined by '+', got {name!r}")
    if len(set(names)) < len(names):
        raise ConfigError(f"policy names {name!r} twice: each may be named once")
    return names


def find_policy(name: str) -> type[Policy] | None:
    """Return the policy of a name, loading the package that offers it; None if there is none.

    Raises:
        ConfigError: the package's entry point cannot be loaded.
    """
    if name not in POLICIES and (entry := _installed().get(name)) is not None:
        try:
            policy = entry.load()
        except Exception as error:  # a package that is not ours may raise anything
            raise ConfigError(f"policy {name!r} ({entry.value}) cannot be loaded: {error}") from error
        register_policy(name, policy)
    return POLICIES.get(name)


def make_policy(config: MemoryConfig) -> CombinedPolicy:
    """Make the policies of one object, as `config.policy` names them."""
    return CombinedPolicy(
        {name: POLICIES[name](config, config.settings_of(name)) for name in check_policy(config.policy)}, config
    )


def default_settings(name: str) -> PolicyConfig:
    """Return the default settings of a policy.

    Raises:
        ConfigError: there is no such policy.
    """
    policy = find_policy(name)
    if policy is None:
        raise ConfigError(f"unknown policy {name!r}: expected one of {', '.join(policy_names())}")
    return policy.Config()


def _installed() -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
