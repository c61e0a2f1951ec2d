"""Checks convert what other libraries hand over, and refuse the rest in one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from masklet.checks import check_choice, check_fraction, check_positive, check_whole
from masklet.errors import ConfigError, PromptError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3), 3.0, np.float64(3.0)])
def test_whole_numbers_become_ints(value: Any) -> None:
    number = check_whole("object_id", value)
    assert number == 3
    assert type(number) is int


@pytest.mark.parametrize(
    "value", [True, np.bool_(True), 2.5, "3", None, float("nan"), float("inf"), [3], np.array([1, 2])]
)
def test_numbers_that_are_not_whole_are_refused(value: Any) -> None:
    with pytest.raises(PromptError, match="object_id must be a whole number, got"):
        check_whole("object_id", value, error=PromptError)


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"least": 1}, "a whole number of at least 1, got 0"),
        ({"most": -1}, "a whole number of at most -1, got 0"),
        ({"least": 1, "most": 4}, "a whole number from 1 to 4, got 0"),
    ],
)
def test_limits_are_named(limits: dict[str, int], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_whole("steps", 0, **limits)


def test_fractions() -> None:
    assert [check_fraction("overlap", value) for value in (0, 1, np.float32(0.5))] == [0.0, 1.0, 0.5]
    for value in (-0.1, 1.1, float("nan"), "half", True):
        with pytest.raises(ConfigError, match=r"overlap must be in \[0, 1\], got"):
            check_fraction("overlap", value)
    with pytest.raises(ConfigError, match=r"overlap must be in \[0, 1\), got 1"):
        check_fraction("overlap", 1, below_one=True)


def test_positive_numbers() -> None:
    assert check_positive("rate", np.float32(2)) == 2.0
    for value in (0, -1, float("inf"), "fast"):
        with pytest.raises(ConfigError, match="rate must be above 0, got"):
            check_positive("rate", value)


def test_choices_are_listed() -> None:
    assert check_choice("mode", "fast", ("exact", "fast")) == "fast"
    for value in ("slow", None, 1):
        with pytest.raises(ConfigError, match="mode must be one of exact, fast, got"):
            check_choice("mode", value, ("exact", "fast"))
