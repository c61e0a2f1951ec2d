"""Encodings: what they promise of distances and places."""

from __future__ import annotations

import math

import pytest
import torch

from masklet.model.position_encoding import (
    RandomFourierEncoding,
    cell_centres,
    rotary_table,
    rotate,
    sine_encoding_1d,
    sine_encoding_2d,
)


def test_sine_encoding_follows_its_formula() -> None:
    encoding = sine_encoding_2d(3, 5, 8)
    assert encoding.shape == (8, 3, 5)
    y, x = 2 / 3 * 2 * math.pi, 4 / 5 * 2 * math.pi  # row 1 and column 3, counted from 1
    expected = [
        *(math.sin(y), math.cos(y), math.sin(y / 100), math.cos(y / 100)),
        *(math.sin(x), math.cos(x), math.sin(x / 100), math.cos(x / 100)),
    ]
    assert torch.allclose(encoding[:, 1, 3], torch.tensor(expected), atol=1e-5)


def test_sine_encoding_of_times_is_odd_in_its_sines_and_even_in_its_cosines() -> None:
    past, future = sine_encoding_1d(torch.tensor([0.4, -0.4]), 8)
    assert torch.equal(past[:4], -future[:4])
    assert torch.equal(past[4:], future[4:])
    expected = [math.sin(0.4), math.sin(0.4), math.sin(0.004), math.sin(0.004)]
    assert torch.allclose(past[:4], torch.tensor(expected))


@pytest.mark.parametrize("span", [None, 16.0])
def test_rotation_keeps_lengths_and_depends_on_differences_only(span: float | None) -> None:
    height, width, channels = 6, 5, 16
    table = rotary_table(height, width, channels, span)
    query, key = torch.randn(2, channels, generator=torch.Generator().manual_seed(0))
    queries, keys = (
        rotate(x.expand(height * width, channels), *table).unflatten(0, (height, width)) for x in (query, key)
    )
    assert torch.allclose(queries.norm(dim=-1), query.norm().expand(height, width))
    products = torch.einsum("yxc,vuc->yxvu", queries, keys)
    assert torch.allclose(products[1, 1, 3, 4], products[2, 0, 4, 3], atol=1e-4)  # two down and three right, both
    assert not torch.allclose(products[1, 1, 3, 4], products[1, 1, 4, 3], atol=1e-2)


def test_the_first_half_rotates_with_the_column() -> None:
    cosines, sines = rotary_table(2, 3, 8)
    angles = torch.atan2(sines, cosines).unflatten(0, (2, 3))
    assert torch.allclose(angles[1, 2], torch.tensor([2.0, 0.02, 1.0, 0.01]), atol=1e-6)


def test_a_span_is_the_same_distance_at_every_size() -> None:
    small, large = rotary_table(4, 4, 8, 16.0), rotary_table(8, 8, 8, 16.0)
    corner = [torch.atan2(sines, cosines)[-1] - torch.atan2(sines, cosines)[0] for cosines, sines in (small, large)]
    cells = [3 * 4.0, 7 * 2.0]  # units between the centres of the first and the last cell
    assert torch.allclose(corner[0][1] / cells[0], corner[1][1] / cells[1], atol=1e-5)


def test_random_encoding_of_the_grid_is_that_of_its_cell_centres() -> None:
    encoding = RandomFourierEncoding(16)
    grid = encoding.grid(4, 6)
    assert grid.shape == (16, 4, 6)
    centre = torch.tensor([(5 + 0.5) / 6, (2 + 0.5) / 4])
    assert torch.allclose(grid[:, 2, 5], encoding(centre), atol=1e-6)
    assert torch.allclose(cell_centres(4, 6)[2, 5], centre)


def test_random_encoding_stays_in_full_precision_under_autocast() -> None:
    encoding = RandomFourierEncoding(16)
    points = torch.rand(3, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoding(points), encoding(points.float()))
        assert encoding(points).dtype == torch.float32
