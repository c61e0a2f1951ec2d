"""`masklet data`: check a data set, show it, and convert it to another layout."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from masklet.cli.command import MaskletCommand
from masklet.cli.console import (
    print_error,
    print_json,
    print_line,
    print_table,
    show_progress,
    show_status,
)
from masklet.cli.options import ForceOption, JsonOption, examples
from masklet.errors import OutputError
from masklet.output import check_writable, refuse_existing

if TYPE_CHECKING:
    from masklet.datasets.check import DataReport

app = typer.Typer(
    help="Check a data set, show it on a contact sheet, or convert it to another layout.",
    rich_markup_mode="rich",
)

RootArgument = Annotated[
    Path, typer.Argument(help="The data set: a folder, a COCO .json or a WebDataset .tar.", show_default=False)
]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="folders, davis (also YouTube-VOS, MOSE, LVOS), coco, sa-1b, sa-v or shards. Detected by default.",
    ),
]
SplitOption = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="A list or a folder of the data set, such as val.")
]

SHOWN_FAULTS = 12


@app.command(
    "check",
    cls=MaskletCommand,
    epilog=examples(
        ("Check everything, with a contact sheet", "masklet data check data/ --sheet data.png"),
        ("For a script", "masklet data check DAVIS/ --split val --json"),
        notes="Exit status: 0 without errors, 1 for warnings alone with --strict, 2 for errors.",
    ),
)
def check(
    root: RootArgument,
    layout: LayoutOption = None,
    split: SplitOption = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="FILE", help="Save a contact sheet, a .png or .jpg.")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Examples on the sheet.")] = 24,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 1 if there are warnings.")] = False,
    as_json: JsonOption = False,
    force: ForceOption = False,
) -> int:
    """Read every image and mask: how many, how large, and what is missing, unaligned, corrupt or odd."""
    from masklet.datasets import open_dataset
    from masklet.datasets.check import check_dataset
    from masklet.errors import DataError

    if sheet is not None:
        check_writable(refuse_existing(sheet, force))
    faults: list[DataError] = []
    with show_status("listing"):
        data = open_dataset(root, layout, split=split, verify=False, faults=faults)
    with show_progress("checking", None, "examples") as report:
        result = check_dataset(data, faults, progress=report)
    if sheet is not None:
        from masklet.datasets.sheet import contact_sheet
        from masklet.media.images import write_image

        with show_status("drawing the sheet"):
            write_image(sheet, contact_sheet(data, count=count))
    if as_json:
        print_json(result.to_dict())
    else:
        _print_report(result)
        if sheet is not None:
            print_line(f"wrote {sheet}")
    if result.has_errors:
        return 2
    return 1 if strict and result.faults else 0


@app.command(
    "convert",
    cls=MaskletCommand,
    epilog=examples(
        ("Indexed PNGs from COCO", "masklet data convert coco/ out/ --to folders"),
        ("Shards for a cluster", "masklet data convert sa1b/ shards/ --to shards"),
    ),
)
def convert(
    root: RootArgument,
    out: Annotated[Path, typer.Argument(help="A folder that does not exist yet.", show_default=False)],
    to: Annotated[
        str,
        typer.Option("--to", metavar="NAME", help="folders, davis, coco, sa-1b, sa-v or shards.", show_default=False),
    ],
    layout: LayoutOption = None,
    split: SplitOption = None,
) -> int:
    """Write a data set in another layout. Nothing is overwritten, and no partial result is left behind."""
    from masklet.datasets import open_dataset
    from masklet.datasets.convert import convert_dataset

    if out.resolve().is_relative_to(root.resolve()):
        raise OutputError(f"{out} lies in {root}, where the next run would read it: choose a folder outside")
    with show_status("listing"):
        data = open_dataset(root, layout, split=split)
    with show_progress("converting", None, "examples") as report:
        result = convert_dataset(data, out, to, progress=report)
    counts = [f"{result.images} images"] * bool(result.images) + [f"{result.clips} clips"] * bool(result.clips)
    print_line(f"wrote {' and '.join(counts)} to {result.path}")
    for note in result.notes:
        print_line(f"note: {note}")
    return 0


def _print_report(report: DataReport) -> None:
    rows = []
    for name, counts in report.sources.items():
        summary = counts.to_dict()
        sizes = summary["sizes"]
        common = f"{sizes[0]['width']} x {sizes[0]['height']}" if sizes else ""
        rows.append(
            [
                name,
                f"{counts.images:,}" if counts.images else "",
                f"{counts.clips:,}" if counts.clips else "",
                f"{counts.frames:,}" if counts.frames else "",
                f"{common} +{len(counts.sizes) - 1}" if len(counts.sizes) > 1 else common,
                f"{counts.objects:,}",
                f"{counts.most_objects}",
                f"{summary['area_median']:.1%}",
                f"{counts.small_objects:,}" if counts.small_objects else "",
                f"{summary['void_share']:.1%}" if summary["void_share"] else "",
            ]
        )
    print_line(f"{report.root}, layout {report.layout}")
    columns = ("source", "images", "clips", "frames", "size (more)", "objects", "most", "area", "small", "void")
    print_table(columns, rows, left=("source",))
    kinds = Counter((fault.severity, fault.kind) for fault in report.faults)
    for (severity, kind), number in sorted(kinds.items()):
        print_line(f"{severity}: {kind}: {number}")
    for fault in sorted(report.faults, key=lambda fault: fault.severity)[:SHOWN_FAULTS]:
        line = fault.message if fault.where in fault.message else f"{fault.where}: {fault.message}"
        print_line(f"  {fault.severity}: {line}")
    if len(report.faults) > SHOWN_FAULTS:
        print_line(f"  and {len(report.faults) - SHOWN_FAULTS} more: --json lists them all")
    if report.has_errors:
        errors = sum(number for (severity, _), number in kinds.items() if severity == "error")
        print_error(f"{errors} errors: these files cannot be used")
    elif not kinds:
        print_line("nothing is wrong")
