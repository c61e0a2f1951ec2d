"""`masklet convert`: a checkpoint from one layout to another, without changing a bit of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from masklet.checks import check_choice
from masklet.cli.console import format_bytes, print_json, print_line, show_status
from masklet.cli.options import ForceOption, JsonOption, examples
from masklet.errors import CheckpointError, ConfigError
from masklet.output import refuse_existing

if TYPE_CHECKING:
    from masklet.model.checkpoint import Checkpoint, Layout

LAYOUTS = ("sam2", "transformers", "masklet")
OFFICIAL_IMAGE_SIZE = 1024
"""Input size in pixels that is assumed for files of the official layout, which do not store it."""

EPILOG = examples(
    ("An official model for transformers", "masklet convert sam2.1_hiera_tiny.pt tiny/"),
    ("Weights of transformers for the official code", "masklet convert facebook/sam2.1-hiera-tiny tiny.pt"),
    (
        "One file that records its configuration",
        "masklet convert MedSAM2_latest.pt medsam2.safetensors --image-size 512",
    ),
    notes="Converting back gives the same weights, bit for bit.",
)


def convert(
    model: Annotated[
        str,
        typer.Argument(
            metavar="IN", help="A checkpoint, a folder saved by transformers, or a model name.", show_default=False
        ),
    ],
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="NAME.pt: the official layout. NAME.safetensors: masklet's own layout, with the configuration. "
            "Any other name: a folder for transformers.",
            show_default=False,
        ),
    ],
    layout: Annotated[
        str | None, typer.Option(metavar="|".join(LAYOUTS), help="Layout to write; overrides the name of OUT.")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Side of the square input, for a model trained at a size other than its file says. "
            "Official .pt files cannot store it.",
        ),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> int:
    """Convert a checkpoint between the official layout, that of transformers, and masklet's own."""
    if layout is not None:
        check_choice("--layout", layout, LAYOUTS)
    target = Path(out)
    target_layout = cast("Layout", layout) if layout else _layout_for(target)
    if image_size is not None and target_layout == "sam2":
        raise ConfigError("--image-size would be lost in the official layout: convert to a .safetensors or a folder")
    refuse_existing(target, force)
    _refuse_misfit(target, target_layout)
    from masklet.engine.open import find_model, is_exported, needs_extra

    with needs_extra("torch", "converting"):
        from masklet.model.checkpoint import read_checkpoint, save_checkpoint
    source = find_model(model)
    if is_exported(source):
        raise CheckpointError(f"{source} is an exported model, which cannot be converted back: give its checkpoint")
    with show_status(f"converting {model} ..."):
        checkpoint = read_checkpoint(source, image_size=image_size)
        save_checkpoint(checkpoint, target, target_layout)
    return _report(checkpoint, target_layout, target, as_json=as_json)


def _report(checkpoint: Checkpoint, target_layout: Layout, target: Path, *, as_json: bool) -> int:
    size = sum(path.stat().st_size for path in _files(target))
    if as_json:
        print_json(
            {
                "command": "convert",
                "model": checkpoint.config.name,
                "from": checkpoint.layout,
                "to": target_layout,
                "path": str(target),
                "tensors": len(checkpoint.own_weights),
                "bytes": size,
            }
        )
        return 0
    print_line(f"{checkpoint.config.name}, from the layout of {checkpoint.layout} to that of {target_layout}")
    print_line(f"wrote {target} ({format_bytes(size)})")
    side = checkpoint.config.image_size
    if target_layout == "sam2" and side != OFFICIAL_IMAGE_SIZE:
        print_line(f"the layout of sam2 does not store the input size: load it with image_size={side}")
    return 0


def _layout_for(path: Path) -> Layout:
    by_suffix: dict[str, Literal["sam2", "masklet"]] = {".pt": "sam2", ".pth": "sam2", ".safetensors": "masklet"}
    return by_suffix.get(path.suffix.lower(), "transformers")


def _refuse_misfit(path: Path, layout: Layout) -> None:
    """Refuse a file name for a layout that is a folder, and the reverse."""
    from masklet.engine.hub import SUFFIXES

    if layout == "transformers" and (path.is_file() or path.suffix in SUFFIXES):
        raise ConfigError(f"the layout of transformers is a folder, got {path}: give a name without a suffix")
    if layout != "transformers" and (path.is_dir() or _layout_for(path) == "transformers"):
        raise ConfigError(f"the layout of {layout} is a file, got {path}: give a name that ends in .pt or .safetensors")


def _files(path: Path) -> list[Path]:
    return [path / "model.safetensors", path / "config.json"] if path.is_dir() else [path]
