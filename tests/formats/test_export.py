"""Written masks can be read again, exactly if the format allows it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from masklet.errors import Cancelled, ConfigError, DataError, OutputError
from masklet.formats import (
    export_masks,
    import_masks,
)
from masklet.tracking.masklets import LabelledMedium, Masklets
from tests.formats.material import SIZE, assert_same, blob, clip_masks, medium_of, present, read_back


@pytest.mark.parametrize(
    ("format_id", "out", "options", "overlap"),
    [
        ("coco", "a.json", {}, True),
        ("coco", "a.json", {"segmentation": "polygons"}, True),
        ("masks", "masks", {"layout": "objects"}, True),
        ("masks", "masks.zip", {"layout": "indexed"}, False),
        ("masks", "masks.zip", {"layout": "both"}, False),
        ("davis", "davis", {}, False),
        ("davis", "davis.zip", {"frames": False}, False),
        ("sa-v", "clip_manual.json", {"step": 1}, True),
    ],
)
def test_written_masks_are_read_back_exactly(
    tmp_path: Path, format_id: str, out: str, options: dict[str, object], overlap: bool
) -> None:
    masks = clip_masks(overlap=overlap)
    written = export_masks(format_id, [medium_of(masks)], tmp_path / out, options)
    assert written.num_masks == len(present(masks))
    found = import_masks(tmp_path / out, size_hw=SIZE, num_frames=6)
    assert found.skipped == ()
    assert_same(read_back(found.masklets), present(masks))
    named = {one.object_id: (one.name, one.class_name) for one in found.masklets.objects}
    assert named == {1: ("Anna", "person"), 7: ("", "dog")}


@pytest.mark.parametrize(
    ("format_id", "out", "options"),
    [("coco", "a.json", {}), ("masks", "masks.zip", {"layout": "objects"}), ("masks", "masks", {})],
)
def test_masks_of_an_image_are_read_back_too(
    tmp_path: Path, format_id: str, out: str, options: dict[str, object]
) -> None:
    masks = {0: {1: blob(1), 7: blob(2) & ~blob(1)}}
    export_masks(format_id, [medium_of(masks, is_image=True, name="photo")], tmp_path / out, options)
    found = import_masks(tmp_path / out, size_hw=SIZE, file_name="photo.jpg")
    assert_same(read_back(found.masklets), present(masks))


def test_several_media_go_into_one_file(tmp_path: Path) -> None:
    media = [medium_of(clip_masks(overlap=True)), medium_of({0: {1: blob(9)}}, is_image=True, name="photo")]
    export_masks("coco", media, tmp_path / "all.json")
    images = json.loads((tmp_path / "all.json").read_text())["images"]
    assert len({one["id"] for one in images}) == 6
    assert images[-1]["file_name"] == "photo.jpg"
    with pytest.raises(DataError, match="different names"):
        export_masks("coco", [media[0], media[0]], tmp_path / "twice.json")


def test_only_accepted_or_selected_masks(tmp_path: Path) -> None:
    medium = medium_of(clip_masks(overlap=True))
    with pytest.raises(DataError, match="object 3 is unknown: known are 1, 7"):
        medium.masklets.only([3])
    some = LabelledMedium("clip", medium.source, medium.masklets.only([7]))
    assert export_masks("coco", [some], tmp_path / "a.json").num_masks == 4
    accepted = LabelledMedium("clip", medium.source, medium.masklets.only(accepted=True))
    with pytest.raises(DataError, match="that was accepted"):
        export_masks("coco", [accepted], tmp_path / "b.json")


@pytest.mark.parametrize(
    ("format_id", "out", "options", "error", "message"),
    [
        ("coca", "a.json", {}, ConfigError, "choose from coco, masks"),
        ("coco", "a.txt", {}, OutputError, "written to a .json file"),
        ("coco", "a.json", {"segmentation": "circles"}, ConfigError, "must be rle, polygons"),
        ("coco", "a.json", {"tolerance": True}, ConfigError, "must be from 0 to 20"),
        ("coco", "a.json", {"nothing": 1}, ConfigError, "unknown 'nothing'"),
        ("masks", "a.png", {}, OutputError, "give a folder or a .zip"),
        ("cutout", "a.png", {}, DataError, "is a video, and Cut-out PNG is not for those"),
    ],
)
def test_bad_arguments(
    tmp_path: Path, format_id: str, out: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        export_masks(format_id, [medium_of(clip_masks(overlap=True))], tmp_path / out, options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("format_id", "out"),
    [
        ("coco", "a.json"),
        ("masks", "p.zip"),
        ("masks", "p"),
        ("csv", "t.csv"),
        ("gif", "a.gif"),
        ("yolo-segment", "y"),
        ("overlay", "o.mp4"),
        ("tiff", "m.tif"),
    ],
)
def test_cancelling_leaves_nothing(tmp_path: Path, format_id: str, out: str) -> None:
    asked = iter([False, False, True, True, True, True, True])
    with pytest.raises(Cancelled):
        export_masks(format_id, [medium_of(clip_masks(overlap=True))], tmp_path / out, cancelled=lambda: next(asked))
    assert not list(tmp_path.iterdir())


def test_masks_of_another_size_are_refused(tmp_path: Path) -> None:
    masklets = Masklets.of_masks({0: {1: np.ones((4, 4), np.bool_)}})
    with pytest.raises(DataError, match="is 4 x 4, the medium 51 x 37"):
        export_masks("coco", [LabelledMedium("clip", medium_of({}).source, masklets)], tmp_path / "a.json")


@pytest.mark.parametrize(("format_id", "out"), [("coco", "a.json"), ("csv", "t.csv"), ("overlay", "o.mp4")])
def test_a_full_disk_leaves_nothing_and_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_id: str, out: str
) -> None:
    usage = type(shutil.disk_usage(tmp_path))
    free = iter([2**30, 2**30])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30, next(free, 2**20)))
    with pytest.raises(OutputError, match=r"the disk is full: .* Nothing was written; make room"):
        export_masks(format_id, [medium_of(clip_masks(overlap=True))], tmp_path / out)
    assert not list(tmp_path.iterdir())
