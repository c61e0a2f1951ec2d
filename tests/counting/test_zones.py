"""Lines and regions as users type them and as JSON has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from masklet import ConfigError
from masklet.counting import Line, Region
from masklet.counting.zones import line_of_text, region_of_text, zone_of_dict


def test_texts_of_the_command_line() -> None:
    assert line_of_text("gate=1,2,3.5,4") == Line("gate", (1, 2), (3.5, 4))
    assert line_of_text("1,2,3,4", 2).name == "line 2"
    assert region_of_text("0,0,4,0,4,4") == Region("region 1", ((0, 0), (4, 0), (4, 4)))


@pytest.mark.parametrize("zone", [Line("gate", (0, 1), (2, 3)), Region("room", ((0, 0), (4, 0), (4, 4)))])
def test_json_and_back(zone: Line | Region) -> None:
    assert zone_of_dict(zone.to_dict()) == zone


def test_distances_are_positive_on_the_left_and_inside() -> None:
    points = np.array([[5.0, -2.0], [5.0, 2.0], [50.0, 2.0]])
    assert Line("line", (0, 0), (10, 0)).distances(points).tolist() == [2, -2, -2]
    assert Region("room", ((0, 0), (10, 0), (10, 10), (0, 10))).distances(points).tolist() == [-2, 2, -40]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3", "a line must be .NAME=.X1,Y1,X2,Y2, got '1,2,3'"),
        ("gate=1,2,x,4", "a line must be"),
        ("1,2,1,2", "its ends must differ"),
        ("1,2,nan,2", "must be finite and at most 1000000 pixels"),
        ("1,2,1e9,2", "at most 1000000 pixels"),
        (" =1,2,3,4", "must have a name"),
    ],
)
def test_lines_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        line_of_text(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,0,1,1", "three or more corners"),
        ("0,0,1,1,2", "three or more corners"),
        ("0,0,1,1,2,2", "must span an area"),
        (f"{'n' * 61}=0,0,1,0,1,1", "60 characters, got 61"),
    ],
)
def test_regions_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        region_of_text(text)


@pytest.mark.parametrize("document", [[], {}, {"name": "gate"}, {"name": "a", "points_xy": [[0, 0]], "more": 1}])
def test_json_that_is_refused(document: Any) -> None:
    with pytest.raises(ConfigError, match="a zone must have"):
        zone_of_dict(document)


def test_an_outline_that_crosses_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match="region 'bow': its outline crosses itself"):
        Region("bow", ((0, 0), (10, 10), (10, 0), (0, 20)))


def test_an_outline_that_touches_itself_and_one_whose_last_corner_is_the_first_are_taken() -> None:
    touching = Region("eight", ((0, 0), (5, 5), (10, 0), (10, 10), (5, 5), (0, 10)))
    closed = Region("closed", ((0, 0), (4, 0), (4, 4), (0, 0)))
    assert touching.distances(np.array([[1.0, 5.0], [5.0, 1.0]])).tolist() == [1, pytest.approx(-(2**1.5))]
    assert closed.distances(np.array([[3.0, 1.0]])).tolist() == [1]
