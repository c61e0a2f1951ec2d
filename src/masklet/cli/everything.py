"""`masklet segment --everything`: all that is in images, without being told what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import (
    Interrupted,
    ProgressReport,
    Stopwatch,
    describe_outputs,
    print_error,
    print_json,
    print_line,
    print_table,
    show_progress,
)
from masklet.cli.options import describe_model, load_model, refuse_equal_names, refuse_existing_files, split_list
from masklet.errors import ConfigError, ImageError
from masklet.output import atomic_path, check_writable

if TYPE_CHECKING:
    from masklet.api import Model
    from masklet.automatic import AutomaticConfig, AutomaticMask, AutomaticProgress
    from masklet.records import ByteArray

FORMATS = ("overlay", "masks", "coco")
COCO_NAME = "coco.json"
MAX_LABELLED = 12
"""With more masks than this the overlay is a map, without numbers."""

_PANEL = "Everything"

EverythingOption = Annotated[
    bool,
    typer.Option(
        "--everything",
        help="Find all there is, with a grid of clicks. Masks then go into one PNG an image, the smaller above the "
        "larger, its values their numbers (16 bits when there are more than 255).",
        rich_help_panel=_PANEL,
    ),
]
PointsPerSideOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="The grid has N x N clicks; 32 when left out.", rich_help_panel=_PANEL),
]
MinIouOption = Annotated[
    float | None,
    typer.Option(
        metavar="0..1",
        help="Masks whose IoU the model predicts to be lower go; what suits the model when left out.",
        rich_help_panel=_PANEL,
    ),
]
MinStabilityOption = Annotated[
    float | None,
    typer.Option(
        metavar="0..1",
        help="Masks that change more with the threshold go; what suits the model when left out.",
        rich_help_panel=_PANEL,
    ),
]
CropLayersOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Look again in crops, for small things: 1 = 2 x 2 crops, 2 = 4 x 4 crops too, ...",
        rich_help_panel=_PANEL,
    ),
]
MinRegionAreaOption = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS", help="Remove smaller pieces of a mask and fill smaller holes.", rich_help_panel=_PANEL
    ),
]
RefineOption = Annotated[
    bool | None,
    typer.Option(
        "--refine", help="Correct each mask once by its own click; four times slower.", rich_help_panel=_PANEL
    ),
]


def segment_everything(
    images: Sequence[Path],
    changes: dict[str, Any],
    *,
    out: Path,
    formats: str,
    model: str,
    device: str,
    precision: str,
    force: bool,
    as_json: bool,
) -> int:
    """Find everything in each image; `changes` are fields of `AutomaticConfig` that were asked for."""
    from masklet.automatic import AutomaticConfig

    AutomaticConfig(**changes)  # says what is wrong with them before a model is loaded
    chosen = split_list(formats, of=FORMATS, name="--format with --everything")
    if not chosen:
        raise ConfigError(f"--format is empty: choose from {', '.join(FORMATS)}")
    if not images:
        raise ImageError("no image was given")
    refuse_equal_names(images)
    names = {"overlay": "overlay.jpg", "masks": "masks.png"}
    jobs = [
        (image, {kind: out / f"{image.stem}.{name}" for kind, name in names.items() if kind in chosen})
        for image in images
    ]
    coco_path = out / COCO_NAME if "coco" in chosen else None
    written = [path for _, paths in jobs for path in paths.values()]
    refuse_existing_files([*written, coco_path] if coco_path else written, force)
    check_writable(out / COCO_NAME)
    loaded = load_model(model, device, precision)
    config = AutomaticConfig.for_engine(loaded.info, **changes)
    run = _Run(loaded, config)
    interrupted = False
    with show_progress("segmenting", len(jobs) * config.num_points, "clicks") as report:
        try:
            for number, (image, paths) in enumerate(jobs):
                run.do(image, paths, report, number * config.num_points)
        except KeyboardInterrupt:
            interrupted = True
    if coco_path is not None and run.done:
        _write_coco(coco_path, run.done)
        run.outputs.append(coco_path)
    if as_json:
        print_json(run.to_dict())
    elif run.done:
        run.print_summary()
    if interrupted:
        raise Interrupted(f"after {len(run.done)} of {len(jobs)} images")
    return 2 if run.failed else 0


@dataclass(frozen=True, slots=True)
class _Found:
    """What is left of an image when it has been written."""

    image: Path
    size_hw: tuple[int, int]
    masks: tuple[AutomaticMask, ...]
    counts: AutomaticProgress
    covered: float
    """Fraction of the image that is in a mask."""
    seconds: float
    """From the file to the masks."""
    outputs: dict[str, Path]

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


@dataclass(slots=True)
class _Run:
    """Does one image after the other; one that fails costs no other."""

    model: Model
    config: AutomaticConfig
    done: list[_Found] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)

    def do(self, image: Path, paths: dict[str, Path], report: ProgressReport, clicks_before: int) -> None:
        from masklet.automatic import label_map
        from masklet.images import read_image

        counts: list[AutomaticProgress] = []

        def follow(progress: AutomaticProgress) -> None:
            counts[:] = [progress]
            report.update(clicks_before + progress.points_done, image.name)

        watch = Stopwatch()
        try:
            rgb = read_image(image)
            masks = self.model.segmenter().everything(rgb, self.config, on_progress=follow)
        except (ImageError, ConfigError) as error:
            message = str(error) if isinstance(error, ImageError) else f"{image}: {error}"
            self.failed.append((image, message))
            print_error(message)
            return
        seconds = watch.seconds
        size_hw = rgb.shape[0], rgb.shape[1]
        labels = label_map(masks, size_hw)
        self._write(paths, rgb, masks, labels)
        covered = float((labels > 0).mean())
        self.done.append(_Found(image, size_hw, tuple(masks), counts[-1], covered, seconds, paths))
        self.outputs += paths.values()

    def _write(self, paths: dict[str, Path], rgb: ByteArray, masks: Sequence[AutomaticMask], labels: Any) -> None:
        import numpy as np

        from masklet.drawing import draw_overlay, draw_regions, neighbor_colors
        from masklet.images import write_image, write_label_map

        colors = neighbor_colors(labels)
        if "masks" in paths:
            write_label_map(paths["masks"], labels, colors)
        if "overlay" in paths:
            if 0 < len(masks) <= MAX_LABELLED:
                planes = np.stack([mask.mask for mask in masks])
                scores = [mask.iou_prediction for mask in masks]
                write_image(paths["overlay"], draw_overlay(rgb, planes, range(1, len(masks) + 1), scores))
            else:
                write_image(paths["overlay"], draw_regions(rgb, labels, colors))

    def to_dict(self) -> dict[str, Any]:
        return {
            "command": "segment --everything",
            "model": describe_model(self.model.info),
            "images": [done.to_dict() for done in self.done],
            "failed": [{"image": str(path), "error": message} for path, message in self.failed],
            "outputs": [str(path) for path in self.outputs],
        }

    def print_summary(self) -> None:
        rows = []
        for done in self.done:
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
        for done in self.done:
            if not done.masks:
                print_line(
                    f"{done.image}: nothing found; lower --min-iou ({self.config.min_iou:g}) or "
                    f"--min-stability ({self.config.min_stability:g})"
                )
        print_line(f"wrote {describe_outputs(self.outputs)}")


def _write_coco(path: Path, images: Sequence[_Found]) -> None:
    """One COCO document for all images; `score` is the IoU prediction, `object_id` the number in the PNG."""
    annotations: list[dict[str, Any]] = []
    for image_id, done in enumerate(images, start=1):
        for number, mask in enumerate(done.masks, start=1):
            left, top, right, bottom = mask.box_xyxy
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "segmentation": mask.rle,
                    "area": mask.area,
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": 0,
                    "object_id": number,
                    "score": round(mask.iou_prediction, 4),
                    "stability": round(mask.stability, 4),
                    "point_xy": [round(value, 2) for value in mask.point_xy],
                }
            )
    document = {
        "images": [
            {"id": number, "file_name": done.image.name, "height": done.size_hw[0], "width": done.size_hw[1]}
            for number, done in enumerate(images, start=1)
        ],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": annotations,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document), encoding="utf-8")
