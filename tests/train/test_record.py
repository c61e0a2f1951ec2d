"""What a run leaves behind can be read, also after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from masklet.train.card import draw_curve
from masklet.train.record import LOG, RunLog, read_lines


def test_a_line_has_the_means_since_the_last(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0)
    log.add({"loss": 1.0, "image_click": 0.5})
    log.add({"loss": 3.0})
    log.write(2, 0.1)
    log.add({"loss": 5.0})
    log.write(3, 0.1)
    assert read_lines(tmp_path / LOG) == [
        {"step": 2, "rate": 0.1, "loss": 2.0, "image_click": 0.5},
        {"step": 3, "rate": 0.1, "loss": 5.0},
    ]


def test_lines_after_the_checkpoint_are_written_again(tmp_path: Path) -> None:
    whole = "".join(json.dumps({"step": step}) + "\n" for step in (2, 4, 6))
    (tmp_path / LOG).write_text(whole + '{"step": 8, "lo')
    RunLog(tmp_path, 4)
    assert [line["step"] for line in read_lines(tmp_path / LOG)] == [2, 4]


def test_tensorboard_gets_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = RunLog(tmp_path, 0, tensorboard=True)
    log.add({"loss": 2.5})
    log.write(1, 0.1)
    log.write_validation(1, {"miou@1": 0.5})
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Scalars("train/loss")[0].value == 2.5
    assert events.Scalars("validation/miou@1")[0].value == 0.5


def test_a_curve(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    lines = [{"step": step, "loss": 1 / step, "image_click": step / 10} for step in range(1, 5)]
    assert draw_curve(lines, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
