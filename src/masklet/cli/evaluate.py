"""`masklet evaluate`: measure a model by standard metrics, on images and on clips."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.calibration import calibration
from masklet.cli.command import MaskletCommand
from masklet.cli.console import print_json, print_line, stdout
from masklet.cli.evaluation_options import (
    DATA_PANEL,
    BenchmarkOption,
    ClipsArgument,
    ClipsOption,
    DataChoice,
    Evaluation,
    ImagesArgument,
    RunChoice,
    SkipLastOption,
    SourcesOption,
)
from masklet.cli.groups import with_groups
from masklet.cli.options import RESULT_PANEL, JsonOption, PolicyOption, examples, memory_config, split_list
from masklet.errors import DataError
from masklet.foreign.documents import read_json
from masklet.output import only_user, refuse_existing

if TYPE_CHECKING:
    from masklet.api import Model
    from masklet.datasets import Dataset
    from masklet.evaluation.report import EvaluationReport
    from masklet.evaluation.running import RunOptions

app = typer.Typer(
    help="Measure a model on images (clicks, boxes, everything) and clips (J, F, J&F; interactive), and compare runs.",
    rich_markup_mode="rich",
)


@app.command(
    "clicks",
    cls=MaskletCommand,
    epilog=examples(
        ("Five clicks, and boxes", "masklet evaluate clicks val/images --clicks 5 --box --json clicks.json"),
        ("How many clicks it takes", "masklet evaluate clicks val/images --noc --processes 4 --out noc/"),
    ),
)
@with_groups
def clicks(
    root: ImagesArgument,
    num_clicks: Annotated[int, typer.Option("--clicks", min=1, help="Clicks per object.")] = 5,
    box: Annotated[bool, typer.Option("--box/--no-box", help="Also prompt with the object's tight box alone.")] = False,
    noc: Annotated[
        bool, typer.Option("--noc", help="Also count the clicks, up to 20, until the IoU is 0.85 and 0.90.")
    ] = False,
    sources: SourcesOption = None,
    max_objects: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of objects per image, the largest first.")
    ] = None,
    min_area: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out objects below this fraction of the image.")
    ] = 0.01,
    *,
    evaluation: Evaluation,
) -> int:
    """Click on objects as an annotator would: mIoU after each click and for boxes, and the number of clicks."""
    from masklet.evaluation.clicks import evaluate_clicks

    def evaluate(model: Model, data: Dataset, run: RunOptions) -> EvaluationReport:
        return evaluate_clicks(
            model.engine,
            data,
            clicks=num_clicks,
            box=box,
            noc=noc,
            min_area=min_area,
            max_objects=max_objects,
            sources=_names(sources),
            limit=evaluation.limit,
            run=run,
        )

    return evaluation.measure(root, "images", evaluate)


@app.command(
    "vos",
    cls=MaskletCommand,
    epilog=examples(
        ("Clips in folders", "masklet evaluate vos val/clips --prompt mask --json vos.json"),
        ("DAVIS 2017, as its toolkit does", "masklet evaluate vos DAVIS/ --split val --benchmark davis2017"),
        (
            "Masks for a benchmark's server",
            "masklet evaluate vos MOSE/ --split valid --benchmark mose --save-masks out/",
        ),
    ),
)
@with_groups
def vos(
    root: ClipsArgument,
    prompt: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="What each object is prompted with where it first appears: mask, click or box."
        ),
    ] = "mask",
    benchmark: BenchmarkOption = "masklet",
    skip_last: SkipLastOption = False,
    non_overlap: Annotated[
        bool, typer.Option("--non-overlap/--overlap", help="Assign each pixel to at most one object.")
    ] = True,
    policy: PolicyOption = None,
    save_masks: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write the masks, <clip>/<frame>.png.", rich_help_panel=RESULT_PANEL),
    ] = None,
    clips: ClipsOption = None,
    *,
    evaluation: Evaluation,
) -> int:
    """Follow objects through clips: J (region), F (boundary) and J&F."""
    from masklet.evaluation.rules import rules_named
    from masklet.evaluation.vos import evaluate_vos

    rules = rules_named(benchmark)
    if save_masks is not None and not (evaluation.journal is not None and evaluation.journal.exists()):
        refuse_existing(save_masks, evaluation.force)

    def evaluate(model: Model, data: Dataset, run: RunOptions) -> EvaluationReport:
        return evaluate_vos(
            model.engine,
            data,
            prompt=prompt,  # type: ignore[arg-type]  # checked there
            rules=rules,
            skip_last=skip_last,
            memory=memory_config(model.info, policy),
            non_overlap=non_overlap,
            save_masks=save_masks,
            clips=_names(clips),
            limit=evaluation.limit,
            run=run,
        )

    with nullcontext() if save_masks is None else only_user(save_masks):
        return evaluation.measure(root, "frames", evaluate)


@app.command(
    "masks",
    cls=MaskletCommand,
    epilog=examples(
        ("Masks of any program", "masklet evaluate masks results/ DAVIS/ --split val --benchmark davis2017"),
        ("Two folders of masks", "masklet evaluate masks results/ truth/ --benchmark sa-v --json masks.json"),
    ),
)
@with_groups
def masks(
    results: Annotated[
        Path,
        typer.Argument(help="<clip>/<frame>.png, indexed, or <clip>/<object>/<frame>.png.", show_default=False),
    ],
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="GROUND_TRUTH", help="A data set with clips, or a folder of masks alone.", show_default=False
        ),
    ],
    benchmark: BenchmarkOption = "masklet",
    skip_last: SkipLastOption = False,
    clips: ClipsOption = None,
    *,
    data: DataChoice,
    run: RunChoice,
) -> int:
    """Score masks that are already written: J, F and J&F."""
    from masklet.evaluation.rules import rules_named
    from masklet.evaluation.written import evaluate_masks, open_truth

    with run.locked():
        run.prepare()
        truth_clips = open_truth(truth, data.layout, split=data.split, resolution=data.resolution)
        with run.running(truth, "frames") as options:
            report = evaluate_masks(
                results,
                truth_clips,
                rules=rules_named(benchmark),
                skip_last=skip_last,
                clips=_names(clips),
                limit=data.limit,
                run=options,
            )
        return run.deliver(report, truth_clips)


@app.command(
    "interactive",
    cls=MaskletCommand,
    epilog=examples(
        ("Correct the worst frame, round by round", "masklet evaluate interactive val/clips --json offline.json"),
        ("Pause where the mask goes wrong", "masklet evaluate interactive val/clips --mode online --out online/"),
    ),
)
@with_groups
def interactive(
    root: ClipsArgument,
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE",
            help="offline: track, correct the worst frame, track again; online: one pass, pausing where IoU < 0.75.",
        ),
    ] = "offline",
    frames: Annotated[int, typer.Option(min=1, help="Maximum number of prompted frames per object.")] = 8,
    num_clicks: Annotated[int, typer.Option("--clicks", min=1, help="Maximum number of clicks on each of them.")] = 3,
    policy: PolicyOption = None,
    clips: ClipsOption = None,
    *,
    evaluation: Evaluation,
) -> int:
    """Correct clips as an annotator would: J&F after 1, 2, ... prompted frames, and the time it takes."""
    from masklet.evaluation.interactive import evaluate_interactive

    def evaluate(model: Model, data: Dataset, run: RunOptions) -> EvaluationReport:
        return evaluate_interactive(
            model.engine,
            data,
            mode=mode,  # type: ignore[arg-type]  # checked there
            frames=frames,
            clicks=num_clicks,
            memory=memory_config(model.info, policy),
            clips=_names(clips),
            limit=evaluation.limit,
            run=run,
        )

    return evaluation.measure(root, "frames", evaluate)


@app.command(
    "everything",
    cls=MaskletCommand,
    epilog=examples(
        ("How much is found without prompts", "masklet evaluate everything val/images --limit 20 --out found/")
    ),
)
@with_groups
def everything(
    root: ImagesArgument,
    points_per_side: Annotated[
        int | None, typer.Option(min=1, help="Clicks along a side of the grid. The default depends on the model.")
    ] = None,
    sources: SourcesOption = None,
    *,
    evaluation: Evaluation,
) -> int:
    """Find everything in images without prompts: AR@1000 and AP, as COCO defines them, of objects as one class."""
    from masklet.evaluation.everything import evaluate_everything
    from masklet.segmentation.automatic import AutomaticConfig

    changes = {} if points_per_side is None else {"points_per_side": points_per_side}

    def evaluate(model: Model, data: Dataset, run: RunOptions) -> EvaluationReport:
        return evaluate_everything(
            model.engine,
            data,
            config=AutomaticConfig.for_engine(model.info, **changes),
            sources=_names(sources),
            limit=evaluation.limit,
            run=run,
        )

    return evaluation.measure(root, "images", evaluate)


@app.command(
    "discovery",
    cls=MaskletCommand,
    epilog=examples(
        ("Objects found by themselves", "masklet evaluate discovery val/clips --json discovery.json"),
        ("A baseline, on few frames", "masklet evaluate discovery val/clips --method first-frame --frames 20"),
    ),
)
@with_groups
def discovery(
    root: ClipsArgument,
    method: Annotated[
        str,
        typer.Option(
            metavar="METHOD",
            help="discover: as masklet track --everything; baselines are first-frame (everything on the first frame, "
            "tracked) and everything-per-frame (everything on each frame, linked by overlap).",
        ),
    ] = "discover",
    every: Annotated[
        int | None, typer.Option(min=1, help="Frames between two key frames, on which objects are found. Default: 10.")
    ] = None,
    level: Annotated[str | None, typer.Option(metavar="LEVEL", help="objects (default), parts or both.")] = None,
    max_objects: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of objects at a time. Default: 64.")
    ] = None,
    direction: Annotated[
        str, typer.Option(metavar="DIRECTION", help="forward, or both: objects that come late are followed back, too.")
    ] = "forward",
    frames: Annotated[
        int | None, typer.Option(min=1, help="Only the first frames of each clip.", rich_help_panel=DATA_PANEL)
    ] = None,
    policy: PolicyOption = None,
    clips: ClipsOption = None,
    *,
    evaluation: Evaluation,
) -> int:
    """Find and follow objects without prompts: recall, J&F, HOTA, IDF1, id switches, latency and time."""
    from masklet.discovery import DiscoveryConfig
    from masklet.evaluation.discovery import evaluate_discovery

    config = DiscoveryConfig.from_options(every=every, level=level, max_objects=max_objects)

    def evaluate(model: Model, data: Dataset, run: RunOptions) -> EvaluationReport:
        return evaluate_discovery(
            model.engine,
            data,
            method=method,
            config=config,
            direction=direction,  # type: ignore[arg-type]  # checked there
            memory=memory_config(model.info, policy),
            frames=frames,
            clips=_names(clips),
            limit=evaluation.limit,
            run=run,
        )

    return evaluation.measure(root, "frames", evaluate)


@app.command(
    "compare",
    cls=MaskletCommand,
    epilog=examples(("Which objects changed most", "masklet evaluate compare before.json after.json --items 10")),
)
def compare(
    before: Annotated[Path, typer.Argument(help="A report, from --json.", show_default=False)],
    after: Annotated[Path, typer.Argument(help="Another report of the same kind.", show_default=False)],
    items: Annotated[int, typer.Option(min=0, help="Number of the greatest losses and gains to show.")] = 5,
    as_json: JsonOption = False,
) -> int:
    """Compare two reports: what changed, in percentage points, and whether it could be chance."""
    from masklet.evaluation.compare import compare as compare_reports

    comparison = compare_reports(_read_report(before), _read_report(after))
    if as_json:
        print_json(comparison.to_dict())
        return 0
    print_line(f"{comparison.before_model} ({before}) -> {comparison.after_model} ({after}), in per cent")
    stdout().print(comparison.table())
    print_line("* chance alone would do as much in fewer than 5 of 100 draws (paired bootstrap)")
    if items and any(change.difference for change in comparison.items):
        stdout().print(comparison.item_table(items))
    if comparison.unmatched:
        print_line(f"only in one of them, so overall compares different things: {', '.join(comparison.unmatched)}")
    return 0


app.command(
    "calibration",
    cls=MaskletCommand,
    epilog=examples(
        ("How far IoU predictions can be trusted", "masklet evaluate calibration --images val/images"),
        (
            "Store it in a model's folder",
            "masklet evaluate calibration --images val/images --clips val/clips --model exported/ --write",
        ),
    ),
)(calibration)


def _names(text: str | None) -> Sequence[str] | None:
    return None if text is None else split_list(text)


def _read_report(path: Path) -> dict[str, Any]:
    document: Any = read_json(path, name=f"the report {path}").value
    if not isinstance(document, dict):
        raise DataError(f"{path} is not a report of `masklet evaluate`: expected an object")
    return document
