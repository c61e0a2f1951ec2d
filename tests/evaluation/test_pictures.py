from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from masklet.datasets import open_dataset
from masklet.errors import DataError
from masklet.evaluation.clicks import evaluate_clicks
from masklet.evaluation.everything import evaluate_everything
from masklet.evaluation.interactive import evaluate_interactive
from masklet.evaluation.pictures import save_worst
from masklet.evaluation.vos import evaluate_vos
from masklet.media.images import read_image
from masklet.segmentation.automatic import AutomaticConfig

from .oracle import OracleEngine, rectangle, write_pair


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_pair(tmp_path / "data/images/good.png", tmp_path / "data/masks/good.png", rectangle(0, 0, 30, 30))
    write_pair(
        tmp_path / "data/images/bad.png",
        tmp_path / "data/masks/bad.png",
        rectangle(20, 20, 50, 50),
        seen=rectangle(30, 30, 50, 40),
    )
    return tmp_path / "data"


def test_the_worst_objects_come_first(images: Path, tmp_path: Path) -> None:
    data = open_dataset(images)
    report = evaluate_clicks(OracleEngine(), data, clicks=2)
    paths = save_worst(report, data.images, tmp_path / "out")
    assert [path.name for path in paths] == ["01_data_bad_1.png", "02_data_good_1.png"]
    assert len(save_worst(report, data.images, tmp_path / "out", count=1)) == 1


def test_a_picture_shows_prediction_truth_and_clicks(images: Path, tmp_path: Path) -> None:
    data = open_dataset(images)
    report = evaluate_clicks(OracleEngine(), data, clicks=2, box=False)
    picture = read_image(save_worst(report, data.images, tmp_path / "out", count=1)[0]).astype(int)
    scale = picture.shape[1] / 64
    red, green, blue = picture[: picture.shape[1]].transpose(2, 0, 1)
    predicted = blue > red + 40
    assert predicted[int(46 * scale), int(36 * scale)]
    assert not predicted[int(25 * scale), int(46 * scale)]
    outline = (red > 200) & (green > 150) & (blue < 90)
    assert outline[int(20 * scale) - 2 : int(20 * scale) + 3, int(25 * scale)].any()
    click = report.objects[0].clicks[0] if "bad" in report.objects[0].image else report.objects[1].clicks[0]
    y, x = int((click.y + 0.5) * scale), int((click.x + 0.5) * scale)
    assert (green > 150)[y - 9 : y + 9, x - 9 : x + 9].any()


def test_tracks_are_shown_on_their_worst_frame(tmp_path: Path) -> None:
    truth = [rectangle(4, 4, 24, 24)] * 3
    for index, seen in enumerate([truth[0], truth[0], rectangle(4, 4, 14, 14)]):
        write_pair(tmp_path / f"c/frames/{index}.png", tmp_path / f"c/masks/{index}.png", truth[index], seen=seen)
    data = open_dataset(tmp_path)
    paths = save_worst(evaluate_vos(OracleEngine(), data), data.clips, tmp_path / "out")
    assert [path.name for path in paths] == ["01_c_00002_1.png"]
    assert np.ptp(read_image(paths[0])) > 0


def test_everything_shows_what_was_found_and_what_was_missed(tmp_path: Path) -> None:
    labels = rectangle(34, 34, 60, 60, 2, onto=rectangle(4, 4, 28, 28, 1))
    write_pair(tmp_path / "images/a.png", tmp_path / "masks/a.png", labels, seen=rectangle(4, 4, 28, 28, 1))
    data = open_dataset(tmp_path)
    report = evaluate_everything(OracleEngine(), data, config=AutomaticConfig(points_per_side=4, min_stability=0))
    picture = read_image(save_worst(report, data.images, tmp_path / "out")[0]).astype(int)
    scale = picture.shape[1] / 64
    red, green, blue = picture.transpose(2, 0, 1)
    found, missed = (int(4 * scale), int(16 * scale)), (int(34 * scale), int(46 * scale))
    assert green[found[0] - 1 : found[0] + 2, found[1]].max() > 150
    assert (red - green)[missed[0] - 1 : missed[0] + 2, missed[1]].max() > 100
    assert blue[int(16 * scale), int(16 * scale)] > 100


def test_interactive_shows_the_worst_frame(tmp_path: Path) -> None:
    for index, seen in enumerate([rectangle(4, 4, 24, 24), rectangle(4, 4, 14, 14)]):
        write_pair(
            tmp_path / f"c/frames/{index}.png", tmp_path / f"c/masks/{index}.png", rectangle(4, 4, 24, 24), seen=seen
        )
    data = open_dataset(tmp_path)
    report = evaluate_interactive(OracleEngine(), data, frames=1)
    assert [path.name for path in save_worst(report, data.clips, tmp_path / "out")] == ["01_c_00001_1.png"]


def test_a_missing_image_is_named(images: Path, tmp_path: Path) -> None:
    data = open_dataset(images)
    report = evaluate_clicks(OracleEngine(), data, clicks=1)
    (images / "images/bad.png").unlink()
    with pytest.raises(DataError, match=r"bad\.png"):
        save_worst(report, data.images, tmp_path / "out")
