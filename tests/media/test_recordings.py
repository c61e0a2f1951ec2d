"""Frames of video files as people's programs make them, reached in order, at random and backwards."""

from __future__ import annotations

import random
from pathlib import Path

import av
import numpy as np
import pytest

from masklet.errors import VideoError
from masklet.media.video_file import VideoFileSource
from tests.media.clips import number_of
from tests.media.recordings import FPS, NUM_FRAMES, RECIPES, Recordings


@pytest.mark.parametrize("name", RECIPES)
def test_the_kth_frame_is_the_same_however_it_is_reached(recordings: Recordings, name: str) -> None:
    path = recordings[name]
    with VideoFileSource(path) as source:
        frames = list(source.frames())  # no good file is called damaged
        assert [number_of(frame.rgb) for frame in frames] == recordings.numbers(path)
        assert [frame.index for frame in frames] == list(range(source.info.num_frames or 0))
        times = [frame.time_s for frame in frames]
        assert times[0] == 0
        assert times == sorted(set(times))
        indices = random.Random(1).sample(range(len(frames)), len(frames))
        backwards = list(source.frames(len(frames) - 1, step=-1))
        for frame in [source.frame(index) for index in indices] + backwards:
            assert frame.time_s == times[frame.index]
            assert np.array_equal(frame.rgb, frames[frame.index].rgb)
        assert [frame.index for frame in backwards] == list(range(len(frames)))[::-1]
    for index in (1, len(frames) // 2, len(frames) - 1)[: len(frames)]:  # the first thing that is asked of the file
        with VideoFileSource(path) as source:
            assert np.array_equal(
                source.frame(min(index, len(frames) - 1)).rgb, frames[min(index, len(frames) - 1)].rgb
            )


EVEN = [name for name in RECIPES if name.startswith(("h264.", "vp9", "hevc", "cut", "long", "short", "huge", "late"))]


@pytest.mark.parametrize("name", EVEN)
def test_rate_and_duration_are_those_of_the_frames(recordings: Recordings, name: str) -> None:
    with VideoFileSource(recordings[name]) as source:
        assert source.info.fps == pytest.approx(FPS)
        assert source.info.duration_s == pytest.approx((source.info.num_frames or 0) / FPS, abs=0.1)


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("uneven")])
def test_uneven_times_have_their_average_rate(recordings: Recordings, name: str) -> None:
    with VideoFileSource(recordings[name]) as source:
        times = [frame.time_s for frame in source.frames()]
        assert times[-1] > 3.5
        assert source.info.fps == pytest.approx((NUM_FRAMES - 1) / times[-1], rel=0.01)
        assert source.info.duration_s == pytest.approx(times[-1] + 0.1, abs=0.1)


@pytest.mark.parametrize("recipe", ["-disposition:v:0 0 -disposition:v:1 default", "-disposition:v:1 0"])
def test_of_several_videos_the_default_one_is_read(recordings: Recordings, tmp_path: Path, recipe: str) -> None:
    path = tmp_path / "two.mkv"
    small = "-f lavfi -i testsrc=s=32x32:r=10:d=1"
    recordings.make(path, f"{small} -i h264.mp4 -map 0 -map 1 -c:v:1 copy -c:v:0 libx264 {recipe}")
    expected = 24.0 if recipe.endswith("default") else 10.0
    with VideoFileSource(path) as source:
        assert source.info.fps == expected
        assert len(list(source.frames())) == expected


def test_a_size_that_changes_keeps_the_first_one(recordings: Recordings, tmp_path: Path) -> None:
    second = tmp_path / "second.ts"
    recordings.make(second, "-i h264.ts -vf scale=96:64:flags=neighbor -c:v libx264 -bf 3 -output_ts_offset 1")
    path = tmp_path / "sizes.ts"
    path.write_bytes(recordings["h264.ts"].read_bytes() + second.read_bytes())
    with VideoFileSource(path) as source:
        frames = list(source.frames())
        assert {frame.size_hw for frame in frames} == {(48, 64)}
        assert [number_of(frame.rgb) for frame in frames] == [*range(24), *range(24)]
        for index in (40, 3, 24, 23):
            assert np.array_equal(source.frame(index).rgb, frames[index].rgb)


CUT_OFF = ["h264.mkv", "vp9.webm", "long sound.mkv", "fragments.mp4", "raw.avi", "long sound.flv", "long sound.avi"]


@pytest.mark.parametrize("name", CUT_OFF)
def test_a_file_that_was_cut_off_keeps_its_frames_and_says_so(
    recordings: Recordings, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    content = recordings[name].read_bytes()
    path.write_bytes(content[: len(content) * 8 // 10])
    frames = []
    with VideoFileSource(path) as source:
        count = source.info.num_frames
        with pytest.raises(VideoError, match=f"breaks off after {count} .*truncated or damaged") as caught:
            frames.extend(source.frames())
    assert len(frames) == count == caught.value.frame_index


@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mp4", "av1.mp4", "prores.mov", "mjpeg.avi", "mpeg4.mp4"])
@pytest.mark.parametrize("number", [9, 13])
def test_frames_after_a_damaged_packet_keep_their_numbers(
    recordings: Recordings, tmp_path: Path, name: str, number: int
) -> None:
    with av.open(str(recordings[name])) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    start, size = packets[number]
    assert start is not None
    data = bytearray(recordings[name].read_bytes())
    for at in range(start, start + size):
        data[at] ^= 0x5A
    path = tmp_path / name
    path.write_bytes(data)
    with VideoFileSource(path) as source:
        frames = {frame.index: frame.rgb for frame in source.frames()}
        assert source.info.num_frames == NUM_FRAMES
        assert len(frames) < NUM_FRAMES
        assert all(number_of(frames[index]) == index for index in (*range(8), *range(19, 24)))
        for index in sorted(set(range(NUM_FRAMES)) - set(frames)):
            with pytest.raises(VideoError, match=f"frame {index} cannot be decoded"):
                source.frame(index)


def test_damage_that_ends_a_matroska_file_is_reported(recordings: Recordings, tmp_path: Path) -> None:
    data = bytearray(recordings["h264.mkv"].read_bytes())
    middle = len(data) * 6 // 10
    data[middle : middle + 100] = bytes(100)
    path = tmp_path / "hole.mkv"
    path.write_bytes(data)
    with VideoFileSource(path) as source, pytest.raises(VideoError, match="of about 24 frames"):
        for _ in source.frames():
            pass


@pytest.mark.parametrize("duration", ["soon", "nan:nan:nan", "99:99", "-1:00:00.0", "1" * 5000 + ":00:00.0", "0:0:inf"])
def test_a_duration_that_is_no_number_is_ignored(recordings: Recordings, tmp_path: Path, duration: str) -> None:
    path = tmp_path / "clip.webm"
    recordings.make(path, "-i vp9.webm -c copy")
    data = path.read_bytes()
    with av.open(str(path), metadata_errors="replace") as container:
        before = container.streams.video[0].metadata["DURATION"].encode()
    path.write_bytes(data.replace(before, duration.encode()[: len(before)].ljust(len(before), b"\0")))
    with VideoFileSource(path) as source:
        assert source.info.duration_s == pytest.approx(1, abs=0.01)
        assert len(list(source.frames())) == NUM_FRAMES
