"""Pictures of the worst cases of a report: what was predicted, what was true, and where the clicks went."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from masklet.datasets import ClipExample, ImageExample, Labels
from masklet.evaluation.discovery_records import DiscoveryReport, ObjectDiscovery
from masklet.evaluation.metrics import Click
from masklet.evaluation.records import ImageMasks, ObjectClicks, ObjectRounds, ObjectTrack
from masklet.evaluation.report import ClicksReport, EvaluationReport, EverythingReport, InteractiveReport, VosReport
from masklet.masks.rle import CocoRle, decode_rle, rle_ious
from masklet.media.images import write_image
from masklet.records import BoolArray, ByteArray

Example = ImageExample | ClipExample
Color = tuple[int, int, int]

MIN_SIDE, MAX_SIDE = 400, 1200
"""Small images are enlarged until clicks can be told apart, large ones shrunk."""
SHOWN_CLICKS = 6
"""Scores after further clicks would not fit under a small picture."""
FOUND_IOU = 0.5
"""An object counts as found in a picture if an automatic mask reaches this IoU."""

_PREDICTED = (45, 130, 255)
_TRUTH = (255, 214, 10)
_FOREGROUND = (40, 200, 90)
_BACKGROUND = (240, 60, 60)


def save_worst(
    report: EvaluationReport, examples: Sequence[Example], folder: str | Path, *, count: int = 20
) -> list[Path]:
    """Draw what scored lowest, the worst first: one PNG each.

    Clicks are ranked by IoU after the last click; tracks by J&F, and shown on their worst frame, as are the best tracks
    of objects that were found without prompts; automatic masks by the recall of the image.

    Args:
        report: of an evaluation.
        examples: the images or clips that it was of: they are read again.
        folder: made if missing; pictures of the same name are replaced.
        count: pictures at most.

    Returns:
        The files written.

    Raises:
        DataError: an image or mask has gone since the evaluation.
        OutputError: the folder cannot be written.
    """
    by_name = {example.name: example for example in examples}
    cases = sorted(_cases(report), key=lambda case: case.score)[:count]
    paths = []
    for rank, case in enumerate(cases, start=1):
        name = re.sub(r"[^\w.-]+", "-", f"{rank:02d}_{case.name}")
        paths.append(write_image(Path(folder) / f"{name}.png", _draw(case, by_name[case.example])))
    return paths


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    """Name of the file."""
    title: str
    caption: str
    score: float
    example: str
    """Name of the image or clip."""
    object_id: int = 0
    predicted: CocoRle | None = None
    """The predicted mask of one object, or None where `everything` is drawn."""
    everything: ImageMasks | None = None
    frame_index: int = 0
    clicks: tuple[Click, ...] = ()
    merged: bool = False
    """The object is all of them."""


def _cases(report: EvaluationReport) -> list[_Case]:
    if isinstance(report, ClicksReport):
        return [_click_case(record) for record in report.objects]
    if isinstance(report, VosReport):
        merged = bool(report.settings.get("rules", {}).get("merge", False))
        return [_track_case(track, merged) for track in report.tracks]
    if isinstance(report, InteractiveReport):
        return [_rounds_case(record) for record in report.objects]
    if isinstance(report, DiscoveryReport):
        return [_discovery_case(clip.clip, found) for clip in report.clips for found in clip.objects]
    assert isinstance(report, EverythingReport)
    return [
        _everything_case(image, report.image_recalls[image.image])
        for image in report.images
        if image.image in report.image_recalls
    ]


def _click_case(record: ObjectClicks) -> _Case:
    ious = ", ".join(f"{iou * 100:.0f}" for iou in record.ious[:SHOWN_CLICKS])
    if len(record.ious) > SHOWN_CLICKS:
        ious += f" ... {record.ious[-1] * 100:.0f} after {len(record.ious)} clicks"
    box = "" if record.box_iou is None else f", box {record.box_iou * 100:.0f}"
    return _Case(
        name=f"{record.source}_{Path(record.image).name}_{record.object_id}",
        title=f"{record.image} object {record.object_id}",
        caption=f"IoU {ious}{box}",
        score=record.ious[-1],
        example=record.image,
        object_id=record.object_id,
        predicted=record.predicted,
        clicks=record.clicks,
    )


def _track_case(track: ObjectTrack, merged: bool) -> _Case:
    score = track.scores["J&F"]
    return _Case(
        name=f"{track.clip}_{track.worst.frame_index:05d}_{track.object_id}",
        title=f"{track.clip} object {track.object_id}",
        caption=f"J&F {score * 100:.0f}, {track.worst.score * 100:.0f} on frame {track.worst.frame_index}",
        score=score,
        example=track.clip,
        object_id=track.object_id,
        predicted=track.worst.predicted,
        frame_index=track.worst.frame_index,
        merged=merged,
    )


def _rounds_case(record: ObjectRounds) -> _Case:
    curve = ", ".join(f"{after.score * 100:.0f}" for after in record.rounds)
    return _Case(
        name=f"{record.clip}_{record.worst.frame_index:05d}_{record.object_id}",
        title=f"{record.clip} object {record.object_id}",
        caption=f"J&F {curve}; in the end {record.worst.score * 100:.0f} on frame {record.worst.frame_index}",
        score=record.rounds[-1].score,
        example=record.clip,
        object_id=record.object_id,
        predicted=record.worst.predicted,
        frame_index=record.worst.frame_index,
    )


def _discovery_case(clip: str, found: ObjectDiscovery) -> _Case:
    score = found.scores["best_track_J&F"]
    track = "no track" if found.track_id is None else f"track {found.track_id}"
    return _Case(
        name=f"{clip}_{found.worst.frame_index:05d}_{found.object_id}",
        title=f"{clip} object {found.object_id}, {track}",
        caption=f"J&F {score * 100:.0f}, {found.worst.score * 100:.0f} on frame {found.worst.frame_index}",
        score=score,
        example=clip,
        object_id=found.object_id,
        predicted=found.worst.predicted,
        frame_index=found.worst.frame_index,
    )


def _everything_case(image: ImageMasks, recall: float) -> _Case:
    return _Case(
        name=f"{image.source}_{Path(image.image).name}",
        title=image.image,
        caption=f"AR@1000 {recall * 100:.0f}, {len(image.found)} masks",
        score=recall,
        example=image.image,
        everything=image,
    )


def _draw(case: _Case, example: Example) -> ByteArray:
    if isinstance(example, ClipExample):
        ((rgb, labels),) = example.read([case.frame_index])
    else:
        rgb, labels = example.read()
    scale = min(max(1.0, MIN_SIDE / min(rgb.shape[:2])), MAX_SIDE / max(rgb.shape[:2]))
    canvas = _scaled(rgb, scale)
    void = labels.void
    if void is not None:
        dark = _scaled_mask(void, scale)
        canvas[dark] = canvas[dark] // 3
    if case.everything is not None:
        legend = _paint_everything(canvas, case.everything, scale)
    else:
        legend = _paint_object(canvas, case, labels, scale)
    return _captioned(canvas, case, legend, scale)


Legend = Sequence[tuple[str, Color]]


def _paint_object(canvas: ByteArray, case: _Case, labels: Labels, scale: float) -> Legend:
    assert case.predicted is not None
    object_ids = labels.object_ids if case.merged else (case.object_id,)
    truth = np.zeros(labels.size_hw, np.bool_)
    for object_id in object_ids:
        truth |= labels.mask(object_id)
    _tint(canvas, _scaled_mask(decode_rle(case.predicted), scale))
    _outline(canvas, _scaled_mask(truth, scale), _TRUTH)
    return ("predicted", _PREDICTED), ("true outline", _TRUTH)


def _paint_everything(canvas: ByteArray, image: ImageMasks, scale: float) -> Legend:
    """The best mask of each object, and the true outlines of those found and those missed."""
    truth = [mask.rle for mask in image.truth if not mask.ignored]
    rles = [mask.rle for mask in image.found]
    ious = rle_ious(rles, truth)
    missed = ious.max(axis=0, initial=0) < FOUND_IOU
    for best in ious[:, ~missed].argmax(axis=0) if rles else ():
        _tint(canvas, _scaled_mask(decode_rle(rles[int(best)]), scale))
    for column, rle in enumerate(truth):
        _outline(canvas, _scaled_mask(decode_rle(rle), scale), _BACKGROUND if missed[column] else _FOREGROUND)
    return ("best mask", _PREDICTED), ("found", _FOREGROUND), ("missed", _BACKGROUND)


def _tint(canvas: ByteArray, mask: BoolArray) -> None:
    canvas[mask] = (canvas[mask] * 0.5 + np.array(_PREDICTED) * 0.5).astype(np.uint8)


def _outline(canvas: ByteArray, mask: BoolArray, color: Color) -> None:
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, color, 2, cv2.LINE_AA)


def _captioned(canvas: ByteArray, case: _Case, legend: Legend, scale: float) -> ByteArray:
    height, width = canvas.shape[:2]
    font = ImageFont.load_default(size=15)
    page = Image.new("RGB", (width, height + 72), (20, 20, 24))
    page.paste(Image.fromarray(canvas))
    draw = ImageDraw.Draw(page)
    for number, click in enumerate(case.clicks, start=1):
        x, y = (click.x + 0.5) * scale, (click.y + 0.5) * scale
        color = _FOREGROUND if click.label else _BACKGROUND
        draw.ellipse((x - 10, y - 10, x + 10, y + 10), fill=color, outline="white", width=2)
        draw.text((x, y), str(number), fill="white", font=font, anchor="mm")
    draw.text((8, height + 5), case.title, fill="white", font=font)
    draw.text((8, height + 27), case.caption, fill="white", font=font)
    x = 8.0
    for text, color in legend:
        draw.text((x, height + 49), text, fill=color, font=font)
        x += draw.textlength(text, font=font) + 16
    return np.array(page)


def _scaled(rgb: ByteArray, scale: float) -> ByteArray:
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.array(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=interpolation), dtype=np.uint8)


def _scaled_mask(mask: BoolArray, scale: float) -> BoolArray:
    plain = np.ascontiguousarray(mask).view(np.uint8)
    resized = cv2.resize(plain, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    scaled: BoolArray = resized > 0
    return scaled
