"""The four functions of the assembled model: what they promise beyond equal numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch

from masklet.model.config import NANO_CONFIG, ModelConfig
from masklet.model.sam2 import ABSENT_LOGIT, SAM2, mask_stability, smooth

from .tiny import SIZE, TINY, TINY_OLD, random_model

NANO = dataclasses.replace(NANO_CONFIG, image_size=SIZE)
QUARTER, GRID = SIZE // 4, SIZE // 16


@pytest.fixture(scope="module", params=[TINY, TINY_OLD, NANO], ids=lambda config: config.name)
def model(request: pytest.FixtureRequest) -> Iterator[SAM2]:
    with torch.inference_mode():
        yield random_model(request.param)


@pytest.fixture(scope="module")
def random() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_an_absent_object_is_remembered_as_empty(model: SAM2, random: torch.Generator) -> None:
    features = model.encode_image(torch.randint(0, 256, (1, SIZE, SIZE, 3), generator=random, dtype=torch.uint8))
    logits = torch.randn(2, 1, QUARTER, QUARTER, generator=random) * 10
    logits[1] = -30.0
    for prompted in (True, False):
        flags = torch.tensor([prompted] * 2)
        absent = model.encode_memory(features.embedding, logits, torch.tensor([-0.1, -9.0]), flags, features.keys)
        assert torch.equal(absent[0], absent[1]), "whatever its mask was"
        empty = model.encode_memory(
            features.embedding, torch.full_like(logits, ABSENT_LOGIT), torch.ones(2), flags, features.keys
        )
        difference = absent[0] - empty[0]
        if model.absent_memory is None:
            assert (difference == 0).all()
        else:  # and it is marked as absent, which a present object with an empty mask is not
            own = difference[: model.config.memory_dim]
            assert torch.allclose(own, model.absent_memory[:, None, None].expand_as(own), atol=1e-4)


def test_prompted_masks_are_remembered_as_binary(model: SAM2, random: torch.Generator) -> None:
    features = model.encode_image(torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8))
    blocks = (
        torch.randn(1, 1, 4, 4, generator=random)
        .sign()
        .repeat_interleave(QUARTER // 4, 2)
        .repeat_interleave(QUARTER // 4, 3)
    )
    faint, sure = blocks * 0.1, blocks * 50
    present = torch.ones(1)

    def remember(logits: torch.Tensor, prompted: bool) -> torch.Tensor:
        return model.encode_memory(features.embedding, logits, present, torch.tensor([prompted]), features.keys)

    assert torch.equal(remember(faint, True), remember(sure, True))
    assert not torch.allclose(remember(faint, False), remember(sure, False), atol=1e-2)


def test_objects_in_a_batch_do_not_see_each_other(model: SAM2, random: torch.Generator) -> None:
    features = model.encode_image(torch.randint(0, 256, (1, SIZE, SIZE, 3), generator=random, dtype=torch.uint8))
    points = torch.rand(3, 2, 2, generator=random) * SIZE
    labels = torch.tensor([[1, -1], [1, 0], [2, 3]])
    logits = torch.randn(3, 1, QUARTER, QUARTER, generator=random)
    has_mask = torch.tensor([True, False, True])
    slots = torch.tensor([[0, 1], [0, 2], [1, 6]])
    times = torch.rand(3, 2, generator=random)

    def run(rows: slice) -> list[torch.Tensor]:
        n = len(range(*rows.indices(3)))
        embedding = features.unconditioned.expand(n, -1, -1, -1)
        masks = model.decode(
            embedding,
            features.high_res_4,
            features.high_res_8,
            points[rows],
            labels[rows],
            logits[rows],
            has_mask[rows],
        )
        memory = model.encode_memory(
            features.embedding, masks.low_res_logits[:, :1], masks.object_score, has_mask[rows], features.keys
        )
        remembered = torch.stack((memory, memory * 0.5), dim=1)
        memory_dim = model.config.memory_dim
        matches = None
        if features.keys is not None:
            matches = model.match(
                features.keys,
                remembered[:1, :, memory_dim:-1],
                remembered[None, :, :, -1],
                slots[None, rows],
            )
        seen = model.attend(
            features.embedding,
            remembered[:, :, :memory_dim],
            slots[rows],
            masks.pointers[:, :2],
            times[rows],
            matches,
        )
        return [*masks, memory, seen]

    together = run(slice(0, 3))
    for row in range(3):
        for one, all_of_them in zip(run(slice(row, row + 1)), together, strict=True):
            scale = all_of_them.abs().max()
            assert (one[0] - all_of_them[row]).abs().max() <= 1e-4 * scale


def test_shapes(model: SAM2) -> None:
    config = model.config
    features = model.encode_image(torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8))
    assert features.embedding.shape == features.unconditioned.shape == (1, config.embed_dim, GRID, GRID)
    assert features.high_res_4.shape == (1, config.embed_dim // 8, QUARTER, QUARTER)
    assert features.high_res_8.shape == (1, config.embed_dim // 4, 2 * GRID, 2 * GRID)
    assert (features.keys is None) == (config.correspondence is None)
    logits, scores = torch.zeros(2, 1, QUARTER, QUARTER), torch.ones(2)
    memory = model.encode_memory(features.embedding, logits, scores, scores > 0, features.keys)
    matched = 0 if config.correspondence is None else config.correspondence.key_dim + 1
    assert memory.shape == (2, config.memory_dim + matched, GRID, GRID)


@pytest.mark.parametrize(
    ("values", "stability"),
    [([1.0, 1.0, -1.0, -1.0], 1.0), ([1.0, 0.0, 0.0, -1.0], 1 / 3), ([-1.0] * 4, 1.0), ([0.01] * 4, 0.0)],
)
def test_stability_is_how_much_a_mask_shrinks(values: list[float], stability: float) -> None:
    assert mask_stability(torch.tensor(values).reshape(1, 2, 2)).item() == pytest.approx(stability)


def test_smoothing_removes_the_pattern_of_the_upscaling_and_keeps_the_rest() -> None:
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    pattern = ((rows + columns) % 2 * 2 - 1).float()[None, None]
    assert smooth(pattern)[..., 1:-1, 1:-1].abs().max().item() == pytest.approx(0, abs=1e-6)
    slope = columns.float()[None, None]
    torch.testing.assert_close(smooth(slope)[..., 1:-1], slope[..., 1:-1])


def test_wider_inputs_need_no_new_weights() -> None:
    small, large = TINY, dataclasses.replace(TINY, image_size=2 * SIZE)
    shapes = [{key: value.shape for key, value in SAM2(config).state_dict().items()} for config in (small, large)]
    assert shapes[0] == shapes[1]


def nano_parts(config: ModelConfig) -> int:
    return sum(value.numel() for value in SAM2(config).parameters())


def test_nano_is_small() -> None:
    assert 4e6 < nano_parts(NANO) < 7e6


@pytest.mark.parametrize("num_objects", [1, 3])
def test_objects_without_a_prompt_are_decoded_as_with_padding(
    model: SAM2, random: torch.Generator, num_objects: int
) -> None:
    features = model.encode_image(torch.randint(0, 256, (1, SIZE, SIZE, 3), generator=random, dtype=torch.uint8))
    noise = torch.randn(num_objects, *features.embedding.shape[1:], generator=random)
    embeddings, fine = features.embedding + noise, (features.high_res_4, features.high_res_8)
    padded = model.decode(
        embeddings,
        *fine,
        torch.zeros(num_objects, 2, 2),
        torch.full((num_objects, 2), -1),
        torch.zeros(num_objects, 1, QUARTER, QUARTER),
        torch.zeros(num_objects, dtype=torch.bool),
    )
    tracked = model.decode_tracked(embeddings, *fine)
    for name, expected, found in zip(padded._fields, padded, tracked, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
