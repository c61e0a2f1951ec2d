"""MOT and MOTS: lines that TrackEval reads, and that `open_detections` reads back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trackeval

from masklet.discovery.files import open_detections
from masklet.errors import DataError
from masklet.formats import export_masks
from masklet.formats.live import open_streams
from masklet.masks.rle import decode_rle
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo
from tests.formats.coco_tools import square
from tests.formats.material import SIZE, clip_masks, medium_of, present
from tests.media.clips import masks_for


def test_mot_lines_count_frames_from_1(tmp_path: Path) -> None:
    masks = clip_masks(overlap=True)
    exported = export_masks("mot", [medium_of(masks)], tmp_path / "clip.txt")
    table = np.loadtxt(tmp_path / "clip.txt", delimiter=",")
    assert table.shape == (9, 10)
    assert exported.num_masks == 9
    assert {(int(row[0]) - 1, int(row[1])) for row in table} == set(present(masks))
    ys, xs = np.nonzero(masks[0][1])
    assert table[0].tolist() == [1, 1, xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1, 1, -1, -1, -1]


def test_mot_ground_truth_has_classes(tmp_path: Path) -> None:
    export_masks("mot", [medium_of(clip_masks(overlap=True))], tmp_path / "gt.txt", {"columns": "truth"})
    table = np.loadtxt(tmp_path / "gt.txt", delimiter=",")
    assert {(int(row[1]), int(row[7])) for row in table} == {(1, 1), (7, 2)}
    assert (table[:, [6, 8]] == 1).all()


@pytest.mark.parametrize("first", [0, 1])
def test_mots_masks_come_back_to_the_pixel(tmp_path: Path, first: int) -> None:
    masks = clip_masks(overlap=False)
    export_masks("mots", [medium_of(masks)], tmp_path / "clip.txt", {"first_frame": str(first)})
    file = open_detections(tmp_path / "clip.txt", size_hw=SIZE, num_frames=6, first_frame=first)
    assert file.format == "mots"
    by_frame: dict[int, list[np.ndarray]] = {}
    for (frame_index, _), mask in sorted(present(masks).items()):
        by_frame.setdefault(frame_index, []).append(mask)
    assert file.frame_indices == tuple(by_frame)
    for frame_index, expected in by_frame.items():
        read = [decode_rle(detection.rle, SIZE) for detection in file.at(frame_index) if detection.rle]
        assert np.array_equal(read, expected)
    assert {detection.label for detection in file.at(0)} == {"pedestrian", "class 3"}


def test_mots_masks_share_no_pixel(tmp_path: Path) -> None:
    masks = clip_masks(overlap=True)
    exported = export_masks("mots", [medium_of(masks)], tmp_path / "clip.txt")
    assert any("overlap" in note for note in exported.notes)
    assert any("'dog' is number 3" in note for note in exported.notes)
    file = open_detections(tmp_path / "clip.txt", size_hw=SIZE, num_frames=6)
    for frame_index in file.frame_indices:
        covered = np.sum([detection.mask(SIZE) for detection in file.at(frame_index)], axis=0)
        assert covered.max() == 1
        assert np.array_equal(covered > 0, masks[frame_index][1] | masks[frame_index][7])


def test_mots_refuses_ids_that_it_cannot_hold(tmp_path: Path) -> None:
    masklets = Masklets.of_masks({0: {70_000: np.ones(SIZE, np.bool_)}}, [ObjectInfo(70_000)])
    with pytest.raises(DataError, match="object id 70000 does not fit MOTS"):
        export_masks("mots", [LabelledMedium("clip", medium_of({}).source, masklets)], tmp_path / "clip.txt")
    assert not list(tmp_path.iterdir())


def test_live_lines_survive_an_error(tmp_path: Path) -> None:
    source = medium_of({}).source

    def interrupted() -> None:
        with open_streams(tmp_path, ["mot", "tracks"], source) as streams:
            for frame in source.frames(0, 3):
                streams.write(frame, masks_for(frame))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len((tmp_path / "mot.txt").read_text().splitlines()) == 6
    assert len((tmp_path / "tracks.csv").read_text(encoding="utf-8-sig").splitlines()) == 3


def evaluated(root: Path, dataset: type, form: str, options: dict[str, str], truth: dict[str, str]) -> float:
    """Return the HOTA that TrackEval gives to exported tracks against themselves."""
    masks = {i: {1: square(5, 5 + i), 7: square(25, 20 - i)} for i in range(6)}
    masklets = Masklets.of_masks(masks, [ObjectInfo(1, "", "pedestrian"), ObjectInfo(7, "", "pedestrian")])
    medium = LabelledMedium("clip", medium_of({}).source, masklets)
    (root / "gt" / "clip" / "gt").mkdir(parents=True)
    (root / "trackers" / "masklet" / "data").mkdir(parents=True)
    export_masks(form, [medium], root / "gt" / "clip" / "gt" / "gt.txt", {**options, **truth})
    export_masks(form, [medium], root / "trackers" / "masklet" / "data" / "clip.txt", options)
    config = {
        "GT_FOLDER": str(root / "gt"), "TRACKERS_FOLDER": str(root / "trackers"), "SEQ_INFO": {"clip": 6},
        "SKIP_SPLIT_FOL": True, "PRINT_CONFIG": False,
    }  # fmt: skip
    (tracker,) = trackeval.Evaluator(
        {"PRINT_RESULTS": False, "PRINT_CONFIG": False, "TIME_PROGRESS": False, "OUTPUT_SUMMARY": False,
         "OUTPUT_DETAILED": False, "PLOT_CURVES": False, "OUTPUT_EMPTY_CLASSES": False, "PRINT_ONLY_COMBINED": True}
    ).evaluate([dataset(config)], [trackeval.metrics.HOTA({"PRINT_CONFIG": False})])[0].values()  # fmt: skip
    return float(tracker["masklet"]["COMBINED_SEQ"]["pedestrian"]["HOTA"]["HOTA"].mean())


@pytest.mark.parametrize(
    ("dataset", "form", "truth"),
    [
        (trackeval.datasets.MotChallenge2DBox, "mot", {"columns": "truth"}),
        (trackeval.datasets.MOTSChallenge, "mots", {}),
    ],
)
def test_trackeval_reads_both(tmp_path: Path, dataset: type, form: str, truth: dict[str, str]) -> None:
    assert evaluated(tmp_path, dataset, form, {}, truth) == 1
