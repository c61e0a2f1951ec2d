"""Windows of the Hiera trunk."""

from __future__ import annotations

import pytest
import torch

from masklet.model.hiera import Hiera, join_windows, max_pool_tokens, split_windows

from .tiny import SIZE, TINY_TRUNK


@pytest.mark.parametrize("size_hw", [(8, 8), (7, 10), (3, 5)])
def test_windows_are_split_and_joined(size_hw: tuple[int, int]) -> None:
    x = torch.arange(2 * size_hw[0] * size_hw[1] * 3, dtype=torch.float32).reshape(2, *size_hw, 3)
    windows, grid = split_windows(x, 4)
    assert windows.shape == (2 * grid[0] * grid[1], 4, 4, 3)
    assert torch.equal(join_windows(windows, 4, grid, size_hw), x)


def test_windows_go_by_rows_and_are_padded_with_zeros_at_the_end() -> None:
    x = torch.arange(1.0, 16.0).reshape(1, 3, 5, 1)
    windows, grid = split_windows(x, 2)
    assert grid == (2, 3)
    assert windows[1, ..., 0].tolist() == [[3, 4], [8, 9]]
    assert windows[2, ..., 0].tolist() == [[5, 0], [10, 0]]
    assert windows[5, ..., 0].tolist() == [[15, 0], [0, 0]]


def test_pooling_takes_the_largest_of_four_tokens() -> None:
    x = torch.tensor([[1.0, 2.0, 5.0, 0.0], [3.0, 4.0, 0.0, 6.0]])[None, ..., None]
    assert max_pool_tokens(x)[..., 0].tolist() == [[[4.0, 6.0]]]


def test_features_at_four_strides() -> None:
    with torch.inference_mode():
        features = Hiera(TINY_TRUNK)(torch.zeros(1, 3, SIZE, SIZE))
    assert [tuple(f.shape[1:]) for f in features] == [(16, 32, 32), (32, 16, 16), (64, 8, 8), (128, 4, 4)]


def test_a_window_sees_itself_and_a_global_block_everything() -> None:
    trunk = Hiera(TINY_TRUNK).eval()
    x = torch.randn(1, 32, 32, 16, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[0, 0, 0, 0] += 5
    with torch.inference_mode():
        difference = (trunk.blocks[0](x) - trunk.blocks[0](changed)).abs().sum(-1)[0]
        assert (difference[:8, :8] > 0).float().mean() > 0.9
        assert (difference[8:] == 0).all()
        assert (difference[:, 8:] == 0).all()
        deep = torch.randn(1, 8, 8, 64, generator=torch.Generator().manual_seed(0))
        changed = deep.clone()
        changed[0, 0, 0, 0] += 5
        assert ((trunk.blocks[4](deep) - trunk.blocks[4](changed)).abs().sum(-1) > 0).float().mean() > 0.9
