"""`masklet track`, interrupted and continued: --save, --resume, --accept."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from masklet.tracking.session import session_about
from tests.cli.conftest import Run
from tests.cli.test_track import before_frame, num_frames
from tests.fake_engine import FakeEngine

pytestmark = pytest.mark.usefixtures("engine")


def coco(path: str) -> dict[int, list[int]]:
    """Return the objects by frame."""
    found: dict[int, list[int]] = {}
    for one in json.loads(Path(path).read_text())["annotations"]:
        found.setdefault(one["frame_index"], []).append(one["object_id"])
    return found


def test_an_interrupted_run_continues_to_the_same_results(
    clip: Path, engine: FakeEngine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("track", clip, "--point", "10,20", "--format", "coco,overlay")
    run(*options, "--out", "whole")
    with monkeypatch.context() as patch:
        before_frame(5, engine, lambda: signal.raise_signal(signal.SIGINT), patch)
        result = run(*options, "--out", "cut")
    assert result.status == 130
    assert "continue with: masklet track --resume cut/session.masklet" in result.out
    assert num_frames("cut/overlay.mp4") == 6
    engine.encoded.clear()
    result = run("track", "--resume", "cut/session.masklet", "--json")
    assert result.status == 0, result.err
    assert result.json["finished"]
    assert result.json["num_frames"] == 12
    assert engine.encoded == list(range(6, 12))
    assert num_frames("cut/overlay.mp4") == 12
    assert coco("cut/coco.json") == coco("whole/coco.json")


def test_ctrl_c_while_tracking_again_keeps_the_results_and_can_be_continued(
    clip: Path, engine: FakeEngine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("track", clip, "--point", "10,20", "--save", "job.masklet", "--out", "a.json")
    before = Path("a.json").read_text()
    with monkeypatch.context() as patch:
        before_frame(6, engine, lambda: signal.raise_signal(signal.SIGINT), patch)
        result = run("track", "--resume", "job.masklet", "--negative", "1@4:3,3")
    assert result.status == 130
    assert Path("a.json").read_text() == before
    engine.encoded.clear()
    result = run("track", "--resume", "job.masklet", "--json")
    assert (result.status, result.json["num_frames"]) == (0, 12)
    assert max(engine.encoded) == 11
    assert sum(index >= 7 for index in engine.encoded) == 5


@pytest.mark.parametrize("way", ["backward", "both"])
def test_other_directions_can_be_continued(
    clip: Path, engine: FakeEngine, run: Run, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    options = ("track", clip, "--point", "@7:10,20", "--direction", way)
    with monkeypatch.context() as patch:
        before_frame(4, engine, lambda: signal.raise_signal(signal.SIGINT), patch)
        assert run(*options).status == 130
    result = run("track", "--resume", "out/clip.masklet", "--json")
    assert result.status == 0, result.err
    assert num_frames("out/clip.mp4") == result.json["num_frames"] == (8 if way == "backward" else 12)


def test_a_correction_on_a_saved_session(clip: Path, engine: FakeEngine, run: Run) -> None:
    result = run("track", clip, "--point", "10,20", "--point", "2:30,30", "--save", "job.masklet", "--out", "a.json")
    assert result.status == 0
    assert "saved job.masklet" in result.out
    assert session_about("job.masklet")["video"]["path"] == str(Path(clip).absolute())
    engine.encoded.clear()
    result = run(
        "track", "--resume", "job.masklet", "--accept", "1@8-9", "--negative", "1@4:3,3", "--out", "b.json", "--json"
    )  # fmt: skip
    assert result.status == 0, result.err
    assert sorted(engine.encoded) == [1, 2, 3, 4, 5, 6, 7]  # neighbours, then up to the accepted frames
    assert result.json["session"] == "job.masklet"
    assert result.json["objects"][0]["prompted_frames"] == [0, 4]
    assert coco("b.json") == {index: [1, 2] for index in range(12)}
    assert session_about("job.masklet")["notes"]["track"]["out"].endswith("b.json")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "give a video to track, or --resume FILE"),
        (("--resume", "missing.masklet"), "cannot read the session missing.masklet"),
        (("--resume", "job.masklet", "--policy", "official"), "--policy cannot be changed when a session is resumed"),
        (("--resume", "job.masklet", "--accept", "9-3"), "--accept must be [OBJECT@]FIRST[-LAST]"),
        (("--resume", "job.masklet", "--accept", "900"), "nothing that is up to date on frame 900"),
        (("--resume", "job.masklet", "--point", "@99:1,1"), "frame 99 does not exist"),
        (("--resume", "job.masklet", "--out", "a.json"), "a.json exists"),
    ],
)
def test_sessions_that_cannot_be_continued(clip: Path, run: Run, arguments: tuple[Any, ...], text: str) -> None:
    run("track", clip, "--point", "10,20", "--save", "job.masklet", "--out", "a.json")
    if not arguments:
        arguments = ("--point", "1,1")
    run("track", *arguments).fails_with(text)


def test_a_full_disk_leaves_a_session(
    clip: Path, engine: FakeEngine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from masklet.errors import OutputError
    from masklet.formats.coco import CocoStream
    from masklet.formats.stream import FrameRows

    write = CocoStream.write

    def full(self: CocoStream, frame: FrameRows) -> None:
        if frame.frame_index == 7:
            raise OutputError("cannot write a.json: No space left on device")
        write(self, frame)

    with monkeypatch.context() as patch:
        patch.setattr(CocoStream, "write", full)
        result = run("track", clip, "--point", "10,20", "--out", "a.json")
    assert result.status == 2
    assert "No space left on device" in result.err
    assert "\n7 frames of" in result.out  # only those that were written
    assert run("track", "--resume", "a.masklet").status == 0
    assert len(coco("a.json")) == 12
