"""A server that is killed at any step loses nothing that it has acknowledged, and leaves nothing behind.

`python -m benchmarks.kill_campaign` tries all operations, and each change of a file as a step, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NEW: dict[str, dict[str, Any]] = {
    "upload": {"media": 3},
    "import": {"objects": ["duck", "duck (2)"]},
    "export": {"jobs": 3},
    "delete-project": {"media": 0, "projects": 0, "jobs": 0, "objects": []},
}
"""What there is after each operation; `OLD` before it."""

OLD = {"media": 1, "projects": 1, "jobs": 2, "objects": ["duck"]}


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
@pytest.mark.parametrize("operation", NEW)
def test_killed_at_every_transaction(tmp_path: Path, operation: str) -> None:
    command = [sys.executable, str(Path(__file__).with_name("kill_points.py")), str(tmp_path), operation]
    printed = subprocess.run([*command, "--transactions"], capture_output=True, text=True, check=False)
    assert printed.returncode == 0, printed.stderr
    steps = [json.loads(line) for line in printed.stdout.splitlines()]
    assert len(steps) > 4
    for step in steps:
        assert step["before"]["faults"] == [], step
        assert step["after"]["faults"] == [], step
        new = OLD | NEW[operation]
        assert facts(step["after"]) == new, step
        # A job is queued when it is acknowledged; its result may be lost, and then it says so.
        assert facts(step["before"]) in ((new,) if "status" in step else (OLD, new)), step


def facts(state: dict[str, Any]) -> dict[str, Any]:
    return {name: len(state[name]) if name == "jobs" else state[name] for name in OLD}
