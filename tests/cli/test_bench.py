"""`masklet bench`: output, saved report, and refused options. No test asserts a time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import masklet
from tests.cli.conftest import Run


def test_stages_of_nano_are_printed_and_saved(run: Run, tmp_path: Path) -> None:
    answer = run("bench", "stages", "--objects", "1", "--repeats", "1", "--threads", "1", "--out", "results")
    assert answer.status == 0
    document = json.loads(answer.out.splitlines()[-1])
    assert document["model"] == "nano"
    assert {"encode image x 1", "attend x 1", "decode masks x 1", "encode memory x 1"} <= document.keys()
    (kept,) = Path("results").iterdir()
    assert kept.name.startswith("nano_")
    assert "## attend, 1 object" in kept.read_text(encoding="utf-8")


def test_two_models_are_measured_side_by_side(run: Run, tmp_path: Path) -> None:
    copy = shutil.copytree(Path(masklet.__file__).parent / "models" / "nano", tmp_path / "before")
    answer = run("bench", "--against", copy, "--objects", "1", "--repeats", "1", "--threads", "1")
    assert answer.status == 0, answer.err
    document = json.loads(answer.out.splitlines()[-1])
    assert [row["name"] for row in document["attend x 1"]] == ["nano, exact", f"{copy}, exact"]
    assert document["1 - IoU x 1"] == {"nano, exact": 0, f"{copy}, exact": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["everything"], "PARTS: unknown part 'everything', must be one of stages, commands, peers"),
        (["stages", "--speed", "faster"], "--speed: unknown speed 'faster', must be one of exact, fast"),
        (["stages", "--objects", "0"], "--objects must be whole numbers of at least 1, got '0'"),
        (["commands", "--frames", "9,5"], "the smaller first, got '9,5'"),
        (["peers"], "peers are compared with an official architecture on a CPU"),
        (["stages", "--model", "nano", "--random-weights"], "--random-weights needs one of sam2.1-tiny"),
        (["commands", "--against", "before/"], "--against compares stages alone, got commands"),
        (["--against", "nano"], "--against must be another model than --model, got nano for both"),
        (["commands", "--model", "sam2.1-tiny", "--random-weights"], "leave --random-weights out"),
    ],
)
def test_measurements_that_cannot_be_made_give_the_reason(run: Run, arguments: list[str], message: str) -> None:
    answer = run("bench", *arguments)
    assert answer.status == 2
    assert message in answer.err
