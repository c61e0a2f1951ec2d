from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.masks.rle import decode_rle, encode_rle
from masklet.media.images import read_image, write_image
from masklet.segmentation.automatic import AutomaticMask
from tests.cli.conftest import SIZE_HW, Run, numbered
from tests.fake_engine import FakeEngine

pytestmark = pytest.mark.usefixtures("engine")

LEFT = np.arange(SIZE_HW[1])[None].repeat(SIZE_HW[0], 0) < SIZE_HW[1] // 2
"""The engine's constant answer."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_everything_in_a_photo(photo: Path, engine: FakeEngine, run: Run) -> None:
    result = run("segment", photo, "--everything", "--points-per-side", 4)
    assert result.status == 0
    assert result.err == ""
    assert names(Path("out")) == ["photo.masks.png", "photo.overlay.jpg"]
    with Image.open("out/photo.masks.png") as image:
        assert image.mode == "P"
        assert (np.asarray(image) == LEFT).all()
    assert read_image("out/photo.overlay.jpg").shape == (*SIZE_HW, 3)
    header, row, wrote = (line.split() for line in result.out.splitlines())
    assert header == ["image", "size", "clicks", "candidates", "sure", "stable", "masks", "covered", "seconds"]
    assert row[:-1] == [str(photo), "64", "x", "48", "16", "48", "16", "16", "1", "50", "%"]
    assert wrote[0] == "wrote"
    assert sum(len(prompts) for _, prompts, _ in engine.decoded) == 16


def test_json_and_coco(photo: Path, run: Run) -> None:
    write_image("other.png", numbered(4, (20, 30)))
    result = run("segment", photo, "other.png", "--everything", "--points-per-side", 2, "--json", "--format", "coco")
    assert result.err == ""
    first, second = result.json["images"]
    assert (first["clicks"], first["candidates"], first["sure"], first["stable"]) == (4, 12, 4, 4)
    (mask,) = first["masks"]
    assert mask["box_xyxy"] == [0, 0, 32, 48]
    assert mask["point_xy"] == [16, 12]
    assert second["covered"] == 0.5
    assert result.json["outputs"] == ["out/coco.json"]
    document = json.loads(Path("out/coco.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["photo.png", "other.png"]
    assert [annotation["image_id"] for annotation in document["annotations"]] == [1, 2]
    assert (decode_rle(document["annotations"][0]["segmentation"]) == LEFT).all()
    assert document["annotations"][1]["bbox"] == [0, 0, 15, 20]


@pytest.mark.parametrize(("count", "mode"), [(5, "P"), (255, "P"), (300, "I;16")])
def test_many_masks(count: int, mode: str, photo: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    found = []
    for number in range(count):
        mask = np.zeros(SIZE_HW, np.bool_)
        y, x = divmod(number, 30)
        mask[4 * y : 4 * y + 3, 2 * x : 2 * x + 2] = True
        box = (2 * x, 4 * y, 2 * x + 2, 4 * y + 3)
        found.append(AutomaticMask(encode_rle(mask), 6, box, 0.9, 0.99, (2.0 * x, 4.0 * y), (0, 0, 64, 48)))

    def everything(*arguments: object, on_progress: object) -> list[AutomaticMask]:
        from masklet.segmentation.automatic import AutomaticCounts

        assert callable(on_progress)
        on_progress(AutomaticCounts(1, 1, count, count, count, count))
        return found

    monkeypatch.setattr("masklet.segmentation.segmenter.segment_everything", everything)
    assert run("segment", photo, "--everything").status == 0
    with Image.open("out/photo.masks.png") as image:
        assert image.mode == mode
        values = np.asarray(image)
    assert np.unique(values).tolist() == list(range(count + 1))
    x, y = (int(value) for value in found[-1].point_xy)
    assert values[y, x] == count


def test_finding_nothing_is_not_an_error(photo: Path, run: Run) -> None:
    result = run("segment", photo, "--everything", "--points-per-side", 2, "--min-iou", 0.99, "--format",
                 "overlay,masks,coco")  # fmt: skip
    assert result.status == 0
    assert "nothing found; lower --min-iou (0.99) or --min-stability (0.95)" in result.out
    with Image.open("out/photo.masks.png") as image:
        assert not np.asarray(image).any()
    assert json.loads(Path("out/coco.json").read_text())["annotations"] == []


def test_a_bad_photo_does_not_affect_the_others(workdir: Path, photo: Path, run: Run) -> None:
    (workdir / "text.png").write_text("not a photo")
    result = run("segment", "text.png", photo, "gone.png", "--everything", "--points-per-side", 2)
    assert result.status == 2
    assert [line[:20] for line in result.err.splitlines()] == ["error: text.png is n", "error: no such image"]
    assert names(Path("out")) == ["photo.masks.png", "photo.overlay.jpg"]


def test_ctrl_c_keeps_what_is_finished(
    photo: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    write_image("second.png", numbered(5))
    encode = engine.encode_image

    def interrupted(rgb: np.ndarray) -> object:
        if rgb[0, 0, 0] == 5:
            raise KeyboardInterrupt
        return encode(rgb)

    monkeypatch.setattr(engine, "encode_image", interrupted)
    result = run("segment", photo, "second.png", "--everything", "--points-per-side", 2, "--format", "masks,coco")
    assert result.status == 130
    assert result.err == "interrupted: after 1 of 2 images\n"
    assert names(Path("out")) == ["coco.json", "photo.masks.png"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--everything", "--point", "1,2"], "--everything excludes prompts and --all-candidates"),
        (["--everything", "--all-candidates"], "--everything excludes prompts and --all-candidates"),
        (["--everything", "--prompts", "p.json"], "--everything excludes prompts"),
        (
            ["--everything", "--format", "cutout"],
            "--format with --everything: unknown format 'cutout', must be one of overlay",
        ),
        (["--everything", "--format", ","], "--format is empty"),
        (["--everything", "--min-iou", "3"], "min_iou must be in [0, 1], got 3.0"),
        (["--everything", "--points-per-side", "0"], "points_per_side must be a whole number of at least 1, got 0"),
        (["--everything", "--crop-layers", "3"], "crop_layers=3 cuts the image, 64 x 48, into crops of less than 16"),
        (["--point", "1,2", "--refine"], "--refine needs --everything"),
        (["--min-iou", "0.5"], "--min-iou needs --everything"),
    ],
)
def test_bad_input(arguments: list[str], said: str, photo: Path, run: Run) -> None:
    run("segment", photo, *arguments).fails_with(said)


def test_results_are_not_replaced_without_force(photo: Path, engine: FakeEngine, run: Run) -> None:
    arguments = ("segment", photo, "--everything", "--points-per-side", 2)
    assert run(*arguments).status == 0
    run(*arguments).fails_with("out/photo.overlay.jpg and 1 more exist:")
    assert engine.encoded == [3]
    assert run(*arguments, "--force").status == 0


def test_no_photo(workdir: Path, run: Run) -> None:
    run("segment", "--everything").fails_with("no image was given")
