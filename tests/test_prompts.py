from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from masklet.errors import PromptError
from masklet.prompts import FIELD_NAMES, TYPED_FIELDS, PointLabel, Prompt

SIZE_HW = (6, 8)
LOGITS = np.linspace(-3, 3, 16, dtype=np.float32).reshape(4, 4)


def square() -> np.ndarray[Any, np.dtype[np.bool_]]:
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[1:3, 2:5] = True
    return mask


PROMPTS = {
    "points": Prompt.create(points_xy=[(1.3, 2), (3, 4)], labels=[1, 0]),
    "box and points": Prompt.create(box_xyxy=(1, 2, 3.7, 5), points_xy=[(2, 3)]),
    "mask": Prompt.create(mask=square()),
    "rough mask": Prompt.create(mask=square(), points_xy=[(7, 5)], labels=[0], refine=True),
    "corrected points": Prompt.create(points_xy=[(1, 2)], previous_logits=LOGITS),
    "logits": Prompt.of_logits(LOGITS),
    "absent": Prompt.absent(SIZE_HW),
}


def assert_equal(first: Prompt, second: Prompt) -> None:
    for name in FIELD_NAMES:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name, strict=True)


@pytest.mark.parametrize("name", list(PROMPTS))
def test_every_prompt_survives_json(name: str) -> None:
    prompt = PROMPTS[name]
    assert_equal(Prompt.from_dict(json.loads(json.dumps(prompt.to_dict()))), prompt)


def test_arrays_can_be_stored_elsewhere() -> None:
    kept = []

    def keep(array: Any) -> int:
        kept.append(array)
        return len(kept) - 1

    document = PROMPTS["corrected points"].to_dict(keep)
    assert document["previous_logits"] == 0
    assert_equal(Prompt.from_dict(document, kept.__getitem__), PROMPTS["corrected points"])


def test_coordinates_have_the_digits_that_they_need() -> None:
    assert Prompt.create(points_xy=[(210.3, 0.1)]).to_dict()["points_xy"] == [[210.3, 0.1]]


def test_documents_of_other_versions_are_read() -> None:
    assert_equal(
        Prompt.from_dict({"points_xy": [[1, 2]], "labels": [1], "unknown": 3}), Prompt.create(points_xy=[(1, 2)])
    )
    with pytest.raises(PromptError, match="the prompt is empty"):
        Prompt.from_dict({"unknown": 3})
    with pytest.raises(PromptError, match="mask: RLE counts must add up"):
        Prompt.from_dict({"mask": {"size": [6, 8], "counts": [3]}})


def test_requests_have_the_fields_that_can_be_typed() -> None:
    request = PROMPTS["box and points"].to_request()
    assert request == {"points": [[2.0, 3.0]], "labels": [1], "box": [1.0, 2.0, 3.7, 5.0]}
    assert list(request) == [field.short_name for field in TYPED_FIELDS]


@pytest.mark.parametrize(
    ("name", "kind", "num_points"),
    [
        ("points", "points", 2),
        ("box and points", "box", 3),
        ("mask", "mask", 0),
        ("rough mask", "mask", 1),
        ("logits", "logits", 0),
    ],
)
def test_kinds(name: str, kind: str, num_points: int) -> None:
    assert PROMPTS[name].kind == kind
    assert PROMPTS[name].num_points == num_points


def test_the_encoder_gets_a_box_as_two_points_before_the_clicks() -> None:
    points, labels = PROMPTS["box and points"].encoder_points
    assert points.tolist() == [[1, 2], [np.float32(3.7), 5], [2, 3]]
    assert labels.tolist() == [PointLabel.BOX_TOP_LEFT, PointLabel.BOX_BOTTOM_RIGHT, PointLabel.FOREGROUND]


def test_a_single_click_is_ambiguous_unless_it_corrects_a_mask() -> None:
    assert Prompt.of_click((1, 2)).is_ambiguous
    assert not PROMPTS["corrected points"].is_ambiguous
    assert PROMPTS["corrected points"].is_single_click
    assert not PROMPTS["points"].is_ambiguous


def test_a_background_click_does_not_locate_the_object() -> None:
    assert not Prompt.of_click((1, 2), 0).locates_object
    assert PROMPTS["points"].locates_object
    assert Prompt.create(box_xyxy=(1, 2, 3, 4)).locates_object


@pytest.mark.parametrize(
    ("name", "size_hw", "text"),
    [
        ("points", (3, 8), r"point \(3, 4\) lies outside the frame, which is 8 wide and 3 high"),
        ("box and points", (6, 3), r"box \(1, 2, 3.7, 5\) lies outside the frame, which is 3 wide"),
        ("mask", (6, 9), "mask must have the size of the frame, 9 x 6"),
    ],
)
def test_prompts_are_checked_against_a_frame_that_comes_later(name: str, size_hw: tuple[int, int], text: str) -> None:
    assert PROMPTS[name].fitted(SIZE_HW) is PROMPTS[name]
    with pytest.raises(PromptError, match=text):
        PROMPTS[name].fitted(size_hw)


def test_a_prompt_for_a_smaller_frame() -> None:
    scaled = PROMPTS["box and points"].scaled(0.5)
    assert scaled.points_xy.tolist() == [[1, 1.5]]
    assert scaled.box_xyxy is not None
    np.testing.assert_allclose(scaled.box_xyxy, [0.5, 1, 1.85, 2.5])
    mask = PROMPTS["mask"].scaled(2).mask
    assert mask is not None
    assert (mask == square().repeat(2, 0).repeat(2, 1)).all()


def test_points_are_added_and_a_box_replaces() -> None:
    box, click = Prompt.create(box_xyxy=(1, 2, 3, 4)), Prompt.of_click((2, 3), 0)
    merged = box.merged(click)
    assert merged.box_xyxy is box.box_xyxy
    assert merged.labels.tolist() == [0]
    assert merged.extends(box)
    assert click.merged(box) is box
    corrected = PROMPTS["mask"].with_logits_for_mask(4).merged(click)
    assert corrected.mask is None
    assert corrected.previous_logits is not None
    assert corrected.previous_logits.shape == (4, 4)


def test_a_prompt_extends_another_only_with_points_at_the_end() -> None:
    first = Prompt.create(points_xy=[(1, 2)])
    assert Prompt.create(points_xy=[(1, 2), (3, 4)]).extends(first)
    assert not first.extends(first)
    assert not Prompt.create(points_xy=[(3, 4), (1, 2)]).extends(first)
    assert not Prompt.create(points_xy=[(1, 2), (3, 4)], labels=[0, 1]).extends(first)
    assert not Prompt.create(points_xy=[(1, 2), (3, 4)], box_xyxy=(0, 0, 5, 5)).extends(first)
    assert not first.extends(PROMPTS["mask"])


def test_a_tracker_takes_the_mask_first_and_then_the_points() -> None:
    mask, points = PROMPTS["rough mask"].in_order()
    assert (mask.kind, points.kind) == ("mask", "points")
    assert PROMPTS["points"].in_order() == [PROMPTS["points"]]
    with pytest.raises(PromptError, match="mask cannot be combined with a box"):
        Prompt.create(mask=square(), box_xyxy=(1, 2, 3, 4), refine=True).in_order()
    with pytest.raises(PromptError, match="the prompt is empty"):
        PROMPTS["logits"].in_order()


def test_a_call_takes_a_prompt_or_its_fields() -> None:
    click = Prompt.of_click((1, 2))
    assert Prompt.of(click, {}) is click
    assert Prompt.of(None, {"points_xy": [(1, 2)]}).num_points == 1
    with pytest.raises(PromptError, match="give a prompt or its fields, got both: a Prompt and box_xyxy"):
        Prompt.of(click, {"box_xyxy": (1, 2, 3, 4)})
    with pytest.raises(PromptError, match=r"prompt must be a masklet\.Prompt, got list: name its fields instead"):
        Prompt.of([(1, 2)], {})  # type: ignore[arg-type]


def test_a_mask_alone_does_not_go_with_points() -> None:
    with pytest.raises(PromptError, match="mask cannot be combined with points or a box"):
        Prompt.create(mask=square(), points_xy=[(1, 2)])
    with pytest.raises(PromptError, match="mask and previous_logits exclude each other"):
        Prompt.create(mask=square(), previous_logits=LOGITS, refine=True)
    with pytest.raises(PromptError, match=r"previous_logits must be finite and \(8, 8\)"):
        Prompt.create(points_xy=[(1, 2)], previous_logits=LOGITS, low_res_size=8)
