"""The command line run in this process, on an engine that needs no model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet.api import Model
from masklet.cli import main
from masklet.media.images import write_image
from masklet.records import ByteArray
from tests.fake_engine import FakeEngine

SIZE_HW = (48, 64)


def numbered(number: int, size_hw: tuple[int, int] = SIZE_HW) -> ByteArray:
    """Return a grey picture from which `FakeEngine` reads `number`."""
    rgb = np.full((*size_hw, 3), 90, np.uint8)
    rgb[0, 0] = number, 0, 0
    return rgb


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine that every model name loads, during the test."""
    fake = FakeEngine()
    monkeypatch.setattr("masklet.api.load", lambda name, **options: Model(fake))
    return fake


@pytest.fixture(autouse=True)
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass(frozen=True, slots=True)
class Result:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def fails_with(self, text: str, *, status: int = 2) -> None:
        """One line on stderr that says `text`, nothing on stdout, and the status."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        assert text in lines[0]
        assert self.out == ""
        assert self.status == status


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("segment", "a.png", "--point", "1,2")`."""

    def run_main(*arguments: object) -> Result:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run_main


@pytest.fixture
def photo(workdir: Path) -> Path:
    return write_image(workdir / "photo.png", numbered(3))


@pytest.fixture
def clip(workdir: Path) -> Path:
    """A folder of 12 frames."""
    for number in range(12):
        write_image(workdir / "clip" / f"{number:05d}.png", numbered(number))
    return workdir / "clip"
