"""`masklet track --everything` and `--detections`: objects that nobody prompts, also in a run that is continued."""

from __future__ import annotations

import json
import signal
import zipfile
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import typer

from masklet.api import Model
from masklet.cli import app
from masklet.cli.console import ProgressReport
from masklet.cli.track_discovery import DiscoveryChoice, found_frames
from masklet.cli.track_options import RangeChoice
from masklet.cli.track_run import TrackRun
from masklet.discovery import DiscoveryConfig
from masklet.media.images import write_image
from masklet.records import ByteArray, ImageFeatures
from masklet.tracking.tracker import Tracker
from tests.cli.conftest import Run
from tests.cli.test_cli import commands
from tests.scene_engine import SceneEngine, frame_number, picture, still

LEFT, RIGHT, LOW = (1, 1, 6, 6), (9, 1, 14, 6), (1, 9, 6, 14)
SCENE = {1: still(*LEFT), 2: still(*RIGHT, first=5), 3: still(*LOW, gone=range(8, 14))}
COUNT = 20


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> SceneEngine:
    scene_engine = SceneEngine(SCENE)
    monkeypatch.setattr("masklet.api.load", lambda name, **options: Model(scene_engine))
    return scene_engine


@pytest.fixture
def clip(engine: SceneEngine, workdir: Path) -> Path:
    for number in range(COUNT):
        write_image(workdir / "clip" / f"{number:05d}.png", picture(number))
    return workdir / "clip"


def boxes(frames: Any = range(COUNT)) -> str:
    """The scene as MOT lines, on some frames: frames count from 1 there."""
    lines = []
    for number in frames:
        for place in SCENE.values():
            if (box := place(number)) is not None:
                left, top, right, bottom = box
                lines.append(f"{number + 1},-1,{left},{top},{right - left},{bottom - top},0.9,-1,-1,-1")
    return "\n".join(lines) + "\n"


@pytest.fixture
def detections(workdir: Path) -> Path:
    path = workdir / "boxes.txt"
    path.write_text(boxes())
    return path


def objects(path: str) -> dict[int, dict[int, Any]]:
    """The masks in a COCO document, by frame and object."""
    by_frame: dict[int, dict[int, Any]] = {}
    for row in json.loads(Path(path).read_text())["annotations"]:
        by_frame.setdefault(row["frame_index"], {})[row["object_id"]] = row["segmentation"]
    return by_frame


def interrupted_at(number: int, engine: SceneEngine, patch: pytest.MonkeyPatch) -> None:
    encode = engine.encode_image

    def encode_image(rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[int]:
        if frame_number(rgb) == number:
            signal.raise_signal(signal.SIGINT)
        return encode(rgb, in_video=in_video)

    patch.setattr(engine, "encode_image", encode_image)


def interrupted_going_back_at(number: int, engine: SceneEngine, patch: pytest.MonkeyPatch) -> None:
    encode, seen = engine.encode_image, list[int]()

    def encode_image(rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[int]:
        seen.append(frame_number(rgb))
        if seen[-1] == number and max(seen) > 15:
            signal.raise_signal(signal.SIGINT)
        return encode(rgb, in_video=in_video)

    patch.setattr(engine, "encode_image", encode_image)


def test_detections_become_tracks_with_their_masks_from_the_first_frame_on(
    clip: Path, detections: Path, run: Run
) -> None:
    result = run("track", clip, "--detections", detections, "--every", 2, "--out", "a.json", "--json")
    assert result.status == 0, result.err
    assert result.json["num_frames"] == COUNT
    found = objects("a.json")
    assert set(found[0]) == {1, 2}
    assert set(found[19]) == {1, 2, 3}
    assert min(index for index, masks in found.items() if 3 in masks) == 6


def test_everything_in_a_video(clip: Path, run: Run) -> None:
    result = run("track", clip, "--everything", "--every", 2, "--out", "a.json")
    assert result.status == 0, result.err
    assert result.err == ""
    assert len(objects("a.json")[19]) == 3


@pytest.mark.parametrize("way", [["--detections", "boxes.txt"], ["--everything"]])
@pytest.mark.parametrize("options", [["--direction", "both"], ["--stop", "17"]])
@pytest.mark.parametrize("number", [1, 9, 16])
def test_ctrl_c_and_resume_lead_to_the_same_ids_and_masks(
    way: list[str],
    options: list[str],
    number: int,
    clip: Path,
    detections: Path,
    engine: SceneEngine,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ("track", clip, *way, "--every", 2, *options, "--format", "coco")
    assert run(*arguments, "--out", "whole").status == 0
    with monkeypatch.context() as patch:
        interrupted_at(number, engine, patch)
        result = run(*arguments, "--out", "cut")
    assert result.status == 130
    assert "continue with: masklet track --resume cut/session.masklet" in result.out
    if number > 1:  # before, nothing is confirmed
        assert max(objects("cut/coco.json")) == number
    result = run("track", "--resume", "cut/session.masklet", "--json")
    assert result.status == 0, result.err
    assert result.json["finished"]
    assert objects("cut/coco.json") == objects("whole/coco.json")


def test_a_finished_discovery_is_resumed_with_a_correction_and_finds_nothing_more(
    clip: Path, detections: Path, engine: SceneEngine, run: Run
) -> None:
    run("track", clip, "--detections", detections, "--every", 2, "--stop", 12, "--save", "a.masklet", "--out", "a.json")
    result = run("track", "--resume", "a.masklet", "--object", 1, "--frame", 6, "--point", "3,3", "--json")
    assert result.status == 0, result.err
    found = objects("a.json")
    assert max(found) == 11
    assert {i for masks in found.values() for i in masks} == {1, 2, 3}


def rules(session: str) -> dict[str, Any]:
    with zipfile.ZipFile(session) as file:
        config: dict[str, Any] = json.loads(file.read("session.json"))["population"]["config"]
    return config


@pytest.mark.parametrize("way", [[], ["--everything"], ["--detections", "boxes.txt"]])
def test_options_change_the_rules_of_a_resumed_session_and_the_others_stay(
    way: list[str], clip: Path, detections: Path, engine: SceneEngine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupted_at(9, engine, patch)
        run(
            "track", clip, "--detections", detections, "--every", 2, "--max-objects", 1, "--direction", "both",
            "--stop", 18, "--format", "coco", "--out", "cut",
        )  # fmt: skip
    arguments = ("track", "--resume", "cut/session.masklet", *way, "--max-objects", 3, "--save", "b.masklet")
    result = run(*arguments, "--json")
    assert result.status == 0, result.err
    assert (rules("b.masklet")["every"], rules("b.masklet")["max_objects"]) == (2, 3)
    found = objects("cut/coco.json")
    assert max(found) == 17
    assert len(found[17]) == 3
    assert len(found[6]) > 1  # objects were followed back


@pytest.mark.parametrize(
    ("options", "is_again", "ids"),
    [
        (("--max-objects", 3), True, {1, 2, 3}),
        (("--detections", "boxes.txt", "--max-objects", 3), True, {1, 2, 3}),
        (("--detections", "first.txt"), True, {1}),
        (("--max-objects", 1), False, {1}),
        (("--stop", COUNT), False, {1}),
    ],
)
def test_a_finished_discovery_searches_again_by_other_rules(
    options: tuple[object, ...], is_again: bool, ids: set[int], clip: Path, detections: Path, run: Run
) -> None:
    Path("first.txt").write_text(boxes())
    run(
        "track", clip, "--detections", detections, "--every", 2, "--max-objects", 1, "--stop", 18,
        "--save", "a.masklet", "--out", "a.json",
    )  # fmt: skip
    before = objects("a.json")
    result = run("track", "--resume", "a.masklet", *options, "--json")
    assert result.status == 0, result.err
    assert ("searching again from frame 0; objects that were found before keep their ids" in result.err) == is_again
    after = objects("a.json")
    assert {i for masks in after.values() for i in masks} == ids
    assert {index: masks[1] for index, masks in after.items() if index < 18} == {
        index: masks[1] for index, masks in before.items()
    }
    assert max(after) == (COUNT - 1 if "--stop" in options else 17)


@pytest.mark.parametrize("number", [9, 16])
def test_a_direction_that_is_given_replaces_that_of_the_session(
    number: int, clip: Path, detections: Path, engine: SceneEngine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("late.txt").write_text(boxes(range(6, COUNT)))
    arguments = ("track", clip, "--detections", "late.txt", "--every", 2, "--format", "coco", "--out", "cut")
    with monkeypatch.context() as patch:
        interrupted_at(number, engine, patch)
        run(*arguments, "--direction", "both", "--stop", 18)
    result = run("track", "--resume", "cut/session.masklet", "--direction", "forward", "--json")
    assert result.status == 0, result.err
    assert result.json["finished"]
    assert min(objects("cut/coco.json")) == 6
    result = run("track", "--resume", "cut/session.masklet", "--direction", "both", "--save", "b.masklet", "--json")
    assert result.status == 0, result.err
    assert min(objects("cut/coco.json")) == 0


def test_a_search_that_is_going_back_stops_going_back(
    clip: Path, detections: Path, engine: SceneEngine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("late.txt").write_text(boxes(range(6, COUNT)))
    with monkeypatch.context() as patch:
        interrupted_going_back_at(3, engine, patch)
        run(
            "track", clip, "--detections", "late.txt", "--every", 2, "--direction", "both", "--stop", 18,
            "--format", "coco", "--out", "cut",
        )  # fmt: skip
    assert min(objects("cut/coco.json")) == 3
    result = run("track", "--resume", "cut/session.masklet", "--direction", "forward", "--json")
    assert result.json["finished"]
    assert min(objects("cut/coco.json")) == 3


@pytest.mark.parametrize("option", [("--direction", "forward"), ("--start", 2), ("--stop", 9)])
def test_a_session_of_prompts_keeps_its_range(option: tuple[str, object], clip: Path, run: Run) -> None:
    assert run("track", clip, "--point", "3,3", "--save", "a.masklet", "--out", "a.json").status == 0
    run("track", "--resume", "a.masklet", *option).fails_with(f"{option[0]} belongs to a new run")


def test_rules_are_no_options_of_a_session_that_finds_nothing(clip: Path, run: Run) -> None:
    assert run("track", clip, "--point", "3,3", "--save", "a.masklet", "--out", "a.json").status == 0
    result = run("track", "--resume", "a.masklet", "--max-objects", 3)
    result.fails_with("--max-objects belongs to --everything or --detections: the session has neither")


def test_a_second_ctrl_c_stops_at_once_and_keeps_what_is_done(
    clip: Path, detections: Path, engine: SceneEngine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupted_at(9, engine, patch)
        interrupted_at(9, engine, patch)
        result = run("track", clip, "--detections", detections, "--every", 2, "--format", "coco", "--out", "cut")
    assert result.status == 130
    assert Path("cut/session.masklet").exists()
    assert max(objects("cut/coco.json")) == 8


def test_detections_without_a_place_are_reported(clip: Path, detections: Path, run: Run) -> None:
    result = run(
        "track", clip, "--detections", detections, "--every", 2, "--max-objects", 1, "--out", "a.json", "--json"
    )  # fmt: skip
    assert result.status == 0
    assert "warning: " in result.err
    assert "started no track, since as many objects as allowed were tracked: raise --max-objects" in result.err
    assert {i for masks in objects("a.json").values() for i in masks} == {1}


def recorded_progress(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int | None]]:
    """Return the list to which `masklet track` will add the done and total frames that it reports."""
    steps: list[tuple[int, int | None]] = []

    class Report(ProgressReport):
        def update(self, done: int, status: str = "", total: int | None = None) -> None:
            steps.append((done, total))

    monkeypatch.setattr("masklet.cli.track.show_progress", lambda *arguments: nullcontext(Report()))
    return steps


def test_the_progress_is_that_of_the_frames_to_come(
    clip: Path, detections: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = recorded_progress(monkeypatch)
    Path("late.txt").write_text(boxes(range(6, COUNT)))
    arguments = ("--detections", "late.txt", "--every", 2, "--start", 2, "--stop", 14, "--direction", "both")
    assert run("track", clip, *arguments, "--out", "a.json").status == 0
    assert steps[:12] == [(number, 12) for number in range(1, 13)]
    assert steps[12] == (13, 13 + 5 - 2)  # back from the frame before the first detection


def test_the_progress_of_a_search_that_is_resumed_while_going_back_is_that_of_the_frames_to_come(
    clip: Path, engine: SceneEngine, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("late.txt").write_text(boxes(range(6, COUNT)))
    with monkeypatch.context() as patch:
        interrupted_going_back_at(3, engine, patch)
        run(
            "track", clip, "--detections", "late.txt", "--every", 2, "--direction", "both", "--stop", 18,
            "--format", "coco", "--out", "cut",
        )  # fmt: skip
    steps = recorded_progress(monkeypatch)
    assert run("track", "--resume", "cut/session.masklet").status == 0
    assert steps[:3] == [(1, 3), (2, 3), (3, 3)]


def test_options_of_a_live_search_that_is_continued_hold_from_there_on() -> None:
    tracker = Tracker(SceneEngine(SCENE), iter([picture(number) for number in range(COUNT)]))

    def found(choice: DiscoveryChoice, count: int) -> list[tuple[int, int]]:
        frames = found_frames(tracker, TrackRun({}), choice, RangeChoice(), ProgressReport(), None)
        return [(frame.index, len(masks.object_ids)) for frame, masks in islice(frames, count)]

    assert found(DiscoveryChoice(everything=True, every=2, max_objects=1), 7)[-1] == (6, 1)
    assert found(DiscoveryChoice(max_objects=3), COUNT)[-1] == (COUNT - 1, 3)


def test_frames_on_which_nothing_is_followed_are_written_too(workdir: Path, clip: Path, run: Run) -> None:
    Path("late.txt").write_text(boxes(range(14, COUNT)))
    result = run("track", clip, "--detections", "late.txt", "--start", 2, "--every", 2, "--out", "a.json", "--json")
    assert (result.status, result.json["num_frames"]) == (0, COUNT - 2)
    assert min(objects("a.json")) == 14


def test_results_without_objects_are_written_too(clip: Path, run: Run) -> None:
    Path("none.json").write_text("[]")
    formats = "coco,mot,mots,csv,tracks,overlay"
    result = run("track", clip, "--detections", "none.json", "--format", formats, "--out", "none")
    assert result.status == 0, result.err
    assert "no objects were found" in result.out
    assert "wrote 6 files in none" in result.out
    assert objects("none/coco.json") == {}
    assert Path("none/mot.txt").read_text() == ""
    assert len(Path("none/tracks.csv").read_text().splitlines()) == 1


def test_a_file_of_some_frames(clip: Path, detections: Path, run: Run) -> None:
    detections.write_text(boxes([0, 5, 10, 15, 19]))
    result = run("track", clip, "--detections", detections, "--out", "a.json", "--json")
    assert result.status == 0, result.err
    assert set(objects("a.json")[19]) == {1, 2, 3}


def test_bad_detections_are_named_and_the_others_are_used(clip: Path, detections: Path, run: Run) -> None:
    bad = {
        "1,-1,100,100,5,5,0.9": "it lies outside the frame",
        "1,-1,3,3,0,5,0.9": "its box is empty",
        "40,-1,1,1,5,5,0.9": "there is no frame 39",
        "1,-1,9,9,5,5,nan": "its score must be in [0, 1], got nan",
        "1,-1,nan,9,5,5,0.9": "its box has an edge that is not a number",
        "hello": "expected frame,id,left,top,width,height,score as numbers",
    }
    crowd = [f"3,-1,{number % 10},{number % 7},2,2,0.5" for number in range(10_000)]
    detections.write_text(boxes() + "\n".join([*bad, *crowd]) + "\n")
    result = run("track", clip, "--detections", detections, "--every", 2, "--out", "a.json")
    assert result.status == 0
    assert len({i for masks in objects("a.json").values() for i in masks}) == 3
    for reason in bad.values():
        assert reason in result.err
    assert "it repeats another detection of its frame; left out (and 9,929 more)" in result.err
    assert len(result.err.splitlines()) < 12


@pytest.mark.parametrize(("first", "index"), [(0, 1), (1, 0)])
def test_first_frame_says_how_a_file_counts(first: int, index: int, clip: Path, detections: Path, run: Run) -> None:
    detections.write_text(boxes([0, 5, 10]))
    arguments = ("--detections", detections, "--first-frame", first, "--out", "a.json")
    assert run("track", clip, *arguments).status == 0
    assert min(objects("a.json")) == index


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--everything", "--detections", "boxes.txt"), "--everything and --detections exclude each other"),
        (("--everything", "--level", "some"), "--level"),
        (("--everything", "--direction", "backward"), "--direction must be forward or both"),
        (("--point", "3,3", "--every", "5"), "--every belongs to --everything or --detections"),
        (("--everything", "--first-frame", "1"), "--first-frame belongs to --detections"),
        (("--detections", "gone.txt"), "gone.txt does not exist"),
    ],
)
def test_what_does_not_go_together(
    arguments: tuple[str, ...], text: str, clip: Path, detections: Path, run: Run
) -> None:
    run("track", clip, *arguments).fails_with(text)


@pytest.mark.parametrize(
    ("command", "names"),
    [("track", ("every", "max_objects", "min_score")), ("evaluate discovery", ("every", "max_objects"))],
)
def test_the_help_names_the_defaults_of_discovery(command: str, names: tuple[str, ...]) -> None:
    config = DiscoveryConfig()
    defaults = {"every": config.every, "max_objects": config.max_objects, "min_score": config.birth_score}
    helps = {option.name: option.help for option in commands(typer.main.get_command(app))[command].params}
    assert all(helps[name].endswith(f"Default: {defaults[name]}.") for name in names)
