"""Closed sources and writers leave no threads and no open files, without the garbage collector's help."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from masklet.api import Model
from masklet.errors import VideoError
from masklet.media.gif import GifOptions, GifWriter
from masklet.media.source import open_source
from masklet.media.video_file import VideoFileSource
from masklet.media.writer import VideoWriter, h264, prores, vp9
from masklet.server.frames import FrameCache, FrameReader
from masklet.tracking.tracker import Tracker
from tests.fake_engine import FakeEngine
from tests.media.recordings import Recordings
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts threads and descriptors in /proc")

CYCLES = 12


def held() -> tuple[int, int]:
    """Return the numbers of threads, those of decoders included, and of open files."""
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def random_access(path: Path) -> None:
    with VideoFileSource(path) as source:
        for index in (20, 3, 11):
            source.frame(index)
        source.picture(5, (24, 32))
        source.key_picture(source.key_frame(17), (24, 32))


def passes(path: Path) -> None:
    with open_source(path) as source:
        forwards, backwards = source.frames(2), source.frames(20, step=-1)
        next(forwards), next(backwards)
        del forwards, backwards
        assert len(list(source.frames(step=5))) == 5


def closed_twice(path: Path) -> None:
    source = VideoFileSource(path)
    source.frame(9)
    source.close()
    source.frame(3)  # opens it again
    source.close()
    source.close()


def reader_of_the_server(path: Path) -> None:
    reader = FrameReader("clip", lambda: open_source(path), FrameCache(10**6))
    reader.frame(7)
    reader.thumbnails([0, 23], 20)
    reader.close()


def refused(path: Path) -> None:
    damaged = path.with_suffix(".damaged.mp4")
    damaged.write_bytes(path.read_bytes()[:300])
    with pytest.raises(VideoError):
        VideoFileSource(damaged)


def trackers(path: Path) -> None:
    with Model(FakeEngine()).tracker(str(path)) as tracker:
        tracker.prompt(1, 0, box_xyxy=(8, 8, 40, 40))
        for masks in tracker.run():
            if masks.frame_index == 5:
                break
        tracker.save(path.with_suffix(".masklet"))
        tracker.preview(0)
    tracker.close()
    assert "closed" in repr(tracker)
    with Tracker.resume(path.with_suffix(".masklet"), FakeEngine()) as resumed:
        next(resumed.proceed())


def write(path: Path) -> None:
    with open_source(path) as source:
        frames = list(source.frames(0, 4))
        for name, codec in (("a.mp4", h264()), ("a.webm", vp9(alpha=False)), ("a.mov", prores())):
            with VideoWriter(path.parent / name, source.info, codec) as writer:
                for frame in frames:
                    writer.write(frame.rgb, frame.time_s)
        with GifWriter(path.parent / "a.gif", GifOptions()) as gif:
            for frame in frames:
                gif.write(frame.rgb, frame.time_s)
        after_the_block = held()
        del writer, gif
        assert held()[0] == after_the_block[0]  # the files are finished: nothing waits for the objects


@pytest.mark.parametrize("use", [random_access, passes, closed_twice, reader_of_the_server, refused, trackers, write])
@pytest.mark.parametrize("name", ["h264.mp4", "vp9.webm", "long sound.mkv"])
def test_closed_means_closed(recordings: Recordings, tmp_path: Path, use: Callable[[Path], None], name: str) -> None:
    path = tmp_path / name
    path.write_bytes(recordings[name].read_bytes())
    use(path)
    before = held()
    for _ in range(CYCLES if use is not write else 3):
        use(path)
    wait_until(lambda: held() <= before, f"threads and files as before, {before}")


def test_a_tracker_leaves_a_source_that_it_was_given_open(recordings: Recordings) -> None:
    with VideoFileSource(recordings["h264.mp4"]) as source:
        source.frame(3)
        before = held()
        with Model(FakeEngine()).tracker(source) as tracker:
            tracker.prompt(1, 0, box_xyxy=(8, 8, 40, 40))
        assert held() == before
