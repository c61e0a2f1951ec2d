"""Where masks go: an overlay video, label pictures and volumes, COCO JSON. One frame at a time, in memory that does not
grow (but for a label volume, which is as large as the volume that it belongs to).

A sink is a context manager with `write(frame, masks)`. Leaving it finalises the file in every case: after an error,
Ctrl-C or with a full disk what has been written so far is a playable video or valid JSON.
"""

from __future__ import annotations

import json
import queue
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from masklet.errors import OutputError
from masklet.formats.coco_file import CocoFile, coco_annotation
from masklet.formats.labels import MaskPngSink, NiftiSink, TiffSink
from masklet.formats.overlay import VIDEO_SUFFIXES, OverlaySink
from masklet.formats.sink_base import BaseSink, Sink
from masklet.masks.operations import encode_rle
from masklet.media.base import FrameSource, VideoInfo
from masklet.output import refuse_existing
from masklet.prompts import Prompt
from masklet.records import Frame, FrameMasks
from masklet.tracking.mask_rows import from_json, from_rows, to_json, to_rows

__all__ = [
    "FORMATS",
    "CocoSink",
    "InOrder",
    "MaskPngSink",
    "NiftiSink",
    "OverlaySink",
    "Sink",
    "Sinks",
    "TiffSink",
    "open_sinks",
]

FORMATS = ("masks", "coco", "overlay", "tiff", "nifti")
"""Names that `open_sinks` knows."""

_PLACES = {
    "overlay": ("overlay.mp4", VIDEO_SUFFIXES),
    "masks": ("masks", ()),
    "coco": ("coco.json", (".json",)),
    "tiff": ("masks.tif", (".tif", ".tiff")),
    "nifti": ("masks.nii.gz", (".nii.gz", ".nii")),
}
"""By format: its place in a folder, and how a file of its own may end."""

WAITING_FRAMES = 4
"""Between the tracker and the thread that writes."""


class InOrder(BaseSink):
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
        record = {"time_s": masks.time_s, "rows": [to_json(row) for row in to_rows(masks)]}
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
        rows = [from_json(row) for row in record["rows"]]
        return from_rows(frame.index, record["time_s"], rows, frame.size_hw)


class CocoSink(BaseSink):
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
        about = {"description": f"masklets of {info.name}", "fps": info.fps, "num_frames": info.num_frames}
        self._file = CocoFile(path, about, [category])
        super().__init__(self._file.path)
        self._stack.push(self._file)

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        height, width = frame.size_hw
        image = {
            "id": frame.index + 1,
            "file_name": f"{frame.index:05d}.jpg",
            "width": width,
            "height": height,
            "frame_index": frame.index,
            "time_s": round(frame.time_s, 6),
        }
        annotations = [
            coco_annotation(
                encode_rle(mask),
                object_id=object_id,
                track_id=object_id,
                frame_index=frame.index,
                score=round(float(masks.iou_predictions[row]), 4),
                object_score=round(float(masks.object_scores[row]), 4),
                prompted=bool(masks.prompted[row]),
            )
            for row, (object_id, mask) in enumerate(zip(masks.object_ids, masks.masks, strict=True))
            if mask.any()
        ]
        self.check_space(to_finish=self._file.to_finish())
        self._file.add(image, annotations)


class Sinks(BaseSink):
    """Several sinks as one. They write in a thread of their own, so that tracking goes on while a frame is encoded.

    An error of theirs is raised by the next `write`, or on leaving; frames that wait are then dropped.
    """

    def __init__(self, path: Path, sinks: Sequence[Sink]) -> None:
        super().__init__(path)
        self.sinks = tuple(sinks)
        for sink in self.sinks:
            self._stack.push(sink)
        self._waiting: queue.Queue[tuple[Frame, FrameMasks] | None] = queue.Queue(WAITING_FRAMES)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._is_raised = False
        self.num_written = 0
        """Frames that all of them have."""
        self._stack.callback(self._drain)

    @property
    def paths(self) -> tuple[Path, ...]:
        """What is or will be written."""
        return tuple(sink.path for sink in self.sinks)

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        self._raise_error()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="masklet-sinks", daemon=True)
            self._thread.start()
        self._waiting.put((frame, masks))

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self._error is not None:
                continue  # to its end, or the writer would wait for a place in the queue
            try:
                for sink in self.sinks:
                    sink.write(*item)
                self.num_written += 1
            except BaseException as error:
                self._error = error

    def _drain(self) -> None:
        if self._thread is not None:
            try:
                self._waiting.put(None)
                self._thread.join()
            except BaseException as error:  # Ctrl-C: no more than the frame at hand
                self._error = self._error or error
                self._waiting.put(None)
                self._thread.join()
                raise
        self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None and not self._is_raised:
            self._is_raised = True
            raise self._error


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
        out: a name ending in .mp4, .mov or .mkv (overlay), .json (coco), .tif (tiff) or .nii.gz (nifti) when that is
            the only format; else a folder, in which they are `overlay.mp4`, `masks/`, `coco.json`, `masks.tif` and
            `masks.nii.gz`.
        formats: some of `FORMATS`; empty means what the name's end says, and overlay for a folder.
        info: of the source.
        force: replace what exists.
        per_object: see `MaskPngSink`.
        prompts: by frame index and object id, drawn into the overlay.
        source: given when frames will come out of order: overlay and TIFF are then written in order at the end.

    Raises:
        OutputError: a format is unknown, names and formats do not fit, something exists and `force` is False, or the
            place cannot be written.
    """
    out = Path(out)

    def new_sink(name: str, path: Path) -> Sink:
        if name == "masks":
            return MaskPngSink(path, per_object=per_object)
        if name == "nifti":
            return NiftiSink(path, info)
        if name == "coco":
            return CocoSink(path, info)
        in_order = OverlaySink(path, info, prompts=prompts) if name == "overlay" else TiffSink(path, info)
        return in_order if source is None else InOrder(in_order, source)

    with ExitStack() as stack:
        sinks = [
            stack.enter_context(new_sink(name, path)) for name, path in _places(out, formats, info, force=force).items()
        ]
        stack.pop_all()  # all are open: from here on they belong to the result
    return Sinks(out, sinks)


def _places(out: Path, formats: Sequence[str], info: VideoInfo, *, force: bool) -> dict[str, Path]:
    """Where each format goes, if it can; see `open_sinks`."""
    named = next((name for name, (_, ends) in _PLACES.items() if ends and out.name.lower().endswith(ends)), None)
    chosen = list(dict.fromkeys(formats)) or [named or "overlay"]
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown:
        raise OutputError(f"unknown format {unknown[0]!r}: choose from {', '.join(FORMATS)}")
    if out.suffix.lower() in (".webm", ".avi", ".gif", ".m4v", ".mpg", ".wmv"):
        raise OutputError(f"cannot write {out}: an overlay is H.264, in {', '.join(VIDEO_SUFFIXES)}")
    if named is not None and chosen != [named]:
        raise OutputError(f"{out} names one {named} file, but the formats are {', '.join(chosen)}: give a folder")
    paths = {name: out if named else out / _PLACES[name][0] for name in chosen}
    for name, path in paths.items():
        refuse_existing(path, force)
        if name == "masks" and path.is_file():
            raise OutputError(f"cannot write masks to {path}: it is a file, and they need a folder")
        if name != "masks" and path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder")
        origin = info.path.removeprefix("file:") if info.path is not None else info.name
        if Path(origin).absolute() == path.absolute():
            raise OutputError(f"{path} is the source itself: choose another name")
    return paths
