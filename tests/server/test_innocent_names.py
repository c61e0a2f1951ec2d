"""Pictures of formats that are not on the list, under the names of photos: refused at every door, and never run."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.datasets.files import read_bytes
from masklet.errors import MaskletError
from masklet.media.images import read_image
from masklet.media.source import open_source
from tests.server.conftest import LIVE, Page, png

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n{} loop\n%%EOF\n"

WRITTEN_BY_PILLOW = ("EPS", "PCX", "SGI", "TGA", "ICO", "ICNS", "DDS", "JPEG2000", "MSP", "XBM", "SPIDER", "PDF")
"""Formats that Pillow writes, and reads where nobody limits it (all but PDF)."""


def foreign_pictures() -> dict[str, bytes]:
    """Files in formats that Pillow or a browser knows and masklet does not read, by format."""
    files = {
        "PostScript": POSTSCRIPT,
        "DOS EPS": b"\xc5\xd0\xd3\xc6" + (32).to_bytes(4, "little") + len(POSTSCRIPT).to_bytes(4, "little")
        + bytes(20) + POSTSCRIPT,
        "FlashPix": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        "WMF": b"\xd7\xcd\xc6\x9a\x00\x00" + bytes(100),
        "EMF": b"\x01\x00\x00\x00" + bytes(36) + b" EMF" + bytes(100),
        "PSD": b"8BPS\x00\x01" + bytes(6) + b"\x00\x03\x00\x00\x00\x06\x00\x00\x00\x08\x00\x08\x00\x03" + bytes(100),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="6"><script>alert(1)</script></svg>',
        "XPM": b'/* XPM */\nstatic char *x[] = {"1 1 1 1", "a c #000000", "a"};\n',
        "FITS": (b"SIMPLE  =                    T" + b" " * 50 + b"END").ljust(2880),
        "GRIB": b"GRIB" + bytes(3) + b"\x01" + bytes(100),
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "QOI": b"qoif\x00\x00\x00\x08\x00\x00\x00\x06\x03\x00" + bytes(100),
        "FLI": b"\x00\x01\x00\x00\x11\xaf" + bytes(200),
    }  # fmt: skip
    for form in WRITTEN_BY_PILLOW:
        mode = {"SPIDER": "F", "MSP": "1", "XBM": "1"}.get(form, "RGB")
        buffer = io.BytesIO()
        Image.new(mode, (16, 16)).save(buffer, form)
        files[form] = buffer.getvalue()
    return files


FOREIGN = foreign_pictures()


@pytest.fixture
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Ghostscript that leaves a file when it is started; the test fails if it was."""
    folder, was_started = tmp_path / "bin", tmp_path / "was-started"
    folder.mkdir()
    for name in ("gs", "gswin32c", "gswin64c", "wmf2svg", "inkscape"):
        program = folder / name
        program.write_text(f"#!/bin/sh\ntouch {was_started}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    yield program
    assert not was_started.exists()


pytestmark = pytest.mark.usefixtures("interpreter")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".mp4", ".eps", ""])
def test_uploads(page: Page, suffix: str) -> None:
    path = f"/api/v1/projects/{page.new_project()}/media"
    files = [("files", (f"{form}{suffix}", data)) for form, data in FOREIGN.items()]
    answer = page.post(path, files=[*files, ("files", ("good.png", png(1)))])
    assert answer.status_code == 201, answer.text
    assert [medium["name"] for medium in answer.json()["media"]] == ["good.png"]
    assert len(answer.json()["rejected"]) == len(FOREIGN)


@pytest.mark.parametrize("form", sorted(FOREIGN))
def test_sequences_and_backgrounds(page: Page, form: str) -> None:
    project = page.new_project()
    files = [("files", (f"{number}.png", png(number))) for number in range(2)] + [("files", ("2.png", FOREIGN[form]))]
    for path, sent in ((f"{project}/media?as=sequence", files), (f"{project}/assets", files[2:])):
        answer = page.post(f"/api/v1/projects/{path}", files=sent)
        assert answer.status_code == 422, answer.text


def test_imports(page: Page) -> None:
    clip = page.new_clip(len(FOREIGN))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, data in enumerate(FOREIGN.values()):
            archive.writestr(f"masks/{number:05d}.png", data)
    for files in ({"files": ("masks.zip", buffer.getvalue())}, {"files": ("00000.png", POSTSCRIPT)}):
        answer = page.post(f"/api/v1/media/{clip}/import", files=files)
        assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("form", sorted(FOREIGN))
def test_live_frames(page: Page, form: str) -> None:
    with page.websocket_connect(LIVE) as line:
        line.send_json({"source": None})
        line.send_bytes(FOREIGN[form])
        assert line.receive_json()["error"]["code"] == "image"


@pytest.mark.parametrize("form", sorted(FOREIGN))
def test_files_of_the_command_line(tmp_path: Path, form: str) -> None:
    for suffix in (".jpg", ".png", ".tif", ".mp4"):
        path = tmp_path / f"{form}{suffix}"
        path.write_bytes(FOREIGN[form])
        with pytest.raises(MaskletError):
            read_image(path)
        with pytest.raises(MaskletError), open_source(path) as source:
            source.frame(0)
    with pytest.raises(MaskletError):
        read_image(read_bytes(path))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "0.jpg").write_bytes(png(0))
    (folder / "1.jpg").write_bytes(FOREIGN[form])
    with pytest.raises(MaskletError), open_source(folder) as source:
        source.frame(1)


def test_prompts_with_masks_of_other_formats(tmp_path: Path) -> None:
    from masklet.datasets.files import MaskFile, masks_by_stem

    for number, data in enumerate(FOREIGN.values()):
        (tmp_path / f"{number:05d}.png").write_bytes(data)
    found = masks_by_stem(tmp_path, {f"{number:05d}" for number in range(len(FOREIGN))})
    assert len(found) == len(FOREIGN)
    for file in found.values():
        assert isinstance(file, MaskFile)
        with pytest.raises(MaskletError):
            file.read()


def test_the_examples_are_what_pillow_would_open() -> None:
    """Without a list of formats, Pillow opens most of these files, so the tests above can fail."""
    opened = set()
    for form, data in FOREIGN.items():
        try:
            with Image.open(io.BytesIO(data)):
                opened.add(form)
        except Exception:  # noqa: PERF203 (one of the few that it does not open)
            continue
    assert len(opened) >= 15, json.dumps(sorted(opened))
    assert {"PostScript", "DOS EPS", "PCX", "EPS"} <= opened
    assert np.asarray(read_image(png(1))).shape == (6, 8, 3)
