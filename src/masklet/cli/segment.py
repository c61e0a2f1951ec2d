"""`masklet segment`: segment objects in images by clicks, boxes and masks, and write the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import ProgressReport, print_table
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
    from masklet.prompts import Prompt
    from masklet.records import ByteArray, SegmentResult
    from masklet.tracking.mask_rows import MaskRow

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
        return _segment_prompted(
            images or [], typed, prompts.prompts, selection.all_candidates, selection.refine_edges, results
        )
    if typed or prompts.prompts is not None or selection.all_candidates:
        raise PromptError("--everything excludes prompts and --all-candidates: it generates its own clicks")
    if selection.refine_edges:
        raise ConfigError("--refine-edges is for prompts: leave it out with --everything")
    return segment_everything(images or [], changes, results)


def _segment_prompted(
    images: Sequence[Path],
    typed: tuple[ObjectPrompt, ...],
    prompt_path: Path | None,
    all_candidates: bool,
    refine_edges: bool,
    results: Results,
) -> int:
    formats = results.chosen_formats()
    jobs, prompts = _plan(images, typed, prompt_path, results.out, formats, CANDIDATES if all_candidates else 1)
    coco_path = results.out / COCO_NAME if "coco" in formats else None
    results.check([path for job in jobs for path in job.paths.values()] + ([coco_path] if coco_path else []))
    model = results.model.load()
    batch: Batch[_Segmented] = Batch("segment", model, coco_path)
    work = _Work(batch, True if all_candidates else None, refine_edges=refine_edges)

    def do(number: int, report: ProgressReport) -> None:
        report.update(number, jobs[number].image.name)
        batch.do(jobs[number], lambda rgb: work.segment(jobs[number], prompts[number], rgb))

    return batch.run(
        jobs,
        do,
        unit="images",
        units_each=1,
        as_json=results.as_json,
        print_summary=lambda: _print_summary(batch.done, all_candidates),
    )


_Kind = tuple[str, int, int]
"""Key of a result: kind, object and candidate; overlays have object 0."""


def _plan(
    images: Sequence[Path],
    typed: tuple[ObjectPrompt, ...],
    prompt_path: Path | None,
    out: Path,
    formats: Sequence[str],
    candidates: int,
) -> tuple[list[ImageJob[_Kind]], list[tuple[ObjectPrompt, ...]]]:
    """Return the jobs and the prompts of each image, checked as far as possible before anything is loaded."""
    file = None if prompt_path is None else read_prompt_file(prompt_path)
    if file is not None and typed:
        raise PromptError("--prompts and prompts on the command line exclude each other")
    if file is None and not typed:
        raise PromptError("nothing to segment: give a --point, --box, --mask, --prompts or --everything")
    jobs, prompts = [], []
    for path in list_images(images or (file.by_file if file else ())):
        image_prompts = typed if file is None else file.for_file(path)
        if late := [prompt for prompt in image_prompts if prompt.frame_index]:
            raise PromptError(f"{late[0]}: an image has no frames: leave the frame out")
        jobs.append(ImageJob(path, dict(_paths(path, image_prompts, out, formats, candidates))))
        prompts.append(image_prompts)
    return jobs, prompts


def _paths(
    image: Path, prompts: Sequence[ObjectPrompt], out: Path, formats: Sequence[str], candidates: int
) -> Iterator[tuple[_Kind, Path]]:
    """Return the paths of the results: photo.overlay.jpg and photo.mask.png, or photo.object2.candidate3.mask.png if
    there are several objects or candidates."""
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

    def to_dict(self) -> dict[str, Any]:
        return {
            "object_id": self.object_id,
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


@dataclass(frozen=True, slots=True)
class _Work:
    """Segments an image and writes the results."""

    batch: Batch[_Segmented]
    multimask: bool | None
    refine_edges: bool

    def segment(
        self, job: ImageJob[_Kind], object_prompts: Sequence[ObjectPrompt], rgb: ByteArray
    ) -> Callable[[float], _Segmented]:
        """Segment an image; return a function that writes its results, given the seconds the segmentation took."""
        from masklet.masks.edges import EdgeConfig

        prompts = [prompt.to_prompt((rgb.shape[0], rgb.shape[1])) for prompt in object_prompts]
        segmenter = self.batch.model.segmenter(edges=EdgeConfig() if self.refine_edges else None)
        results = segmenter.set_image(rgb).predict_many(prompts, multimask=self.multimask)
        object_ids = [prompt.object_id for prompt in object_prompts]

        def write(seconds: float) -> _Segmented:
            rows = _rows(object_ids, results)
            self._write(job, rgb, dict(zip(object_ids, prompts, strict=True)), rows)
            candidates = range(CANDIDATES if self.multimask else 1)
            self.batch.add_rows(
                job.image,
                rgb,
                [by_candidate[candidate] for by_candidate in zip(*rows, strict=True) for candidate in candidates],
                [{"candidate": candidate} for _ in object_ids for candidate in candidates],
            )
            return self._record(job, rgb, object_ids, results, seconds)

        return write

    def _write(
        self, job: ImageJob[_Kind], rgb: ByteArray, prompts: dict[int, Prompt], rows: Sequence[Sequence[MaskRow]]
    ) -> None:
        """Write the files of one image; `rows` are the masks by candidate and object."""
        from masklet.formats import FrameRows, image_medium, open_image_stream
        from masklet.formats.pictures import cut_out
        from masklet.media.images import write_image

        for (kind, object_id, candidate), path in job.paths.items():
            if kind == "overlay":
                medium = image_medium(job.image, rgb, prompts=prompts)
                with open_image_stream("overlay", path, medium) as stream:
                    stream.write(FrameRows(medium, 0, 0.0, rows[candidate], rgb))
                continue
            mask = next(row.mask for row in rows[candidate] if row.object_id == object_id)
            write_image(path, mask if kind == "mask" else cut_out(rgb, {object_id: mask}))

    def _record(
        self,
        job: ImageJob[_Kind],
        rgb: ByteArray,
        object_ids: Sequence[int],
        results: Sequence[SegmentResult],
        seconds: float,
    ) -> _Segmented:
        from masklet.masks.operations import mask_box_xyxy

        rows = []
        for object_id, result in zip(object_ids, results, strict=True):
            for candidate in range(CANDIDATES if self.multimask else 1):
                mask = result.masks[candidate]
                box = mask_box_xyxy(mask)
                outputs = {
                    kind: path
                    for (kind, owner, number), path in job.paths.items()
                    if owner == object_id and number == candidate
                }
                rows.append(
                    _Row(
                        object_id=object_id,
                        candidate=candidate,
                        iou_prediction=float(result.iou_predictions[candidate]),
                        confidence=float(result.confidences[candidate]),
                        object_score=result.object_score,
                        area=int(mask.sum()),
                        box_xyxy=None if box is None else tuple(box.tolist()),
                        outputs=outputs,
                    )
                )
        overlays = tuple(path for (kind, _, _), path in job.paths.items() if kind == "overlay")
        return _Segmented(job.image, (rgb.shape[0], rgb.shape[1]), tuple(rows), overlays, seconds)


def _rows(object_ids: Sequence[int], results: Sequence[SegmentResult]) -> list[list[MaskRow]]:
    """Return the masks as rows, by candidate and object."""
    from masklet.tracking.mask_rows import given_row

    return [
        [
            given_row(
                0,
                object_id,
                result.masks[candidate],
                iou_prediction=float(result.iou_predictions[candidate]),
                object_score=result.object_score,
                confidence=float(result.confidences[candidate]),
            )
            for object_id, result in zip(object_ids, results, strict=True)
        ]
        for candidate in range(min(len(result.masks) for result in results))  # a single click has more than a box
    ]


def _print_summary(images: Sequence[_Segmented], all_candidates: bool) -> None:
    rows = []
    for done in images:
        height, width = done.size_hw
        for number, row in enumerate(done.rows):
            first = (str(done.image), f"{width} x {height}", f"{done.seconds:.2f}") if number == 0 else ("", "", "")
            name = f"{row.object_id}" + (f" ({row.candidate + 1} of {CANDIDATES})" if all_candidates else "")
            covered = f"{row.area / (height * width) * 100:.1f} %"
            rows.append((*first, name, f"{row.confidence:.2f}", covered, _in_words(row.box_xyxy)))
    print_table(("image", "size", "seconds", "object", "confidence", "area", "box"), rows, left=("image",))


def _in_words(box_xyxy: tuple[float, ...] | None) -> str:
    return "nothing found" if box_xyxy is None else ",".join(f"{edge:.0f}" for edge in box_xyxy)
