"""`masklet export-masks`: write the masks of a session or of another tool in a format that other tools read."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import (
    Stopwatch,
    describe_outputs,
    print_json,
    print_line,
    show_progress,
)
from masklet.cli.groups import OptionGroup, with_groups
from masklet.cli.labelled import MasksArgument, SourceArgument, free_place, object_numbers, opened_labelled
from masklet.cli.options import RESULT_PANEL, Switches, examples, out_option
from masklet.errors import Cancelled, ConfigError

if TYPE_CHECKING:
    from masklet.tracking.masklets import Masklets

EPILOG = examples(
    ("COCO", "masklet export-masks job.masklet --format coco --out coco.json"),
    ("One PNG per object", "masklet export-masks job.masklet --format masks --option layout=objects --out masks/"),
    ("A table", "masklet export-masks job.masklet --format csv --out table.csv"),
    ("Classes", "masklet export-masks job.masklet --format yolo-segment --class 1=dog --class 2=cat --out dogs.zip"),
    ("From one format to another", "masklet export-masks clip.mp4 masks/ --format coco --out coco.json"),
    notes="Formats: coco (.json), masks (PNGs), yolo-segment, yolo-boxes and davis (folder or .zip), sa-v (.json), "
    "mot and mots (.txt), csv and tracks (.csv), overlay, gif, tiff, nifti, and cutout (.png, for images). "
    "docs/guides/formats.md says what each can hold, and lists the options.",
)


class Chosen(OptionGroup):
    """The masks to write, and their format."""

    format_id: Annotated[
        str, typer.Option("--format", metavar="NAME", help="What to write; see below.", rich_help_panel=RESULT_PANEL)
    ] = "coco"
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="An option of the format. Repeat for more.", rich_help_panel=RESULT_PANEL
        ),
    ] = None
    out: Annotated[
        Path | None,
        out_option(
            "A file, or for formats of many files a folder or .zip. Default: out/NAME with the extension of the format."
        ),
    ] = None
    objects: Annotated[
        str | None, typer.Option("--object", metavar="OBJECTS", help="Only these objects, such as 1,3.")
    ] = None
    accepted: Annotated[bool, typer.Option("--accepted", help="Only masks that were accepted.")] = False
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="OBJECT=CLASS", help="Class of an object. Repeat for more."),
    ] = None
    names: Annotated[
        list[str] | None, typer.Option("--name", metavar="OBJECT=NAME", help="Name of an object. Repeat for more.")
    ] = None

    def of(self, masklets: Masklets) -> Masklets:
        """Return the selected objects, with the class and object names of the command line."""
        named = _named(masklets, self.classes or [], self.names or [])
        object_ids = None if self.objects is None else object_numbers(self.objects, "--object")
        return named.only(object_ids, accepted=self.accepted)


@with_groups
def export_masks(source: SourceArgument, masks: MasksArgument = None, *, selection: Chosen, switches: Switches) -> int:
    """Write masks for other tools: COCO, PNG, YOLO, DAVIS, SA-V, a table, an overlay, a GIF, a cut-out."""
    from masklet.cli.track_run import gentle_interrupt
    from masklet.formats import export_masks as write_masks
    from masklet.formats import find_format

    format_ = find_format(selection.format_id)
    options = dict(_option(text, format_.options.schema()) for text in selection.option or ())
    format_.options.of(options)  # raises before anything is opened
    with opened_labelled(source, masks) as (opened, skipped):
        medium = replace(opened, masklets=selection.of(opened.masklets))
        suffix = format_.usual_suffix(is_image=medium.is_image)
        path = free_place(selection.out, medium, suffix, switches, inputs=(source, masks))
        watch, stopped = Stopwatch(), threading.Event()
        with gentle_interrupt(stopped), show_progress(f"writing {format_.name}", None, "frames") as report:
            try:
                done = write_masks(
                    selection.format_id,
                    [medium],
                    path,
                    options,
                    progress=report,
                    cancelled=stopped.is_set,
                )
            except Cancelled:
                raise Cancelled("nothing was written") from None
    if switches.as_json:
        print_json(
            {
                "command": "export-masks",
                "source": str(source),
                "format": selection.format_id,
                "num_frames": done.num_frames,
                "num_masks": done.num_masks,
                "seconds": round(watch.seconds, 3),
                "notes": list(done.notes),
                "skipped": list(skipped),
                "outputs": [str(done.path)],
            }
        )
        return 0
    print_line(f"{done.num_masks} masks on {done.num_frames} frames in {watch.seconds:.1f} s")
    for note in done.notes:
        print_line(f"note: {note}")
    print_line(f"wrote {describe_outputs([done.path])}")
    return 0


def _named(masklets: Masklets, classes: list[str], names: list[str]) -> Masklets:
    """Return the masklets with the classes and names of the command line."""
    objects = {item.object_id: item for item in masklets.objects}
    for texts, field in ((classes, "class_name"), (names, "name")):
        for text in texts:
            number, equals, value = text.partition("=")
            if not equals or not number.strip().isdigit() or int(number) not in objects:
                listed = ", ".join(map(str, objects))
                raise ConfigError(f"--class and --name must be OBJECT=TEXT with one of {listed}, got {text!r}")
            objects[int(number)] = replace(objects[int(number)], **{field: value.strip()})  # type: ignore[arg-type]
    return replace(masklets, objects=tuple(objects.values()))


def _option(text: str, schema: dict[str, Any]) -> tuple[str, Any]:
    """Parse 'layout=objects'; the value is converted to the type in the schema."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--option must be NAME=VALUE, got {text!r}")
    kind = schema["properties"].get(name.strip(), {}).get("type", "string")
    if kind == "boolean" and value.lower() in ("true", "yes", "1", "false", "no", "0"):
        return name.strip(), value.lower() in ("true", "yes", "1")
    if "number" in kind or "integer" in kind:
        try:
            return name.strip(), float(value)
        except ValueError:
            raise ConfigError(f"--option {name} must be a number, got {value!r}") from None
    return name.strip(), value
