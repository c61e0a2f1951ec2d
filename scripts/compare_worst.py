"""Draw the objects on which one model was worst, each next to another model's answer to the same click.

    python scripts/compare_worst.py BEFORE AFTER ROOT OUT.jpg --sources feral_cats,food_plates --without group0764_png

BEFORE and AFTER are models, as `--model` takes them. Objects are ranked by their IoU after one click with BEFORE, at
most one of each image. The pictures are those of `masklet evaluate clicks --worst`; those of AFTER are on the right.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import masklet
from masklet.datasets import ImageExample, open_datasets
from masklet.evaluation.clicks import evaluate_clicks
from masklet.evaluation.pictures import save_worst
from masklet.evaluation.report import ClicksReport
from masklet.media.images import read_image
from masklet.records import ByteArray

CELL_WH = (216, 250)
PAIRS_PER_ROW = 2
GAP = 6


def worst_objects(report: ClicksReport, count: int, without: Sequence[str]) -> list[tuple[str, int]]:
    """Return image and object id of the lowest IoUs, the worst first, one per image."""
    worst: dict[str, int] = {}
    for record in sorted(report.objects, key=lambda record: record.ious[0]):
        if Path(record.image).name not in without:
            worst.setdefault(record.image, record.object_id)
    return list(worst.items())[:count]


def draw(report: ClicksReport, images: Sequence[ImageExample], objects: Sequence[tuple[str, int]]) -> list[ByteArray]:
    """Return a picture of each object, in the order given."""
    records = {(record.image, record.object_id): record for record in report.objects}
    pictures = []
    for key in objects:
        with tempfile.TemporaryDirectory() as folder:
            (path,) = save_worst(replace(report, objects=(records[key],)), images, folder)
            pictures.append(read_image(path))
    return pictures


def fit(picture: ByteArray) -> ByteArray:
    """Shrink a picture to a cell, with a black margin where its shape differs."""
    image = Image.fromarray(picture)
    image.thumbnail(CELL_WH, Image.Resampling.LANCZOS)
    cell = Image.new("RGB", CELL_WH)
    cell.paste(image, ((CELL_WH[0] - image.width) // 2, (CELL_WH[1] - image.height) // 2))
    return np.array(cell)


def sheet(before: Sequence[ByteArray], after: Sequence[ByteArray]) -> ByteArray:
    """Arrange pairs of pictures in rows, with white lines between the pairs."""
    pairs = [np.hstack([fit(left), fit(right)]) for left, right in zip(before, after, strict=True)]
    pairs += [np.full_like(pairs[0], 255)] * (-len(pairs) % PAIRS_PER_ROW)
    column = np.full((CELL_WH[1], GAP, 3), 255, np.uint8)
    rows = []
    for start in range(0, len(pairs), PAIRS_PER_ROW):
        parts = [part for pair in pairs[start : start + PAIRS_PER_ROW] for part in (column, pair)][1:]
        rows.append(np.hstack(parts))
        rows.append(np.full((GAP, rows[0].shape[1], 3), 255, np.uint8))
    return np.vstack(rows[:-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sources", help="only these sources of ROOT, as in a,b,c")
    parser.add_argument("--without", default="", help="images that are not drawn, such as those with people, as in a,b")
    parser.add_argument("--count", type=int, default=10)
    options = parser.parse_args()
    sources = None if options.sources is None else options.sources.split(",")
    images = open_datasets(options.root).need_images()
    reports = [
        evaluate_clicks(masklet.load(model).engine, options.root, clicks=1, box=False, sources=sources)
        for model in (options.before, options.after)
    ]
    objects = worst_objects(reports[0], options.count, options.without.split(","))
    for image, object_id in objects:
        ious = [
            record.ious[0]
            for report in reports
            for record in report.objects
            if (record.image, record.object_id) == (image, object_id)
        ]
        print(f"{image} object {object_id}: {ious[0]:.3f} before, {ious[1]:.3f} after")
    page = sheet(*(draw(report, images, objects) for report in reports))
    Image.fromarray(page).save(options.out, quality=80, optimize=True)


if __name__ == "__main__":
    main()
