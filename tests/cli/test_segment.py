from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.masks.rle import decode_rle, encode_rle
from masklet.media.images import read_image, write_image
from tests.cli.conftest import SIZE_HW, Run, numbered
from tests.fake_engine import FakeEngine

pytestmark = pytest.mark.usefixtures("engine")

LEFT = np.arange(SIZE_HW[1])[None].repeat(SIZE_HW[0], 0) < SIZE_HW[1] // 2
"""The engine's constant answer."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_click(photo: Path, engine: FakeEngine, run: Run) -> None:
    result = run("segment", photo, "--point", "10,20")
    assert result.status == 0
    assert result.err == ""
    assert names(Path("out")) == ["photo.mask.png", "photo.overlay.jpg"]
    with Image.open("out/photo.mask.png") as image:
        assert image.mode == "L"
        assert set(np.unique(image)) == {0, 255}
        assert (np.asarray(image) > 0).tolist() == LEFT.tolist()
    assert read_image("out/photo.overlay.jpg").shape == (*SIZE_HW, 3)
    prompt = engine.prompt_of(3)
    assert prompt is not None
    assert prompt.points_xy.tolist() == [[10, 20]]
    assert "64 x 48" in result.out
    assert "0.90" in result.out
    assert "wrote out/photo.overlay.jpg, out/photo.mask.png" in result.out


def test_several_objects_in_one_call_of_the_decoder(photo: Path, engine: FakeEngine, run: Run) -> None:
    result = run(
        "segment", photo, "--point", "1,2", "--negative", "3,4", "--object", 7, "--box", "1,2,30,40",
        "--negative", "1:5,5", "--out", "o", "--format", "masks,cutout",
    )  # fmt: skip
    assert result.status == 0
    assert names(Path("o")) == [
        "photo.object1.cutout.png", "photo.object1.mask.png", "photo.object7.cutout.png", "photo.object7.mask.png"
    ]  # fmt: skip
    assert len(engine.decoded) == 1
    first, second = engine.decoded[0][1]
    assert first is not None
    assert second is not None
    assert first.labels.tolist() == [1, 0, 0]
    assert second.box_xyxy is not None
    assert second.box_xyxy.tolist() == [1, 2, 30, 40]


def test_a_click_has_more_candidates_than_a_box(photo: Path, run: Run) -> None:
    result = run("segment", photo, "--point", "10,20", "--object", 2, "--box", "1,2,30,40", "--format", "masks")
    assert result.status == 0
    assert names(Path("out")) == ["photo.object1.mask.png", "photo.object2.mask.png"]


def test_a_rough_mask_with_a_click(photo: Path, engine: FakeEngine, run: Run) -> None:
    write_image("rough.png", LEFT)
    assert run("segment", photo, "--mask", "rough.png", "--negative", "60,10").status == 0
    prompt = engine.prompt_of(3)
    assert prompt is not None
    assert prompt.previous_logits is not None
    assert prompt.labels.tolist() == [0]


def test_all_candidates(photo: Path, run: Run) -> None:
    result = run("segment", photo, "--box", "1,2,30,40", "--all-candidates")
    assert names(Path("out")) == [
        f"photo.candidate{number}.{kind}" for number in (1, 2, 3) for kind in ("mask.png", "overlay.jpg")
    ]
    assert "1 (3 of 3)" in result.out


def test_json_is_the_only_output(photo: Path, run: Run) -> None:
    result = run("segment", photo, "--point", "10,20", "--json", "--format", "masks,coco")
    assert result.err == ""
    document = result.json
    assert document["model"]["name"] == "fake"
    assert document["failed"] == []
    assert document["outputs"] == ["out/photo.mask.png", "out/coco.json"]
    (image,) = document["images"]
    assert image["size_hw"] == [48, 64]
    (found,) = image["objects"]
    assert found["object_id"] == 1
    assert (found["iou_prediction"], found["confidence"]) == (0.9, 0.9)
    assert found["box_xyxy"] == [0, 0, 32, 48]
    assert found["outputs"] == {"mask": "out/photo.mask.png"}


def test_coco(photo: Path, run: Run) -> None:
    write_image("other.png", numbered(4, (20, 30)))
    assert run("segment", photo, "other.png", "--point", "10,12", "--format", "coco").status == 0
    document = json.loads(Path("out/coco.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["photo.png", "other.png"]
    first, second = document["annotations"]
    assert (first["image_id"], second["image_id"]) == (1, 2)
    assert (decode_rle(first["segmentation"]) == LEFT).all()
    assert second["bbox"] == [0, 0, 15, 20]
    assert second["area"] == 300


def test_a_folder_of_photos(workdir: Path, engine: FakeEngine, run: Run) -> None:
    for number in (5, 6):
        write_image(workdir / "photos" / f"Schnee ☃ {number}.png", numbered(number))
    (workdir / "photos" / "notes.txt").write_text("not a photo")
    assert run("segment", "photos", "--point", "10,12", "--format", "masks").status == 0
    assert names(Path("out")) == ["Schnee ☃ 5.mask.png", "Schnee ☃ 6.mask.png"]
    assert engine.encoded == [5, 6]


def test_prompts_by_photo(workdir: Path, photo: Path, engine: FakeEngine, run: Run) -> None:
    write_image(workdir / "sub" / "b.png", numbered(8))
    document = {"photo.png": [{"points_xy": [[1, 2]]}], "sub/b.png": [{"object_id": 2, "box_xyxy": [1, 2, 3, 4]}]}
    (workdir / "prompts.json").write_text(json.dumps(document))
    assert run("segment", "--prompts", "prompts.json").status == 0
    assert engine.encoded == [3, 8]
    assert run("segment", photo, "--prompts", "prompts.json", "--force").status == 0
    assert engine.encoded == [3, 8, 3]


def test_a_bad_photo_does_not_affect_the_others(workdir: Path, photo: Path, run: Run) -> None:
    (workdir / "empty.png").touch()
    (workdir / "text.png").write_text("not a photo")
    (workdir / "cut.png").write_bytes(photo.read_bytes()[:60])
    write_image(workdir / "small.png", numbered(1, (5, 5)))
    result = run(
        "segment", "gone.png", "empty.png", "text.png", "cut.png", "small.png", photo, "--point", "10,20", "--json"
    )
    assert result.status == 2
    assert [image["image"] for image in result.json["images"]] == [str(photo)]
    assert (workdir / "out" / "photo.mask.png").exists()
    said = [failed["error"] for failed in result.json["failed"]]
    assert [f"error: {line}" for line in said] == result.err.splitlines()
    for line, expected in zip(
        said,
        (
            "no such image: gone.png",
            "empty.png is empty: got 0 bytes",
            "text.png is not an image",
            "cut.png is",
            "small.png: object 1: point (10, 20) lies outside the frame, which is 5 wide and 5 high",
        ),
        strict=True,
    ):
        assert line.startswith(expected)


def test_an_enormous_photo(workdir: Path, run: Run) -> None:
    Image.new("1", (20_000, 10_000)).save(workdir / "huge.png")
    run("segment", "huge.png", "--point", "1,2").fails_with("huge.png is too large: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to segment: give a --point, --box, --mask, --prompts, --detections or --everything"),
        (["--point", "70,3"], "object 1: point (70, 3) lies outside the frame, which is 64 wide and 48 high"),
        (["--point", "-5,3"], "point (-5, 3) lies outside"),
        (["--point", "nan,3"], "points_xy must be finite"),
        (["--box", "30,3,10,9"], "left < right and top < bottom, got (30, 3, 10, 9)"),
        (["--box", "3,3,100,9"], "box (3, 3, 100, 9) lies outside the frame"),
        (["--mask", "wrong.png"], "mask must have the size of the frame, 64 x 48 (width x height), got 30 x 20"),
        (["--mask", "photo.txt"], "mask: no such image: photo.txt"),
        (["--point", "1@3:1,2"], "object 1 on frame 3: an image has no frames"),
        (["--point", "1,2", "--prompts", "p.json"], "cannot read the prompts file p.json"),
        (
            ["--point", "1,2", "--format", "overlay,video"],
            "--format: unknown format 'video', must be one of overlay, masks",
        ),
        (["--point", "1,2", "--format", ","], "--format is empty"),
    ],
)
def test_bad_prompts(arguments: list[str], said: str, photo: Path, run: Run) -> None:
    write_image("wrong.png", np.ones((20, 30), np.bool_))
    run("segment", photo, *arguments).fails_with(said)


def test_no_photo(workdir: Path, run: Run) -> None:
    (workdir / "photos").mkdir()
    run("segment", "--point", "1,2").fails_with("no image was given")
    run("segment", "photos", "--point", "1,2").fails_with("photos holds no images")


def test_results_are_not_replaced_without_force(photo: Path, engine: FakeEngine, run: Run) -> None:
    assert run("segment", photo, "--point", "1,2").status == 0
    before = Path("out/photo.mask.png").stat().st_mtime_ns
    run("segment", photo, "--point", "1,2").fails_with("out/photo.overlay.jpg and 1 more exist:")
    run("segment", photo, "--point", "1,2", "--format", "masks").fails_with("out/photo.mask.png exists")
    assert Path("out/photo.mask.png").stat().st_mtime_ns == before
    assert engine.encoded == [3]
    assert run("segment", photo, "--point", "1,2", "--force").status == 0
    assert Path("out/photo.mask.png").stat().st_mtime_ns != before


def test_an_output_that_cannot_be_written(photo: Path, engine: FakeEngine, run: Run) -> None:
    run("segment", photo, "--point", "1,2", "--out", "photo.png/out").fails_with(
        "cannot create the folder photo.png/out"
    )
    assert engine.encoded == []


def test_photos_with_the_same_name(workdir: Path, photo: Path, run: Run) -> None:
    write_image(workdir / "photo.jpg", numbered(1))
    run("segment", photo, "photo.jpg", "--point", "1,2").fails_with("would be written under one name")


def test_ctrl_c_keeps_what_is_finished(
    workdir: Path, photo: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    write_image(workdir / "second.png", numbered(5))
    encode = engine.encode_image

    def interrupted(rgb: np.ndarray) -> object:
        if rgb[0, 0, 0] == 5:
            raise KeyboardInterrupt
        return encode(rgb)

    monkeypatch.setattr(engine, "encode_image", interrupted)
    result = run("segment", photo, "second.png", "--point", "1,2", "--format", "masks,coco")
    assert result.status == 130
    assert result.err == "interrupted: after 1 of 2 images\n"
    assert names(Path("out")) == ["coco.json", "photo.mask.png"]


def detected(*entries: dict[str, object], name: str = "boxes.json") -> Path:
    path = Path(name)
    path.write_text(json.dumps([{"image_id": "photo", "score": 0.75, **entry} for entry in entries]))
    return path


def test_boxes_of_a_detector_become_prompts(photo: Path, engine: FakeEngine, run: Run) -> None:
    rough = encode_rle(LEFT)
    boxes = detected(
        {"bbox": [1, 2, 29, 38], "category_name": "dog"},
        {"segmentation": rough, "category_name": "cat"},
        {"bbox": [500, 2, 9, 9], "category_name": "dog"},
    )
    result = run("segment", photo, "--detections", boxes, "--format", "overlay,masks,coco", "--json")
    assert result.status == 0
    (warning,) = result.err.splitlines()
    assert "boxes.json, entry [2]: it lies outside the frame of 64 x 48" in warning
    first, second = result.json["images"][0]["objects"]
    assert (first["label"], first["detection_score"], second["label"]) == ("dog", 0.75, "cat")
    assert names(Path("out")) == ["coco.json", "photo.object1.mask.png", "photo.object2.mask.png", "photo.overlay.jpg"]
    coco = json.loads(Path("out/coco.json").read_text())
    assert [category["name"] for category in coco["categories"]] == ["dog", "cat"]
    assert [one["category_id"] for one in coco["annotations"]] == [1, 2]
    assert coco["annotations"][0]["detection_score"] == 0.75
    boxed, rough_prompt = engine.decoded[0][1]
    assert boxed is not None
    assert boxed.box_xyxy is not None
    assert boxed.box_xyxy.tolist() == [1, 2, 30, 40]
    assert rough_prompt is not None
    assert rough_prompt.previous_logits is not None


def test_a_table_names_what_was_detected(photo: Path, run: Run) -> None:
    Path("boxes.csv").write_text("frame,x,y,w,h,label\n1,1,2,30,40,dog\n")
    result = run("segment", photo, "--detections", "boxes.csv")
    assert result.status == 0
    assert "1 dog" in result.out


def test_photos_without_detections_do_not_affect_the_others(workdir: Path, photo: Path, run: Run) -> None:
    write_image(workdir / "other.png", numbered(8))
    write_image(workdir / "unlisted.png", numbered(9))
    images = [{"id": 1, "file_name": "photo.png"}, {"id": 2, "file_name": "other.png"}]
    document = {"images": images, "annotations": [{"id": 1, "image_id": 1, "bbox": [1, 2, 30, 40]}]}
    Path("boxes.json").write_text(json.dumps(document))
    result = run("segment", photo, "other.png", "unlisted.png", "--detections", "boxes.json", "--json")
    assert result.status == 2
    assert [len(image["objects"]) for image in result.json["images"]] == [1, 0]
    (failed,) = result.json["failed"]
    assert "none is called" in failed["error"]
    assert (workdir / "out" / "other.overlay.jpg").exists()


def test_photos_that_a_detector_does_not_name_have_no_detections(workdir: Path, photo: Path, run: Run) -> None:
    for name in ("cat", "dog"):
        write_image(workdir / f"{name}.png", numbered(8))
    Path("boxes.csv").write_text("image,x1,y1,x2,y2\nphoto.png,1,2,30,40\n")
    result = run("segment", photo, "cat.png", "dog.png", "--detections", "boxes.csv", "--json")
    assert result.status == 0
    assert result.err == "warning: boxes.csv has no detections for cat.png (and 1 more)\n"
    assert [len(image["objects"]) for image in result.json["images"]] == [1, 0, 0]
    run("segment", "cat.png", "dog.png", "--detections", "boxes.csv").fails_with(
        "boxes.csv names none of these 2 images"
    )


def test_a_photo_that_cannot_be_read_is_named_next_to_one_without_detections(
    workdir: Path, photo: Path, run: Run
) -> None:
    Path("broken.png").write_bytes(b"no image")
    Path("boxes.csv").write_text("image,x1,y1,x2,y2\nbroken.png,1,2,30,40\n")
    result = run("segment", "broken.png", photo, "--detections", "boxes.csv", "--json")
    assert result.status == 2
    assert "boxes.csv has no detections for photo.png" in result.err
    (failed,) = result.json["failed"]
    assert "broken.png" in failed["image"]
    assert "is not an image" in failed["error"]


def test_frames_of_a_video_are_not_those_of_several_photos(workdir: Path, photo: Path, run: Run) -> None:
    write_image(workdir / "other.png", numbered(8))
    Path("boxes.csv").write_text("frame,x,y,w,h\n1,1,2,30,40\n")
    result = run("segment", photo, "other.png", "--detections", "boxes.csv")
    result.fails_with("boxes.csv has frames of a video, and no names of images: give it with a single image")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--detections", "gone.json"), "gone.json does not exist"),
        (("--detections", "bad.json"), "it lies outside the frame of 64 x 48"),
        (("--detections", "bad.json", "--point", "1,2"), "--detections and other prompts exclude each other"),
        (("--detections", "bad.json", "--everything"), "--everything excludes prompts"),
    ],
)
def test_detections_that_cannot_be_used_are_refused(
    photo: Path, arguments: tuple[str, ...], expected: str, run: Run
) -> None:
    detected({"bbox": [500, 2, 9, 9]}, name="bad.json")
    run("segment", photo, *arguments).fails_with(expected)
