"""Settings of discovery."""

from __future__ import annotations

import pytest

from masklet.discovery import DiscoveryConfig
from masklet.errors import ConfigError


def test_options_that_are_left_out_are_the_defaults() -> None:
    assert DiscoveryConfig.from_options() == DiscoveryConfig()


def test_options_change_other_settings_than_the_defaults() -> None:
    saved = DiscoveryConfig(every=2, level="both", confirm_hits=2)
    assert DiscoveryConfig.from_options(base=saved, level="parts") == DiscoveryConfig(
        every=2, level="parts", confirm_hits=2
    )


@pytest.mark.parametrize(("min_score", "least"), [(0.9, 0.3), (0.1, 0.1)])
def test_the_least_score_of_new_tracks_lowers_but_never_raises_that_of_all_detections(
    min_score: float, least: float
) -> None:
    config = DiscoveryConfig.from_options(level="parts", every=3, max_objects=5, min_score=min_score)
    assert config == DiscoveryConfig(level="parts", every=3, max_objects=5, birth_score=min_score, min_score=least)


def test_bad_options() -> None:
    with pytest.raises(ConfigError, match="level must be"):
        DiscoveryConfig.from_options(level="all")
