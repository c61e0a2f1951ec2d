"""A tiny SAM 2 with everything in it: windows, padded windows, global blocks, query pooling, split pointers."""

from __future__ import annotations

import torch

from masklet.model.config import HieraConfig, ModelConfig
from masklet.model.sam2 import SAM2

SIZE = 128
"""Side of the square input: grids of 32, 16, 8 and 4 cells."""
GRID = SIZE // 16

TINY_TRUNK = HieraConfig(
    embed_dim=16,
    num_heads=1,
    stages=(1, 2, 3, 2),
    global_attention_blocks=(4, 5),
    window_position_size=(7, 7),
    window_sizes=(8, 4, 6, 3),  # 6 on a grid of 8 and 3 on a grid of 4 are padded, as 14 and 7 are in the real models
)
TINY = ModelConfig(
    name="tiny",
    image_size=SIZE,
    trunk=TINY_TRUNK,
    embed_dim=128,  # two tokens a pointer
    decoder_mlp_dim=64,
    memory_layers=2,
    memory_mlp_dim=64,
)
TINY_OLD = ModelConfig(
    name="tiny-2.0",
    image_size=SIZE,
    trunk=TINY_TRUNK,
    embed_dim=128,
    decoder_mlp_dim=64,
    memory_layers=2,
    memory_mlp_dim=64,
    pointer_times=False,
    signed_pointer_times=False,
    absent_memory_embedding=False,
)
"""As SAM 2.0: pointers without times, absence without an embedding."""


@torch.no_grad()
def random_model(config: ModelConfig = TINY, seed: int = 0) -> SAM2:
    """Every weight random, also those that start as zeros or ones, so that none can be forgotten unnoticed.

    Attention is made sharp and the object score wide: with the small weights of a fresh model, masks hardly depend on
    what is remembered, and nothing would be compared.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SAM2(config)
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    for block in model.memory_encoder.fuser:
        block.scale.add_(0.5)
    gain = 128 / config.embed_dim  # wide models are livelier, up to chaos, which makes differences of rounding grow
    attentions = [layer.cross_attention for layer in model.memory_attention.layers]
    attentions += [block.tokens_to_image for block in model.mask_decoder.transformer.blocks]
    for attention in attentions:
        attention.query.weight.mul_(4 * gain)
        attention.key.weight.mul_(4 * gain)
        attention.out.weight.mul_(1 + gain)
    for layer in model.mask_decoder.object_score_head.layers:
        layer.weight.mul_(1 + 2 * gain)
    return model.eval()
