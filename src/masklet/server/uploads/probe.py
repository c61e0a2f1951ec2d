"""Probes uploaded files in a separate process: their kind, and whether they stay within the limits.

Decoders are large and have had many vulnerabilities, and a small file can demand much memory and time. So a file is
first opened here, in a limited process, and only by listed demuxers: none that open other files (playlists).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from masklet.errors import MaskletError
from masklet.media.base import made_smaller
from masklet.media.dicom import DICOM_SUFFIXES
from masklet.media.images import IMAGE_SUFFIXES, ImageHeader, encode_jpeg, image_header, read_image
from masklet.media.nifti import NIFTI_SUFFIXES
from masklet.media.source import open_source
from masklet.media.unread_formats import UNREAD_SUFFIXES
from masklet.media.video_file import VideoFileSource
from masklet.records import ByteArray
from masklet.server.settings import Limits

VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("mp4", "mov", "m4v", "mkv", "webm", "avi", "ts", "mts", "m2ts", "mpg", "mpeg", "wmv", "asf", "flv", "ogv"),
        *("ogg", "3gp", "gif", "apng", "ivf", "mxf", "dv", "y4m", "nut", "h264", "hevc", "264", "265"),
    )
)
"""Suffixes that uploads keep; others are dropped."""

THUMBNAIL = (480, 320)
"""Largest width and height of a thumbnail."""


@dataclass(frozen=True, slots=True)
class ProbedFile:
    """The result of probing a file."""

    kind: str
    """`image` or `video`."""
    width: int
    height: int
    num_frames: int
    fps: float
    duration_s: float
    has_audio: bool


class RejectedUpload(Exception):  # noqa: N818 (it is an answer)
    """The reason why a file is rejected, in a sentence for the user."""


def safe_suffix(name: str) -> str:
    """Return the suffix by which readers recognise a file; empty unless the kind is known."""
    lower = name.lower()
    suffixes = (*NIFTI_SUFFIXES, *DICOM_SUFFIXES, *IMAGE_SUFFIXES, *UNREAD_SUFFIXES, *VIDEO_SUFFIXES)
    return max((suffix for suffix in suffixes if lower.endswith(suffix)), key=len, default="")


def probe_file(path: Path, limits: dict[str, Any], thumbnail: Path | None) -> ProbedFile:
    """Probe a file or a folder of images.

    Raises:
        RejectedUpload: it cannot be read, or exceeds a limit.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise RejectedUpload("the file is empty: 0 bytes came")
    try:
        header = _image_header(path, limits)
        if header is not None and not header.has_several:
            probed, rgb = _still(path, limits)
        else:
            probed, rgb = _moving(path, limits)
    except MaskletError as error:
        raise RejectedUpload(str(error).replace(f"{path}: ", "").replace(str(path), "the file")) from error
    if thumbnail is not None:
        with suppress(OSError):  # a full disk: it is made again when it is shown
            _write_thumbnail(rgb, thumbnail)
    return probed


def _image_header(path: Path, limits: dict[str, Any]) -> ImageHeader | None:
    if not path.is_file() or path.name.endswith((*NIFTI_SUFFIXES, *DICOM_SUFFIXES)):
        return None
    return image_header(path, max_pixels=int(limits["max_pixels"]))


def _still(path: Path, limits: dict[str, Any]) -> tuple[ProbedFile, ByteArray]:
    rgb = read_image(path, max_pixels=int(limits["max_pixels"]))
    height, width = rgb.shape[:2]
    return ProbedFile("image", width, height, 1, 1.0, 0.0, False), rgb


def _moving(path: Path, limits: dict[str, Any]) -> tuple[ProbedFile, ByteArray]:
    peak = _PeakMemory()
    with open_source(path) as source:
        info = source.info
        height, width = info.size_hw
        most_pixels = limits["max_video_pixels" if isinstance(source, VideoFileSource) else "max_pixels"]
        _check("pixels in a frame", width * height, most_pixels, f"{width} x {height} = ")
        if not info.num_frames:
            raise RejectedUpload("the number of frames of the video is unknown")
        _check("frames", info.num_frames, limits["max_frames"])
        duration_s = info.duration_s or info.num_frames / info.fps
        _check("seconds", duration_s, limits["max_seconds"])
        if path.is_dir():
            for index in range(info.num_frames):
                source.frame(index)
        rgb = source.frame(0).rgb
        if isinstance(source, VideoFileSource) and peak.bytes > limits["max_video_bytes"]:
            raise RejectedUpload(
                f"decoding the video takes {peak.bytes >> 20} MB of memory, and at most "
                f"{int(limits['max_video_bytes']) >> 20} MB are accepted: encode it with fewer reference frames"
            )
    return ProbedFile("video", width, height, info.num_frames, info.fps, duration_s, info.has_audio), rgb


class _PeakMemory:
    """Measures the most memory that this process has taken since then; 0 where the system does not tell."""

    def __init__(self) -> None:
        self._rest_bytes = 0
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # forget the earlier peak
            self._rest_bytes = _status_bytes("VmRSS")

    @property
    def bytes(self) -> int:
        return _status_bytes("VmHWM") - self._rest_bytes if self._rest_bytes else 0


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _check(unit: str, value: float, limit: float, calculation: str = "") -> None:
    if value > limit:
        raise RejectedUpload(f"the file has {calculation}{value:,.0f} {unit}, and at most {limit:,.0f} are accepted")


def _write_thumbnail(rgb: ByteArray, path: Path) -> None:
    height, width = rgb.shape[:2]
    scale = min(1.0, THUMBNAIL[0] / width, THUMBNAIL[1] / height)
    small = made_smaller(rgb, (max(1, round(height * scale)), max(1, round(width * scale))))
    path.write_bytes(encode_jpeg(small, 82))


def probe_files(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield one answer per file: the task of the limited process."""
    cv2.setNumThreads(1)
    for item in document["items"]:
        thumbnail = Path(item["thumbnail"]) if item.get("thumbnail") else None
        try:
            yield asdict(probe_file(Path(item["path"]), document["limits"], thumbnail))
        except RejectedUpload as error:
            yield {"error": str(error)}
        except MemoryError:
            yield {"error": "the file needs more memory than one upload may use"}
        except Exception as error:  # a decoder's bug counts as an error of the file
            yield {"error": f"the file cannot be read: {type(error).__name__}: {error}"}


def as_probed(answer: dict[str, Any], limits: Limits) -> ProbedFile | str:
    """Return the answer of a limited process for one file: what it is, or why it is rejected.

    The process may have been taken over by the file, so nothing it says is believed without a check.
    """
    if set(answer) == {"error"}:
        return str(answer["error"])[:1000]
    try:
        file = ProbedFile(**answer)
        numbers = (file.width, file.height, file.num_frames)
        is_possible = (
            file.kind in ("image", "video")
            and all(type(number) is int and number > 0 for number in numbers)
            and all(math.isfinite(value) and value >= 0 for value in (file.fps, file.duration_s))
            and isinstance(file.has_audio, bool)
            and file.width * file.height <= limits.max_pixels
            and file.num_frames <= limits.max_frames
            and file.duration_s <= limits.max_seconds
        )
    except TypeError:
        is_possible = False
    return file if is_possible else "the file cannot be read: its check gave an impossible answer"
