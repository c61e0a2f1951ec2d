"""`masklet track --everything` and `--detections`: objects that nobody prompts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.checks import check_choice
from masklet.cli.console import ProgressReport, Stopwatch, counted, print_error
from masklet.cli.detections import print_problems
from masklet.cli.groups import OptionGroup
from masklet.cli.options import DISCOVERY_PANEL
from masklet.cli.track_run import SAVE_EVERY_S, TrackRun, gentle_interrupt
from masklet.errors import ConfigError, MaskletError, VideoError

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

    first_frame: Annotated[
        int | None,
        typer.Option(
            "--first-frame",
            min=0,
            metavar="N",
            help="Number of the first frame in the file of --detections, 0 or 1. By default the format and the "
            "numbers in the file decide.",
            rich_help_panel=DISCOVERY_PANEL,
        ),
    ] = None

    @property
    def is_asked(self) -> bool:
        """True if objects are to be found."""
        return self.everything or self.detections is not None

    @property
    def rules(self) -> list[str]:
        """The options for the rules that are given."""
        names = ("level", "every", "max_objects", "min_score")
        return [f"--{name.replace('_', '-')}" for name in names if getattr(self, name) is not None]

    def check(self, direction: str, *, is_resumed: bool) -> None:
        """Check what can be checked before anything is opened.

        Args:
            direction: of tracking.
            is_resumed: a session is continued, which may be one of discovery.

        Raises:
            ConfigError: options exclude each other, or say how to find objects though none are to be found.
        """
        if self.everything and self.detections is not None:
            raise ConfigError("--everything and --detections exclude each other: both say what finds the objects")
        if self.level is not None:
            check_choice("--level", self.level, LEVELS)
        if self.is_asked and direction == "backward":
            raise ConfigError("--direction must be forward or both: objects are found going forward")
        if self.rules and not self.is_asked and not is_resumed:
            raise ConfigError(f"{self.rules[0]} belongs to --everything or --detections: give one of them")
        if self.first_frame is not None and self.detections is None:
            raise ConfigError("--first-frame belongs to --detections: give the file")

    def config(self, saved: DiscoveryConfig | None) -> DiscoveryConfig:
        """Return the rules of discovery: those of a session, or else the defaults, with the options that are given."""
        from masklet.discovery import DiscoveryConfig

        return DiscoveryConfig.from_options(
            base=saved, level=self.level, every=self.every, max_objects=self.max_objects, min_score=self.min_score
        )

    def notes(self, frame_range: RangeChoice, saved: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return what a session's notes keep for `--resume`: the saved ones, with the options that are given."""
        notes = {"detections": None, "first_frame": None, "direction": "forward", "stop": None} | dict(saved or {})
        if self.is_asked:
            notes["detections"] = None if self.detections is None else str(self.detections.absolute())
            notes["first_frame"] = self.first_frame
        if frame_range.chosen_direction is not None:
            notes["direction"] = frame_range.chosen_direction
        if frame_range.stop is not None:
            notes["stop"] = frame_range.stop
        return notes


def _detector(tracker: Tracker[Any], notes: Mapping[str, Any]) -> Detector | None:
    """Return the detector; None for the model itself. Problems of a file are printed.

    Raises:
        DataError: the file cannot be used.
    """
    if notes["detections"] is None:
        return None
    from masklet.discovery.files import open_detections

    assert tracker.source is not None
    info = tracker.source.info
    file = open_detections(
        notes["detections"],
        size_hw=info.size_hw,
        num_frames=info.num_frames,
        file_name=info.name,
        first_frame=notes["first_frame"],
    )
    print_problems(file.problems, file.notes)
    return file


def is_discovery(tracker: Tracker[Any], choice: DiscoveryChoice) -> bool:
    """Return True if objects are to be found: because that is asked, or because a session was doing so.

    Raises:
        ConfigError: options change the rules of a session that finds no objects.
    """
    if choice.is_asked or NOTE in tracker.notes:
        return True
    if choice.rules:
        raise ConfigError(f"{choice.rules[0]} belongs to --everything or --detections: the session has neither")
    return False


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

    before = tracker.notes.get(NOTE)
    notes = tracker.notes[NOTE] = choice.notes(frame_range, before)
    config, start = choice.config(tracker.discovery_config), frame_range.start
    if start is None and before is not None and _is_new_search(tracker, notes, before, config):
        assert tracker.discovered_frames is not None
        start = tracker.discovered_frames[0]
        print_error(f"searching again from frame {start}; objects that were found before keep their ids", word="note")
    masks = tracker.discover(
        _detector(tracker, notes), config=config, direction=notes["direction"], start=start, stop=notes["stop"]
    )
    if tracker.num_frames is None:
        return run.until_stopped(with_frames(tracker, masks))
    first = _first_to_come(tracker) if start is None else start
    frames = range(first, max(first, min(tracker.num_frames, notes["stop"] or tracker.num_frames)))
    watch = Stopwatch()
    try:
        with gentle_interrupt(run.stopped):
            for _ in tracker.retrack() if tracker.tracked_frames is not None else ():  # a resumed session
                if run.stopped.is_set():
                    run.interrupted = True
                    return iter(())
            _follow(tracker, run, masks, report, session, frames)
    except KeyboardInterrupt:
        run.interrupted = True
    except VideoError as error:
        run.broken = error
    except MaskletError as error:
        run.failed = error
    run.seconds = watch.seconds
    report.describe("writing")
    return _stored_frames(tracker)


def _first_to_come(tracker: Tracker[Any]) -> int:
    return 0 if tracker.discovered_frames is None else tracker.discovered_frames[1] + 1


def _is_new_search(
    tracker: Tracker[Any], notes: Mapping[str, Any], before: Mapping[str, Any], config: DiscoveryConfig
) -> bool:
    """Return True if a discovery that had reached its last frame is to find objects by other rules.

    Args:
        tracker: of the session.
        notes: of the discovery as it is to be.
        before: of the discovery as it was.
        config: the rules as they are to be.
    """
    if tracker.discovered_frames is None:
        return False
    ends = [end for end in (notes["stop"], tracker.num_frames) if end is not None]
    is_at_end = bool(ends) and _first_to_come(tracker) >= min(ends)  # a live source has no end
    is_same = all(notes[name] == before[name] for name in ("detections", "first_frame"))
    return is_at_end and not (is_same and config == tracker.discovery_config)


def _follow(
    tracker: Tracker[Any],
    run: TrackRun,
    masks: Iterator[FrameMasks],
    report: ProgressReport,
    session: Path | None,
    frames: range,
) -> None:
    """Track until the frames end or the run is stopped, and save the session at intervals.

    Args:
        tracker: is saved.
        run: says whether it is stopped.
        masks: of the frames.
        report: shows the progress.
        session: file to save to; None for none.
        frames: those to come going forward.
    """
    total, before = len(frames), frames.start - 1  # a run that is continued may begin with going back
    saved = time.monotonic()
    for number, frame_masks in enumerate(masks, start=1):
        if frame_masks.frame_index < before and number <= total + 1:
            assert tracker.discovered_frames is not None
            total = number + frame_masks.frame_index - tracker.discovered_frames[0]  # late objects are followed back
        before = frame_masks.frame_index
        report.update(number, counted(len(frame_masks.object_ids), "object"), max(total, number))
        if session is not None and time.monotonic() - saved > SAVE_EVERY_S:
            tracker.save(session)
            saved = time.monotonic()
        if run.stopped.is_set():
            run.interrupted = True
            return


def _stored_frames(tracker: Tracker[Any]) -> Iterator[tuple[Frame, FrameMasks]]:
    """Yield the frames with their stored masks, also those on which nothing was followed."""
    from masklet.tracking.mask_rows import from_rows

    spans = [span for span in (tracker.tracked_frames, tracker.discovered_frames) if span is not None]
    if not spans or tracker.source is None:
        return
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    for frame in tracker.source.frames(first, last + 1):
        masks = tracker.masks_at(frame.index)
        yield frame, from_rows(frame.index, frame.time_s, [], frame.size_hw) if masks is None else masks


def discovery_notes(tracker: Tracker[Any]) -> list[str]:
    """Return what a user should know about a discovery: detections that found no place."""
    if not tracker.num_refused:
        return []
    return [
        f"{counted(tracker.num_refused, 'detection')} started no track, since as many objects as allowed were tracked: "
        "raise --max-objects"
    ]
