"""Every script in examples/ runs on the bundled media."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.engine.onnx_engine import SPEC_FILE
from masklet.engine.open import embedded_folder
from masklet.media.images import read_image
from masklet.media.source import open_source
from tests.document_inputs import write_clip
from tests.serving import Server

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
MEDIA = EXAMPLES / "media"

HAS_NANO = (embedded_folder("nano") / SPEC_FILE).is_file()
needs_nano = pytest.mark.skipif(not HAS_NANO, reason="the embedded model is not in the package yet")


def example(name: str) -> Callable[[list[str]], None]:
    """The `main` of an example."""
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    run: Callable[[list[str]], None] = module.main
    return run


@pytest.fixture
def short_clip(tmp_path: Path) -> Path:
    """Return the first frames of the bundled clip, under its name."""
    path = tmp_path / "bunny.mp4"
    write_clip(path, num_frames=3)
    return path


def test_every_example_has_a_test() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tested


@needs_nano
def test_segment_a_photo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("segment_a_photo")(["--out", str(tmp_path)])
    assert read_image(tmp_path / "coffee.overlay.jpg").shape == (400, 600, 3)
    assert (tmp_path / "coffee.cutout.png").is_file()
    assert capsys.readouterr().out.count("predicted IoU") == 4


@needs_nano
def test_track_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "clip.mp4"
    example("track_a_video")(["--stop", "3", "--out", str(out)])
    with open_source(out) as source:
        assert source.info.num_frames == 3
    assert "object score" in capsys.readouterr().out


@needs_nano
def test_correct_a_track(capsys: pytest.CaptureFixture[str]) -> None:
    example("correct_a_track")(["--at", "2", "--stop", "4"])
    assert re.findall(r"^frame (\d+): .* changed$", capsys.readouterr().out, re.MULTILINE) == ["2", "3"]


@needs_nano
def test_stream_from_an_iterator(capsys: pytest.CaptureFixture[str]) -> None:
    example("stream_from_an_iterator")(["--frames", "4"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.count("object") for line in lines] == [1, 1, 1, 2]


@needs_nano
def test_studio_client(short_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(tmp_path / "data")
    server.start()
    try:
        example("studio_client")([str(short_clip), "230,200", "--address", server.address, "--out", str(tmp_path)])
    finally:
        server.stop()
    said = capsys.readouterr().out
    assert said.count("candidate") == 3
    assert json.loads(next(tmp_path.glob("*.json")).read_text())["annotations"]


@needs_nano
def test_blur_faces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = read_image(MEDIA / "astronaut.jpg")
    clip, out = tmp_path / "pan", tmp_path / "out.mp4"
    clip.mkdir()
    for index in range(12):
        Image.fromarray(photo[:320, 20 + 6 * index : 340 + 6 * index]).save(clip / f"{index:05}.png")
    example("blur_faces")([str(clip), "--out", str(out)])
    assert "face 1: confirmed, frames 0 to 11" in capsys.readouterr().out
    with open_source(out) as blurred, open_source(clip) as source:
        pairs = zip(source.frames(), blurred.frames(), strict=True)
        changed = [np.abs(before.rgb.astype(int) - after.rgb).mean(axis=2) for before, after in pairs]
    # The eyes are gone on every frame, also on those before the face was confirmed; the suit is as it was.
    for index, difference in enumerate(changed):
        left = 175 - 6 * index
        assert difference[95:110, left : left + 60].mean() > 15
        assert difference[260:310, 120:160].mean() < 5
