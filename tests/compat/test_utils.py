"""The helpers of `sam2.utils`, against their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="masklet.compat.sam2 needs PyTorch")

from masklet.compat.sam2.modeling.sam2_base import NO_OBJ_SCORE, SAM2Base  # noqa: E402
from masklet.compat.sam2.utils import amg, misc  # noqa: E402
from masklet.compat.sam2.utils.transforms import SAM2Transforms  # noqa: E402
from masklet.errors import ConfigError, DataError, VideoError  # noqa: E402
from masklet.masks.rle import decode_rle  # noqa: E402
from masklet.records import ByteArray  # noqa: E402


@pytest.fixture(scope="module")
def masks() -> Any:
    masks = torch.from_numpy(np.random.default_rng(0).random((4, 7, 9)) > 0.6)
    masks[0], masks[1] = False, True
    return masks


def test_run_lengths_there_and_back(masks: Any) -> None:
    for mask, rle in zip(masks.numpy(), amg.mask_to_rle_pytorch(masks), strict=True):
        assert (rle["size"], sum(rle["counts"])) == ([7, 9], 63)
        np.testing.assert_array_equal(amg.rle_to_mask(rle), mask)
        assert amg.area_from_rle(rle) == mask.sum()
        encoded = amg.coco_encode_rle(rle)
        assert isinstance(encoded["counts"], str)
        np.testing.assert_array_equal(decode_rle(encoded), mask)
    assert amg.mask_to_rle_pytorch(masks[:0]) == []
    with pytest.raises(DataError, match="counts must add up to 2 x 3"):
        amg.rle_to_mask({"size": [2, 3], "counts": [1, 2]})


def test_boxes_end_at_the_last_pixel(masks: Any) -> None:
    boxes = amg.batched_mask_to_box(masks)
    assert boxes[:2].tolist() == [[0, 0, 0, 0], [0, 0, 8, 6]]
    for mask, box in zip(masks[2:].numpy(), boxes[2:].tolist(), strict=True):
        rows, columns = mask.nonzero()
        assert box == [columns.min(), rows.min(), columns.max(), rows.max()]
    assert amg.batched_mask_to_box(masks[2]).tolist() == boxes[2].tolist()
    assert amg.batched_mask_to_box(masks.reshape(2, 2, 7, 9)).shape == (2, 2, 4)
    assert amg.batched_mask_to_box(masks[:0]).shape == (0, 4)
    assert misc.mask_to_box(masks[:, None])[:, 0].tolist() == [[9, 7, -1, -1], *boxes[1:].tolist()]
    assert amg.box_xyxy_to_xywh(boxes[1]).tolist() == [0, 0, 8, 6]


def test_stability_is_the_iou_of_two_thresholds() -> None:
    logits = torch.tensor([[[-3.0, -0.5], [0.5, 3.0]], [[5.0, 5.0], [5.0, 5.0]]])
    assert amg.calculate_stability_score(logits, 0.0, 1.0).tolist() == pytest.approx([1 / 3, 1.0])


def test_small_regions_go() -> None:
    mask = np.zeros((10, 10), bool)
    mask[1:8, 1:8] = True
    mask[3, 3] = False
    mask[9, 9] = True
    filled, changed = amg.remove_small_regions(mask, 2, "holes")
    assert (changed, filled.sum() - mask.sum()) == (True, 1)
    kept, changed = amg.remove_small_regions(mask, 2, "islands")
    assert (changed, mask.sum() - kept.sum()) == (True, 1)
    same, changed = amg.remove_small_regions(mask, 1, "islands")
    assert not changed
    assert (same == mask).all()
    largest, changed = amg.remove_small_regions(mask, 1000, "islands")
    assert (changed, largest.sum()) == (True, 48)
    with pytest.raises(ConfigError, match="mode must be one of holes, islands"):
        amg.remove_small_regions(mask, 1, "gaps")


def test_grids_and_crops() -> None:
    assert amg.build_point_grid(2).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    assert [len(grid) for grid in amg.build_all_layer_point_grids(8, 2, 2)] == [64, 16, 4]
    boxes, layers = amg.generate_crop_boxes((60, 80), 1, 512 / 1500)
    assert (boxes[0], layers) == ([0, 0, 80, 60], [0, 1, 1, 1, 1])
    assert boxes[1] == [0, 0, 50, 40]
    assert boxes[4] == [30, 20, 80, 60]
    crop, image = boxes[4], boxes[0]
    corners = torch.tensor([[25.0, 20.0, 49.0, 39.0], [0.0, 20.0, 30.0, 30.0]])
    assert amg.is_box_near_crop_edge(corners, crop, image, atol=5.0).tolist() == [False, True]
    assert amg.uncrop_boxes_xyxy(corners, crop)[0].tolist() == [55, 40, 79, 59]
    assert amg.uncrop_points(torch.tensor([[1, 2]]), crop).tolist() == [[31, 22]]
    whole = amg.uncrop_masks(torch.ones(1, 40, 50), crop, 60, 80)
    assert (whole.shape, whole.sum().item(), whole[0, 20:, 30:].sum().item()) == ((1, 60, 80), 2000, 2000)


def test_mask_data_filters_and_joins() -> None:
    data = amg.MaskData(boxes=torch.arange(6).reshape(3, 2), scores=np.array([0.1, 0.2, 0.3]), names=["a", "b", "c"])
    data.filter(torch.tensor([True, False, True]))
    assert (data["boxes"].tolist(), data["scores"].tolist(), data["names"]) == (
        [[0, 1], [4, 5]],
        [0.1, 0.3],
        ["a", "c"],
    )
    data.filter(torch.tensor([1, 0]))
    assert data["names"] == ["c", "a"]
    data.cat(data)
    assert data["names"] == ["c", "a", "c", "a"]
    data.to_numpy()
    assert isinstance(data["boxes"], np.ndarray)
    del data["scores"]
    assert [name for name, _ in data.items()] == ["boxes", "names"]
    with pytest.raises(ConfigError, match="names must be a list, an array or a tensor"):
        data["names"] = "abc"
    assert [rows for (rows,) in amg.batch_iterator(2, [1, 2, 3])] == [[1, 2], [3]]


def test_components_and_holes() -> None:
    mask = torch.zeros(2, 1, 6, 6)
    mask[0, 0, 1, 1] = mask[0, 0, 2, 2] = 1  # connected at a corner
    mask[0, 0, 5, 5] = 1
    labels, areas = misc.get_connected_components(mask)
    assert labels.dtype == areas.dtype == torch.int32
    assert (areas[0, 0, 1, 1].item(), areas[0, 0, 5, 5].item(), areas[1].max().item()) == (2, 1, 0)
    assert labels[0, 0, 1, 1] == labels[0, 0, 2, 2] != labels[0, 0, 5, 5]
    logits = torch.full((1, 1, 6, 6), 4.0)
    logits[0, 0, 2, 2], logits[0, 0, :, 4:] = -3.0, -3.0
    filled = misc.fill_holes_in_mask_scores(logits, 1)
    assert (filled[0, 0, 2, 2].item(), filled[0, 0, 0, 5].item()) == (pytest.approx(0.1), -3.0)
    with pytest.raises(ConfigError, match="max_area must be above 0"):
        misc.fill_holes_in_mask_scores(logits, 0)


def test_points_are_joined() -> None:
    first = misc.concat_points(None, torch.zeros(1, 1, 2), torch.ones(1, 1))
    both = misc.concat_points(first, torch.ones(1, 2, 2), torch.zeros(1, 2))
    assert (both["point_coords"].shape, both["point_labels"].tolist()) == ((1, 3, 2), [[1, 0, 0]])


def test_frames_of_a_video(clip: list[ByteArray]) -> None:
    images, height, width = misc.load_video_frames(clip, 32)
    assert (images.shape, height, width) == ((4, 3, 32, 32), 60, 80)
    lazy, _, _ = misc.load_video_frames(clip, 32, async_loading_frames=True)
    assert torch.equal(torch.stack(list(lazy)), images)
    with pytest.raises(VideoError, match="no known number of frames"):
        misc.load_video_frames(iter(clip), 32)


def test_transforms(small_photo: ByteArray) -> None:
    transforms = SAM2Transforms(resolution=32, mask_threshold=0.0, max_hole_area=4, max_sprinkle_area=4)
    black = transforms(np.zeros_like(small_photo))
    assert black[:, 0, 0].tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    assert transforms.forward_batch([small_photo, small_photo[:20]]).shape == (2, 3, 32, 32)
    assert transforms.forward_batch([]).shape == (0, 3, 32, 32)
    points = torch.tensor([[40.0, 30.0]])
    assert transforms.transform_coords(points, normalize=True, orig_hw=(60, 80)).tolist() == [[16, 16]]
    assert transforms.transform_boxes(torch.tensor([0.0, 0.0, 0.5, 1.0])).tolist() == [[[0, 0], [16, 32]]]
    logits = torch.full((1, 1, 32, 32), 5.0)
    logits[0, 0, 16, 16] = -5.0
    assert (transforms.postprocess_masks(logits, (60, 80)) > 0).all()
    assert transforms.postprocess_masks(logits[:0], (60, 80)).shape == (0, 1, 60, 80)
    with pytest.raises(ConfigError, match="orig_hw"):
        transforms.transform_coords(points, normalize=True)


def test_the_class_of_models_is_importable() -> None:
    assert (NO_OBJ_SCORE, SAM2Base.__name__) == (-1024.0, "SAM2Base")
