from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.errors import DataError
from masklet.evaluation.data import open_clips, open_image_sources, read_labels, spread

from .oracle import rectangle, write_pair


def write_image_source(folder: Path, *names: str) -> None:
    for name in names:
        write_pair(folder / f"images/{name}.png", folder / f"masks/{name}.png", rectangle(0, 0, 9, 9, 7))


def write_clip(frames: Path, masks: Path, count: int = 3) -> None:
    for index in range(count):
        write_pair(frames / f"{index}.png", masks / f"{index}.png", rectangle(0, 0, 9, 9))


def test_a_folder_of_folders_passes_over_what_is_no_source(tmp_path: Path) -> None:
    write_image_source(tmp_path / "cats", "a", "b")
    write_clip(tmp_path / "videos/clip/frames", tmp_path / "videos/clip/masks")
    (tmp_path / "notes.txt").write_text("x")
    (source,) = open_image_sources(tmp_path)
    assert (source.name, [sample.name for sample in source.samples]) == ("cats", ["a", "b"])
    assert open_image_sources([tmp_path / "cats", tmp_path])[0] == source  # one folder, named twice
    assert len(open_image_sources([tmp_path / "cats", tmp_path])) == 1


def test_sources_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for parent in ("first", "second"):
        write_image_source(tmp_path / parent / "cats", "a")
    sources = open_image_sources([tmp_path / "first", tmp_path / "second"])
    assert [source.name for source in sources] == ["first/cats", "second/cats"]


def test_files_are_in_natural_order(tmp_path: Path) -> None:
    write_image_source(tmp_path, "frame10", "frame9", "frame1")
    assert [sample.name for sample in open_image_sources(tmp_path)[0].samples] == ["frame1", "frame9", "frame10"]


def test_a_sample_gives_the_image_and_its_objects(tmp_path: Path) -> None:
    labels = rectangle(20, 20, 30, 30, 255, onto=rectangle(0, 0, 9, 9, 7))
    write_pair(tmp_path / "images/a.png", tmp_path / "masks/a.png", labels)
    rgb, read = open_image_sources(tmp_path)[0].samples[0].read()
    assert rgb.shape == (64, 64, 3)
    assert read.object_ids == (7,)
    assert read.mask(7).sum() == 81
    assert read.void is not None
    assert read.void.sum() == 100
    assert not read.mask(3).any()


def test_an_image_turned_by_exif_is_measured_upright(tmp_path: Path) -> None:
    write_image_source(tmp_path, "a")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 64)).save(tmp_path / "images/b.jpg", exif=exif)
    Image.fromarray(np.ones((40, 64), np.uint8)).save(tmp_path / "masks/b.png")
    rgb, labels = open_image_sources(tmp_path)[0].samples[1].read()
    assert rgb.shape[:2] == labels.size_hw == (40, 64)


def broken_mask_missing(folder: Path) -> None:
    (folder / "masks/b.png").unlink()


def broken_image_missing(folder: Path) -> None:
    (folder / "images/b.png").unlink()


def broken_size(folder: Path) -> None:
    Image.new("L", (10, 20)).save(folder / "masks/b.png")


def broken_no_masks(folder: Path) -> None:
    for path in (folder / "masks").iterdir():
        path.unlink()


def broken_no_images(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.unlink()


def broken_twice(folder: Path) -> None:
    Image.new("RGB", (64, 64)).save(folder / "images/b.jpg")


def broken_file(folder: Path) -> None:
    (folder / "images/b.png").write_bytes(b"not a picture")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (broken_mask_missing, r"images/b\.png has no mask of that name"),
        (broken_image_missing, r"masks/b\.png has no image of that name"),
        (broken_size, r"masks/b\.png is 10 x 20 .*images/b\.png is 64 x 64"),
        (broken_no_masks, "masks holds no masks"),
        (broken_no_images, "images holds no images"),
        (broken_twice, r"images/b\.jpg and .*images/b\.png have the same name"),
        (broken_file, r"images/b\.png cannot be read as an image"),
    ],
)
def test_a_source_that_does_not_fit_is_refused_before_the_evaluation(tmp_path: Path, damage, message: str) -> None:
    write_image_source(tmp_path, "a", "b")
    damage(tmp_path)
    with pytest.raises(DataError, match=message):
        open_image_sources(tmp_path)


def test_roots_without_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds neither images/ and masks/"):
        open_image_sources(tmp_path)
    with pytest.raises(DataError, match="missing is not a folder"):
        open_image_sources(tmp_path / "missing")
    with pytest.raises(DataError, match="no folder"):
        open_image_sources([])
    with pytest.raises(DataError, match="holds no clips"):
        open_clips(tmp_path)
    with pytest.raises(DataError, match="missing is not a folder"):
        open_clips(tmp_path / "missing")


def test_too_many_objects_and_colour_masks_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 300, np.uint16)).save(tmp_path / "many.png")
    with pytest.raises(DataError, match=r"many\.png has labels from 300 to 300: at most 254 objects"):
        read_labels(tmp_path / "many.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "colour.png")
    with pytest.raises(DataError, match=r"colour\.png is a colour picture"):
        read_labels(tmp_path / "colour.png")
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"broken\.png cannot be read as a mask"):
        read_labels(tmp_path / "broken.png")


def test_palette_masks_are_read_as_numbers(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 2)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png").object_ids == (2,)


def test_clips_as_frames_and_masks(tmp_path: Path) -> None:
    write_clip(tmp_path / "b/frames", tmp_path / "b/masks", count=12)
    write_clip(tmp_path / "a/frames", tmp_path / "a/masks")
    (tmp_path / "b/masks/9.png").unlink()
    first, second = open_clips(tmp_path)
    assert (first.name, second.name) == ("a", "b")
    assert [path.stem for path in second.frame_paths] == [str(index) for index in range(12)]
    assert list(second.mask_paths) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]
    assert open_clips(tmp_path / "a")[0].name == "a"  # a root may be a clip itself


@pytest.mark.parametrize("resolution", ["", "480p", "Full-Resolution"])
def test_clips_as_davis_has_them(tmp_path: Path, resolution: str) -> None:
    for name in ("bear", "camel"):
        write_clip(tmp_path / "JPEGImages" / resolution / name, tmp_path / "Annotations" / resolution / name)
    (tmp_path / "JPEGImages" / resolution / "unlabelled").mkdir()
    (tmp_path / "ImageSets/2017").mkdir(parents=True)
    (tmp_path / "ImageSets/2017/val.txt").write_text("camel\n")
    assert [clip.name for clip in open_clips(tmp_path)] == ["bear", "camel"]
    assert [clip.name for clip in open_clips(tmp_path, split="val")] == ["camel"]
    with pytest.raises(DataError, match=r"no list train\.txt"):
        open_clips(tmp_path, split="train")
    with pytest.raises(DataError, match="no resolution '4k'"):
        open_clips(tmp_path, resolution="4k")


def test_480p_is_preferred_and_the_other_can_be_asked_for(tmp_path: Path) -> None:
    for resolution in ("480p", "Full-Resolution"):
        write_clip(tmp_path / f"JPEGImages/{resolution}/bear", tmp_path / f"Annotations/{resolution}/bear")
    assert "480p" in str(open_clips(tmp_path)[0].frames_folder)
    assert "Full-Resolution" in str(open_clips(tmp_path, resolution="Full-Resolution")[0].frames_folder)


def test_spread_takes_evenly_and_always_the_same(tmp_path: Path) -> None:
    write_image_source(tmp_path, *"abcdef")
    samples = open_image_sources(tmp_path)[0].samples
    assert [sample.name for sample in spread(samples, 3)] == ["a", "c", "e"]
    assert len(spread(samples, None)) == len(spread(samples, 100)) == 6
