"""The calls of the three official notebooks, on `masklet.compat.sam2`: shapes, types, and the same as masklet's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="masklet.compat.sam2 needs PyTorch")

from masklet.compat.sam2 import (  # noqa: E402
    SAM2AutomaticMaskGenerator,
    SAM2ImagePredictor,
    SAM2VideoPredictor,
    build_sam2,
    build_sam2_video_predictor,
)
from masklet.engine.torch_engine import TorchEngine  # noqa: E402
from masklet.errors import (  # noqa: E402
    CheckpointError,
    ConfigError,
    EngineError,
    MaskletError,
    PromptError,
    TrackingError,
    VideoError,
)
from masklet.masks.operations import upsample_logits  # noqa: E402
from masklet.masks.rle import decode_rle  # noqa: E402
from masklet.memory.bank import MemoryConfig  # noqa: E402
from masklet.model.checkpoint import Checkpoint, save_checkpoint  # noqa: E402
from masklet.records import ByteArray  # noqa: E402
from masklet.segmentation.segmenter import Segmenter  # noqa: E402
from masklet.tracking.tracker import Tracker  # noqa: E402
from tests.model.tiny import TINY, random_model  # noqa: E402

HEIGHT, WIDTH = 90, 120
LOW_RES = TINY.image_size // 4
CLICK = {"point_coords": np.array([[40, 50]]), "point_labels": np.array([1])}


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    model = random_model()
    with torch.no_grad():
        model.mask_decoder.object_score_head.layers[-1].bias.fill_(50.0)  # objects are there
    return TorchEngine(model, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def photo() -> ByteArray:
    coarse = np.random.default_rng(3).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


@pytest.fixture
def predictor(engine: TorchEngine, photo: ByteArray) -> SAM2ImagePredictor:
    predictor = SAM2ImagePredictor(engine)
    predictor.set_image(photo)
    return predictor


@pytest.fixture
def video_predictor(engine: TorchEngine) -> SAM2VideoPredictor:
    return SAM2VideoPredictor(engine)


@pytest.fixture(scope="module")
def frames(photo: ByteArray) -> list[ByteArray]:
    return [np.roll(photo, 4 * i, axis=1) for i in range(8)]


# image_predictor_example


def test_a_click_and_its_refinement(predictor: SAM2ImagePredictor) -> None:
    masks, scores, logits = predictor.predict(**CLICK, multimask_output=True)
    assert (masks.shape, scores.shape, logits.shape) == ((3, HEIGHT, WIDTH), (3,), (3, LOW_RES, LOW_RES))
    assert masks.dtype == scores.dtype == logits.dtype == np.float32
    assert set(np.unique(masks)) <= {0.0, 1.0}
    assert np.abs(logits).max() <= 32
    again = predictor.predict(
        point_coords=np.array([[40, 50], [90, 20]]),
        point_labels=np.array([1, 0]),
        mask_input=logits[np.argmax(scores), :, :][None, :, :],
        multimask_output=False,
    )
    assert [part.shape for part in again] == [(1, HEIGHT, WIDTH), (1,), (1, LOW_RES, LOW_RES)]


def test_candidates_are_those_of_the_segmenter_in_the_decoders_order(
    predictor: SAM2ImagePredictor, engine: TorchEngine, photo: ByteArray
) -> None:
    masks, scores, logits = predictor.predict(**CLICK)
    result = Segmenter(engine).set_image(photo).predict(points_xy=[(40, 50)], multimask=True)
    best_first = np.argsort(-scores, kind="stable")
    np.testing.assert_allclose(scores[best_first], result.iou_predictions)
    np.testing.assert_array_equal(masks[best_first] > 0, result.masks)
    np.testing.assert_allclose(logits[best_first], result.low_res_logits.clip(-32, 32))


def test_logits_are_masks_before_the_threshold(predictor: SAM2ImagePredictor) -> None:
    masks, _, low_res = predictor.predict(**CLICK)
    logits, _, _ = predictor.predict(**CLICK, return_logits=True)
    np.testing.assert_array_equal(logits > 0, masks > 0)
    assert np.abs(low_res).max() < 32, "otherwise they are limited, and the next line would not hold"
    np.testing.assert_allclose(logits, upsample_logits(low_res, (HEIGHT, WIDTH)), rtol=1e-5)


def test_boxes_and_points_of_several_objects(predictor: SAM2ImagePredictor) -> None:
    boxes = np.array([[10, 10, 60, 80], [50, 20, 119.5, 90]])
    points, labels = np.array([[[40, 50]], [[90, 40]]]), np.array([[1], [0]])
    masks, scores, logits = predictor.predict(
        point_coords=points, point_labels=labels, box=boxes, multimask_output=False
    )
    assert (masks.shape, scores.shape) == ((2, 1, HEIGHT, WIDTH), (2, 1))
    assert logits.shape == (2, 1, LOW_RES, LOW_RES)
    for row in range(2):
        alone = predictor.predict(
            point_coords=points[row], point_labels=labels[row], box=boxes[row], multimask_output=False
        )
        np.testing.assert_allclose(alone[2], logits[row], atol=1e-4)


def test_fractions_are_pixels_in_another_unit(predictor: SAM2ImagePredictor) -> None:
    box = np.array([12, 9, 60, 81])
    in_pixels = predictor.predict(**CLICK, box=box)
    fractions = predictor.predict(
        point_coords=torch.tensor([[40 / WIDTH, 50 / HEIGHT]]),
        point_labels=[1],
        box=box / np.array([WIDTH, HEIGHT] * 2),
        normalize_coords=False,
    )
    np.testing.assert_allclose(in_pixels[2], fractions[2], rtol=1e-3, atol=1e-3)


def test_a_batch_of_images_of_different_sizes(engine: TorchEngine, photo: ByteArray) -> None:
    predictor = SAM2ImagePredictor(engine)
    images = [photo, np.ascontiguousarray(photo[:40, :50])]
    predictor.set_image_batch(images)
    embedding = predictor.get_image_embedding()
    assert embedding.shape == (2, TINY.embed_dim, 8, 8)
    features = predictor._features
    assert features is not None
    assert torch.equal(features["image_embed"], embedding)
    assert [level.shape[-2:] for level in features["high_res_feats"]] == [(32, 32), (16, 16)]
    predictor.reset_predictor()
    assert predictor._features is None
    predictor.set_image_batch(images)
    boxes = [np.array([[10, 10, 40, 30]]), np.array([[5, 5, 30, 30], [0, 0, 20, 20]])]
    masks, scores, _ = predictor.predict_batch(None, None, box_batch=boxes, multimask_output=False)
    assert [mask.shape for mask in masks] == [(1, HEIGHT, WIDTH), (2, 1, 40, 50)]
    assert [score.shape for score in scores] == [(1,), (2, 1)]
    with pytest.raises(PromptError, match="one entry per image, 2, got 1"):
        predictor.predict_batch(box_batch=boxes[:1])
    with pytest.raises(PromptError, match="use predict_batch"):
        predictor.predict(**CLICK)


def test_a_pil_image_is_taken_as_its_pixels_lie(engine: TorchEngine, photo: ByteArray) -> None:
    turned = Image.fromarray(photo)
    turned.getexif()[0x0112] = 6  # a viewer would turn it by 90 degrees
    predictor = SAM2ImagePredictor(engine)
    predictor.set_image(turned)
    assert predictor.predict(**CLICK)[0].shape == (3, HEIGHT, WIDTH)


def test_small_holes_and_pieces_go(engine: TorchEngine, photo: ByteArray) -> None:
    predictor = SAM2ImagePredictor(engine, max_hole_area=10_000, max_sprinkle_area=0)
    predictor.set_image(photo)
    assert predictor.predict(**CLICK)[0].all()


IMAGE_MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({}, "the prompt is empty"),
    ({"point_coords": [[1, 2]]}, "without point_labels"),
    ({"point_labels": [1]}, "without point_coords"),
    ({"point_coords": [[1, 2]], "point_labels": [2]}, r"labels must be 1 \(foreground\) or 0"),
    ({"point_coords": [[1, 2, 3]], "point_labels": [1]}, r"must be \(P, 2\) or \(B, P, 2\)"),
    ({"point_coords": [["a", "b"]], "point_labels": [1]}, "must be numbers"),
    ({"point_coords": [[np.nan, 2]], "point_labels": [1]}, "must be finite"),
    ({"box": [1, 2, 3]}, r"box must be \(4,\) or \(B, 4\)"),
    ({"box": [30, 2, 3, 40]}, "left < right"),
    ({"box": [[1, 2, 30, 40]] * 2, **CLICK, "mask_input": np.zeros((3, 1, LOW_RES, LOW_RES))}, "for 2 objects"),
    ({"mask_input": np.zeros((1, 7, 7))}, r"\(1, 32, 32\)"),
]


@pytest.mark.parametrize(("arguments", "message"), IMAGE_MISTAKES)
def test_mistakes_with_images(predictor: SAM2ImagePredictor, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PromptError, match=message):
        predictor.predict(**arguments)


def test_an_image_comes_first(engine: TorchEngine) -> None:
    predictor = SAM2ImagePredictor(engine)
    for ask in (lambda: predictor.predict(**CLICK), predictor.get_image_embedding):
        with pytest.raises(PromptError, match="call set_image first"):
            ask()
    with pytest.raises(EngineError, match="from build_sam2"):
        SAM2ImagePredictor(object())


def test_coordinates_outside_are_moved_to_the_edge(predictor: SAM2ImagePredictor) -> None:
    outside = predictor.predict(box=np.array([-3, 10, WIDTH + 2, 60]))
    inside = predictor.predict(box=np.array([0, 10, WIDTH, 60]))
    np.testing.assert_array_equal(outside[2], inside[2])


# automatic_mask_generator_example


def test_everything(engine: TorchEngine, photo: ByteArray) -> None:
    settings: dict[str, Any] = {
        "points_per_side": 4,
        "pred_iou_thresh": 0.0,
        "stability_score_thresh": 0.0,
        "box_nms_thresh": 0.9,
    }
    masks = SAM2AutomaticMaskGenerator(engine, **settings).generate(photo)
    assert masks
    keys = {"segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"}
    for mask in masks:
        assert mask.keys() == keys
        assert (mask["segmentation"].shape, mask["segmentation"].dtype) == ((HEIGHT, WIDTH), np.bool_)
        assert mask["area"] == mask["segmentation"].sum()
        rows, columns = mask["segmentation"].nonzero()
        expected = [columns.min(), rows.min(), columns.max() - columns.min(), rows.max() - rows.min()]
        assert mask["bbox"] == expected
        assert mask["crop_box"] == [0, 0, WIDTH, HEIGHT]
    assert [m["predicted_iou"] for m in masks] == sorted((m["predicted_iou"] for m in masks), reverse=True)
    for mode in ("coco_rle", "uncompressed_rle"):
        encoded = SAM2AutomaticMaskGenerator(engine, **settings, output_mode=mode).generate(photo)
        assert isinstance(encoded[0]["segmentation"]["counts"], str if mode == "coco_rle" else list)
        for mask, same in zip(masks, encoded, strict=True):
            np.testing.assert_array_equal(decode_rle(same["segmentation"]), mask["segmentation"])


def test_custom_points_and_small_regions(engine: TorchEngine, photo: ByteArray) -> None:
    found = {}
    for area in (0, 20):
        generator = SAM2AutomaticMaskGenerator(
            engine,
            points_per_side=None,
            point_grids=[np.array([[0.5, 0.5]])],
            pred_iou_thresh=0.0,
            stability_score_thresh=0.0,
            box_nms_thresh=1.0,
            min_mask_region_area=area,
        )
        found[area] = {mask["predicted_iou"]: mask for mask in generator.generate(photo)}
        assert all(mask["point_coords"] == [[WIDTH / 2, HEIGHT / 2]] for mask in found[area].values())
    pieces = {area: [count_pieces(m["segmentation"]) for m in found[area].values()] for area in found}
    assert max(pieces[0]) > max(pieces[20])


def count_pieces(mask: Any) -> int:
    return int(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0])


@pytest.mark.parametrize(
    "arguments",
    [{"points_per_side": None}, {"point_grids": [[[0.5, 0.5]]]}, {"output_mode": "png"}, {"pred_iou_thresh": 7}],
)
def test_mistakes_with_everything(engine: TorchEngine, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SAM2AutomaticMaskGenerator(engine, **arguments)


# video_predictor_example


def test_a_video_from_click_to_removal(
    video_predictor: SAM2VideoPredictor, frames: list[ByteArray], tmp_path: Path
) -> None:
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frame-{index}.png")  # official names are numbers only
    state = video_predictor.init_state(video_path=str(tmp_path))
    assert (state["num_frames"], state["video_height"], state["video_width"]) == (8, HEIGHT, WIDTH)
    points, labels = np.array([[40, 50]], np.float32), np.array([1], np.int32)
    frame_index, ids, logits = video_predictor.add_new_points_or_box(
        inference_state=state, frame_idx=0, obj_id="cat", points=points, labels=labels
    )
    assert (frame_index, ids) == (0, ["cat"])
    assert isinstance(logits, torch.Tensor)
    assert (logits.shape, logits.dtype) == ((1, 1, HEIGHT, WIDTH), torch.float32)
    _, ids, logits = video_predictor.add_new_points_or_box(state, 0, 2, box=[50, 20, 119, 89])
    assert (ids, logits.shape[0]) == (["cat", 2], 2)

    segments = {
        index: {obj_id: (logits[row] > 0.0).cpu().numpy() for row, obj_id in enumerate(ids)}
        for index, ids, logits in video_predictor.propagate_in_video(state)
    }
    assert list(segments) == list(range(8))
    assert segments[5]["cat"].shape == (1, HEIGHT, WIDTH)

    video_predictor.add_new_points_or_box(state, 4, "cat", points=[[90, 30]], labels=[0])
    again = {index for index, _, _ in video_predictor.propagate_in_video(state, 4, max_frame_num_to_track=2)}
    assert again == {4, 5, 6}
    assert [i for i, _, _ in video_predictor.propagate_in_video(state, 3, reverse=True)] == [3, 2, 1, 0]
    ids, updated = video_predictor.remove_object(state, "cat")
    assert ids == state["obj_ids"] == [2]
    assert [(index, masks.shape[0]) for index, masks in updated] == [(0, 1), (4, 1)]
    video_predictor.reset_state(state)
    assert state["obj_ids"] == []


def test_the_video_predictor_gives_the_masks_of_the_tracker(
    engine: TorchEngine, video_predictor: SAM2VideoPredictor, frames: list[ByteArray]
) -> None:
    state = video_predictor.init_state(np.stack(frames))
    tracker = Tracker(engine, frames, memory=MemoryConfig.official())
    video_predictor.add_new_points_or_box(state, 1, 1, points=[[40, 50]], labels=[1])
    tracker.prompt(1, 1, points_xy=[(40, 50)])
    video_predictor.add_new_points_or_box(state, 3, 2, box=[50, 20, 119, 89])
    tracker.prompt(2, 3, box_xyxy=[50, 20, 119, 89])
    for (index, _, logits), masks in zip(video_predictor.propagate_in_video(state), tracker.run(), strict=True):
        assert index == masks.frame_index
        np.testing.assert_array_equal((logits[:, 0] > 0).numpy(), masks.masks)


def test_points_add_up_or_replace_each_other(video_predictor: SAM2VideoPredictor, frames: list[ByteArray]) -> None:
    """Either way they correct the mask that is there, so what is compared had the same first click."""
    first, second = {"points": [[40, 50]], "labels": [1]}, {"points": [[90, 30]], "labels": [0]}
    both = {"points": [[40, 50], [90, 30]], "labels": [1, 0]}
    shown = []
    for more, clear in ((second, False), (both, True), (second, True)):
        state = video_predictor.init_state(frames)
        video_predictor.add_new_points_or_box(state, 0, 1, **first)
        shown.append(video_predictor.add_new_points_or_box(state, 0, 1, **more, clear_old_points=clear)[2])
    assert torch.equal(shown[0], shown[1])
    assert not torch.equal(shown[0], shown[2])


def test_a_mask_prompt_can_be_removed(video_predictor: SAM2VideoPredictor, frames: list[ByteArray]) -> None:
    state = video_predictor.init_state(frames)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:70, 30:90] = True
    _, _, logits = video_predictor.add_new_mask(state, 0, 1, torch.from_numpy(mask))
    assert ((logits[0, 0] > 0).numpy() != mask).mean() < 0.03  # it has been through the low resolution
    _, ids, logits = video_predictor.clear_all_prompts_in_frame(state, 0, 1) or (0, [], torch.zeros(0))
    assert ids == [1]
    assert (logits == -1024).all()
    with pytest.raises(TrackingError, match="object 1 has no prompt left"):
        next(video_predictor.propagate_in_video(state))


def test_an_absent_object_has_logits_of_minus_1024(photo: ByteArray, frames: list[ByteArray]) -> None:
    model = random_model()
    with torch.no_grad():
        model.mask_decoder.object_score_head.layers[-1].bias.fill_(-50.0)
    predictor = SAM2VideoPredictor(TorchEngine(model, device="cpu"))
    state = predictor.init_state(frames)
    assert (predictor.add_new_points_or_box(state, 0, 1, points=[[40, 50]], labels=[1])[2] == -1024).all()


def test_objects_do_not_overlap_where_that_is_wanted(engine: TorchEngine, frames: list[ByteArray]) -> None:
    predictor = SAM2VideoPredictor(engine, non_overlap_masks=True, fill_hole_area=8)
    state = predictor.init_state(frames, offload_state_to_cpu=True)
    predictor.add_new_points_or_box(state, 0, 1, points=[[40, 50]], labels=[1])
    predictor.add_new_points_or_box(state, 0, 2, points=[[41, 50]], labels=[1])
    for _, _, logits in predictor.propagate_in_video(state, max_frame_num_to_track=2):
        assert ((logits > 0).sum(0) <= 1).all()


VIDEO_MISTAKES: list[tuple[dict[str, Any], type[MaskletError], str]] = [
    ({}, PromptError, "the prompt is empty"),
    ({"points": [[1, 2]]}, PromptError, "come together"),
    ({"points": [[1, 2]], "labels": [3]}, PromptError, "labels must be 1"),
    ({"points": [[1, 2]], "labels": [1, 1]}, PromptError, r"points must be \(P, 2\)"),
    ({"box": [1, 2, 3]}, PromptError, "box must be"),
    ({"box": [1, 2, 30, 40], "clear_old_points": False}, PromptError, "clear_old_points"),
    ({"frame_idx": 99, "box": [1, 2, 30, 40]}, TrackingError, "frame 99 does not exist"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), VIDEO_MISTAKES)
def test_invalid_video_prompts_leave_no_object_behind(
    video_predictor: SAM2VideoPredictor,
    frames: list[ByteArray],
    arguments: dict[str, Any],
    error: type[MaskletError],
    message: str,
) -> None:
    state = video_predictor.init_state(frames)
    with pytest.raises(error, match=message):
        video_predictor.add_new_points_or_box(state, **({"frame_idx": 0, "obj_id": 1} | arguments))
    assert state["obj_ids"] == []
    assert state.tracker.object_ids == ()


def test_other_mistakes_with_videos(video_predictor: SAM2VideoPredictor, frames: list[ByteArray]) -> None:
    state = video_predictor.init_state(frames)
    with pytest.raises(PromptError, match="size of the frame, 120 x 90"):
        video_predictor.add_new_mask(state, 0, 1, np.ones((30, 30)))
    with pytest.raises(TrackingError, match="nothing to track yet"):
        next(video_predictor.propagate_in_video(state))
    with pytest.raises(TrackingError, match="object 5 is unknown"):
        video_predictor.clear_all_prompts_in_frame(state, 0, 5)
    with pytest.raises(TrackingError, match="object 5 is unknown"):
        video_predictor.remove_object(state, 5, strict=True)
    assert video_predictor.remove_object(state, 5) == ([], [])
    with pytest.raises(ConfigError, match="from init_state"):
        video_predictor.reset_state({})  # type: ignore[arg-type]
    with pytest.raises(VideoError, match="no known number of frames"):
        video_predictor.init_state(iter(frames))


# build_sam


def test_models_are_built_from_a_checkpoint(tmp_path: Path, photo: ByteArray) -> None:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(Checkpoint(TINY, random_model().state_dict()), path)
    model = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", path, device="cpu")
    assert model.image_size == TINY.image_size
    assert model.to("cpu").eval() is model
    assert model.device == torch.device("cpu")
    SAM2ImagePredictor(model).set_image(photo)
    assert model.engine.spec.stability_threshold == 0.98
    assert build_sam2(None, path, "cpu", apply_postprocessing=False).engine.spec.stability_threshold == 0
    predictor = build_sam2_video_predictor(
        "sam2_hiera_l.yaml",
        str(path),
        device=torch.device("cpu"),
        hydra_overrides_extra=["++model.non_overlap_masks=true", "++model.add_all_frames_to_correct_as_cond=true"],
        vos_optimized=True,
    )
    assert (predictor.fill_hole_area, predictor.non_overlap_masks) == (8, True)
    assert predictor.init_state([photo]).tracker.memory.corrections_stay
    for override in ("++model.sigmoid_scale_for_mem_enc=3", "++model.fill_hole_area=many", "fill_hole_area"):
        with pytest.raises(ConfigError, match="override"):
            build_sam2_video_predictor(None, path, "cpu", hydra_overrides_extra=[override])
    with pytest.raises(ConfigError, match="masklet train"):
        build_sam2(None, path, "cpu", mode="train")
    with pytest.raises(CheckpointError, match="config_file must be an official name"):
        build_sam2("my_model.yaml", device="cpu")


def test_nano_works_with_the_official_interface(photo: ByteArray, frames: list[ByteArray]) -> None:
    predictor = SAM2ImagePredictor(build_sam2(None, "nano", device="cpu"))
    predictor.set_image(photo)
    assert predictor.predict(**CLICK)[0].shape == (3, HEIGHT, WIDTH)
    video_predictor = SAM2VideoPredictor(predictor.model)
    state = video_predictor.init_state(frames[:2])
    video_predictor.add_new_points_or_box(state, 0, 1, points=[[40, 50]], labels=[1])
    assert [masks.shape for _, _, masks in video_predictor.propagate_in_video(state)] == [(1, 1, HEIGHT, WIDTH)] * 2
    with pytest.raises(EngineError, match="stays on the CPU"):
        predictor.model.to("cuda")
