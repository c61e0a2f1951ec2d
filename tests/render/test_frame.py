"""Effects change only the pixels that they should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from masklet.render import EFFECTS, Composition, render_frame
from masklet.tracking.masklets import ObjectInfo
from tests.render.material import INSIDE, OUTSIDE, look, picture, square


def test_no_effects_change_nothing() -> None:
    rgb = picture()
    assert np.array_equal(render_frame(rgb, {1: square()}, Composition()), rgb)


@pytest.mark.parametrize("background", ["blur", "color", "gray", "pixelate"])
def test_a_background_leaves_the_object_alone(background: str) -> None:
    rgb = picture()
    before = rgb.copy()
    done = render_frame(rgb, {1: square()}, look(background))
    assert np.array_equal(done[INSIDE], rgb[INSIDE])
    assert np.abs(done[OUTSIDE].astype(int) - rgb[OUTSIDE]).mean() > 3
    assert np.array_equal(rgb, before)


@pytest.mark.parametrize("effect", ["blur", "pixelate", "gray", "color", "highlight"])
def test_an_effect_leaves_the_background_alone(effect: str) -> None:
    rgb = picture()
    rgb[40:50, 40:50] = (30, 200, 30)  # so that there is something to blur
    done = render_frame(rgb, {1: square()}, look("none", effect))
    assert np.array_equal(done[OUTSIDE], rgb[OUTSIDE])
    assert np.abs(done[INSIDE].astype(int) - rgb[INSIDE]).mean() > 3


def test_a_blurred_background_has_no_halo_of_the_object() -> None:
    done = render_frame(picture(), {1: square()}, look({"effect": "blur", "strength": 1}))
    beside = done[30:60, 66:76].astype(int)
    assert beside[..., 0].mean() < 45  # the object is red


def test_only_the_cut_out_objects_stay() -> None:
    masks = {1: square(10), 2: square(70)}
    done = render_frame(picture(masks[1] | masks[2]), masks, look({"effect": "color", "color": "#00ff00"}, cutout=[2]))
    assert (done[45, 25] == (0, 255, 0)).all()
    assert (done[45, 85] == (220, 30, 20)).all()


def test_effects_of_an_object_replace_those_for_all() -> None:
    masks = {1: square(10), 2: square(70)}
    composition = Composition.from_dict({"objects": {"*": [{"effect": "color", "color": "#00ff00"}], "2": []}})
    done = render_frame(picture(masks[1] | masks[2]), masks, composition)
    assert (done[45, 25] == (0, 255, 0)).all()
    assert (done[45, 85] == (220, 30, 20)).all()


def test_an_outline_has_the_objects_colour_and_the_width_asked_for() -> None:
    composition = look("none", {"effect": "outline", "width": 16})
    done = render_frame(picture(), {5: square()}, composition, objects=[ObjectInfo(5, color=(0, 255, 0))])
    painted = (done == (0, 255, 0)).all(axis=-1)
    unit = 104 / 640  # of this small picture, but not less than a half
    assert painted[45, 25:36].sum() == pytest.approx(16 * max(0.5, unit), abs=2)
    assert not painted[INSIDE].any()


def test_a_spotlight_darkens_the_rest() -> None:
    rgb = picture()
    done = render_frame(rgb, {1: square()}, look("none", {"effect": "spotlight", "dim": 0.5}))
    assert np.abs(done[INSIDE].astype(int) - rgb[INSIDE]).max() <= 1
    assert done[OUTSIDE].mean() == pytest.approx(rgb[OUTSIDE].mean() / 2, abs=1.5)


@pytest.mark.parametrize("effect", [one for one in EFFECTS if one.id not in ("image", "video")])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (31, 33)])
def test_every_effect_works_on_every_size(effect: type[Any], size: tuple[int, int]) -> None:
    rgb = np.full((*size, 3), 100, np.uint8)
    background, *effects = (effect.id,) if effect.target == "background" else ("transparent", effect.id)
    for mask in (np.ones(size, np.bool_), np.zeros(size, np.bool_)):
        done = render_frame(rgb, {1: mask}, look(background, *effects))
        assert done.shape[:2] == size
    assert render_frame(rgb, {}, look(background, *effects)).shape[:2] == size
