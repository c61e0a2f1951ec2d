"""Hiera: the official models' trunk, a transformer whose attention is windowed but for a few blocks.

Tokens are (B, H, W, C) throughout.

Source: sam2 2b90b9f, backbones/hieradet.py; Ryali et al. 2023 (Hiera), Bolya et al. 2023 (window position embedding).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model import cpu_attention
from masklet.model.config import HieraConfig
from masklet.model.packed import activated, added


class HieraAttention(nn.Module):
    """Attention over the tokens of each window; queries are max-pooled 2 x 2 where a stage begins."""

    def __init__(self, inputs: int, outputs: int, num_heads: int, *, pool_queries: bool) -> None:
        super().__init__()
        self.num_heads, self.pool_queries = num_heads, pool_queries
        self.qkv = nn.Linear(inputs, 3 * outputs)
        self.project = nn.Linear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to what each token read, before `project`."""
        batch, height, width, _ = x.shape
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, -1)
        queries, keys, values = qkv.unbind(2)  # (B, L, heads, C/heads)
        if self.pool_queries:
            queries = max_pool_tokens(queries.reshape(batch, height, width, -1))
            height, width = queries.shape[1:3]
            queries = queries.reshape(batch, height * width, self.num_heads, -1)
        queries, keys, values = queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
        if cpu_attention.takes(queries, keys, values):
            out = cpu_attention.attend(queries, keys, values)
        else:
            out = F.scaled_dot_product_attention(queries, keys, values)
        return out.transpose(1, 2).reshape(batch, height, width, -1)


class HieraBlock(nn.Module):
    """Windowed attention and an MLP, each normalised first and added."""

    def __init__(self, inputs: int, outputs: int, num_heads: int, window: int, *, pool_queries: bool) -> None:
        super().__init__()
        self.window, self.pool_queries = window, pool_queries
        self.norm_attention = nn.LayerNorm(inputs, eps=1e-6)
        self.attention = HieraAttention(inputs, outputs, num_heads, pool_queries=pool_queries)
        self.norm_mlp = nn.LayerNorm(outputs, eps=1e-6)
        self.mlp_expand = nn.Linear(outputs, 4 * outputs)
        self.mlp_project = nn.Linear(4 * outputs, outputs)
        self.shortcut = nn.Linear(inputs, outputs) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm_attention(x)
        if self.shortcut is not None:
            x = self.shortcut(normed)
            if self.pool_queries:
                x = max_pool_tokens(x)
        height, width = x.shape[1:3]
        if self.window == 0:
            attended = self.attention(normed)
        else:
            windows, grid = split_windows(normed, self.window)
            window = self.window // 2 if self.pool_queries else self.window
            attended = join_windows(self.attention(windows), window, grid, (height, width))
        x = added(x, self.attention.project, attended)
        return added(x, self.mlp_project, activated(self.mlp_expand, self.norm_mlp(x), "gelu"))


class Hiera(nn.Module):
    """(B, 3, S, S) to features at strides 4, 8, 16 and 32, each (B, C, S/stride, S/stride)."""

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, config.embed_dim, 7, stride=4, padding=3)
        self.position_background = nn.Parameter(torch.zeros(1, config.embed_dim, *config.window_position_size))
        side = config.window_sizes[0]
        self.position_window = nn.Parameter(torch.zeros(1, config.embed_dim, side, side))
        self._kept_positions: tuple[tuple[Any, ...], Tensor] | None = None
        self.blocks = nn.ModuleList()
        self.stage_ends = [sum(config.stages[: i + 1]) - 1 for i in range(len(config.stages))]
        channels, heads, stage = config.embed_dim, config.num_heads, 0
        for index in range(sum(config.stages)):
            # A stage's first block still works in the window of the stage before, whose tokens it reads.
            window = 0 if index in config.global_attention_blocks else config.window_sizes[stage]
            starts_stage = index - 1 in self.stage_ends
            outputs = channels
            if starts_stage:
                outputs, heads, stage = channels * 2, heads * 2, stage + 1
            self.blocks.append(HieraBlock(channels, outputs, heads, window, pool_queries=starts_stage))
            channels = outputs

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = self.patch_embed(pixels).permute(0, 2, 3, 1)
        positions = self._positions(x.shape[1], x.shape[2])
        if x.device.type == "cpu":
            positions = positions.to(x.dtype)  # the first blocks move half the bytes in bf16
        x = x + positions
        outputs = []
        for index, block in enumerate(self.blocks):
            x = block(x.contiguous())
            if index in self.stage_ends:
                outputs.append(x.permute(0, 3, 1, 2))
        return outputs

    def freeze(self, num_stages: int) -> None:
        """Stop training what meets the pixels and the first `num_stages` of the four stages; 0 trains everything."""
        for parameter in (*self.patch_embed.parameters(), self.position_background, self.position_window):
            parameter.requires_grad_(num_stages == 0)
        frozen_blocks = 0 if num_stages == 0 else self.stage_ends[min(num_stages, len(self.stage_ends)) - 1] + 1
        for index, block in enumerate(self.blocks):
            block.requires_grad_(index >= frozen_blocks)

    def _positions(self, height: int, width: int) -> Tensor:
        """(1, H, W, C): one embedding stretched over the image plus one repeated in every window.

        Kept from image to image while neither changes; in training and in graphs it is computed.
        """
        background, window = self.position_background, self.position_window
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or background.is_inference():
            return self._stretched_positions(height, width)  # parameters of inference mode do not tell when they change
        parts = ((id(x), x.device, x.dtype, x._version) for x in (background, window))
        state, kept = (height, width, *parts), self._kept_positions
        if kept is None or kept[0] != state:
            kept = self._kept_positions = state, self._stretched_positions(height, width)
        return kept[1]

    def _stretched_positions(self, height: int, width: int) -> Tensor:
        background = F.interpolate(self.position_background, size=(height, width), mode="bicubic")
        side = self.position_window.shape[-1]
        window = self.position_window.tile(1, 1, height // side, width // side)
        return (background + window).permute(0, 2, 3, 1)


def max_pool_tokens(x: Tensor) -> Tensor:
    """(B, H, W, C) to (B, H/2, W/2, C)."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2, 2).permute(0, 2, 3, 1)


def split_windows(x: Tensor, window: int) -> tuple[Tensor, tuple[int, int]]:
    """(B, H, W, C) to (B * windows, window, window, C), zero-padded at the bottom and right; and the windows' grid."""
    batch, height, width, channels = x.shape
    x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    rows, columns = x.shape[1] // window, x.shape[2] // window
    x = x.reshape(batch, rows, window, columns, window, channels).transpose(2, 3)
    return x.reshape(-1, window, window, channels), (rows, columns)


def join_windows(x: Tensor, window: int, grid: tuple[int, int], size_hw: tuple[int, int]) -> Tensor:
    """Inverse of `split_windows`: (B * windows, window, window, C) to (B, H, W, C), padding cut off."""
    rows, columns = grid
    x = x.reshape(-1, rows, columns, window, window, x.shape[-1]).transpose(2, 3)
    x = x.reshape(x.shape[0], rows * window, columns * window, -1)
    return x[:, : size_hw[0], : size_hw[1]]
