"""What users pass to the official interface: zero rows, padding, ids and numbers of any library, the caller's names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="masklet.compat.sam2 needs PyTorch")

from masklet.compat.sam2 import SAM2AutomaticMaskGenerator, SAM2ImagePredictor, SAM2VideoPredictor  # noqa: E402
from masklet.compat.sam2.build_sam import build_sam2  # noqa: E402
from masklet.engine.torch_engine import TorchEngine  # noqa: E402
from masklet.errors import CheckpointError, ConfigError, EngineError, MaskletError, PromptError  # noqa: E402
from masklet.media.images import read_image  # noqa: E402
from masklet.records import ByteArray  # noqa: E402
from tests.compat.conftest import HEIGHT, WIDTH  # noqa: E402
from tests.model.tiny import TINY  # noqa: E402

SIDE = TINY.image_size // 4


@pytest.fixture
def predictor(tiny_engine: TorchEngine, small_photo: ByteArray) -> SAM2ImagePredictor:
    predictor = SAM2ImagePredictor(tiny_engine)
    predictor.set_image(small_photo)
    return predictor


@pytest.mark.parametrize(
    "prompts",
    [
        {"box": np.zeros((0, 4))},
        {"box": np.array([])},
        {"box": []},
        {"box": torch.zeros(0, 4)},
        {"point_coords": np.zeros((0, 2)), "point_labels": np.zeros(0)},
        {"point_coords": np.zeros((0, 1, 2)), "point_labels": np.zeros((0, 1))},
        {"point_coords": [], "point_labels": []},
        {"mask_input": np.zeros((0, 1, SIDE, SIDE))},
        {"box": np.zeros((0, 4)), "point_coords": np.zeros((0, 1, 2)), "point_labels": np.zeros((0, 1))},
    ],
    ids=str,
)
def test_zero_rows_give_zero_masks(predictor: SAM2ImagePredictor, prompts: dict[str, Any]) -> None:
    masks, scores, logits = predictor.predict(**prompts, multimask_output=False)
    assert (masks.shape, scores.shape, logits.shape) == ((0, 1, HEIGHT, WIDTH), (0, 1), (0, 1, SIDE, SIDE))
    assert predictor.predict(**prompts)[0].shape == (0, 3, HEIGHT, WIDTH)


def test_an_image_without_detections_does_not_cost_the_batch(
    predictor: SAM2ImagePredictor, small_photo: ByteArray
) -> None:
    predictor.set_image_batch([small_photo] * 4)
    boxes = [np.array([[10, 10, 40, 40], [0, 0, 20, 20]]), np.zeros((0, 4)), None, np.array([[5, 5, 50, 50]])]
    masks, scores, _ = predictor.predict_batch(box_batch=boxes, multimask_output=False)
    assert [mask.shape[0] for mask in masks] == [2, 0, 0, 1]
    assert [score.shape for score in scores] == [(2, 1), (0, 1), (0, 1), (1,)]
    predictor.set_image_batch([])
    assert predictor.predict_batch(box_batch=[]) == ([], [], [])


def test_no_points_beside_a_box_are_no_points(predictor: SAM2ImagePredictor) -> None:
    box = np.array([[10, 10, 40, 40], [0, 0, 20, 20]])
    with_none = predictor.predict(point_coords=np.zeros((0, 2)), point_labels=np.zeros(0), box=box)
    np.testing.assert_array_equal(with_none[2], predictor.predict(box=box)[2])


def test_padding_is_the_official_padding(predictor: SAM2ImagePredictor) -> None:
    """A padded point has no place: wherever it lies, the answer is the same, and objects of one call share a batch."""
    points = np.array([[[20, 30], [0, 0]], [[20, 30], [50, 40]]])
    labels = np.array([[1, -1], [1, 0]])
    masks, _, logits = predictor.predict(points, labels)
    assert masks.shape == (2, 3, HEIGHT, WIDTH)
    elsewhere = predictor.predict(np.array([[20, 30], [70, 50]]), torch.tensor([1, -1]))
    np.testing.assert_allclose(elsewhere[2], logits[0], atol=1e-4)
    click = predictor.predict(np.array([[20, 30]]), [1])
    assert ((click[0] > 0) == (masks[0] > 0)).mean() > 0.7, "padding may shift the answer a little, no more"


def test_padding_in_videos(tiny_engine: TorchEngine, clip: list[ByteArray]) -> None:
    video = SAM2VideoPredictor(tiny_engine)
    state = video.init_state(clip)
    video.add_new_points_or_box(state, 0, 1, points=[[20, 30], [0, 0]], labels=[1, -1])
    assert len(list(video.propagate_in_video(state))) == len(clip)


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(lambda half: half, id="bool"),
        pytest.param(lambda half: half.astype(np.uint8), id="0 and 1"),
        pytest.param(lambda half: half.astype(np.uint8) * 255, id="0 to 255"),
        pytest.param(torch.from_numpy, id="torch"),
        pytest.param(lambda half: half.astype(np.float32), id="probabilities"),
    ],
)
def test_a_mask_as_mask_input_is_a_mask(predictor: SAM2ImagePredictor, mask: Any) -> None:
    half = np.zeros((1, SIDE, SIDE), bool)
    half[:, :, : SIDE // 2] = True
    click = {"point_coords": [[20, 30]], "point_labels": [1]}
    expected = predictor.predict(**click, mask_input=np.where(half, np.float32(10), np.float32(-10)))
    np.testing.assert_array_equal(predictor.predict(**click, mask_input=mask(half))[2], expected[2])


IDS: list[tuple[list[Any], list[Any]]] = [
    (list(torch.tensor([1, 2])) * 2, [1, 2]),
    ([np.int64(1), 1, np.uint8(1), np.array(1), torch.tensor(1), np.float32(1)], [1]),
    (["cat", np.str_("cat"), "dog"], ["cat", "dog"]),
    ([-1, np.int64(-1), 0], [-1, 0]),
    ([("a", 1), ("a", 1)], [("a", 1)]),
]


@pytest.mark.parametrize(("given", "objects"), IDS, ids=str)
def test_equal_ids_are_one_object(
    tiny_engine: TorchEngine, clip: list[ByteArray], given: list[Any], objects: list[Any]
) -> None:
    video = SAM2VideoPredictor(tiny_engine)
    state = video.init_state(clip)
    for obj_id in given:
        _, ids, _ = video.add_new_points_or_box(state, np.int64(0), obj_id, points=[[20, 30]], labels=[1])
    assert ids == objects
    assert {type(obj_id) for obj_id in ids} <= {int, str, tuple, float}
    frames = list(video.propagate_in_video(state, torch.tensor(0), np.int64(2)))
    assert [index for index, _, _ in frames] == [0, 1, 2]
    video.clear_all_prompts_in_frame(state, np.array(0), given[-1])
    assert video.remove_object(state, given[-1])[0] == objects[:-1]


@pytest.mark.parametrize("obj_id", [True, np.bool_(False), None, [1], torch.tensor([1]), float("nan")], ids=repr)
def test_what_is_no_id_is_refused(tiny_engine: TorchEngine, clip: list[ByteArray], obj_id: Any) -> None:
    video = SAM2VideoPredictor(tiny_engine)
    state = video.init_state(clip)
    with pytest.raises(PromptError, match="obj_id must be"):
        video.add_new_points_or_box(state, 0, obj_id, points=[[20, 30]], labels=[1])
    assert state["obj_ids"] == []


NAMES: list[tuple[dict[str, Any], str]] = [
    ({"point_coords": [["a", "b"]], "point_labels": [1]}, "point_coords must be numbers"),
    ({"point_coords": [[1, 2]], "point_labels": ["in"]}, "point_labels must be 1 or 0"),
    ({"point_coords": [[1, 2]], "point_labels": [2]}, "point_labels must be .*: give boxes as box="),
    ({"box": [[1, 2, 30, 40], [9, 9, 9, 20]]}, r"box 1 of 2 must be left, top, right, bottom .* got \(9, 9, 9, 20\)"),
    ({"box": [100, 10, 120, 20]}, r"box must lie in the image, which is 80 wide and 60 high"),
    ({"mask_input": np.full((1, SIDE, SIDE), np.nan)}, "mask_input must be finite"),
]


@pytest.mark.parametrize(("arguments", "message"), NAMES, ids=[message for _, message in NAMES])
def test_messages_name_the_callers_argument(
    predictor: SAM2ImagePredictor, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        predictor.predict(**arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("points_per_side", 0),
        ("points_per_batch", 2.5),
        ("pred_iou_thresh", 7),
        ("stability_score_thresh", float("nan")),
        ("stability_score_offset", 0),
        ("box_nms_thresh", "0.7"),
        ("crop_n_layers", True),
        ("crop_overlap_ratio", 1),
        ("crop_n_points_downscale_factor", 0),
        ("min_mask_region_area", 25.5),
        ("use_m2m", "yes"),
    ],
)
def test_messages_of_the_generator_name_the_callers_argument(tiny_engine: TorchEngine, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be"):
        SAM2AutomaticMaskGenerator(tiny_engine, **{name: value})


def test_whole_floats_are_whole_numbers(tiny_engine: TorchEngine) -> None:
    generator = SAM2AutomaticMaskGenerator(
        tiny_engine, points_per_side=np.float32(4), min_mask_region_area=25.0, crop_n_layers=torch.tensor(1)
    )
    assert (generator.points_per_side, generator.min_mask_region_area, generator.crop_n_layers) == (4, 25, 1)


def test_numbers_of_the_image_predictor_are_checked(tiny_engine: TorchEngine) -> None:
    assert SAM2ImagePredictor(tiny_engine, np.float32(0.5), torch.tensor(8)).max_hole_area == 8
    for name in ("mask_threshold", "max_hole_area", "max_sprinkle_area"):
        with pytest.raises(ConfigError, match=f"^{name} must be"):
            SAM2ImagePredictor(tiny_engine, **{name: float("nan")})


def test_a_16_bit_picture_is_read_as_everywhere(tiny_engine: TorchEngine) -> None:
    deep = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 13
    picture = Image.fromarray(deep)
    assert picture.mode == "I;16"
    predictor = SAM2ImagePredictor(tiny_engine)
    predictor.set_image(picture)
    rgb = predictor._images[0].rgb
    assert rgb is not None
    np.testing.assert_array_equal(rgb, read_image(picture))
    assert len(np.unique(rgb)) > 100


def test_what_scripts_read_of_a_predictor(predictor: SAM2ImagePredictor, small_photo: ByteArray) -> None:
    assert (predictor._orig_hw, predictor._is_image_set, predictor._is_batch) == ([(HEIGHT, WIDTH)], True, False)
    assert predictor._bb_feat_sizes == [(SIDE, SIDE), (SIDE // 2, SIDE // 2), (SIDE // 4, SIDE // 4)]
    assert predictor._transforms.resolution == predictor.model.image_size
    box = np.array([[10, 10, 40, 40], [0, 0, 20, 20]])
    logits, points, labels, corners = predictor._prep_prompts([[20, 30]], [1], box, None, True)
    assert logits is None
    assert (points.shape, labels.shape, corners.shape) == ((1, 1, 2), (1, 1), (2, 2, 2))
    masks, _, low_res = predictor._predict(points, labels, corners, multimask_output=False)
    expected = predictor.predict([[20, 30]], [1], box, multimask_output=False)
    assert (masks.dtype, masks.shape) == (torch.bool, (2, 1, HEIGHT, WIDTH))
    np.testing.assert_array_equal(masks.numpy(), expected[0] > 0)
    np.testing.assert_allclose(low_res.numpy(), expected[2], atol=1e-4)
    predictor.reset_predictor()
    assert (predictor._orig_hw, predictor._is_image_set) == (None, False)


def test_what_scripts_read_of_a_model(tiny_engine: TorchEngine) -> None:
    model = SAM2VideoPredictor(tiny_engine)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == sum(parameter.numel() for parameter in tiny_engine.model.parameters())
    assert next(model.parameters()).device == model.device == torch.device("cpu")
    assert model.state_dict().keys() == tiny_engine.model.state_dict().keys()
    assert model.eval().cpu().float().to(torch.device("cpu", 0)).train(False).requires_grad_(False) is model
    assert (model.training, model.num_maskmem, model.max_obj_ptrs_in_encoder) == (False, 7, 16)
    with pytest.raises(ConfigError, match="masklet train"):
        model.train()
    with pytest.raises(AttributeError, match=r"'sam_mask_decoder'.*migrating-from-sam2"):
        model.sam_mask_decoder  # noqa: B018
    assert not hasattr(model, "forward_image")
    nano = build_sam2(None, "nano", device="cuda")
    assert nano.device == torch.device("cpu"), "exported models run on the CPU whatever is asked"
    with pytest.raises(EngineError, match=r"no torch parameters.*migrating-from-sam2"):
        nano.parameters()
    with pytest.raises(EngineError, match="stays on the CPU"):
        nano.half()


def test_what_scripts_read_of_a_state(tiny_engine: TorchEngine, clip: list[ByteArray]) -> None:
    video = SAM2VideoPredictor(tiny_engine)
    state = video.init_state(clip)
    images = state["images"]
    size = TINY.image_size
    assert (len(images), images.shape, images[0].shape) == (4, (4, 3, size, size), (3, size, size))
    assert (images[1:3].shape, images[-1].dtype) == ((2, 3, size, size), torch.float32)
    assert (state["video_height"], state["video_width"], state["num_frames"]) == (HEIGHT, WIDTH, 4)
    with pytest.raises(IndexError):
        images[4]
    with pytest.raises(KeyError, match=r"^inference_state has no 'output_dict'.*migrating-from-sam2"):
        state["output_dict"]
    assert state.get("output_dict") is None


def test_propagation_shows_a_bar(
    tiny_engine: TorchEngine, clip: list[ByteArray], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tqdm")
    video = SAM2VideoPredictor(tiny_engine)
    state = video.init_state(clip)
    video.add_new_points_or_box(state, 0, 1, points=[[20, 30]], labels=[1])
    next(iter(video.propagate_in_video(state)))  # left open: nothing may hang or warn
    for _ in video.propagate_in_video(state):
        pass
    assert "propagate in video: 100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"ckpt_path": 3}, CheckpointError, "ckpt_path must be a name or a path, got 3"),
        ({"ckpt_path": "nano", "mode": "train"}, ConfigError, "masklet train"),
        ({"ckpt_path": "missing.pt", "device": "cpu"}, CheckpointError, r"missing\.pt"),
    ],
)
def test_what_cannot_be_built(arguments: dict[str, Any], error: type[MaskletError], message: str) -> None:
    with pytest.raises(error, match=message):
        build_sam2(None, **arguments)
