from __future__ import annotations

import numpy as np

from masklet.render import render_frame
from tests.render.material import look, picture, square


def test_edges_are_soft_and_without_the_old_background() -> None:
    soft = render_frame(picture(), {1: square()}, look("transparent"))
    alpha = soft[45, 20:45, 3]
    assert len(set(alpha.tolist())) > 3
    assert (np.diff(alpha.astype(int)) >= -2).all()
    partly = (soft[..., 3] > 30) & (soft[..., 3] < 225)
    assert partly.any()
    assert soft[partly][:, 0].mean() > 180  # red, as the object is
    assert soft[partly][:, 2].mean() < 60  # the background was blue
    assert (soft[soft[..., 3] == 0] == 0).all()


def test_feathering_widens_the_edge() -> None:
    def ramp(feather: float) -> int:
        done = render_frame(picture(), {1: square()}, look("transparent", edges={"feather": feather}))
        return int(np.count_nonzero((done[45, :, 3] > 5) & (done[45, :, 3] < 250)))

    assert ramp(6) > ramp(0) + 2


def test_an_edge_is_moved_inwards_but_not_from_the_border_of_the_picture() -> None:
    def opaque(shrink: float) -> int:
        edges = {"refine": False, "shrink": shrink}
        done = render_frame(picture(), {1: square(left=0)}, look("transparent", edges=edges))
        return int(np.count_nonzero(done[45, :, 3] > 127))

    assert opaque(0) == 30
    assert opaque(8) == 26  # units are half a pixel here; one side of two is the border
