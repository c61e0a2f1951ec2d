from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from masklet.evaluation.compare import Item, bootstrap, compare


def pairs(differences: dict[str, list[list[float]]]) -> list[tuple[Item, Item]]:
    """Row to images to objects."""
    return [
        (
            Item(row, f"{row}{unit}", f"{row}{unit}.{place}", {"J": 0.5}),
            Item(row, f"{row}{unit}", "", {"J": 0.5 + value}),
        )
        for row, units in differences.items()
        for unit, values in enumerate(units)
        for place, value in enumerate(values)
    ]


def test_a_gain_everywhere_is_sure() -> None:
    found = bootstrap(pairs({"a": [[0.1], [0.12]] * 3, "b": [[0.08], [0.11]] * 3}), "J")
    assert found is not None
    assert 0.08 <= found.low < found.high <= 0.12
    assert found.p_value == 2**-11


def test_a_gain_on_three_clips_is_not_significant() -> None:
    found = bootstrap(pairs({"a": [[0.1]], "b": [[0.2]], "c": [[0.3]], "d": [[0.0]]}), "J")
    assert found is not None
    assert found.p_value == 0.25


def test_equal_gains_and_losses_are_not_significant() -> None:
    found = bootstrap(pairs({"a": [[0.1], [-0.1], [0.1], [-0.1]]}), "J")
    assert found is not None
    assert found.low < 0 < found.high
    assert found.p_value > 0.5


def test_objects_of_one_image_are_drawn_together() -> None:
    """Many objects that gain in one image out of four are no better proof than one is."""
    many = bootstrap(pairs({"a": [[0.4] * 50, [0.0] * 50, [0.0] * 50, [0.0] * 50]}), "J")
    assert many is not None
    assert many.low == 0
    assert many.p_value > 0.3


def test_where_a_row_is_one_clip_clips_are_drawn() -> None:
    clips = {f"clip{number}": [[value]] for number, value in enumerate((0.3, -0.1, 0.05, 0.02))}
    found = bootstrap(pairs(clips), "J")
    assert found is not None
    draws = np.random.default_rng(1).choice([0.3, -0.1, 0.05, 0.02], (20000, 4)).mean(axis=1)
    assert (found.low, found.high) == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.02)


def test_a_single_clip_gives_no_interval() -> None:
    assert bootstrap(pairs({"a": [[0.2, 0.3]]}), "J") is None
    assert bootstrap(pairs({"a": [[0.2], [0.3]]}), "F") is None


def document(shift: float) -> dict[str, object]:
    objects = {"1": {"J": 0.5 + shift, "F": 0.4}, "2": {"J": 0.7, "F": 0.4}}
    clips = {
        name: {"J": 0.6 + shift / 2, "F": 0.4, "objects": objects}
        for name in ("bear", "bike", "boat", "bus", "car", "cow", "dog")
    }
    return {"task": "vos mask", "model": "m", "overall": {"J": 0.6 + shift / 2, "F": 0.4}, "clips": clips}


def test_each_object_has_its_difference() -> None:
    found = compare(document(0.2), document(0.0))
    assert [change.name for change in found.items[:3]] == ["bear object 1", "bike object 1", "boat object 1"]
    assert found.items[0].difference == pytest.approx(-0.2)
    assert found.items[-1].difference == 0
    overall = found.to_dict()["changes"]["overall"]["J"]
    assert overall["interval"] == pytest.approx([-0.1, -0.1])
    assert overall["p_value"] == 2**-6
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(found.table())
        console.print(found.item_table(1))
    assert "50.0 -10.0*" not in capture.get()
    assert "60.0 -10.0*" in capture.get()
    assert capture.get().count("bear object 1") == 1
    assert "bike object 1" not in capture.get()
