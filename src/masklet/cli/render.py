"""`masklet render`: a tracked video or an image with effects."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import (
    Interrupted,
    Stopwatch,
    describe_outputs,
    format_rate,
    print_error,
    print_json,
    print_line,
    show_progress,
)
from masklet.cli.options import RESULT_PANEL, ForceOption, JsonOption, examples
from masklet.errors import ConfigError

if TYPE_CHECKING:
    from masklet.render import Composition

LOOK_PANEL = "Look"

EPILOG = examples(
    ("Blur the background", "masklet render job.masklet --background blur --out out.mp4"),
    ("Another background", "masklet render job.masklet --background beach.jpg --out out.mp4"),
    ("Cut out, for editing", "masklet render job.masklet --background transparent --out out.mov"),
    ("Two objects, two effects", "masklet render job.masklet --effect 1:outline,width=4 --effect 2:remove -o out.mp4"),
    ("Masks of another tool", "masklet render clip.mp4 masks.json --effect highlight --out out.gif"),
    notes="Backgrounds: none, blur, color, gray, pixelate, transparent, #RRGGBB, or the file of an image or a video. "
    "Effects: highlight, outline, spotlight, trail, remove, blur, pixelate, gray, color. Options follow with commas, "
    "as in blur,strength=0.8; docs/render.md lists them. Out: .mp4 or .mkv (H.264), .webm (VP9) and .mov (ProRes 4444) "
    "with sound, the last two with alpha; .gif; .png for an image; .zip or a folder for a PNG a frame.",
)

SourceArgument = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="A session (.masklet) of masklet track --save, an image, or a video.")
]
MasksArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="MASKS",
        help="For an image or a video: its masks, as COCO or SA-V .json, PNGs in a folder or .zip, or one PNG. For a "
        "session: its video, when that has been moved.",
    ),
]


def render(
    source: SourceArgument,
    masks: MasksArgument = None,
    background: Annotated[
        str | None,
        typer.Option(metavar="WHAT", help="What is behind the objects; see below.", rich_help_panel=LOOK_PANEL),
    ] = None,
    effect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[OBJECT:]NAME",
            help="What is done to an object, or to all that have no effect of their own. Repeat for more.",
            rich_help_panel=LOOK_PANEL,
        ),
    ] = None,
    cutout: Annotated[
        str | None,
        typer.Option(
            metavar="OBJECTS",
            help="The objects that stay before the background, such as 1,3; all when left out.",
            rich_help_panel=LOOK_PANEL,
        ),
    ] = None,
    feather: Annotated[
        float, typer.Option(metavar="WIDTH", help="Softer edges, 0 to 40.", rich_help_panel=LOOK_PANEL)
    ] = 0.0,
    hard_edges: Annotated[
        bool,
        typer.Option("--hard-edges", help="Edges as the masks have them.", rich_help_panel=LOOK_PANEL),
    ] = False,
    composition: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="All of this as JSON, as the studio and masklet.render.Composition have it.",
            rich_help_panel=LOOK_PANEL,
        ),
    ] = None,
    asset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID=FILE",
            help="With --composition: the file that an asset_id stands for.",
            rich_help_panel=LOOK_PANEL,
        ),
    ] = None,
    start: Annotated[int, typer.Option(metavar="INDEX", help="First frame.")] = 0,
    stop: Annotated[
        int | None, typer.Option(metavar="INDEX", help="Up to this frame, which is left out itself.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="Its end decides the format; see below. When left out, out/NAME.mp4, or .webm with alpha, or .png for "
            "an image.",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> int:
    """Put effects on a tracked video or an image: another background, cut-outs, highlighted or removed objects."""
    from masklet.cli.track_run import gentle_interrupt
    from masklet.formats import open_labelled
    from masklet.output import refuse_existing
    from masklet.render import render_video

    assets: dict[str, str | Path] = {}
    if composition is not None:
        if background or effect or cutout or feather or hard_edges:
            raise ConfigError("--composition says all of the look: leave out --background, --effect and the like")
        look = _composition_file(composition)
        assets.update(_asset(text) for text in asset or ())
    else:
        if not background and not effect:
            raise ConfigError("nothing to do: give a --background or an --effect; see masklet render --help")
        look = _composition(background or "none", effect or [], cutout, feather, hard_edges, assets)
    medium, skipped = open_labelled(source, masks)
    with medium.source:
        suffix = ".png" if medium.is_image else ".webm" if look.is_transparent else ".mp4"
        place = refuse_existing(out or Path("out") / f"{medium.name}{suffix}", force)
        if medium.source.info.path and Path(medium.source.info.path).resolve() == place.resolve():
            raise ConfigError(f"--out {place} is the source itself: choose another name")
        for line in skipped[:5]:
            print_error(line, word="skipped")
        watch = Stopwatch()
        last = medium.source.info.num_frames if stop is None else stop
        total = None if last is None else last - start
        stopped = threading.Event()
        with gentle_interrupt(stopped), show_progress(f"rendering {medium.name}", total, "frames") as report:
            done = render_video(
                medium,
                look,
                place,
                start=start,
                stop=stop,
                assets=assets,
                progress=lambda frames, total: report.update(frames, total=total),
                cancelled=stopped.is_set,
            )
        seconds = watch.seconds
        height, width = medium.source.info.size_hw
    if as_json:
        print_json(
            {
                "command": "render",
                "source": str(source),
                "size_hw": [height, width],
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
    elif done.num_frames:
        rate = format_rate(done.num_frames / seconds)
        print_line(f"{done.num_frames} frames of {width} x {height} in {seconds:.1f} s, {rate} frames/s")
        print_line(f"wrote {describe_outputs([done.path])}")
    if not done.is_complete:
        raise Interrupted(f"after {done.num_frames} frames, which are in {describe_outputs([done.path])}")
    return 0


def _composition(
    background: str, effects: list[str], cutout: str | None, feather: float, hard: bool, assets: dict[str, str | Path]
) -> Composition:
    """The look out of single options."""
    from masklet.render import Composition

    objects: dict[str, list[Any]] = {}
    for text in effects:
        whose, name = text.split(":", 1) if ":" in text else ("*", text)
        objects.setdefault(whose.strip(), []).append(_effect(name))
    document = {
        "background": _background(background, assets),
        "objects": objects,
        "cutout": None if cutout is None else _ids(cutout),
        "edges": {"refine": not hard, "feather": feather, "decontaminate": not hard},
    }
    return Composition.from_dict(document)


def _background(text: str, assets: dict[str, str | Path]) -> dict[str, Any]:
    """'blur,strength=0.5', '#00ff00', or 'beach.jpg,fit=contain'."""
    from masklet.images import IMAGE_SUFFIXES

    name, _, options = text.partition(",")
    if name.startswith("#"):
        return {"effect": "color", "color": name}
    if not ("." in name or "/" in name or Path(name).exists()):
        return _effect(text)
    if not Path(name).exists():
        raise ConfigError(f"--background: there is no file {name}")
    is_image = Path(name).suffix.lower() in IMAGE_SUFFIXES - {".gif"}
    assets["background"] = name
    kind = "image" if is_image else "video"
    return _effect(f"{kind},{options}" if options else kind) | {"asset_id": "background"}


def _effect(text: str) -> dict[str, Any]:
    """'outline,width=4,color=#ff0000' as JSON."""
    name, *options = text.split(",")
    found: dict[str, Any] = {"effect": name.strip()}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"an effect must be NAME,OPTION=VALUE,..., got {text!r}")
        found[key.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _ids(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--cutout must be numbers of objects, such as 1,3, got {text!r}") from None


def _composition_file(path: Path) -> Composition:
    from masklet.render import Composition

    try:
        document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--composition: cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"--composition: {path} is not JSON: {error}") from error
    return Composition.from_dict(document)


def _asset(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals:
        raise ConfigError(f"--asset must be ID=FILE, got {text!r}")
    return name, Path(path)
