"""The memory bank on integers: a frame's memory is its own number."""

from __future__ import annotations

import json
from typing import Any

import pytest

from masklet.errors import ConfigError
from masklet.memory.bank import MemoryBank, MemoryConfig, closest_frames
from masklet.memory.policies import MotionConfig, OfficialConfig, ReliableConfig, reliability
from masklet.records import EngineInfo, FrameMemory

ABSENT = -5.0
PRESENT = 5.0


def write(
    bank: MemoryBank[int], index: int, *, prompted: bool = False, score: float = PRESENT, direction: int = 1
) -> None:
    memory = FrameMemory(index, index)
    bank.write(index, memory, prompted=prompted, iou_prediction=0.9, object_score=score, direction=direction)


def filled(config: MemoryConfig, frames: range, prompted: tuple[int, ...] = (0,)) -> MemoryBank[int]:
    bank: MemoryBank[int] = MemoryBank(config)
    direction = 1 if frames.step > 0 else -1
    for index in frames:
        write(bank, index, prompted=index in prompted, direction=direction)
    return bank


# Choosing prompted frames.


@pytest.mark.parametrize(
    ("frame_index", "count", "chosen"),
    [
        (25, None, [0, 10, 20, 30, 40]),
        (25, 5, [0, 10, 20, 30, 40]),
        (25, 2, [20, 30]),
        (25, 3, [10, 20, 30]),  # 10 and 40 are equally far: the earlier
        (26, 3, [20, 30, 40]),
        (20, 2, [10, 20]),  # the frame itself counts as at or after
        (99, 2, [30, 40]),  # nothing after: filled up from before
        (-9, 3, [0, 10, 20]),
    ],
)
def test_closest_frames(frame_index: int, count: int | None, chosen: list[int]) -> None:
    assert closest_frames(frame_index, [40, 0, 30, 10, 20], count) == chosen


# The official rules.


def test_official_reads_the_prompt_in_slot_0_and_the_last_six_frames() -> None:
    recall = filled(MemoryConfig.official(), range(30)).recall(30)
    assert recall.spatial == ((0, 0), (6, 24), (5, 25), (4, 26), (3, 27), (2, 28), (1, 29))
    assert recall.pointers == ((30, 0), *((ago, 30 - ago) for ago in range(1, 16)))
    assert recall.pointer_span == 16


def test_official_skips_frames_that_are_not_there() -> None:
    recall = filled(MemoryConfig.official(), range(3)).recall(3)
    assert recall.spatial == ((0, 0), (2, 1), (1, 2))
    assert recall.pointers == ((3, 0), (1, 2), (2, 1))


def test_official_backward_mirrors_forward() -> None:
    recall = filled(MemoryConfig.official(), range(50, 20, -1), prompted=(50,)).recall(20, direction=-1)
    assert recall.spatial == ((0, 50), (6, 26), (5, 25), (4, 24), (3, 23), (2, 22), (1, 21))
    assert recall.pointers[:3] == ((30, 50), (1, 21), (2, 22))


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_official_stride_is_the_grid_of_the_source(stride: int, direction: int) -> None:
    """Against the arithmetic as sam2_base.py writes it, at every frame of a streaming run."""
    config = MemoryConfig.official(official=OfficialConfig(stride=stride))
    start, frames = (0, range(60)) if direction == 1 else (59, range(59, -1, -1))
    bank: MemoryBank[int] = MemoryBank(config)
    for index in frames:
        if index != start:
            wanted = {1: index - direction}
            for slot in range(2, 7):
                if direction == 1:
                    wanted[slot] = ((index - 2) // stride) * stride - (slot - 2) * stride
                else:
                    wanted[slot] = -(-(index + 2) // stride) * stride + (slot - 2) * stride
            behind = {slot: frame for slot, frame in wanted.items() if frame in frames and frame != start}
            assert dict(bank.recall(index, direction=direction).spatial) == {0: start} | behind
        write(bank, index, prompted=index == start, direction=direction)


def test_official_streaming_recalls_what_keeping_everything_would() -> None:
    streaming = MemoryBank[int](MemoryConfig.official(official=OfficialConfig(stride=3), max_prompted=2))
    everything = MemoryBank[int](
        MemoryConfig.official(official=OfficialConfig(stride=3), max_prompted=2, retention="editing")
    )
    for index in range(120):
        assert streaming.recall(index, num_frames=120) == everything.recall(index, num_frames=120)
        for bank in (streaming, everything):
            write(bank, index, prompted=index in (0, 7, 8, 40))
        # A click on the frame just tracked decodes it again.
        assert streaming.recall(index) == everything.recall(index)
    assert len(everything) == 120
    assert len(streaming) < 25


def test_a_prompted_frame_that_is_not_selected_stands_in_as_a_tracked_one() -> None:
    config = MemoryConfig.official(max_prompted=2)
    recall = filled(config, range(6), prompted=(0, 3, 4, 5)).recall(6)
    assert recall.spatial == ((0, 4), (0, 5), (6, 0), (5, 1), (4, 2), (3, 3))
    assert (3, 3) in recall.pointers
    assert (6, 0) in recall.pointers


def test_official_attends_to_prompts_ahead_but_not_to_their_pointers() -> None:
    bank: MemoryBank[int] = MemoryBank(MemoryConfig.official())
    write(bank, 0, prompted=True)
    write(bank, 50, prompted=True)
    recall = bank.recall(10)
    assert recall.spatial == ((0, 0), (0, 50))
    assert recall.pointers == ((10, 0),)


def test_pointer_span_is_that_of_a_short_video() -> None:
    recall = filled(MemoryConfig.official(), range(5)).recall(5, num_frames=6)
    assert recall.pointer_span == 6
    assert filled(MemoryConfig.official(), range(5)).recall(5, num_frames=600).pointer_span == 16


# The default rules.


def test_reliable_equals_official_while_the_object_is_there() -> None:
    default, official = MemoryConfig(), MemoryConfig.official()
    assert filled(default, range(30)).recall(30) == filled(official, range(30)).recall(30)


def test_reliable_remembers_the_object_through_a_long_absence() -> None:
    bank = filled(MemoryConfig(), range(10))
    for index in range(10, 200):
        write(bank, index, score=ABSENT)
    recall = bank.recall(200)
    assert recall.spatial == ((0, 0), (6, 5), (5, 6), (4, 7), (3, 8), (2, 9), (1, 199))
    # The last sight is as old as a pointer can be; the previous frame is read whatever it shows.
    assert recall.pointers[:3] == ((200, 0), (1, 199), (15, 9))


def test_official_forgets_the_object_in_a_long_absence() -> None:
    bank = filled(MemoryConfig.official(), range(10))
    for index in range(10, 200):
        write(bank, index, score=ABSENT)
    assert [frame for _, frame in bank.recall(200).spatial] == [0, 194, 195, 196, 197, 198, 199]


def test_reliable_reads_nothing_ahead() -> None:
    bank: MemoryBank[int] = MemoryBank(MemoryConfig())
    write(bank, 50, prompted=True)
    assert bank.recall(10).is_empty
    assert not bank.recall(10, direction=-1).is_empty
    assert bank.recall(50).is_empty  # nor itself


@pytest.mark.parametrize(
    ("object_score", "iou_prediction", "expected"),
    [(-3.0, 0.9, 0.0), (0.0, 0.9, 0.0), (100.0, 0.9, 0.9), (2.0, 0.5, 0.5 * (2 / (1 + 2.718281828**-2) - 1))],
)
def test_reliability(object_score: float, iou_prediction: float, expected: float) -> None:
    assert reliability(object_score, iou_prediction) == pytest.approx(expected)


# What is kept.


@pytest.mark.parametrize(
    "config", [MemoryConfig(), MemoryConfig.official(), MemoryConfig.official(official=OfficialConfig(stride=4))]
)
@pytest.mark.parametrize("score", [PRESENT, ABSENT])
def test_memory_is_bounded_by_config_not_by_video_length(config: MemoryConfig, score: float) -> None:
    bank: MemoryBank[int] = MemoryBank(config)
    write(bank, 0, prompted=True)
    sizes = set()
    for index in range(1, 2000):
        write(bank, index, score=score)
        if index > 100:
            sizes.add((len(bank), bank.num_spatial))
    stride = config.settings["official"].stride if "official" in config.settings else 1
    assert max(frames for frames, _ in sizes) <= 1 + 16 + 5 * (stride - 1)
    assert max(spatial for _, spatial in sizes) <= 1 + 7 + (stride > 1)


def test_prompted_frames_are_bounded_too() -> None:
    bank = filled(MemoryConfig(max_prompted_kept=5), range(2000), prompted=tuple(range(0, 2000, 7)))
    assert bank.prompted_frames == (1967, 1974, 1981, 1988, 1995)
    assert [frame for slot, frame in bank.recall(2000).spatial if slot == 0] == [1974, 1981, 1988, 1995]


def test_spatial_memories_go_before_pointers() -> None:
    bank = filled(MemoryConfig(), range(100))
    assert bank.tracked_frames == tuple(range(84, 100))  # 15 pointers for frame 100, 15 for frame 99 once more
    assert bank.num_spatial == 1 + 7


def test_changing_direction_forgets_the_frames_behind() -> None:
    bank = filled(MemoryConfig(), range(50, 20, -1), prompted=(50,))
    write(bank, 50, prompted=True)
    assert bank.tracked_frames == ()
    assert bank.prompted_frames == (50,)


def test_editing_keeps_both_directions() -> None:
    bank = filled(MemoryConfig.official(retention="editing"), range(50, 20, -1), prompted=(50,))
    write(bank, 50, prompted=True)
    assert len(bank) == 30


def test_tracking_frames_again_replaces_their_memories() -> None:
    bank = filled(MemoryConfig(), range(100))
    write(bank, 0, prompted=True)
    assert bank.tracked_frames == ()
    write(bank, 1)
    assert bank.recall(2).spatial == ((0, 0), (1, 1))


def test_a_frame_changes_its_kind_with_the_last_write() -> None:
    bank = filled(MemoryConfig(), range(5))
    write(bank, 4, prompted=True)
    assert bank.prompted_frames == (0, 4)
    assert 4 not in bank.tracked_frames


def test_forget_one_frame() -> None:
    bank = filled(MemoryConfig(), range(5))
    bank.forget(3)
    bank.forget(77)
    assert 3 not in bank
    assert bank.recall(5).spatial == ((0, 0), (3, 1), (2, 2), (1, 4))


# Configuration.


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"policy": "best"}, "policy must be one of .*reliable.*got 'best'"),
        ({"retention": "none"}, "retention must be one of streaming, editing"),
        ({"spatial_slots": 0}, "spatial_slots must be a whole number of at least 1, got 0"),
        ({"max_pointers": 1}, "max_pointers"),
        ({"settings": {"best": OfficialConfig()}}, "unknown policy 'best': expected one of reliable"),
        ({"settings": {"official": OfficialConfig()}}, "settings has 'official', which policy 'reliable' does not use"),
        ({"settings": {"reliable": OfficialConfig()}}, "settings of 'reliable' must be a ReliableConfig"),
        ({"max_prompted": 1}, "max_prompted must be a whole number of at least 2, got 1"),
        ({"max_prompted": 8, "max_prompted_kept": 4}, "max_prompted_kept must be a whole number of at least 8"),
    ],
)
def test_config_names_the_bad_field(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        MemoryConfig(**fields)


def test_config_fits_the_model() -> None:
    info = EngineInfo("small", 256, 4, 8, "python", "none", "int", {"policy": "official"})
    assert MemoryConfig.official().fitted_to(info).spatial_slots == 4
    made = MemoryConfig.for_engine(info)
    assert (made.policy, made.spatial_slots, made.max_pointers) == ("official", 4, 8)


def test_a_policy_is_chosen_by_name_and_set_by_its_own_settings() -> None:
    info = EngineInfo("small", 256, 4, 8, "python", "none", "int", {"max_prompted": 3})
    made = MemoryConfig.for_engine(info, policy="motion", motion=MotionConfig(weight=0.15), retention="editing")
    assert made.settings_of("motion") == MotionConfig(weight=0.15)
    assert (made.policy, made.spatial_slots, made.max_prompted, made.retention) == ("motion", 4, 3, "editing")
    official = MemoryConfig.for_engine(info, policy="official", official=OfficialConfig(stride=2))
    assert official == MemoryConfig.official(official=OfficialConfig(stride=2), spatial_slots=4, max_pointers=8)
    with pytest.raises(ConfigError, match=r"unknown memory setting 'wings': expected one of .*spatial_slots"):
        MemoryConfig.for_engine(info, wings=2)
    with pytest.raises(ConfigError, match=r"policy must be one of reliable, .*got 'best'"):
        MemoryConfig.for_engine(info, policy="best")


def test_makers_of_a_model_can_choose_the_settings_of_a_policy() -> None:
    chosen = {"policy": "motion", "settings": {"motion": {"weight": 0.5}}}
    info = EngineInfo("small", 256, 4, 8, "python", "none", "int", chosen)
    assert MemoryConfig.for_engine(info).settings_of("motion") == MotionConfig(weight=0.5)
    assert MemoryConfig.for_engine(info, policy="tree").settings == {}


@pytest.mark.parametrize(
    "config",
    [
        MemoryConfig(),
        MemoryConfig.official(official=OfficialConfig(stride=3)),
        MemoryConfig(policy="motion+tree", settings={"motion": MotionConfig(max_coast=3)}),
        MemoryConfig(settings={"reliable": ReliableConfig(threshold=0.2)}),
    ],
)
def test_a_config_is_read_back_from_json(config: MemoryConfig) -> None:
    values = json.loads(json.dumps(config.to_dict()))
    assert MemoryConfig.from_dict(values) == config
    assert {"reliable"} <= set(values["settings"])  # what is in use is written even where it is at its default


def test_settings_of_the_former_form_are_read() -> None:
    former = {"policy": "official", "spatial_slots": 7, "memory_stride": 4, "reliability_threshold": 0.3}
    expected = {"official": OfficialConfig(stride=4), "reliable": ReliableConfig(threshold=0.3)}
    assert MemoryConfig.from_dict(former).settings == expected
    assert MemoryConfig.from_dict({"memory_stride": 1, "reliability_threshold": 0.01}) == MemoryConfig()


# Rebuilding memories.


def test_frames_that_the_next_frame_reads_are_missing_until_the_bank_holds_them() -> None:
    bank = filled(MemoryConfig(), range(20))
    behind = dict.fromkeys(range(13, 20), 0.9)
    assert bank.missing_for(20, behind, 1) == []  # the bank has just written them
    other = filled(MemoryConfig(), range(1))
    assert other.missing_for(20, behind, 1) == [14, 15, 16, 17, 18, 19]  # nearest last
    assert other.missing_for(20, {}, 1) == []


def test_after_a_turn_the_frames_ahead_do_not_count_as_held() -> None:
    bank = filled(MemoryConfig(), range(20))
    ahead = dict.fromkeys(range(20, 27), 0.9)
    assert bank.missing_for(19, ahead, -1) == [25, 24, 23, 22, 21, 20]
