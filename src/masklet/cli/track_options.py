"""The options of `masklet track`, in groups; each group checks and converts what was typed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from masklet.checks import check_choice
from masklet.cli.groups import OptionGroup
from masklet.cli.options import (
    LIVE_FORMATS,
    RESULT_PANEL,
    SESSION_PANEL,
    TRACKING_PANEL,
    PolicyOption,
    PromptChoice,
    out_option,
    prompt_option,
    split_list,
)
from masklet.cli.prompts import ObjectPrompt, read_prompt_file
from masklet.errors import ConfigError, PromptError

if TYPE_CHECKING:
    from masklet.masks.edges import EdgeConfig
    from masklet.media.source import VideoInfo

DIRECTIONS = ("forward", "backward", "both")


class TrackPrompts(PromptChoice):
    """The objects, and the frames on which they are prompted."""

    object_id: Annotated[
        list[int] | None,
        prompt_option(
            "--object",
            metavar="ID",
            help="Id of the object that the following prompts are for. Default: 1. A prompt can also name its "
            "object: 2:500,375, or its object and frame: 2@30:500,375.",
        ),
    ] = None
    frame: Annotated[
        list[int] | None,
        prompt_option(metavar="INDEX", help="Frame that the following prompts are on, counted from 0. Default: 0."),
    ] = None
    prompts: Annotated[Path | None, prompt_option(metavar="FILE", help="JSON: a list of prompts; see below.")] = None

    def read(self, *, needed: bool) -> tuple[ObjectPrompt, ...]:
        """Return the prompts that were typed, or those in the file.

        Raises:
            PromptError: there are no prompts, but they are `needed`; there are both; or the file has prompts by file.
        """
        typed = self.typed()
        if self.prompts is None:
            if not typed and needed:
                raise PromptError("nothing to track: give a --point, --box, --mask or --prompts")
            return typed
        if typed:
            raise PromptError("--prompts and prompts on the command line exclude each other")
        file = read_prompt_file(self.prompts)
        if file.by_file:
            raise PromptError(f"{self.prompts} has prompts by file, expected one list: there is one video")
        return file.common


class TrackResults(OptionGroup):
    """The output path, and the formats of the results."""

    out: Annotated[
        Path | None,
        out_option(
            "A video (.mp4, .mov, .mkv), a .json, .tif or .nii.gz, or a folder for several formats. Default: "
            "out/NAME.mp4, or the folder out/NAME."
        ),
    ] = None
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="LIST",
            help=f"Formats to write, separated by commas: {', '.join(LIVE_FORMATS)}. The default is overlay, an "
            "H.264 video with the audio. docs/guides/formats.md describes each. masklet export-masks writes "
            "more formats from a saved session.",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = None
    per_object: Annotated[
        bool,
        typer.Option(
            "--per-object",
            help="With --format masks: also write a folder of PNGs for each object, with overlaps.",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = False

    def chosen_formats(self) -> list[str]:
        """Return the requested formats; none if the name of `--out` decides.

        Raises:
            ConfigError: a format is unknown, or cannot be written while tracking.
        """
        if self.formats is None:
            return []
        from masklet.formats import live_formats

        return split_list(self.formats, of=live_formats())


class RangeChoice(OptionGroup):
    """The frames that are tracked, the direction, and the window of values that is shown."""

    window: Annotated[
        str | None,
        typer.Option(
            metavar="CENTER,WIDTH",
            help="Range of values to show in slices of more than 8 bits, such as 40,400 for soft tissue in CT. By "
            "default the range stored in the file, or nearly all values that occur.",
            rich_help_panel=TRACKING_PANEL,
        ),
    ] = None
    chosen_direction: Annotated[
        str | None,
        typer.Option(
            "--direction",
            metavar="NAME",
            help="forward (default) or backward from the prompts, or both: outwards from each of them.",
            rich_help_panel=TRACKING_PANEL,
        ),
    ] = None
    start: Annotated[
        int | None,
        typer.Option(
            metavar="INDEX",
            help="First frame to track. By default the frame of the first prompt; 0 with --everything or --detections.",
            rich_help_panel=TRACKING_PANEL,
        ),
    ] = None
    stop: Annotated[
        int | None,
        typer.Option(metavar="INDEX", help="Stop before this frame.", rich_help_panel=TRACKING_PANEL),
    ] = None

    @property
    def direction(self) -> str:
        """The direction of a new run."""
        return self.chosen_direction or "forward"

    def check(self) -> None:
        """Check what can be checked before anything is opened.

        Raises:
            ConfigError: the direction does not exist.
        """
        check_choice("--direction", self.direction, DIRECTIONS)

    def check_unchanged(self) -> None:
        """Refuse another range or direction for a run that is continued.

        Raises:
            ConfigError: one is given.
        """
        chosen = {"--direction": self.chosen_direction, "--start": self.start, "--stop": self.stop}
        for name, value in chosen.items():
            if value is not None:
                raise ConfigError(
                    f"{name} belongs to a new run: a session of prompts is continued to the end of its own. To track "
                    "other frames, use Tracker.resume and run(direction, start=..., stop=...) in Python"
                )

    def shown_values(self) -> tuple[float, float] | None:
        """Return center and width of `--window`.

        Raises:
            ConfigError: they are not two numbers.
        """
        if self.window is None:
            return None
        try:
            center, width = (float(part) for part in self.window.split(","))
        except ValueError:
            raise ConfigError(f"--window must be CENTER,WIDTH, such as 40,400, got {self.window!r}") from None
        return center, width

    def num_frames(self, info: VideoInfo, prompted: list[int]) -> int | None:
        """Return the number of frames to track; None if unknown.

        Args:
            info: facts about the video.
            prompted: frames on which there are prompts.

        Raises:
            ConfigError: there are no frames to track.
        """
        backward, first = self.direction == "backward", self.start
        if first is None:
            first = max(prompted) if backward else 0 if self.direction == "both" else min(prompted)
        if backward:
            count = first - (-1 if self.stop is None else self.stop)
        elif (end := info.num_frames if self.stop is None else self.stop) is None:
            return None
        else:
            count = min(end, info.num_frames or end) - first
        if count <= 0:
            raise ConfigError(
                f"there is no frame to track: tracking {self.direction}, frame {first} does not come before --stop "
                f"{info.num_frames if self.stop is None else self.stop}"
            )
        return count


class SessionChoice(OptionGroup):
    """The session to continue, and the session to save."""

    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Continue a session: frames that new prompts can change are tracked again, the others are kept, and "
            "the results are written in full. The video and --out can be left out.",
            rich_help_panel=SESSION_PANEL,
        ),
    ] = None
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Save the session to this file, every minute and at the end. By default only an interrupted run "
            "saves its session, next to its results.",
            rich_help_panel=SESSION_PANEL,
        ),
    ] = None
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FRAMES",
            help="With --resume: frames whose masks are good and must not change, such as 10-20, or 2@10-20 for object "
            "2.",
            rich_help_panel=SESSION_PANEL,
        ),
    ] = None

    @property
    def path(self) -> Path | None:
        """The session file to save: that of `--save`, or else the resumed one."""
        return self.save or self.resume

    def place(self, out: Path, info: VideoInfo) -> Path | None:
        """Return `path`, or a path next to the results; None for a video that cannot be read again."""
        if self.path is not None:
            return self.path
        if info.num_frames is None:
            return None
        return out / "session.masklet" if not out.suffix else out.with_suffix(".masklet")

    def accepted(self) -> list[tuple[range, int | None]]:
        """Return the accepted frames, each range with its object id; None for all objects.

        Raises:
            ConfigError: an entry does not have the form of the option.
        """
        return [_accepted(text) for text in self.accept or ()]


def _accepted(text: str) -> tuple[range, int | None]:
    """Read '10-20' or '2@10-20' or '7'."""
    match = re.fullmatch(r"(?:(\d+)@)?(\d+)(?:-(\d+))?", text.strip())
    if match is None or (match[3] is not None and int(match[3]) < int(match[2])):
        raise ConfigError(f"--accept must be [OBJECT@]FIRST[-LAST], such as 10-20 or 2@10-20, got {text!r}")
    first, last = int(match[2]), int(match[3] or match[2])
    return range(first, last + 1), None if match[1] is None else int(match[1])


class MaskChoice(OptionGroup):
    """The memory policy, and the post-processing of the model's masks."""

    policy: PolicyOption = None
    stabilise: Annotated[
        bool,
        typer.Option(
            "--stabilise",
            help="Reduce flicker: each mask is a vote with the masks of the two frames before and the two after it.",
            rich_help_panel=TRACKING_PANEL,
        ),
    ] = False
    refine_edges: Annotated[
        bool,
        typer.Option(
            "--refine-edges",
            help="Snap mask edges to image edges at full resolution.",
            rich_help_panel=TRACKING_PANEL,
        ),
    ] = False
    non_overlap: Annotated[
        bool,
        typer.Option("--non-overlap", help="Assign each pixel to at most one object.", rich_help_panel=TRACKING_PANEL),
    ] = False

    def edges(self) -> EdgeConfig | None:
        if not self.refine_edges:
            return None
        from masklet.masks.edges import EdgeConfig

        return EdgeConfig()
