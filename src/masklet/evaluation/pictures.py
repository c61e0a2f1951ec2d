"""Pictures of the worst cases of a report: what was predicted, what was true, and where the clicks went."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from masklet.evaluation.data import ImageSample
from masklet.evaluation.metrics import Click
from masklet.evaluation.report import ClicksReport, VosReport
from masklet.images import write_image
from masklet.masks import CocoRle, decode_rle
from masklet.records import BoolArray, ByteArray

MIN_SIDE, MAX_SIDE = 400, 1200
"""Small images are enlarged until clicks can be told apart, large ones shrunk."""

_PREDICTED = (45, 130, 255)
_TRUTH = (255, 214, 10)
_FOREGROUND = (40, 200, 90)
_BACKGROUND = (240, 60, 60)


def save_worst(report: ClicksReport | VosReport, folder: str | Path, *, count: int = 20) -> list[Path]:
    """Draw the objects that scored lowest, the worst first: one PNG each.

    Clicks are ranked by IoU after the last click; tracks by J&F, and shown on their worst frame.

    Args:
        report: fresh from an evaluation; the image files are read again.
        folder: made if missing; pictures of the same name are replaced.
        count: pictures at most.

    Returns:
        The files written.

    Raises:
        DataError, ImageError: an image or mask has gone since the evaluation.
        OutputError: the folder cannot be written.
    """
    cases = _click_cases(report) if isinstance(report, ClicksReport) else _track_cases(report)
    cases = sorted(cases, key=lambda case: case.score)[:count]
    paths = []
    for rank, case in enumerate(cases, start=1):
        name = re.sub(r"[^\w.-]+", "-", f"{rank:02d}_{case.name}_{case.object_id}")
        paths.append(write_image(Path(folder) / f"{name}.png", _draw(case)))
    return paths


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    caption: str
    score: float
    sample: ImageSample
    object_id: int
    predicted: CocoRle
    clicks: tuple[Click, ...] = ()


def _click_cases(report: ClicksReport) -> list[_Case]:
    return [
        _Case(
            name=f"{record.source}_{Path(record.image_path).stem}",
            caption=f"{record.source} {Path(record.image_path).name} object {record.object_id}: IoU "
            + ", ".join(f"{iou * 100:.0f}" for iou in record.ious)
            + ("" if record.box_iou is None else f", box {record.box_iou * 100:.0f}"),
            score=record.ious[-1],
            sample=ImageSample(Path(record.image_path), Path(record.mask_path)),
            object_id=record.object_id,
            predicted=record.predicted,
            clicks=record.clicks,
        )
        for record in report.objects
    ]


def _track_cases(report: VosReport) -> list[_Case]:
    return [
        _Case(
            name=f"{track.clip}_{track.worst.frame_index:05d}",
            caption=f"{track.clip} object {track.object_id}: J&F {track.scores['J&F'] * 100:.0f}, "
            f"{track.worst.score * 100:.0f} on frame {track.worst.frame_index}",
            score=track.scores["J&F"],
            sample=ImageSample(Path(track.worst.image_path), Path(track.worst.mask_path)),
            object_id=track.object_id,
            predicted=track.worst.predicted,
        )
        for track in report.tracks
    ]


def _draw(case: _Case) -> ByteArray:
    rgb, labels = case.sample.read()
    scale = min(max(1.0, MIN_SIDE / min(rgb.shape[:2])), MAX_SIDE / max(rgb.shape[:2]))
    canvas = _scaled(rgb, scale)
    predicted = _scaled_mask(decode_rle(case.predicted), scale)
    truth = _scaled_mask(labels.mask(case.object_id), scale)
    if labels.void is not None:
        void = _scaled_mask(labels.void, scale)
        canvas[void] = canvas[void] // 3
    canvas[predicted] = (canvas[predicted] * 0.5 + np.array(_PREDICTED) * 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(truth.view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.drawContours(canvas, contours, -1, _TRUTH, 2, cv2.LINE_AA)
    return _captioned(canvas, case.caption, case.clicks, scale)


def _captioned(canvas: ByteArray, caption: str, clicks: Sequence[Click], scale: float) -> ByteArray:
    height, width = canvas.shape[:2]
    font = ImageFont.load_default(size=15)
    page = Image.new("RGB", (width, height + 50), (20, 20, 24))
    page.paste(Image.fromarray(canvas))
    draw = ImageDraw.Draw(page)
    for number, click in enumerate(clicks, start=1):
        x, y = (click.x + 0.5) * scale, (click.y + 0.5) * scale
        colour = _FOREGROUND if click.label else _BACKGROUND
        draw.ellipse((x - 10, y - 10, x + 10, y + 10), fill=colour, outline="white", width=2)
        draw.text((x, y), str(number), fill="white", font=font, anchor="mm")
    draw.text((8, height + 5), caption, fill="white", font=font)
    x = 8.0
    for text, colour in (("predicted", _PREDICTED), ("true outline", _TRUTH)):
        draw.text((x, height + 27), text, fill=colour, font=font)
        x += draw.textlength(text, font=font) + 16
    return np.array(page)


def _scaled(rgb: ByteArray, scale: float) -> ByteArray:
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.array(cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=interpolation), dtype=np.uint8)


def _scaled_mask(mask: BoolArray, scale: float) -> BoolArray:
    resized = cv2.resize(mask.view(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    scaled: BoolArray = resized > 0
    return scaled
