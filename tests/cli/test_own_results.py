"""No command reads its own results, or writes over what it reads; every number that is typed is checked."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import masklet.cli
from masklet.media.images import write_image
from tests.cli.conftest import Run, numbered
from tests.fake_engine import FakeEngine

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def frames(workdir: Path) -> Path:
    """A folder of 3 frames."""
    for index in range(3):
        write_image(workdir / f"frames/{index}.png", numbered(index))
    return Path("frames")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("options", [["--point", "10,20", "--all-candidates"], ["--everything"]])
def test_segment_twice_into_its_own_folder(options: list[str], frames: Path, engine: FakeEngine, run: Run) -> None:
    formats = "overlay,masks,coco" if "--everything" in options else "overlay,masks,cutout,coco"
    if "--point" in options:
        options = ["--object", "1", *options, "--object", "2", "--point", "30,20"]
    assert run("segment", frames, *options, "--format", formats, "--out", frames).status == 0
    first, encoded = contents(frames), list(engine.encoded)
    assert len(first) > 3 * 3
    for images in ([frames], sorted(frames.glob("*.*g"))):  # a folder, or what a shell makes of frames/*.*g
        engine.encoded.clear()
        result = run("segment", *images, *options, "--format", formats, "--out", frames, "--force")
        assert (result.status, engine.encoded) == (0, encoded)
        assert contents(frames) == first


def test_results_among_the_images_are_named(frames: Path, run: Run) -> None:
    assert run("segment", frames, "--point", "10,20", "--out", frames).status == 0
    result = run("segment", *sorted(frames.glob("*.*g")), "--point", "10,20", "--out", frames, "--force")
    assert result.err.startswith("left out: 6 results of an earlier run, such as frames/")
    assert run("track", frames, "--point", "10,20", "--out", "o.json").status == 0
    assert len(json.loads(Path("o.json").read_text())["images"]) == 3


@pytest.mark.parametrize("out", ["frames/masks.tif", "frames/../frames/x.tiff"])
def test_track_writes_no_image_among_its_frames(out: str, frames: Path, run: Run) -> None:
    before = contents(frames)
    run("track", frames, "--point", "10,20", "--out", out).fails_with("would be one of the images of frames")
    run("track", frames, "--point", "10,20", "--format", "tiff", "--out", frames, "--force").fails_with(
        "images of frames"
    )
    assert contents(frames) == before


def test_nothing_is_written_over_what_is_read(frames: Path, run: Run) -> None:
    write_image("photo.png", numbered(0))
    assert run("segment", "photo.png", "--box", "1,2,30,40", "--format", "masks", "--out", ".").status == 0
    Image.new("L", (8, 6)).save("stack.tif", save_all=True, append_images=[Image.new("L", (8, 6))])
    assert (
        run("track", frames, "--point", "10,20", "--format", "masks", "--out", "o", "--save", "a.masklet").status == 0
    )
    before = contents(Path())
    look = ("--effect", "outline", "--force", "--out")
    run("render", "photo.png", "photo.mask.png", *look, "photo.png").fails_with("photo.png is the source itself")
    run("render", "photo.png", "photo.mask.png", *look, "photo.mask.png").fails_with("is the source itself")
    run("render", "a.masklet", *look, "frames/x.gif").fails_with("frames/x.gif would be one of the images of")
    run("track", "stack.tif", "--point", "1,1", "--out", "stack.tif", "--force").fails_with("is the source itself")
    Path("link.tif").symlink_to("stack.tif")
    run("track", "stack.tif", "--point", "1,1", "--out", "link.tif", "--force").fails_with("is the source itself")
    run("track", "o/masks", "--point", "1,1", "--format", "masks", "--out", "o", "--force").fails_with(
        "the source itself"
    )
    Path("link.tif").unlink()
    assert contents(Path()) == before


def test_a_data_set_is_not_converted_into_itself(workdir: Path, run: Run) -> None:
    for number in (1, 2):
        write_image(workdir / f"data/images/{number}.png", numbered(number))
        write_image(workdir / f"data/masks/{number}.png", np.ones((48, 64), bool))
    run("data", "convert", "data", "data/out", "--to", "coco").fails_with("data/out lies in data")
    assert not Path("data/out").exists()


@pytest.mark.parametrize("command", ["segment", "track"])
@pytest.mark.parametrize("value", ["-1", "-7", "1.5", "one", "", "²", "99999999999"])
def test_a_scope_must_be_a_whole_number_from_0(command: str, value: str, frames: Path, run: Run) -> None:
    source = frames / "0.png" if command == "segment" else frames
    for option in ("--object", "--frame"):
        for typed in ([option, value], [f"{option}={value}"]):
            result = run(command, source, *typed, "--point", "10,20")
            result.fails_with(f"{option} must be a whole number from 0 to 2147483647, got {value!r}")
    assert not Path("out").exists()


@pytest.mark.parametrize("command", ["segment", "track"])
@pytest.mark.parametrize(
    ("key", "value"), [("object_id", -7), ("frame_index", -1), ("object_id", 2**40), ("object_id", "1")]
)
def test_numbers_of_a_prompts_file(command: str, key: str, value: object, frames: Path, run: Run) -> None:
    Path("prompts.json").write_text(json.dumps([{key: value, "points_xy": [[10, 20]]}]))
    source = frames / "0.png" if command == "segment" else frames
    run(command, source, "--prompts", "prompts.json").fails_with(f"{key} must be a whole number from 0 to 2147483647")


CHECKED_ELSEWHERE = {
    "segment.py": {"object_id"},  # --object: `with_scope`
    "track_options.py": {"object_id", "frame", "start", "stop"},  # --start, --stop: `Tracker.run`
    "everything.py": {"points_per_side", "min_iou", "min_stability", "crop_layers", "min_region_area"},
    "render.py": {"feather", "shrink", "start", "stop"},  # `Composition` and `render_video`
    "convert.py": {"image_size"},
    "count.py": {"margin", "level", "fps"},  # `CountConfig` and `open_trajectories`
}


def numeric_options(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the code of the annotation of each option that holds numbers."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            code = ast.unparse(node.annotation)
            name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
            if code.startswith(("Annotated[int", "Annotated[float", "Annotated[list[int", "Annotated[list[float")):
                yield name, code


def test_every_number_on_the_command_line_has_bounds() -> None:
    folder = Path(masklet.cli.__file__).parent
    unbounded = {
        file.name: names
        for file in sorted(folder.glob("*.py"))
        if (names := {name for name, code in numeric_options(file) if "min=" not in code})
    }
    assert unbounded == CHECKED_ELSEWHERE


@pytest.mark.parametrize(
    "arguments",
    [
        "track frames --point 10,20 --start -1",
        "track frames --point 10,20 --start 9",
        "track frames --point 10,20 --stop -1",
        "track frames --point 10,20 --stop 0",
        "track frames --point 10,20 --direction both --start -2",
        "track frames --point 10,20 --window nan,1",
        "segment frames --everything --points-per-side -1",
        "segment frames --everything --min-iou nan",
        "segment frames --everything --min-stability -1",
        "segment frames --everything --crop-layers -1",
        "segment frames --everything --min-region-area -1",
        "render a.masklet --effect outline --feather -1",
        "render a.masklet --effect outline --feather nan",
        "render a.masklet --effect outline --shrink 99",
        "render a.masklet --effect outline --start -1",
        "render a.masklet --effect outline --start 9",
        "render a.masklet --effect outline --stop -1",
        "render a.masklet --effect outline --cutout -7",
        "render a.masklet --effect -7:outline",
        "export-masks a.masklet --object -7",
        "export-masks a.masklet --class -7=cat",
        "export-masks a.masklet --name -7=cat",
        "track --resume a.masklet --accept 90-99",
        "track --resume a.masklet --accept 9@0",
    ],
)
def test_numbers_out_of_range(arguments: str, frames: Path, run: Run) -> None:
    assert run("track", frames, "--point", "10,20", "--save", "a.masklet", "--out", "a.json").status == 0
    before = contents(Path())
    result = run(*arguments.split())
    assert (result.status, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert contents(Path()) == before
