"""`masklet segment --everything`: segment all objects in images, without prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import ProgressReport, print_line, print_table
from masklet.cli.groups import OptionGroup
from masklet.cli.images import COCO_NAME, Batch, ImageJob, Results, list_images

if TYPE_CHECKING:
    from masklet.records import ByteArray
    from masklet.segmentation.automatic import AutomaticConfig, AutomaticCounts, AutomaticMask
    from masklet.tracking.mask_rows import MaskRow

MAX_LABELLED = 12
"""Largest number of masks with labels; beyond it the overlay is a map without numbers."""

_PANEL = "Everything"


def _option(*names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=_PANEL)


class EverythingChoice(OptionGroup):
    """Automatic masks instead of prompts; settings that are not given depend on the model."""

    everything: Annotated[
        bool,
        _option(
            "--everything",
            help="Segment everything, with a grid of clicks. The masks are written to one PNG per image, whose "
            "pixel values are mask numbers, smaller masks on top (16 bits if there are more than 255).",
        ),
    ] = False
    points_per_side: Annotated[
        int | None,
        _option(metavar="N", help="Use a grid of N x N clicks. The default depends on the model."),
    ] = None
    min_iou: Annotated[
        float | None,
        _option(
            metavar="0..1",
            help="Drop masks whose predicted IoU is lower. The default depends on the model.",
        ),
    ] = None
    min_stability: Annotated[
        float | None,
        _option(
            metavar="0..1",
            help="Drop masks whose stability score is lower. The default depends on the model.",
        ),
    ] = None
    crop_layers: Annotated[
        int | None,
        _option(
            metavar="N",
            help="Also search crops, for small objects: 1 adds 2 x 2 crops, 2 adds 4 x 4 crops as well, ...",
        ),
    ] = None
    min_region_area: Annotated[
        int | None,
        _option(metavar="PIXELS", help="Remove smaller pieces of a mask and fill smaller holes."),
    ] = None
    refine: Annotated[
        bool | None,
        _option("--refine", help="Correct each mask once with its own click; four times slower."),
    ] = None

    def changes(self) -> dict[str, Any]:
        """Return the fields of `AutomaticConfig` that were set on the command line."""
        names = [option.name for option in self.options() if option.name != "everything"]
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


def segment_everything(images: Sequence[Path], changes: dict[str, Any], results: Results) -> int:
    """Segment everything in each image; `changes` are the fields of `AutomaticConfig` set on the command line."""
    from masklet.segmentation.automatic import AutomaticConfig

    AutomaticConfig(**changes)  # raises before a model is loaded
    formats = results.chosen_formats(without="cutout", name="--format with --everything")
    names = {"overlay": "overlay.jpg", "masks": "masks.png"}
    jobs = [
        ImageJob(image, {kind: results.out / f"{image.stem}.{name}" for kind, name in names.items() if kind in formats})
        for image in list_images(images)
    ]
    coco_path = results.out / COCO_NAME if "coco" in formats else None
    results.check([path for job in jobs for path in job.paths.values()] + ([coco_path] if coco_path else []))
    model = results.model.load()
    config = AutomaticConfig.for_engine(model.info, **changes)
    batch: Batch[_Found] = Batch("segment --everything", model, coco_path)

    def do(number: int, report: ProgressReport) -> None:
        job = jobs[number]

        def show(progress: AutomaticCounts) -> None:
            report.update(number * config.num_points + progress.points_done, job.image.name)

        batch.do(job, lambda rgb: _find(batch, config, job, rgb, show))

    return batch.run(
        jobs,
        do,
        unit="clicks",
        units_each=config.num_points,
        as_json=results.as_json,
        print_summary=lambda: _print_summary(batch.done, config),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """The record of an image that has been written."""

    image: Path
    size_hw: tuple[int, int]
    masks: tuple[AutomaticMask, ...]
    counts: AutomaticCounts
    covered: float
    """Fraction of the image that is in a mask."""
    seconds: float
    """Time from the file to the masks."""
    outputs: Mapping[str, Path]

    def to_dict(self) -> dict[str, Any]:
        return {
            "image": str(self.image),
            "size_hw": list(self.size_hw),
            "seconds": round(self.seconds, 4),
            "clicks": self.counts.points_done,
            "candidates": self.counts.candidates,
            "sure": self.counts.sure,
            "stable": self.counts.stable,
            "covered": round(self.covered, 4),
            "masks": [
                {
                    "id": number,
                    "area": mask.area,
                    "box_xyxy": list(mask.box_xyxy),
                    "iou_prediction": round(mask.iou_prediction, 4),
                    "stability": round(mask.stability, 4),
                    "point_xy": [round(value, 2) for value in mask.point_xy],
                    "crop_box_xyxy": list(mask.crop_box_xyxy),
                }
                for number, mask in enumerate(self.masks, start=1)
            ],
            "outputs": {kind: str(path) for kind, path in self.outputs.items()},
        }


def _find(
    batch: Batch[_Found],
    config: AutomaticConfig,
    job: ImageJob[str],
    rgb: ByteArray,
    show: Callable[[AutomaticCounts], None],
) -> Callable[[float], _Found]:
    """Segment an image; return a function that writes its results, given the seconds the segmentation took."""
    from masklet.segmentation.automatic import label_map

    counts: list[AutomaticCounts] = []

    def follow(progress: AutomaticCounts) -> None:
        counts[:] = [progress]
        show(progress)

    masks = batch.model.segmenter().everything(rgb, config, on_progress=follow)

    def write(seconds: float) -> _Found:
        size_hw = rgb.shape[0], rgb.shape[1]
        labels = label_map(masks, size_hw)
        _write(job, rgb, masks, labels)
        batch.add_rows(job.image, rgb, _rows(masks), [_extra(mask) for mask in masks])
        return _Found(job.image, size_hw, tuple(masks), counts[-1], float((labels > 0).mean()), seconds, job.paths)

    return write


def _rows(masks: Sequence[AutomaticMask]) -> list[MaskRow]:
    """Return the masks as rows; an object's id is its number in the PNG."""
    from masklet.tracking.mask_rows import given_row

    return [
        given_row(0, number, mask.rle, iou_prediction=mask.iou_prediction, prompted=False)
        for number, mask in enumerate(masks, start=1)
    ]


def _extra(mask: AutomaticMask) -> dict[str, Any]:
    """Return the extra fields of COCO annotations; object score and confidence exist only for prompts."""
    return {
        "object_score": None,
        "confidence": None,
        "stability": round(mask.stability, 4),
        "point_xy": [round(value, 2) for value in mask.point_xy],
    }


def _write(job: ImageJob[str], rgb: ByteArray, masks: Sequence[AutomaticMask], labels: Any) -> None:
    from masklet.formats import FrameRows, image_medium, open_image_stream
    from masklet.masks.drawing import draw_regions, neighbor_colors
    from masklet.media.images import write_image, write_label_map

    colors = neighbor_colors(labels)
    if "masks" in job.paths:
        write_label_map(job.paths["masks"], labels, colors)
    if "overlay" in job.paths:
        if 0 < len(masks) <= MAX_LABELLED:
            medium = image_medium(job.image, rgb)
            with open_image_stream("overlay", job.paths["overlay"], medium) as stream:
                stream.write(FrameRows(medium, 0, 0.0, _rows(masks), rgb))
        else:
            write_image(job.paths["overlay"], draw_regions(rgb, labels, colors))


def _print_summary(images: Sequence[_Found], config: AutomaticConfig) -> None:
    rows = []
    for done in images:
        height, width = done.size_hw
        counts = (done.counts.points_done, done.counts.candidates, done.counts.sure, done.counts.stable)
        rows.append(
            (
                str(done.image), f"{width} x {height}", *map(str, counts), str(len(done.masks)),
                f"{done.covered * 100:.0f} %", f"{done.seconds:.2f}",
            )
        )  # fmt: skip
    columns = ("image", "size", "clicks", "candidates", "sure", "stable", "masks", "covered", "seconds")
    print_table(columns, rows, left=("image",))
    for done in images:
        if not done.masks:
            print_line(
                f"{done.image}: nothing found; lower --min-iou ({config.min_iou:g}) or "
                f"--min-stability ({config.min_stability:g})"
            )
