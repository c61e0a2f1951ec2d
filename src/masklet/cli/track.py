"""`masklet track`: objects through a video, from prompts on any frame to an overlay, masks or COCO JSON."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import (
    Interrupted,
    describe_outputs,
    print_error,
    print_json,
    print_line,
    show_progress,
)
from masklet.cli.options import (
    PROMPT_PANEL,
    RESULT_PANEL,
    BoxOption,
    DeviceOption,
    ForceOption,
    JsonOption,
    ModelOption,
    NegativeOption,
    PointOption,
    PolicyOption,
    PrecisionOption,
    SpeedOption,
    describe_model,
    examples,
    load_model,
    memory_config,
    split_list,
)
from masklet.cli.prompts import ObjectPrompt, prompts_from_options, read_prompt_file
from masklet.cli.track_run import Seen, TrackRun, written
from masklet.errors import ConfigError, OutputError, PromptError

if TYPE_CHECKING:
    from masklet.records import EngineInfo, Frame, FrameMasks, Prompt
    from masklet.tracker import Tracker
    from masklet.video.sink import Sinks
    from masklet.video.source import FrameSource, VideoInfo

FORMATS = ("overlay", "masks", "coco", "tiff", "nifti")
DIRECTIONS = ("forward", "backward", "both")
DEFAULT_MODEL = "nano"
SESSION_PANEL = "Sessions"

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
    (
        "Correct object 2 on frame 812 of what was saved, and go on",
        "masklet track --resume out/clip.masklet --object 2 --frame 812 --negative 300,80",
    ),
    notes='prompts.json: \\[{"object_id": 1, "frame_index": 0, "points_xy": \\[\\[210, 350]], "labels": \\[1], '
    '"box_xyxy": \\[40, 60, 200, 220], "mask": "first.png"}, ...], of the prompts what you like.\n\n'
    "Ctrl-C stops after the frame at hand (status 130). What has been written is a playable video, and the session "
    "lies beside it, to go on with --resume. So it is when the video breaks off or the disk is full (status 2).",
)


def track(
    video: Annotated[
        str | None,
        typer.Argument(
            help="A video file, a folder of frames, slices (TIFF, DICOM, NIfTI), a camera number or an address.",
            show_default=False,
        ),
    ] = None,
    point: PointOption = None,
    negative: NegativeOption = None,
    box: BoxOption = None,
    mask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="The object itself: an image of the video's size, bright on the object.",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = None,
    object_id: Annotated[
        list[int] | None,
        typer.Option(
            "--object",
            metavar="ID",
            help="The object that the prompts after it are for, 1 when left out. A value can also say it itself: "
            "2:500,375, or with its frame 2@30:500,375.",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = None,
    frame: Annotated[
        list[int] | None,
        typer.Option(
            metavar="INDEX",
            help="The frame that the prompts after it are on, from 0; 0 when left out.",
            rich_help_panel=PROMPT_PANEL,
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON: a list of prompts; see below.", rich_help_panel=PROMPT_PANEL),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="A video (.mp4, .mov, .mkv), a .json, .tif or .nii.gz, or a folder for several formats. When left "
            "out, out/NAME.mp4 or the folder out/NAME.",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="LIST",
            help="What to write: overlay (H.264 with the audio; the default), masks (an indexed PNG a frame), coco "
            "(JSON, masks as RLE), tiff (a stack of labels), nifti (a label volume, for DICOM and NIfTI).",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = None,
    per_object: Annotated[
        bool,
        typer.Option(
            "--per-object",
            help="masks: also a folder of PNGs for each object, overlaps kept.",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = False,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="CENTER,WIDTH",
            help="The values that a stack of slices of more than 8 bits shows, such as 40,400 for soft tissue in CT. "
            "When left out, those that the file names, or nearly all that occur.",
        ),
    ] = None,
    direction: Annotated[
        str,
        typer.Option(metavar="WAY", help="forward or backward from the prompts, or both: outwards from each of them."),
    ] = "forward",
    start: Annotated[
        int | None,
        typer.Option(metavar="INDEX", help="First frame to track. When left out, that of the first prompt."),
    ] = None,
    stop: Annotated[
        int | None, typer.Option(metavar="INDEX", help="Track up to this frame, which is left out itself.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Go on with a session: what new prompts change is tracked again, the rest is kept, and the results "
            "are written whole. The video and --out may be left out.",
            rich_help_panel=SESSION_PANEL,
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the session in this file, each minute and at the end. When left out, a run that is cut off "
            "keeps it beside its results.",
            rich_help_panel=SESSION_PANEL,
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FRAMES",
            help="With --resume: masks that are good and must not change, such as 10-20, or 2@10-20 for object 2.",
            rich_help_panel=SESSION_PANEL,
        ),
    ] = None,
    policy: PolicyOption = None,
    stabilise: Annotated[
        bool,
        typer.Option(
            "--stabilise", help="Write masks that flicker less: voted on with the two frames before and after."
        ),
    ] = False,
    refine_edges: Annotated[
        bool,
        typer.Option("--refine-edges", help="Let the picture decide where, to the pixel, a mask ends."),
    ] = False,
    non_overlap: Annotated[
        bool, typer.Option("--non-overlap", help="A pixel that several objects claim goes to the surest.")
    ] = False,
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    speed: SpeedOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> int:
    """Follow objects through a video: prompt each of them once, anywhere."""
    if video is None and resume is None:
        raise ConfigError("give a video to track, or --resume FILE to go on with a session; see masklet track --help")
    if direction not in DIRECTIONS:
        raise ConfigError(f"--direction must be {', '.join(DIRECTIONS)}, got {direction!r}")
    said = _prompts(
        prompts_from_options(points=point or (), negatives=negative or (), boxes=box or (), masks=mask or ()),
        prompts,
        needed=resume is None,
    )
    accepted = [_accepted(text) for text in accept or ()]
    chosen = split_list(formats or "", of=FORMATS)
    results = _Results(out, chosen, per_object=per_object, force=force)
    with _opened(video, resume, model, device, precision, speed, policy, _window(window), non_overlap) as tracker:
        assert tracker.source is not None
        if refine_edges:
            from masklet.refine import EdgeConfig

            tracker.edges = EdgeConfig()
        info = tracker.source.info
        given = {(one.object_id, one.frame_index): one.to_prompt(info.size_hw) for one in said}
        for frames, whose in accepted:  # before a prompt outdates what is good
            tracker.accept(frames, whose)
        _give_prompts(tracker, given)
        run = TrackRun({object_id: Seen() for object_id in tracker.object_ids})
        if resume is None:
            way = _tracked(tracker, tracker.run(direction, start=start, stop=stop))  # type: ignore[arg-type]
            total = _total(info, [one.frame_index for one in said], direction, start, stop)
        else:
            results = results.as_before(tracker.notes)
            way, total = _taken_up(tracker, run.stopped), info.num_frames
        way = run.until_stopped(way)
        if stabilise:
            from masklet.stabilise import stabilised

            way = stabilised(way)  # its last frames are those that wait in it when the way ends
        tracker.notes["track"] = tracker.notes.get("track", {"model": model}) | results.notes(info)
        session = _session_path(save, resume, results.place(info), info)
        shown = tracker.prompts  # those of a session, too
        for (prompted, index), prompt in given.items():
            shown.setdefault(index, {})[prompted] = prompt
        sinks = results.open(info, shown, None if resume is None and direction == "forward" else tracker.source)
        with show_progress(f"tracking {Path(info.name).name}", total, "frames") as report:
            run.go(tracker, way, sinks, report, session=save or resume)
        kept = _keep_session(tracker, session, run, asked=save is not None or resume is not None)
        model_info = tracker.engine.info
    return _report(run, info, sinks, kept, model_info, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Results:
    """Where results go and in which formats."""

    out: Path | None
    formats: list[str]
    per_object: bool
    force: bool

    def place(self, info: VideoInfo) -> Path:
        return _default_out(info, self.formats) if self.out is None else self.out

    def notes(self, info: VideoInfo) -> dict[str, Any]:
        """What is found in the session file when it is resumed."""
        return {"out": str(self.place(info).absolute()), "formats": self.formats, "per_object": self.per_object}

    def as_before(self, notes: Mapping[str, Any]) -> _Results:
        """What is not said anew, as it was; the partial results of that time are replaced."""
        before = notes.get("track")
        if before is None or self.out is not None:
            return self
        return _Results(
            Path(before["out"]), self.formats or before["formats"], self.per_object or before["per_object"], force=True
        )

    def open(self, info: VideoInfo, prompts: Mapping[int, Mapping[int, Prompt]], source: FrameSource | None) -> Sinks:
        from masklet.video.sink import open_sinks

        return open_sinks(
            self.place(info),
            self.formats,
            info,
            force=self.force,
            per_object=self.per_object,
            prompts=prompts,
            source=source,
        )


@contextmanager
def _opened(
    video: str | None,
    session: Path | None,
    model: str,
    device: str,
    precision: str,
    speed: str | None,
    policy: str | None,
    window: tuple[float, float] | None,
    non_overlap: bool,
) -> Iterator[Tracker[Any]]:
    """A tracker for the video, new or out of a session file."""
    from masklet.video.source import open_source

    if session is None:
        assert video is not None
        with open_source(video, window=window) as source:
            loaded = load_model(model, device, precision, speed)
            yield loaded.tracker(source, memory=memory_config(policy, loaded.info), non_overlap=non_overlap)
        return
    if policy is not None:
        raise ConfigError("--policy belongs to the beginning: a session goes on with the policy that it has")
    from masklet.session import model_of, resume_session, session_about

    about = session_about(session)
    if video is None and about["video"] is not None:
        video = about["video"]["path"]
    if video is None:
        raise ConfigError(f"{session} does not say where its video lies: give it before --resume")
    speed = speed or about["model"].get("speed")
    said = about["notes"].get("track", {}).get("model", about["model"]["name"])
    before = model_of(about["model"] | {"name": said})
    loaded = load_model(before if model == DEFAULT_MODEL else model, device, precision, speed)
    with open_source(video, window=window) as source:
        yield resume_session(session, loaded.engine, source)


def _tracked(tracker: Tracker[Any], way: Iterator[FrameMasks]) -> Iterator[tuple[Frame, FrameMasks]]:
    for masks in way:
        assert tracker.frame is not None
        yield tracker.frame, masks


def _taken_up(tracker: Tracker[Any], stopped: threading.Event) -> Iterator[tuple[Frame, FrameMasks]]:
    """What new prompts change is tracked again; then everything is shown from the first frame on, and tracking goes on.

    Nothing that still holds is tracked a second time. Stopped while it tracks again, it shows nothing: the results stay
    as they were, and the next time goes on from there.
    """
    assert tracker.source is not None
    known = tracker.tracked_frames
    for _ in tracker.retrack():
        if stopped.is_set():
            return
    if known is not None:
        for frame in tracker.source.frames(known[0], known[1] + 1):
            masks = None if tracker.is_to_come(frame.index) else tracker.masks_at(frame.index)
            if masks is not None:
                yield frame, masks
    yield from _tracked(tracker, tracker.proceed())


def _session_path(save: Path | None, resume: Path | None, out: Path, info: VideoInfo) -> Path | None:
    """Where the session goes: where it came from, or beside the results; nowhere for what cannot be gone back in."""
    if save is not None or resume is not None:
        return save or resume
    if info.num_frames is None:
        return None
    return out / "session.masklet" if not out.suffix else out.with_suffix(".masklet")


def _keep_session(tracker: Tracker[Any], path: Path | None, run: TrackRun, *, asked: bool) -> Path | None:
    """Save the session when that was asked for, or when the run did not come to its end."""
    if path is None or not (asked or (not run.is_finished and run.num_frames)):
        return None
    try:
        return tracker.save(path)
    except OutputError as error:
        if run.failed is None:
            raise
        print_error(str(error))
        return None


def _report(
    run: TrackRun, info: VideoInfo, sinks: Sinks, session: Path | None, model: EngineInfo, *, as_json: bool
) -> int:
    """Tell what became of it; the exit status."""
    cause = run.failed or run.broken
    if cause is not None and not run.num_frames:
        raise cause
    if as_json:
        document = run.to_dict(info, sinks) | {"session": None if session is None else str(session)}
        print_json({"command": "track", "model": describe_model(model), **document})
    elif run.num_frames:
        run.print_summary(info, sinks)
        if session is not None:
            print_line(
                f"saved {session}" + ("" if run.is_finished else f"; go on with: masklet track --resume {session}")
            )
    if run.broken is not None:
        where = "" if run.broken.frame_index is None else f" at frame {run.broken.frame_index}"
        print_error(f"the video broke off{where}, the {run.num_frames} frames before it are written: {run.broken}")
        return 2
    if run.failed is not None:
        raise run.failed
    if run.interrupted:
        raise Interrupted(
            f"after {run.num_frames} frames, which are in {describe_outputs(written(sinks))}"
            if run.num_frames
            else "before the first frame was finished"
        )
    return 0


def _accepted(text: str) -> tuple[range, int | None]:
    """'10-20' or '2@10-20' or '7': frames, and of which object."""
    found = re.fullmatch(r"(?:(\d+)@)?(\d+)(?:-(\d+))?", text.strip())
    if found is None or (found[3] is not None and int(found[3]) < int(found[2])):
        raise ConfigError(f"--accept must be [OBJECT@]FIRST[-LAST], such as 10-20 or 2@10-20, got {text!r}")
    first, last = int(found[2]), int(found[3] or found[2])
    return range(first, last + 1), None if found[1] is None else int(found[1])


def _prompts(typed: tuple[ObjectPrompt, ...], path: Path | None, *, needed: bool) -> tuple[ObjectPrompt, ...]:
    if path is None:
        if not typed and needed:
            raise PromptError("nothing to track: give a --point, --box, --mask or --prompts")
        return typed
    if typed:
        raise PromptError("--prompts and prompts on the command line exclude each other")
    file = read_prompt_file(path)
    if file.by_file:
        raise PromptError(f"{path} has prompts by file, expected one list: there is one video")
    return file.common


def _give_prompts(tracker: Tracker[Any], given: dict[tuple[int, int], Prompt]) -> None:
    for (object_id, frame_index), prompt in given.items():
        if prompt.mask is not None:
            if prompt.box_xyxy is not None:
                raise PromptError(f"object {object_id} has a mask and a box on frame {frame_index}: give one of them")
            tracker.prompt(object_id, frame_index, mask=prompt.mask)
            if not len(prompt.points_xy):
                continue
        tracker.prompt(
            object_id,
            frame_index,
            points_xy=prompt.points_xy,
            labels=prompt.labels,
            box_xyxy=prompt.box_xyxy,
        )


def _window(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        center, width = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--window must be CENTER,WIDTH, such as 40,400, got {text!r}") from None
    return center, width


def _default_out(info: VideoInfo, formats: list[str]) -> Path:
    name = Path(info.name).stem.removesuffix(".nii") or "video"
    return Path("out") / (name if formats and formats != ["overlay"] else f"{name}.mp4")


def _total(info: VideoInfo, prompted: list[int], direction: str, start: int | None, stop: int | None) -> int | None:
    """Frames that the way has; None when that is not known."""
    if direction == "backward":
        first = max(prompted) if start is None else start
        return max(0, first - (-1 if stop is None else stop))
    end = info.num_frames if stop is None else stop
    if end is None:
        return None
    first = start if start is not None else 0 if direction == "both" else min(prompted)
    return max(0, min(end, info.num_frames or end) - first)
