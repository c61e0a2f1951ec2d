"""`masklet evaluate`: how good a model is, by the field's metrics, on images and on clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.command import MaskletCommand
from masklet.cli.console import ProgressReport, command_line, print_json, print_line, show_progress, stdout
from masklet.cli.options import (
    RESULT_PANEL,
    DeviceOption,
    ForceOption,
    JsonOption,
    ModelOption,
    PolicyOption,
    PrecisionOption,
    examples,
    load_model,
    memory_config,
    split_list,
)
from masklet.errors import DataError
from masklet.output import atomic_path, check_writable, refuse_existing

if TYPE_CHECKING:
    from masklet.evaluation.report import ClicksReport, VosReport

app = typer.Typer(
    help="Measure a model on images (mIoU after clicks) and clips (J, F, J&F).",
    rich_markup_mode="rich",
)

JsonFileOption = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write the report, with every object, to a file; - prints it, and nothing else.",
        rich_help_panel=RESULT_PANEL,
    ),
]
WorstOption = Annotated[
    Path | None,
    typer.Option("--worst", metavar="FOLDER", help="Save pictures of the worst objects.", rich_help_panel=RESULT_PANEL),
]
WorstCountOption = Annotated[
    int, typer.Option("--worst-count", min=1, help="How many pictures.", rich_help_panel=RESULT_PANEL)
]

STDOUT = Path("-")


@app.command(
    "clicks",
    cls=MaskletCommand,
    epilog=examples(
        ("Five clicks, and boxes", "masklet evaluate clicks val/images --clicks 5 --box --json clicks.json"),
        ("A quick look, with pictures", "masklet evaluate clicks val/images --max-images 20 --worst worst/"),
    ),
)
def clicks(
    root: Annotated[
        Path, typer.Argument(help="A folder with images/ and masks/, or a folder of such folders.", show_default=False)
    ],
    num_clicks: Annotated[int, typer.Option("--clicks", min=1, help="Clicks an object.")] = 5,
    box: Annotated[bool, typer.Option("--box/--no-box", help="Also prompt with the object's tight box alone.")] = False,
    sources: Annotated[
        str | None, typer.Option(metavar="LIST", help="Only these folders of ROOT, as in a,b,c.")
    ] = None,
    max_objects: Annotated[
        int | None, typer.Option(min=1, help="At most so many objects an image, the largest first.")
    ] = None,
    max_images: Annotated[
        int | None, typer.Option(min=1, help="At most so many images a folder, evenly spaced.")
    ] = None,
    min_area: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out objects below this fraction of the image.")
    ] = 0.01,
    json_path: JsonFileOption = None,
    worst: WorstOption = None,
    worst_count: WorstCountOption = 20,
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    force: ForceOption = False,
) -> int:
    """Click on objects as an annotator would: mIoU after each click, and for boxes."""
    from masklet.evaluation.clicks import evaluate_clicks

    _check_outputs(json_path, worst, force)
    loaded = load_model(model, device, precision)
    with show_progress("evaluating", None, "images") as report:
        result = evaluate_clicks(
            loaded.engine,
            root if sources is None else [_source(root, name) for name in split_list(sources)],
            clicks=num_clicks,
            box=box,
            min_area=min_area,
            max_objects=max_objects,
            max_images=max_images,
            progress=_counting(report),
        )
    _deliver(result, json_path, worst, worst_count)
    return 0


@app.command(
    "vos",
    cls=MaskletCommand,
    epilog=examples(
        ("Clips in folders", "masklet evaluate vos val/clips --prompt mask --json vos.json"),
        ("DAVIS 2017, as its toolkit does", "masklet evaluate vos DAVIS/ --split val --skip-last"),
    ),
)
def vos(
    root: Annotated[
        Path,
        typer.Argument(
            help="A folder of clips: <clip>/frames and <clip>/masks, or DAVIS's layout.", show_default=False
        ),
    ],
    prompt: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="What each object is prompted with where it first appears: mask, click or box."
        ),
    ] = "mask",
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the clips of ImageSets/2017/NAME.txt.")
    ] = None,
    resolution: Annotated[
        str | None, typer.Option(metavar="NAME", help="480p (when left out) or Full-Resolution, for DAVIS.")
    ] = None,
    skip_last: Annotated[
        bool, typer.Option("--skip-last", help="Leave out each clip's last frame, as DAVIS's toolkit does.")
    ] = False,
    non_overlap: Annotated[
        bool, typer.Option("--non-overlap/--overlap", help="Each pixel goes to one object at most.")
    ] = True,
    policy: PolicyOption = None,
    json_path: JsonFileOption = None,
    worst: WorstOption = None,
    worst_count: WorstCountOption = 20,
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    force: ForceOption = False,
) -> int:
    """Follow objects through clips: J (region), F (boundary) and J&F."""
    from masklet.evaluation.vos import evaluate_vos

    _check_outputs(json_path, worst, force)
    loaded = load_model(model, device, precision)
    with show_progress("evaluating", None, "frames") as report:
        result = evaluate_vos(
            loaded.engine,
            root,
            prompt=prompt,  # type: ignore[arg-type]  # checked there
            memory=memory_config(policy, loaded.info),
            non_overlap=non_overlap,
            skip_last=skip_last,
            split=split,
            resolution=resolution,
            progress=_counting(report),
        )
    _deliver(result, json_path, worst, worst_count)
    return 0


@app.command(
    "compare",
    cls=MaskletCommand,
)
def compare(
    before: Annotated[Path, typer.Argument(help="A report, from --json.", show_default=False)],
    after: Annotated[Path, typer.Argument(help="Another one of the same kind.", show_default=False)],
    as_json: JsonOption = False,
) -> int:
    """What changed from one report to another, in points of a hundred."""
    from masklet.evaluation.report import compare as compare_reports

    comparison = compare_reports(_read_report(before), _read_report(after))
    if as_json:
        print_json(comparison.to_dict())
        return 0
    print_line(f"{comparison.before_model} ({before}) -> {comparison.after_model} ({after}), in per cent")
    stdout().print(comparison.table())
    if comparison.unmatched:
        print_line(f"only in one of them, so overall compares different things: {', '.join(comparison.unmatched)}")
    return 0


def _source(root: Path, name: str) -> Path:
    folder = root / name
    if not folder.is_dir():
        there = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
        raise DataError(f"{root} has no folder {name!r}: it has {', '.join(there) or 'none'}")
    return folder


def _read_report(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read the report {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise DataError(f"{path} is not a report of `masklet evaluate`: expected an object")
    return document


def _check_outputs(json_path: Path | None, worst: Path | None, force: bool) -> None:
    """An evaluation is long: what would fail at its end fails before its start."""
    if json_path is not None and json_path != STDOUT:
        check_writable(refuse_existing(json_path, force))
    if worst is not None:
        check_writable(refuse_existing(worst, force) / "01.png")


def _counting(report: ProgressReport) -> Any:
    def count(done: int, total: int, name: str) -> None:
        report.update(done, name, total)

    return count


def _deliver(report: ClicksReport | VosReport, json_path: Path | None, worst: Path | None, worst_count: int) -> None:
    document = report.to_dict(command=command_line.get())
    pictures: list[Path] = []
    if json_path is not None and json_path != STDOUT:
        with atomic_path(json_path) as temporary:
            temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if worst is not None:
        from masklet.evaluation.pictures import save_worst

        pictures = save_worst(report, worst, count=worst_count)
    if json_path == STDOUT:
        print_json(document)
        return
    print_line(f"{report.model} ({report.backend}), in per cent")
    stdout().print(report.table())
    if json_path is not None:
        print_line(f"wrote {json_path}")
    if pictures:
        print_line(f"wrote {len(pictures)} pictures of the worst objects to {worst}")
