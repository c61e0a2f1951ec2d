"""Files of detections: every format gives the same boxes, and bad input is named, bounded, and the rest used."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet.discovery import Detection
from masklet.discovery.detections import RecordedDetector
from masklet.discovery.files import MAX_PER_FRAME, DetectionFile, open_detections
from masklet.errors import ConfigError, DataError
from masklet.masks.rle import decode_rle, encode_rle, run_lengths
from masklet.records import Frame

HEIGHT, WIDTH = SIZE = (48, 64)
NUM_FRAMES = 10
BOX = (10.0, 12.0, 30.0, 32.0)
"""Of a square of 20 pixels."""

MASK = np.zeros(SIZE, np.bool_)
MASK[12:32, 10:30] = True
RLE = encode_rle(MASK)


def opened(path: Path, content: str | list[Any] | dict[str, Any], **arguments: Any) -> DetectionFile:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return open_detections(path, **{"size_hw": SIZE, "num_frames": NUM_FRAMES, **arguments})


def result(frame: int = 3, box: tuple[float, ...] = (10, 12, 20, 20), **fields: Any) -> dict[str, Any]:
    return {"image_id": frame, "category_id": 7, "bbox": list(box), "score": 0.75, **fields}


def document() -> dict[str, Any]:
    return {
        "images": [
            {"id": 50 + i, "file_name": f"clip_{i:06d}.jpg", "height": HEIGHT, "width": WIDTH} for i in range(10)
        ],
        "annotations": [{"id": 1, "image_id": 53, "category_id": 7, "bbox": [10, 12, 20, 20], "score": 0.75}],
        "categories": [{"id": 7, "name": "dog"}],
    }


def yolo(center: str = "0.3125 0.458333 0.3125 0.416667") -> str:
    return f"0 {center} 0.75\n"


@pytest.mark.parametrize(
    ("name", "content", "form", "label"),
    [
        ("a.json", [result(frame=4), result(frame=10)], "coco", "class 7"),
        ("a.json", [result(frame_index=3, image_id="x", category_name="dog")], "coco", "dog"),
        ("a.json", document(), "coco", "dog"),
        ("a.txt", "4,-1,10,12,20,20,0.75,-1,-1,-1\n", "mot", ""),
        ("a.txt", "4 5 10 12 20 20 0.75 2 1\n", "mot", "class 2"),
        ("a.data", "\ufeffframe_index,left,top,right,bottom,score,label\n3,10,12,30,32,0.75,dog\n", "csv", "dog"),
        ("a.csv", 'conf;"frame";x;y;w;h\n0.75;4;10;12;20;20\n', "csv", ""),
    ],
)
def test_formats_are_known_by_their_content(tmp_path: Path, name: str, content: Any, form: str, label: str) -> None:
    file = opened(tmp_path / name, content)
    assert (file.format, file.problems) == (form, ())
    assert file.frame_indices[0] == 3
    assert file.at(3) == [Detection(BOX, 0.75, label)]
    assert file.labels == ((label,) if label else ())


def test_mots_lines_have_masks(tmp_path: Path) -> None:
    file = opened(tmp_path / "a.txt", f"4 1001 1 {HEIGHT} {WIDTH} {RLE['counts']}\n4 10000 10 48 64 {RLE['counts']}\n")
    assert (file.format, len(file.problems)) == ("mots", 1)
    (detection,) = file.at(3)
    assert (detection.box_xyxy, detection.label, detection.rle) == (BOX, "car", RLE)


@pytest.mark.parametrize("segmentation", [RLE, {"size": list(SIZE), "counts": run_lengths(MASK)},
                                          [[10, 12, 30, 12, 30, 32, 10, 32]]])  # fmt: skip
def test_masks_of_coco_are_kept_in_every_form(tmp_path: Path, segmentation: Any) -> None:
    entry = result(segmentation=segmentation)
    del entry["bbox"]
    (detection,) = opened(tmp_path / "a.json", [entry], first_frame=0).at(3)
    assert detection.rle is not None
    assert np.array_equal(decode_rle(detection.rle, SIZE), MASK)
    assert detection.box_xyxy == BOX


@pytest.mark.parametrize(
    ("stem", "expected"),
    [("clip_4", 3), ("clip_000003", 3)],
    ids=["Ultralytics counts from 1", "masklet pads and counts from 0"],
)
def test_a_folder_of_yolo_files(tmp_path: Path, stem: str, expected: int) -> None:
    labels = tmp_path / "labels" / "all"
    labels.mkdir(parents=True)
    (tmp_path / "data.yaml").write_text("train: x\nnames:\n  0: 'dog'\nnc: 1\n", encoding="utf-8")
    (labels / f"{stem}.txt").write_text(yolo(), encoding="utf-8")
    file = open_detections(tmp_path, size_hw=SIZE, num_frames=NUM_FRAMES)
    (detection,) = file.at(expected)
    assert (file.format, detection.label, detection.score) == ("yolo", "dog", 0.75)
    assert detection.box_xyxy == pytest.approx(BOX, abs=1e-3)


def test_polygons_of_yolo_become_masks(tmp_path: Path) -> None:
    points = " ".join(f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in ((10, 12), (30, 12), (30, 32), (10, 32)))
    file = opened(tmp_path / "photo.txt", f"0 {points}\n", num_frames=1, file_name="photo.jpg")
    (detection,) = file.at(0)
    assert np.array_equal(detection.mask(SIZE), MASK)


def test_yolo_tracks_have_an_id_that_is_no_polygon(tmp_path: Path) -> None:
    (detection,) = opened(tmp_path / "a_4.txt", yolo().strip() + " 12\n").at(3)
    assert (detection.rle, detection.score) == (None, 0.75)


def test_photos_are_found_by_their_names(tmp_path: Path) -> None:
    other = {**document(), "images": [{"id": 53, "file_name": "pets/b.jpg"}, {"id": 54, "file_name": "pets/a.jpg"}]}
    assert opened(tmp_path / "a.json", other, num_frames=1, file_name="x/b.jpg").at(0)
    with pytest.raises(DataError, match=r"none is called 'c\.jpg'"):
        opened(tmp_path / "a.json", other, num_frames=1, file_name="c.jpg")
    results = [result(frame=139), result(frame=7, box=(1, 1, 5, 5))]
    file = opened(tmp_path / "r.json", results, num_frames=1, file_name="val2017/000000000139.jpg")
    assert [detection.box_xyxy for detection in file.at(0)] == [BOX]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("5,-1,100,10,9,9,0.9", "line 2: it lies outside the frame of 64 x 48"),
        ("5,-1,10,10,0,9,0.9", "line 2: its box is empty"),
        ("5,-1,63.5,10,9,9,0.9", "line 2: less than a pixel of it is within the frame"),
        ("5,-1,nan,10,9,9,0.9", "line 2: its box has an edge that is not a number"),
        ("5,-1,10,inf,9,9,0.9", "line 2: its box has an edge that is not a number"),
        ("5,-1,10,10,9,9,nan", r"line 2: its score must be in \[0, 1\], got nan"),
        ("5,-1,10,10,9,9,inf", r"line 2: its score must be in \[0, 1\], got inf"),
        ("5,-1,10,10,9,9,7", r"line 2: its score must be in \[0, 1\], got 7"),
        ("12,-1,10,10,9,9,0.9", r"line 2: there is no frame 11 \(counted from 0\): the video has 10"),
        ("-3,-1,10,10,9,9,0.9", "line 2: there is no frame -4"),
        ("99999999999999999999,-1,10,10,9,9,0.9", "line 2: expected frame,id"),
        ("5,-1,10,1", "line 2: expected frame,id"),
        ("5,-1,10,10,ten,9,0.9", "line 2: expected frame,id"),
        ("\x01\x02\x7f,,,", "line 2: expected frame,id"),
        ("4,-1,10,12,20,20,0.5", "line 2: it repeats another detection"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_rest_used(tmp_path: Path, lines: str, expected: str) -> None:
    good = "4,-1,10,12,20,20,0.75,-1,-1,-1\n"
    file = opened(
        tmp_path / "a.txt", good + f"{lines}\n" * 3 + "".join(good.replace("4", str(i), 1) for i in (1, 2, 10))
    )
    assert all(file.at(i) == [Detection(BOX, 0.75, "")] for i in (0, 1, 3, 9))
    assert len(file) == 4
    (problem,) = file.problems
    assert problem.startswith("a.txt, ")
    assert problem.endswith("(and 2 more)")
    assert re.search(expected, problem)


def test_boxes_are_clipped_to_the_frame(tmp_path: Path) -> None:
    file = opened(tmp_path / "a.txt", "4,-1,-5,-1e9,20,2e9,0.5\n")
    assert file.at(3) == [Detection((0.0, 0.0, 15.0, 48.0), 0.5, "")]


def test_ten_thousand_boxes_on_a_frame_are_bounded_by_score(tmp_path: Path) -> None:
    lines = [f"4,-1,{i % 50},{i // 250},{5 + i % 7},9,{i / 10000:.4f}" for i in range(10_000)]
    file = opened(tmp_path / "a.txt", "\n".join(lines))
    scores = [detection.score for detection in file.at(3)]
    assert len(scores) == MAX_PER_FRAME
    assert min(scores) > 0.95
    assert "frame 3 has 10,000 detections: the 300 with the highest scores are used" in file.problems[-1]
    assert len(open_detections(tmp_path / "a.txt", size_hw=SIZE, max_per_frame=7).at(3)) == 7


def test_problems_stay_few_however_many_entries_are_bad(tmp_path: Path) -> None:
    bad = [{"image_id": "\ud800" * 999, "bbox": [1, 2, 3]}, 5, None, result(score="high"), result(box=(1, 2)), {}]
    file = opened(tmp_path / "a.json", [result(), *bad * 500])
    assert len(file) == 1
    assert len(file.problems) <= 10
    assert all(len(line) < 400 for line in file.problems)


def test_reasons_for_damaged_entries_are_named_separately(tmp_path: Path) -> None:
    damaged = [result(bbox=[1, 2, 3]), result(bbox=[1, 2]), result(score="high"), result(score="low")]
    first, second = opened(tmp_path / "a.json", [result(), *damaged], first_frame=0).problems
    assert "entry [1]: bbox must be four numbers: left, top, width, height" in first
    assert "entry [3]: score must be a number, got 'high'" in second
    assert first.endswith("left out (and 1 more)")
    assert second.endswith("left out (and 1 more)")


def test_masks_of_another_size_and_damaged_ones_are_named(tmp_path: Path) -> None:
    small = encode_rle(np.ones((4, 4), np.bool_))
    empty = encode_rle(np.zeros(SIZE, np.bool_))
    damaged = [result(segmentation=mask) for mask in (small, empty, {**RLE, "counts": RLE["counts"][:3]}, [["x"] * 6])]
    file = opened(tmp_path / "a.json", [result(), *damaged], first_frame=0)
    assert file.at(3) == [Detection(BOX, 0.75, "class 7")]
    text = "\n".join(file.problems)
    for expected in ("the mask is 4 x 4", "its mask is empty", "end in the middle of a run"):
        assert expected in text


def test_images_of_another_size_are_named(tmp_path: Path) -> None:
    other = document()
    other["images"][3] |= {"height": 24, "width": 32}
    other["annotations"].append({**other["annotations"][0], "image_id": 55})
    file = opened(tmp_path / "a.json", other)
    assert file.frame_indices == (5,)
    assert "clip_000003.jpg is 32 x 24 (width x height) there, and the frame 64 x 48" in file.problems[0]


def test_repeated_ids_are_named_and_both_used(tmp_path: Path) -> None:
    file = opened(tmp_path / "a.txt", "4,7,10,12,20,20,1\n4,7,30,12,20,20,1\n")
    assert len(file.at(3)) == 2
    assert file.problems == ("a.txt, line 2: frame 4 has id 7 twice; both are used",)


@pytest.mark.parametrize(
    ("scores", "expected", "kinds"),
    [((80, 40), (0.8, 0.4), ["percentages"]), ((2, -2), (0.881, 0.119), ["logits"]), ((-1, -1), (1, 1), [])],
)
def test_scores_of_another_scale_are_converted(
    tmp_path: Path, scores: tuple[int, int], expected: tuple[float, float], kinds: list[str]
) -> None:
    file = opened(tmp_path / "a.txt", "".join(f"{4 + i},-1,10,12,20,20,{score}\n" for i, score in enumerate(scores)))
    assert [file.at(3 + i)[0].score for i in range(2)] == pytest.approx(expected, abs=1e-3)
    assert [note.split()[-1] for note in file.notes if "scores" in note] == kinds


@pytest.mark.parametrize(
    ("frames", "num_frames", "first"), [((0, 3), 10, 0), ((1, 10), 10, 1), ((2, 5), 10, 1), ((2, 5), None, 1)]
)
def test_frames_are_counted_as_their_numbers_show(
    tmp_path: Path, frames: tuple[int, int], num_frames: int | None, first: int
) -> None:
    lines = "".join(f"{frame},-1,10,12,20,20,0.5\n" for frame in frames)
    assert opened(tmp_path / "a.txt", lines, num_frames=num_frames).frame_indices == tuple(i - first for i in frames)
    assert opened(tmp_path / "a.txt", lines, num_frames=None, first_frame=0).frame_indices == frames


def test_boxes_for_a_larger_video_are_pointed_out(tmp_path: Path) -> None:
    lines = "".join(f"{i + 1},-1,{50 * i},20,30,20,0.5\n" for i in range(5))
    (note, *_) = [note for note in opened(tmp_path / "a.txt", lines).notes if "another size" in note]
    assert "of 5 boxes reach far beyond the frame of 64 x 48" in note


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", "", "is empty: expected JSON"),
        ("a.json", '{"a": 1}', 'must be a list of COCO results, or an object with "annotations"'),
        ("a.json", "[{", "is not JSON"),
        ("a.txt", "hello\nworld\n", "is not a file of detections: expected COCO results"),
        ("a.csv", "frame,score\n1,2\n", "has no box in its header"),
        ("a.csv", "left,top,right,bottom\n1,2,3,4\n", "names no frame and no image"),
        ("a.txt", "1,-1,900,900,5,5,1\n", "lies outside the frame"),
        ("a.json", [result(box=(900, 900, 5, 5))], "lies outside the frame"),
        ("a.txt", "PK\x03\x04\0\0", "is not JSON: it is a .zip"),
    ],
)
def test_files_without_a_usable_detection_are_refused(tmp_path: Path, name: str, content: Any, expected: str) -> None:
    with pytest.raises(DataError, match=re.escape(expected)) as error:
        opened(tmp_path / name, content)
    assert name in str(error.value)


@pytest.mark.parametrize(("name", "content"), [("a.json", "[]"), ("a.txt", ""), ("a.csv", "frame,x,y,w,h\n")])
def test_a_file_in_which_nothing_was_detected_has_no_detections(tmp_path: Path, name: str, content: str) -> None:
    file = opened(tmp_path / name, content)
    assert (len(file), file.at(0), file.frame_indices) == (0, [], ())
    assert file.problems == (f"{name} has no detections",)


def test_an_image_in_which_nothing_was_detected_has_no_detections(tmp_path: Path) -> None:
    file = opened(tmp_path / "a.json", document(), num_frames=1, file_name="clip_000005.jpg")
    assert (len(file), file.problems) == (0, ("a.json has no detections for clip_000005.jpg",))


def test_missing_files_and_wrong_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_detections(tmp_path / "no.json", size_hw=SIZE)
    with pytest.raises(DataError, match="has no detections: expected a YOLO"):
        open_detections(tmp_path, size_hw=SIZE)
    with pytest.raises(ConfigError, match="size_hw"):
        opened(tmp_path / "a.json", "[]", size_hw=(0, 3))
    with pytest.raises(ConfigError, match="max_per_frame"):
        opened(tmp_path / "a.json", "[]", max_per_frame=0)


def test_a_detector_of_frames_of_one_size(tmp_path: Path) -> None:
    file = opened(tmp_path / "a.txt", "4,-1,10,12,20,20,0.5\n")
    covered = np.ones(SIZE, np.bool_)
    assert len(file.detect(Frame(3, np.zeros((*SIZE, 3), np.uint8), 0.0), covered)) == 1
    with pytest.raises(DataError, match=r"opened for frames of 64 x 48 .*, frame 3 is 9 x 9"):
        file.detect(Frame(3, np.zeros((9, 9, 3), np.uint8), 0.0), covered)


def test_nan_in_json_is_named(tmp_path: Path) -> None:
    bad = [result(score=math.nan), result(box=(1, math.nan, 5, 5))]
    file = opened(tmp_path / "a.json", [result(), *bad])
    assert len(file) == 1
    assert len(file.problems) == 2


@pytest.mark.parametrize(
    ("frames", "key_frames"),
    [
        ([0, 1, 2, 4, 5], range(6)),
        ([2, 3, 9], frozenset({2, 3, 9})),
        ([0, 5], frozenset({0, 5})),
        ([4], frozenset({4})),
        ([1, 2], range(1, 3)),
    ],
    ids=str,
)
def test_key_frames_are_those_of_a_file_that_lists_only_some(
    tmp_path: Path, frames: list[int], key_frames: Any
) -> None:
    file = opened(tmp_path / "a.json", [result(index) for index in frames], first_frame=0)
    assert file.key_frames == key_frames
    assert isinstance(file, RecordedDetector)


@pytest.mark.parametrize(("step", "key_frames"), [(1, range(60)), (20, frozenset({0, 20, 40}))])
@pytest.mark.parametrize("is_empty", [False, True])
def test_key_frames_are_the_images_of_a_document(tmp_path: Path, step: int, key_frames: Any, is_empty: bool) -> None:
    content = document() | {"images": [{"id": i, "file_name": f"clip_{i:06d}.jpg"} for i in range(0, 60, step)]}
    content["annotations"] = [] if is_empty else [result(frame, id=frame) for frame in (0, 20, 40)]
    file = opened(tmp_path / "a.json", content, num_frames=60)
    assert file.frame_indices == (() if is_empty else (0, 20, 40))
    assert file.key_frames == key_frames


def test_images_of_other_media_are_no_key_frames(tmp_path: Path) -> None:
    content = document()
    content["images"] += [{"id": 80 + i, "file_name": f"other/clip_{i:06d}.jpg"} for i in range(30)]
    content["images"] = [image | {"file_name": image["file_name"].replace("clip_", "")} for image in content["images"]]
    for image in content["images"][:10]:
        image["file_name"] = f"mine/{image['file_name']}"
    assert opened(tmp_path / "a.json", content, file_name="mine.mp4").key_frames == range(10)


def test_results_of_one_video_have_a_frame_each(tmp_path: Path) -> None:
    entries = [result(9, frame_index=index) for index in range(5)]
    file = opened(tmp_path / "a.json", entries)
    assert [len(file.at(index)) for index in range(6)] == [1, 1, 1, 1, 1, 0]
    assert (file.problems, file.notes) == ((), ())


def test_results_of_two_videos_are_told_apart(tmp_path: Path) -> None:
    entries = [result(name, frame_index=index) for name in ("cars", "dogs") for index in range(5)]  # type: ignore[arg-type]
    assert len(opened(tmp_path / "a.json", entries, file_name="dogs.mp4")) == 5
    with pytest.raises(DataError, match="images of 2 videos"):
        opened(tmp_path / "a.json", entries, file_name="cats.mp4")


def test_a_file_without_detections_has_no_key_frames(tmp_path: Path) -> None:
    assert opened(tmp_path / "a.txt", "").key_frames == range(0)
