"""The three official example notebooks, cell by cell, with nothing changed but the imports; with nano and with a tiny
official model. What is compared is what their cells show: shapes, types, and that there are masks at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="masklet.compat.sam2 needs PyTorch")

from masklet.compat.sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator  # noqa: E402
from masklet.compat.sam2.build_sam import build_sam2, build_sam2_video_predictor  # noqa: E402
from masklet.compat.sam2.sam2_image_predictor import SAM2ImagePredictor  # noqa: E402
from masklet.model.checkpoint import Checkpoint, save_checkpoint  # noqa: E402
from masklet.records import ByteArray  # noqa: E402
from tests.model.tiny import TINY, random_model  # noqa: E402

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "media" / "cat.jpg"
CONFIG = "configs/sam2.1/sam2.1_hiera_l.yaml"
HEIGHT, WIDTH = 120, 160


@pytest.fixture(scope="module", params=["nano", "tiny"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "nano":
        return "nano"
    model = random_model()
    with torch.no_grad():
        model.mask_decoder.object_score_head.layers[-1].bias.fill_(50.0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(Checkpoint(TINY, model.state_dict()), path)
    return str(path)


@pytest.fixture(scope="module")
def image() -> ByteArray:
    with Image.open(PHOTO) as picture:
        return np.array(picture.convert("RGB").resize((WIDTH, HEIGHT)))


def device() -> Any:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def test_image_predictor_example(checkpoint: str, image: ByteArray) -> None:
    predictor = SAM2ImagePredictor(build_sam2(CONFIG, checkpoint, device=device()))
    predictor.set_image(image)
    assert predictor._features is not None
    assert predictor._features["image_embed"].shape[0] == 1
    assert predictor._features["image_embed"][-1].ndim == 3

    # One click, then a second one that corrects the best mask, then a click that excludes.
    point, label = np.array([[80, 60]]), np.array([1])
    masks, scores, logits = predictor.predict(point_coords=point, point_labels=label, multimask_output=True)
    order = np.argsort(scores)[::-1]
    masks, scores, logits = masks[order], scores[order], logits[order]
    assert masks.shape == (3, HEIGHT, WIDTH)
    for mask in masks:
        assert mask.astype(np.uint8).reshape(HEIGHT, WIDTH, 1).max() <= 1
    for more, labels in (([[80, 60], [90, 70]], [1, 1]), ([[80, 60], [10, 10]], [1, 0])):
        best = logits[np.argmax(scores), :, :]
        refined, _, _ = predictor.predict(
            point_coords=np.array(more),
            point_labels=np.array(labels),
            mask_input=best[None, :, :],
            multimask_output=False,
        )
        assert refined.shape == (1, HEIGHT, WIDTH)

    # A box, a box with a click, several boxes.
    box = np.array([40, 20, 120, 110])
    masks, _, _ = predictor.predict(point_coords=None, point_labels=None, box=box[None, :], multimask_output=False)
    assert masks[0].shape == (HEIGHT, WIDTH)
    masks, _, _ = predictor.predict(
        point_coords=np.array([[50, 50]]), point_labels=np.array([0]), box=box, multimask_output=False
    )
    boxes = np.array([[40, 20, 120, 110], [0, 0, 60, 60], [20, 30, 70, 90], [100, 50, 160, 120]])
    masks, scores, _ = predictor.predict(point_coords=None, point_labels=None, box=boxes, multimask_output=False)
    assert masks.shape == (4, 1, HEIGHT, WIDTH)
    assert [mask.squeeze(0).shape for mask in masks] == [(HEIGHT, WIDTH)] * 4

    # Batches of images: boxes, then a click per object, of which the best mask is taken.
    images, boxes_batch = [image, image[:, ::-1].copy()], [boxes, boxes[:2]]
    predictor.set_image_batch(images)
    masks_batch, scores_batch, _ = predictor.predict_batch(None, None, box_batch=boxes_batch, multimask_output=False)
    assert [masks.shape for masks in masks_batch] == [(4, 1, HEIGHT, WIDTH), (2, 1, HEIGHT, WIDTH)]
    points = [np.array([[[80, 60]], [[20, 30]]]), np.array([[[50, 60]], [[100, 30]], [[120, 90]]])]
    labels_batch = [np.array([[1], [1]]), np.array([[1], [1], [1]])]
    masks_batch, scores_batch, _ = predictor.predict_batch(points, labels_batch, box_batch=None, multimask_output=True)
    best_masks = [
        masks[range(len(masks)), np.argmax(scores, axis=-1)]
        for masks, scores in zip(masks_batch, scores_batch, strict=True)
    ]
    assert [masks.shape for masks in best_masks] == [(2, HEIGHT, WIDTH), (3, HEIGHT, WIDTH)]


def test_automatic_mask_generator_example(checkpoint: str, image: ByteArray) -> None:
    sam2 = build_sam2(CONFIG, checkpoint, device=device(), apply_postprocessing=False)
    default = SAM2AutomaticMaskGenerator(sam2)
    thresholds = default.pred_iou_thresh, default.stability_score_thresh, default.points_per_side
    if checkpoint == "nano":
        assert thresholds == (0.45, 0.8, 24), "the model's own where the caller gave none"
        masks = SAM2AutomaticMaskGenerator(sam2, points_per_side=6).generate(image)
        assert masks
        keys = ("segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box")
        assert tuple(masks[0]) == keys
        drawn = np.ones((*masks[0]["segmentation"].shape, 4))
        for annotation in sorted(masks, key=lambda record: record["area"], reverse=True):
            drawn[annotation["segmentation"]] = 0.5
        assert (drawn != 1).any()
    else:
        assert thresholds == (0.8, 0.95, 32)
    generator = SAM2AutomaticMaskGenerator(
        model=sam2,
        points_per_side=2,  # 64 in the notebook
        points_per_batch=128,
        pred_iou_thresh=0.7,
        stability_score_thresh=0.92,
        stability_score_offset=0.7,
        crop_n_layers=1,
        box_nms_thresh=0.7,
        crop_n_points_downscale_factor=2,
        min_mask_region_area=25.0,  # type: ignore[arg-type]  # as the notebook has it
        use_m2m=True,
    )
    assert (generator.config.low_res_region_area, generator.config.min_region_area) == (25, 0)
    assert isinstance(generator.generate(image), list)


@pytest.fixture(scope="module")
def video_dir(image: ByteArray, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bedroom")
    for index in range(6):
        Image.fromarray(np.roll(image, 2 * index, axis=1)).save(folder / f"{index:05d}.jpg")
    return str(folder)


def test_video_predictor_example(checkpoint: str, video_dir: str) -> None:
    predictor = build_sam2_video_predictor(CONFIG, checkpoint, device=device())
    state = predictor.init_state(video_path=video_dir)
    predictor.reset_state(state)

    # One object: a click, a second one, propagation.
    click: dict[str, Any] = {"inference_state": state, "frame_idx": 0, "obj_id": 1}
    points, labels = np.array([[80, 60]], dtype=np.float32), np.array([1], np.int32)
    _, ids, logits = predictor.add_new_points_or_box(**click, points=points, labels=labels)
    assert (logits[0] > 0.0).cpu().numpy().shape == (1, HEIGHT, WIDTH)
    points = np.array([[80, 60], [90, 70]], dtype=np.float32)
    _, ids, logits = predictor.add_new_points_or_box(**click, points=points, labels=np.array([1, 1], np.int32))
    segments = {
        index: {obj_id: (logits[row] > 0.0).cpu().numpy() for row, obj_id in enumerate(ids)}
        for index, ids, logits in predictor.propagate_in_video(state)
    }
    assert list(segments) == list(range(6))

    # A correction on a later frame, and propagation again.
    predictor.add_new_points_or_box(
        inference_state=state, frame_idx=3, obj_id=1, points=np.array([[10, 10]], np.float32), labels=np.array([0])
    )
    assert len(list(predictor.propagate_in_video(state))) == 6

    # A box, a box with a click, several objects.
    predictor.reset_state(state)
    box = np.array([40, 20, 120, 110], dtype=np.float32)
    predictor.add_new_points_or_box(inference_state=state, frame_idx=0, obj_id=4, box=box)
    predictor.add_new_points_or_box(
        inference_state=state, frame_idx=0, obj_id=4, points=np.array([[80, 60]]), labels=np.array([1]), box=box
    )
    _, ids, logits = predictor.add_new_points_or_box(
        inference_state=state, frame_idx=0, obj_id=3, points=np.array([[20, 30]]), labels=np.array([1])
    )
    assert (ids, logits.shape) == ([4, 3], (2, 1, HEIGHT, WIDTH))
    found = [ids for _, ids, _ in predictor.propagate_in_video(state)]
    assert found == [[4, 3]] * 6
    ids, updated = predictor.remove_object(state, 3)
    assert ids == [4]
    assert [index for index, _ in updated] == [0]
