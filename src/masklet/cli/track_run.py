"""The main loop of `masklet track`: moves frames from the tracker to the outputs, until one of them ends."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.cli.console import (
    ProgressReport,
    Stopwatch,
    counted,
    describe_outputs,
    format_rate,
    print_line,
    print_table,
    stderr,
)
from masklet.errors import MaskletError, VideoError
from masklet.tracking.summary import ObjectSummary

if TYPE_CHECKING:
    from masklet.formats import MaskStreams
    from masklet.media.source import VideoInfo
    from masklet.records import Frame, FrameMasks
    from masklet.tracking.tracker import Tracker

SAVE_EVERY_S = 60.0
"""Seconds between two saves: the most work that is lost in a crash of the machine."""


@dataclass(slots=True)
class TrackRun:
    """Moves frames from the tracker to the outputs until one of them ends."""

    objects: dict[int, ObjectSummary]
    num_frames: int = 0
    seconds: float = 0.0
    broken: VideoError | None = None
    failed: MaskletError | None = None
    interrupted: bool = False
    to_review: list[int] = field(default_factory=list)
    """Frames that a user should review."""
    first: int | None = None
    last: int | None = None
    """First and last frame shown."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set by the first Ctrl-C."""

    @property
    def num_unread(self) -> int:
        """Number of frames between the first and the last that could not be read: damaged ones are skipped."""
        return 0 if self.first is None or self.last is None else self.last - self.first + 1 - self.num_frames

    @property
    def is_finished(self) -> bool:
        return self.broken is None and self.failed is None and not self.interrupted

    def until_stopped(self, frames: Iterator[tuple[Frame, FrameMasks]]) -> Iterator[tuple[Frame, FrameMasks]]:
        """Yield the frames until the first Ctrl-C, so that later steps see a normal end of the frames."""
        for item in frames:
            yield item
            if self.stopped.is_set():
                break
        self.interrupted = self.stopped.is_set()

    def go(
        self,
        tracker: Tracker[Any],
        frames: Iterator[tuple[Frame, FrameMasks]],
        streams: MaskStreams,
        report: ProgressReport,
        *,
        session: Path | None = None,
    ) -> None:
        """Track and write until the frames end, the video breaks off, or the run is interrupted.

        Args:
            tracker: saved at intervals.
            frames: its frames, `until_stopped`.
            streams: outputs of the frames.
            report: shows the progress.
            session: file that the tracker is saved to.

        Raises:
            OutputError: an output cannot be written; the session is saved nevertheless, if its file can be written.
        """
        watch = Stopwatch()
        saved = time.monotonic()
        try:
            with gentle_interrupt(self.stopped), streams:
                try:
                    for frame, masks in frames:
                        streams.write(frame, masks)
                        self._add(masks)
                        report.update(self.num_frames, _status(masks))
                        if session is not None and time.monotonic() - saved > SAVE_EVERY_S:
                            tracker.save(session)
                            saved = time.monotonic()
                except VideoError as error:
                    self.broken = error
                report.describe("writing")
        except KeyboardInterrupt:
            self.interrupted = True
        except MaskletError as error:
            self.failed = error
            self.num_frames = min(
                self.num_frames, streams.num_written
            )  # streams may have held frames back when the disk was full
        self.seconds += watch.seconds

    def _add(self, masks: FrameMasks) -> None:
        self.num_frames += 1
        index = masks.frame_index
        self.first = index if self.first is None else min(self.first, index)
        self.last = index if self.last is None else max(self.last, index)
        if masks.needs_review:
            self.to_review.append(masks.frame_index)
        for row, object_id in enumerate(masks.object_ids):
            self.objects.setdefault(object_id, ObjectSummary()).add(masks, row)

    def to_dict(self, info: VideoInfo, streams: MaskStreams) -> dict[str, Any]:
        return {
            "video": info.name,
            "size_hw": list(info.size_hw),
            "fps": info.fps,
            "num_frames": self.num_frames,
            "num_unread": self.num_unread,
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(self.num_frames / self.seconds, 3) if self.seconds else None,
            "finished": self.is_finished,
            "error": None if self.broken is None else str(self.broken),
            "broke_at_frame": None if self.broken is None else self.broken.frame_index,
            "objects": [
                {
                    "object_id": object_id,
                    "prompted_frames": sorted(summary.prompted),
                    "num_frames": summary.num_frames,
                    "num_present": summary.num_present,
                    "mean_confidence": summary.mean_confidence and round(summary.mean_confidence, 4),
                    "first_frame": summary.first,
                    "last_frame": summary.last,
                }
                for object_id, summary in sorted(self.objects.items())
            ],
            "frames_to_review": sorted(self.to_review),
            "notes": list(streams.notes),
            "outputs": [str(path) for path in written(streams)],
        }

    def print_summary(self, info: VideoInfo, streams: MaskStreams) -> None:
        """Print one row per object, the time taken, and the files written."""
        rows = [
            (
                str(object_id),
                ", ".join(map(str, sorted(summary.prompted)[:4])) + (", ..." if len(summary.prompted) > 4 else ""),
                f"{summary.num_present} of {summary.num_frames}",
                "" if summary.mean_confidence is None else f"{summary.mean_confidence:.2f}",
                "never" if summary.first is None else str(summary.first),
                "" if summary.last is None else str(summary.last),
            )
            for object_id, summary in sorted(self.objects.items())
        ]
        if rows:
            print_table(("object", "prompted on", "frames seen", "confidence", "first", "last"), rows)
        else:
            print_line("no objects were found" if self.is_finished else "no objects were found yet")
        height, width = info.size_hw
        rate = format_rate(self.num_frames / self.seconds) if self.seconds else "?"
        print_line(
            f"{counted(self.num_frames, 'frame')} of {width} x {height} in {self.seconds:.1f} s, {rate} frames/s"
        )
        if self.num_unread:
            print_line(f"{counted(self.num_unread, 'frame')} between them could not be read: damaged")
        if self.to_review:
            print_line(f"to review: {_some_frames(self.to_review)}")
        for note in streams.notes:
            print_line(f"note: {note}")
        print_line(f"wrote {describe_outputs(written(streams))}")


def _some_frames(frames: list[int], most: int = 8) -> str:
    """Return frame numbers as text, as in 'frames 3, 17 and 4 more'."""
    listed = sorted(frames)
    shown = ", ".join(map(str, listed[:most]))
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return f"frame{'s' if len(listed) > 1 else ''} {shown}{more}"


def written(streams: MaskStreams) -> list[Path]:
    """Return the outputs that exist."""
    return [path for path in streams.paths if path.exists()]


def _status(masks: FrameMasks) -> str:
    """Return the objects with their confidence or status as text, such as '1 0.93, 2 lost'."""
    words = masks.statuses or tuple("present" if score > 0 else "lost" for score in masks.object_scores)
    shown = [
        f"{object_id} {masks.confidences[row]:.2f}" if words[row] == "present" else f"{object_id} {words[row]}"
        for row, object_id in enumerate(masks.object_ids[:6])
    ]
    return ", ".join(shown) + (", ..." if len(masks.object_ids) > 6 else "")


@contextmanager
def gentle_interrupt(stopped: threading.Event) -> Iterator[None]:
    """Set the event on the first Ctrl-C, so that the current frame is finished; a second one stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_interrupt(number: int, stack: Any) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if stderr().is_terminal:
            stderr().print("stopping after this frame; Ctrl-C again stops at once", style="dim")

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
