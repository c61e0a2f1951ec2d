from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from masklet.errors import VideoError
from masklet.media import video_file as video_file
from masklet.media.base import made_smaller
from masklet.media.video_file import VideoFileSource
from masklet.records import ByteArray
from tests.media.clips import MakeClip, is_upright, number_of, write_tone

KINDS: dict[str, dict[str, Any]] = {
    "h264 with B frames": {"name": "clip.mp4"},
    "unicode and spaces": {"name": "ein Clip: ü 漢.mp4"},
    "matroska": {"name": "clip.mkv"},
    "transport stream": {"name": "clip.ts"},
    "webm": {"name": "clip.webm", "codec": "libvpx-vp9"},
    "gif": {"name": "clip.gif", "codec": "gif", "pixel_format": "rgb8"},
    "fragmented": {"name": "clip.mp4", "muxer_options": {"movflags": "frag_keyframe+empty_moov"}},
    "avi": {"name": "clip.avi", "codec": "mpeg4"},
    "avi with B frames has no time stamps": {"name": "clip.avi"},
    "bare stream without a container": {"name": "clip.h264"},
    "odd size": {"name": "clip.mov", "size_hw": (47, 63), "pixel_format": "yuv444p"},
    "one frame": {"name": "clip.mp4", "count": 1},
    "10 bit": {"name": "clip.mov", "codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "starts late": {"name": "clip.mp4", "pts": [1000 + 40 * index for index in range(12)]},
    "turned": {"name": "clip.mp4", "turn": 90, "size_hw": (64, 96)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_numbered_exactly_however_they_are_reached(make_clip: MakeClip, kind: str) -> None:
    options = KINDS[kind]
    count = options.get("count", 12)
    with VideoFileSource(make_clip(**options)) as source:
        assert source.info.num_frames == count
        assert source.info.size_hw == options.get("size_hw", (48, 64))
        frames = list(source.frames())
        assert [frame.index for frame in frames] == list(range(count))
        assert [number_of(frame.rgb) for frame in frames] == list(range(count))
        assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(count)], abs=1e-3)
        assert all(is_upright(frame.rgb) for frame in frames)
        backwards = list(source.frames(count - 1, step=-1))
        assert [number_of(frame.rgb) for frame in backwards] == list(range(count))[::-1]
        for index in (count - 1, 0, count // 2, count // 2 - 1, count // 3):
            if index >= 0:
                frame = source.frame(index)
                assert (frame.index, number_of(frame.rgb)) == (index, index)
                assert frame.time_s == frames[index].time_s


@pytest.mark.parametrize("kind", KINDS)
def test_small_pictures_are_the_frames_made_smaller(make_clip: MakeClip, kind: str) -> None:
    options = {"size_hw": (64, 96)} | KINDS[kind]
    with VideoFileSource(make_clip(**options)) as source:
        count, (height, width) = source.info.num_frames or 0, source.info.size_hw
        size_hw = (height // 2, width // 2)
        for index in (count - 1, 0, count // 2, count // 2 - 1, count // 3):
            if index < 0:
                continue
            key = source.key_frame(index)
            for place, picture in ((index, source.picture(index, size_hw)), (key, source.key_picture(key, size_hw))):
                expected = made_smaller(source.frame(place).rgb, size_hw)
                assert (picture.shape, picture.dtype) == ((*size_hw, 3), np.uint8)
                assert np.abs(picture.astype(int) - expected).mean() < 4
                assert number_of(picture) == place
        with pytest.raises(VideoError, match="does not exist"):
            source.picture(count, size_hw)


def test_nothing_is_decoded_or_converted_needlessly(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int | None] = []
    converted: list[int] = []

    def counted(*given: Any) -> Iterator[av.VideoFrame]:
        for frame in decode(*given):
            decoded.append(frame.pts)
            yield frame

    def weighed(source: VideoFileSource, frame: av.VideoFrame, size_hw: tuple[int, int]) -> ByteArray:
        rgb = to_rgb(source, frame, size_hw)
        converted.append(rgb.nbytes)
        return rgb

    decode, to_rgb = video_file.decode, VideoFileSource._to_rgb
    path = make_clip(count=60, gop=30, size_hw=(96, 128))
    with VideoFileSource(path) as source:
        monkeypatch.setattr(video_file, "decode", counted)
        monkeypatch.setattr(VideoFileSource, "_to_rgb", weighed)
        for index in (30, 32, 31, 34, 33, 31, 30):  # of several concurrent readers, any may be first
            source.picture(index, (24, 32))
        assert len(decoded) == 5
        assert converted == [24 * 32 * 3] * 7
        source.frame(33)  # another size of a cached frame
        source.key_picture(0, (24, 32))
        assert len(decoded) == 5
        source.picture(35, (24, 32))  # the playback position has not changed
        source.picture(59, (24, 32))
        assert len(decoded) == 30


@pytest.mark.parametrize(
    ("start", "stop", "step"),
    [(0, 5, 1), (3, None, 1), (2, None, 4), (7, 7, 1), (11, 2, -3), (5, None, -1), (4, 4, -1)],
)
def test_ranges_are_those_of_python(make_clip: MakeClip, start: int, stop: int | None, step: int) -> None:
    with VideoFileSource(make_clip()) as source:
        wanted = range(start, stop if stop is not None else (12 if step > 0 else -1), step)
        assert [number_of(frame.rgb) for frame in source.frames(start, stop, step)] == list(wanted)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
@pytest.mark.parametrize(("turn", "mirrored"), [(90, False), (180, False), (270, False), (0, True), (90, True)])
def test_frames_are_upright(make_clip: MakeClip, name: str, turn: int, mirrored: bool) -> None:
    path = make_clip(name, 2, size_hw=(64, 96), turn=turn, mirrored=mirrored)
    with VideoFileSource(path) as source:
        assert source.info.size_hw == (64, 96)
        if not mirrored:
            assert source.info.rotation_degrees == turn
        assert [number_of(frame.rgb) for frame in source.frames()] == [0, 1]
        assert is_upright(source.frame(0).rgb)


def test_uneven_time_stamps_are_kept(make_clip: MakeClip) -> None:
    stamps = [0, 10, 50, 60, 100, 200, 210, 400, 410, 420, 500, 900]
    with VideoFileSource(make_clip(pts=stamps)) as source:
        assert [frame.time_s for frame in source.frames()] == pytest.approx([stamp / 1000 for stamp in stamps])


def test_info(make_clip: MakeClip) -> None:
    path = make_clip(fps=Fraction(30000, 1001), audio="aac")
    with VideoFileSource(path) as source:
        info = source.info
    assert info.fps == pytest.approx(29.97, abs=0.001)
    assert info.duration_s == pytest.approx(12 * 1001 / 30000, abs=1e-3)
    assert (info.codec, info.has_audio, info.name, info.is_live) == ("h264", True, str(path), False)


def test_colors_survive(make_clip: MakeClip) -> None:
    with VideoFileSource(make_clip(pixel_format="yuv444p")) as source:
        rgb = source.frame(0).rgb
    assert np.abs(rgb[12, 16].astype(int) - (255, 0, 0)).max() < 12
    assert np.abs(rgb[12, 48].astype(int) - (0, 0, 255)).max() < 12


def test_several_passes_at_once(make_clip: MakeClip) -> None:
    with VideoFileSource(make_clip()) as source:
        pairs = list(zip(source.frames(), source.frames(11, step=-1), strict=True))
    assert [(a.index, b.index) for a, b in pairs] == [(index, 11 - index) for index in range(12)]


CUT: dict[str, dict[str, Any]] = {
    "index in front": {"name": "clip.mp4", "muxer_options": {"movflags": "faststart"}},
    "matroska": {"name": "clip.mkv"},
    "matroska with sound": {"name": "clip.mkv", "audio": "aac"},
    "avi": {"name": "clip.avi", "codec": "mpeg4", "b_frames": 0},
}


@pytest.mark.parametrize("kind", CUT)
def test_a_truncated_file_delivers_its_frames_and_then_raises(make_clip: MakeClip, kind: str) -> None:
    path = make_clip(count=100, **CUT[kind])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    seen: list[int] = []
    with VideoFileSource(path) as source:
        there = source.info.num_frames
        assert there is not None
        assert 30 < there < 80
        with pytest.raises(VideoError, match=f"breaks off after {there} of about 100 frames") as caught:
            seen.extend(frame.index for frame in source.frames())
        assert seen == list(range(there))
        assert caught.value.frame_index == there
        # reading existing frames raises no error
        assert len(list(source.frames(0, there - 5))) == there - 5
        assert [frame.index for frame in source.frames(there - 1, there - 4, -1)] == [there - 1, there - 2, there - 3]


def test_an_element_may_announce_more_bytes_than_a_disk_can_hold(make_clip: MakeClip) -> None:
    path = make_clip("clip.mkv")
    data = bytearray(path.read_bytes())
    at = data.index(b"\x1f\x43\xb6\x75")  # the first cluster
    assert data[at + 4] >> 6 == 1  # two bytes of size follow
    data[at + 4 : at + 6] = b"\x01\xfe" + b"\xff" * 6
    path.write_bytes(data)
    with VideoFileSource(path) as source:
        assert number_of(source.frame(0).rgb) == 0


def test_a_damaged_packet_loses_its_frame_and_the_others_keep_their_numbers(make_clip: MakeClip) -> None:
    path = make_clip(count=40, b_frames=0)
    with av.open(str(path)) as container:
        broken = container.streams.video[0].index_entries[22]
    data = bytearray(path.read_bytes())
    data[broken.pos : broken.pos + broken.size] = b"\xff" * broken.size
    path.write_bytes(data)
    with VideoFileSource(path) as source:
        frames = list(source.frames())
        assert [frame.index for frame in frames] == [index for index in range(40) if index != 22]
        assert number_of(frames[-1].rgb) == 39
        with pytest.raises(VideoError, match="frame 22 cannot be decoded") as caught:
            source.frame(22)
        assert caught.value.frame_index == 22
        assert source.frame(30).index == 30


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such video"),
        (b"", "empty: got 0 bytes"),
        (b"hello " * 50, "Invalid data"),
        (b"\x00\x00\x00\x20ftypisom" + b"\x00" * 500, "probably cut off"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://localhost:9/x.ts\n", "Invalid data"),
    ],
)
def test_files_that_are_not_videos_give_the_reason(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "no video.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=reason) as caught:
        VideoFileSource(path)
    assert "no video.mp4" in str(caught.value)


def test_sound_alone_is_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w") as container:
        write_tone(container, container.add_stream("aac", rate=48000), 0.2)
    with pytest.raises(VideoError, match="no video stream: it holds audio"):
        VideoFileSource(path)


def test_frames_that_do_not_exist(make_clip: MakeClip) -> None:
    with VideoFileSource(make_clip()) as source:
        for index in (-1, 12):
            with pytest.raises(VideoError, match=f"frame {index} does not exist.*has 12"):
                source.frame(index)
            with pytest.raises(VideoError, match=f"frame {index} does not exist"):
                source.frames(index)
