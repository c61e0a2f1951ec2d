"""Taking turns, comparing answers, and what is made of whole commands' times. No test asserts a time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from masklet.bench.commands import CommandResult, run_commands, seconds_a_frame, tracks
from masklet.bench.material import picture, write_clip
from masklet.bench.report import BenchReport
from masklet.bench.stages import STAGES, StageScene, contestants, disagreement, spread
from masklet.bench.timing import Contestant, Result, compete, deviation
from masklet.engine.onnx_engine import OnnxEngine
from masklet.engine.open import embedded_folder
from masklet.errors import MaskletError
from masklet.media.source import open_source
from masklet.records import FloatArray

CARD = {
    "date": "2026-11-23",
    "cpu": {"name": "A (fast) CPU", "cores": 2, "features": ["AVX2"]},
    "threads": 2,
    "versions": {"masklet": "1.0"},
    "load": None,
    "ceiling": {"gflops_wall": 100.0, "gflops_cpu": 50.0},
}


def test_contestants_alternate_in_changing_order() -> None:
    order = []

    def running(name: str, answer: float) -> Contestant:
        def run() -> FloatArray:
            order.append(name)
            return np.full(4, answer, np.float32)

        return Contestant(name, run)

    first, second = compete([running("a", 2.0), running("b", 3.0)], repeats=3)
    assert order == ["a", "b", *"ab", *"ba", *"ab"]
    assert (first.runs, first.deviation, second.deviation) == (3, 0.0, 0.5)


def test_deviation_from_zeros_is_absolute() -> None:
    zeros = np.zeros(3, np.float32)
    assert deviation(zeros, zeros) == 0
    assert deviation(zeros + 2, zeros) == 2


def test_stages_of_nano() -> None:
    engine = OnnxEngine(embedded_folder("nano"), num_threads=1)
    scene = StageScene(engine, np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8), 2)
    assert len(scene.recalls[0].spatial) == engine.spec.memory_defaults["spatial_slots"]
    table = contestants({"one": scene, "again": scene})
    assert tuple(table) == STAGES
    for stage in STAGES:
        assert [result.deviation for result in compete(table[stage], 1, warm_up=0)] == [0, 0]
    assert disagreement([scene, scene]) == [0, 0]


def test_the_made_up_clip_plays_and_moves(tmp_path: Path) -> None:
    with open_source(write_clip(tmp_path / "clip.mp4", 3, (48, 64))) as source:
        frames = list(source.frames())
    assert [frame.size_hw for frame in frames] == [(48, 64)] * 3
    assert np.abs(frames[0].rgb.astype(float) - picture((48, 64))).mean() < 20
    assert not np.array_equal(frames[0].rgb, frames[2].rgb)


def test_objects_are_spread_over_the_picture() -> None:
    assert spread(1, (100, 200)) == [(100, 50)]
    places = spread(8, (100, 200))
    assert len(set(places)) == 8
    assert all(0 < x < 200 and 0 < y < 100 for x, y in places)


def test_a_frame_is_the_difference_of_two_lengths() -> None:
    commands = tracks("nano", "fast", Path("clip.mp4"), (100, 200), [1, 8], (5, 25))
    assert list(commands) == ["fast, 1 x 5", "fast, 1 x 25", "fast, 8 x 5", "fast, 8 x 25"]
    assert commands["fast, 8 x 5"].count("--point") == 8
    results = [
        CommandResult(name, wall_s=1 + 0.1 * frames, cpu_s=2 + 0.2 * frames, peak_bytes=7, runs=3)
        for name, frames in zip(commands, (5, 25, 5, 25), strict=True)
    ]
    rows = seconds_a_frame([CommandResult("masklet --help", 1, 1, 1, 1), *results], (5, 25))
    assert [(row["speed"], row["objects"]) for row in rows] == [("fast", 1), ("fast", 8)]
    assert rows[0]["wall_s"] == pytest.approx(0.1)
    assert rows[0]["cpu_s"] == pytest.approx(0.2)


@pytest.mark.skipif("not hasattr(__import__('os'), 'wait4')", reason="children are measured with wait4")
def test_commands_run_in_their_own_processes() -> None:
    (result,) = run_commands({"version": ["--version"]}, 1)
    assert result.cpu_s > 0
    assert result.peak_bytes > 1e6
    with pytest.raises(MaskletError, match="no-such-command"):
        run_commands({"bad": ["no-such-command"]}, 1)


@pytest.mark.skipif("not hasattr(__import__('os'), 'wait4')", reason="children are measured with wait4")
def test_peak_memory_of_a_command_excludes_the_parent_process() -> None:
    own = np.ones(400_000_000, np.uint8)  # as the stages leave behind, which are measured first
    (result,) = run_commands({"version": ["--version"]}, 1)
    assert result.peak_bytes < own.nbytes


def test_a_report_is_named_after_model_hardware_and_date() -> None:
    report = BenchReport("nano", "masklet bench", CARD)
    report.add_stage("attend", 1, [Result("exact", 0.2, 0.1, 3, 0.0), Result("fast", 0.1, 0.05, 3, 0.02)])
    report.add_frames([{"speed": "exact", "objects": 1, "wall_s": 0.1, "cpu_s": 0.2, "peak_bytes": 7}], 2)
    assert report.name == "nano_a-fast-cpu_2026-11-23"
    assert "| fast | 100.0 | 50.0 | 2.00x | 2.0e-02 |" in report.to_markdown()
    assert "| exact, 1 object | 10.0 | 200 | 10.0 |" in report.to_markdown()
    assert json.loads(report.to_json())["attend x 1"][1]["deviation"] == 0.02
