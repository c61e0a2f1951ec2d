from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.datasets.tiny import write_images


def test_a_good_data_set(run: Run, workdir: Path) -> None:
    write_images(workdir / "data")
    result = run("data", "check", "data", "--sheet", "sheet.png", "--count", "3")
    assert result.status == 0
    assert "data, layout folders" in result.out
    assert "nothing is wrong" in result.out
    assert (workdir / "sheet.png").stat().st_size > 1000
    again = run("data", "check", "data", "--sheet", "sheet.png")
    assert again.status == 2
    assert "sheet.png exists" in again.err


def test_errors_decide_the_exit_status_and_with_strict_also_warnings(run: Run, workdir: Path) -> None:
    write_images(workdir / "data", "ab", {1: (0, 0, 2, 2)})
    assert run("data", "check", "data").status == 0
    assert run("data", "check", "data", "--strict").status == 1
    (workdir / "data/masks/b.png").write_bytes(b"")
    result = run("data", "check", "data", "--json")
    assert result.status == 2
    document = json.loads(result.out)
    assert not document["ok"]
    assert {fault["kind"] for fault in document["faults"]} == {"tiny objects", "cannot be read"}
    plain = run("data", "check", "data")
    assert "error: cannot be read: 1" in plain.out
    assert "1 errors" in plain.err


def test_a_data_set_is_converted_to_coco_and_back(run: Run, workdir: Path) -> None:
    write_images(workdir / "data")
    result = run("data", "convert", "data", "out/coco", "--to", "coco")
    assert (result.status, result.out.strip()) == (0, "wrote 2 images to out/coco")
    assert run("data", "convert", "out/coco", "back", "--to", "folders").status == 0
    assert run("data", "check", "back").status == 0
    refused = run("data", "convert", "data", "back", "--to", "shards")
    assert refused.status == 2
    assert "never overwrites" in refused.err
    assert run("data", "convert", "data", "new", "--to", "voc").status == 2
