"""What a newcomer reads is true: examples run, the README's code runs, links lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from masklet.cli import main as masklet_command
from masklet.engine.onnx_engine import SPEC_FILE
from masklet.engine.open import embedded_folder
from masklet.media.images import read_image
from masklet.media.source import open_source
from tests.serving import Server

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
MEDIA = EXAMPLES / "media"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))

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
    """The first frames of the bundled clip, under its name."""
    path = tmp_path / "bunny.mp4"
    with open_source(MEDIA / "bunny.mp4") as source, av.open(str(path), "w") as container:
        height, width = source.info.size_hw
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in source.frames(stop=3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.rgb)))
        container.mux(stream.encode())
    return path


def code_blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


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
def test_the_code_in_the_readme_runs(
    tmp_path: Path, short_clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(MEDIA / "cat.jpg", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert short_clip.is_file()
    names: dict[str, object] = {}
    blocks = code_blocks(ROOT / "README.md", "python")
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert capsys.readouterr().out.startswith("(300, 451)")


@needs_nano
def test_the_commands_in_the_readme_run(
    tmp_path: Path, short_clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(MEDIA / "cat.jpg", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert short_clip.is_file()
    lines = [line for block in code_blocks(ROOT / "README.md", "") for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("masklet ")]
    commands = [command for command in commands if command[0] != "serve"]  # it does not end: tests/studio starts it
    assert [command[0] for command in commands] == ["segment", "track", "render", "export-masks"]
    for command in commands:
        assert masklet_command(command) == 0, capsys.readouterr().err
    for name in ("bunny.mp4", "blurred.mp4", "bunny.json"):
        assert (tmp_path / "out" / name).is_file()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
    files = [link.split("#")[0] for link in links if "://" not in link]
    if not HAS_NANO:  # it makes the pictures
        files = [file for file in files if not file.startswith("docs/pictures/")]
    assert [link for link in files if link and not (document.parent / link).exists()] == []


def test_the_architecture_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "masklet"
    rooms = {path.stem for path in package.glob("[!_]*.py")}
    rooms |= {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert {room for room in rooms if room not in text} == set()
