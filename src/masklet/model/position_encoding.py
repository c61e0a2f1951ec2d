"""Position encodings of tokens: sine, random Fourier and rotary.

Everything here is a function of sizes, so that a change of input size needs no new weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

GridSize = tuple[int, int]
"""Rows and columns."""


def cells_averaged(count: int, over: int, device: torch.device | None = None) -> Tensor:
    """Return the scalar number of `over` cells that each of `count` cells averages."""
    # Computed as a tensor: in an exported graph `count` is symbolic.
    return over / (torch.arange(count, dtype=torch.float32, device=device)[-1] + 1)


def cell_places(count: int, over: int, device: torch.device | None = None) -> Tensor:
    """Return the positions (count,) of `count` cells in a row of `over` cells: 0, 1, 2, ... if these are equal.

    Half as many are each the mean of two, and lie at 0.5, 2.5, 4.5, ...
    """
    centres = torch.arange(count, dtype=torch.float32, device=device) + 0.5
    return centres * cells_averaged(count, over, device) - 0.5


def sine_encoding_2d(
    height: int,
    width: int,
    channels: int,
    temperature: float = 10000.0,
    *,
    over: GridSize | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """(C, H, W) sines of the row (first half of the channels) and the column, normalised to the map.

    Args:
        height: rows of the grid.
        width: columns of the grid.
        channels: C.
        temperature: the longest wave over the shortest.
        over: the grid whose cells were averaged to the ones of this; itself when left out.
        device: where it is computed: a table this long is not to be sent to a GPU for every frame.

    Source: sam2 2b90b9f, position_encoding.py `PositionEmbeddingSine`.
    """
    half = channels // 2
    full_height, full_width = over or (height, width)
    rows = (cell_places(height, full_height, device) + 1) / (full_height + 1e-6) * (2 * math.pi)
    columns = (cell_places(width, full_width, device) + 1) / (full_width + 1e-6) * (2 * math.pi)
    period = temperature ** (2 * torch.div(torch.arange(half, device=device), 2, rounding_mode="floor") / half)

    def encode(positions: Tensor) -> Tensor:
        angles = positions[:, None] / period
        return torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), dim=2).flatten(1)  # (L, half)

    row_part = encode(rows)[:, None].expand(height, width, half)
    column_part = encode(columns)[None].expand(height, width, half)
    return torch.cat((row_part, column_part), dim=2).permute(2, 0, 1)


def sine_encoding_1d(positions: Tensor, channels: int, temperature: float = 10000.0) -> Tensor:
    """(..., C) sines then cosines of `positions` (...).

    Source: sam2 2b90b9f, sam2_utils.py `get_1d_sine_pe`.
    """
    half = channels // 2
    exponent = 2 * torch.div(torch.arange(half, device=positions.device), 2, rounding_mode="floor") / half
    angles = positions[..., None] / temperature**exponent
    return torch.cat((angles.sin(), angles.cos()), dim=-1)


class RandomFourierEncoding(nn.Module):
    """Sines of random directions in the unit square; encodes points and the image grid alike.

    Source: sam2 2b90b9f, position_encoding.py `PositionEmbeddingRandom`.
    """

    frequencies: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, channels // 2))

    def forward(self, points_01: Tensor) -> Tensor:
        """(..., 2) points in [0, 1], x first, to (..., C)."""
        # Kept in fp32: the phases reach tens of radians, where bf16 has no fraction left.
        with torch.autocast(points_01.device.type, enabled=False):
            angles = (2 * points_01.float() - 1) @ self.frequencies.float() * (2 * math.pi)
            return torch.cat((angles.sin(), angles.cos()), dim=-1)

    def grid(self, height: int, width: int) -> Tensor:
        """(C, H, W) of the cell centres."""
        return self(cell_centres(height, width, self.frequencies.device)).permute(2, 0, 1)  # type: ignore[no-any-return]


def centres(length: int, device: torch.device | None = None) -> Tensor:
    """(length,) centres of cells along one side of the unit square."""
    return (torch.arange(length, dtype=torch.float32, device=device) + 0.5) / length


def cell_centres(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """(H, W, 2) centres of a grid's cells in the unit square, x first."""
    y, x = centres(height, device), centres(width, device)
    return torch.stack((x[None].expand(height, width), y[:, None].expand(height, width)), dim=-1)


def rotary_table(
    height: int,
    width: int,
    channels: int,
    span: float | None = None,
    *,
    over: GridSize | None = None,
    device: torch.device | None = None,
) -> tuple[Tensor, Tensor]:
    """Cosines and sines (H * W, C / 2) for `rotate`: the first half turns with the column, the second with the row.

    Args:
        height: rows of the grid.
        width: columns of the grid.
        channels: C, of one attention head.
        span: None = neighbouring cells are one unit apart (SAM 2); else the grid always spans this many units, so that
            a model keeps its sense of distance when the input size changes.
        over: the grid whose cells were averaged to the ones of this; itself when left out.
        device: where they are computed.

    Source: sam2 2b90b9f, position_encoding.py `compute_axial_cis`.
    """
    steps = torch.arange(0, channels, 4, device=device)[: channels // 4]
    frequencies = 1.0 / 10000.0 ** (steps.float() / channels)
    full_height, full_width = over or (height, width)
    rows, columns = cell_places(height, full_height, device), cell_places(width, full_width, device)
    if span is not None:
        rows, columns = (rows + 0.5) * (span / full_height), (columns + 0.5) * (span / full_width)
    column_angles = columns[None, :, None] * frequencies
    row_angles = rows[:, None, None] * frequencies
    shape = (height, width, channels // 4)
    angles = torch.cat((column_angles.expand(shape), row_angles.expand(shape)), dim=-1).flatten(0, 1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each pair of channels of x (..., L, C) by its position's angles (L, C / 2).

    Real arithmetic, since ONNX has no complex numbers.
    """
    pairs = torch.unflatten(x, -1, (-1, 2))
    first, second = pairs[..., 0], pairs[..., 1]
    cosines, sines = cosines.to(x.dtype), sines.to(x.dtype)
    return torch.stack((first * cosines - second * sines, first * sines + second * cosines), dim=-1).flatten(-2)
