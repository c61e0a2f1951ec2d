"""Damaged files and requests are read, or refused in one line; `make fuzz` tries more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fuzz.doors import Door, doors
from tests.fuzz.requests import requests, takes_body
from tests.fuzz.run import attempt, damaged

SEEDS = {
    "rle": 40, "coco": 40, "sa-v": 40, "masklet coco": 40, "zip": 40, "label image": 40, "image": 40, "data set": 40,
    "sa-1b": 40, "detections": 80, "prompts": 40, "composition": 40, "session": 40, "resumed session": 40,
    "mp4": 40, "mkv": 40, "webm": 30, "avi": 40, "gif": 40, "safetensors": 20, "pt": 20,
    "model.json": 5, "graph": 5, "request": 100,
}  # fmt: skip
"""Damaged files of each reader; fewer for those that take long."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def readers(folder: Path) -> Iterator[dict[str, Door]]:
    with ExitStack() as stack:
        yield doors(folder, stack)


def test_every_reader_has_a_test(readers: dict[str, Door]) -> None:
    assert tuple(readers) == tuple(SEEDS)


def test_every_request_with_a_body_is_tried() -> None:
    assert {request.split(b"?")[0].split(b"\r\n")[0].decode().replace("/api/v1", "") for request in requests()} == set(
        takes_body()
    )


CRASHED = (("zip", 50), ("session", 900477), ("mkv", 13), ("gif", 5546), ("request", 11213), ("resumed session", 6569))
"""Reader and seed of files that crashed once."""


@pytest.mark.parametrize(("name", "seed"), CRASHED)
def test_what_crashed_once(name: str, seed: int, readers: dict[str, Door], folder: Path) -> None:
    door = readers[name]
    assert attempt(door, damaged(door, name, seed), folder) is None


@pytest.mark.parametrize("name", SEEDS)
def test_no_damaged_file_crashes_its_reader(name: str, readers: dict[str, Door], folder: Path) -> None:
    door = readers[name]
    for data in door.seeds:
        path = folder / f"valid{door.suffix}"
        path.write_bytes(data)
        door.read(path)
    for seed in range(SEEDS[name]):
        assert attempt(door, damaged(door, name, seed), folder) is None, seed
