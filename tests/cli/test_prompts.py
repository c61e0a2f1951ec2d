from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from masklet.cli.prompts import ObjectPrompt, prompts_from_options, read_prompt_file, with_scope
from masklet.errors import PromptError
from masklet.masks.rle import encode_rle
from masklet.media.images import write_image

SIZE_HW = (6, 8)


def typed(object_id: int = 1, frame_index: int = 0, **values: Any) -> ObjectPrompt:
    lists = {name: list(values[name]) for name in ("points_xy", "labels") if name in values}
    return ObjectPrompt(object_id=object_id, frame_index=frame_index, values=values | lists)


def scoped(line: str) -> list[str]:
    return with_scope(line.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--point 1,2", "--point 1@0:1,2"),
        ("--object 2 --frame 30 --point 1,2", "--object 2 --frame 30 --point 2@30:1,2"),
        ("--point 1,2 --object 2 --point 3,4", "--point 1@0:1,2 --object 2 --point 2@0:3,4"),
        ("--frame=5 --box=1,2,3,4 --object=2 --mask=m.png", "--frame 5 --box 1@5:1,2,3,4 --object 2 --mask 2@5:m.png"),
        ("--object 2 --point 3:1,2 --negative @7:1,2", "--object 2 --point 3@0:1,2 --negative 2@7:1,2"),
        ("--point 2@30:1,2", "--point 2@30:1,2"),
        ("--mask C:/m.png --mask :x", "--mask 1@0:C:/m.png --mask 1@0::x"),
        ("a.jpg --out o -- --point", "a.jpg --out o -- --point"),
        ("--point", "--point"),
    ],
)
def test_scope_is_written_into_the_values(line: str, expected: str) -> None:
    assert scoped(line) == expected.split()


@pytest.mark.parametrize("line", ["--point 1,2 --object 2", "--object 2 --object 3 --point 1,2", "--frame 3"])
def test_a_scope_without_a_prompt_after_it_is_an_error(line: str) -> None:
    with pytest.raises(PromptError, match="has no prompt after it"):
        scoped(line)


def test_values_are_gathered_by_object_and_frame() -> None:
    found = prompts_from_options(
        {
            "--point": ["2@5:1,2", "1,1", "2@5:3.5,4"],
            "--negative": ["2@5:0,0"],
            "--box": ["1,2,3,4"],
            "--mask": ["2@0:m.png"],
        }
    )
    assert found == (
        typed(points_xy=((1, 1),), labels=(1,), box_xyxy=(1, 2, 3, 4)),
        typed(object_id=2, mask=Path("m.png")),
        typed(object_id=2, frame_index=5, points_xy=((1, 2), (3.5, 4), (0, 0)), labels=(1, 1, 0)),
    )


@pytest.mark.parametrize("text", ["", "5", "1,2,3", "a,b", "1;2"])
def test_points_of_another_form(text: str) -> None:
    with pytest.raises(PromptError, match="--point must be X,Y in pixels, as in 210,350, got"):
        prompts_from_options({"--point": [text]})


def test_two_boxes_are_two_objects() -> None:
    with pytest.raises(PromptError, match=r"object 1 has two boxes: .* write --object 2 before the second"):
        prompts_from_options({"--box": ["1,2,3,4", "2,2,3,4"]})


def test_a_file_for_everything(tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    entries = [
        {"points_xy": [[1, 2]]},
        {"object_id": 2, "frame_index": 3, "box_xyxy": [1, 2, 3, 4]},
        {"object_id": 2, "frame_index": 3, "points_xy": [[1, 1]], "labels": [0]},
        {"object_id": 3, "mask": "m.png"},
    ]
    path.write_text(json.dumps(entries))
    found = read_prompt_file(path)
    assert found.for_file(Path("any.png")) == (
        typed(points_xy=([1, 2],), labels=(1,)),
        typed(object_id=2, frame_index=3, points_xy=([1, 1],), labels=(0,), box_xyxy=[1, 2, 3, 4]),
        typed(object_id=3, mask=tmp_path / "m.png"),
    )


def test_a_file_by_image(tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps({"a.png": [{"points_xy": [[1, 2]]}], "sub/b.png": [{"points_xy": [[3, 4]]}]}))
    found = read_prompt_file(path)
    assert list(found.by_file) == [tmp_path / "a.png", tmp_path / "sub" / "b.png"]
    assert found.for_file(tmp_path / "a.png")[0].values["points_xy"] == [[1, 2]]
    assert found.for_file(Path("elsewhere/b.png"))[0].values["points_xy"] == [[3, 4]]
    with pytest.raises(PromptError, match=r"has no prompts for c\.png"):
        found.for_file(Path("c.png"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "is not JSON: .* line 1"),
        ("3", "expected a list"),
        ("[]", "expected a list"),
        ("{}", "expected a list"),
        ('{"a.png": {}}', "'a.png': expected a list"),
        ('[{"point": [1, 2]}]', "entry 0: unknown key 'point'"),
        ('[{"object_id": "a"}]', "object_id must be a whole number from 0 to 2147483647, got 'a'"),
        ('[{"frame_index": true}]', "frame_index must be a whole number"),
        ('[{"points_xy": "1,2"}]', "points_xy must be a list"),
        ('[{"points_xy": [[1, 2]], "labels": [1, 0]}]', "labels must be 1, got 2: one per point"),
        ('[{"mask": 3}]', "mask must be a path or a COCO RLE"),
        ('[{"object_id": 3}]', "entry 0 is empty"),
    ],
)
def test_files_of_another_form(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(text)
    with pytest.raises(PromptError, match=said):
        read_prompt_file(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"cannot read the prompts file .*: No such file"):
        read_prompt_file(tmp_path / "none.json")


def test_a_prompt_for_a_frame(tmp_path: Path) -> None:
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[2:4, 3:5] = True
    path = write_image(tmp_path / "m.png", mask)
    prompt = typed(points_xy=((1, 2),), labels=(0,), mask=path).to_prompt(SIZE_HW)
    assert prompt.points_xy.tolist() == [[1, 2]]
    assert prompt.labels.tolist() == [0]
    assert prompt.mask is not None
    assert (prompt.mask == mask).all()


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (typed(points_xy=((9, 1),), labels=(1,)), r"object 1: point \(9, 1\) lies outside .* 8 wide and 6 high"),
        (typed(object_id=2, frame_index=7, box_xyxy=(5, 1, 2, 3)), "object 2 on frame 7: .* left < right"),
        (typed(mask=Path("none.png")), "object 1: mask: no such image"),
        (typed(mask={"size": [2, 2], "counts": [4]}), "object 1: mask: the mask is 2 x 2 .* its image 8 x 6"),
        (typed(mask={"size": [6, 8], "counts": [48]}), "object 1: mask is empty"),
        (typed(mask={"size": [6, 8], "counts": [3]}), "object 1: mask: RLE counts must add up"),
    ],
)
def test_prompts_that_do_not_fit(prompt: ObjectPrompt, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        prompt.to_prompt(SIZE_HW)


def masked(image: Image.Image, path: Path) -> np.ndarray:
    image.save(path)
    mask = typed(mask=path).to_prompt(SIZE_HW).mask
    assert mask is not None
    return mask


def test_mask_files_of_common_kinds(tmp_path: Path) -> None:
    truth = np.zeros(SIZE_HW, np.bool_)
    truth[1:4, 2:6] = True
    levels = truth.astype(np.uint8)
    indexed = Image.fromarray(levels * 7).convert("P")
    transparent = Image.fromarray(np.dstack([np.full((*SIZE_HW, 3), 50, np.uint8), levels * 255]))
    opaque = Image.fromarray(np.dstack([levels * 255] * 3 + [np.full(SIZE_HW, 255, np.uint8)]))
    softened = Image.fromarray(np.where(truth, 255, 100).astype(np.uint8))
    for number, image in enumerate(
        [
            Image.fromarray(levels),
            Image.fromarray(levels * 255),
            indexed,
            transparent,
            opaque,
            softened,
            Image.fromarray(truth),
        ]
    ):
        assert (masked(image, tmp_path / f"{number}.png") == truth).all(), number
    rle = typed(mask=dict(encode_rle(truth))).to_prompt(SIZE_HW).mask
    assert rle is not None
    assert (rle == truth).all()
