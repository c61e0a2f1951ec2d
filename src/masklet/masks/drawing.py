"""Overlays that one likes to look at: tinted objects, crisp outlines, labels, clicks and boxes.

Everything about a mask's look (tint, line, halo) is a function of the distance to its edge, so each mask is painted
with one blur and one table, within its own box. Sizes follow the image: 1 unit is a pixel at 854 x 480.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from masklet.prompts import PointLabel, Prompt
from masklet.records import BoolArray, ByteArray

Color = tuple[int, int, int]

PALETTE: tuple[Color, ...] = (
    (30, 144, 255),  # blue
    (255, 138, 0),  # orange
    (0, 200, 150),  # teal
    (255, 64, 160),  # pink
    (255, 214, 10),  # yellow
    (140, 92, 255),  # violet
    (255, 69, 58),  # red
    (70, 215, 255),  # sky
    (160, 225, 50),  # lime
    (190, 120, 70),  # brown
    (220, 130, 255),  # orchid
    (0, 110, 130),  # petrol
)
"""RGB. Neighbours differ in lightness as well as in hue, so that they also differ to colour-blind eyes."""

POSITIVE: Color = (40, 200, 80)
NEGATIVE: Color = (235, 50, 50)

_TINT = 0.4  # opacity of the fill
_LINE = 2.0  # width, units
_HALO = 1.3  # width on the outer side, units
_HALO_OPACITY = 0.55
_SOFTNESS = 1.15  # sigma of the blur that stands for the distance, units
_TEXT = 14.0  # size of label text, units
_MAX_LABELS = 40
"""Beyond this many objects labels hide more than they tell."""
_MAX_NAME_CHARACTERS = 20


def color_of(object_id: int) -> Color:
    """RGB of an object: always the same for an id, and distinct for any 12 ids in a row."""
    return PALETTE[(object_id - 1) % len(PALETTE)]


def draw_overlay(
    rgb: ByteArray,
    masks: BoolArray,
    object_ids: Sequence[int],
    scores: Sequence[float] | NDArray[np.floating] | None = None,
    *,
    prompts: Mapping[int, Prompt] | None = None,
    statuses: Mapping[int, str] | None = None,
    labels: bool = True,
    colors: Mapping[int, Color] | None = None,
    names: Mapping[int, str] | None = None,
) -> ByteArray:
    """Draw objects over an image.

    Args:
        rgb: (H, W, 3), not changed.
        masks: (N, H, W); small objects are painted over large ones.
        object_ids: (N,) each decides a colour.
        scores: (N,) shown next to the ids.
        prompts: the user's prompts by object id: clicks (green plus, red minus) and boxes (dashed).
        statuses: a word to show in place of the score, by object id, such as "lost"; an object whose mask is empty
            then has its label in the corner.
        labels: whether to write ids and scores at all.
        colors: RGB by object id, where it is not that of `color_of`.
        names: words to show next to the ids, such as classes, by object id; long ones are cut.

    Returns:
        (H, W, 3) uint8.
    """
    if len(masks) != len(object_ids):
        raise ValueError(f"there must be as many object_ids as masks, got {len(masks)} and {len(object_ids)}")
    canvas = np.ascontiguousarray(rgb).copy()
    unit = _unit(rgb)
    statuses = statuses or {}
    colors = {object_id: color_of(object_id) for object_id in (*object_ids, *(prompts or {}))} | dict(colors or {})
    boxes = [cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8)) for mask in masks]
    by_size = sorted(range(len(masks)), key=lambda row: -boxes[row][2] * boxes[row][3])
    for row in by_size:
        if boxes[row][2]:
            _paint_mask(canvas, masks[row], boxes[row], colors[object_ids[row]], unit)
    for object_id, prompt in (prompts or {}).items():
        _draw_prompt(canvas, prompt, colors[object_id], unit)
    unit = max(1.0, unit)  # text smaller than this cannot be read
    if labels and len(masks) <= _MAX_LABELS:
        chips: list[ByteArray | None] = []
        for row, object_id in enumerate(object_ids):
            word = statuses.get(object_id) or (f"{float(scores[row]):.2f}" if scores is not None else "")
            is_labelled = bool(boxes[row][2]) or object_id in statuses
            text = " · ".join(part for part in (f"{object_id} {_short_name(names, object_id)}".strip(), word) if part)
            chips.append(_chip(text, colors[object_id], unit) if is_labelled else None)
        _place_chips(canvas, masks, boxes, chips, unit, prompts or {})
    return canvas


def _short_name(names: Mapping[int, str] | None, object_id: int) -> str:
    name = " ".join((names or {}).get(object_id, "").split())
    return name if len(name) <= _MAX_NAME_CHARACTERS else f"{name[: _MAX_NAME_CHARACTERS - 1]}…"


def draw_regions(rgb: ByteArray, labels: NDArray[np.int32], colors: Sequence[Color]) -> ByteArray:
    """Draw many regions that share the image among them, as on a map: no labels, and no tint over another.

    Args:
        rgb: (H, W, 3), not changed.
        labels: (H, W), the number of a region from 1 up; 0 stays as it is.
        colors: of regions 1, 2, ...; see `neighbor_colors`.

    Returns:
        (H, W, 3) uint8.
    """
    canvas = np.ascontiguousarray(rgb).copy()
    unit = _unit(rgb)
    for number, color in enumerate(colors, start=1):
        region = labels == number
        box = cv2.boundingRect(region.view(np.uint8))
        if box[2]:
            _paint_mask(canvas, region, box, color, unit)
    return canvas


def neighbor_colors(labels: NDArray[np.int32]) -> list[Color]:
    """RGB of regions 1, 2, ... of a map, so that neighbours differ as far as the palette reaches.

    Args:
        labels: (H, W), as in `draw_regions`.
    """
    small = labels[:: max(1, labels.shape[0] // 256), :: max(1, labels.shape[1] // 256)]
    neighbors: dict[int, set[int]] = {}
    for down, right in ((0, 1), (1, 0), (0, 4), (4, 0)):  # objects across a narrow gap are neighbours, too
        first = small[: small.shape[0] - down, : small.shape[1] - right]
        second = small[down:, right:]
        touching = first != second
        for first_id, other in np.unique(np.stack([first[touching], second[touching]]), axis=1).T.tolist():
            neighbors.setdefault(first_id, set()).add(other)
            neighbors.setdefault(other, set()).add(first_id)
    colors: list[Color] = []
    for number in range(1, int(labels.max(initial=0)) + 1):
        taken = {colors[other - 1] for other in neighbors.get(number, ()) if 1 <= other < number}
        turn = [color_of(number + offset) for offset in range(len(PALETTE))]
        colors.append(next((color for color in turn if color not in taken), turn[0]))
    return colors


def _unit(rgb: ByteArray) -> float:
    """Pixels per unit; rounded, so that the tables and labels that are made for it can be used again."""
    return max(0.75, round(math.sqrt(rgb.shape[0] * rgb.shape[1]) / 640 * 8) / 8)


def _paint_mask(canvas: ByteArray, mask: BoolArray, box: Sequence[int], color: Color, unit: float) -> None:
    height, width = mask.shape
    pad = math.ceil((_LINE / 2 + _HALO + 2) * unit)
    left, top = max(0, box[0] - pad), max(0, box[1] - pad)
    right, bottom = min(width, box[0] + box[2] + pad), min(height, box[1] + box[3] + pad)
    inside = mask[top:bottom, left:right].astype(np.uint8) * np.uint8(255)
    # A blurred edge is a function of the distance to it. Replicated borders keep the frame's edge free of a line.
    nearness = cv2.GaussianBlur(inside, (0, 0), _SOFTNESS * unit, borderType=cv2.BORDER_REPLICATE)
    nearness = cv2.merge([nearness] * 3)
    kept, added = _look(color, unit)
    region = canvas[top:bottom, left:right]
    region[...] = cv2.add(cv2.multiply(region, cv2.LUT(nearness, kept), scale=1 / 255), cv2.LUT(nearness, added))


@lru_cache(maxsize=64)
def _look(color: Color, unit: float) -> tuple[ByteArray, ByteArray]:
    """Tables by nearness (0 to 255): how much of the image is kept, and what is added; each (1, 256, 3)."""
    level = np.clip(np.arange(256) / 255, 1e-6, 1 - 1e-6)
    # nearness = normal distribution of the distance d (positive inside), hence its inverse
    distance = np.array([NormalDist().inv_cdf(value) for value in level]) * _SOFTNESS * unit
    half = _LINE / 2 * unit
    halo = np.clip(half + _HALO * unit + 0.5 - np.abs(distance), 0, 1) * (distance < 0) * _HALO_OPACITY
    fill = np.clip(distance + 0.5, 0, 1) * _TINT
    line = np.clip(half + 0.5 - np.abs(distance), 0, 1)
    added = np.zeros((256, 3))
    kept = np.ones(256)
    # Brighter than the fill, so that the edge of a mask shows on an object of the same colour.
    bright = tuple(round(value * 0.8 + 255 * 0.2) for value in color)
    for opacity, paint in ((halo, (10, 10, 14)), (fill, color), (line, bright)):
        added = added * (1 - opacity)[:, None] + opacity[:, None] * np.array(paint)
        kept = kept * (1 - opacity)
    kept_table = np.repeat(np.rint(kept * 255).astype(np.uint8)[None, :, None], 3, axis=2)
    return np.ascontiguousarray(kept_table), np.rint(added).astype(np.uint8)[None]


def _draw_prompt(canvas: ByteArray, prompt: Prompt, color: Color, unit: float) -> None:
    if prompt.box_xyxy is not None:
        _draw_dashed_box(canvas, prompt.box_xyxy.tolist(), color, unit)
    for (x, y), label in zip(*prompt.clicks, strict=True):
        _draw_click(canvas, x, y, label == PointLabel.FOREGROUND, unit)


def _draw_click(canvas: ByteArray, x: float, y: float, positive: bool, unit: float) -> None:
    """Draw a disc with a white ring and a plus or minus, at sub-pixel precision."""
    unit, bits = max(1.0, unit), 4
    center = (round(x * 2**bits), round(y * 2**bits))

    def disc(radius: float, color: Color) -> None:
        cv2.circle(canvas, center, round(radius * unit * 2**bits), color, -1, cv2.LINE_AA, bits)

    disc(8.2, (15, 15, 18))
    disc(7.4, (255, 255, 255))
    disc(6.0, POSITIVE if positive else NEGATIVE)
    arm, half = round(3.6 * unit * 2**bits), round(0.7 * unit * 2**bits)
    for dx, dy in ((arm, half), (half, arm)) if positive else ((arm, half),):
        corners = np.array([[-dx, -dy], [dx, -dy], [dx, dy], [-dx, dy]]) + center
        cv2.fillConvexPoly(canvas, corners.astype(np.int32), (255, 255, 255), cv2.LINE_AA, bits)


def _draw_dashed_box(canvas: ByteArray, box_xyxy: Sequence[float], color: Color, unit: float) -> None:
    left, top, right, bottom = (round(value) for value in box_xyxy)
    right, bottom = max(left, right - 1), max(top, bottom - 1)
    dash, gap = 9 * unit, 5 * unit
    thin = max(1, round(1.6 * unit))
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    for thickness, paint in ((thin + 2 * max(1, round(0.8 * unit)), (15, 15, 18)), (thin, color)):
        for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
            length = max(1.0, math.dist((x0, y0), (x1, y1)))
            # whole dashes, one at either end, so that the corners are closed
            count = max(1, round((length + gap) / (dash + gap)))
            stride = (length + gap) / count
            for number in range(count):
                first = number * stride / length
                last = min(1.0, first + (stride - gap) / length)
                start = (round(x0 + (x1 - x0) * first), round(y0 + (y1 - y0) * first))
                end = (round(x0 + (x1 - x0) * last), round(y0 + (y1 - y0) * last))
                cv2.line(canvas, start, end, paint, thickness, cv2.LINE_AA)


@lru_cache(maxsize=512)
def _chip(text: str, color: Color, unit: float) -> ByteArray:
    """Return a rounded label with a soft shadow, (h, w, 4) RGBA."""
    fine = 4  # Pillow draws shapes without antialiasing: draw everything larger
    font = _font(_TEXT * unit * fine)
    left, _, right, _ = font.getbbox(text)
    # The height is that of a digit for all texts, so that the labels of a frame are alike.
    _, digit_top, _, digit_bottom = font.getbbox("0")
    shadow = max(1, round(1.5 * unit))
    width = math.ceil((right - left) / fine + 12 * unit)
    height = math.ceil((digit_bottom - digit_top) / fine + 8 * unit)
    size = (width + 2 * shadow, height + 2 * shadow)

    def rounded(grow: float) -> Image.Image:
        shape = Image.new("L", (size[0] * fine, size[1] * fine), 0)
        edges = (shadow - grow, shadow - grow, shadow + width + grow, shadow + height + grow)
        x0, y0, x1, y1 = (round(edge * fine) for edge in edges)
        radius = round((height * 0.32 + grow) * fine)
        ImageDraw.Draw(shape).rounded_rectangle((x0, y0, x1 - 1, y1 - 1), radius=radius, fill=255)
        return shape.resize(size, Image.Resampling.BOX)

    letters = Image.new("L", (size[0] * fine, size[1] * fine), 0)
    x = (letters.width - (right - left)) / 2 - left
    y = (letters.height - (digit_bottom - digit_top)) / 2 - digit_top
    # Pillow ships the regular weight only; a stroke makes it a medium weight
    ImageDraw.Draw(letters).text((x, y), text, fill=255, font=font, stroke_width=max(1, round(0.3 * unit * fine)))
    ink = (255, 255, 255) if _luminance(color) < 0.36 else (12, 12, 16)

    chip = Image.new("RGBA", size, (10, 10, 14, 0))
    chip.putalpha(rounded(0.8 * unit).point([round(value * _HALO_OPACITY) for value in range(256)]))
    chip.paste(Image.new("RGBA", size, (*color, 255)), (0, 0), rounded(0))
    chip.paste(Image.new("RGBA", size, (*ink, 255)), (0, 0), letters.resize(size, Image.Resampling.BOX))
    return np.asarray(chip)


def _luminance(color: Color) -> float:
    """Relative luminance as in WCAG 2, in [0, 1]."""
    red, green, blue = (math.pow(value / 255, 2.2) for value in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@lru_cache(maxsize=16)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _place_chips(
    canvas: ByteArray,
    masks: BoolArray,
    boxes: Sequence[Sequence[int]],
    chips: Sequence[ByteArray | None],
    unit: float,
    prompts: Mapping[int, Prompt],
) -> None:
    """Put each label where it hides least: near its object, inside the frame, off other objects and labels."""
    height, width = canvas.shape[:2]
    taken: list[tuple[int, int, int, int]] = []
    for prompt in prompts.values():
        for x, y in prompt.clicks[0].tolist():
            reach = round(8 * unit)
            taken.append((round(x) - reach, round(y) - reach, round(x) + reach, round(y) + reach))
    corner_y = height
    for row, chip in enumerate(chips):
        if chip is None:
            continue
        chip_height, chip_width = chip.shape[:2]
        if chip_height > height or chip_width > width:
            continue
        left, top, box_width, box_height = boxes[row]
        if not box_width:  # an absent object that has a label
            corner_y -= chip_height
            spots = [(round(4 * unit), corner_y)]
        else:
            spots = _spots(left, top, left + box_width, top + box_height, chip_width, chip_height, unit)
        best, least = (0, 0), math.inf
        for rank, (wanted_x, wanted_y) in enumerate(spots):
            x = min(max(wanted_x, 0), width - chip_width)
            y = min(max(wanted_y, 0), height - chip_height)
            hidden = 0.15 * rank
            for other, mask in enumerate(masks):
                if boxes[other][2] and _overlap((x, y, x + chip_width, y + chip_height), _corners(boxes[other])):
                    share = np.count_nonzero(mask[y : y + chip_height, x : x + chip_width]) / (chip_height * chip_width)
                    hidden += share * (0.8 if other == row else 3)
            for rectangle in taken:
                hidden += 8 * _overlap((x, y, x + chip_width, y + chip_height), rectangle) / (chip_height * chip_width)
            if hidden < least:
                best, least = (x, y), hidden
        x, y = best
        taken.append((x, y, x + chip_width, y + chip_height))
        region = canvas[y : y + chip_height, x : x + chip_width]
        alpha = chip[:, :, 3:].astype(np.uint16)
        region[...] = (chip[:, :, :3] * alpha + region * (255 - alpha) + 127) // 255


def _spots(left: int, top: int, right: int, bottom: int, width: int, height: int, unit: float) -> list[tuple[int, int]]:
    """Yield top left corners of a label around and in a box, best first: above, below, to the side, then inside."""
    middle_x, middle_y = (left + right - width) // 2, (top + bottom - height) // 2
    gap = round(3 * unit)
    above, below = top - height - gap, bottom + gap
    return [
        (middle_x, above),
        (left, above),
        (right - width, above),
        (middle_x, below),
        (right + gap, middle_y),
        (left - width - gap, middle_y),
        (middle_x, top + gap),
        (middle_x, middle_y),
    ]


def _corners(box: Sequence[int]) -> tuple[int, int, int, int]:
    return box[0], box[1], box[0] + box[2], box[1] + box[3]


def _overlap(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> int:
    """Pixels that two rectangles (left, top, right, bottom) share."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(0, width) * max(0, height)
