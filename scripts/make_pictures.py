"""Make the README's pictures in `docs/pictures/` with masklet itself, from `examples/media`.

What is drawn is what the model answers to the clicks below, unretouched: where it errs, the picture shows it. With
`--run runs/brain`, the picture of docs/tutorials/fine-tuning.md is made instead, from the sheets that such
a training leaves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import masklet
from masklet.masks.drawing import draw_overlay
from masklet.media.images import read_image, write_image
from masklet.media.source import open_source
from masklet.prompts import Prompt
from masklet.records import ByteArray

ROOT = Path(__file__).parent.parent
MEDIA, PICTURES = ROOT / "examples" / "media", ROOT / "docs" / "pictures"

PHOTO = "cat.jpg"
PHOTO_PROMPTS = {1: Prompt.create(points_xy=[(220, 170)])}
CLIP = "bunny.mp4"
CLIP_PROMPTS = {1: Prompt.create(box_xyxy=(75, 90, 390, 410))}
CLIP_FRAMES = (0, 30, 60, 90)
CLIP_LEFT, CLIP_SIDE = 0, 480
"""The square of the frames that is shown: the rest is landscape."""
GAP = 12
SHEET_TITLE = 22
"""Pixels above a training's sheet, where its title is."""
SHEET_ROWS = 3


def photo(model: masklet.Model) -> ByteArray:
    """A photo with its click, and what is cut out, on white."""
    rgb = read_image(MEDIA / PHOTO)
    results = model.segmenter().set_image(rgb).predict_many(list(PHOTO_PROMPTS.values()))
    for object_id, result in zip(PHOTO_PROMPTS, results, strict=True):
        print(f"{PHOTO}, object {object_id}: predicted IoU {np.round(result.iou_predictions, 2)}")
    masks = np.stack([result.mask for result in results])
    scores = [float(result.iou_predictions[0]) for result in results]
    overlay = draw_overlay(rgb, masks, list(PHOTO_PROMPTS), scores, prompts=PHOTO_PROMPTS)
    alone = np.where(masks.any(0)[..., None], rgb, np.uint8(255))
    return np.hstack([overlay, np.full((rgb.shape[0], GAP, 3), 255, np.uint8), alone])


def strip(model: masklet.Model) -> ByteArray:
    """Frames of a tracked clip, side by side; the click is on the first."""
    pictures = []
    tracker = model.tracker()
    columns = slice(CLIP_LEFT, CLIP_LEFT + CLIP_SIDE)
    with open_source(MEDIA / CLIP) as source:
        for frame in source.frames(stop=max(CLIP_FRAMES) + 1):
            prompts = CLIP_PROMPTS if frame.index == 0 else {}
            masks = tracker.step(frame, prompts)
            if frame.index not in CLIP_FRAMES:
                continue
            drawn = draw_overlay(frame.rgb, masks.masks, masks.object_ids, prompts=prompts, labels=False)
            pictures.append(drawn[:, columns])
            mask = masks.mask(1)
            unseen = 1 - mask[:, columns].sum() / max(1, mask.sum())
            score = float(masks.iou_predictions[0])
            print(f"{CLIP}, frame {frame.index}: predicted IoU {score:.2f}, {unseen:.1%} of the mask is not shown")
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    return np.hstack([part for picture in pictures for part in (gap, picture)][1:])


def before_and_after(run: Path) -> ByteArray:
    """The first and the last sheet of a training, side by side: truth, a click before, a click and a box after."""
    sheets = sorted((run / "pictures").glob("*.png"))
    before, after = read_image(sheets[0]), read_image(sheets[-1])
    column = before.shape[1] // 3  # of truth, click and box
    shown = slice(0, SHEET_TITLE + SHEET_ROWS * (column + SHEET_TITLE))  # a caption is as high as the title
    page = Image.fromarray(np.hstack([before[shown, : 2 * column], after[shown, column:]]))
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, page.width, SHEET_TITLE - 1), fill=page.getpixel((0, SHEET_TITLE - 1)))
    trained = f"after {int(sheets[-1].stem)} steps"
    for number, title in enumerate(("what is meant", "nano", trained, trained)):
        pen.text((number * column + 6, 3), title, fill="white", font=ImageFont.load_default(size=13))
    return np.array(page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--out", type=Path, default=PICTURES)
    parser.add_argument(
        "--run", type=Path, help="make only the picture of docs/tutorials/fine-tuning.md, from this run"
    )
    given = parser.parse_args()
    if given.run is not None:
        print(f"wrote {write_image(given.out / 'finetune.jpg', before_and_after(given.run))}")
        return
    model = masklet.load(given.model)
    print(f"wrote {write_image(given.out / 'photo.jpg', photo(model))}")
    print(f"wrote {write_image(given.out / 'clip.jpg', strip(model))}")


if __name__ == "__main__":
    main()
