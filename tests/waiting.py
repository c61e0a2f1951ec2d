"""Waits for states in tests with threads and processes: machines that run tests are busy, so none waits for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 120.0
"""Seconds after which a state that has not come is a failure. Tests that pass do not wait for it."""


def wait_until(state: Callable[[], object], description: str = "the expected state") -> None:
    """Return when `state()` is true.

    Raises:
        AssertionError: it is still false after `PATIENCE_S`.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not state():
        assert time.monotonic() < deadline, f"{description} did not come within {PATIENCE_S:.0f} s"
        time.sleep(0.002)
