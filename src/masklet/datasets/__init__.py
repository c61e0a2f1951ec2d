"""Labelled data for training and evaluation: one reader per layout, images and clips behind one interface.

    from masklet.datasets import open_dataset

    data = open_dataset("DAVIS", split="val")          # the layout is recognised, or named
    for clip in data.clips:
        for frame_index in clip.labelled_frames:
            labels = clip.read_labels(frame_index)     # labels.object_ids, labels.mask(7), labels.void

Knows files and masks; no model, no tensor, no training.
"""

from masklet.datasets.open import LAYOUTS, open_dataset, open_datasets
from masklet.datasets.records import VOID, ClipExample, Dataset, ImageExample, IndexedLabels, Labels, MaskLabels

__all__ = [
    "LAYOUTS",
    "VOID",
    "ClipExample",
    "Dataset",
    "ImageExample",
    "IndexedLabels",
    "Labels",
    "MaskLabels",
    "open_dataset",
    "open_datasets",
]
