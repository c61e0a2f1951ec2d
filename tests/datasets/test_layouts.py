from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.datasets import VOID, MaskLabels, open_dataset, open_datasets
from masklet.datasets.convert import convert_dataset
from masklet.datasets.records import by_source
from masklet.datasets.shards import ShardImages, read_shard
from masklet.errors import DataError

from .tiny import (
    SIZE_HW,
    coco_document,
    encoded,
    ids,
    image_sample,
    mask,
    moving,
    rgb,
    sa1b_document,
    save,
    write_clip,
    write_coco,
    write_images,
    write_sa1b,
    write_tar,
)


def test_folders_of_images_and_clips_side_by_side(tmp_path: Path) -> None:
    write_images(tmp_path / "cats", ["x10", "x9"])
    write_clip(tmp_path / "videos/walk/frames", tmp_path / "videos/walk/masks", 3)
    (tmp_path / "notes").mkdir()
    data = open_dataset(tmp_path)
    assert data.layout == "folders"
    assert [image.name for image in data.images] == ["cats/x9", "cats/x10"]
    assert data.sources() == ["cats", "videos"]
    picture, labels = data.images[0].read()
    assert picture.shape == (*SIZE_HW, 3)
    assert labels.object_ids == (1, 7)
    assert labels.areas() == {1: 400, 7: 400}
    assert labels.void is None
    assert not labels.mask(3).any()
    (clip,) = data.clips
    assert (clip.name, clip.num_frames, clip.labelled_frames) == ("videos/walk", 3, (0, 1, 2))
    assert clip.first_seen() == {1: 0, 3: 0}


@pytest.mark.parametrize("arrangement", ["object/frame", "image/object"])
def test_one_png_per_object_may_overlap_and_have_void(tmp_path: Path, arrangement: str) -> None:
    save(tmp_path / "images" / "a.jpg", rgb())
    for object_id, box in {2: (5, 5, 30, 30), 300: (10, 10, 20, 20)}.items():
        name = f"{object_id}/a.png" if arrangement == "object/frame" else f"a/{object_id}.png"
        save(tmp_path / "masks" / name, mask(box).astype(np.uint8) * 255)
    if arrangement == "image/object":
        save(tmp_path / "masks" / "a" / "void.png", mask((40, 0, 60, 10)).astype(np.uint8) * 255)
    labels = open_dataset(tmp_path).images[0].read_labels()
    assert labels.areas() == {2: 625, 300: 100}
    assert (0 if labels.void is None else labels.void.sum()) == (200 if arrangement == "image/object" else 0)
    with pytest.raises(DataError, match="object id 300"):
        labels.flat()


def test_masks_of_0_and_255_mean_object_1_and_elsewhere_255_is_void(tmp_path: Path) -> None:
    for index in range(3):
        save(tmp_path / f"JPEGImages/480p/bear/{index:05d}.jpg", rgb())
        save(tmp_path / f"JPEGImages/480p/swan/{index:05d}.jpg", rgb())
        Image.fromarray(ids({255: (5, 5, 25, 25)})).save(
            save(tmp_path / f"Annotations/480p/bear/{index:05d}.png", ids({}))
        )
        save(tmp_path / f"Annotations/480p/swan/{index:05d}.png", ids({255: (5, 5, 25, 25)} if index else moving(0)))
    sets = tmp_path / "ImageSets/480p"
    sets.mkdir(parents=True)
    (sets / "val.txt").write_text("/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png\n" * 2)
    bear, swan = open_dataset(tmp_path).clips
    assert bear.read_labels(1).areas() == {1: 400}
    assert bear.read_labels(1).void is None
    assert swan.read_labels(1).areas() == {}
    assert swan.read_labels(1).void is not None
    assert [clip.name for clip in open_dataset(tmp_path, split="val").clips] == ["bear"]


@pytest.mark.parametrize(
    ("frames", "masks"),
    [
        ("JPEGImages", "Annotations"),
        ("valid/JPEGImages", "valid/Annotations"),
        ("JPEGImages_24fps", "Annotations_6fps"),
    ],
)
def test_benchmark_folders_with_frames_that_nobody_labelled(tmp_path: Path, frames: str, masks: str) -> None:
    if masks == "Annotations_6fps":
        for index in range(9):
            save(tmp_path / frames / "v" / f"{index:05d}.jpg", rgb())
            if index % 4 == 0:
                for object_id, box in moving(index).items():
                    png = mask(box).astype(np.uint8) * 255
                    save(tmp_path / masks / "v" / f"{object_id:03d}" / f"{index:05d}.png", png)
    else:
        write_clip(tmp_path / frames / "v", tmp_path / masks / "v", 9, labelled=(0, 4, 8))
    split = "valid" if frames.startswith("valid") else None
    (clip,) = open_dataset(tmp_path, "youtube-vos", split=split).clips
    assert (clip.num_frames, clip.labelled_frames) == (9, (0, 4, 8))
    assert clip.read_labels(4).object_ids == (1, 3)
    assert np.array_equal(clip.read_labels(4).mask(1), mask(moving(4)[1]))
    with clip.open_frames() as source:
        assert source.info.num_frames == 9


def test_splits_in_folders_must_be_chosen(tmp_path: Path) -> None:
    write_clip(tmp_path / "train/JPEGImages/v", tmp_path / "train/Annotations/v", 2)
    with pytest.raises(DataError, match="choose split train"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match="no split 'valid'"):
        open_dataset(tmp_path, split="valid")


def test_sa_1b_overlaps_and_apart_gives_whole_objects(tmp_path: Path) -> None:
    data = open_dataset(write_sa1b(tmp_path / "sa_000000"))
    assert data.layout == "sa-1b"
    labels = data.images[1].read_labels()
    assert labels.areas() == {1: 1200, 2: 100, 3: 56}
    assert labels.flat()[15, 15] == 2  # the smaller is on top
    sizes = set()
    for seed in range(20):
        flat = labels.apart(np.random.default_rng(seed))
        sizes.add(tuple(np.bincount(flat.ravel())[1:].tolist()))
    assert {tuple(sorted(found)) for found in sizes} == {(56, 1200), (56, 100)}


def test_coco_has_polygons_rle_and_crowds_as_void(tmp_path: Path) -> None:
    data = open_dataset(write_coco(tmp_path))
    assert (data.layout, data.images[0].source, data.images[0].name) == ("coco", "val2017", "x")
    labels = data.images[0].read_labels()
    assert isinstance(labels, MaskLabels)
    assert labels.areas() == {1: 400, 2: 225}
    assert labels.categories == {1: "cat", 2: "dog"}
    assert labels.void is not None
    assert np.array_equal(labels.void, mask((0, 0, 4, 40)))
    assert np.array_equal(labels.mask(1), mask((10, 10, 30, 30)))
    assert len(open_dataset(tmp_path / "annotations" / "instances_val2017.json").images) == 1


def test_sa_v_has_labels_on_every_fourth_frame(tmp_path: Path) -> None:
    write_clip(tmp_path / "in/clip/frames", tmp_path / "in/clip/masks", 9)
    converted = convert_dataset(open_dataset(tmp_path / "in"), tmp_path / "sav", "sa-v")
    assert "labels in between" in converted.notes[0]
    (clip,) = open_dataset(tmp_path / "sav").clips
    assert (clip.num_frames, clip.labelled_frames, clip.fps) == (9, (0, 4, 8), 24.0)
    assert [labels.areas() for _, labels in clip.read([8, 0])] == [{1: 379, 3: 240}, {1: 400, 3: 400}]
    assert np.abs(clip.read_frames([4])[0].astype(int) - rgb(0)).mean() < 6
    (quick,) = open_dataset(tmp_path / "sav", verify=False).clips
    assert (quick.num_frames, quick.labelled_frames) == (9, (0, 4, 8))


def test_automatic_masklets_replace_missing_manual_ones_or_are_added(tmp_path: Path) -> None:
    write_clip(tmp_path / "in/clip/frames", tmp_path / "in/clip/masks", 5)
    convert_dataset(open_dataset(tmp_path / "in"), tmp_path / "sav", "sa-v")
    manual = tmp_path / "sav/clip_manual.json"
    (tmp_path / "sav/clip_auto.json").write_text(manual.read_text())
    assert open_dataset(tmp_path / "sav", masklets="both").clips[0].read_labels(0).object_ids == (1, 3, 1001, 1003)
    manual.unlink()
    assert open_dataset(tmp_path / "sav").clips[0].read_labels(0).object_ids == (1, 3)


def test_shards_hold_images_overlapping_masks_and_clips(tmp_path: Path) -> None:
    overlapping = json.dumps(sa1b_document([mask((5, 5, 45, 35)), mask((10, 10, 20, 20))])).encode()
    clip = {f"bear.{index:05d}.jpg": encoded(rgb(index), "JPEG") for index in range(3)}
    clip["bear.00000.png"] = encoded(ids(moving(0)))
    write_tar(tmp_path / "0.tar", {**image_sample("a"), "b.jpg": encoded(rgb(1), "JPEG"), "b.json": overlapping})
    write_tar(tmp_path / "1.tar", dict(sorted(clip.items())))
    data = open_dataset(tmp_path)
    assert (data.layout, [image.name for image in data.images]) == ("shards", ["a", "b"])
    assert data.images[0].read()[1].areas() == {1: 400, 2: 400}
    assert data.images[1].read_labels().areas() == {1: 1200, 2: 100}
    assert (data.clips[0].num_frames, data.clips[0].labelled_frames) == (3, (0,))
    assert data.clips[0].read([0])[0][1].areas() == {1: 400, 3: 400}
    with data.clips[0].open_frames() as source:
        assert source.frame(2).rgb.shape == (*SIZE_HW, 3)


def test_samples_come_from_a_moving_window_of_shards() -> None:
    counts = [10] * 40
    images = ShardImages([Path(f"{row}.tar") for row in range(40)], counts, "s")

    def shards_at(numbers: range, stream: tuple[int, int]) -> set[int]:
        return {images.pick(np.random.default_rng(number), stream, number) // 10 for number in numbers}

    assert len(shards_at(range(80), (0, 0))) == 8
    assert shards_at(range(80), (0, 0)) == shards_at(range(80), (0, 0))
    assert shards_at(range(80), (0, 0)) != shards_at(range(80), (0, 1))
    assert shards_at(range(400), (0, 0)) == set(range(40))


Breakage = Callable[[Path], object]


def _cut_shard(root: Path) -> None:
    path = write_tar(root / "0.tar", image_sample("a"))
    path.write_bytes(path.read_bytes()[:2000])


def _cut_between(root: Path) -> None:
    path = write_tar(root / "0.tar", image_sample("a"))
    read = read_shard(path, "s")[0][0]
    path.write_bytes(path.read_bytes()[: read.labels.member.offset - 512])  # type: ignore[attr-defined]
    read_shard.cache_clear()


def _broken_mask(root: Path) -> None:
    (write_images(root) / "masks/a.png").write_bytes(b"no image")


def _many_objects(root: Path) -> None:
    write_images(root)
    Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(SIZE_HW)).save(root / "masks/a.png")


def _colours(root: Path) -> None:
    save(write_images(root) / "masks/a.png", rgb())


def _bad_polygon(root: Path) -> None:
    document = coco_document()
    document["annotations"][0]["segmentation"] = [[1, 2, 3]]
    write_coco(root, document)


def _outside(root: Path) -> None:
    document = coco_document()
    document["images"][0]["file_name"] = "../x.jpg"
    write_coco(root, document)


def _stray_annotation(root: Path) -> None:
    document = coco_document()
    document["annotations"][0]["image_id"] = 99
    write_coco(root, document)


def _broken_rle(root: Path) -> None:
    document = sa1b_document([mask((5, 5, 45, 35))])
    document["annotations"][0]["segmentation"]["counts"] = "zz"
    write_sa1b(root)
    (root / "sa_1.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: root.joinpath("x").mkdir(), "is not a data set that masklet knows"),
        (lambda root: (write_images(root) / "masks/b.png").unlink(), r"b\.jpg has no mask"),
        (lambda root: (write_images(root) / "images/b.jpg").unlink(), r"b\.png has no image"),
        (lambda root: save(write_images(root) / "masks/b.png", ids({}, (9, 9))), r"b\.png is 9 x 9 .* 60 x 40"),
        (_broken_mask, r"a\.png is not an image"),
        (_many_objects, r"a\.png has labels from 0 to 2399: .* at most 254"),
        (_colours, r"a\.png is a colour picture"),
        (lambda root: (write_images(root) / "images/a.jpg").write_bytes(b"\xff\xd8"), r"a\.jpg is not an image"),
        (lambda root: (write_sa1b(root) / "sa_2.json").write_text('{"image"'), r"sa_2\.json is not JSON"),
        (lambda root: (write_sa1b(root) / "sa_2.json").unlink(), r"sa_2\.jpg has no JSON"),
        (_broken_rle, r"sa_1\.json, object 1: RLE"),
        (_bad_polygon, "annotation 1: a polygon needs x and y of three points"),
        (_outside, "leads out of the data set"),
        (_stray_annotation, "annotations of image 99"),
        (_cut_shard, r"0\.tar .*cut off"),
        (_cut_between, r"0\.tar is cut off|has no masks"),
        (lambda root: (root / "0.tar").write_bytes(b"\x1f\x8b" + b"x" * 900), r"0\.tar .* compressed"),
        (lambda root: write_tar(root / "0.tar", {"a.jpg": b"x"}), r"sample 'a' has no masks"),
    ],
)
def test_faulty_data_sets_are_refused_with_a_reason(tmp_path: Path, break_it: Breakage, message: str) -> None:
    break_it(tmp_path)
    read_shard.cache_clear()
    with pytest.raises(DataError, match=message):
        read_all(tmp_path)


def read_all(root: Path) -> None:
    for image in open_dataset(root).images:
        image.read()[1].areas()


def test_a_layout_that_is_forced_must_fit(tmp_path: Path) -> None:
    write_images(tmp_path)
    for layout in ("davis", "coco", "sa-1b", "sa-v", "shards"):
        with pytest.raises(DataError, match=str(tmp_path)):
            open_dataset(tmp_path, layout)
    with pytest.raises(DataError, match="unknown layout 'voc'"):
        open_dataset(tmp_path, "voc")
    with pytest.raises(DataError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")


def test_several_roots_keep_their_names_apart(tmp_path: Path) -> None:
    for parent in ("first", "second"):
        write_images(tmp_path / parent / "cats", ["a"])
    data = open_datasets([tmp_path / "first/cats", tmp_path / "second/cats", tmp_path / "first/cats"])
    assert [image.source for image in data.images] == ["first/cats", "second/cats"]
    assert len({image.name for image in data.images}) == 2
    assert list(by_source(data.images)) == ["first/cats", "second/cats"]


def test_void_is_not_an_object(tmp_path: Path) -> None:
    write_images(tmp_path, ["a", "b"], {4: (5, 5, 15, 15), VOID: (20, 20, 30, 30)})
    labels = open_dataset(tmp_path).images[0].read_labels()
    assert labels.object_ids == (4,)
    assert labels.void is not None
    assert labels.void.sum() == 100
