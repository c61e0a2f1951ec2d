from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from masklet.errors import ConfigError, DataError
from masklet.evaluation.clicks import evaluate_clicks
from masklet.evaluation.report import NOC_MAX
from masklet.evaluation.running import RunOptions
from masklet.masks.rle import decode_rle

from .oracle import SIZE, OracleEngine, rectangle, write_pair


@pytest.fixture
def oracle() -> OracleEngine:
    return OracleEngine()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two sources: one image of two objects, and two images of one; all far above 1 % of the image."""
    two = rectangle(4, 4, 24, 24, 1)
    two = rectangle(36, 30, 60, 60, 2, onto=two)
    write_pair(tmp_path / "cats/images/a.png", tmp_path / "cats/masks/a.png", two)
    for name in ("b", "c"):
        write_pair(
            tmp_path / f"dogs/images/{name}.png", tmp_path / f"dogs/masks/{name}.png", rectangle(8, 8, 40, 40, 3)
        )
    return tmp_path


def test_a_perfect_engine_scores_one_everywhere(root: Path, oracle: OracleEngine) -> None:
    report = evaluate_clicks(oracle, root)
    assert set(report.rows) == {"cats", "dogs"}
    expected = {"miou@1": 1.0, "miou@1_best": 1.0, "miou@3": 1.0, "miou@5": 1.0, "miou@box": 1.0}
    assert report.overall == report.rows["cats"] == expected
    assert len(report.objects) == 4
    assert all(len(record.ious) == 5 and len(record.clicks) == 1 for record in report.objects)


def test_an_image_is_encoded_once_and_its_objects_are_batched(root: Path) -> None:
    engine = OracleEngine(flaw="half")
    evaluate_clicks(engine, root / "cats", clicks=3)
    assert engine.images_encoded == 1
    assert engine.batches == [(2, True), (2, False), (2, False)]  # click 1, click 2 (mends all), box


def test_the_first_click_asks_for_candidates_and_the_second_feeds_the_logits_back(root: Path) -> None:
    engine = OracleEngine(flaw="half")
    report = evaluate_clicks(engine, root / "dogs", clicks=3, box=False)
    assert engine.fed_back == [False, True] * 2
    scores = report.overall
    assert scores["miou@1"] == pytest.approx(0.5)
    assert scores["miou@3"] == 1
    assert "miou@box" not in scores
    first, second = report.objects[0].clicks
    assert first[2] == second[2] == 1
    assert (first.y, second.y) == (23, 31)  # the middle, then the middle of the missing lower half


def test_the_chosen_candidate_is_told_from_the_best(root: Path) -> None:
    scores = evaluate_clicks(OracleEngine(flaw="modest"), root, clicks=1, box=False).overall
    assert scores == {"miou@1": pytest.approx(0.5), "miou@1_best": 1.0}


def test_overall_is_the_mean_over_sources_not_over_objects(tmp_path: Path, oracle: OracleEngine) -> None:
    write_pair(tmp_path / "one/images/a.png", tmp_path / "one/masks/a.png", rectangle(0, 0, 32, 32))
    for name in ("b", "c", "d"):  # the oracle sees the upper half only
        write_pair(
            tmp_path / f"many/images/{name}.png",
            tmp_path / f"many/masks/{name}.png",
            rectangle(0, 0, 32, 32),
            seen=rectangle(0, 0, 17, 32),
        )
    report = evaluate_clicks(oracle, tmp_path, clicks=1)
    assert report.rows["many"]["miou@1"] == pytest.approx(17 / 32)
    assert report.overall["miou@1"] == pytest.approx((1 + 17 / 32) / 2)


def test_void_pixels_do_not_count(tmp_path: Path, oracle: OracleEngine) -> None:
    labels = rectangle(16, 0, 32, 32, 255, onto=rectangle(0, 0, 16, 32))
    write_pair(tmp_path / "images/a.png", tmp_path / "masks/a.png", labels, seen=rectangle(0, 0, 32, 32))
    assert evaluate_clicks(oracle, tmp_path, clicks=1).overall["miou@1"] == 1


def test_objects_of_one_per_cent_or_less_are_left_out(tmp_path: Path, oracle: OracleEngine) -> None:
    side = int(SIZE / 10)
    labels = rectangle(40, 40, 40 + side, 40 + side, 2, onto=rectangle(0, 0, 20, 20))
    write_pair(tmp_path / "images/a.png", tmp_path / "masks/a.png", labels)
    assert [record.object_id for record in evaluate_clicks(oracle, tmp_path, clicks=1).objects] == [1]
    assert len(evaluate_clicks(oracle, tmp_path, clicks=1, min_area=0).objects) == 2
    with pytest.raises(DataError, match="no object covers more than"):
        evaluate_clicks(oracle, tmp_path, min_area=0.5)


def test_max_objects_keeps_the_largest_and_limit_spreads(root: Path, oracle: OracleEngine) -> None:
    calls: list[tuple[int, int, str]] = []
    run = RunOptions(progress=lambda *call: calls.append(call))
    report = evaluate_clicks(oracle, root, clicks=1, max_objects=1, limit=1, run=run)
    assert [(record.source, record.object_id) for record in report.objects] == [("cats", 2), ("dogs", 3)]
    assert calls == [(1, 2, "cats"), (2, 2, "dogs")]


@pytest.mark.parametrize("setting", [{"clicks": 0}, {"max_objects": 0}, {"limit": -1}, {"min_area": 1.0}])
def test_settings_out_of_range_are_named(root: Path, oracle: OracleEngine, setting: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        evaluate_clicks(oracle, root, **setting)


def test_the_prediction_after_the_last_click_is_kept(root: Path) -> None:
    report = evaluate_clicks(OracleEngine(flaw="half"), root / "dogs", clicks=1)
    assert (decode_rle(report.objects[0].predicted) == (rectangle(8, 8, 24, 40) > 0)).all()
    assert np.isclose(report.objects[0].area_fraction, (32 / SIZE) ** 2)


def test_clicks_continue_until_the_highest_level(root: Path) -> None:
    engine = OracleEngine(flaw="half")
    report = evaluate_clicks(engine, root / "dogs", clicks=1, box=False, noc=True)
    assert report.overall == pytest.approx(
        {"miou@1": 0.5, "miou@1_best": 0.5, "noc@85": 2, "noc@90": 2, "failed@90": 0}
    )
    assert [count for count, _ in engine.batches] == [1, 1] * 2  # and not a click more


def test_an_object_that_stays_bad_counts_with_all_clicks(tmp_path: Path, oracle: OracleEngine) -> None:
    truth, seen = rectangle(0, 0, 32, 32), rectangle(0, 0, 17, 32)
    write_pair(tmp_path / "images/a.png", tmp_path / "masks/a.png", truth, seen=seen)
    report = evaluate_clicks(oracle, tmp_path, clicks=3, box=False, noc=True)
    assert report.overall["noc@85"] == NOC_MAX
    assert report.overall["failed@90"] == 1
    assert len(report.objects[0].ious) == NOC_MAX
    assert report.overall["miou@3"] == pytest.approx(17 / 32)


def test_some_of_the_sources(root: Path, oracle: OracleEngine) -> None:
    assert list(evaluate_clicks(oracle, root, clicks=1, sources=["dogs"]).rows) == ["dogs"]
    with pytest.raises(DataError, match="no source 'cows': it has cats, dogs"):
        evaluate_clicks(oracle, root, sources=["cows"])
