"""Damaged files are read, or refused in one line; `make fuzz` tries more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.doors import doors
from tests.fuzz.run import attempt, damaged

NAMES = ("rle", "coco", "sa-v", "masklet coco", "zip", "label image", "image", "data set", "sa-1b", "prompts",
         "composition", "session")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def test_every_reader_has_a_test(folder: Path) -> None:
    assert tuple(doors(folder)) == NAMES


CRASHED = (("zip", 50), ("session", 900477))
"""Reader and seed of files that crashed once."""


@pytest.mark.parametrize(("name", "seed"), CRASHED)
def test_what_crashed_once(name: str, seed: int, folder: Path) -> None:
    door = doors(folder)[name]
    assert attempt(door, damaged(door, name, seed), folder) is None


@pytest.mark.parametrize("name", NAMES)
def test_no_damaged_file_crashes_its_reader(name: str, folder: Path) -> None:
    door = doors(folder)[name]
    for data in door.seeds:
        path = folder / f"valid{door.suffix}"
        path.write_bytes(data)
        door.read(path)
    for seed in range(40):
        assert attempt(door, damaged(door, name, seed), folder) is None, seed
