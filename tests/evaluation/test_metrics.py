from __future__ import annotations

import cv2
import numpy as np
import pytest

from masklet.errors import DataError
from masklet.evaluation.metrics import Click, boundary_map, boundary_measure, next_click, region_similarity


def mask_of(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


def blobs(seed: int, size_hw: tuple[int, int] = (120, 160)) -> np.ndarray:
    """A few random ellipses, some of them cut by the image border."""
    generator = np.random.default_rng(seed)
    canvas = np.zeros(size_hw, np.uint8)
    for _ in range(3):
        centre = (int(generator.integers(0, size_hw[1])), int(generator.integers(0, size_hw[0])))
        axes = (int(generator.integers(3, 40)), int(generator.integers(3, 40)))
        cv2.ellipse(canvas, centre, axes, float(generator.integers(0, 180)), 0, 360, 1, -1)
    return canvas.astype(bool)


def test_region_similarity_counts_pixels() -> None:
    assert region_similarity(mask_of("##.."), mask_of(".##.")) == pytest.approx(1 / 3)


def test_two_empty_masks_agree() -> None:
    empty = np.zeros((4, 5), bool)
    assert region_similarity(empty, empty) == 1
    assert boundary_measure(empty, empty) == 1


def test_void_is_in_neither_intersection_nor_union() -> None:
    assert region_similarity(mask_of("###."), mask_of("##.."), void=mask_of("..#.")) == 1
    assert region_similarity(mask_of("###."), mask_of("####"), void=mask_of("###.")) == 0


def test_boundary_lies_between_pixels_that_differ_and_not_on_the_image_border() -> None:
    assert (boundary_map(mask_of("....", ".##.", "....")) == mask_of("###.", "###.", "....")).all()
    assert not boundary_map(np.ones((3, 4), bool)).any()


def test_boundary_score_is_0_if_only_one_mask_is_empty() -> None:
    assert boundary_measure(np.zeros((60, 60), bool), blobs(1, (60, 60))) == 0
    assert boundary_measure(blobs(1, (60, 60)), np.zeros((60, 60), bool)) == 0


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (2, 1.0), (3, 0.0)])
def test_a_vertical_edge_may_be_off_by_the_tolerance(shift: int, expected: float) -> None:
    truth = np.zeros((100, 150), bool)  # diagonal 180: the tolerance is ceil(1.44) = 2 pixels
    truth[:, 70:] = True
    predicted = np.zeros_like(truth)
    predicted[:, 70 + shift :] = True
    assert boundary_measure(predicted, truth) == expected


def test_tolerance_from_one_up_is_in_pixels() -> None:
    truth, predicted = np.zeros((50, 50), bool), np.zeros((50, 50), bool)
    truth[:, 20:], predicted[:, 27:] = True, True
    assert boundary_measure(predicted, truth, tolerance=7) == 1
    assert boundary_measure(predicted, truth, tolerance=6) == 0


def test_void_is_background_for_the_boundary() -> None:
    truth, predicted, void = (np.zeros((60, 60), bool) for _ in range(3))
    truth[10:30, 10:30] = True
    predicted[10:30, 10:50] = True
    void[:, 30:] = True
    assert boundary_measure(predicted, truth) < 1
    assert boundary_measure(predicted, truth, void) == 1


@pytest.mark.parametrize("seed", range(12))
def test_scores_agree_with_vos_benchmark(seed: int) -> None:
    evaluator_module = pytest.importorskip("vos_benchmark.evaluator")
    truth = blobs(seed)
    predicted = [blobs(seed + 100), np.roll(truth, seed, axis=1), truth | blobs(seed + 200)][seed % 3]
    evaluator = evaluator_module.Evaluator()
    evaluator.feed_frame(predicted.astype(np.uint8), truth.astype(np.uint8))
    region, boundary = evaluator.conclude()
    assert region_similarity(predicted, truth) == pytest.approx(region[1] / 100, abs=1e-6)
    assert boundary_measure(predicted, truth) == pytest.approx(boundary[1] / 100, abs=1e-6)


@pytest.mark.parametrize("radius", [1, 2, 5, 8])
def test_the_tolerance_is_an_exact_disk(radius: int) -> None:
    truth, predicted = boundary_map(blobs(3)), boundary_map(blobs(4))
    offsets = np.arange(-radius, radius + 1)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.uint8)
    precision = (predicted & (cv2.dilate(truth.astype(np.uint8), disk) > 0)).sum() / predicted.sum()
    recall = (truth & (cv2.dilate(predicted.astype(np.uint8), disk) > 0)).sum() / truth.sum()
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_measure(blobs(4), blobs(3), tolerance=radius) == pytest.approx(expected, abs=1e-12)


def test_first_click_is_the_innermost_point_of_the_object() -> None:
    truth = np.zeros((20, 30), bool)
    truth[5:14, 10:19] = True
    assert next_click(np.zeros_like(truth), truth) == Click(14, 9, 1)


def test_the_image_border_is_a_border() -> None:
    truth = np.zeros((11, 30), bool)
    truth[:, :11] = True
    assert next_click(np.zeros_like(truth), truth) == Click(5, 5, 1)


def test_click_goes_to_the_larger_error_with_its_label() -> None:
    truth, predicted = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    truth[5:10, 5:10] = True
    predicted[20:35, 40:55] = True
    assert next_click(predicted, truth) == Click(47, 27, 0)
    truth[10:34, 2:17] = True
    assert next_click(predicted, truth) is not None
    assert next_click(predicted, truth).label == 1


def test_regions_are_compared_one_by_one_not_by_their_sum() -> None:
    truth, predicted = np.zeros((30, 60), bool), np.zeros((30, 60), bool)
    truth[2:7, 2:7] = truth[2:7, 10:15] = truth[2:7, 20:25] = True  # 3 x 25 missed
    predicted[15:22, 30:37] = True  # 49 too many, in one piece
    assert next_click(predicted, truth) == Click(33, 18, 0)


def test_a_click_lies_on_a_wrong_pixel_and_never_on_void() -> None:
    truth, predicted, void = blobs(5), blobs(6), blobs(7)
    click = next_click(predicted, truth, void)
    assert click is not None
    assert (predicted ^ truth)[click.y, click.x]
    assert truth[click.y, click.x] == bool(click.label)
    assert not void[click.y, click.x]
    assert next_click(predicted, truth, void=predicted ^ truth) is None
    assert next_click(truth, truth) is None


@pytest.mark.parametrize("score", [region_similarity, boundary_measure, next_click])
def test_masks_of_different_size_are_refused(score) -> None:
    with pytest.raises(DataError, match=r"predicted \(4, 4\), truth \(4, 5\)"):
        score(np.zeros((4, 4), bool), np.zeros((4, 5), bool))
