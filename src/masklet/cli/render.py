"""`masklet render`: apply effects to a tracked video or an image."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import (
    Stopwatch,
    counted,
    describe_outputs,
    format_rate,
    print_json,
    print_line,
    show_progress,
)
from masklet.cli.groups import OptionGroup, with_groups
from masklet.cli.labelled import MasksArgument, SourceArgument, free_place, object_numbers, opened_labelled
from masklet.cli.options import Switches, examples, out_option
from masklet.errors import Cancelled, ConfigError
from masklet.foreign.documents import read_json, reading

if TYPE_CHECKING:
    from masklet.media.source import VideoInfo
    from masklet.render import Composition
    from masklet.render.video import Rendered

LOOK_PANEL = "Look"

EPILOG = examples(
    ("Blur the background", "masklet render job.masklet --background blur --out out.mp4"),
    ("Another background", "masklet render job.masklet --background beach.jpg --out out.mp4"),
    ("Cut out, for editing", "masklet render job.masklet --background transparent --out out.mov"),
    ("Two objects, two effects", "masklet render job.masklet --effect 1:outline,width=4 --effect 2:remove -o out.mp4"),
    ("Masks of another tool", "masklet render clip.mp4 masks.json --effect highlight --out out.gif"),
    notes="Backgrounds: none, blur, color, gray, pixelate, transparent, #RRGGBB, or the file of an image or a video. "
    "Effects: highlight, outline, spotlight, trail, remove, blur, pixelate, gray, color. Options follow with commas, "
    "as in blur,strength=0.8; docs/guides/render.md lists them. Out: .mp4 or .mkv (H.264), .webm (VP9) and .mov "
    "(ProRes 4444) with sound, the last two with alpha; .gif; .png for an image; .zip or a folder for one PNG "
    "per frame.",
)


def _look_option(*names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=LOOK_PANEL)


class LookChoice(OptionGroup):
    """Effects on objects and on the background."""

    background: Annotated[str | None, _look_option(metavar="WHAT", help="What is behind the objects; see below.")] = (
        None
    )
    effect: Annotated[
        list[str] | None,
        _look_option(
            metavar="[OBJECT:]NAME",
            help="Effect on an object, or on all objects without an effect of their own. Repeat for more.",
        ),
    ] = None
    cutout: Annotated[
        str | None,
        _look_option(
            metavar="OBJECTS", help="Objects that stay in front of the background, such as 1,3. By default all."
        ),
    ] = None
    feather: Annotated[float, _look_option(metavar="WIDTH", help="Softer edges, 0 to 40.")] = 0.0
    shrink: Annotated[float, _look_option(metavar="WIDTH", help="Edges moved inwards, 0 to 20.")] = 0.0
    hard_edges: Annotated[bool, _look_option("--hard-edges", help="Do not soften the edges of masks.")] = False
    stabilise: Annotated[
        bool | None,
        _look_option(
            "--stabilise/--no-stabilise",
            help="Steady the outlines over time. Default: where objects are put on another background.",
        ),
    ] = None
    composition: Annotated[
        Path | None,
        _look_option(
            metavar="FILE",
            help="All of these settings as a JSON file, in the format of the studio and masklet.render.Composition.",
        ),
    ] = None
    asset: Annotated[
        list[str] | None,
        _look_option(metavar="ID=FILE", help="With --composition: the file that an asset_id refers to."),
    ] = None

    def compose(self) -> tuple[Composition, dict[str, str | Path]]:
        """Return the composition and the files that it refers to.

        Raises:
            ConfigError: there is no effect, --composition is mixed with other options, or a file or an option is wrong.
        """
        if self.composition is not None:
            others = (self.background, self.effect, self.cutout, self.feather, self.shrink, self.hard_edges)
            if any(others) or self.stabilise is not None:
                raise ConfigError(
                    "--composition contains all settings: leave out --background, --effect and similar options"
                )
            return _composition_file(self.composition), dict(_asset(text) for text in self.asset or ())
        if not self.background and not self.effect:
            raise ConfigError("nothing to do: give a --background or an --effect; see masklet render --help")
        assets: dict[str, str | Path] = {}
        return self._composed(assets), assets

    def _composed(self, assets: dict[str, str | Path]) -> Composition:
        from masklet.render import Composition

        objects: dict[str, list[Any]] = {}
        for text in self.effect or ():
            object_key, name = text.split(":", 1) if ":" in text else ("*", text)
            objects.setdefault(object_key.strip(), []).append(_effect(name))
        document = {
            "background": _background(self.background or "none", assets),
            "objects": objects,
            "cutout": None if self.cutout is None else object_numbers(self.cutout, "--cutout"),
            "edges": {
                "refine": not self.hard_edges,
                "feather": self.feather,
                "shrink": self.shrink,
                "decontaminate": not self.hard_edges,
                "stabilise": {None: "auto", True: "on", False: "off"}[self.stabilise],
            },
        }
        return Composition.from_dict(document)


class Stretch(OptionGroup):
    """The frames to render."""

    start: Annotated[int, typer.Option(metavar="INDEX", help="First frame.")] = 0
    stop: Annotated[int | None, typer.Option(metavar="INDEX", help="Stop before this frame.")] = None

    def num_frames(self, all_frames: int | None) -> int | None:
        last = all_frames if self.stop is None else self.stop
        return None if last is None else last - self.start


@with_groups
def render(
    source: SourceArgument,
    masks: MasksArgument = None,
    *,
    look: LookChoice,
    stretch: Stretch,
    out: Annotated[
        Path | None,
        out_option(
            "The file extension selects the format; see below. Default: out/NAME.mp4, .webm with alpha, or "
            ".png for an image."
        ),
    ] = None,
    switches: Switches,
) -> int:
    """Put effects on a tracked video or an image: another background, cut-outs, highlighted or removed objects."""
    from masklet.cli.track_run import gentle_interrupt
    from masklet.render import render_video

    composition, assets = look.compose()
    stopped = threading.Event()
    with opened_labelled(source, masks) as (medium, skipped):
        info = medium.source.info
        suffix = ".png" if medium.is_image else ".webm" if composition.is_transparent else ".mp4"
        target = free_place(out, medium, suffix, switches, inputs=(source, masks, *map(Path, assets.values())))
        total = stretch.num_frames(info.num_frames)
        watch = Stopwatch()
        with gentle_interrupt(stopped), show_progress(f"rendering {medium.name}", total, "frames") as report:
            done = render_video(
                medium,
                composition,
                target,
                start=stretch.start,
                stop=stretch.stop,
                assets=assets,
                progress=report,
                cancelled=stopped.is_set,
            )
        seconds = watch.seconds
    if switches.as_json:
        _print_json(source, info, done, seconds, skipped, composition)
    elif done.num_frames:
        height, width = info.size_hw
        rate = format_rate(done.num_frames / seconds)
        frames, speed = f"{counted(done.num_frames, 'frame')} of ", f", {rate} frames/s"
        if medium.is_image:
            frames = speed = ""
        print_line(f"{frames}{width} x {height} in {seconds:.1f} s{speed}")
        print_line(f"wrote {describe_outputs([done.path])}")
    if not done.is_complete:
        raise Cancelled(f"after {counted(done.num_frames, 'frame')}, which are in {describe_outputs([done.path])}")
    return 0


def _print_json(
    source: Path, info: VideoInfo, done: Rendered, seconds: float, skipped: tuple[str, ...], look: Composition
) -> None:
    print_json(
        {
            "command": "render",
            "source": str(source),
            "size_hw": list(info.size_hw),
            "container": done.container,
            "num_frames": done.num_frames,
            "seconds": round(seconds, 3),
            "frames_per_second": round(done.num_frames / seconds, 3),
            "finished": done.is_complete,
            "skipped": list(skipped),
            "composition": look.to_dict(),
            "outputs": [str(done.path)],
        }
    )


def _background(text: str, assets: dict[str, str | Path]) -> dict[str, Any]:
    """Parse 'blur,strength=0.5', '#00ff00' or 'beach.jpg,fit=contain' to JSON."""
    from masklet.media.images import is_still

    name, _, options = text.partition(",")
    if name.startswith("#"):
        return {"effect": "color", "color": name}
    if not ("." in name or "/" in name or Path(name).exists()):
        return _effect(text)
    if not Path(name).exists():
        raise ConfigError(f"--background: there is no file {name}")
    assets["background"] = name
    kind = "image" if Path(name).is_file() and is_still(name) else "video"
    return _effect(f"{kind},{options}" if options else kind) | {"asset_id": "background"}


def _effect(text: str) -> dict[str, Any]:
    """Parse 'outline,width=4,color=#ff0000' to JSON."""
    name, *options = text.split(",")
    match: dict[str, Any] = {"effect": name.strip()}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"an effect must be NAME,OPTION=VALUE,..., got {text!r}")
        match[key.strip()] = _value(value.strip())
    return match


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _composition_file(path: Path) -> Composition:
    from masklet.render import Composition

    document = read_json(path, ConfigError, f"--composition {path}")
    with reading(f"--composition {path}", ConfigError):
        return Composition.from_dict(document.value)


def _asset(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals:
        raise ConfigError(f"--asset must be ID=FILE, got {text!r}")
    return name, Path(path)
