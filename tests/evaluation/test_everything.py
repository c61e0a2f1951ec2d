from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from masklet.errors import DataError
from masklet.evaluation.everything import evaluate_everything, image_recall, score_images
from masklet.evaluation.records import FoundMask, ImageMasks
from masklet.masks.rle import encode_rle
from masklet.segmentation.automatic import AutomaticConfig

from .oracle import OracleEngine, rectangle, write_pair

GRID = AutomaticConfig(points_per_side=8, min_stability=0)


def mask(top: int, left: int, bottom: int, right: int, score: float = 1.0, ignored: bool = False) -> FoundMask:
    return FoundMask(encode_rle(rectangle(top, left, bottom, right) > 0), score, ignored)


def image(found: list[FoundMask], truth: list[FoundMask], name: str = "a") -> ImageMasks:
    return ImageMasks("source", name, tuple(found), tuple(truth))


def test_recall_is_the_mean_over_ten_thresholds() -> None:
    truth = [mask(0, 0, 40, 40), mask(44, 44, 64, 64)]
    found = [mask(0, 0, 40, 30)]  # an IoU of 0.75: found at 0.5, 0.55, ... 0.75, six of ten
    assert image_recall(image(found, truth)) == pytest.approx(0.6 / 2)
    scores = score_images([image(found, truth)])
    assert scores["AR@1000"] == pytest.approx(0.3)
    assert scores["AR@1000_small"] == 0  # 400 pixels, below 32 x 32
    assert scores["AR@1000_medium"] == pytest.approx(0.6)
    assert "AR@1000_large" not in scores


def test_precision_falls_with_false_masks() -> None:
    truth = [mask(0, 0, 40, 40)]
    right, wrong = mask(0, 0, 40, 40, score=0.5), mask(44, 44, 60, 60, score=0.9)
    assert score_images([image([right], truth)])["AP"] == pytest.approx(1)
    assert score_images([image([wrong, right], truth)])["AP"] == pytest.approx(0.5)


def test_masks_on_void_are_neither_right_nor_wrong() -> None:
    truth = [mask(0, 0, 40, 40), mask(40, 0, 64, 64, ignored=True)]
    found = [mask(44, 4, 60, 60, score=0.9), mask(0, 0, 40, 40, score=0.5)]
    assert score_images([image(found, truth)])["AP"] == pytest.approx(1)
    assert image_recall(image(found, [truth[1]])) is None


def test_a_hundred_masks_are_fewer_than_a_thousand() -> None:
    wrong = [mask(0, 0, 1, 1 + column % 60, score=0.9) for column in range(100)]
    scores = score_images([image([*wrong, mask(20, 20, 60, 60, score=0.1)], [mask(20, 20, 60, 60)])])
    assert scores["AR@100"] == 0
    assert scores["AR@1000"] == 1


def test_an_engine_that_sees_all_finds_all(tmp_path: Path) -> None:
    labels = rectangle(34, 34, 60, 60, 2, onto=rectangle(4, 4, 28, 28, 1))
    write_pair(tmp_path / "pets/images/a.png", tmp_path / "pets/masks/a.png", labels)
    report = evaluate_everything(OracleEngine(), tmp_path, config=GRID)
    assert report.overall["AR@1000"] == 1
    assert report.counts == {"pets": 2}
    document = report.to_dict()
    assert document["images"][0]["AR@1000"] == 1
    assert document["settings"]["automatic"]["points_per_side"] == 8


def test_images_without_objects_cannot_be_evaluated(tmp_path: Path) -> None:
    write_pair(tmp_path / "images/a.png", tmp_path / "masks/a.png", np.zeros((64, 64), np.uint8))
    with pytest.raises(DataError, match="none of the 1 images has an object"):
        evaluate_everything(OracleEngine(), tmp_path, config=GRID)
