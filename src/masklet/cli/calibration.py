"""`masklet evaluate calibration`: compare a model's IoU predictions with measured IoUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import print_json, print_line, print_table, show_progress
from masklet.cli.evaluation_options import DATA_PANEL, MeasuredModel
from masklet.cli.groups import with_groups
from masklet.cli.options import RESULT_PANEL, JsonOption
from masklet.errors import ConfigError

if TYPE_CHECKING:
    from masklet.evaluation.calibration import StageCalibration


@with_groups
def calibration(
    images: Annotated[
        list[str] | None,
        typer.Option("--images", metavar="ROOT", help="Images with masks. Repeat to mix.", rich_help_panel=DATA_PANEL),
    ] = None,
    clips: Annotated[
        list[str] | None,
        typer.Option("--clips", metavar="ROOT", help="Clips with masks. Repeat to mix.", rich_help_panel=DATA_PANEL),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Store the curves in the model's folder.", rich_help_panel=RESULT_PANEL)
    ] = False,
    processes: Annotated[
        int, typer.Option("--processes", "-p", min=1, help="Clips or images done at once, with one thread each.")
    ] = 1,
    as_json: JsonOption = False,
    *,
    measured: MeasuredModel,
) -> int:
    """Compare IoU predictions with IoUs, on data that the model was not trained on, and fit a curve per stage."""
    from masklet.engine.open import find_model
    from masklet.evaluation.calibration import calibrate, curves_of, observe_clips, observe_images, write_curves
    from masklet.evaluation.running import RunOptions

    if not images and not clips:
        raise ConfigError("give --images or --clips, or both: there is nothing to calibrate on")
    folder = find_model(measured.model)
    if write and not folder.is_dir():
        raise ConfigError(f"--write needs an exported model's folder, got {folder}: export it first (masklet export)")
    engine = measured.load().engine
    observations = []
    with show_progress("measuring", None, "steps") as report:
        run = RunOptions(
            processes=processes,
            open_engine=measured.open_engine(),
            progress=lambda done, total, name: report.update(done, name, total),
        )
        if images:
            observations += observe_images(engine, images, run)
        if clips:
            observations += observe_clips(engine, clips, run)
    fitted = calibrate(observations)
    if write:
        write_curves(folder, curves_of(fitted))
    if as_json:
        print_json({"model": engine.info.name, "stages": [_document(stage) for stage in fitted]})
        return 0
    rows = [
        (
            stage.stage,
            str(stage.num_observations),
            f"{stage.error_before:.3f}",
            f"{stage.error_after:.3f}",
            "yes" if stage.is_better else "no",
        )
        for stage in fitted
    ]
    print_table(("stage", "masks", "error before", "error after", "better"), rows, left=("stage",))
    print_line("expected calibration error; after: judged by curves fitted on the other half of the data")
    print_line("only curves that are better are kept")
    if write:
        print_line(f"wrote the curves to {folder}")
    return 0


def _document(stage: StageCalibration) -> dict[str, Any]:
    return {
        "stage": stage.stage,
        "num_observations": stage.num_observations,
        "error_before": round(stage.error_before, 4),
        "error_after": round(stage.error_after, 4),
        **stage.curve,
    }
