"""`masklet track`: objects through a video, from prompts on any frame to an overlay, masks or COCO JSON."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import (
    Interrupted,
    ProgressReport,
    Stopwatch,
    describe_outputs,
    format_rate,
    print_error,
    print_json,
    print_line,
    print_table,
    show_progress,
    stderr,
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
    describe_model,
    examples,
    load_model,
    memory_config,
    split_list,
)
from masklet.cli.prompts import ObjectPrompt, prompts_from_options, read_prompt_file
from masklet.errors import ConfigError, PromptError, VideoError

if TYPE_CHECKING:
    from masklet.records import FrameMasks, Prompt
    from masklet.tracker import Tracker
    from masklet.video.sink import Sinks
    from masklet.video.source import VideoInfo

FORMATS = ("overlay", "masks", "coco", "tiff", "nifti")
DIRECTIONS = ("forward", "backward", "both")

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
    notes='prompts.json: \\[{"object_id": 1, "frame_index": 0, "points_xy": \\[\\[210, 350]], "labels": \\[1], '
    '"box_xyxy": \\[40, 60, 200, 220], "mask": "first.png"}, ...], of the prompts what you like.\n\n'
    "Ctrl-C stops after the frame at hand (status 130). What has been written is a playable video. So it is when the "
    "video breaks off (status 2).",
)


def track(
    video: Annotated[
        str,
        typer.Argument(
            help="A video file, a folder of frames, slices (TIFF, DICOM, NIfTI), a camera number or an address.",
            show_default=False,
        ),
    ],
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
    policy: PolicyOption = None,
    non_overlap: Annotated[
        bool, typer.Option("--non-overlap", help="A pixel that several objects claim goes to the surest.")
    ] = False,
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> int:
    """Follow objects through a video: prompt each of them once, anywhere."""
    said = _prompts(
        prompts_from_options(points=point or (), negatives=negative or (), boxes=box or (), masks=mask or ()), prompts
    )
    chosen = split_list(formats or "", of=FORMATS)
    if direction not in DIRECTIONS:
        raise ConfigError(f"--direction must be {', '.join(DIRECTIONS)}, got {direction!r}")

    from masklet.video.sink import open_sinks
    from masklet.video.source import open_source

    with open_source(video, window=_window(window)) as source:
        info = source.info
        given = {(one.object_id, one.frame_index): one.to_prompt(info.size_hw) for one in said}
        loaded = load_model(model, device, precision)
        tracker = loaded.tracker(source, memory=memory_config(policy, loaded.info), non_overlap=non_overlap)
        _give_prompts(tracker, given)
        way = tracker.run(direction, start=start, stop=stop)  # type: ignore[arg-type]
        by_frame: dict[int, dict[int, Prompt]] = {}
        for (prompted, index), prompt in given.items():
            by_frame.setdefault(index, {})[prompted] = prompt
        sinks = open_sinks(
            _default_out(info, chosen) if out is None else out,
            chosen,
            info,
            force=force,
            per_object=per_object,
            prompts=by_frame,
            source=None if direction == "forward" else source,
        )
        total = _total(info, [one.frame_index for one in said], direction, start, stop)
        run = _Run({one.object_id: _Seen() for one in said})
        with show_progress(f"tracking {Path(info.name).name}", total, "frames") as report:
            run.go(tracker, way, sinks, report)
    document = run.to_dict(info, sinks)
    if not run.num_frames and run.broken is not None:
        raise run.broken
    if as_json:
        print_json({"command": "track", "model": describe_model(loaded.info), **document})
    elif run.num_frames:
        run.print_summary(info, sinks)
    if run.broken is not None:
        where = "" if run.broken.frame_index is None else f" at frame {run.broken.frame_index}"
        print_error(f"the video broke off{where}, the {run.num_frames} frames before it are written: {run.broken}")
        return 2
    if run.interrupted:
        raise Interrupted(
            f"after {run.num_frames} frames, which are in {describe_outputs(_written(sinks))}"
            if run.num_frames
            else "before the first frame was finished"
        )
    return 0


def _prompts(typed: tuple[ObjectPrompt, ...], path: Path | None) -> tuple[ObjectPrompt, ...]:
    if path is None:
        if not typed:
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


@dataclass(slots=True)
class _Seen:
    """What became of one object."""

    num_frames: int = 0
    """On which it was known."""
    num_present: int = 0
    iou_sum: float = 0.0
    first: int | None = None
    last: int | None = None
    prompted: list[int] = field(default_factory=list)

    def add(self, masks: FrameMasks, row: int) -> None:
        self.num_frames += 1
        if masks.prompted[row]:
            self.prompted.append(masks.frame_index)
        if masks.object_scores[row] > 0:
            index = masks.frame_index
            self.num_present += 1
            self.iou_sum += float(masks.iou_predictions[row])
            self.first = index if self.first is None else min(self.first, index)
            self.last = index if self.last is None else max(self.last, index)

    @property
    def mean_iou_prediction(self) -> float | None:
        """Over the frames on which it was present."""
        return self.iou_sum / self.num_present if self.num_present else None


@dataclass(slots=True)
class _Run:
    """Moves frames from the tracker to the sinks until one of them ends."""

    objects: dict[int, _Seen]
    num_frames: int = 0
    seconds: float = 0.0
    broken: VideoError | None = None
    interrupted: bool = False

    def go(self, tracker: Tracker[Any], way: Iterator[FrameMasks], sinks: Sinks, report: ProgressReport) -> None:
        watch = Stopwatch()
        try:
            with _gentle_interrupt() as stopped, sinks:
                try:
                    for masks in way:
                        assert tracker.frame is not None
                        sinks.write(tracker.frame, masks)
                        self._add(masks)
                        report.update(self.num_frames, _status(masks))
                        if stopped.is_set():
                            self.interrupted = True
                            break
                except VideoError as error:
                    self.broken = error
                report.describe("writing")
        except KeyboardInterrupt:
            self.interrupted = True
        self.seconds = watch.seconds

    def _add(self, masks: FrameMasks) -> None:
        self.num_frames += 1
        for row, object_id in enumerate(masks.object_ids):
            self.objects.setdefault(object_id, _Seen()).add(masks, row)

    def to_dict(self, info: VideoInfo, sinks: Sinks) -> dict[str, Any]:
        return {
            "video": info.name,
            "size_hw": list(info.size_hw),
            "fps": info.fps,
            "num_frames": self.num_frames,
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(self.num_frames / self.seconds, 3) if self.seconds else None,
            "finished": self.broken is None and not self.interrupted,
            "error": None if self.broken is None else str(self.broken),
            "broke_at_frame": None if self.broken is None else self.broken.frame_index,
            "objects": [
                {
                    "object_id": object_id,
                    "prompted_frames": sorted(seen.prompted),
                    "num_frames": seen.num_frames,
                    "num_present": seen.num_present,
                    "mean_iou_prediction": seen.mean_iou_prediction and round(seen.mean_iou_prediction, 4),
                    "first_frame": seen.first,
                    "last_frame": seen.last,
                }
                for object_id, seen in sorted(self.objects.items())
            ],
            "outputs": [str(path) for path in _written(sinks)],
        }

    def print_summary(self, info: VideoInfo, sinks: Sinks) -> None:
        rows = [
            (
                str(object_id),
                ", ".join(map(str, sorted(seen.prompted)[:4])) + (", ..." if len(seen.prompted) > 4 else ""),
                f"{seen.num_present} of {seen.num_frames}",
                "" if seen.mean_iou_prediction is None else f"{seen.mean_iou_prediction:.2f}",
                "never" if seen.first is None else str(seen.first),
                "" if seen.last is None else str(seen.last),
            )
            for object_id, seen in sorted(self.objects.items())
        ]
        print_table(("object", "prompted on", "frames seen", "predicted IoU", "first", "last"), rows)
        height, width = info.size_hw
        rate = format_rate(self.num_frames / self.seconds) if self.seconds else "?"
        print_line(f"{self.num_frames} frames of {width} x {height} in {self.seconds:.1f} s, {rate} frames/s")
        print_line(f"wrote {describe_outputs(_written(sinks))}")


def _written(sinks: Sinks) -> list[Path]:
    return [path for path in sinks.paths if path.exists()]


def _status(masks: FrameMasks) -> str:
    """'1 0.93, 2 lost': objects and their predicted IoU."""
    shown = [
        f"{object_id} {masks.iou_predictions[row]:.2f}" if masks.object_scores[row] > 0 else f"{object_id} lost"
        for row, object_id in enumerate(masks.object_ids[:6])
    ]
    return ", ".join(shown) + (", ..." if len(masks.object_ids) > 6 else "")


@contextmanager
def _gentle_interrupt() -> Iterator[threading.Event]:
    """The first Ctrl-C sets the event, so that the frame at hand is finished; a second one stops at once."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def on_interrupt(number: int, stack: Any) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if stderr().is_terminal:
            stderr().print("stopping after this frame; Ctrl-C again stops at once", style="dim")

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, previous)
