"""`masklet export`: export a checkpoint to a folder that runs without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from masklet.checks import check_choice
from masklet.cli.console import Stopwatch, format_bytes, print_json, print_line, show_status
from masklet.cli.options import ForceOption, JsonOption, examples
from masklet.errors import CheckpointError, ConfigError
from masklet.output import only_user, refuse_existing

PRECISIONS = ("fp16", "fp32", "int8")

EPILOG = examples(
    ("A model of your own", "masklet export run/ema.pt my-model/"),
    ("Use it", "masklet segment photo.jpg --model my-model/ --point 500,375"),
)


def export(
    model: Annotated[str, typer.Argument(help="A checkpoint or its name; see `masklet models`.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where the graphs and model.json go.", show_default=False)],
    precision: Annotated[
        str,
        typer.Option(
            help="Precision of the stored weights: fp16 halves the files, and arithmetic is fp32 either way. int8 adds "
            "graphs in 8 bits, which `--precision int8` of other commands uses; it needs --calibrate."
        ),
    ] = "fp16",
    calibrate: Annotated[
        list[str] | None,
        typer.Option(
            "--calibrate",
            metavar="ROOT",
            help="Clips with masks, and images, from which the ranges of int8 are taken. Repeat to mix.",
        ),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> int:
    """Export a model to ONNX: a folder that runs with onnxruntime alone."""
    check_choice("--precision", precision, PRECISIONS)
    if (precision == "int8") != bool(calibrate):
        raise ConfigError("--precision int8 and --calibrate ROOT go together: ranges are taken from clips with masks")
    refuse_existing(folder, force)
    from masklet.engine.open import find_model, is_exported, needs_extra

    with needs_extra("export", "exporting"):
        from masklet.engine.export import export_model
        from masklet.model.checkpoint import load_model
    from masklet.evaluation.int8 import calibration_run

    watch = Stopwatch()
    run = calibration_run(calibrate) if calibrate else None
    path = find_model(model)
    if is_exported(path):
        raise CheckpointError(f"{path} is an exported model already: give a checkpoint")
    with only_user(folder):
        with show_status(f"reading {model} ..."):
            loaded = load_model(path)
        with show_status("exporting, which takes a minute or so ..."):
            export_model(loaded, folder, precision="fp32" if precision == "fp32" else "fp16", calibrate=run)
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    if as_json:
        print_json({"command": "export", "folder": str(folder), "bytes": files, "seconds": round(watch.seconds, 2)})
        return 0
    for name, size in files.items():
        print_line(f"{name:<22} {format_bytes(size):>9}")
    print_line(f"wrote {folder} ({format_bytes(sum(files.values()))}) in {watch.seconds:.0f} s")
    return 0
