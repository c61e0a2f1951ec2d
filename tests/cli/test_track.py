from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from masklet.media.images import write_image
from masklet.media.source import FolderSource
from tests.cli.conftest import SIZE_HW, Run, numbered
from tests.fake_engine import FakeEngine

pytestmark = pytest.mark.usefixtures("engine")


def num_frames(path: Path | str) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def before_frame(number: int, engine: FakeEngine, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    encode = engine.encode_image

    def watched(rgb: np.ndarray, **options: Any) -> Any:
        if rgb[0, 0, 0] == number:
            act()
        return encode(rgb, **options)

    monkeypatch.setattr(engine, "encode_image", watched)


def test_an_overlay(clip: Path, engine: FakeEngine, run: Run) -> None:
    result = run("track", clip, "--object", 1, "--frame", 0, "--point", "10,20", "--out", "out/clip.mp4")
    assert result.status == 0
    assert result.err == ""
    assert num_frames("out/clip.mp4") == 12
    assert engine.encoded == list(range(12))
    assert "12 of 12" in result.out
    assert "12 frames of 64 x 48 in" in result.out
    assert "wrote out/clip.mp4 (" in result.out


def test_default_output_paths(clip: Path, run: Run) -> None:
    assert run("track", clip, "--point", "10,20").status == 0
    assert num_frames("out/clip.mp4") == 12
    assert run("track", clip, "--point", "10,20", "--format", "coco,masks").status == 0
    assert Path("out/clip/coco.json").is_file()


def test_every_format_and_json(clip: Path, run: Run) -> None:
    result = run(
        "track", clip, "--point", "10,20", "--object", 2, "--frame", 4, "--box", "1,2,30,40", "--format",
        "masks,coco,overlay", "--per-object", "--out", "o", "--json",
    )  # fmt: skip
    assert result.status == 0
    assert result.err == ""
    document = result.json
    assert document["outputs"] == ["o/masks", "o/coco.json", "o/overlay.mp4"]
    assert (document["num_frames"], document["size_hw"], document["finished"]) == (12, [48, 64], True)
    first, second = document["objects"]
    assert first == {
        "object_id": 1,
        "prompted_frames": [0],
        "num_frames": 12,
        "num_present": 12,
        "mean_confidence": pytest.approx(0.9, abs=0.02),
        "first_frame": 0,
        "last_frame": 11,
    }
    assert (second["prompted_frames"], second["num_frames"], second["first_frame"]) == ([4], 8, 4)
    assert num_frames("o/overlay.mp4") == 12
    assert len(list(Path("o/masks").glob("*.png"))) == 12
    assert len(list(Path("o/masks/2").glob("*.png"))) == 8
    assert len(json.loads(Path("o/coco.json").read_text())["annotations"]) == 20


def test_a_file_of_prompts(workdir: Path, clip: Path, engine: FakeEngine, run: Run) -> None:
    mask = np.zeros(SIZE_HW, np.bool_)
    mask[:10, :10] = True
    write_image(workdir / "first.png", mask)
    entries = [
        {"object_id": 1, "mask": "first.png", "points_xy": [[3, 3]], "labels": [0]},
        {"object_id": 2, "frame_index": 6, "points_xy": [[5, 5], [6, 6]], "labels": [1, 0]},
    ]
    (workdir / "prompts.json").write_text(json.dumps(entries))
    assert run("track", clip, "--prompts", "prompts.json", "--format", "coco").status == 0
    corrected, late = engine.prompt_of(0), engine.prompt_of(6, row=1)
    assert corrected is not None
    assert corrected.previous_logits is not None
    assert late is not None
    assert late.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "frames"),
    [
        (["--frame", 5, "--point", "1,2"], range(5, 12)),
        (["--frame", 5, "--point", "1,2", "--direction", "backward"], range(6)),
        (["--frame", 5, "--point", "1,2", "--direction", "both"], range(12)),
        (["--point", "1,2", "--stop", 4], range(4)),
        (["--point", "1,2", "--start", 3, "--stop", 4], range(3, 4)),
    ],
)
def test_directions(arguments: list[object], frames: range, clip: Path, run: Run) -> None:
    result = run("track", clip, *arguments, "--format", "overlay,coco", "--out", "o", "--json")
    assert result.status == 0
    assert result.json["num_frames"] == len(frames)
    images = json.loads(Path("o/coco.json").read_text())["images"]
    assert sorted(image["frame_index"] for image in images) == list(frames)
    assert num_frames("o/overlay.mp4") == len(frames)


def test_policies(clip: Path, engine: FakeEngine, run: Run) -> None:
    assert run("track", clip, "--point", "1,2", "--policy", "official").status == 0
    run("track", clip, "--point", "1,2", "--policy", "best", "--force").fails_with(
        "--policy: policy must be one of reliable, official"
    )


def test_non_overlap(clip: Path, run: Run) -> None:
    arguments = ["--point", "1:1,2", "--point", "2:1,2", "--format", "coco", "--out", "o.json", "--force"]
    assert run("track", clip, *arguments).status == 0
    assert len(json.loads(Path("o.json").read_text())["annotations"]) == 24
    assert run("track", clip, *arguments, "--non-overlap").status == 0
    assert len(json.loads(Path("o.json").read_text())["annotations"]) == 12


def test_objects_that_are_lost(clip: Path, engine: FakeEngine, run: Run) -> None:
    engine.object_score = lambda number: 3.0 if 2 <= number < 7 else -3.0
    result = run("track", clip, "--point", "1,2", "--json")
    (seen,) = result.json["objects"]
    assert (seen["num_present"], seen["first_frame"], seen["last_frame"]) == (5, 2, 6)
    engine.object_score = lambda number: -3.0
    assert "never" in run("track", clip, "--point", "1,2", "--force").out


def test_a_single_picture_is_not_a_video(run: Run, workdir: Path) -> None:
    write_image(workdir / "cat.png", np.zeros((6, 8, 3), np.uint8))
    run("track", "cat.png", "--point", "1,2").fails_with("cat.png is an image: use masklet segment")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "o.mp4"], "nothing to track: give a --point, --box, --mask or --prompts"),
        (["--point", "1,200"], "object 1: point (1, 200) lies outside the frame, which is 64 wide and 48 high"),
        (["--box", "30,3,10,9"], "left < right and top < bottom"),
        (["--mask", "wrong.png"], "mask must have the size of the frame, 64 x 48"),
        (["--mask", "full.png", "--box", "1,2,3,4"], "object 1: mask cannot be combined with a box"),
        (["--frame", 12, "--point", "1,2"], "frame 12 does not exist: frames count from 0, and the video has 12"),
        (["--point", "1,2", "--start", 40], "frame 40 does not exist"),
        (["--point", "1,2", "--direction", "up"], "--direction must be one of forward, backward, both, got 'up'"),
        (["--point", "1,2", "--format", "gif"], "--format: unknown format 'gif', must be one of coco, masks"),
        (["--point", "1,2", "--format", "masks", "--out", "o.mp4"], "o.mp4 names one overlay file"),
        (["--point", "1,2", "--out", "o.avi"], "cannot write o.avi"),
        (["--point", "1,2", "--out", "full.png/o.mp4"], "cannot create the folder full.png"),
        (["--point", "1,2", "--prompts", "by_file.json"], "exclude each other"),
        (["--prompts", "by_file.json"], "by_file.json has prompts by file, expected one list"),
    ],
)
def test_bad_input(arguments: list[object], said: str, workdir: Path, clip: Path, run: Run) -> None:
    write_image("wrong.png", np.ones((20, 30), np.bool_))
    write_image("full.png", np.ones(SIZE_HW, np.bool_))
    (workdir / "by_file.json").write_text('{"a.mp4": [{"points_xy": [[1, 2]]}]}')
    run("track", clip, *arguments).fails_with(said)
    assert not list(workdir.glob("**/*.mp4"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.mp4", None, "no such video: gone.mp4"),
        ("empty.mp4", b"", "empty.mp4 is empty"),
        ("text.mp4", b"not a video" * 100, "text.mp4"),
    ],
)
def test_files_that_are_not_videos_are_refused(
    name: str, content: bytes | None, said: str, workdir: Path, run: Run
) -> None:
    if content is not None:
        (workdir / name).write_bytes(content)
    run("track", name, "--point", "1,2").fails_with(said)


def test_an_output_that_exists(workdir: Path, clip: Path, engine: FakeEngine, run: Run) -> None:
    (workdir / "o.mp4").write_bytes(b"precious")
    run("track", clip, "--point", "1,2", "--out", "o.mp4").fails_with("o.mp4 exists")
    assert (workdir / "o.mp4").read_bytes() == b"precious"
    assert engine.encoded == []
    assert run("track", clip, "--point", "1,2", "--out", "o.mp4", "--force").status == 0
    assert num_frames("o.mp4") == 12


def test_a_video_that_breaks_off(clip: Path, run: Run) -> None:
    broken = clip / "00007.png"
    broken.write_bytes(broken.read_bytes()[:60])
    result = run("track", clip, "--point", "1,2", "--format", "overlay,masks,coco", "--out", "o")
    assert result.status == 2
    (line,) = result.err.splitlines()
    assert line.startswith(f"error: the video broke off at frame 7, the 7 frames before it are written: {broken} is")
    assert "7 of 7" in result.out
    assert num_frames("o/overlay.mp4") == 7
    assert len(list(Path("o/masks").glob("*.png"))) == 7
    assert len(json.loads(Path("o/coco.json").read_text())["images"]) == 7
    document = run("track", clip, "--point", "1,2", "--out", "p.mp4", "--json").json
    assert (document["finished"], document["broke_at_frame"], document["num_frames"]) == (False, 7, 7)


@pytest.mark.parametrize(
    "options", [("--start", 8, "--stop", 8), ("--direction", "backward", "--frame", 3, "--stop", 3)]
)
def test_a_range_without_frames_is_an_error(clip: Path, run: Run, options: tuple[Any, ...]) -> None:
    result = run("track", clip, *options, "--point", "10,20", "--out", "out/clip.mp4")
    assert result.status == 2
    assert "there is no frame to track: tracking" in result.err
    assert not Path("out").exists()


def test_skipped_frames_are_counted(clip: Path, run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    read = FolderSource.frames
    damaged = (4, 5)

    def frames(source: FolderSource, *way: Any) -> Any:
        return (frame for frame in read(source, *way) if frame.index not in damaged)

    monkeypatch.setattr(FolderSource, "frames", frames)
    result = run("track", clip, "--point", "10,20", "--out", "out/clip.mp4")
    assert result.status == 0
    assert "2 frames between them could not be read" in result.out
    assert run("track", clip, "--point", "10,20", "--out", "out/clip.mp4", "-f", "--json").json["num_unread"] == 2


def test_a_video_whose_first_frame_to_track_is_broken(clip: Path, run: Run) -> None:
    (clip / "00005.png").write_bytes(b"")
    run("track", clip, "--frame", 5, "--point", "1,2").fails_with("00005.png is empty")


def stopped(
    raised: Callable[[], object],
    clip: Path,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
    *options: str,
) -> int:
    before_frame(5, engine, raised, monkeypatch)
    result = run("track", clip, "--point", "1,2", "--format", "overlay,coco", "--out", "o", *options)
    assert result.status == 130
    written = num_frames("o/overlay.mp4")
    (line,) = result.err.splitlines()
    assert line == f"interrupted: after {written} frames, which are in o/overlay.mp4, o/coco.json"
    assert f"{written} of {written}" in result.out
    assert len(json.loads(Path("o/coco.json").read_text())["images"]) == written
    assert not list(Path("o").glob(".*"))
    return written


def test_ctrl_c_finishes_the_current_frame(
    clip: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert stopped(lambda: signal.raise_signal(signal.SIGINT), clip, engine, monkeypatch, run) == 6
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_loses_no_frame_that_waits_for_stabilising(
    clip: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    assert stopped(lambda: signal.raise_signal(signal.SIGINT), clip, engine, monkeypatch, run, "--stabilise") == 6


def test_ctrl_c_twice_stops_at_once(clip: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    assert stopped(twice, clip, engine, monkeypatch, run) == 5


def test_ctrl_c_before_the_first_frame(
    clip: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    before_frame(0, engine, stop, monkeypatch)
    result = run("track", clip, "--point", "1,2")
    assert (result.status, result.out) == (130, "")
    assert result.err == "interrupted: before the first frame was finished\n"


def test_edges_follow_the_picture_when_asked(workdir: Path, run: Run) -> None:
    for number in range(3):
        rgb = numbered(number)
        rgb[:, 34:] = 230  # the engine says that the object ends at column 32
        write_image(workdir / "edge" / f"{number}.png", rgb)
    widths = []
    for options in ((), ("--refine-edges", "--save", "job.masklet")):
        assert run("track", "edge", "--point", "1,2", "--format", "coco", "--out", "o", "--force", *options).status == 0
        boxes = [one["bbox"] for one in json.loads(Path("o/coco.json").read_text())["annotations"]]
        widths.append([box[2] for box in boxes])
    assert widths == [[32] * 3, [34] * 3]
    assert run("track", "--resume", "job.masklet", "--out", "again.json").status == 0
    again = json.loads(Path("again.json").read_text())["annotations"]
    assert [one["bbox"][2] for one in again] == [34] * 3


def test_pictures_show_the_click(clip: Path, run: Run) -> None:
    assert run("track", clip, "--point", "40,30", "--stop", 1, "--out", "o.mp4").status == 0
    with av.open("o.mp4") as container:
        rgb = next(container.decode(video=0)).to_ndarray(format="rgb24")
    red, green, blue = (int(value) for value in rgb[27, 40])
    assert green > red
    assert green > blue


def test_masks_are_indexed_by_object(clip: Path, run: Run) -> None:
    assert run("track", clip, "--object", 9, "--point", "40,30", "--format", "masks", "--out", "o").status == 0
    with Image.open("o/masks/00003.png") as image:
        assert set(np.unique(image)) == {0, 9}
