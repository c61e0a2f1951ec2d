"""Numbers, flags and arrays of numpy, PyTorch and pandas are as good as Python's own at every public door.

Each test feeds the same values in every form and compares with the plain ones: results, their types, and the files that
are made of them. Whatever is no number is refused in one sentence that names the argument.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet import AutomaticConfig, Frame, FrameMasks, MemoryConfig, Prompt
from masklet.errors import ConfigError, DataError, MaskletError, PromptError
from masklet.formats import FORMATS
from masklet.masks.edges import EdgeConfig
from masklet.masks.foreground import foreground_of
from masklet.masks.stabilise import StabiliseConfig
from masklet.media.source import open_source
from masklet.memory.policies.distractor import DistractorConfig
from masklet.memory.policies.motion import MotionConfig
from masklet.memory.policies.official import OfficialConfig
from masklet.memory.policies.reliable import ReliableConfig
from masklet.memory.policies.tree import TreeConfig
from masklet.render.composition import EFFECTS
from masklet.segmentation.segmenter import Segmenter
from masklet.tracking.masklets import Masklets, ObjectInfo
from masklet.tracking.tracker import Tracker
from tests.fake_engine import SIZE_HW, FakeEngine, picture, pictures

torch = pytest.importorskip("torch", reason="the forms of PyTorch need PyTorch")


class Column:
    """What pandas hands over for columns of several types: an array of objects behind `__array__`."""

    def __init__(self, values: Any) -> None:
        self.values = np.array(np.asarray(values).tolist(), np.object_)

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.values if dtype is None else self.values.astype(dtype)


def series(values: Any) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(values) if np.ndim(values) == 2 else pandas.Series(values)


Convert = Callable[[Any], Any]

NUMBERS: dict[str, Convert] = {
    "int64": np.int64,
    "int32": np.int32,
    "uint8": np.uint8,
    "float32": np.float32,
    "float": float,
    "Decimal": Decimal,
    "0-d array": np.array,
    "0-d float array": lambda number: np.array(float(number)),
    "torch": torch.tensor,
    "torch float": lambda number: torch.tensor(float(number)),
}
FLAGS: dict[str, Convert] = {
    "np.bool": np.bool_,
    "0-d array": np.array,
    "torch": torch.tensor,
    "0 and 1": int,
}
ARRAYS: dict[str, Convert] = {
    "float64": lambda values: np.array(values, np.float64),
    "int32": lambda values: np.array(values, np.int32),
    "float16": lambda values: np.array(values, np.float16),
    "objects": lambda values: np.array(values, np.object_),
    "torch": torch.tensor,
    "torch bf16": lambda values: torch.tensor(values, dtype=torch.bfloat16),
    "torch with gradients": lambda values: torch.tensor(values, dtype=torch.float32, requires_grad=True),
    "list of rows": lambda values: [np.array(row) for row in values],
    "list of tensors": lambda values: [torch.tensor(row) for row in values],
    "column": Column,
    "pandas": series,
}


# A session: every number of a tracker ends up in its file.


def session(path: Path, number: Convert = int, flag: Convert = bool, array: Convert = list) -> dict[str, bytes]:
    """Use every method of a tracker that takes numbers, and return the files of its session."""
    memory = MemoryConfig(
        policy="official",
        spatial_slots=number(6),
        max_pointers=number(8),
        settings={"official": OfficialConfig(stride=number(2))},
        safeguards=flag(True),
    )
    edges = EdgeConfig(radius=number(2), band=number(1))
    tracker = Tracker(
        FakeEngine(), pictures(12), memory=memory, non_overlap=flag(False), objects_at_once=number(4), edges=edges
    )
    tracker.prompt(number(1), number(0), points_xy=array([(1, 1)]), labels=array([1]))
    tracker.prompt(number(2), number(2), box_xyxy=array([0, 0, 5, 5]))
    tracker.preview(number(0))
    tracker.choose(number(1), number(0), number(0))
    tracker.decode_prompt(number(2), number(2))
    assert len(list(tracker.run(start=number(0), stop=number(6), object_ids=[number(1), number(2)]))) == 6
    assert not tracker.is_to_come(number(7))
    tracker.prompt(number(1), number(4), points_xy=array([(3, 3)]), labels=array([0]))
    assert [masks.frame_index for masks in tracker.retrack()] == [4, 5]
    masks = tracker.masks_at(number(3))
    assert masks is not None
    assert masks.object_ids == (1, 2)
    tracker.accept(number(3), number(1), accepted=flag(True))
    tracker.hide(number(2), flag(True))
    tracker.rename(number(2), "pump")
    tracker.suggest_frames(number(2))
    for object_id in (5, 6):
        tracker.prompt(number(object_id), number(7), points_xy=array([(1, 1)]))
    tracker.unprompt(number(5), number(7))
    tracker.remove(number(6))
    tracker.adopt(tracker, number(1), new_id=number(9))
    with zipfile.ZipFile(tracker.save(path)) as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture(scope="module")
def plain_session(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return session(tmp_path_factory.mktemp("plain") / "job.masklet")


@pytest.mark.parametrize("form", NUMBERS)
def test_a_session_of_foreign_numbers_is_the_plain_one(
    plain_session: dict[str, bytes], form: str, tmp_path: Path
) -> None:
    assert session(tmp_path / "job.masklet", number=NUMBERS[form]) == plain_session


@pytest.mark.parametrize("form", FLAGS)
def test_a_session_of_foreign_flags_is_the_plain_one(
    plain_session: dict[str, bytes], form: str, tmp_path: Path
) -> None:
    assert session(tmp_path / "job.masklet", flag=FLAGS[form]) == plain_session


@pytest.mark.parametrize("form", ARRAYS)
def test_a_session_of_foreign_arrays_is_the_plain_one(
    plain_session: dict[str, bytes], form: str, tmp_path: Path
) -> None:
    assert session(tmp_path / "job.masklet", array=ARRAYS[form]) == plain_session


NOT_WHOLE = [
    True,
    np.bool_(True),
    torch.tensor(True),
    "1",
    1.5,
    float("nan"),
    np.float32("inf"),
    [1],
    np.array([1]),
    None,
]


@pytest.mark.parametrize("value", NOT_WHOLE, ids=repr)
@pytest.mark.parametrize(
    "call",
    [
        lambda tracker, value: tracker.prompt(value, 0, points_xy=[(1, 1)]),
        lambda tracker, value: tracker.prompt(1, value, points_xy=[(1, 1)]),
        lambda tracker, value: tracker.unprompt(value, 0),
        lambda tracker, value: tracker.masks_at(value),
        lambda tracker, value: tracker.accept(value),
        lambda tracker, value: tracker.remove(value),
        lambda tracker, value: list(tracker.run(object_ids=[value])),
        lambda tracker, value: Tracker(FakeEngine(), pictures(2), objects_at_once=value),
    ],
    ids=["id", "frame", "unprompt", "masks_at", "accept", "remove", "run", "objects_at_once"],
)
def test_what_is_not_whole_is_refused_by_name(call: Callable[[Tracker[int], Any], Any], value: Any) -> None:
    tracker = Tracker(FakeEngine(), pictures(3))
    tracker.prompt(1, 0, points_xy=[(1, 1)])
    with pytest.raises(MaskletError, match=r"^(object_id|frame_index|objects_at_once) must be a whole number"):
        call(tracker, value)


# Settings.

CONFIGS = (
    AutomaticConfig,
    MemoryConfig,
    OfficialConfig,
    ReliableConfig,
    TreeConfig,
    MotionConfig,
    DistractorConfig,
    EdgeConfig,
    StabiliseConfig,
)


def default_numbers(config: type[Any]) -> list[tuple[str, Any]]:
    """Return the fields of a config, or of options, whose default is a number or a flag."""
    return [(item.name, item.default) for item in dataclasses.fields(config) if isinstance(item.default, int | float)]


OPTIONS = (*EFFECTS, *{format_.options for format_ in FORMATS.values()})
FIELDS = [(config, name, value) for config in (*CONFIGS, *OPTIONS) for name, value in default_numbers(config)]


@pytest.mark.parametrize(("config", "name", "value"), FIELDS, ids=lambda part: getattr(part, "__name__", str(part)))
def test_settings_are_converted(config: type[Any], name: str, value: Any) -> None:
    if isinstance(value, bool):
        forms: list[Any] = [np.bool_(value), torch.tensor(value)]
        bad: list[Any] = ["yes", 2, None, float("nan")]
    else:
        exact = np.float64(value), np.array(value), torch.tensor(value, dtype=torch.float64)
        forms = [*exact, np.int64(value), np.float32(value)] if value == int(value) else list(exact)
        bad = [True, torch.tensor(True), "1", float("nan"), np.float64("inf"), [value]]
    for form in forms:
        made = getattr(config(**{name: form}), name)
        assert made == value
        assert type(made) in (int, float, bool)
        json.dumps(made)
    for form in bad:
        with pytest.raises(ConfigError, match=name):
            config(**{name: form})


# Prompts.


@pytest.mark.parametrize("form", ARRAYS)
def test_prompts_are_converted(form: str) -> None:
    convert = ARRAYS[form]
    plain = Prompt.create(points_xy=[(1, 2), (3, 4)], labels=[1, 0], box_xyxy=[0, 1, 5, 6])
    made = Prompt.create(
        points_xy=convert([(1, 2), (3, 4)]), labels=convert([1, 0]), box_xyxy=convert([0, 1, 5, 6]), size_hw=SIZE_HW
    )
    assert made.to_dict() == plain.to_dict()


def test_labels_may_be_flags_and_padding() -> None:
    points = [(1, 1), (2, 2), (0, 0)]
    flags = Prompt.create(points_xy=points, labels=np.array([True, False, True]))
    assert flags.labels.tolist() == [1, 0, 1]
    padded = Prompt.create(points_xy=points, labels=torch.tensor([1, 0, -1]))
    assert (padded.points_xy.tolist(), padded.labels.tolist()) == ([[1, 1], [2, 2]], [1, 0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"points_xy": [["1", "2"]]}, "points_xy must be numbers"),
        ({"points_xy": [[True, False]]}, "points_xy must be numbers"),
        ({"points_xy": [[1, np.inf]]}, "points_xy must be finite"),
        ({"points_xy": [[1, None]]}, "points_xy must be"),
        ({"points_xy": [[1 + 2j, 3]]}, "points_xy must be numbers"),
        ({"box_xyxy": [0, 0, np.nan, 5]}, "box_xyxy must be finite"),
        ({"box_xyxy": "0,0,5,5"}, "box_xyxy must be four numbers"),
        ({"points_xy": [(1, 1)], "labels": [3]}, "labels must be 1"),
        ({"mask": np.full(SIZE_HW, np.nan)}, "mask must be finite"),
    ],
)
def test_what_is_no_prompt_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Prompt.create(**fields)


HALF = np.zeros(SIZE_HW, bool)
HALF[:, :4] = True
SOFT = np.where(HALF, 0.9, 0.0)
SOFT[:, 3:5] = 0.6, 0.4  # the edge of a mask that was resized

MASKS: dict[str, Any] = {
    "bool": HALF,
    "torch": torch.from_numpy(HALF),
    "0 and 1": HALF.astype(np.uint8),
    "0 to 255": HALF.astype(np.uint8) * 255,
    "0 to 255, soft": (SOFT * 255).astype(np.uint8),
    "floats 0 to 255": SOFT * 255,
    "16 bits": HALF.astype(np.uint16) * 65535,
    "probabilities": SOFT,
    "torch probabilities": torch.tensor(SOFT, dtype=torch.float16),
    "logits": np.where(HALF, 3.0, -0.1),
    "a label": HALF.astype(np.int64) * 7,
    "lists": HALF.tolist(),
    "with a channel": HALF[None],
}


@pytest.mark.parametrize("form", MASKS)
def test_a_mask_means_the_same_in_every_form(form: str) -> None:
    prompt = Prompt.create(mask=MASKS[form], size_hw=SIZE_HW)
    assert prompt.mask is not None
    np.testing.assert_array_equal(prompt.mask, HALF)
    if MASKS[form] is not MASKS["with a channel"] and form != "lists":
        stored = Masklets.of_masks({0: {1: np.asarray(MASKS[form])}}).masks_at(0)[1]
        np.testing.assert_array_equal(stored, HALF)


@pytest.mark.parametrize("form", ["bool", "0 and 1", "0 to 255", "probabilities", "floats 0 to 255"])
def test_a_mask_in_place_of_logits_is_a_mask(form: str) -> None:
    """True is no logit of 1: the model would read a faint object, and a faint one where there is none."""
    prompt = Prompt.create(points_xy=[(1, 1)], previous_logits=MASKS[form])
    assert prompt.previous_logits is not None
    np.testing.assert_array_equal(prompt.previous_logits > 0, HALF)
    assert prompt.previous_logits.min() == -10


def test_logits_stay_logits() -> None:
    for logits in (np.where(HALF, 0.2, -0.1), np.zeros(SIZE_HW), np.where(HALF, 5.0, 2.0)):
        prompt = Prompt.of_logits(logits)
        np.testing.assert_allclose(prompt.previous_logits, logits, rtol=1e-6)


def test_foreground_of_nothing_is_nothing() -> None:
    assert foreground_of(np.zeros((0, 5))).shape == (0, 5)


# Boxes and points at the edge.


@pytest.mark.parametrize(
    "box", [(0, 0, 8.00001, 6), (-0.00001, 0, 8, 6), (-1e-6, -1e-6, 8 + 1e-6, 6 + 1e-6), np.float64([0, 0, 8.005, 6])]
)
def test_a_box_that_rounding_has_moved_out_is_moved_back(box: Any) -> None:
    prompt = Prompt.create(box_xyxy=box, size_hw=SIZE_HW)
    assert prompt.box_xyxy is not None
    assert prompt.box_xyxy.tolist() == [0, 0, 8, 6]


@pytest.mark.parametrize("point", [(7.99999999999, 1), (8, 1), (8.00001, 1), (-0.00001, 1)])
def test_a_point_that_rounding_has_moved_out_is_moved_back(point: tuple[float, float]) -> None:
    ((x, _),) = Prompt.create(points_xy=[point], size_hw=SIZE_HW).points_xy.tolist()
    assert 0 <= x < 8


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"box_xyxy": (0, 0, 8.02, 6)}, r"box \(0, 0, 8.02, 6\) lies outside the frame, which is 8 wide and 6 high"),
        ({"box_xyxy": (0, -0.0125, 8, 6)}, r"box \(0, -0.0125, 8, 6\) lies outside"),
        ({"points_xy": [(8.25, 1)]}, r"point \(8.25, 1\) lies outside"),
    ],
)
def test_what_is_outside_is_refused_with_its_digits(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Prompt.create(**fields, size_hw=SIZE_HW)


def test_digits_tell_a_coordinate_from_the_edge() -> None:
    with pytest.raises(PromptError, match=r"1920.0625"):
        Prompt.create(box_xyxy=(0, 0, 1920.0625, 1080), size_hw=(1080, 1920))


def test_zero_rows_are_none() -> None:
    image = Segmenter(FakeEngine()).set_image(picture(0))
    plain = image.predict(points_xy=[(1, 1)])
    beside = image.predict(points_xy=[(1, 1)], box_xyxy=np.zeros((0, 4)))
    np.testing.assert_array_equal(beside.masks, plain.masks)
    image.predict(box_xyxy=np.array([[0, 0, 5, 5]]), points_xy=np.zeros((0, 2)), labels=[])
    assert image.predict_many([]) == []
    tracker = Tracker(FakeEngine(), pictures(2))
    for fields in ({"box_xyxy": np.zeros((0, 4))}, {"points_xy": torch.zeros(0, 2)}, {"points_xy": []}):
        with pytest.raises(PromptError, match="the prompt is empty"):
            tracker.prompt(1, 0, **fields)
        with pytest.raises(PromptError, match="the prompt is empty"):
            image.predict(**fields)
    assert tracker.object_ids == ()


# Records, sources and files.


@pytest.mark.parametrize("form", NUMBERS)
def test_records_are_converted(form: str) -> None:
    number = NUMBERS[form]
    frame = Frame(number(3), picture(3), number(1))
    assert [type(frame.index), type(frame.time_s)] == [int, float]
    masks = FrameMasks(
        frame_index=0,
        time_s=0.0,
        object_ids=(number(2),),
        masks=HALF[None].astype(np.uint8) * 255,
        iou_predictions=np.ones(1, np.float32),
        object_scores=np.ones(1, np.float32),
        prompted=np.ones(1, bool),
    )
    assert masks.object_ids == (2,)
    annotation = masks.to_coco(image_id=number(7), category_id=number(8), first_id=number(9))[0]
    assert json.loads(json.dumps(annotation))["image_id"] == 7
    key = int if "0-d" in form else number  # arrays are no keys
    masklets = Masklets.of_masks({key(1): {key(2): HALF}}, [ObjectInfo(number(2), "pump")])
    assert masklets.only([number(2)]).info(2).name == "pump"
    assert masklets.masks_at(1).keys() == {2}
    with pytest.raises(DataError, match="object_id must be a whole number"):
        ObjectInfo("two")  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [name for name in NUMBERS if name != "uint8"])
def test_sources_take_any_number(form: str) -> None:
    number = NUMBERS[form]
    with open_source(pictures(4), fps=number(5)) as source:
        assert source.frame(number(2)).index == 2
        frames = list(source.frames(number(3), number(0), number(-1)))
        assert [(frame.index, frame.time_s) for frame in frames] == [(3, 0.6), (2, 0.4), (1, 0.2)]
        json.dumps(source.info.fps)


def test_a_tensor_of_frames_is_a_video() -> None:
    with open_source(torch.from_numpy(np.stack(pictures(3)))) as source:  # type: ignore[arg-type]
        assert source.info.num_frames == 3
        np.testing.assert_array_equal(source.frame(2).rgb, picture(2))
