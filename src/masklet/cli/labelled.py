"""Code that `masklet render` and `masklet export-masks` share: the medium with its masks, and the result's path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from masklet.cli.console import print_error
from masklet.cli.options import Switches
from masklet.errors import ConfigError

if TYPE_CHECKING:
    from masklet.tracking.masklets import LabelledMedium

SourceArgument = Annotated[
    Path, typer.Argument(metavar="SOURCE", help="A session (.masklet) of masklet track --save, an image, or a video.")
]
MasksArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="MASKS",
        help="For an image or a video: its masks, as COCO or SA-V .json, PNGs in a folder or .zip, or one PNG. For a "
        "session: its video, if that has been moved.",
    ),
]


@contextmanager
def opened_labelled(source: Path, masks: Path | None) -> Iterator[tuple[LabelledMedium, tuple[str, ...]]]:
    """Open a medium with its masks; also yield a line for each skipped mask, the first of which are printed."""
    from masklet.formats import open_labelled

    medium, skipped = open_labelled(source, masks)
    with medium.source:
        for line in skipped[:5]:
            print_error(line, word="note")
        yield medium, tuple(skipped)


def free_place(
    out: Path | None, medium: LabelledMedium, suffix: str, switches: Switches, *, inputs: Sequence[Path | None] = ()
) -> Path:
    """Return the path of the result.

    Args:
        out: as typed; None chooses a path.
        medium: what is read.
        suffix: of the path that is chosen.
        switches: whether it may be replaced.
        inputs: further files that are read.

    Raises:
        OutputError: it exists and may not be replaced, is the source itself, or would be read as part of it.
    """
    from masklet.media.source import refuse_source
    from masklet.output import refuse_existing

    target = refuse_existing(out or Path("out") / f"{medium.name}{suffix}", switches.force)
    info = medium.source.info
    for source in (info.path or info.name, *inputs):
        if source is not None:
            refuse_source(target, source)
    return target


def object_numbers(text: str, option: str) -> list[int]:
    """Parse object ids such as '1,3'."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option} must be object ids, such as 1,3, got {text!r}") from None
