from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.datasets import VOID, Dataset, open_dataset
from masklet.datasets.check import check_dataset
from masklet.datasets.convert import convert_dataset
from masklet.datasets.sheet import WIDTH, contact_sheet
from masklet.errors import DataError, OutputError

from .tiny import ids, moving, save, write_clip, write_coco, write_images, write_sa1b


def examine(root: Path) -> tuple[Dataset, dict[str, int], bool]:
    faults: list[DataError] = []
    data = open_dataset(root, verify=False, faults=faults)
    report = check_dataset(data, faults)
    kinds: dict[str, int] = {}
    for fault in report.faults:
        kinds[fault.kind] = kinds.get(fault.kind, 0) + 1
    return data, kinds, report.has_errors


def test_a_report_counts(tmp_path: Path) -> None:
    write_images(tmp_path / "cats", "abc", {1: (0, 0, 30, 20), 2: (40, 0, 60, 10), VOID: (0, 30, 60, 40)})
    report = check_dataset(open_dataset(tmp_path))
    summary = report.to_dict()["sources"]["cats"]
    assert (summary["images"], summary["objects"], summary["most_objects"]) == (3, 6, 2)
    assert summary["void_share"] == pytest.approx(0.25)
    assert summary["area_median"] == pytest.approx((600 + 200) / 2 / 2400)
    assert summary["sizes"] == [{"height": 40, "width": 60, "count": 3}]
    assert report.to_dict()["ok"]
    assert not report.faults


def test_a_check_continues_after_each_fault(tmp_path: Path) -> None:
    root = write_images(tmp_path / "cats", "abcdefghi")
    (root / "masks/a.png").unlink()
    (root / "images/b.jpg").unlink()
    save(root / "masks/c.png", ids({1: (0, 0, 5, 5)}, (20, 20)))
    (root / "masks/d.png").write_bytes(b"")
    save(root / "masks/e.png", ids({}))
    save(root / "masks/f.png", ids({1: (0, 0, 2, 2), 200: (10, 10, 30, 30)}))
    Image.fromarray(np.full((40, 60), 300, np.uint16)).save(root / "masks/h.png")
    Image.new("RGB", (60, 40), (200, 30, 30)).save(root / "masks/i.png")
    _, kinds, has_errors = examine(tmp_path)
    assert has_errors
    assert kinds == {
        "does not pair": 2,
        "sizes differ": 1,
        "cannot be read": 1,
        "more than 255 objects": 1,
        "bad labels": 1,
        "no object": 1,
        "tiny objects": 1,
        "ids jump": 1,
    }


def test_clips_are_checked_frame_by_frame(tmp_path: Path) -> None:
    write_clip(tmp_path / "good/frames", tmp_path / "good/masks", 3)
    write_clip(tmp_path / "broken/frames", tmp_path / "broken/masks", 10)
    (tmp_path / "broken/masks/00004.png").write_bytes(b"x")
    write_clip(tmp_path / "empty/frames", tmp_path / "empty/masks", 2)
    for index in range(2):
        save(tmp_path / f"empty/masks/{index:05d}.png", ids({}))
    data, kinds, has_errors = examine(tmp_path)
    assert has_errors
    assert len(data.clips) == 3
    assert kinds == {"cannot be read": 1, "no object": 3}
    report = check_dataset(data).sources[tmp_path.name]
    assert (report.clips, report.frames, report.objects) == (3, 14, 4)


@pytest.mark.parametrize("layout", ["folders", "coco", "sa-1b", "shards"])
@pytest.mark.parametrize("write", [write_images, write_sa1b, write_coco])
def test_images_survive_any_conversion(tmp_path: Path, layout: str, write: object) -> None:
    source = open_dataset(write(tmp_path / "in"))  # type: ignore[operator]
    convert_dataset(source, tmp_path / "out", layout)
    data = open_dataset(tmp_path / "out")
    assert data.layout == layout
    assert len(data.images) == len(source.images)
    for before, after in zip(source.images, data.images, strict=True):
        (old_rgb, old), (new_rgb, new) = before.read(), after.read()
        assert np.array_equal(old_rgb, new_rgb)
        old_masks = sorted(old.mask(object_id).tobytes() for object_id in old.object_ids)
        assert sorted(new.mask(object_id).tobytes() for object_id in new.object_ids) == old_masks
        assert (old.void is None) == (new.void is None)
        assert old.void is None or np.array_equal(old.void, new.void)


@pytest.mark.parametrize("layout", ["folders", "davis", "shards"])
def test_clips_survive_conversion(tmp_path: Path, layout: str) -> None:
    write_clip(tmp_path / "in/walk/frames", tmp_path / "in/walk/masks", 9, labelled=(0, 4, 8))
    convert_dataset(open_dataset(tmp_path / "in"), tmp_path / "out", layout)
    data = open_dataset(tmp_path / "out")
    (clip,) = data.clips
    assert (data.layout, clip.num_frames, clip.labelled_frames) == (layout, 9, (0, 4, 8))
    assert np.array_equal(clip.read_labels(4).flat(), ids(moving(4)))


def test_labelled_frames_become_images_with_their_tracks(tmp_path: Path) -> None:
    write_clip(tmp_path / "in/walk/frames", tmp_path / "in/walk/masks", 5, labelled=(0, 4))
    convert_dataset(open_dataset(tmp_path / "in"), tmp_path / "out", "coco")
    assert [image.name for image in open_dataset(tmp_path / "out").images] == ["walk_00000", "walk_00004"]
    assert '"track_id": 3' in (tmp_path / "out/annotations/instances_all.json").read_text()


def test_a_conversion_never_overwrites_and_leaves_no_partial_result(tmp_path: Path) -> None:
    data = open_dataset(write_images(tmp_path / "in"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious").touch()
    with pytest.raises(OutputError, match="never overwrites"):
        convert_dataset(data, tmp_path / "out", "coco")
    (tmp_path / "in/masks/b.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"b\.png"):
        convert_dataset(data, tmp_path / "new", "coco")
    with pytest.raises(DataError, match="holds clips"):
        convert_dataset(data, tmp_path / "new", "davis")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_a_sheet_shows_every_source_and_the_errors_of_unreadable_files(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        write_images(tmp_path / name, "abcd")
    write_clip(tmp_path / "walk/frames", tmp_path / "walk/masks", 3)
    complete = contact_sheet(open_dataset(tmp_path), count=6)
    assert complete.shape[1] == WIDTH
    (tmp_path / "cats/masks/b.png").write_bytes(b"broken")
    assert contact_sheet(open_dataset(tmp_path, verify=False), count=8).shape[1] == WIDTH
