"""An annotation file, and rows for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from masklet.masks.rle import encode_rle
from masklet.prompts import Prompt
from masklet.server.annotation.store import AnnotationStore, SavedPrompt
from masklet.tracking.mask_rows import MaskRow

MASK = np.zeros((6, 8), bool)
MASK[1:3, 2:5] = True


def row(frame_index: int, object_id: int = 1, **about: object) -> MaskRow:
    about = {"reliability": 0.5, "direction": 1, "rle": encode_rle(MASK), "time_s": 0.0} | about
    scores = {"iou_prediction": 0.5, "object_score": 3.0}
    return MaskRow(frame_index=frame_index, object_id=object_id, **scores, **about)  # type: ignore[arg-type]


def prompt(frame_index: int, object_id: int = 1) -> SavedPrompt:
    logits = np.full((4, 4), 1.5, np.float32)
    said = Prompt.create(points_xy=[(1, 2)], previous_logits=logits)
    return SavedPrompt.of(object_id, frame_index, said, rle=encode_rle(MASK), object_score=2.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnnotationStore]:
    opened = AnnotationStore(tmp_path / "annotations.db")
    yield opened
    opened.close()
