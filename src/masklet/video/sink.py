"""Where masks go: an overlay video, indexed PNGs, COCO JSON. One frame at a time, in memory that does not grow.

A sink is a context manager with `write(frame, masks)`. Leaving it finalises the file in every case: after an error or
Ctrl-C what has been written so far is a playable video or valid JSON.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from PIL import Image

from masklet.drawing import draw_overlay
from masklet.errors import OutputError
from masklet.masks import decode_rle, encode_rle, mask_box_xyxy
from masklet.output import atomic_path, check_writable, make_folder, refuse_existing
from masklet.records import Frame, FrameMasks, Prompt
from masklet.video.base import FrameSource, VideoInfo

FORMATS = ("masks", "coco", "overlay")
"""Names that `open_sinks` knows."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv")

_COPIED_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"})
"""Codecs that MP4 holds as they are; others become AAC."""


class Sink(Protocol):
    """Takes the masks of one frame after the other."""

    path: Path

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        """Add one frame.

        Raises:
            OutputError: it cannot be written.
        """
        ...

    def __enter__(self) -> Sink: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


class _BaseSink:
    """Keeps what has to be finished in a stack, which runs it in reverse when the sink is left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        raise NotImplementedError

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)


class OverlaySink(_BaseSink):
    """The video with its objects drawn in: H.264, 8-bit 4:2:0, as every player and browser shows it.

    a) Frames keep their time stamps, so uneven ones stay uneven; the first frame written is time 0.
    b) They are written upright: no rotation is left for the player.
    c) The source's audio is copied over the same stretch of time (as AAC when MP4 cannot hold its codec).
    d) 4:2:0 needs even sides: an odd one gets its last row or column twice, so the video is one pixel larger.
    """

    def __init__(
        self,
        path: str | Path,
        info: VideoInfo,
        *,
        prompts: Mapping[int, Mapping[int, Prompt]] | None = None,
        quality: int = 18,
    ) -> None:
        """Prepare; the file is opened with the first frame.

        Args:
            path: .mp4, .mov or .mkv; an existing file is replaced in the end.
            info: of the source, for its rate and its audio.
            prompts: by frame index and object id: drawn on their frames.
            quality: x264's constant rate factor: 18 looks like the source, larger is smaller.

        Raises:
            OutputError: another suffix, or a place that cannot be written.
        """
        if Path(path).suffix.lower() not in VIDEO_SUFFIXES:
            raise OutputError(f"an overlay must end in {', '.join(VIDEO_SUFFIXES)}, got {path}")
        super().__init__(check_writable(path))
        self._info = info
        self._prompts = prompts or {}
        self._quality = quality
        rate = Fraction(info.fps).limit_denominator(1001)
        self._rate = rate if rate > 0 else Fraction(24)
        # Live frames come at any time; stills are exactly on the beat; a file has its own clock.
        self._time_base = info.time_base or (Fraction(1, 90_000) if info.is_live else 1 / self._rate)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._audio: _AudioCopy | None = None
        self._temporary: Path | None = None
        self._first_s = 0.0
        self._last_index = -1
        self._last_pts = -1

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        if frame.index <= self._last_index:
            raise OutputError(
                f"an overlay needs its frames in order, got {frame.index} after {self._last_index}: "
                "wrap the sink in InOrder"
            )
        picture = draw_overlay(
            frame.rgb, masks.masks, masks.object_ids, masks.iou_predictions, prompts=self._prompts.get(frame.index)
        )
        height, width = frame.size_hw
        if height % 2 or width % 2:
            picture = np.asarray(
                cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8
            )
        try:
            if self._container is None:
                self._open(frame, picture.shape[0], picture.shape[1])
            assert self._container is not None
            assert self._stream is not None
            # Of two frames within one tick the second moves to the next, for time stamps must rise.
            pts = max(self._last_pts + 1, round((frame.time_s - self._first_s) / self._time_base))
            encoded = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            encoded.pts, encoded.time_base = pts, self._time_base
            self._container.mux(self._stream.encode(encoded))
            if self._audio is not None:
                self._audio.copy_until(float(pts * self._time_base))
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}") from error
        self._last_index, self._last_pts = frame.index, pts

    def _open(self, frame: Frame, height: int, width: int) -> None:
        self._temporary = self._stack.enter_context(atomic_path(self.path, keep_partial=True))
        # the index goes to the front, so that browsers start at once
        options = {} if self.path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}
        self._container = av.open(f"file:{self._temporary}", "w", options=options)
        self._stack.callback(self._finish)
        stream = self._container.add_stream(_h264_encoder(), rate=self._rate)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.height, context.width, context.pix_fmt = height, width, "yuv420p"
        context.time_base = self._time_base
        context.sample_aspect_ratio = self._info.pixel_aspect
        # BT.709, said aloud, so that players show the colours that were drawn
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1
        stream.options = {"crf": str(self._quality), "preset": "veryfast"}
        self._stream = stream
        self._first_s = frame.time_s
        if self._info.has_audio and self._info.path is not None:
            self._audio = _AudioCopy.start(self._container, self._info.path, self._info.start_s + frame.time_s)

    def _finish(self) -> None:
        assert self._container is not None
        assert self._stream is not None
        assert self._temporary is not None
        try:
            self._container.mux(self._stream.encode())
            if self._audio is not None:
                self._audio.copy_until(float(self._last_pts * self._time_base + 1 / self._rate))
                self._audio.close()
            self._container.close()
        except (av.FFmpegError, OSError) as error:  # as when the disk is full
            with suppress(av.FFmpegError, OSError):
                self._container.close()
            self._temporary.unlink(missing_ok=True)
            raise OutputError(f"cannot finish {self.path}: {getattr(error, 'strerror', None) or error}") from error


def _h264_encoder() -> str:
    """x264 where FFmpeg has it; else what comes closest, as in builds without GPL parts."""
    return next((name for name in ("libx264", "libopenh264", "mpeg4") if name in av.codecs_available), "mpeg4")


class _AudioCopy:
    """Carries the audio of a file along with its video, packet by packet."""

    def __init__(self, output: OutputContainer, source: InputContainer, stream: AudioStream, start_s: float) -> None:
        self._output = output
        self._source = source
        self._stream = stream
        self._start_s = start_s
        # a decoder's name may carry a suffix, as "mp3float"
        self._copies = stream.codec_context.name.removesuffix("float") in _COPIED_AUDIO
        self._resampler: av.AudioResampler | None = None
        if self._copies:
            self._target = output.add_stream_from_template(stream)
        else:
            # A rate and layouts that every AAC encoder takes: raw audio may declare neither.
            layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            self._target = output.add_stream("aac", rate=48_000, layout=layout)
            self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=48_000, frame_size=1024)
        self._packets = self._from_start()
        self._pending: tuple[float, Packet[AudioStream]] | None = None
        self._next_sample: int | None = None
        """Of the encoded audio, counted from the start; negative for what is playing when the video begins."""

    @classmethod
    def start(cls, output: OutputContainer, path: str, start_s: float) -> _AudioCopy | None:
        """Begin at `start_s` on the file's own clock; None when the audio cannot be had: it is not worth the video."""
        try:
            source = av.open(path, mode="r")
        except av.FFmpegError:
            return None
        try:
            return cls(output, source, source.streams.audio[0], start_s)
        except (av.FFmpegError, ValueError, IndexError):
            source.close()
            return None

    def copy_until(self, end_s: float) -> None:
        """Copy what is heard before `end_s`, seconds from the start."""
        while True:
            try:
                self._pending = self._pending or next(self._packets, None)
            except av.FFmpegError:  # the file breaks off
                self._packets = iter(())
                return
            if self._pending is None or self._pending[0] >= end_s:
                return
            packet, self._pending = self._pending[1], None
            if self._copies:
                assert packet.time_base is not None
                shift = round(self._start_s / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts - shift
                packet.dts = None if packet.dts is None else packet.dts - shift
                packet.stream = self._target
                self._output.mux(packet)
            else:
                self._encode(packet)

    def close(self) -> None:
        if self._resampler is not None and self._next_sample is not None:
            self._mux(self._resampler.resample(None))
            self._output.mux(self._target.encode())
        self._source.close()

    def _from_start(self) -> Iterator[tuple[float, Packet[AudioStream]]]:
        """(time from the start, packet), from the packet that is playing at the start."""
        if self._start_s > 1:
            self._source.seek(int((self._start_s - 0.5) * av.time_base))
        for packet in self._source.demux(self._stream):
            if packet.pts is None or packet.size == 0:
                continue
            time_s = float(packet.pts * packet.time_base) - self._start_s
            # A codec's first packets lie before 0 and only warm it up: they belong to the start too.
            if time_s > -0.05:
                yield time_s, packet

    def _encode(self, packet: Packet[AudioStream]) -> None:
        assert self._resampler is not None
        with suppress(av.error.InvalidDataError):
            for frame in packet.decode():
                if self._next_sample is None:
                    self._next_sample = round(((frame.time or 0.0) - self._start_s) * 48_000)
                frame.pts = None  # counted below, as the resampler cuts frames to the encoder's size
                self._mux(self._resampler.resample(frame))

    def _mux(self, frames: Iterable[av.AudioFrame]) -> None:
        for frame in frames:
            assert self._next_sample is not None
            frame.pts, frame.time_base = self._next_sample, Fraction(1, frame.sample_rate)
            self._next_sample += frame.samples
            self._output.mux(self._target.encode(frame))


class InOrder(_BaseSink):
    """Collects masks that come in any order (tracking outwards from a prompt), and writes them in order when left.

    The masks wait in a temporary file, and the frames are read again from the source. Of two masks for one frame the
    later counts.
    """

    def __init__(self, sink: Sink, source: FrameSource) -> None:
        super().__init__(sink.path)
        self._sink = sink
        self._source = source
        self._spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the stack)
        self._stack.callback(self._spool.close)
        self._stack.push(sink)
        self._stack.callback(self._replay)
        self._places: dict[int, int] = {}

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        self._places[frame.index] = self._spool.seek(0, 2)
        record = {
            "time_s": masks.time_s,
            "object_ids": masks.object_ids,
            "masks": [encode_rle(mask) for mask in masks.masks],
            "iou_predictions": masks.iou_predictions.tolist(),
            "object_scores": masks.object_scores.tolist(),
            "prompted": masks.prompted.tolist(),
        }
        self._spool.write(json.dumps(record).encode() + b"\n")

    def _replay(self) -> None:
        if not self._places:
            return
        for frame in self._source.frames(min(self._places), max(self._places) + 1):
            if frame.index in self._places:
                self._sink.write(frame, self._read(frame))

    def _read(self, frame: Frame) -> FrameMasks:
        self._spool.seek(self._places[frame.index])
        record = json.loads(self._spool.readline())
        masks = [decode_rle(rle) for rle in record["masks"]]
        return FrameMasks(
            frame_index=frame.index,
            time_s=record["time_s"],
            object_ids=tuple(record["object_ids"]),
            masks=np.stack(masks) if masks else np.zeros((0, *frame.size_hw), np.bool_),
            iou_predictions=np.array(record["iou_predictions"], np.float32),
            object_scores=np.array(record["object_scores"], np.float32),
            prompted=np.array(record["prompted"], np.bool_),
        )


class MaskPngSink(_BaseSink):
    """One indexed PNG a frame, as DAVIS has them: the pixel's value is the object's id, 0 is background.

    Where objects overlap, the smaller one is on top; with `per_object` each object also has a folder of its own
    (`7/00042.png`, 0 and 255), in which nothing is hidden.
    """

    def __init__(self, folder: str | Path, *, per_object: bool = False) -> None:
        """Create the folder. Masks that an earlier run left in it are removed; other files stay.

        Raises:
            OutputError: it cannot be created.
        """
        super().__init__(make_folder(folder))
        self._per_object = per_object
        for path in (*self.path.glob("*.png"), *self.path.glob("*/*.png")):
            if re.fullmatch(r"(\d+/)?\d{5,}\.png", path.relative_to(self.path).as_posix()):
                path.unlink()

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        outside = [object_id for object_id in masks.object_ids if not 1 <= object_id <= 254]
        if outside:
            raise OutputError(
                f"object id {outside[0]} does not fit an indexed PNG, which has 1 to 254 (255 means void): "
                "choose smaller ids, or the coco format"
            )
        indexed = np.zeros(frame.size_hw, np.uint8)
        areas = masks.masks.sum(axis=(1, 2))
        for row in np.argsort(-areas, kind="stable"):
            indexed[masks.masks[row]] = masks.object_ids[row]
        image = Image.fromarray(indexed)
        image.putpalette(davis_palette())
        self._save(image, self.path / f"{frame.index:05d}.png")
        if self._per_object:
            for object_id, mask in zip(masks.object_ids, masks.masks, strict=True):
                folder = make_folder(self.path / str(object_id))
                self._save(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)), folder / f"{frame.index:05d}.png")

    def _save(self, image: Image.Image, path: Path) -> None:
        with atomic_path(path) as temporary:
            try:
                image.save(temporary, format="PNG", compress_level=4)
            except OSError as error:
                raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


@lru_cache(maxsize=1)
def davis_palette() -> bytes:
    """256 RGB colours, those of PASCAL VOC that DAVIS uses: the bits of the index, spread over the channels' high
    bits."""
    colors = bytearray()
    for index in range(256):
        channels = [0, 0, 0]
        for bit in range(8):
            channels[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
        colors += bytes(channels)
    return bytes(colors)


class CocoSink(_BaseSink):
    """COCO JSON: an image a frame, an annotation for every object seen in it, masks as compressed RLE.

    Annotations go to the file as they come; the images wait in a temporary file and follow at the end. Beyond
    COCO's fields an annotation has `object_id` (the same through the video, also as `track_id`), `frame_index`,
    `score` (the IoU prediction), `object_score` (logit) and `prompted`; an image has `frame_index` and `time_s`.
    """

    def __init__(self, path: str | Path, info: VideoInfo, *, category: str = "object") -> None:
        """Prepare; the file is opened with the first frame.

        Raises:
            OutputError: the place cannot be written.
        """
        super().__init__(check_writable(path))
        self._about = {"description": f"masklets of {info.name}", "fps": info.fps, "num_frames": info.num_frames}
        self._categories = [{"id": 1, "name": category}]
        self._files: tuple[IO[str], IO[str]] | None = None  # annotations, images
        self._num_annotations = 0

    def _open(self) -> tuple[IO[str], IO[str]]:
        temporary = self._stack.enter_context(atomic_path(self.path, keep_partial=True))
        file = self._stack.enter_context(temporary.open("w", encoding="utf-8"))
        images = self._stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))  # noqa: SIM115
        file.write(
            f'{{"info": {json.dumps(self._about)},\n"categories": {json.dumps(self._categories)},\n"annotations": ['
        )
        self._files = file, images
        self._stack.callback(self._finish)
        return self._files

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        image_id = frame.index + 1
        height, width = frame.size_hw
        image = {
            "id": image_id,
            "file_name": f"{frame.index:05d}.jpg",
            "width": width,
            "height": height,
            "frame_index": frame.index,
            "time_s": round(frame.time_s, 6),
        }
        lines = []
        for row, (object_id, mask) in enumerate(zip(masks.object_ids, masks.masks, strict=True)):
            box = mask_box_xyxy(mask)
            if box is None:  # absent
                continue
            left, top, right, bottom = box.tolist()
            self._num_annotations += 1
            annotation = {
                "id": self._num_annotations,
                "image_id": image_id,
                "category_id": 1,
                "segmentation": encode_rle(mask),
                "area": int(np.count_nonzero(mask)),
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
                "object_id": object_id,
                "track_id": object_id,
                "frame_index": frame.index,
                "score": round(float(masks.iou_predictions[row]), 4),
                "object_score": round(float(masks.object_scores[row]), 4),
                "prompted": bool(masks.prompted[row]),
            }
            lines.append(("," if self._num_annotations > 1 else "") + "\n" + json.dumps(annotation))
        try:
            is_first = self._files is None
            file, images = self._files or self._open()
            # Whole frames in one call each, so that an interrupt cannot leave half a record.
            images.write(("" if is_first else ",") + "\n" + json.dumps(image))
            file.write("".join(lines))
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error

    def _finish(self) -> None:
        assert self._files is not None
        file, images = self._files
        file.write('\n],\n"images": [')
        images.seek(0)
        while block := images.read(1 << 20):
            file.write(block)
        file.write("\n]}\n")


class Sinks(_BaseSink):
    """Several sinks as one."""

    def __init__(self, path: Path, sinks: Sequence[Sink]) -> None:
        super().__init__(path)
        self.sinks = tuple(sinks)
        for sink in self.sinks:
            self._stack.push(sink)

    @property
    def paths(self) -> tuple[Path, ...]:
        """What is or will be written."""
        return tuple(sink.path for sink in self.sinks)

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        for sink in self.sinks:
            sink.write(frame, masks)


def open_sinks(
    out: str | Path,
    formats: Sequence[str],
    info: VideoInfo,
    *,
    force: bool = False,
    per_object: bool = False,
    prompts: Mapping[int, Mapping[int, Prompt]] | None = None,
    source: FrameSource | None = None,
) -> Sinks:
    """Open one sink a format.

    Args:
        out: a name ending in .mp4, .mov or .mkv (the overlay) or .json (COCO) when that is the only format; else a
            folder, in which they are `overlay.mp4`, `masks/` and `coco.json`.
        formats: some of `FORMATS`; empty means overlay, or coco for a .json.
        info: of the source.
        force: replace what exists.
        per_object: see `MaskPngSink`.
        prompts: by frame index and object id, drawn into the overlay.
        source: given when frames will come out of order: the overlay is then written in order at the end.

    Raises:
        OutputError: a format is unknown, names and formats do not fit, something exists and `force` is False, or the
            place cannot be written.
    """
    out = Path(out)
    suffix = out.suffix.lower()
    is_video, is_json = suffix in VIDEO_SUFFIXES, suffix == ".json"
    chosen = list(dict.fromkeys(formats)) or ["coco" if is_json else "overlay"]
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown:
        raise OutputError(f"unknown format {unknown[0]!r}: choose from {', '.join(FORMATS)}")
    if suffix in (".webm", ".avi", ".gif", ".m4v", ".mpg", ".wmv"):
        raise OutputError(f"cannot write {out}: an overlay is H.264, in {', '.join(VIDEO_SUFFIXES)}")
    if (is_video or is_json) and chosen != ["coco" if is_json else "overlay"]:
        raise OutputError(
            f"{out} names one {'COCO' if is_json else 'overlay'} file, but the formats are {', '.join(chosen)}: "
            "give a folder"
        )
    places = {"overlay": "overlay.mp4", "masks": "masks", "coco": "coco.json"}
    paths = {name: out if is_video or is_json else out / places[name] for name in chosen}
    for name, path in paths.items():
        refuse_existing(path, force)
        if name == "masks" and path.is_file():
            raise OutputError(f"cannot write masks to {path}: it is a file, and they need a folder")
        if name != "masks" and path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder")
        if info.path is not None and Path(info.path.removeprefix("file:")).absolute() == path.absolute():
            raise OutputError(f"{path} is the source itself: choose another name")
    with ExitStack() as opened:
        sinks: list[Sink] = []
        for name, path in paths.items():
            sink: Sink
            if name == "overlay":
                sink = OverlaySink(path, info, prompts=prompts)
                sink = sink if source is None else InOrder(sink, source)
            elif name == "masks":
                sink = MaskPngSink(path, per_object=per_object)
            else:
                sink = CocoSink(path, info)
            sinks.append(opened.enter_context(sink))
        opened.pop_all()  # all are open: from here on they belong to the result
    return Sinks(out, sinks)
