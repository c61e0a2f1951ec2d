"""`--speed` reaches the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from masklet.api import Model
from masklet.media.images import write_image
from tests.cli.conftest import Run, numbered
from tests.fake_engine import FakeEngine


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Speeds of the loaded models, in order."""
    seen: list[str] = []

    def load(name: str, *, speed: str, **_: Any) -> Model:
        seen.append(speed)
        return Model(FakeEngine())

    monkeypatch.setattr("masklet.api.load", load)
    return seen


@pytest.fixture
def frames() -> Path:
    for index in range(3):
        write_image(Path("frames") / f"{index:05}.png", numbered(index + 1))
    return Path("frames")


@pytest.mark.parametrize(("given", "expected"), [([], "auto"), (["--speed", "fast"], "fast")])
def test_speed_reaches_the_model(run: Run, frames: Path, speeds: list[str], given: list[str], expected: str) -> None:
    answer = run("track", frames, "--point", "5,5", "--format", "masks", "--out", "out", *given)
    assert (answer.status, answer.err) == (0, "")
    assert speeds == [expected]
