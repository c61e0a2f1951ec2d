"""FFmpeg opens files by a list of what may be opened: no file leads to other files, whatever it is called."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest

from masklet.errors import VideoError
from masklet.media import containers
from masklet.media.containers import bound_pixels, decode_in_parallel, open_address, open_file
from masklet.media.source import open_source

LEADING_ELSEWHERE = {
    "concat",
    "concatf",
    "hls",
    "dash",
    "image2",
    "sdp",
    "rtsp",
    "rtp",
    "sap",
    "lavfi",
    "imf",
    "vobsub",
}
"""Demuxers that open other files, addresses or devices."""


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for value in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), value * 50, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def playlists(secret: Path) -> dict[str, str]:
    """Files that name another one, by format."""
    return {
        "hls": f"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "hls by address": f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile '{secret.name}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        f'<AdaptationSet mimeType="video/mp4"><Representation id="1"><BaseURL>{secret}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "pls": f"[playlist]\nFile1={secret}\nNumberOfEntries=1\n",
    }


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".m3u8", ".ffconcat", ".mpd", ".sdp", ""])
@pytest.mark.parametrize("kind", sorted(playlists(Path("x"))))
def test_a_playlist_is_refused_under_any_name(tmp_path: Path, secret: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"holiday{suffix}"
    path.write_text(playlists(secret)[kind])
    with pytest.raises(VideoError, match="playlist"):
        open_source(path)


@pytest.mark.parametrize(
    "name",
    ["concat:secret.mp4|secret.mp4", "subfile,,start,0,end,0,,:secret.mp4", "cache:secret.mp4", "%05d.png", "testsrc"],
)
def test_a_name_is_never_a_command_to_ffmpeg(
    tmp_path: Path, secret: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(secret.parent)
    with pytest.raises(VideoError):
        open_source(Path(name))
    with pytest.raises(av.FFmpegError):
        open_file(name)


@pytest.mark.parametrize("protocol", ["file", "subfile", "concat", "pipe", "cache", "async", "unix", "fd", "tee"])
def test_addresses_never_lead_to_files(secret: Path, protocol: str) -> None:
    assert protocol not in containers.NETWORK_PROTOCOLS.split(",")
    with pytest.raises((av.FFmpegError, ValueError)):
        open_address(f"{protocol}:{secret}")


def test_no_demuxer_on_the_list_opens_other_files() -> None:
    assert not LEADING_ELSEWHERE & set(containers.DEMUXERS.split(","))


def test_a_decoder_refuses_frames_beyond_the_limit_also_in_the_middle(
    secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "MAX_FRAME_PIXELS", 1000)
    with open_file(secret) as container:
        bound_pixels(container.streams.video[0])
        with pytest.raises((av.FFmpegError, ValueError)):
            next(container.decode(video=0))


def test_large_frames_are_decoded_by_fewer_threads(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    threads = []
    for decoder_bytes in (2**30, 5 * 4 * 48 * 64, 1):
        monkeypatch.setattr(containers, "DECODER_BYTES", decoder_bytes)
        with open_file(secret) as container:
            decode_in_parallel(container.streams.video[0])
            threads.append(container.streams.video[0].codec_context.thread_count)
    assert threads == [16, 5, 1]
