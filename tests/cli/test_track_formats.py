"""`masklet track`, and `masklet export-masks` of its session, write equal files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from masklet.formats import FORMATS, live_formats
from masklet.masks import rle
from masklet.media.source import open_source
from masklet.output import only_user
from masklet.records import BoolArray
from tests.cli.conftest import Run
from tests.fake_engine import FakeEngine

pytestmark = pytest.mark.usefixtures("engine")

PROMPTS = ("--point", "@3:10,20", "--object", "2", "--frame", "5", "--box", "1,2,30,40")
OPTIONS = {"masks": ("--option", "layout=both")}


def contents(path: Path) -> dict[str, Any]:
    """Return the contents of files by name, videos as their frames."""
    if path.is_dir():
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*.*")}
    if path.suffix == ".mp4":
        with open_source(path) as video:
            return {f"{frame.index} at {frame.time_s:.4f} s": frame.rgb.tobytes() for frame in video.frames()}
    if path.suffix == ".json":
        return dict(json.loads(path.read_text()))
    return {"": path.read_bytes()}


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_tracked_and_exported_files_are_equal(clip: Path, engine: FakeEngine, run: Run, direction: str) -> None:
    engine.object_score = lambda number: -3.0 if number in (8, 9) else 3.0  # both objects are lost for a while
    formats = [format_id for format_id in live_formats() if "video" in FORMATS[format_id].kinds]
    assert set(formats) >= {"overlay", "masks", "coco", "csv", "tiff"}
    tracked = run(
        "track", clip, *PROMPTS, "--direction", direction, "--per-object", "--format", ",".join(formats),
        "--out", "tracked", "--save", "job.masklet",
    )  # fmt: skip
    assert tracked.status == 0, tracked.err
    for format_id in formats:
        name = FORMATS[format_id].file_name
        options = OPTIONS.get(format_id, ())
        exported = run("export-masks", "job.masklet", "--format", format_id, *options, "--out", f"exported/{name}")
        assert exported.status == 0, exported.err
        ours, theirs = contents(Path("tracked", name)), contents(Path("exported", name))
        assert len(ours) > 0
        assert ours == theirs, format_id


def test_statuses_and_confidence_reach_the_files_also_out_of_order(clip: Path, engine: FakeEngine, run: Run) -> None:
    engine.object_score = lambda number: -3.0 if number > 8 else 3.0
    assert run("track", clip, *PROMPTS, "--direction", "both", "--format", "coco,csv", "--out", "o").status == 0
    annotations = json.loads(Path("o/coco.json").read_text())["annotations"]
    assert {one["status"] for one in annotations} <= {"present", "uncertain"}
    assert all(0 <= one["confidence"] <= 1 for one in annotations)
    header, *lines = Path("o/masks.csv").read_text(encoding="utf-8-sig").splitlines()
    column = header.split(",").index("status")
    statuses = {line.split(",")[column] for line in lines}
    assert "present" in statuses
    assert statuses & {"occluded", "lost"}


@pytest.mark.parametrize(("direction", "num_twice"), [("forward", 0), ("both", 2)])
def test_each_mask_is_encoded_once(
    clip: Path, run: Run, monkeypatch: pytest.MonkeyPatch, direction: str, num_twice: int
) -> None:
    """Two objects on 12 frames; in both directions either pass tracks a prompted mask, and so it is encoded twice."""
    encoded: list[BoolArray] = []
    encode = rle.encode_rle

    def encode_rle(mask: BoolArray) -> rle.CocoRle:
        encoded.append(mask)
        return encode(mask)

    for module in sys.modules.values():  # wherever the name has been imported to
        if module.__name__.startswith("masklet.") and getattr(module, "encode_rle", None) is encode:
            monkeypatch.setattr(module, "encode_rle", encode_rle)
    prompts = ("--point", "10,20", "--point", "2:30,30", "--direction", direction)
    result = run("track", clip, *prompts, "--format", "coco,overlay,masks,csv", "--out", "o", "--json")
    assert result.status == 0, result.err
    assert sum(one["num_frames"] for one in result.json["objects"]) == 24
    assert len(encoded) == 24 + num_twice


def test_a_folder_in_use_is_refused(clip: Path, run: Run, workdir: Path) -> None:
    with only_user(workdir / "tracked"):
        run("track", clip, *PROMPTS, "--format", "masks,coco", "--out", "tracked").fails_with("in use by process")
