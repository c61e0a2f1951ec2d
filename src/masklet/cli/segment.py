"""`masklet segment`: segment objects in images by clicks, boxes and masks, and write the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import ProgressReport, print_table
from masklet.cli.detections import detections_of_images, prompts_of_detections
from masklet.cli.everything import EverythingChoice, segment_everything
from masklet.cli.groups import OptionGroup, with_groups
from masklet.cli.images import COCO_NAME, Batch, ImageJob, Results, list_images
from masklet.cli.options import (
    RESULT_PANEL,
    ModelChoice,
    PromptChoice,
    Switches,
    examples,
    out_option,
    prompt_option,
)
from masklet.cli.prompts import ObjectPrompt, read_prompt_file
from masklet.errors import ConfigError, PromptError

if TYPE_CHECKING:
    from masklet.discovery import Detection
    from masklet.prompts import Prompt
    from masklet.records import ByteArray, SegmentResult
    from masklet.tracking.mask_rows import MaskRow
    from masklet.tracking.masklets import ObjectInfo

CANDIDATES = 3
"""Number of candidates for an ambiguous prompt; see `Engine.decode`."""

EPILOG = examples(
    ("One object, with a click on it and one next to it", "masklet segment photo.jpg --point 500,375 --negative 40,40"),
    (
        "Two objects at once",
        "masklet segment photo.jpg --object 1 --point 500,375 --object 2 --box 10,10,300,400",
    ),
    (
        "Every photo in a folder, cut out",
        "masklet segment photos/ --box 10,10,300,400 --format cutout --out out/",
    ),
    ("Prompts by photo", "masklet segment --prompts prompts.json"),
    ("The boxes of a detector", "masklet segment photo.jpg --detections boxes.json --format overlay,coco"),
    ("Everything in a photo", "masklet segment photo.jpg --everything"),
    notes='prompts.json: {"photo.jpg": \\[{"object_id": 1, "points_xy": \\[\\[500, 375]], "labels": \\[1], "box_xyxy": '
    '\\[10, 10, 300, 400], "mask": "rough.png"}, ...], ...}. Give only the fields that you need. '
    "A single list is for all images.",
)


class SegmentPrompts(PromptChoice):
    """Prompts for the objects."""

    object_id: Annotated[
        list[int] | None,
        prompt_option(
            "--object",
            metavar="ID",
            help="Id of the object that the following prompts are for. Default: 1. A prompt can also name its "
            "object: 2:500,375.",
        ),
    ] = None
    prompts: Annotated[
        Path | None,
        prompt_option(metavar="FILE", help="JSON: a list of prompts for all images, or lists by image; see below."),
    ] = None
    detections: Annotated[
        Path | None,
        prompt_option(
            metavar="FILE",
            help="Boxes or masks of a detector, one object each: COCO results or document (JSON), CSV, YOLO (a file or "
            "a folder), MOTS. Boxes become prompts, masks are refined.",
        ),
    ] = None


class SegmentResults(OptionGroup):
    """The output folder, and the formats of the results."""

    out: Annotated[Path, out_option("Where results go.", metavar="FOLDER")] = Path("out")
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="LIST",
            help="Formats to write: overlay (a picture), masks (PNG, 0 and 255), cutout (PNG with transparency), "
            f"coco ({COCO_NAME}, masks as RLE).",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = "overlay,masks"
    all_candidates: Annotated[
        bool,
        typer.Option(
            "--all-candidates",
            help="Write all three candidates for each prompt, best first.",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = False
    refine_edges: Annotated[
        bool,
        typer.Option(
            "--refine-edges",
            help="Snap mask edges to image edges at full resolution.",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = False


@with_groups
def segment(
    images: Annotated[
        list[Path] | None, typer.Argument(help="Images, or folders of images.", show_default=False)
    ] = None,
    *,
    prompts: SegmentPrompts,
    automatic: EverythingChoice,
    selection: SegmentResults,
    model: ModelChoice,
    switches: Switches,
) -> int:
    """Segment objects in images, each by a click, a box or a rough mask; or segment everything."""
    typed = prompts.typed()
    changes = automatic.changes()
    results = Results(
        out=selection.out, formats=selection.formats, model=model, force=switches.force, as_json=switches.as_json
    )
    if not automatic.everything:
        if changes:
            raise ConfigError(f"--{next(iter(changes)).replace('_', '-')} needs --everything")
        formats = results.chosen_formats()
        candidates = CANDIDATES if selection.all_candidates else 1
        if prompts.detections is None:
            plans = _plans(images or [], typed, prompts.prompts)
        elif typed or prompts.prompts is not None:
            raise PromptError("--detections and other prompts exclude each other")
        else:
            plans = _plans_of_detections(images or [], prompts.detections)
        return _segment_prompted(plans, formats, candidates, selection.refine_edges, results)
    if typed or prompts.prompts is not None or prompts.detections is not None or selection.all_candidates:
        raise PromptError("--everything excludes prompts and --all-candidates: it generates its own clicks")
    if selection.refine_edges:
        raise ConfigError("--refine-edges is for prompts: leave it out with --everything")
    return segment_everything(images or [], changes, results)


@dataclass(frozen=True, slots=True)
class _ImagePlan:
    """The prompts of one image."""

    image: Path
    prompts: tuple[ObjectPrompt, ...] = ()
    detections: Mapping[int, Detection] = field(default_factory=dict)
    """Where the prompts come from, by object id, if it is a detector."""
    refusal: PromptError | None = None
    """Why the image has no prompts."""


def _segment_prompted(
    plans: Sequence[_ImagePlan], formats: Sequence[str], candidates: int, refine_edges: bool, results: Results
) -> int:
    jobs = [ImageJob(plan.image, dict(_paths(plan, results.out, formats, candidates))) for plan in plans]
    coco_path = results.out / COCO_NAME if "coco" in formats else None
    results.check([path for job in jobs for path in job.paths.values()] + ([coco_path] if coco_path else []))
    model = results.model.load()
    batch: Batch[_Segmented] = Batch("segment", model, coco_path)
    work = _Work(batch, candidates, refine_edges=refine_edges)

    def do(number: int, report: ProgressReport) -> None:
        report.update(number, jobs[number].image.name)
        batch.do(jobs[number], lambda rgb: work.segment(jobs[number], plans[number], rgb))

    return batch.run(
        jobs,
        do,
        unit="images",
        units_each=1,
        as_json=results.as_json,
        print_summary=lambda: _print_summary(batch.done, candidates),
    )


_Kind = tuple[str, int, int]
"""Key of a result: kind, object and candidate; overlays have object 0."""


def _plans(images: Sequence[Path], typed: tuple[ObjectPrompt, ...], prompt_path: Path | None) -> list[_ImagePlan]:
    """Return the images with their prompts, checked as far as possible before anything is loaded."""
    file = None if prompt_path is None else read_prompt_file(prompt_path)
    if file is not None and typed:
        raise PromptError("--prompts and prompts on the command line exclude each other")
    if file is None and not typed:
        raise PromptError("nothing to segment: give a --point, --box, --mask, --prompts, --detections or --everything")
    plans = []
    for path in list_images(images or (file.by_file if file else ())):
        image_prompts = typed if file is None else file.for_file(path)
        if late := [prompt for prompt in image_prompts if prompt.frame_index]:
            raise PromptError(f"{late[0]}: an image has no frames: leave the frame out")
        plans.append(_ImagePlan(path, image_prompts))
    return plans


def _plans_of_detections(images: Sequence[Path], path: Path) -> list[_ImagePlan]:
    """Return the images with a prompt per detection of a file."""
    listed = list_images(images)
    plans = []
    for image, answer in zip(listed, detections_of_images(path, listed), strict=True):
        if isinstance(answer, PromptError):
            plans.append(_ImagePlan(image, refusal=answer))
        else:
            plans.append(_ImagePlan(image, prompts_of_detections(answer), dict(enumerate(answer, start=1))))
    return plans


def _paths(plan: _ImagePlan, out: Path, formats: Sequence[str], candidates: int) -> Iterator[tuple[_Kind, Path]]:
    """Return the paths of the results: photo.overlay.jpg and photo.mask.png, or photo.object2.candidate3.mask.png if
    there are several objects or candidates."""
    image, prompts = plan.image, plan.prompts
    for candidate in range(candidates):
        suffix = f".candidate{candidate + 1}" if candidates > 1 else ""
        if "overlay" in formats:
            yield ("overlay", 0, candidate), out / f"{image.stem}{suffix}.overlay.jpg"
        for prompt in prompts:
            name = image.stem + (f".object{prompt.object_id}" if len(prompts) > 1 else "") + suffix
            for kind, format_id in (("mask", "masks"), ("cutout", "cutout")):
                if format_id in formats:
                    yield (kind, prompt.object_id, candidate), out / f"{name}.{kind}.png"


@dataclass(frozen=True, slots=True)
class _Row:
    """One candidate of one object."""

    object_id: int
    candidate: int
    iou_prediction: float
    confidence: float
    object_score: float
    area: int
    box_xyxy: tuple[float, ...] | None
    outputs: dict[str, Path]
    detection: Detection | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "object_id": self.object_id,
            **_detection_fields(self.detection),
            "candidate": self.candidate,
            "iou_prediction": round(self.iou_prediction, 4),
            "confidence": round(self.confidence, 4),
            "object_score": round(self.object_score, 4),
            "area": self.area,
            "box_xyxy": None if self.box_xyxy is None else list(self.box_xyxy),
            "outputs": {kind: str(path) for kind, path in self.outputs.items()},
        }


@dataclass(frozen=True, slots=True)
class _Segmented:
    """The record of an image that has been written."""

    image: Path
    size_hw: tuple[int, int]
    rows: tuple[_Row, ...]
    overlays: tuple[Path, ...]
    seconds: float
    """Time from the file to the masks."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "image": str(self.image),
            "size_hw": list(self.size_hw),
            "seconds": round(self.seconds, 4),
            "objects": [row.to_dict() for row in self.rows],
            "overlays": [str(path) for path in self.overlays],
        }


BATCH = 32
"""Prompts that are decoded together, so that the full masks of a crowd are not in memory at once."""


@dataclass(frozen=True, slots=True)
class _Work:
    """Segments an image and writes the results."""

    batch: Batch[_Segmented]
    candidates: int
    refine_edges: bool

    def segment(self, job: ImageJob[_Kind], plan: _ImagePlan, rgb: ByteArray) -> Callable[[float], _Segmented]:
        """Segment an image; return a function that writes its results, given the seconds the segmentation took.

        Raises:
            PromptError: a prompt does not fit the image, or there are none.
        """
        from masklet.masks.edges import EdgeConfig

        if plan.refusal is not None:
            raise plan.refusal
        size_hw = rgb.shape[0], rgb.shape[1]
        prompts = {prompt.object_id: prompt.to_prompt(size_hw) for prompt in plan.prompts}
        encoded = self.batch.model.segmenter(edges=EdgeConfig() if self.refine_edges else None).set_image(rgb)
        multimask = True if self.candidates > 1 else None
        rows: list[list[MaskRow]] = []
        """By object and candidate."""
        for first in range(0, len(prompts), BATCH):
            part = dict(list(prompts.items())[first : first + BATCH])
            results = encoded.predict_many(list(part.values()), multimask=multimask)
            rows += [_rows(*item, self.candidates) for item in zip(part, results, strict=True)]

        def write(seconds: float) -> _Segmented:
            self._write(job, plan, rgb, prompts, rows)
            extras = [
                {"candidate": candidate, **_detection_fields(plan.detections.get(row.object_id), with_label=False)}
                for candidates in rows
                for candidate, row in enumerate(candidates)
            ]
            infos = _infos(plan)
            self.batch.add_rows(job.image, rgb, [row for candidates in rows for row in candidates], extras, infos)
            overlays = tuple(path for (kind, _, _), path in job.paths.items() if kind == "overlay")
            return _Segmented(job.image, size_hw, tuple(_records(job, plan, rows)), overlays, seconds)

        return write

    def _write(
        self,
        job: ImageJob[_Kind],
        plan: _ImagePlan,
        rgb: ByteArray,
        prompts: Mapping[int, Prompt],
        rows: Sequence[Sequence[MaskRow]],
    ) -> None:
        """Write the files of one image; `rows` are the masks by object and candidate."""
        from masklet.formats import FrameRows, image_medium, open_image_stream
        from masklet.formats.pictures import cut_out
        from masklet.masks.rle import decode_rle
        from masklet.media.images import write_image

        by_id = dict(zip(prompts, rows, strict=True))
        for (kind, object_id, candidate), path in job.paths.items():
            if kind == "overlay":
                medium = image_medium(job.image, rgb, prompts=prompts, objects=_infos(plan))
                with open_image_stream("overlay", path, medium) as stream:
                    drawn = [candidates[candidate] for candidates in rows]
                    stream.write(FrameRows(medium, 0, 0.0, drawn, rgb))
                continue
            mask = decode_rle(by_id[object_id][candidate].rle)
            write_image(path, mask if kind == "mask" else cut_out(rgb, {object_id: mask}))


def _records(job: ImageJob[_Kind], plan: _ImagePlan, rows: Sequence[Sequence[MaskRow]]) -> Iterator[_Row]:
    """Yield the record of each object and candidate."""
    from masklet.masks.rle import rle_area, rle_box_xyxy

    for candidates in rows:
        for candidate, row in enumerate(candidates):
            box = rle_box_xyxy(row.rle)
            yield _Row(
                object_id=row.object_id,
                candidate=candidate,
                iou_prediction=row.iou_prediction,
                confidence=row.confidence,
                object_score=row.object_score,
                area=rle_area(row.rle),
                box_xyxy=None if box is None else tuple(box.tolist()),
                outputs={
                    kind: path
                    for (kind, owner, number), path in job.paths.items()
                    if owner == row.object_id and number == candidate
                },
                detection=plan.detections.get(row.object_id),
            )


def _rows(object_id: int, result: SegmentResult, candidates: int) -> list[MaskRow]:
    """Return the masks of an object as rows, by candidate."""
    from masklet.tracking.mask_rows import given_row

    return [
        given_row(
            0,
            object_id,
            result.masks[candidate],
            iou_prediction=float(result.iou_predictions[candidate]),
            object_score=result.object_score,
            confidence=float(result.confidences[candidate]),
        )
        for candidate in range(candidates)
    ]


def _infos(plan: _ImagePlan) -> list[ObjectInfo]:
    """Return the classes of an image's objects."""
    from masklet.tracking.masklets import ObjectInfo

    return [ObjectInfo(number, class_name=detection.label) for number, detection in plan.detections.items()]


def _detection_fields(detection: Detection | None, *, with_label: bool = True) -> dict[str, Any]:
    """Return what a detector said of an object; nothing where there was no detector."""
    if detection is None:
        return {}
    return ({"label": detection.label} if with_label else {}) | {"detection_score": round(detection.score, 4)}


def _print_summary(images: Sequence[_Segmented], candidates: int) -> None:
    rows = []
    for done in images:
        height, width = done.size_hw
        for number, row in enumerate(done.rows):
            first = (str(done.image), f"{width} x {height}", f"{done.seconds:.2f}") if number == 0 else ("", "", "")
            name = f"{row.object_id}" + (f" ({row.candidate + 1} of {candidates})" if candidates > 1 else "")
            name += f" {row.detection.label}" if row.detection is not None and row.detection.label else ""
            covered = f"{row.area / (height * width) * 100:.1f} %"
            rows.append((*first, name, f"{row.confidence:.2f}", covered, _in_words(row.box_xyxy)))
    print_table(("image", "size", "seconds", "object", "confidence", "area", "box"), rows, left=("image",))


def _in_words(box_xyxy: tuple[float, ...] | None) -> str:
    return "nothing found" if box_xyxy is None else ",".join(f"{edge:.0f}" for edge in box_xyxy)
