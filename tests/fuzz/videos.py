"""The reader of video files, and tiny ones that FFmpeg makes."""

from __future__ import annotations

import itertools
import subprocess
from contextlib import closing
from pathlib import Path

import imageio_ffmpeg

from masklet.media.source import open_source

_CODECS = {
    "mp4": (("-c:v", "libx264", "-g", "4", "-bf", "2"), ("-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov")),
    "mkv": (("-c:v", "libx264", "-g", "4"), ("-c:v", "ffv1")),
    "webm": (("-c:v", "libvpx-vp9", "-g", "4", "-cpu-used", "8", "-deadline", "realtime"),),
    "avi": (("-c:v", "mpeg4", "-g", "4"), ("-c:v", "mjpeg")),
    "gif": ((),),
}
"""Options of FFmpeg for each video, by container."""


_EXACT = ("-threads", "1", "-flags", "+bitexact", "-fflags", "+bitexact")
"""Options for the same bytes every time, so that a seed stays what it was."""


def videos(folder: Path) -> dict[str, tuple[bytes, ...]]:
    """Return videos of eight frames, 32 x 24 pixels, by container."""
    return {
        name: tuple(_made(folder / f"video-{number}.{name}", options) for number, options in enumerate(rows))
        for name, rows in _CODECS.items()
    }


def _made(path: Path, options: tuple[str, ...]) -> bytes:
    source = ("-f", "lavfi", "-i", "testsrc=size=32x24:rate=8:duration=1")
    form = () if path.suffix == ".gif" else ("-pix_fmt", "yuvj420p" if "mjpeg" in options else "yuv420p")
    program = str(imageio_ffmpeg.get_ffmpeg_exe())
    subprocess.run([program, "-v", "error", "-y", *source, *options, *form, *_EXACT, str(path)], check=True)
    return path.read_bytes()


def read_video(path: Path) -> None:
    """Open a video, read some frames at random, then all, then some backwards."""
    with closing(open_source(path)) as source:
        count = source.info.num_frames or 0
        for index in {0, count // 2, max(0, count - 1)}:
            source.frame(index)
        for index, frame in enumerate(source.frames()):
            assert frame.rgb.shape[:2] == source.info.size_hw
            if index > 500:
                break
        for _ in itertools.islice(source.frames(max(0, count - 1), None, -1), 4):
            pass
