from __future__ import annotations

import numpy as np

from masklet.render import render_frame, render_preview
from tests.render.material import look, moving_clip, picture, square


def test_a_trail_goes_where_the_object_was() -> None:
    medium = moving_clip()
    composition = look("none", {"effect": "trail", "color": "#ffffff", "width": 8})
    done = render_preview(medium, 4, composition)
    plain = medium.source.frame(4).rgb
    changed = np.abs(done.astype(int) - plain).max(axis=-1) > 20
    assert changed[44:47, 40:60].any()
    assert not changed[:30].any()
    assert np.array_equal(render_preview(medium, 0, composition), medium.source.frame(0).rgb)


def test_an_objects_settings_stay_with_it() -> None:
    masks = {1: square(), 2: square(80, 10, 20)}
    trails = {2: np.array([(85.0, 80.0), (110.0, 80.0)], np.float32)}
    green = {"effect": "color", "color": "#00ff00"}
    for background, is_seen in ((green, False), ("blur", True)):
        wanted = look(background, "outline", "highlight", {"effect": "trail", "width": 6.0}, cutout=[1])
        without = look(background, cutout=[1])
        changed = (
            render_frame(picture(), masks, wanted, trails=trails) != render_frame(picture(), masks, without)
        ).any(2)
        assert changed[30:60, 30:60].any()
        assert changed[:, 78:].any() == is_seen
