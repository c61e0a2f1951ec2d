"""`masklet render` and `masklet export-masks`: sessions and other tools' masks become videos, pictures and files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from masklet.media.images import write_image
from tests.cli.conftest import SIZE_HW, Run


@pytest.fixture
def mask(workdir: Path) -> Path:
    """The object of `photo`, in the middle."""
    plane = np.zeros(SIZE_HW, np.bool_)
    plane[12:36, 16:48] = True
    return write_image(workdir / "mask.png", plane)


@pytest.fixture
def job(clip: Path, engine: Any, run: Run) -> Path:
    """A tracked session of 12 frames."""
    assert run("track", clip, "--point", "10,20", "--save", "job.masklet", "--out", "a.json").status == 0
    return Path("job.masklet")


def test_a_session_becomes_a_video_with_effects(job: Path, run: Run) -> None:
    result = run(
        "render", job, "--background", "blur,strength=0.8", "--effect", "1:outline", "--out", "o.mp4", "--json"
    )
    assert result.status == 0, result.err
    assert result.json["num_frames"] == 12
    assert result.json["composition"]["background"]["strength"] == 0.8
    assert result.json["composition"]["objects"]["1"][0]["effect"] == "outline"
    with av.open("o.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 12
    run("render", job, "--effect", "gray", "--out", "o.mp4").fails_with("o.mp4 exists")


def test_an_effect_on_an_object_that_does_not_exist_is_refused(job: Path, run: Run) -> None:
    run("render", job, "--effect", "9:remove", "--out", "o.mp4").fails_with(
        "object 9 does not exist: the objects are 1"
    )
    run("render", job, "--background", "blur", "--cutout", "1,9", "--out", "o.mp4").fails_with("object 9")
    assert not Path("o.mp4").exists()


def test_outlines_can_be_steadied_or_left(job: Path, run: Run) -> None:
    def stabilise(*options: str) -> str:
        result = run("render", job, "--background", "gray", *options, "--out", "o.mp4", "--json", "--force")
        assert result.status == 0, result.err
        return str(result.json["composition"]["edges"]["stabilise"])

    assert stabilise() == "auto"
    assert stabilise("--stabilise") == "on"
    assert stabilise("--no-stabilise") == "off"
    Path("look.json").write_text("{}")
    run("render", job, "--composition", "look.json", "--stabilise", "--out", "p.mp4").fails_with(
        "--composition contains"
    )


def test_a_photo_is_cut_out(photo: Path, mask: Path, run: Run) -> None:
    result = run("render", photo, mask, "--background", "transparent")
    assert result.status == 0, result.err
    alpha = np.asarray(Image.open("out/photo.png"))[..., 3]
    assert alpha[24, 32] == 255
    assert alpha[2, 2] == 0


def test_a_file_is_a_background(photo: Path, mask: Path, workdir: Path, run: Run) -> None:
    write_image(workdir / "beach.png", np.full((10, 10, 3), (0, 200, 0), np.uint8))
    assert run("render", photo, mask, "--background", "beach.png,fit=stretch", "--out", "o.png").status == 0
    rgb = np.asarray(Image.open("o.png"))
    assert (rgb[2, 2] == (0, 200, 0)).all()
    assert (rgb[24, 32] == 90).all()
    assert run("render", photo, mask, "--background", "#010203", "--out", "p.png").status == 0
    assert (np.asarray(Image.open("p.png"))[2, 2] == (1, 2, 3)).all()


def test_a_composition_file_contains_all_settings(photo: Path, mask: Path, workdir: Path, run: Run) -> None:
    write_image(workdir / "beach.png", np.full((10, 10, 3), 200, np.uint8))
    (workdir / "look.json").write_text(json.dumps({"background": {"effect": "image", "asset_id": "b"}}))
    result = run("render", photo, mask, "--composition", "look.json", "--asset", "b=beach.png", "--out", "o.png")
    assert result.status == 0, result.err
    assert (np.asarray(Image.open("o.png"))[2, 2] == 200).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to do: give a --background or an --effect"),
        (("--effect", "glow"), "unknown object effect 'glow': choose from highlight"),
        (("--effect", "outline,width"), "must be NAME,OPTION=VALUE"),
        (("--effect", "outline,width=99"), "width must be from 0.5 to 16, got 99"),
        (("--background", "beach.jpg"), "there is no file beach.jpg"),
        (("--background", "transparent", "--out", "o.mp4"), "MP4 has no transparency"),
        (("--background", "gray", "--cutout", "one"), "must be object ids"),
        (("--background", "gray", "--composition", "x.json"), "--composition contains all"),
        (("--composition", "x.json"), "cannot read --composition x.json"),
        (("--background", "gray", "--start", "5", "--out", "o.png"), "there are no frames from 5"),
    ],
)
def test_what_cannot_be_rendered(photo: Path, mask: Path, run: Run, options: tuple[str, ...], message: str) -> None:
    run("render", photo, mask, *options).fails_with(message)


def test_missing_masks_are_reported(photo: Path, run: Run) -> None:
    run("render", photo, "--background", "gray").fails_with("also pass a file with its masks")
    run("render", "nothing.masklet", "--background", "gray").fails_with("nothing.masklet")


def test_a_session_becomes_files_for_other_tools(job: Path, clip: Path, run: Run) -> None:
    result = run("export-masks", job, "--class", "1=dog", "--name", "1=Rex", "--out", "c.json", "--json")
    assert result.status == 0, result.err
    assert result.json["num_frames"] == 12
    assert result.json["num_masks"] > 0
    document = json.loads(Path("c.json").read_text())
    assert document["categories"] == [{"id": 1, "name": "dog"}]
    assert document["annotations"][0]["name"] == "Rex"
    result = run("export-masks", clip, "c.json", "--format", "masks", "--option", "layout=objects", "--out", "m.zip")
    assert result.status == 0, result.err
    with zipfile.ZipFile("m.zip") as archive:
        assert "1/00003.png" in archive.namelist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "coca"), "unknown format 'coca': choose from coco"),
        (("--option", "layout"), "must be NAME=VALUE"),
        (("--option", "tolerance=much"), "must be a number"),
        (("--option", "segmentation=circles"), "must be rle, polygons"),
        (("--object", "9"), "object 9 is unknown: known are 1"),
        (("--class", "9=dog"), "must be OBJECT=TEXT with one of 1"),
        (("--accepted", "--format", "csv", "--out", "a.txt"), "written to a .csv file"),
        (("--format", "davis"), "not for those"),
    ],
)
def test_what_cannot_be_exported(photo: Path, mask: Path, run: Run, options: tuple[str, ...], message: str) -> None:
    run("export-masks", photo, mask, *options).fails_with(message)
