"""Live outputs: masks are written frame by frame while a tracker runs, in constant memory.

    with open_streams("out/", ["overlay", "coco"], source) as streams:
        for masks in tracker.run():
            streams.write(tracker.frame, masks)

Only label volumes are held in memory, as large as the volume tracked. Leaving the block finishes the files in every
case: after an error, Ctrl-C or a full disk, the frames so far are a playable video or valid JSON.
"""

from __future__ import annotations

import pickle
import queue
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from masklet.errors import ConfigError, OutputError
from masklet.formats.base import ExportJob, Format
from masklet.formats.registry import FORMATS, find_format, live_formats
from masklet.formats.stream import FrameRows, MaskStream
from masklet.media.base import FrameSource, closing_frames
from masklet.media.source import ArraySource, refuse_source
from masklet.output import PathLock, make_folder, refuse_existing
from masklet.prompts import Prompt
from masklet.records import ByteArray, Frame, FrameMasks
from masklet.tracking.mask_rows import MaskRow, to_rows
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo, medium_name

WAITING_FRAMES = 4
"""Largest number of frames in the queue between the tracker and the writing thread."""

_FOREIGN_SUFFIXES = (".webm", ".avi", ".gif", ".m4v", ".mpg", ".wmv")
"""Suffixes of videos that an overlay cannot be written to."""


class _NoRows:
    """No masks: those of a live medium come frame by frame."""

    def frame(self, frame_index: int) -> Sequence[MaskRow]:
        return ()

    def frames(self) -> tuple[int, int] | None:
        return None


def video_medium(
    source: FrameSource,
    objects: Iterable[ObjectInfo] = (),
    *,
    prompts: Mapping[int, Mapping[int, Prompt]] | None = None,
) -> LabelledMedium:
    """Describe a video whose masks come frame by frame.

    Args:
        source: of the frames.
        objects: names and classes, as far as known.
        prompts: by frame index and object id, for overlays.
    """
    infos = tuple(sorted(objects, key=lambda info: info.object_id))
    name = source.info.name
    return LabelledMedium(
        medium_name(name), source, Masklets(_NoRows(), infos), file_name=Path(name).name, prompts=prompts or {}
    )


def image_medium(
    path: Path,
    rgb: ByteArray,
    *,
    prompts: Mapping[int, Prompt] | None = None,
    objects: Iterable[ObjectInfo] = (),
) -> LabelledMedium:
    """Describe an image whose masks will follow.

    Args:
        path: its file.
        rgb: (H, W, 3) its pixels.
        prompts: by object id, for overlays.
        objects: names and classes, as far as known.
    """
    source = ArraySource([rgb], name=str(path))
    masklets = Masklets(_NoRows(), tuple(sorted(objects, key=lambda info: info.object_id)))
    return LabelledMedium(path.stem, source, masklets, True, path.name, {0: prompts} if prompts else {})


@dataclass(slots=True)
class Outlet:
    """One live output: its format, its job and its stream."""

    format: Format[Any]
    job: ExportJob[Any]
    stream: MaskStream
    first_without_masks: FrameRows | None = None
    """The first frame that was not written, as it has no masks."""

    def write(self, frame: FrameRows) -> None:
        """Write a frame, unless it has no masks and the format does not show such frames."""
        if frame.rows or self.format.shows_frames:
            self.job.num_frames += 1
            self.stream.write(frame)
        elif self.first_without_masks is None:
            self.first_without_masks = frame

    def finish(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write a document without masks where there were frames, and no object on any of them."""
        frame = self.first_without_masks
        if kind is None and frame is not None and not self.job.num_frames and self.format.suffixes:
            self.stream.write(frame)


class InOrder:
    """Collects frames in any order, as from tracking outwards from a prompt; writes them in order at the end.

    The masks are stored in a temporary file, run-length encoded as received; pixels are read again from the source if
    an output shows them. Of two masks for one frame the later is used. The caller opens and finishes the outputs.
    """

    def __init__(self, outlets: Sequence[Outlet], source: FrameSource) -> None:
        self._outlets = outlets
        self._source = source
        folder = make_folder(outlets[0].stream.path.parent)  # the system's for temporary files may be small
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by __exit__)
        self._offsets: dict[int, int] = {}
        """Position of the masks in the file, by frame index."""
        self._medium: LabelledMedium | None = None
        self.num_replayed = 0
        """Number of frames written to the outputs."""

    def write(self, frame: FrameRows) -> None:
        """Store a frame.

        Raises:
            OutputError: the temporary file cannot be written, as on a full disk.
        """
        self._medium = frame.medium
        rows = [replace(row) for row in frame.rows]  # copies do not keep decoded masks
        try:
            offset = self._spool.seek(0, 2)
            pickle.dump((frame.time_s, rows), self._spool)
        except OSError as error:
            raise OutputError(f"cannot store masks in a temporary file: {error.strerror or error}") from error
        self._offsets[frame.frame_index] = offset

    def _replay(self) -> None:
        if not self._offsets:
            return
        if not any(outlet.format.shows_frames for outlet in self._outlets):
            for frame_index in sorted(self._offsets):
                self._pass_on(frame_index, None)
            return
        with closing_frames(self._source.frames(min(self._offsets), max(self._offsets) + 1)) as frames:
            for frame in frames:
                if frame.index in self._offsets:
                    self._pass_on(frame.index, frame)

    def _pass_on(self, frame_index: int, frame: Frame | None) -> None:
        assert self._medium is not None
        self._spool.seek(self._offsets[frame_index])
        time_s, rows = pickle.load(self._spool)
        spooled = FrameRows(self._medium, frame_index, time_s, rows, None if frame is None else frame.rgb)
        for outlet in self._outlets:
            outlet.write(spooled)
        self.num_replayed += 1

    def __enter__(self) -> InOrder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._spool:
            self._replay()


class MaskStreams:
    """Several live outputs as one; a context manager.

    A separate thread writes, so that tracking continues while a frame is encoded. Its errors are raised by the next
    `write`, or on leaving; queued frames are then dropped.
    """

    def __init__(
        self,
        medium: LabelledMedium,
        outlets: Sequence[Outlet],
        *,
        in_order: bool = True,
        lock: PathLock | None = None,
    ) -> None:
        """Start writing to open outputs.

        Args:
            medium: the tracked medium.
            outlets: finished when this object is left.
            in_order: False if frames may come in any order; outputs that need them in order then get them at the end.
            lock: of the folder that they are in, released when this object is left.
        """
        self.outlets = tuple(outlets)
        self._medium = medium
        self._stack = ExitStack()
        if lock is not None:
            self._stack.callback(lock.release)
        for outlet in self.outlets:
            self._stack.push(outlet.stream)
        for outlet in self.outlets:
            self._stack.push(outlet.finish)
        waiting = [outlet for outlet in self.outlets if not (in_order or outlet.format.any_order)]
        self._in_order = InOrder(waiting, medium.source) if waiting else None
        self._writers: list[Outlet | InOrder] = [outlet for outlet in self.outlets if outlet not in waiting]
        if self._in_order is not None:
            self._stack.push(self._in_order)
            self._writers.append(self._in_order)
        self._queue: queue.Queue[tuple[Frame, FrameMasks] | None] = queue.Queue(WAITING_FRAMES)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._is_raised = False
        self._num_taken = 0
        self._is_cut_off = False
        self._stack.push(self._drain)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths of the files and folders that are written."""
        return tuple(outlet.stream.path for outlet in self.outlets)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes about content that the formats cannot hold."""
        return tuple(dict.fromkeys(note for outlet in self.outlets for note in outlet.job.noted()))

    @property
    def num_written(self) -> int:
        """Number of frames that all outputs have, or will have when finished."""
        if self._in_order is not None and self._is_cut_off:
            return min(self._num_taken, self._in_order.num_replayed)
        return self._num_taken

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        """Add one frame to the queue.

        Raises:
            DataError: a format cannot hold an earlier mask.
            OutputError: an earlier frame could not be written.
        """
        self._raise_error()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="masklet-streams", daemon=True)
            self._thread.start()
        self._queue.put((frame, masks))

    def write_now(self, frame: Frame, masks: FrameMasks) -> None:
        """Add one frame, and wait until it is written.

        Raises:
            DataError: a format cannot hold a mask.
            OutputError: the frame could not be written.
        """
        rows = FrameRows(self._medium, frame.index, masks.time_s, to_rows(masks), frame.rgb)
        for writer in self._writers:
            writer.write(rows)
        self._num_taken += 1

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is not None:
                continue  # empty the queue: the tracker may be waiting to add a frame
            try:
                self.write_now(*item)
            except BaseException as error:
                self._error = error

    def _drain(self, *_: object) -> None:
        if self._thread is not None:
            try:
                self._queue.put(None)
                self._thread.join()
            except BaseException as error:  # Ctrl-C: finish the current frame only
                self._error = self._error or error
                self._queue.put(None)
                self._thread.join()
                raise
        self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None and not self._is_raised:
            self._is_raised = True
            raise self._error

    def __enter__(self) -> MaskStreams:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return self._stack.__exit__(kind, error, trace)
        except BaseException:
            self._is_cut_off = True
            raise


def open_streams(
    out: str | Path,
    formats: Sequence[str],
    source: FrameSource,
    *,
    objects: Iterable[ObjectInfo] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    prompts: Mapping[int, Mapping[int, Prompt]] | None = None,
    in_order: bool = True,
    force: bool = False,
) -> MaskStreams:
    """Open one live output per format.

    Args:
        out: a file name with the suffix of one format, such as .mp4 (overlay) or .json (coco), if that is the only
            format; else a folder, in which they have the formats' usual names: `overlay.mp4`, `masks/`, `coco.json`.
        formats: some of `live_formats()`; empty means the format of the suffix, and overlay for a folder.
        source: the tracked video.
        objects: names and classes, as far as known.
        options: by format id; see the formats' schemas.
        prompts: by frame index and object id, drawn into overlays.
        in_order: False if frames will come out of order: outputs that need them in order are then written at the end,
            and `source` is read again for those that show its frames.
        force: replace existing files.

    Raises:
        ConfigError: a format or an option is unknown, or a format cannot be written while tracking.
        DataError: a format does not support this medium.
        OutputError: names and formats do not fit, a file exists and `force` is False, a path cannot be written, or
            another process writes in the folder.
    """
    out = Path(out)
    medium = video_medium(source, objects, prompts=prompts)
    selected = _checked_formats(out, formats, medium)
    classes = list(dict.fromkeys(info.category for info in medium.masklets.objects))
    with ExitStack() as stack:
        lock = None if _is_named(out, selected[0]) else PathLock(out)
        if lock is not None:
            stack.callback(lock.release)
        paths = _paths(out, selected, medium, force=force)
        outlets = []
        for format_, path in zip(selected, paths, strict=True):
            settings = format_.options.of((options or {}).get(format_.id))
            job = ExportJob([medium], path, settings, list(classes), is_live=True)
            assert format_.open_stream is not None
            outlets.append(Outlet(format_, job, stack.enter_context(format_.open_stream(job))))
        stack.pop_all()  # all are open: the result now closes them
    return MaskStreams(medium, outlets, in_order=in_order, lock=lock)


def check_streams(out: str | Path, formats: Sequence[str], source: FrameSource, *, force: bool = False) -> None:
    """Check what `open_streams` checks, and write nothing: for runs that write when they have ended.

    Raises:
        ConfigError, DataError, OutputError: see `open_streams`.
    """
    out, medium = Path(out), video_medium(source)
    _paths(out, _checked_formats(out, formats, medium), medium, force=force)


def open_image_stream(
    format_id: str, path: str | Path, medium: LabelledMedium | None = None, options: Mapping[str, Any] | None = None
) -> MaskStream:
    """Open an output for images that are segmented one after another, as by `masklet segment`.

    Args:
        format_id: one of `live_formats()`.
        path: of the format's file or folder; it may exist.
        medium: the image of an output for one image; None if several follow (COCO, CSV).
        options: see the format's schema.

    Raises:
        ConfigError: the format or an option is unknown, or the format cannot be written image by image.
        OutputError: the path cannot be written.
    """
    format_ = find_format(format_id)
    if format_.open_stream is None:
        raise ConfigError(f"{format_id} cannot be written image by image: choose from {', '.join(live_formats())}")
    media = [] if medium is None else [medium]
    classes = [] if medium is None else list(dict.fromkeys(info.category for info in medium.masklets.objects))
    return format_.open_stream(ExportJob(media, Path(path), format_.options.of(options), classes, is_live=True))


def _checked_formats(out: Path, formats: Sequence[str], medium: LabelledMedium) -> list[Format[Any]]:
    """Return the requested formats, or the one of the suffix, after checking that they can hold the medium."""
    selected = _selected_formats(out, formats)
    for format_ in selected:
        format_.check_medium(medium)
    return selected


def _selected_formats(out: Path, formats: Sequence[str]) -> list[Format[Any]]:
    """Return the requested formats, or the one of the suffix."""
    live = live_formats()
    named = [format_id for format_id in live if _is_named(out, FORMATS[format_id])]
    format_ids = list(dict.fromkeys(formats)) or named[:1] or ["overlay"]
    if out.suffix.lower() in _FOREIGN_SUFFIXES and format_ids == ["overlay"]:
        raise OutputError(f"cannot write {out}: an overlay is H.264, in {', '.join(FORMATS['overlay'].suffixes)}")
    selected = [find_format(format_id) for format_id in format_ids]
    for format_ in selected:
        if not format_.is_live:
            raise ConfigError(
                f"{format_.id} cannot be written while tracking: save the session and use masklet export-masks, or "
                f"choose from {', '.join(live)}"
            )
    if named and not (len(selected) == 1 and _is_named(out, selected[0])):
        raise OutputError(
            f"{out} names one {named[0]} file, but the formats are {', '.join(format_ids)}: give a folder"
        )
    return selected


def _is_named(out: Path, format_: Format[Any]) -> bool:
    return bool(format_.suffixes) and out.name.lower().endswith(format_.suffixes)


def _paths(out: Path, formats: Sequence[Format[Any]], medium: LabelledMedium, *, force: bool) -> list[Path]:
    """Return the path of each format's output, after checking that it can be written."""
    paths = [out if _is_named(out, format_) else out / format_.file_name for format_ in formats]
    info = medium.source.info
    for format_, path in zip(formats, paths, strict=True):
        refuse_existing(path, force)
        if not format_.suffixes and path.is_file():
            raise OutputError(f"cannot write {format_.id} to {path}: it is a file, but this format needs a folder")
        if format_.suffixes and path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder")
        refuse_source(path, info.path or info.name)
    return paths
