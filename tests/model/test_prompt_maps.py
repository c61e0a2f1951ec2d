"""Prompts drawn as maps."""

from __future__ import annotations

import pytest
import torch

from masklet.model.config import PromptMapsConfig
from masklet.model.prompt_maps import FinePrompts, PromptMaps, draw_prompts
from masklet.prompts import PointLabel

FOREGROUND, BACKGROUND, PADDING = PointLabel.FOREGROUND, PointLabel.BACKGROUND, PointLabel.PADDING
SIGMAS = (0.05, 0.3)
BOX = [PointLabel.BOX_TOP_LEFT, PointLabel.BOX_BOTTOM_RIGHT]


@pytest.fixture(scope="module")
def maps() -> PromptMaps:
    torch.manual_seed(0)
    return PromptMaps(PromptMapsConfig(sigmas=SIGMAS), 16)


def test_padding_changes_nothing(maps: PromptMaps) -> None:
    points = torch.tensor([[[0.2, 0.3], [0.6, 0.7], [0.9, 0.9]]])
    padded = torch.cat((points, torch.rand(1, 2, 2)), dim=1)
    labels = torch.tensor([[FOREGROUND, *BOX]])
    more = torch.tensor([[FOREGROUND, *BOX, PADDING, PADDING]])
    assert torch.allclose(maps(points, labels, 8, 8), maps(padded, more, 8, 8), atol=1e-6)
    features = torch.randn(1, 16, 8, 8), torch.randn(1, 4, 16, 16), torch.randn(1, 2, 32, 32)
    under = maps.under_points(padded, more, features)
    assert torch.allclose(under[:, :3], maps.under_points(points, labels, features), atol=1e-6)
    assert (under[:, 0] != 0).any()
    assert (under[:, 1:] == 0).all(), "box corners and padding have nothing under them"


def test_clicks_are_brightest_where_they_are(maps: PromptMaps) -> None:
    points = torch.tensor([[[0.3125, 0.5625], [0.8125, 0.0625]]])  # centres of cells (4, 2) and (0, 6) of 8 x 8
    drawn = draw_prompts(points, torch.tensor([[FOREGROUND, BACKGROUND]]), 8, 8, SIGMAS)[0]
    for channel, cell in ((0, (4, 2)), (1, (4, 2)), (2, (0, 6)), (3, (0, 6))):
        assert divmod(int(drawn[channel].argmax()), 8) == cell
        assert drawn[channel].max() == pytest.approx(1.0)
    assert drawn[-2:].eq(1).all(), "both kinds of click were given"
    assert drawn[4:8].eq(0).all(), "no box was given"


def test_a_box_has_an_inside_and_an_outside(maps: PromptMaps) -> None:
    points = torch.tensor([[[0.25, 0.25], [0.75, 1.0]]])
    drawn = draw_prompts(points, torch.tensor([BOX]), 8, 8, SIGMAS)[0]
    inside, outside = drawn[4] > 0.5, drawn[5] > 0.5
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[2:, 2:6] = True
    assert torch.equal(inside, expected)
    assert torch.equal(outside, ~expected)
    assert drawn[:4].abs().max() < 1e-3, "no clicks"
    assert drawn[-2:].eq(0).all()


def test_no_prompt_draws_nothing(maps: PromptMaps) -> None:
    drawn = draw_prompts(torch.rand(1, 2, 2), torch.tensor([[PADDING, PADDING]]), 8, 8, SIGMAS)
    assert drawn.abs().max() < 1e-3


def test_of_several_clicks_the_nearest_counts() -> None:
    points = torch.tensor([[[0.1, 0.1], [0.9, 0.9]]])
    both = draw_prompts(points, torch.tensor([[FOREGROUND, FOREGROUND]]), 8, 8, SIGMAS)
    each = [draw_prompts(points[:, [i]], torch.tensor([[FOREGROUND]]), 8, 8, SIGMAS) for i in (0, 1)]
    assert torch.equal(both, torch.maximum(*each))


def test_fine_maps_use_the_fed_back_mask_only_where_there_is_one() -> None:
    torch.manual_seed(0)
    fine = FinePrompts(SIGMAS, 16)
    points, labels = torch.rand(2, 2, 2), torch.full((2, 2), PADDING)
    masks, none = torch.randn(2, 1, 32, 32) * 8, torch.zeros(2, 1, 32, 32)
    has_mask = torch.tensor([True, False])
    assert all(part.eq(0).all() for part in fine(points, labels, masks, has_mask)), "untrained, they add nothing"
    for layer in (fine.project_4, fine.project_8):
        torch.nn.init.normal_(layer.weight)
    stride_8, stride_4 = fine(points, labels, masks, has_mask)
    assert stride_8.shape == (2, 4, 16, 16)
    assert stride_4.shape == (2, 2, 32, 32)
    without = fine(points, labels, none, torch.tensor([False, False]))
    assert torch.equal(without[1][1], stride_4[1]), "a mask that is not given is not looked at"
    assert not torch.equal(without[1][0], stride_4[0])
