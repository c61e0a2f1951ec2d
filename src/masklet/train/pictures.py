"""Pictures of predictions for a few objects: the truth, then the answers to a click and to a box."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from masklet.engine.protocol import Engine
from masklet.evaluation.metrics import next_click
from masklet.masks.drawing import draw_overlay
from masklet.masks.operations import mask_box_xyxy, mask_iou
from masklet.media.images import write_image
from masklet.prompts import Prompt
from masklet.records import BoolArray, ByteArray
from masklet.segmentation.segmenter import Segmenter

TILE = 256
"""Side of one picture in a sheet, pixels."""
_CAPTION = 22
_FONT_SIZE = 13


def draw_predictions(
    engine: Engine[Any], objects: Sequence[tuple[ByteArray, BoolArray]], path: str | Path, title: str
) -> Path:
    """Draw a sheet with a row per object: truth, the answer to a click at its centre, the answer to its tight box.

    Args:
        engine: the model.
        objects: images (H, W, 3) and a mask (h, w) of one object in each, of any size.
        path: the PNG to write.
        title: above the sheet.

    Raises:
        OutputError: `path` is not writable.
    """
    segmenter = Segmenter(engine)
    rows = []
    for rgb, small in objects:
        truth = cv2.resize(small.astype(np.uint8), (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_NEAREST) > 0
        click = next_click(np.zeros_like(truth), truth)
        if click is None:
            continue
        image = segmenter.set_image(rgb)
        prompts = (
            Prompt.create(points_xy=[(click.x, click.y)]),
            Prompt.create(box_xyxy=mask_box_xyxy(truth)),
        )
        tiles = [_tile(rgb, truth, "truth", None)]
        for name, prompt, multimask in zip(("click", "box"), prompts, (True, False), strict=True):
            mask = image.predict_many([prompt], multimask=multimask)[0].mask
            tiles.append(_tile(rgb, mask, f"{name}: IoU {mask_iou(mask, truth):.2f}", prompt))
        rows.append(np.concatenate(tiles, axis=1))
    return write_image(path, _titled(np.concatenate(rows), title))


def draw_batch(rgb: torch.Tensor, masks: torch.Tensor, path: str | Path, title: str) -> Path:
    """Draw a training batch, (B, S, S, 3) with (B, K, S/2, S/2), or with a time axis the first frame of its clips."""
    if rgb.ndim == 5:
        rgb, masks = rgb[:, 0], masks[:, :, 0]
    tiles = []
    for image, objects in zip(rgb.cpu().numpy(), masks.cpu().numpy(), strict=True):
        large = np.repeat(np.repeat(objects, 2, axis=1), 2, axis=2)
        ids = list(range(1, len(large) + 1))
        overlay = draw_overlay(image, large, ids)
        tiles.append(cv2.resize(overlay, (TILE, TILE), interpolation=cv2.INTER_AREA))
    columns = min(4, len(tiles))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    return write_image(path, _titled(np.concatenate(rows), title))


def _tile(rgb: ByteArray, mask: BoolArray, caption: str, prompt: Prompt | None) -> ByteArray:
    prompts = None if prompt is None else {1: prompt}
    overlay = draw_overlay(rgb, mask[None], [1], prompts=prompts, labels=False)
    scale = TILE / max(overlay.shape[:2])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(overlay, None, fx=scale, fy=scale, interpolation=interpolation)
    page = Image.new("RGB", (TILE, TILE + _CAPTION), (20, 20, 24))
    page.paste(Image.fromarray(small), ((TILE - small.shape[1]) // 2, (TILE - small.shape[0]) // 2))
    ImageDraw.Draw(page).text((6, TILE + 3), caption, fill="white", font=ImageFont.load_default(size=_FONT_SIZE))
    return np.array(page)


def _titled(sheet: ByteArray, title: str) -> ByteArray:
    page = Image.new("RGB", (sheet.shape[1], sheet.shape[0] + _CAPTION), (20, 20, 24))
    page.paste(Image.fromarray(sheet), (0, _CAPTION))
    ImageDraw.Draw(page).text((6, 3), title, fill="white", font=ImageFont.load_default(size=_FONT_SIZE))
    return np.array(page)
