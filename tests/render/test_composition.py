from __future__ import annotations

from typing import Any

import pytest

from masklet.errors import ConfigError
from masklet.render import Composition


def test_a_composition_survives_json() -> None:
    document = {
        "background": {"effect": "image", "asset_id": "a", "fit": "contain", "color": "#102030"},
        "objects": {"1": [{"effect": "outline", "width": 4.0, "color": None}], "*": []},
        "cutout": [1, 2],
        "edges": {"refine": False, "shrink": 2.0, "feather": 3.0, "decontaminate": True, "stabilise": "off"},
    }
    assert Composition.from_dict(document).to_dict() == document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"background": {"effect": "blurr"}}, "choose from none, blur"),
        ({"background": {"effect": "outline"}}, "unknown background effect 'outline'"),
        ({"background": {"effect": "blur", "strength": 2}}, "strength must be from 0 to 1, got 2"),
        ({"background": {"effect": "blur", "strength": float("nan")}}, "must be from 0 to 1"),
        ({"background": {"effect": "color", "color": "red"}}, 'must be "#rrggbb"'),
        ({"background": {"effect": "image", "path": "/etc/passwd"}}, "unknown 'path'"),
        ({"background": "blur"}, "an effect must be"),
        ({"objects": {"one": []}}, "must be an object id"),
        ({"objects": {"1": {"effect": "outline"}}}, "expected a list"),
        ({"objects": [1]}, "objects must be"),
        ({"cutout": "1"}, "cutout must be a list"),
        ({"nothing": 1}, "unknown 'nothing'"),
    ],
)
def test_invalid_compositions(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Composition.from_dict(document)
