"""Results as users meet them: what `repr` says, pictures for notebooks, and the way to other tools and back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import masklet
from masklet.errors import ConfigError, DataError
from masklet.masks.plotting import BACKGROUND, MAX_PNG_SIDE
from masklet.prompts import Prompt
from masklet.records import Decoded, Frame, FrameMasks, FrameMemory, ImageFeatures, Recall, SegmentResult
from masklet.segmentation.automatic import AutomaticConfig, AutomaticMask
from masklet.segmentation.segmenter import Segmenter
from masklet.tracking.tracker import Tracker
from tests.fake_engine import FakeEngine, pictures

SIZE_HW = (40, 60)
PHOTO = np.full((*SIZE_HW, 3), 128, np.uint8)


def square(left: int, top: int, side: int) -> NDArray[np.bool_]:
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def result(**changes: Any) -> SegmentResult:
    fields: dict[str, Any] = {
        "masks": np.stack([square(10, 5, 20), square(12, 8, 10)]),
        "iou_predictions": np.array([0.9, 0.61234], np.float32),
        "low_res_logits": np.zeros((2, 16, 16), np.float32),
        "object_score": 5.0,
        "rgb": PHOTO,
    }
    return SegmentResult(**fields | changes)


def frame_masks(**changes: Any) -> FrameMasks:
    fields: dict[str, Any] = {
        "frame_index": 12,
        "time_s": 0.48,
        "object_ids": (1, 4, 7),
        "masks": np.stack([square(2, 3, 10), square(0, 0, 0), square(30, 5, 12)]),
        "iou_predictions": np.array([0.9, 0.2, 0.75], np.float32),
        "object_scores": np.array([8.0, -3.0, 4.0], np.float32),
        "prompted": np.array([True, False, False]),
        "statuses": ("present", "lost", "uncertain"),
    }
    return FrameMasks(**fields | changes)


def automatic_mask() -> AutomaticMask:
    detection = {"id": 1, "segmentation": [[10, 5, 30, 5, 30, 25, 10, 25]], "score": 0.8, "stability": 0.96}
    return AutomaticMask.from_coco(detection, size_hw=SIZE_HW)


# What `repr` says.


def test_reprs_are_short_and_contain_no_arrays() -> None:
    assert repr(result()) == (
        "SegmentResult(2 candidates of 60 x 40, confidences 0.90, 0.61, areas 16.7 %, 4.2 %, object score 5.0)"
    )
    assert repr(frame_masks()) == (
        "FrameMasks(frame 12 at 0.48 s, 60 x 40, 3 objects {1: present 0.90, 4: lost 0.20, 7: uncertain 0.75})"
    )
    assert repr(Frame(3, PHOTO, 0.12)) == "Frame(3 at 0.12 s, 60 x 40)"
    assert repr(ImageFeatures({"embedding": PHOTO}, SIZE_HW)) == "ImageFeatures(size_hw=(40, 60))"
    assert repr(FrameMemory(PHOTO, PHOTO)) == "FrameMemory()"
    recall = Recall(((0, PHOTO), (1, PHOTO)), ((1, PHOTO),))
    assert repr(recall) == "Recall(spatial slots [0, 1], pointers of [1] frames ago, span 16)"
    decoded = Decoded(PHOTO, (0.9, 0.5), 0, 4.0, (PHOTO, PHOTO))
    assert repr(decoded) == "Decoded(iou_predictions=(0.9, 0.5), chosen=0, object_score=4.0)"


def test_many_objects_are_shortened() -> None:
    count = 200
    masks = FrameMasks(
        0,
        0.0,
        tuple(range(1, count + 1)),
        np.zeros((count, 4, 4), np.bool_),
        np.ones(count, np.float32),
        np.ones(count, np.float32),
        np.zeros(count, np.bool_),
    )
    assert "200 objects" in repr(masks)
    assert len(repr(masks)) < 150


def test_prompts_name_their_fields() -> None:
    prompt = Prompt.create(points_xy=[(1, 2), (3, 4.5)], labels=[1, 0], box_xyxy=(1, 2, 30, 40))
    assert repr(prompt) == "Prompt(points +(1, 2), -(3, 4.5), box (1, 2, 30, 40))"
    assert repr(Prompt.create(mask=square(0, 0, 3))) == "Prompt(mask 60 x 40 of 9 pixels)"
    assert repr(Prompt.of_logits(np.zeros((8, 8)))) == "Prompt(previous_logits 8 x 8)"
    assert repr(Prompt.create(points_xy=np.ones((500, 2)))).endswith("and 480 more)")


def test_configurations_show_what_differs_from_the_defaults() -> None:
    assert repr(masklet.MemoryConfig()) == "MemoryConfig()"
    assert (
        repr(masklet.MemoryConfig(policy="motion", max_pointers=4)) == "MemoryConfig(policy='motion', max_pointers=4)"
    )
    assert repr(AutomaticConfig(min_iou=0.5)) == "AutomaticConfig(min_iou=0.5)"


def test_reprs_of_workers_name_what_they_work_on() -> None:
    tracker = Tracker(FakeEngine(), pictures(3))
    tracker.prompt(2, 0, points_xy=[(1, 1)])
    assert "objects [2]" in repr(tracker)
    assert "8 x 6" in repr(tracker)
    segmenter = Segmenter(FakeEngine())
    assert repr(segmenter) == f"Segmenter({segmenter.engine.info.name!r})"
    assert repr(segmenter.set_image(pictures(1)[0])).endswith("8 x 6)")
    assert "rle" not in repr(automatic_mask())


# Pictures.


def test_a_prediction_knows_its_picture_without_a_copy() -> None:
    image = Segmenter(FakeEngine()).set_image(pictures(1)[0])
    prediction = image.predict(points_xy=[(1, 1)])
    assert image.rgb is not None
    assert prediction.rgb is image.rgb


def test_an_overlay_is_drawn_on_the_known_picture_a_given_one_or_a_plain_one() -> None:
    corner = (39, 59)  # far from every mask
    assert np.asarray(result().overlay())[corner].tolist() == [128] * 3
    assert np.asarray(result(rgb=None).overlay())[corner].tolist() == [BACKGROUND] * 3
    assert np.asarray(result().overlay(PHOTO // 2))[corner].tolist() == [64] * 3
    assert np.asarray(frame_masks().overlay())[corner].tolist() == [BACKGROUND] * 3
    for picture in (PHOTO, Image.fromarray(PHOTO), Frame(12, PHOTO, 0.48)):
        assert np.asarray(frame_masks().overlay(picture))[corner].tolist() == [128] * 3


def test_each_candidate_can_be_drawn() -> None:
    best, second = (np.asarray(result().overlay(candidate=number)) for number in (0, 1))
    assert (best != second).any()
    with pytest.raises(IndexError, match="from 0 to 1, got 2"):
        result().overlay(candidate=2)


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(40, 60, 3\) uint8, got \(20, 20, 3\)"):
        frame_masks().overlay(np.zeros((20, 20, 3), np.uint8))


@pytest.mark.parametrize("shown", [result(), frame_masks(), Frame(0, PHOTO, 0.0), automatic_mask()], ids=type)
def test_notebooks_get_a_png(shown: Any) -> None:
    with Image.open(io.BytesIO(shown._repr_png_())) as image:
        assert (image.format, image.size) == ("PNG", (60, 40))


def test_a_large_picture_is_reduced_for_a_notebook() -> None:
    frame = Frame(0, np.zeros((1000, 4000, 3), np.uint8), 0.0)
    with Image.open(io.BytesIO(frame._repr_png_())) as image:
        assert image.size == (MAX_PNG_SIDE, MAX_PNG_SIDE // 4)


def test_plots_return_their_axes() -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="plots need matplotlib, which is not installed")
    matplotlib.use("agg")
    from matplotlib import pyplot

    for shown, title in (
        (result(), "candidate 1 of 2, confidence 0.90"),
        (frame_masks(), "frame 12, 0.48 s"),
        (Frame(3, PHOTO, 0.12), "frame 3, 0.12 s"),
    ):
        figure, own = pyplot.subplots()
        assert shown.plot(ax=own) is own  # type: ignore[attr-defined]
        new = shown.plot()  # type: ignore[attr-defined]
        assert new.get_title() == title
        assert new.get_images()[0].get_array().shape == (40, 60, 3)
        pyplot.close(figure)
        pyplot.close(new.figure)


def test_without_matplotlib_a_plot_explains_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r'pip install "masklet\[plot\]"'):
        result().plot()


# Other tools, and back.


def test_boxes_areas_and_outlines() -> None:
    masks = frame_masks()
    assert masks.boxes_xyxy.tolist() == [[2, 3, 12, 13], [0, 0, 0, 0], [30, 5, 42, 17]]
    assert masks.areas.tolist() == [100, 0, 144]
    assert [len(polygons) for polygons in masks.polygons()] == [1, 0, 1]
    assert result().candidate(1).boxes_xyxy.tolist() == [[12, 8, 22, 18]]


@pytest.mark.parametrize("as_polygons", [False, True])
def test_frame_masks_go_to_coco_and_back(as_polygons: bool) -> None:
    annotations = frame_masks().to_coco(image_id=5, category_id=2, first_id=10, as_polygons=as_polygons)
    assert [(a["id"], a["image_id"], a["category_id"], a["track_id"]) for a in annotations] == [
        (10, 5, 2, 1),
        (11, 5, 2, 7),
    ]
    assert [(a["score"], a["status"], a["prompted"]) for a in annotations] == [
        (0.9, "present", True),
        (0.75, "uncertain", False),
    ]
    assert annotations[0]["bbox"] == [2, 3, 10, 10]
    back = FrameMasks.from_coco(annotations, size_hw=SIZE_HW, frame_index=12, time_s=0.48)
    assert (back.frame_index, back.time_s, back.object_ids) == (12, 0.48, (1, 7))
    assert np.array_equal(back.masks, frame_masks().masks[[0, 2]])
    assert back.iou_predictions.tolist() == pytest.approx([0.9, 0.75])
    assert (back.object_scores > 0).all()


def test_coco_annotations_are_json() -> None:
    import json

    assert json.loads(json.dumps(frame_masks().to_coco())) == frame_masks().to_coco()


def test_a_segment_result_goes_to_coco_and_back_as_candidates() -> None:
    annotations = result().to_coco()
    assert [annotation["score"] for annotation in annotations] == [0.9, 0.6123]
    back = SegmentResult.from_coco(reversed(annotations), low_res_size=16, rgb=PHOTO)
    assert np.array_equal(back.masks, result().masks)  # best first again
    assert back.low_res_logits.shape == (2, 16, 16)
    assert back.rgb is PHOTO
    assert len(result().candidate().to_coco()) == 1


def test_masks_go_to_pil_and_back() -> None:
    images = result().to_pil()
    assert [(image.mode, image.size, image.getextrema()) for image in images] == [("L", (60, 40), (0, 255))] * 2
    assert np.array_equal(SegmentResult.from_pil(images).masks, result().masks)
    assert FrameMasks.from_pil(images, frame_index=3).object_ids == (1, 2)
    assert automatic_mask().to_pil().getbbox() == (10, 5, 30, 25)


def test_an_automatic_mask_goes_to_coco_and_back() -> None:
    annotation = automatic_mask().to_coco(annotation_id=3, image_id=2)
    assert (annotation["id"], annotation["image_id"], annotation["score"], annotation["stability"]) == (3, 2, 0.8, 0.96)
    back = AutomaticMask.from_coco(annotation)
    assert (back.area, back.box_xyxy, back.crop_box_xyxy) == (400, (10, 5, 30, 25), (0, 0, 60, 40))
    assert back.rle == automatic_mask().rle


def test_inputs_that_are_not_masks_are_refused() -> None:
    with pytest.raises(DataError, match=r"polygons do not include the image size: give size_hw"):
        FrameMasks.from_coco([{"id": 3, "segmentation": [[0, 0, 5, 0, 5, 5]]}])
    with pytest.raises(DataError, match="annotation 3: the mask is 2 x 2"):
        FrameMasks.from_coco([{"id": 3, "segmentation": {"size": [2, 2], "counts": [4]}}], size_hw=SIZE_HW)
    with pytest.raises(DataError, match="must have different ids"):
        FrameMasks.from_coco([{"track_id": 1, "segmentation": {"size": [2, 2], "counts": [0, 4]}}] * 2)
    with pytest.raises(DataError, match="must have one size"):
        FrameMasks.from_pil([Image.new("L", (2, 2)), Image.new("L", (3, 3))])
    with pytest.raises(DataError, match="mask 0 is empty"):
        AutomaticMask.from_coco({"segmentation": {"size": [2, 2], "counts": [4]}})


def test_results_go_to_supervision_and_back() -> None:
    supervision = pytest.importorskip("supervision", reason="the package supervision is not installed")
    detections = frame_masks().to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert detections.tracker_id.tolist() == [1, 7]
    assert detections.confidence.tolist() == pytest.approx([0.9, 0.75])
    assert detections.xyxy.tolist() == [[2, 3, 12, 13], [30, 5, 42, 17]]
    assert detections[0].data["status"].tolist() == ["present"]
    back = FrameMasks.from_supervision(detections, frame_index=12)
    assert back.object_ids == (1, 7)
    assert np.array_equal(back.masks, frame_masks().masks[[0, 2]])

    candidates = SegmentResult.from_supervision(result().to_supervision(), rgb=PHOTO)
    assert np.array_equal(candidates.masks, result().masks)
    (automatic,) = AutomaticMask.from_supervision(AutomaticMask.to_supervision([automatic_mask()]))
    assert automatic == automatic_mask()
    with pytest.raises(DataError, match="have no masks"):
        FrameMasks.from_supervision(supervision.Detections(xyxy=np.array([[0, 0, 5, 5]], np.float32)))


def test_without_supervision_the_error_explains_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "supervision", None)
    with pytest.raises(DataError, match="pip install supervision"):
        result().to_supervision()
