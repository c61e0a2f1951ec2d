"""Memories as they come, and memories whose cells were averaged."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from masklet.model import attention
from masklet.model.memory_attention import MemoryAttentionLayer
from masklet.model.position_encoding import cell_places
from masklet.model.sam2 import SAM2

from .tiny import GRID, TINY, random_model
from .work import count_operations

EXPORTING = "torch.compiler.is_exporting"


def conditioned(model: SAM2, num_memories: int, *, num_objects: int = 2, pool: int = 1) -> Tensor:
    """In float64, as sharp attention makes much of rounding."""
    random = torch.Generator().manual_seed(3)
    dim, memory_dim = model.config.embed_dim, model.config.memory_dim
    memory = torch.randn(num_objects, num_memories, memory_dim, GRID, GRID, generator=random)
    return model.double().attend(
        torch.randn(1, dim, GRID, GRID, generator=random).double(),
        torch.unflatten(F.avg_pool2d(memory.flatten(0, 1), pool), 0, memory.shape[:2]).double(),
        torch.arange(num_memories).expand(num_objects, -1),
        torch.randn(num_objects, 3, dim, generator=random).double(),
        torch.rand(num_objects, 3, generator=random).double(),
    )


@pytest.mark.parametrize("chunk", [24, 256])
def test_projecting_last_changes_nothing(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """As exported graphs do it."""
    monkeypatch.setattr(attention, "_CHUNK", chunk)  # 64 queries: in three parts, and at once
    model = random_model()
    with torch.no_grad():
        first = conditioned(model, 3)
        with patch(EXPORTING, return_value=True):
            last = conditioned(model, 3)
    assert not torch.equal(first, last)
    assert (first - last).abs().max() <= 1e-10 * first.abs().max()


def test_a_bias_is_the_same_in_both_orders() -> None:
    """Averaged memories, with gradients (projected first) and without (projected last)."""
    model = random_model()
    first = conditioned(model, 3, pool=2).detach()
    with torch.no_grad():
        last = conditioned(model, 3, pool=2)
    assert (first - last).abs().max() <= 1e-10 * first.abs().max()


def test_equally_wide_memories_are_projected_first() -> None:
    model = random_model(replace(TINY, embed_dim=64))
    for layer in model.memory_attention.layers:
        assert isinstance(layer, MemoryAttentionLayer)
        with torch.no_grad(), patch(EXPORTING, return_value=True):
            assert not layer.cross_attention._projects_last(torch.zeros(1), None, by_kernel=False)


def test_four_equal_keys_count_as_four() -> None:
    """Attention over one key with the logarithm of four as its bias is attention over it four times."""
    random = torch.Generator().manual_seed(0)
    queries, keys, values = (torch.randn(1, 1, length, 8, generator=random) for length in (50, 40, 40))
    times = torch.full((40,), 4)
    times[30:] = 1
    repeated = attention.attend(queries, keys.repeat_interleave(times, 2), values.repeat_interleave(times, 2))
    for attend in (attention.attend, attention.attend_in_chunks):
        torch.testing.assert_close(attend(queries, keys, values, times.log()), repeated)


def test_averaged_cells_lie_in_the_middle() -> None:
    assert cell_places(4, 4).tolist() == [0, 1, 2, 3]
    assert cell_places(2, 4).tolist() == [0.5, 2.5]


def test_memories_that_hardly_vary_may_be_averaged() -> None:
    """What is alike in four cells reads nearly the same, as one or as four: only their places differ."""
    model = random_model()
    random = torch.Generator().manual_seed(3)
    coarse = torch.randn(1, 3, TINY.memory_dim, GRID // 2, GRID // 2, generator=random)
    fine = F.interpolate(coarse[0], scale_factor=2.0)[None]
    rest = (
        torch.arange(3)[None],
        torch.randn(1, 3, TINY.embed_dim, generator=random),
        torch.rand(1, 3, generator=random),
    )
    embedding = torch.randn(1, TINY.embed_dim, GRID, GRID, generator=random)
    with torch.no_grad():
        one, four, other = (
            model.attend(embedding, memory, *rest)
            for memory in (coarse, fine, torch.randn(fine.shape, generator=random))
        )
    assert (one - four).norm() < 0.35 * (other - four).norm()


@pytest.mark.parametrize("pool", [1, 2])
def test_work_for_one_more_memory(pool: int) -> None:
    """Keys, scores and reading: what a memory costs on every later frame, by formula."""
    model = random_model()

    def work(num_memories: int) -> int:
        return count_operations(lambda: conditioned(model, num_memories, num_objects=1, pool=pool))

    cells, remembered = GRID**2, (GRID // pool) ** 2
    dim, memory_dim = TINY.embed_dim, TINY.memory_dim
    keys, values = remembered * memory_dim * dim, remembered * memory_dim * dim
    scores, reading = cells * remembered * dim, cells * remembered * dim
    if pool == 2:  # projected when read; scores carry one channel more, the bias
        values, scores, reading = 0, cells * remembered * (dim + 1), cells * remembered * memory_dim
    assert work(4) - work(3) == 2 * TINY.memory_layers * (keys + values + scores + reading)


def test_shared_work_of_objects_is_computed_once() -> None:
    """The first layer looks at the frame itself before it looks at any object's memory."""
    model = random_model()

    def work(num_objects: int) -> int:
        return count_operations(lambda: conditioned(model, 2, num_objects=num_objects))

    cells, dim = GRID**2, TINY.embed_dim
    itself = 4 * cells * dim * dim + 2 * cells * cells * dim  # projections, scores and reading
    asking = cells * dim * dim
    assert 2 * work(1) - work(2) == 2 * (itself + asking)


def test_objects_may_share_features_or_have_one_set_each() -> None:
    model = random_model().double()
    random = torch.Generator().manual_seed(3)
    memory = torch.randn(2, 3, TINY.memory_dim, GRID, GRID, generator=random).double()
    embedding = torch.randn(1, TINY.embed_dim, GRID, GRID, generator=random).double()
    rest = (
        torch.arange(3).expand(2, -1),
        torch.randn(2, 3, TINY.embed_dim, generator=random).double(),
        torch.rand(2, 3, generator=random).double(),
    )
    with torch.no_grad():
        shared = model.attend(embedding, memory, *rest)
        own = model.attend(embedding.repeat(2, 1, 1, 1), memory, *rest)
    torch.testing.assert_close(shared, own)
