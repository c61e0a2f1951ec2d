"""Automatic masks, on an engine that sees flat colours: the mask of a click is what has the colour under it."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from masklet.errors import ConfigError, ImageError
from masklet.masks.operations import mask_iou, mask_logits
from masklet.media.images import write_image
from masklet.prompts import Prompt
from masklet.records import ByteArray, Conditioned, Decoded, EngineInfo, FloatArray, ImageFeatures, Recall
from masklet.segmentation.automatic import (
    AutomaticConfig,
    AutomaticCounts,
    AutomaticMask,
    label_map,
    segment_everything,
)
from masklet.segmentation.segmenter import Segmenter

LOW_RES = 64
Array = NDArray[Any]


class ColorEngine:
    """Answers a click with three candidates: an unsure one, the pixels of the colour under it, and an unstable one."""

    def __init__(self, iou_predictions: tuple[float, ...] = (0.5, 0.9, 0.95)) -> None:
        self.iou_predictions = iou_predictions
        self.encoded: list[tuple[int, int]] = []
        """Sizes of what was encoded."""
        self.decoded: list[tuple[tuple[Prompt, ...], bool | None]] = []
        self.fetched = 0
        self._known: dict[Any, FloatArray] = {}

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("colors", 4 * LOW_RES, 7, 16, "python", "none", "int")

    def encode_image(self, rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[Array]:
        self.encoded.append(rgb.shape[:2])
        return ImageFeatures({"rgb": rgb}, (rgb.shape[0], rgb.shape[1]))

    def attend(self, features: ImageFeatures[Array], recalls: Sequence[Recall[Array]]) -> Conditioned[Array]:
        assert all(recall.is_empty for recall in recalls)
        return Conditioned(tuple(np.zeros(0) for _ in recalls), features)

    def decode(
        self, conditioned: Conditioned[Array], prompts: Sequence[Prompt | None], *, multimask: bool | None = None
    ) -> list[Decoded[Array]]:
        assert len(conditioned.embeddings) == len(prompts)
        asked = tuple(prompt for prompt in prompts if prompt is not None)
        assert len(asked) == len(prompts)
        self.decoded.append((asked, multimask))
        return [self._answer(conditioned.features.arrays["rgb"], prompt, multimask) for prompt in asked]

    def _answer(self, rgb: Array, prompt: Prompt, multimask: bool | None) -> Decoded[Array]:
        (x, y), (label,) = prompt.points_xy[0].astype(int), prompt.labels
        assert label == 1
        logits = self._logits(rgb, int(rgb[y, x, 0]))
        if not multimask:
            return Decoded(logits[None], (0.9,), 0, 5.0, (logits,))
        return Decoded(np.stack([logits, logits, logits / 10]), self.iou_predictions, 1, 5.0, (logits,) * 3)

    def _logits(self, rgb: Array, grey: int) -> FloatArray:
        key = (rgb.tobytes(), rgb.shape, grey)
        if key not in self._known:
            self._known[key] = mask_logits(rgb[:, :, 0] == grey, LOW_RES)
        return self._known[key]

    def encode_memory(self, *arguments: object) -> Any:
        raise AssertionError("images have no memory")

    def to_numpy(self, array: Array) -> FloatArray:
        self.fetched += 1
        return np.asarray(array, np.float32)

    def from_numpy(self, array: FloatArray) -> Array:
        return array


def scene(size_hw: tuple[int, int], *disks: tuple[int, int, int]) -> ByteArray:
    """Disks (x, y, radius), each of its own grey, on black."""
    rgb = np.zeros((*size_hw, 3), np.uint8)
    for number, (x, y, radius) in enumerate(disks, start=1):
        cv2.circle(rgb, (x, y), radius, (number * 20,) * 3, -1)
    return rgb


DISKS = scene((120, 160), (40, 40, 30), (110, 70, 40), (110, 70, 15))
TRUTH = [DISKS[:, :, 0] == value for value in (0, 40, 20, 60)]
"""By area: the background, a ring, a disk, and the disk in the ring."""


SPARSE = AutomaticConfig(points_per_side=8)


@pytest.fixture
def engine() -> ColorEngine:
    return ColorEngine()


def test_the_defaults_are_the_official_ones() -> None:
    config = AutomaticConfig()
    assert (config.points_per_side, config.points_per_batch, config.multimask, config.refine) == (32, 64, True, False)
    assert (config.min_iou, config.min_stability, config.stability_offset) == (0.8, 0.95, 1.0)
    assert (config.mask_threshold, config.nms_iou, config.min_region_area) == (0.0, 0.7, 0)
    assert (config.crop_layers, config.crop_nms_iou, config.crop_overlap) == (0, 0.7, 512 / 1500)
    assert (config.crop_points_divisor, config.point_grids, config.num_points) == (1, None, 1024)


def test_a_model_may_have_its_own_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    info = replace(ColorEngine().info, automatic_defaults={"min_iou": 0.96, "points_per_side": 4})
    assert AutomaticConfig.for_engine(info) == AutomaticConfig(min_iou=0.96, points_per_side=4)
    assert AutomaticConfig.for_engine(info, min_iou=0.3).min_iou == 0.3
    monkeypatch.setattr(ColorEngine, "info", info)
    assert segment_everything(ColorEngine(), DISKS) == []
    assert len(segment_everything(ColorEngine(), DISKS, SPARSE)) == 4


def test_each_object_is_found_once_largest_first(engine: ColorEngine) -> None:
    found = segment_everything(engine, DISKS, SPARSE)
    assert engine.encoded == [(120, 160)]
    assert len(found) == len(TRUTH)
    for mask, truth in zip(found, TRUTH, strict=True):
        assert mask_iou(mask.mask, truth) > 0.93
        assert mask.area == np.count_nonzero(mask.mask)
        left, top, right, bottom = mask.box_xyxy
        assert mask.mask[top:bottom, left:right].sum() == mask.area
        assert mask.mask[top].any()
        assert mask.mask[bottom - 1].any()
        x, y = mask.point_xy
        assert truth[int(y), int(x)]
        assert mask.iou_prediction == 0.9
        assert 0.95 <= mask.stability <= 1
        assert mask.crop_box_xyxy == (0, 0, 160, 120)


def test_clicks_lie_in_the_middle_of_cells_and_go_in_batches(engine: ColorEngine) -> None:
    segment_everything(engine, DISKS, AutomaticConfig(points_per_side=4, points_per_batch=6))
    assert [(len(prompts), multimask) for prompts, multimask in engine.decoded] == [(6, True), (6, True), (4, True)]
    points = [prompt.points_xy[0].tolist() for prompts, _ in engine.decoded for prompt in prompts]
    assert points == [[x, y] for y in (15, 45, 75, 105) for x in (20, 60, 100, 140)]


def test_progress_counts_candidates_at_each_step(engine: ColorEngine) -> None:
    seen: list[AutomaticCounts] = []
    config = AutomaticConfig(points_per_side=4, points_per_batch=8)
    found = segment_everything(engine, DISKS, config, on_progress=seen.append)
    assert [now.points_done for now in seen] == [8, 16, 16]
    assert seen[-1] == AutomaticCounts(16, 16, candidates=48, sure=32, stable=16, distinct=len(found))


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"min_iou": 0.91}, 0),
        ({"min_stability": 1.0}, 0),
        ({"stability_offset": 11.0}, 0),
        ({"min_stability": 0.0}, 4),  # the unstable ones have the same boxes
        ({"nms_iou": 1.0}, 64),
        ({"multimask": False}, 4),
        ({"multimask": False, "nms_iou": 1.0}, 64),
        ({"mask_threshold": 20.0}, 0),
    ],
)
def test_thresholds(changes: dict[str, Any], count: int, engine: ColorEngine) -> None:
    assert len(segment_everything(engine, DISKS, replace(SPARSE, **changes))) == count


def test_masks_of_almost_the_same_box_are_duplicates_as_they_are_to_sam(engine: ColorEngine) -> None:
    rgb = scene((100, 100), (50, 50, 40), (50, 50, 38))
    assert len(segment_everything(engine, rgb, AutomaticConfig(point_grids=[[(0.5, 0.5), (0.5, 0.885)]]))) == 1


def test_logits_of_bad_candidates_stay_on_the_device() -> None:
    engine = ColorEngine((0.1, 0.2, 0.3))
    assert segment_everything(engine, DISKS, AutomaticConfig(points_per_side=4)) == []
    assert engine.fetched == 0


def test_by_iou_prediction() -> None:
    found = segment_everything(ColorEngine((0.81, 0.85, 0.9)), DISKS, replace(SPARSE, order="iou", min_stability=0.0))
    predictions = [mask.iou_prediction for mask in found]
    assert predictions == sorted(predictions, reverse=True)


def test_refinement_feeds_every_candidate_back_with_its_click(engine: ColorEngine) -> None:
    config = AutomaticConfig(points_per_side=4, points_per_batch=16, refine=True)
    assert len(segment_everything(engine, DISKS, config)) == 4
    assert [(len(prompts), multimask) for prompts, multimask in engine.decoded] == [
        (16, True), (16, False), (16, False), (16, False)
    ]  # fmt: skip
    first = engine.decoded[0][0][0]
    for again, largest in zip(engine.decoded[1][0], (10, 10, 1), strict=False):
        assert (again.points_xy == first.points_xy).all()
        assert again.previous_logits is not None
        assert again.previous_logits.max() == pytest.approx(largest)


def test_crops_find_small_objects(engine: ColorEngine) -> None:
    rgb = scene((600, 800), (300, 200, 120), (706, 525, 45))
    assert len(segment_everything(engine, rgb, SPARSE)) == 2
    engine.encoded.clear()
    found = segment_everything(engine, rgb, replace(SPARSE, crop_layers=1))
    assert engine.encoded == [(600, 800), (402, 502), (402, 502), (402, 502), (402, 502)]
    small = found[-1]
    assert mask_iou(small.mask, rgb[:, :, 0] == 40) > 0.9
    assert small.crop_box_xyxy == (298, 198, 800, 600)
    assert (rgb[:, :, 0] == 40)[int(small.point_xy[1]), int(small.point_xy[0])]


def test_masks_cut_off_by_a_crop_are_left_to_the_whole_image(engine: ColorEngine) -> None:
    rgb = scene((240, 320), (160, 120, 60))  # across all four crops
    found = segment_everything(engine, rgb, replace(SPARSE, crop_layers=1))
    assert len(found) == 2
    assert all(mask.crop_box_xyxy == (0, 0, 320, 240) for mask in found)


def test_a_mask_at_the_edge_of_the_image_is_not_cut_off(engine: ColorEngine) -> None:
    rgb = scene((240, 320), (50, 25, 40))  # in the corner of one crop
    found = segment_everything(engine, rgb, replace(SPARSE, crop_layers=1))
    assert found[-1].crop_box_xyxy == (0, 0, 201, 161)  # and the smaller crop is preferred
    assert mask_iou(found[-1].mask, rgb[:, :, 0] == 20) > 0.95


def test_deeper_layers_have_sparser_grids(engine: ColorEngine) -> None:
    config = AutomaticConfig(points_per_side=8, crop_layers=2, crop_points_divisor=2, points_per_batch=1000)
    segment_everything(engine, DISKS, config)
    assert [len(prompts) for prompts, _ in engine.decoded] == [64] + [16] * 4 + [4] * 16
    assert config.num_points == 64 + 16 * 4 + 4 * 16
    assert len(AutomaticConfig(points_per_side=2, crop_points_divisor=4).grid(1)) == 1


def test_custom_points(engine: ColorEngine) -> None:
    config = AutomaticConfig(point_grids=[np.array([[0.25, 1 / 3]]), [(0.0, 0.0), (1.0, 1.0)]], crop_layers=2)
    found = segment_everything(engine, DISKS, config)
    assert [len(prompts) for prompts, _ in engine.decoded] == [1] + [2] * 20
    assert engine.decoded[0][0][0].points_xy.tolist() == [[40, 40]]
    assert mask_iou(found[0].mask, TRUTH[2]) > 0.9
    assert config == AutomaticConfig(point_grids=(((0.25, 1 / 3),), ((0, 0), (1, 1))), crop_layers=2)
    assert hash(config)
    corner = engine.decoded[-1][0][1].points_xy[0]
    height, width = engine.encoded[-1]
    assert corner[0] < width
    assert corner[1] < height


def test_small_regions_are_removed_and_small_holes_filled(engine: ColorEngine) -> None:
    rgb = scene((128, 128), (64, 64, 40))
    rgb[60:66, 60:66] = 0  # a hole of 36 pixels
    rgb[4:8, 4:8] = 20  # a piece of 16
    rgb[4:14, 110:120] = 20  # a piece of 100
    center = {"point_grids": [[(0.5, 0.3)]]}
    (rough,) = segment_everything(engine, rgb, AutomaticConfig(**center))
    (clean,) = segment_everything(engine, rgb, AutomaticConfig(**center, min_region_area=64))
    assert not rough.mask[62, 62]
    assert rough.mask[6, 6]
    assert clean.mask[62, 62]
    assert not clean.mask[6, 6]
    assert clean.mask[8, 115]
    assert clean.box_xyxy[1] == rough.box_xyxy[1]
    assert segment_everything(engine, rgb, AutomaticConfig(**center, min_region_area=6000)) == []


def test_small_parts_are_ignored_when_scoring_but_fed_back(engine: ColorEngine) -> None:
    """As in SAM 2, `refine` corrects the decoder's unchanged answer."""
    rgb = scene((128, 128), (64, 64, 40))
    rgb[60:66, 60:66] = 0
    rgb[4:8, 4:8] = 20
    config = AutomaticConfig(point_grids=[[(0.5, 0.3)]], low_res_region_area=16, refine=True, min_stability=0.0)
    found = segment_everything(engine, rgb, config)
    assert all(mask.mask[62, 62] and not mask.mask[6, 6] for mask in found)
    fed_back = [prompt.previous_logits for prompt in engine.decoded[1][0]]
    assert len(fed_back) == 3
    assert fed_back[1] is not None
    assert fed_back[1][31, 31] < 0  # the hole
    assert fed_back[1][3, 3] > 0  # the piece


@pytest.mark.parametrize("side", [40, 130])
def test_the_background_around_a_small_mask_is_not_a_hole(side: int, engine: ColorEngine) -> None:
    rgb = scene((side, 300), (150, 20, 12))
    config = AutomaticConfig(point_grids=[[(0.5, 20 / side)]], min_stability=0.0, min_region_area=120)
    (found,) = segment_everything(engine, rgb, config)
    assert mask_iou(found.mask, rgb[:, :, 0] == 20) > 0.8


def test_records_go_into_json_and_become_polygons(engine: ColorEngine) -> None:
    disk = segment_everything(engine, DISKS, SPARSE)[2]
    assert json.loads(json.dumps(disk.rle))["size"] == [120, 160]
    (polygon,) = disk.polygons()
    assert polygon.min(axis=0).tolist() == list(disk.box_xyxy[:2])
    assert polygon.max(axis=0).tolist() == list(disk.box_xyxy[2:])
    assert len(disk.polygons(tolerance=1.0)[0]) < len(polygon) / 3


def test_the_label_map_has_the_small_above_the_large(engine: ColorEngine) -> None:
    found = segment_everything(engine, scene((90, 90), (45, 45, 40), (45, 45, 10)), replace(SPARSE, order="iou"))
    labels = label_map(found, (90, 90))
    for number, mask in enumerate(found, start=1):
        x, y = mask.point_xy
        assert labels[int(y), int(x)] == number
    assert label_map([], (4, 5)).tolist() == [[0] * 5] * 4


def test_memory_is_that_of_one_mask_not_of_all(engine: ColorEngine) -> None:
    rgb = scene((400, 400), (100, 100, 80), (300, 300, 80))
    pixels = rgb.shape[0] * rgb.shape[1]
    config = AutomaticConfig(points_per_side=12, points_per_batch=8, nms_iou=1.0)
    segment_everything(engine, rgb, AutomaticConfig(points_per_side=1))  # allocate what is allocated only once
    tracemalloc.start()
    found = segment_everything(engine, rgb, config)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 144
    assert peak < 24 * pixels  # logits, thresholds, the engine's arrays; all masks would take six times as much


@pytest.mark.parametrize("size_hw", [(1, 1), (2, 3), (1, 40), (7, 5)])
def test_tiny_images(size_hw: tuple[int, int], engine: ColorEngine) -> None:
    (found,) = segment_everything(engine, np.zeros((*size_hw, 3), np.uint8), AutomaticConfig(points_per_side=4))
    assert found.mask.all()
    assert found.mask.shape == size_hw


def test_a_tiny_image_cannot_be_cropped(engine: ColorEngine) -> None:
    rgb = np.zeros((40, 50, 3), np.uint8)
    with pytest.raises(ConfigError, match=r"crop_layers=3 cuts the image, 50 x 40, into crops of less than 16 pixels"):
        segment_everything(engine, rgb, AutomaticConfig(crop_layers=3))
    assert engine.encoded == []


def test_the_segmenter_takes_any_image(tmp_path: Path, engine: ColorEngine) -> None:
    path = write_image(tmp_path / "Bäume.png", DISKS)
    found = Segmenter(engine).everything(path, AutomaticConfig(points_per_side=8))
    assert [type(mask) for mask in found] == [AutomaticMask] * 4
    with pytest.raises(ImageError, match="no such image"):
        Segmenter(engine).everything(tmp_path / "none.png")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"points_per_side": 0}, "points_per_side must be a whole number of at least 1, got 0"),
        ({"points_per_batch": 2.5}, "points_per_batch must be a whole number of at least 1, got 2.5"),
        ({"crop_layers": -1}, "crop_layers must be a whole number from 0 to 6, got -1"),
        ({"crop_layers": 7}, "crop_layers must be a whole number from 0 to 6, got 7"),
        ({"crop_points_divisor": 0}, "crop_points_divisor must be"),
        ({"min_region_area": -3}, "min_region_area must be"),
        ({"min_iou": 1.2}, r"min_iou must be in \[0, 1\], got 1.2"),
        ({"min_stability": -0.1}, r"min_stability must be in \[0, 1\]"),
        ({"nms_iou": float("nan")}, r"nms_iou must be in \[0, 1\], got nan"),
        ({"crop_nms_iou": 7}, "crop_nms_iou must be"),
        ({"crop_overlap": 1.0}, r"crop_overlap must be in \[0, 1\), got 1.0"),
        ({"stability_offset": 0.0}, "stability_offset must be above 0"),
        ({"mask_threshold": float("inf")}, "mask_threshold must be a finite number"),
        ({"order": "size"}, "order must be one of area, iou, crop, got 'size'"),
        ({"point_grids": []}, "point_grids is empty"),
        ({"point_grids": [[]]}, r"point_grids\[0\] must be \(P, 2\) with at least one point, got \(0,\)"),
        ({"point_grids": [(0.5, 0.5)]}, r"must be \(P, 2\) .* got \(2,\): it is a list of such arrays"),
        ({"point_grids": [[(0.5, 0.5), (1.5, 0.25)]]}, r"point_grids\[0\] must be in \[0, 1\], got \(1.5, 0.25\)"),
        ({"point_grids": [[(float("nan"), 0.25)]]}, "got .nan, 0.25"),
        ({"point_grids": [["a"]]}, "must be numbers"),
    ],
)
def test_bad_configurations(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        AutomaticConfig(**changes)
