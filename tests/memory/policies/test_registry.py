"""Policies by name: registered ones, those of installed packages, and their own settings."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from masklet.errors import ConfigError
from masklet.memory.bank import MemoryBank, MemoryConfig
from masklet.memory.policies import POLICIES, Policy, PolicyConfig, Reads, View, policy_names, register_policy
from masklet.memory.policies import registry as module
from masklet.records import FrameMemory


@dataclass(frozen=True, kw_only=True, slots=True)
class FewConfig(PolicyConfig):
    frames: int = 3


class FewPolicy(Policy):
    """Reads the last few frames."""

    Config = FewConfig
    config: FewConfig

    def read(self, view: View) -> Reads:
        return Reads([(ago, view.frame_index - ago) for ago in range(self.config.frames, 0, -1)], [])


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("few", "others"):
        monkeypatch.setitem(POLICIES, name, FewPolicy)
        monkeypatch.delitem(POLICIES, name)  # put back, that is, removed again, after the test


def frames_read(config: MemoryConfig) -> list[int]:
    bank: MemoryBank[int] = MemoryBank(config)
    for index in range(9):
        bank.write(index, FrameMemory(index, index), prompted=index == 0, iou_prediction=0.9, object_score=5.0)
    return [index for slot, index in bank.recall(9).spatial if slot]


def test_a_registered_policy_has_settings_of_its_own() -> None:
    register_policy("few", FewPolicy)
    assert "few" in policy_names()
    assert frames_read(MemoryConfig(policy="few")) == [6, 7, 8]
    config = MemoryConfig(policy="few", settings={"few": FewConfig(frames=2)})
    assert frames_read(config) == [7, 8]
    assert MemoryConfig.from_dict(config.to_dict()) == config


def test_a_policy_of_an_installed_package_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("others", f"{__name__}:FewPolicy", module.ENTRY_POINTS)
    broken = EntryPoint("broken", "no_such_package:Policy", module.ENTRY_POINTS)
    groups = {module.ENTRY_POINTS: [entry, broken]}
    monkeypatch.setattr(module, "entry_points", lambda *, group: groups[group])
    assert "others" not in POLICIES
    assert policy_names()[-2:] == ("others", "broken")
    assert frames_read(MemoryConfig(policy="others")) == [6, 7, 8]
    with pytest.raises(ConfigError, match=r"policy 'broken' \(no_such_package:Policy\) cannot be loaded: .*no_such"):
        MemoryConfig(policy="broken")


def test_names_that_cannot_be_registered() -> None:
    for name in ("", "a+b", "3"):
        with pytest.raises(ConfigError, match="a policy's name must be letters, digits"):
            register_policy(name, FewPolicy)
    with pytest.raises(ConfigError, match="'tree' is already registered, as TreePolicy"):
        register_policy("tree", FewPolicy)
    with pytest.raises(ConfigError, match="must be a subclass of"):
        register_policy("few", FewConfig)  # type: ignore[arg-type]
