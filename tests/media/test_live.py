from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from masklet.errors import VideoError
from masklet.media import live
from masklet.media.live import CameraSource
from masklet.media.stream import StreamSource
from masklet.records import Frame
from tests.waiting import wait_until


def numbered(count: int) -> np.ndarray:
    """Return (4, 6, 3) with a number in every pixel: 24 bits, because a busy machine may skip hundreds of frames."""
    image = np.zeros((4, 6, 3), np.uint8)
    image[:] = count & 255, (count >> 8) & 255, count >> 16
    return image


def number_of(frame: Frame) -> int:
    """The number of a frame, whose channels are in the order RGB where `numbered` has BGR."""
    high, middle, low = (int(value) for value in frame.rgb[0, 0])
    return low + (middle << 8) + (high << 16)


class FakeCapture:
    """A camera at about 500 frames a second, whose picture is its number; `last` is where the cable is pulled."""

    last = 10**9
    newest: FakeCapture

    def __init__(self, index: int) -> None:
        self.index, self.count, self.released = index, -1, False
        FakeCapture.newest = self

    def isOpened(self) -> bool:
        return self.index == 0

    def read(self) -> tuple[bool, np.ndarray | None]:
        time.sleep(0.002)
        self.count += 1
        return (False, None) if self.count > self.last else (True, numbered(self.count))

    def get(self, _: int) -> float:
        return 0.0

    def release(self) -> None:
        self.released = True


@pytest.fixture(autouse=True)
def _fake_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.cv2, "VideoCapture", FakeCapture)


def test_a_slow_reader_gets_the_newest_frame() -> None:
    with CameraSource(0) as source:
        info = source.info
        assert (info.num_frames, info.is_live, info.fps, info.size_hw) == (None, True, 30.0, (4, 6))
        frames = source.frames()
        first = next(frames)
        wait_until(lambda: FakeCapture.newest.count >= number_of(first) + 20, "20 more frames")
        next(frames)  # may have been waiting since the first
        third = next(frames)
        assert (first.index, third.index) == (0, 2)
        assert number_of(third) - number_of(first) > 10
        assert third.time_s > first.time_s
    assert not any(thread.name == "masklet-live" for thread in threading.enumerate())


def test_a_camera_that_is_pulled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeCapture, "last", 3)
    with CameraSource(0) as source, pytest.raises(VideoError, match="camera 0 stopped giving pictures"):
        for _ in source.frames():
            pass


def test_no_camera() -> None:
    with pytest.raises(VideoError, match="camera 7 gives no picture"):
        CameraSource(7)


def test_a_missing_camera_is_reported_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.undo()
    with pytest.raises(VideoError, match="camera 97 gives no picture"):
        CameraSource(97)
    assert capfd.readouterr().err == ""


def test_no_stream() -> None:
    with pytest.raises(VideoError, match="cannot open the stream rtmp"):
        StreamSource("rtmp://127.0.0.1:9/nothing")
