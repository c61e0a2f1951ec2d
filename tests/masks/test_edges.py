from __future__ import annotations

import numpy as np
import pytest

from masklet.errors import ConfigError
from masklet.masks.edges import EdgeConfig, guided_filter, refine_edges
from masklet.masks.operations import mask_iou, upsample_logits
from masklet.records import BoolArray, ByteArray, FloatArray


def scene(size: int = 128, cells: int = 16) -> tuple[ByteArray, BoolArray, FloatArray]:
    """A bright square on a dark, noisy ground; its mask; and the mask's logits at an eighth of the size."""
    noise = np.random.default_rng(0).normal(0, 4, (size, size, 3))
    mask = np.zeros((size, size), np.bool_)
    mask[21:90, 35:99] = True
    rgb = np.where(mask[..., None], 200, 60) + noise
    covered = mask.reshape(cells, size // cells, cells, size // cells).mean(axis=(1, 3)).astype(np.float32)
    return rgb.clip(0, 255).astype(np.uint8), mask, 6 * (covered - 0.5)


def test_the_mask_ends_where_the_picture_has_an_edge() -> None:
    rgb, truth, low = scene()
    logits = upsample_logits(low, truth.shape)
    before, after = logits > 0, refine_edges(logits, rgb, low.shape) > 0
    assert mask_iou(before, truth) < 0.96
    assert mask_iou(after, truth) > 0.985


def test_only_a_band_along_the_outline_changes() -> None:
    rgb, truth, low = scene()
    logits = upsample_logits(low, truth.shape)
    changed = np.argwhere(refine_edges(logits, rgb, low.shape, EdgeConfig(band=0.5)) != logits)
    inside = (logits > 0)[tuple(changed.T)]
    rows, columns = np.nonzero(logits > 0)
    assert inside.any()
    assert not inside.all()
    assert changed[:, 0].min() >= rows.min() - 4
    assert changed[:, 1].max() <= columns.max() + 4
    assert (refine_edges(logits, rgb, low.shape) > 0)[50, 60]


def test_thin_parts_are_kept() -> None:
    rgb = np.full((128, 128, 3), 90, np.uint8)  # nothing in the picture tells the part from the ground
    logits = np.full((128, 128), -6, np.float32)
    logits[20:100, 20:100] = 6
    logits[60:64, 100:125] = 6
    kept = refine_edges(logits, rgb, (16, 16)) > 0
    assert kept[61:63, 106:122].all()
    assert not (refine_edges(logits, rgb, (16, 16), EdgeConfig(thin=1e-6)) > 0)[61:63, 106:122].any()


@pytest.mark.parametrize(
    ("logits", "low_res_hw"),
    [(np.full((64, 64), -5, np.float32), (16, 16)), (np.ones((64, 64), np.float32), (64, 64))],
)
def test_logits_without_an_outline_are_returned_unchanged(logits: FloatArray, low_res_hw: tuple[int, int]) -> None:
    assert refine_edges(logits, np.zeros((64, 64, 3), np.uint8), low_res_hw) is logits


def test_a_guided_filter_keeps_what_its_guide_explains() -> None:
    guide = np.random.default_rng(1).random((40, 50, 3), np.float32)
    values = guide @ np.array([0.2, 0.5, -0.3], np.float32) + np.float32(0.1)
    np.testing.assert_allclose(guided_filter(values, guide, 4, 1e-6), values, atol=2e-3)
    flat = guided_filter(values, np.full_like(guide, 0.5), 4, 1e-3)
    assert flat.std() < 0.2 * values.std()


@pytest.mark.parametrize("field", ["radius", "epsilon", "band", "thin"])
def test_invalid_settings_are_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be above 0, got -1"):
        EdgeConfig(**{field: -1})
