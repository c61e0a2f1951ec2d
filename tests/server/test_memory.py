"""The heaviest requests, sent to a server in a process of its own, whose peak of memory is measured."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from masklet.masks.rle import encode_rle
from masklet.server.settings import API_BASE, Limits
from tests.waiting import PATIENCE_S

ALLOWED_BYTES = 600 * 2**20
"""Bound of the server's memory above rest, for any single request."""

SIZE_HW = (6250, 8000)
"""The largest image that is accepted."""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux, which tells a process's peak of memory"
)


class Server:
    """A server of its own, and the peak of its memory."""

    def __init__(self, data: Path) -> None:
        command = [sys.executable, str(Path(__file__).with_name("held_server.py")), str(data)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        address = self.process.stdout.readline().strip()
        self.client = httpx2.Client(base_url=address + API_BASE, headers={"X-Masklet": "1"}, timeout=PATIENCE_S)
        self.project = self.client.post("/projects", json={"name": "Large"}).json()["id"]

    def close(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def memory_bytes(self, name: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        raise AssertionError(name)

    def peak_bytes(self, request: Callable[[], Any]) -> int:
        """Return the memory above rest that a request has taken at its peak."""
        rest = self.memory_bytes("VmRSS")
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")  # forget the earlier peak
        request()
        return self.memory_bytes("VmHWM") - rest

    def upload(self, name: str, data: bytes, where: str = "") -> Any:
        path = where or f"/projects/{self.project}/media"
        return self.client.post(path, files={"files": (name, data)})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("data"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def photo() -> bytes:
    """The largest image that is accepted, in a few kilobytes."""
    height, width = SIZE_HW
    assert height * width == Limits().max_pixels
    buffer = io.BytesIO()
    Image.new("RGBA", (width, height), (90, 120, 30, 200)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def small(server: Server) -> str:
    """A small medium for imports."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48)).save(buffer, "PNG")
    return str(server.upload("small.png", buffer.getvalue()).json()["media"][0]["id"])


def check(server: Server, request: Callable[[], Any], *statuses: int) -> Any:
    answers: list[Any] = []
    peak_bytes = server.peak_bytes(lambda: answers.append(request()))
    assert answers[0].status_code in statuses, answers[0].text
    assert peak_bytes < ALLOWED_BYTES, f"{peak_bytes / 2**20:.0f} MB above rest"
    return answers[0]


def test_the_largest_photo(server: Server, photo: bytes) -> None:
    """Upload, show, click, draw and render it."""
    with ThreadPoolExecutor(3) as pool:  # several at once are probed two at a time, and in other processes

        def uploads() -> Any:
            *_, last = pool.map(lambda number: server.upload(f"{number}.png", photo), range(3))
            return last

        medium = check(server, uploads, 201).json()["media"][0]["id"]
    client, path = server.client, f"/media/{medium}/frames/0"
    height, width = SIZE_HW
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[1000:5000:100, 1000:7000] = True
    check(server, lambda: client.get(f"{path}.jpg"), 200)
    client.post(f"/media/{medium}/objects", json={})
    click = {"points": [[width // 2, height // 2]], "labels": [1]}
    check(server, lambda: client.put(f"{path}/objects/1/prompt", json=click), 200)
    check(server, lambda: client.put(f"{path}/objects/1/mask", json={"rle": encode_rle(mask)}), 200)
    check(server, lambda: client.put(f"{path}/objects/1/prompt", json=click), 200)
    check(server, lambda: client.post(f"{path}/preview", json={"composition": {}}), 200)


def clip(ffmpeg: str, path: Path, size: str, count: int) -> bytes:
    """Return an H.264 video whose decoder must keep 16 frames for reference, whatever the level allows."""
    source = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=25", "-frames:v", str(count)]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-threads", "2", "-x264-params", "ref=16:bframes=8"]
    subprocess.run([ffmpeg, "-v", "error", *source, *codec, "-pix_fmt", "yuv420p", str(path)], check=True)
    return path.read_bytes()


def test_the_largest_video_with_most_reference_frames(server: Server, ffmpeg: str, tmp_path: Path) -> None:
    data = clip(ffmpeg, tmp_path / "4k.mp4", "4096x2160", 24)
    medium = check(server, lambda: server.upload("4k.mp4", data), 201).json()["media"][0]["id"]
    frame = f"/media/{medium}/frames"
    check(server, lambda: [server.client.get(f"{frame}/{index}.jpg") for index in (23, 0, 20)][-1], 200)


def test_a_larger_video(server: Server, ffmpeg: str, tmp_path: Path) -> None:
    data = clip(ffmpeg, tmp_path / "8k.mp4", "7680x4320", 6)
    answer = check(server, lambda: server.upload("8k.mp4", data), 422)
    assert "at most 9,500,000 are accepted" in answer.json()["error"]["message"]


def test_a_larger_photo(server: Server) -> None:
    header = b"IHDR" + (30_000).to_bytes(4, "big") + (30_000).to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    data = zlib.compress(bytes(90_001) * 200)
    chunks = [header, b"IDAT" + data, b"IEND"]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") for chunk in chunks
    )
    answer = check(server, lambda: server.upload("large.png", png), 422)
    assert "too large" in answer.json()["error"]["message"]


def test_later_pages_of_a_tiff(server: Server) -> None:
    buffer = io.BytesIO()
    first, second = Image.new("L", (64, 48)), Image.new("L", (12_000, 12_000))
    first.save(buffer, "TIFF", save_all=True, append_images=[second], compression="tiff_adobe_deflate")

    def upload_and_show() -> Any:
        answer = server.upload("pages.tif", buffer.getvalue())
        for medium in answer.json().get("media", []):
            assert server.client.get(f"/media/{medium['id']}/frames/1.jpg").status_code == 422
        return answer

    check(server, upload_and_show, 201, 422)


def test_large_bodies(server: Server) -> None:
    check(server, lambda: server.client.post("/projects", content=b"[]," * 20_000_000), 413)


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": {"100000": 0, "50000": 0}, "counts": [5_000_000_000]},
        {"size": [100_000, 100_000], "counts": [10_000_000_000]},
        {"size": [48, 64], "counts": [2**62, 2**62]},
        {"size": [100_000, 50_000], "counts": "PPPPPPPPPPPl0"},
    ],
)
def test_masks_that_stand_for_gigabytes(server: Server, small: str, segmentation: Any) -> None:
    document = {
        "images": [{"id": 1, "file_name": "small.png", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation}],
    }
    check(server, lambda: server.upload("coco.json", json.dumps(document).encode(), f"/media/{small}/import"), 422)


def test_a_zip_that_unpacks_to_gigabytes(server: Server, small: str) -> None:
    """All .zip files of a request count together: each of these three is below the limit."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"compression": zipfile.ZIP_DEFLATED, "compresslevel": 1}
    with zipfile.ZipFile(buffer, "w", **options) as archive, archive.open("small.png", "w") as file:
        for _ in range(11):
            file.write(bytes(2**26))
    files = [("files", (f"{number}.zip", buffer.getvalue())) for number in range(3)]
    check(server, lambda: server.client.post(f"/media/{small}/import", files=files), 422)


def test_json_that_grows_when_it_is_parsed(server: Server, small: str) -> None:
    """It is parsed by the limited process, which runs out of its own memory."""
    document = b'{"images": [' + b"{}," * 15_000_000 + b"{}]}"
    check(server, lambda: server.upload("coco.json", document, f"/media/{small}/import"), 422)
