"""`masklet track`: objects through a video, from prompts on any frame to an overlay, masks or COCO JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import (
    counted,
    describe_outputs,
    print_error,
    print_json,
    print_line,
    show_progress,
)
from masklet.cli.groups import with_groups
from masklet.cli.options import (
    DEFAULT_MODEL,
    ModelAndSpeed,
    Switches,
    describe_model,
    examples,
    load_model,
    memory_config,
)
from masklet.cli.prompts import ObjectPrompt
from masklet.cli.track_discovery import DiscoveryChoice, discovery_notes, found_frames, is_discovery
from masklet.cli.track_options import MaskChoice, RangeChoice, SessionChoice, TrackPrompts, TrackResults
from masklet.cli.track_run import TrackRun, written
from masklet.errors import Cancelled, ConfigError, OutputError, PromptError
from masklet.tracking.summary import ObjectSummary

if TYPE_CHECKING:
    from masklet.formats import MaskStreams
    from masklet.media.source import FrameSource, VideoInfo
    from masklet.prompts import Prompt
    from masklet.records import EngineInfo, Frame, FrameMasks
    from masklet.tracking.tracker import Tracker

EPILOG = examples(
    ("An overlay video", "masklet track clip.mp4 --object 1 --frame 0 --point 210,350 --out out/clip.mp4"),
    (
        "Two objects, the second from frame 30 on",
        "masklet track clip.mp4 --point 210,350 --object 2 --frame 30 --box 40,60,200,220",
    ),
    (
        "Everything, for other programs",
        "masklet track frames/ --prompts prompts.json --format masks,coco,overlay --out out/ --json",
    ),
    ("Everything in a video, with ids that last", "masklet track clip.mp4 --everything --format overlay,coco"),
    ("What another program has detected", "masklet track clip.mp4 --detections boxes.json"),
    (
        "Correct object 2 on frame 812 of a saved session, and continue",
        "masklet track --resume out/clip.masklet --object 2 --frame 812 --negative 300,80",
    ),
    notes='prompts.json: \\[{"object_id": 1, "frame_index": 0, "points_xy": \\[\\[210, 350]], "labels": \\[1], '
    '"box_xyxy": \\[40, 60, 200, 220], "mask": "first.png"}, ...]. Give only the fields that you need.\n\n'
    "Ctrl-C stops after the current frame (status 130). What has been written is a playable video, and the session is "
    "saved next to it: continue with --resume. The same applies if the video breaks off or the disk is full "
    "(status 2).",
)


@with_groups
def track(
    video: Annotated[
        str | None,
        typer.Argument(
            help="A video file, a folder of frames, slices (TIFF, DICOM, NIfTI), a camera number or an address.",
            show_default=False,
        ),
    ] = None,
    *,
    prompts: TrackPrompts,
    discovery: DiscoveryChoice,
    results: TrackResults,
    frame_range: RangeChoice,
    session: SessionChoice,
    masks: MaskChoice,
    model: ModelAndSpeed,
    switches: Switches,
) -> int:
    """Track objects through a video: prompt each once, on any frame, or have them found with --everything."""
    if video is None and session.resume is None:
        raise ConfigError("give a video to track, or --resume FILE to continue a session; see masklet track --help")
    frame_range.check()
    discovery.check(frame_range.direction, is_resumed=session.resume is not None)
    is_prompt_needed = session.resume is None and not discovery.is_asked
    typed, accepted = prompts.read(needed=is_prompt_needed), session.accepted()
    output = _Results(results.out, results.chosen_formats(), per_object=results.per_object, force=switches.force)
    with _opened(video, session.resume, frame_range, masks, model) as tracker:
        for frames, object_id in accepted:  # before new prompts make these masks stale
            tracker.accept(frames, object_id)
        new_prompts = _add_prompts(tracker, typed)
        run = TrackRun({object_id: ObjectSummary() for object_id in tracker.object_ids})
        if session.resume is not None:
            output = output.as_before(tracker.notes)
        info = _source(tracker).info
        finds = is_discovery(tracker, discovery)
        if finds:
            total = info.num_frames
            output.check(tracker)
        else:
            frames_to_come, total = _frames(tracker, run, typed, frame_range, session)
        tracker.notes["track"] = tracker.notes.get("track", {"model": model.model}) | output.notes(info)
        with show_progress(f"tracking {Path(info.name).name}", total, "frames") as report:
            if finds:
                frames_to_come = found_frames(tracker, run, discovery, frame_range, report, session.path)
            if masks.stabilise:
                frames_to_come = _stabilised(frames_to_come)
            streams = output.open(
                tracker, _shown_prompts(tracker, new_prompts), in_order=finds or _is_in_order(frame_range, session)
            )
            run.go(tracker, frames_to_come, streams, report, session=session.path)
        for note in discovery_notes(tracker):
            print_error(note, word="warning")
        kept = _keep_session(
            tracker, session.place(output.place(info), info), run, is_requested=session.path is not None
        )
        model_info = tracker.engine.info
    return _report(run, info, streams, kept, model_info, as_json=switches.as_json)


@dataclass(frozen=True, slots=True)
class _Results:
    """The place for results, and their formats."""

    out: Path | None
    formats: list[str]
    per_object: bool
    force: bool

    def place(self, info: VideoInfo) -> Path:
        return _default_out(info, self.formats) if self.out is None else self.out

    def notes(self, info: VideoInfo) -> dict[str, Any]:
        """Return the notes that are stored in a session file for `--resume`."""
        return {"out": str(self.place(info).absolute()), "formats": self.formats, "per_object": self.per_object}

    def as_before(self, notes: Mapping[str, Any]) -> _Results:
        """Return these settings, completed from a session's notes; the session's partial results are replaced."""
        before = notes.get("track")
        if before is None or self.out is not None:
            return self
        return _Results(
            Path(before["out"]), self.formats or before["formats"], self.per_object or before["per_object"], force=True
        )

    def check(self, tracker: Tracker[Any]) -> None:
        """Refuse outputs that cannot be written, before a run that writes at its end."""
        from masklet.formats import check_streams

        source = _source(tracker)
        check_streams(self.place(source.info), self.formats, source, force=self.force)

    def open(
        self, tracker: Tracker[Any], prompts: Mapping[int, Mapping[int, Prompt]], *, in_order: bool
    ) -> MaskStreams:
        from masklet.formats import open_streams
        from masklet.tracking.masklets import ObjectInfo

        source = _source(tracker)
        names, classes = tracker.names, tracker.class_names
        return open_streams(
            self.place(source.info),
            self.formats,
            source,
            objects=[ObjectInfo(i, names.get(i, ""), classes.get(i, "")) for i in tracker.object_ids],
            options={"masks": {"layout": "both"}} if self.per_object else None,
            prompts=prompts,
            in_order=in_order,
            force=self.force,
        )


@contextmanager
def _opened(
    video: str | None, session: Path | None, frame_range: RangeChoice, masks: MaskChoice, model: ModelAndSpeed
) -> Iterator[Tracker[Any]]:
    """Open the video and its tracker, a new one or the one of a session file."""
    from masklet.media.source import open_source

    window = frame_range.shown_values()
    if session is None:
        assert video is not None
        _refuse_image(video)
        with open_source(video, window=window) as source:
            loaded = model.load()
            memory = memory_config(loaded.info, masks.policy)
            yield loaded.tracker(source, memory=memory, non_overlap=masks.non_overlap, edges=masks.edges())
        return
    if masks.policy is not None:
        raise ConfigError("--policy cannot be changed when a session is resumed: it keeps its own policy")
    from masklet.tracking.session import model_of, session_about
    from masklet.tracking.tracker import Tracker

    about = session_about(session)
    if video is None and about["video"] is not None:
        video = about["video"]["path"]
    if video is None:
        raise ConfigError(f"{session} does not name its video: give the video before --resume")
    speed = model.speed or about["model"].get("speed")
    saved_name = about["notes"].get("track", {}).get("model", about["model"]["name"])
    name = model_of(about["model"] | {"name": saved_name}) if model.model == DEFAULT_MODEL else model.model
    loaded = load_model(name, model.device, model.precision, speed)
    with open_source(video, window=window) as source:
        tracker = Tracker.resume(session, loaded.engine, source)
        tracker.edges = masks.edges() or tracker.edges
        yield tracker


def _refuse_image(video: str) -> None:
    """Refuse a file with a single picture, which would be tracked as a video of one frame.

    Patterns such as img_%03d.png, addresses, animated pictures and TIFFs, which may be slices, pass.

    Raises:
        ConfigError: the file is a single image.
    """
    from masklet.errors import ImageError
    from masklet.media.images import image_header

    try:
        header = image_header(video) if Path(video).is_file() else None
    except ImageError:
        return  # opening the source reports the error
    if header is not None and header.format != "TIFF" and not header.has_several:
        raise ConfigError(f"{video} is an image: use masklet segment")


def _source(tracker: Tracker[Any]) -> FrameSource:
    assert tracker.source is not None
    return tracker.source


def _is_in_order(frame_range: RangeChoice, session: SessionChoice) -> bool:
    """Return True if frames are produced in their order."""
    return session.resume is None and frame_range.direction == "forward"


def _shown_prompts(
    tracker: Tracker[Any], new_prompts: Mapping[tuple[int, int], Prompt]
) -> dict[int, dict[int, Prompt]]:
    """Return the prompts to draw, by frame and object: those of the session, and the new ones as typed."""
    shown = tracker.prompts
    for (object_id, frame_index), prompt in new_prompts.items():
        shown.setdefault(frame_index, {})[object_id] = prompt
    return shown


def _frames(
    tracker: Tracker[Any],
    run: TrackRun,
    typed: tuple[ObjectPrompt, ...],
    choice: RangeChoice,
    session: SessionChoice,
) -> tuple[Iterator[tuple[Frame, FrameMasks]], int | None]:
    """Return the frames with their masks as they will be written, and the number of frames."""
    from masklet.tracking.resuming import continued, with_frames

    info = _source(tracker).info
    if session.resume is not None:
        choice.check_unchanged()
        frames, total = continued(tracker, run.stopped.is_set), info.num_frames
    else:
        tracked = tracker.run(choice.direction, start=choice.start, stop=choice.stop)  # type: ignore[arg-type]
        frames, total = with_frames(tracker, tracked), choice.num_frames(info, [prompt.frame_index for prompt in typed])
    return run.until_stopped(frames), total


def _stabilised(frames: Iterator[tuple[Frame, FrameMasks]]) -> Iterator[tuple[Frame, FrameMasks]]:
    from masklet.masks.stabilise import stabilised

    return stabilised(frames)  # at the end it yields the frames it still holds back


def _keep_session(tracker: Tracker[Any], path: Path | None, run: TrackRun, *, is_requested: bool) -> Path | None:
    """Save the session if that was requested, or if the run ended early."""
    if path is None or not (is_requested or (not run.is_finished and run.num_frames)):
        return None
    try:
        return tracker.save(path)
    except OutputError as error:
        if run.failed is None:
            raise
        print_error(str(error))
        return None


def _report(
    run: TrackRun, info: VideoInfo, streams: MaskStreams, session: Path | None, model: EngineInfo, *, as_json: bool
) -> int:
    """Report the results of a run; return the exit status."""
    cause = run.failed or run.broken
    if cause is not None and not run.num_frames:
        raise cause
    if as_json:
        document = run.to_dict(info, streams) | {"session": None if session is None else str(session)}
        print_json({"command": "track", "model": describe_model(model), **document})
    elif run.num_frames:
        run.print_summary(info, streams)
        if session is not None:
            print_line(
                f"saved {session}" + ("" if run.is_finished else f"; continue with: masklet track --resume {session}")
            )
    if run.broken is not None:
        where = "" if run.broken.frame_index is None else f" at frame {run.broken.frame_index}"
        print_error(f"the video broke off{where}, the {run.num_frames} frames before it are written: {run.broken}")
        return 2
    if run.failed is not None:
        raise run.failed
    if run.interrupted:
        raise Cancelled(
            f"after {counted(run.num_frames, 'frame')}, which are in {describe_outputs(written(streams))}"
            if run.num_frames
            else "before the first frame was finished"
        )
    return 0


def _add_prompts(tracker: Tracker[Any], typed: tuple[ObjectPrompt, ...]) -> dict[tuple[int, int], Prompt]:
    """Add the prompts to the tracker, and return them by object and frame."""
    size_hw = _source(tracker).info.size_hw
    prompts = [prompt.to_prompt(size_hw) for prompt in typed]  # all are checked before the first is added
    for prompt, checked in zip(typed, prompts, strict=True):
        _add_prompt(tracker, prompt, checked)
    return {(prompt.object_id, prompt.frame_index): checked for prompt, checked in zip(typed, prompts, strict=True)}


def _add_prompt(tracker: Tracker[Any], typed: ObjectPrompt, prompt: Prompt) -> None:
    try:
        tracker.prompt(typed.object_id, typed.frame_index, prompt)
    except PromptError as error:
        raise PromptError(f"{typed}: {error}") from error


def _default_out(info: VideoInfo, formats: list[str]) -> Path:
    from masklet.tracking.masklets import medium_name

    name = medium_name(info.name)
    return Path("out") / (name if formats and formats != ["overlay"] else f"{name}.mp4")
