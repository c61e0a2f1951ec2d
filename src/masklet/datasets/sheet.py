"""A contact sheet: one picture that shows what a data set holds, drawn from all of its sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from masklet.datasets.records import ClipExample, Dataset, ImageExample, Labels, T, by_source
from masklet.errors import MaskletError
from masklet.masks.drawing import draw_overlay
from masklet.records import BoolArray, ByteArray

WIDTH = 1600
"""Pixels of the sheet."""
ROW_HEIGHT = 210
"""Usual height of a row in pixels; each row is scaled to fill the width."""
MARGIN, GAP, CAPTION, HEADER = 28, 12, 24, 92
CLIP_FRAMES = 4
MAX_MASKS = 60
"""Most objects painted in one tile; the largest are taken."""

PAPER, INK, FAINT, ACCENT, MISSING = (17, 20, 26), (236, 239, 244), (139, 148, 162), (94, 190, 255), (44, 34, 38)


@dataclass(frozen=True, slots=True)
class _Tile:
    picture: ByteArray
    """(H, W, 3) at any size."""
    caption: str
    detail: str


def contact_sheet(data: Dataset, *, count: int = 24) -> ByteArray:
    """Draw examples of a data set with their objects in colour and void hatched.

    Args:
        data: the examples are spread evenly over it, with at least one of each source as long as there is room.
        count: how many at most.

    Returns:
        (H, W, 3) uint8 RGB, `WIDTH` wide.
    """
    tiles = [_image_tile(example) for example in _choose(data.images, count if not data.clips else count * 2 // 3)]
    tiles += [_clip_tile(clip) for clip in _choose(data.clips, max(1, (count - len(tiles)) // 3))]
    rows = _justify(tiles)
    height = HEADER + sum(row_height + CAPTION + GAP for _, row_height in rows) + MARGIN
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, 26), data.root.resolve().name, fill=INK, font=_font(30))
    pen.text((WIDTH - MARGIN, 30), _summary(data), fill=FAINT, font=_font(17), anchor="ra")
    pen.line((MARGIN, HEADER - 18, WIDTH - MARGIN, HEADER - 18), fill=(45, 51, 62), width=1)
    top = HEADER
    for row, row_height in rows:
        x = MARGIN
        for column, tile in enumerate(row):
            width = round(row_height * tile.picture.shape[1] / tile.picture.shape[0])
            if column == len(row) - 1 and len(row) > 1 and abs(x + width - (WIDTH - MARGIN)) < GAP:
                width = WIDTH - MARGIN - x  # rounding must not show at the edge
            _place(sheet, tile, (x, top), (width, row_height))
            x += width + GAP
        top += row_height + CAPTION + GAP
    return np.asarray(sheet)


def _summary(data: Dataset) -> str:
    parts = [f"{len(data.images):,} images"] if data.images else []
    parts += [f"{len(data.clips):,} clips"] if data.clips else []
    sources = data.sources()
    return "   ".join([*parts, f"{len(sources)} sources" if len(sources) > 1 else "", f"layout {data.layout}"]).strip()


def _choose(examples: Sequence[T], count: int) -> list[T]:
    """Choose examples evenly over the sources, and evenly within each."""
    groups = list(by_source(examples).values())
    count = min(count, len(examples))
    shares = [0] * len(groups)
    while sum(shares) < count:
        for row, group in enumerate(groups):
            if shares[row] < len(group) and sum(shares) < count:
                shares[row] += 1
    return [
        group[(2 * number + 1) * len(group) // (2 * share)]
        for group, share in zip(groups, shares, strict=True)
        for number in range(share)
    ]


def _image_tile(image: ImageExample) -> _Tile:
    try:
        rgb, labels = image.read()
    except MaskletError as error:
        return _missing(image.name, str(error))
    return _Tile(_painted(rgb, labels), image.name, _count(len(labels.object_ids), "object"))


def _clip_tile(clip: ClipExample) -> _Tile:
    """Return a strip of labelled frames, from the first to the last."""
    labelled = clip.labelled_frames
    if not labelled:
        return _missing(clip.name, "no labelled frame")
    rows = np.linspace(0, len(labelled) - 1, min(CLIP_FRAMES, len(labelled))).round().astype(int)
    indices = [labelled[row] for row in dict.fromkeys(rows.tolist())]
    try:
        pairs = clip.read(indices)
    except MaskletError as error:
        return _missing(clip.name, str(error))
    painted = [_painted(rgb, labels) for rgb, labels in pairs]
    height, width = painted[0].shape[:2]
    seam = np.full((height, max(2, width // 120), 3), PAPER, np.uint8)
    strip = [part for picture in painted for part in (seam, picture)][1:]
    objects = {object_id for _, labels in pairs for object_id in labels.object_ids}
    detail = f"{_count(len(objects), 'object')}, {_count(clip.num_frames, 'frame')}"
    return _Tile(np.concatenate(strip, axis=1), clip.name, detail)


def _painted(rgb: ByteArray, labels: Labels) -> ByteArray:
    """Paint the objects at about the size of a tile, so that outlines are equally thick in all tiles."""
    scale = min(1.0, 2 * ROW_HEIGHT / rgb.shape[0])
    height, width = (max(8, round(side * scale)) for side in rgb.shape[:2])
    areas = labels.areas()
    kept = sorted(areas, key=lambda object_id: -areas[object_id])[:MAX_MASKS]
    small = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    if labels.void is not None:
        small = _hatched(small, _resized(labels.void, height, width))
    if not kept:
        return small
    masks = np.stack([_resized(labels.mask(object_id), height, width) for object_id in kept])
    return draw_overlay(small, masks, kept, labels=False)


def _resized(mask: BoolArray, height: int, width: int) -> BoolArray:
    return np.asarray(cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0)


def _hatched(rgb: ByteArray, void: BoolArray) -> ByteArray:
    """Return the image with grey stripes on void."""
    rows, columns = np.indices(void.shape)
    stripe = (rows + columns) % 14 < 5
    hatched = rgb.copy()
    hatched[void] = (0.45 * rgb[void] + 0.55 * 70).astype(np.uint8)
    hatched[void & stripe] = (0.5 * rgb[void & stripe] + 0.5 * 205).astype(np.uint8)
    return hatched


def _missing(name: str, message: str) -> _Tile:
    picture = Image.new("RGB", (420, 320), MISSING)
    pen = ImageDraw.Draw(picture)
    words, line, lines = message.split(), "", []
    for word in words:
        if len(line) + len(word) > 40:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    pen.text((22, 24), "cannot be shown", fill=(255, 132, 132), font=_font(24))
    pen.multiline_text((22, 70), "\n".join([*lines, line][:9]), fill=FAINT, font=_font(17), spacing=6)
    return _Tile(np.asarray(picture), name, "")


def _justify(tiles: Sequence[_Tile]) -> list[tuple[list[_Tile], int]]:
    """Return rows of tiles that fill the width, each with its height; the last row keeps the usual height."""
    rows: list[tuple[list[_Tile], int]] = []
    row: list[_Tile] = []
    room = WIDTH - 2 * MARGIN
    for tile in tiles:
        row.append(tile)
        aspect = sum(member.picture.shape[1] / member.picture.shape[0] for member in row)
        height = (room - GAP * (len(row) - 1)) / aspect
        if height <= ROW_HEIGHT * 1.15:
            rows.append((row, round(height)))
            row = []
    if row:
        rows.append((row, ROW_HEIGHT))
    return rows


def _place(sheet: Image.Image, tile: _Tile, corner_xy: tuple[int, int], size_wh: tuple[int, int]) -> None:
    left, top = corner_xy
    picture = Image.fromarray(tile.picture).resize(size_wh, Image.Resampling.LANCZOS)
    corners = Image.new("L", (size_wh[0] * 2, size_wh[1] * 2), 0)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, corners.width - 1, corners.height - 1), radius=14, fill=255)
    sheet.paste(picture, corner_xy, corners.resize(size_wh, Image.Resampling.LANCZOS))
    pen = ImageDraw.Draw(sheet)
    font = _font(14)
    baseline = top + size_wh[1] + 5
    detail_width = pen.textlength(tile.detail, font=font)
    room = size_wh[0] - detail_width - 14
    if room < 60:  # a narrow tile shows its name alone
        detail_width, room = 0.0, float(size_wh[0])
    pen.text((left + 2, baseline), _shortened(pen, tile.caption, font, room), fill=FAINT, font=font)
    if detail_width:
        pen.text((left + size_wh[0] - 2, baseline), tile.detail, fill=ACCENT, font=font, anchor="ra")


def _shortened(
    pen: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float
) -> str:
    if pen.textlength(text, font=font) <= room:
        return text
    while text and pen.textlength(f"...{text}", font=font) > room:
        text = text[1:]
    return f"...{text}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
