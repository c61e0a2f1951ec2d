"""Make the sample data set of docs/tutorials/fine-tuning.md: slices of a human brain, with white matter as masks.

The volume is the MNI ICBM152 template, an average of 152 MRI scans, with a map of white matter; both come inside the
PyPI package nilearn (pip install nilearn). 20 slices are for training; those half-way between them, and slices of
another direction, are for measuring.

    python scripts/make_finetune_sample.py brain/

Source: Fonov et al. 2011, "Unbiased average age-appropriate atlases for pediatric studies".
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from nilearn.datasets import load_mni152_template, load_mni152_wm_template
from numpy.typing import NDArray
from PIL import Image

MARGIN = 3
"""Slices left out at the ends, where there is hardly any white matter."""
MIN_AREA = 0.02
"""Smallest object worth a slice, as a fraction of it."""
Volume = NDArray[np.float32]


def write_slices(folder: Path, volume: Volume, tissue: Volume, axis: int, places: NDArray[np.int64]) -> None:
    """Write images/ and masks/ for some slices across an axis."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    brightest = np.percentile(volume, 99.5)
    for place in places:
        grey = np.clip(np.take(volume, place, axis) / brightest * 255, 0, 255).astype(np.uint8)
        mask = (np.take(tissue, place, axis) > 0.5).astype(np.uint8)
        Image.fromarray(np.rot90(grey)).save(folder / "images" / f"{place:03d}.png")
        Image.fromarray(np.rot90(mask)).save(folder / "masks" / f"{place:03d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=20, help="slices to train on")
    arguments = parser.parse_args()
    volume = np.asarray(load_mni152_template(resolution=1).dataobj, np.float32)
    tissue = np.asarray(load_mni152_wm_template(resolution=1).dataobj, np.float32)
    for axis, names in ((2, ("train", "val")), (1, (None, "other-direction"))):
        areas = (tissue > 0.5).mean(axis=tuple(a for a in range(3) if a != axis))
        used = np.flatnonzero(areas > MIN_AREA)
        training = np.linspace(used[0] + MARGIN, used[-1] - MARGIN, arguments.images)
        between = (training[1:] + training[:-1]) / 2
        for name, places in zip(names, (training, between), strict=True):
            if name is not None:
                write_slices(arguments.folder / name, volume, tissue, axis, places.round().astype(np.int64))
                print(f"{len(places):3d} images  {arguments.folder / name}")


if __name__ == "__main__":
    main()
