"""The segmenter, on an engine with integers as handles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from masklet.errors import ImageError, PromptError
from masklet.prompts import Prompt
from masklet.segmentation.segmenter import EncodedImage, Segmenter
from tests.fake_engine import LOW_RES, SIZE_HW, FakeEngine, picture

POINT = [(1, 1)]
BOX = (0, 0, 4, 4)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def image(engine: FakeEngine) -> EncodedImage[int]:
    return Segmenter(engine).set_image(picture(7))


def test_many_prompts_share_one_encoding(image: EncodedImage[int], engine: FakeEngine) -> None:
    for _ in range(3):
        image.predict(points_xy=POINT)
    assert engine.encoded == [7]
    assert image.size_hw == SIZE_HW


def test_many_images_are_encoded_one_by_one_when_they_are_asked_for(engine: FakeEngine) -> None:
    images = Segmenter(engine).set_images(picture(number) for number in (3, 5))
    assert engine.encoded == []
    assert next(images).size_hw == SIZE_HW
    assert engine.encoded == [3]
    assert len(list(images)) == 1
    assert engine.encoded == [3, 5]


def test_candidates_come_best_first(image: EncodedImage[int]) -> None:
    result = image.predict(points_xy=POINT, labels=[1])
    assert result.masks.shape == (3, *SIZE_HW)
    assert result.iou_predictions.tolist() == pytest.approx([0.9, 0.7, 0.5])
    assert result.low_res_logits[:, 0, 0].tolist() == [41, 81, 1]  # in the order of the masks
    assert (result.mask == (np.arange(SIZE_HW[1]) < 4)).all()
    assert result.object_score == 8.0


@pytest.mark.parametrize(
    ("arguments", "candidates"),
    [
        ({"points_xy": POINT}, 3),
        ({"points_xy": [(1, 1), (2, 2)]}, 1),
        ({"box_xyxy": BOX}, 1),
        ({"points_xy": POINT, "box_xyxy": BOX}, 1),
        ({"points_xy": POINT, "previous_logits": np.zeros((LOW_RES, LOW_RES))}, 1),
        ({"mask": np.ones(SIZE_HW)}, 1),
        ({"previous_logits": np.zeros((1, LOW_RES, LOW_RES))}, 1),
        ({"points_xy": POINT, "multimask": False}, 1),
        ({"box_xyxy": BOX, "multimask": True}, 3),
    ],
)
def test_only_a_single_point_is_ambiguous(image: EncodedImage[int], arguments: dict[str, Any], candidates: int) -> None:
    assert len(image.predict(**arguments).masks) == candidates


def test_logits_can_be_fed_back(image: EncodedImage[int], engine: FakeEngine) -> None:
    first = image.predict(points_xy=POINT)
    image.predict(points_xy=[(1, 1), (6, 2)], labels=[1, 0], previous_logits=first.low_res_logits[0])
    prompt = engine.prompt_of(7)
    assert prompt is not None
    assert prompt.previous_logits is not None
    assert (prompt.previous_logits == first.low_res_logits[0]).all()


@pytest.mark.parametrize("points", [None, POINT])
def test_a_rough_mask_becomes_logits(
    image: EncodedImage[int], engine: FakeEngine, points: list[tuple[int, int]] | None
) -> None:
    mask = np.zeros(SIZE_HW, bool)
    mask[:, :4] = True
    image.predict(points_xy=points, mask=mask)
    prompt = engine.prompt_of(7)
    assert prompt is not None
    assert prompt.mask is None
    assert prompt.num_points == (0 if points is None else 1)
    assert prompt.previous_logits is not None
    assert prompt.previous_logits.shape == (LOW_RES, LOW_RES)
    assert prompt.previous_logits[0, 0] == 10
    assert prompt.previous_logits[0, -1] == -10


def test_many_prompts_make_one_batch_of_each_kind_and_keep_their_order(
    image: EncodedImage[int], engine: FakeEngine
) -> None:
    prompts = [
        Prompt.create(points_xy=POINT),
        Prompt.create(box_xyxy=BOX),
        Prompt.create(points_xy=[(2, 2)]),
        Prompt.create(mask=np.ones(SIZE_HW)),
    ]
    results = image.predict_many(prompts)
    assert [len(result.masks) for result in results] == [3, 1, 3, 1]
    assert sorted((len(asked), multimask) for _, asked, multimask in engine.decoded) == [(2, False), (2, True)]
    assert all(recall.is_empty for _, recalls in engine.attended for recall in recalls)
    image.predict_many(prompts, multimask=False)
    assert len(engine.decoded[-1][1]) == 4
    assert image.predict_many([]) == []


def test_an_image_that_shows_no_object_still_has_its_mask() -> None:
    result = Segmenter(FakeEngine(lambda number: -4.0)).set_image(picture(0)).predict(points_xy=POINT)
    assert result.mask.any()
    assert result.object_score == -4.0


def test_images_come_from_files_and_pillow(tmp_path: Path, engine: FakeEngine) -> None:
    segmenter = Segmenter(engine)
    path = tmp_path / "a photo é.png"
    Image.fromarray(picture(300)).save(path)
    for source in (path, str(path), Image.open(path), picture(300)):
        segmenter.set_image(source)
    assert engine.encoded == [300] * 4
    with pytest.raises(ImageError, match="no such image"):
        segmenter.set_image(tmp_path / "missing.png")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "the prompt is empty"),
        ({"points_xy": [(8.5, 1)]}, r"\(8.5, 1\) lies outside the frame, which is 8 wide and 6 high"),
        ({"points_xy": POINT, "labels": [1, 0]}, "one label per point"),
        ({"labels": [1], "mask": np.ones(SIZE_HW)}, "labels came without points_xy"),
        ({"box_xyxy": (4, 4, 1, 1)}, "left < right"),
        ({"mask": np.ones((3, 3))}, "mask must have the size of the frame, 8 x 6"),
        ({"mask": np.zeros(SIZE_HW)}, "mask is empty"),
        ({"mask": np.ones(SIZE_HW), "previous_logits": np.zeros((4, 4))}, "exclude each other"),
        ({"points_xy": POINT, "previous_logits": np.zeros((3, 4, 4))}, r"\(4, 4\).* got \(3, 4, 4\)"),
        ({"previous_logits": np.full((4, 4), np.nan)}, "must be finite"),
        ({"points_xy": [(1, 2), (3,)]}, r"points_xy must be numbers of shape \(P, 2\), got \[\(1, 2\), \(3,\)\]"),
        ({"points_xy": POINT, "labels": ["in"]}, r"labels must be 1 \(foreground\) .* got \['in'\]"),
        ({"points_xy": [(1, 2), (3, 4)], "labels": [1, [0]]}, r"labels must be 1 \(foreground\) .* got \[1, \[0\]\]"),
        ({"box_xyxy": [1, 2, 3, [4]]}, "box_xyxy must be four numbers"),
        ({"mask": [[1, 0], [1]]}, r"mask must be \(H, W\) of bool or numbers, got \[\[1, 0\], \[1\]\]"),
    ],
)
def test_bad_prompts(image: EncodedImage[int], arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(PromptError, match=text):
        image.predict(**arguments)


def test_edges_are_refined_by_the_picture_when_asked() -> None:
    import masklet
    from masklet.masks.edges import EdgeConfig

    rgb = np.full((200, 260, 3), 40, np.uint8)
    rgb[50:150, 80:180] = (220, 160, 40)
    plain, refined = (
        masklet.Segmenter(masklet.load().engine, edges=edges).set_image(rgb).predict(box_xyxy=(78, 48, 182, 152))
        for edges in (None, EdgeConfig())
    )
    np.testing.assert_array_equal(plain.low_res_logits, refined.low_res_logits)
    assert (plain.mask != refined.mask).any()
    assert refined.mask[60:140, 90:170].all()
