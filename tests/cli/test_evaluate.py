from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from masklet.media.images import write_image
from masklet.output import only_user
from masklet.records import ByteArray
from tests.cli.conftest import SIZE_HW, Run, numbered
from tests.fake_engine import FakeEngine

pytestmark = pytest.mark.usefixtures("engine")


def truth(columns: int) -> np.ndarray:
    """Object 1 on the left; `FakeEngine` answers with 32 columns."""
    labels = np.zeros(SIZE_HW, np.uint8)
    labels[:, :columns] = 1
    return labels


@pytest.fixture
def images(workdir: Path) -> Path:
    for source, columns in (("cats", 32), ("dogs", 64)):
        for number in range(2):
            write_image(workdir / "val" / source / "images" / f"{number}.png", numbered(number))
            (workdir / "val" / source / "masks").mkdir(exist_ok=True)
            Image.fromarray(truth(columns)).save(workdir / "val" / source / "masks" / f"{number}.png")
    return workdir / "val"


@pytest.fixture
def clips(workdir: Path) -> Path:
    for name, columns in (("one", 32), ("two", 64)):
        for number in range(3):
            write_image(workdir / "clips" / name / "frames" / f"{number:05d}.png", numbered(number))
            (workdir / "clips" / name / "masks").mkdir(exist_ok=True)
            Image.fromarray(truth(columns)).save(workdir / "clips" / name / "masks" / f"{number:05d}.png")
    return workdir / "clips"


def test_clicks(images: Path, run: Run) -> None:
    result = run("evaluate", "clicks", images, "--clicks", 5, "--box", "--json", "clicks.json")
    assert result.status == 0
    assert result.err == ""
    assert "wrote clicks.json" in result.out
    document = json.loads(Path("clicks.json").read_text())
    metrics = ["miou@1", "miou@1_best", "miou@3", "miou@5", "miou@box"]
    assert list(document["overall"]) == metrics
    assert document["overall"] == dict.fromkeys(metrics, 0.75)
    assert document["sources"]["cats"]["miou@1"] == 1.0
    assert document["sources"]["dogs"]["miou@5"] == 0.5
    assert document["command"] == f"masklet evaluate clicks {images} --clicks 5 --box --json clicks.json"
    for word in ("cats", "dogs", "overall", "100.0", "75.0"):
        assert word in result.out


def test_some_of_the_sources(images: Path, run: Run) -> None:
    document = run(
        "evaluate", "clicks", images, "--clicks", 1, "--sources", "cats", "--max-images", 1, "--json", "-"
    ).json
    assert list(document["sources"]) == ["cats"]
    assert document["num_objects"] == 1
    run("evaluate", "clicks", images, "--sources", "cats,cows").fails_with("has no source 'cows': it has cats, dogs")


def test_vos(clips: Path, run: Run) -> None:
    result = run("evaluate", "vos", clips, "--prompt", "mask", "--json", "vos.json")
    assert result.status == 0
    assert "J&F" in result.out
    document = json.loads(Path("vos.json").read_text())
    assert list(document["overall"]) == ["J", "F", "J&F"]
    assert document["clips"]["one"]["J"] == 1.0
    assert document["clips"]["two"]["J"] == 0.5
    assert document["overall"]["J"] == 0.75


@pytest.mark.parametrize("prompt", ["click", "box"])
def test_vos_with_other_prompts(prompt: str, clips: Path, run: Run) -> None:
    assert run("evaluate", "vos", clips, "--prompt", prompt, "--json", "-").json["task"] == f"vos {prompt}"


def test_pictures_of_the_worst(images: Path, clips: Path, run: Run) -> None:
    assert run("evaluate", "clicks", images, "--worst", "w", "--worst-count", 3).status == 0
    assert len(list(Path("w").glob("*.png"))) == 3
    assert "pictures of the worst cases to v" in run("evaluate", "vos", clips, "--worst", "v").out
    run("evaluate", "vos", clips, "--worst", "v").fails_with("v exists and is not empty")


def test_compare(images: Path, run: Run) -> None:
    for name, sources in (("a.json", "cats"), ("b.json", "cats,dogs")):
        assert run("evaluate", "clicks", images, "--clicks", 1, "--sources", sources, "--json", name).status == 0
    result = run("evaluate", "compare", "a.json", "b.json")
    assert result.status == 0
    assert "75.0 -25.0" in result.out
    assert "overall compares different things: dogs" in result.out
    change = run("evaluate", "compare", "a.json", "b.json", "--json").json["changes"]["overall"]["miou@1"]
    assert change["difference"] == -0.25


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read the report a.json"),
        ("{", "a.json is not JSON"),
        ("[]", "a.json is not a report"),
        ("{}", "not a report"),
    ],
)
def test_compare_needs_reports(content: str | None, said: str, run: Run) -> None:
    if content is not None:
        Path("a.json").write_text(content)
    run("evaluate", "compare", "a.json", "a.json").fails_with(said)


def test_bad_input(images: Path, clips: Path, run: Run) -> None:
    run("evaluate", "clicks", "nowhere").fails_with("nowhere does not exist")
    run("evaluate", "clicks", clips).fails_with("holds no images, only 2 clips")
    run("evaluate", "vos", images).fails_with("holds no clips, only 4 images")
    run("evaluate", "vos", clips, "--prompt", "scribble").fails_with("prompt must be one of mask, click, box")
    run("evaluate", "vos", clips, "--split", "val").fails_with("val")
    run("evaluate", "vos", clips, "--benchmark", "kitti").fails_with("benchmark must be one of masklet, davis2016")
    run("evaluate", "vos", clips, "--clips", "one,three").fails_with("there is no 'three': there are one, two")
    run("evaluate", "interactive", clips, "--mode", "live").fails_with("mode must be one of offline, online")
    run("evaluate", "clicks", images, "--json", "a.json", "--out", "a").fails_with("give it or --json, not both")


def test_out_holds_report_table_and_pictures(images: Path, run: Run) -> None:
    result = run("evaluate", "clicks", images, "--noc", "--clicks", 1, "--out", "out")
    assert result.status == 0
    assert {path.name for path in Path("out").iterdir()} == {"report.json", "report.jsonl", "table.csv", "worst"}
    header, cats, *_ = Path("out/table.csv").read_text().splitlines()
    assert header == "source,objects,miou@1,miou@1_best,noc@85,noc@90,failed@90"
    assert cats == "cats,2,1.0,1.0,1.0,1.0,0.0"
    assert json.loads(Path("out/report.json").read_text())["overall"]["noc@90"] == (1 + 20) / 2
    assert "10.50" in result.out  # clicks are not percentages


def test_ctrl_c_keeps_finished_parts_and_the_same_command_continues(
    clips: Path, run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("evaluate", "vos", clips, "--json", "vos.json")
    encode = engine.encode_image
    seen: list[int] = []

    def interrupted(rgb: ByteArray, **options: Any) -> Any:
        seen.append(1)
        if len(seen) == 5:  # in the middle of the second clip
            raise KeyboardInterrupt
        return encode(rgb, **options)

    monkeypatch.setattr(engine, "encode_image", interrupted)
    stopped = run(*command)
    assert stopped.status == 130
    assert "1 of the clips are kept in vos.jsonl; the same command continues from there" in stopped.err
    assert run(*command).status == 0
    assert len(seen) == 5 + 3  # the first clip was not tracked again
    assert json.loads(Path("vos.json").read_text())["overall"]["J"] == 0.75


def test_ctrl_c_without_a_report_reports_that_nothing_is_kept(
    clips: Path, run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(rgb: ByteArray, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "encode_image", interrupted)
    assert "nothing is kept: with --json FILE" in run("evaluate", "vos", clips).err


def test_other_settings_do_not_resume_from_the_file(images: Path, run: Run) -> None:
    assert run("evaluate", "clicks", images, "--clicks", 1, "--json", "a.json").status == 0
    Path("a.json").unlink()
    run("evaluate", "clicks", images, "--clicks", 2, "--json", "a.json").fails_with("its clicks was 1, and is 2 now")
    assert run("evaluate", "clicks", images, "--clicks", 2, "--json", "a.json", "--force").status == 0


def test_saved_masks_score_the_same(clips: Path, run: Run) -> None:
    tracked = run("evaluate", "vos", clips, "--save-masks", "saved", "--json", "-").json
    assert run("evaluate", "masks", "saved", clips, "--json", "-").json["overall"] == tracked["overall"]
    run("evaluate", "vos", clips, "--save-masks", "saved").fails_with("saved exists and is not empty")
    run("evaluate", "masks", "nowhere", clips).fails_with("results nowhere is not a folder")


def test_interactive(clips: Path, run: Run) -> None:
    for mode in ("offline", "online"):
        result = run("evaluate", "interactive", clips, "--mode", mode, "--frames", 2, "--out", mode)
        assert result.status == 0, result.err
        assert "J&F@2" in result.out
        document = json.loads(Path(mode, "report.json").read_text())
        assert document["task"] == f"interactive {mode}"
        assert list(document["overall"]) == ["J&F@1", "J&F@2", "J&F"]


def test_everything(images: Path, run: Run) -> None:
    document = run("evaluate", "everything", images, "--points-per-side", 2, "--json", "-").json
    assert document["sources"]["cats"]["AR@1000"] == 1.0  # the object is the left half
    assert document["sources"]["dogs"]["AR@1000"] == 0.1  # half of it: found at an IoU of 0.5 and no higher
    sizes = ["AR@1000_medium"]  # of 48 x 64 pixels
    assert list(document["overall"]) == ["AR@1000", *sizes, "AR@100", "AP", "AP50", "AP75"]


def test_discovery(clips: Path, run: Run) -> None:
    pytest.importorskip("trackeval", reason="the extra evaluate is not installed")
    arguments = ("evaluate", "discovery", clips, "--method", "everything-per-frame", "--frames", 2, "--clips", "one")
    result = run(*arguments, "--out", "found")
    assert result.status == 0
    assert "recall@50" in result.out
    document = json.loads(Path("found/report.json").read_text())
    assert list(document["clips"]) == ["one"]
    assert document["clips"]["one"]["num_frames"] == 2
    assert document["overall"]["best_track_J&F"] == 1.0
    assert [path.name for path in Path("found/worst").iterdir()] == ["01_one_00000_1.png"]
    run("evaluate", "discovery", clips, "--method", "sort").fails_with("method must be")


def test_a_report_that_exists_is_refused_before_the_work(images: Path, run: Run) -> None:
    Path("a.json").write_text("precious")
    run("evaluate", "clicks", images, "--json", "a.json").fails_with("a.json exists")
    assert Path("a.json").read_text() == "precious"
    assert run("evaluate", "clicks", images, "--json", "a.json", "--force").status == 0


@pytest.mark.parametrize("option", ["--json", "--out", "--worst", "--save-masks"])
def test_results_in_use_are_refused(clips: Path, run: Run, workdir: Path, option: str) -> None:
    results = workdir / "results"
    lock = {"--json": results, "--out": results / "report.json"}.get(option)
    with only_user(lock or results, is_file=lock is not None):
        run("evaluate", "vos", clips, option, results).fails_with("in use by process")
    assert run("evaluate", "vos", clips, option, results).status == 0
