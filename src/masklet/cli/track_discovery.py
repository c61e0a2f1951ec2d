"""`masklet track --everything` and `--detections`: objects that nobody prompts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.checks import check_choice
from masklet.cli.console import ProgressReport, Stopwatch, counted
from masklet.cli.detections import print_problems
from masklet.cli.groups import OptionGroup
from masklet.cli.options import DISCOVERY_PANEL
from masklet.cli.track_run import SAVE_EVERY_S, TrackRun, gentle_interrupt
from masklet.errors import ConfigError, VideoError

if TYPE_CHECKING:
    from masklet.cli.track_options import RangeChoice
    from masklet.discovery import Detector, DiscoveryConfig
    from masklet.records import Frame, FrameMasks
    from masklet.tracking.tracker import Tracker

LEVELS = ("objects", "parts", "both")
NOTE = "discovery"
"""Name of what a session's notes keep for `--resume`."""


class DiscoveryChoice(OptionGroup):
    """What finds the objects, and the rules by which they become tracks."""

    everything: Annotated[
        bool,
        typer.Option(
            "--everything",
            help="Find the objects, with a grid of clicks where nothing is tracked yet.",
            rich_help_panel=DISCOVERY_PANEL,
        ),
    ] = False
    detections: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Track what another program has detected: COCO results, MOT, MOTS, CSV, or a folder of YOLO files.",
            rich_help_panel=DISCOVERY_PANEL,
        ),
    ] = None
    level: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="objects (default): nothing within a larger object; parts: nothing that is made up of parts; both.",
            rich_help_panel=DISCOVERY_PANEL,
        ),
    ] = None
    every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Look for objects on every N-th frame, and when much has come into view. Default: 10.",
            rich_help_panel=DISCOVERY_PANEL,
        ),
    ] = None
    max_objects: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Maximum number of objects at a time. Default: 64.",
            rich_help_panel=DISCOVERY_PANEL,
        ),
    ] = None
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SCORE",
            help="Start tracks only from detections of at least this score, 0 to 1. Default: 0.5.",
            rich_help_panel=DISCOVERY_PANEL,
        ),
    ] = None

    @property
    def is_asked(self) -> bool:
        """True if objects are to be found."""
        return self.everything or self.detections is not None

    def check(self, direction: str) -> None:
        """Check what can be checked before anything is opened.

        Raises:
            ConfigError: options exclude each other, or say how to find objects though none are to be found.
        """
        if self.everything and self.detections is not None:
            raise ConfigError("--everything and --detections exclude each other: both say what finds the objects")
        if self.level is not None:
            check_choice("--level", self.level, LEVELS)
        if self.is_asked and direction == "backward":
            raise ConfigError("--direction must be forward or both: objects are found going forward")
        named = [name for name in ("level", "every", "max_objects", "min_score") if getattr(self, name) is not None]
        if named and not self.is_asked:
            option = f"--{named[0].replace('_', '-')}"
            raise ConfigError(f"{option} belongs to --everything or --detections: give one of them")

    def config(self) -> DiscoveryConfig:
        """Return the rules of discovery."""
        from masklet.discovery import DiscoveryConfig

        values: dict[str, Any] = {"level": self.level, "every": self.every, "max_objects": self.max_objects}
        if self.min_score is not None:
            values |= {"birth_score": self.min_score, "min_score": min(self.min_score, DiscoveryConfig().min_score)}
        return DiscoveryConfig(**{name: value for name, value in values.items() if value is not None})

    def detector(self, tracker: Tracker[Any]) -> Detector | None:
        """Return the detector; None for the model itself. Problems of a file are printed.

        The session's notes keep which it is, for `--resume`.

        Raises:
            DataError: the file cannot be used.
        """
        path = self.detections
        if self.is_asked:
            tracker.notes[NOTE] = {"detections": None if path is None else str(path.absolute())}
        elif (before := tracker.notes[NOTE]["detections"]) is not None:  # a resumed session
            path = Path(before)
        if path is None:
            return None
        from masklet.discovery.files import open_detections

        assert tracker.source is not None
        info = tracker.source.info
        file = open_detections(path, size_hw=info.size_hw, num_frames=info.num_frames, file_name=info.name)
        print_problems(file.problems, file.notes)
        return file


def is_discovery(tracker: Tracker[Any], choice: DiscoveryChoice) -> bool:
    """Return True if objects are to be found: because that is asked, or because a session was doing so."""
    return choice.is_asked or (tracker.is_interrupted and NOTE in tracker.notes)


def found_frames(
    tracker: Tracker[Any],
    run: TrackRun,
    choice: DiscoveryChoice,
    frame_range: RangeChoice,
    report: ProgressReport,
    session: Path | None,
) -> Iterator[tuple[Frame, FrameMasks]]:
    """Find and track objects, and return the frames with their masks.

    A live source's frames come as they are tracked. Those of a file come when all are tracked, so that an object has
    its masks before it was confirmed. A run that is stopped, or whose video breaks off, returns what it has.

    Args:
        tracker: with the video.
        run: is told how the run ended.
        choice: what finds the objects.
        frame_range: first and last frame, and the direction.
        report: shows the progress.
        session: file that the tracker is saved to at intervals; None for none.
    """
    from masklet.tracking.resuming import with_frames

    masks = tracker.discover(
        choice.detector(tracker),
        config=choice.config() if choice.is_asked else None,
        direction=frame_range.direction,  # type: ignore[arg-type]
        start=frame_range.start,
        stop=frame_range.stop,
    )
    if tracker.num_frames is None:
        return run.until_stopped(with_frames(tracker, masks))
    watch, saved = Stopwatch(), time.monotonic()
    if tracker.tracked_frames is not None:  # a resumed session, perhaps with corrections
        for _ in tracker.retrack():
            pass
    try:
        with gentle_interrupt(run.stopped):
            for number, frame_masks in enumerate(masks, start=1):
                report.update(number, f"{len(frame_masks.object_ids)} objects")
                if session is not None and time.monotonic() - saved > SAVE_EVERY_S:
                    tracker.save(session)
                    saved = time.monotonic()
                if run.stopped.is_set():
                    run.interrupted = True
                    break
    except VideoError as error:
        run.broken = error
    run.seconds = watch.seconds
    report.describe("writing")
    return _stored_frames(tracker)


def _stored_frames(tracker: Tracker[Any]) -> Iterator[tuple[Frame, FrameMasks]]:
    tracked = tracker.tracked_frames
    if tracked is None or tracker.source is None:
        return
    for frame in tracker.source.frames(tracked[0], tracked[1] + 1):
        if (masks := tracker.masks_at(frame.index)) is not None:
            yield frame, masks


def discovery_notes(tracker: Tracker[Any]) -> list[str]:
    """Return what a user should know about a discovery: detections that found no place."""
    if not tracker.num_refused:
        return []
    return [
        f"{counted(tracker.num_refused, 'detection')} started no track, since as many objects as allowed were tracked: "
        "raise --max-objects"
    ]
