"""What the writer makes is read back as it was written: numbers, times, size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from masklet.media.video_file import VideoFileSource
from masklet.media.writer import VideoCodec, VideoWriter, h264, prores, vp9
from tests.media.clips import number_of
from tests.media.recordings import Recordings

KINDS: dict[str, VideoCodec] = {
    "out.mp4": h264(),
    "out.mkv": h264(),
    "out.webm": vp9(alpha=False),
    "out alpha.webm": vp9(alpha=True),
    "out.mov": prores(),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("source_name", ["h264.mp4", "uneven.webm", "cut.mp4", "long sound.mkv", "late start.mkv"])
def test_written_videos_have_the_frames_and_times_of_their_source(
    recordings: Recordings, tmp_path: Path, name: str, source_name: str
) -> None:
    codec, path = KINDS[name], tmp_path / name
    with VideoFileSource(recordings[source_name]) as source:
        frames = list(source.frames())
        with VideoWriter(path, source.info, codec) as writer:
            for frame in frames:
                opaque = np.full((*frame.size_hw, 1), 255, np.uint8)
                picture = np.concatenate([frame.rgb, opaque], axis=2) if codec.has_alpha else frame.rgb
                writer.write(picture, frame.time_s)
        fps = source.info.fps
    with VideoFileSource(path) as written:
        copies = list(written.frames())
        assert [number_of(copy.rgb) for copy in copies] == [number_of(frame.rgb) for frame in frames]
        assert written.info.num_frames == len(frames)
        assert [copy.time_s for copy in copies] == pytest.approx([frame.time_s for frame in frames], abs=0.002)
        assert written.info.fps == pytest.approx(fps, rel=0.01)
        for index in (len(frames) - 1, 2, len(frames) // 2):
            assert np.array_equal(written.frame(index).rgb, copies[index].rgb)
