"""Opens files and addresses with FFmpeg, by lists of what may be opened: no playlist leads to other files."""

from __future__ import annotations

import os
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,live_flv,ogg,asf,mxf,gxf,nut,rm,wtv,nsv,"
    "gif,apng,webp_pipe,jpegxl_anim,ivf,obu,av1,h261,h263,h264,hevc,vvc,evc,vc1,vc1test,dirac,cavsvideo,avs2,avs3,"
    "dnxhd,dv,mjpeg,mjpeg_2000,smjpeg,mpjpeg,yuv4mpegpipe,flic,roq,smk,bink,swf,"
    "mp3,wav,flac,aac,aiff"
)
"""FFmpeg's demuxers for files: each reads a single file. Those that open others are left out: playlists (hls, dash,
concat, sdp, ...), numbered images (image2), devices. Audio is opened for a clear error: it has no video stream."""

PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"v=0", b"<?xml", b"<MPD", b"[playlist]")
"""How files begin that name other files."""

NETWORK_PROTOCOLS = (
    "http,https,httpproxy,tcp,tls,udp,udplite,rtp,srtp,rtsp,rtmp,rtmpe,rtmps,rtmpt,rtmpte,rtmpts,srt,rist,mmsh,mmst,"
    "crypto,data"
)
"""FFmpeg's protocols for addresses. Those that read this machine's files are left out: a playlist from the network
could name them."""

DECODER_BYTES = 256 * 2**20
"""Memory for the frames that a decoder works on at the same time, in parallel; at least one thread decodes."""

MAX_FRAME_PIXELS = 178_956_970
"""Pixels of a frame that a decoder accepts: as `masklet.media.images.MAX_PIXELS`."""

MAX_GROWN_PIXELS = 9_500_000
"""Pixels to which frames may grow in the middle of a video, if it does not begin with larger ones: 4K, 4096 x 2304."""


_ANY_TITLES: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Titles may be in any encoding. PyAV has no choice here from version 19 on."""


def open_file(path: str | os.PathLike[str]) -> InputContainer:
    """Open a local file.

    Raises:
        av.FFmpegError: it cannot be opened, or is none that `DEMUXERS` read.
    """
    # With "file:", FFmpeg does not mistake a name with a colon for an address.
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
    container: InputContainer = av.open(f"file:{os.fspath(path)}", mode="r", options=options, **_ANY_TITLES)
    return container


def open_address(url: str, *, options: dict[str, str] | None = None, timeout_s: float = 20.0) -> InputContainer:
    """Open an address of the network.

    Args:
        url: http, rtsp, ...; never a file.
        options: further options of FFmpeg.
        timeout_s: for the connection, and for each read.

    Raises:
        av.FFmpegError: it cannot be opened.
    """
    options = {"protocol_whitelist": NETWORK_PROTOCOLS, **(options or {})}
    container: InputContainer = av.open(url, mode="r", options=options, timeout=(timeout_s, timeout_s), **_ANY_TITLES)
    return container


def names_others(head: bytes) -> bool:
    """Return True for the beginning of a file that is a playlist."""
    return head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(PLAYLISTS)


def bound_pixels(stream: VideoStream) -> int:
    """Let a stream's decoder refuse frames that are too large, at any place of the video; call it before decoding.

    Frames may be as large as the stream says at its beginning, up to `MAX_FRAME_PIXELS`, or grow to `MAX_GROWN_PIXELS`.

    Returns:
        The most pixels of a frame.
    """
    context: Any = stream.codec_context
    if context is None:  # no decoder for this stream, which is reported where frames are decoded
        return MAX_FRAME_PIXELS
    pixels = min(MAX_FRAME_PIXELS, max(MAX_GROWN_PIXELS, _padded(context.width) * _padded(context.height)))
    context.options = {**context.options, "max_pixels": str(pixels)}
    return pixels


def refused_size(stream: VideoStream, most_pixels: int) -> str | None:
    """Return what is too large, after a packet that could not be decoded; None if the size was not the reason."""
    context: Any = stream.codec_context
    if context is None:
        return None
    width, height = context.width, context.height
    if width * height > most_pixels:
        size = f"{width} x {height}"
    elif not width * height:  # decoders forget a size that is refused
        size = "larger"
    else:
        return None
    return f"its frames are {size}, and the limit is {most_pixels / 1e6:.1f} million pixels"


def decode_in_parallel(stream: VideoStream) -> None:
    """Let a stream's decoder work on several frames at the same time, as far as memory goes; call it before decoding.

    FFmpeg alone decodes slices in parallel, which most videos have only one of. A frame in the works takes about four
    bytes per pixel, with what the decoder keeps beside it.
    """
    context: Any = stream.codec_context
    if context is None:  # no decoder for this stream, which is reported where frames are decoded
        return
    frame_bytes = 4 * max(1, context.width * context.height)
    stream.thread_type = "AUTO"
    context.thread_count = max(1, min(16, os.cpu_count() or 1, DECODER_BYTES // frame_bytes))


def _padded(side: int) -> int:
    """Return a side as decoders count it: in whole blocks."""
    return side + 64
