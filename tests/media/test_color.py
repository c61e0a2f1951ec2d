"""Colours of frames, whatever matrix, range, gamut and transfer function a file declares."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from masklet.media.video_file import VideoFileSource
from masklet.media.writer import VideoWriter, h264
from tests.media.recordings import Recordings

LOSSLESS = "-c:v libx264 -qp 0 -pix_fmt yuv444p"
MATRICES = {
    "601": "-vf scale=out_color_matrix=bt601:out_range=tv -colorspace smpte170m -color_range tv",
    "709": "-vf scale=out_color_matrix=bt709:out_range=tv -colorspace bt709 -color_range tv",
    "untagged": "-vf scale=out_color_matrix=bt601:out_range=tv",
    "full range": "-vf scale=out_color_matrix=bt709:out_range=pc -colorspace bt709 -color_range pc",
}
SDR = (
    "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv,zscale=t=linear:npl=203,format=gbrpf32le"
)
HDR = {
    "PQ": (f"{SDR},zscale=p=2020:t=smpte2084:m=2020_ncl:r=limited:npl=203", "smpte2084"),
    "HLG": (f"{SDR},zscale=p=2020:t=arib-std-b67:m=2020_ncl:r=limited:npl=203", "arib-std-b67"),
}


def colors(rgb: np.ndarray) -> np.ndarray:
    """Return the colours of the left and the right half, (2, 3)."""
    return np.stack([rgb[12, 16], rgb[12, 48]]).astype(int)


def written_as_hdr(recordings: Recordings, path: Path, kind: str) -> Path:
    filters, transfer = HDR[kind]
    tags = f"-color_primaries bt2020 -color_trc {transfer} -colorspace bt2020nc -color_range tv"
    to_yuv = "scale=out_color_matrix=bt709:out_range=tv,format=yuv444p"
    return recordings.make(path, f"-vf {to_yuv},{filters},format=yuv444p10le -c:v libx264 -qp 0 {tags}")


@pytest.mark.parametrize("kind", MATRICES)
def test_matrix_and_range(recordings: Recordings, tmp_path: Path, kind: str) -> None:
    path = recordings.make(tmp_path / "clip.mp4", f"{MATRICES[kind]} {LOSSLESS}")
    with VideoFileSource(path) as source:
        assert np.abs(colors(source.frame(0).rgb) - [(255, 0, 0), (0, 0, 255)]).max() <= 4


@pytest.mark.parametrize("kind", HDR)
def test_hdr_is_tone_mapped(recordings: Recordings, tmp_path: Path, kind: str) -> None:
    path = written_as_hdr(recordings, tmp_path / "clip.mp4", kind)
    with VideoFileSource(path) as source:
        frame = source.frame(0)
        red, blue = colors(frame.rgb)
        white, black = source.frame(255 % 24).rgb[40, 4], frame.rgb[40, 4]
        assert red[0] > 200  # read as SDR, it is a dull 166, 73, 41
        assert max(red[1:]) < 60
        assert blue[2] > 200
        assert max(blue[:2]) < 60
        assert white.min() > 205  # light above reference white stays brighter
        assert black.max() < 6
        assert np.array_equal(source.picture(0, (48, 64)), frame.rgb)


def test_what_was_hdr_is_written_and_tagged_as_sdr(recordings: Recordings, tmp_path: Path) -> None:
    path, copy = written_as_hdr(recordings, tmp_path / "clip.mp4", "PQ"), tmp_path / "copy.mp4"
    with VideoFileSource(path) as source, VideoWriter(copy, source.info, h264(1)) as writer:
        frames = list(source.frames(0, 2))
        for frame in frames:
            writer.write(frame.rgb, frame.time_s)
    with av.open(str(copy)) as container:
        decoded = next(container.decode(video=0))
        assert (decoded.colorspace, decoded.color_trc, decoded.color_primaries, decoded.color_range) == (1, 1, 1, 1)
    with VideoFileSource(copy) as source:
        assert np.abs(colors(source.frame(0).rgb) - colors(frames[0].rgb)).max() <= 8
