"""Small layers that several parts share."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model.depthwise import depthwise_conv2d
from masklet.model.packed import activated


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of (B, C, H, W)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        normed = F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],), self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int) -> None:
        super().__init__()
        dims = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(dims))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)  # type: ignore[no-any-return]


class DepthwiseConv2d(nn.Module):
    """`depthwise_conv2d` with its weight (C, 1, k, k) and bias (C,)."""

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.stride = stride
        nn.init.normal_(self.weight, std=1.0 / kernel)

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv2d(x, self.weight, self.bias, self.stride)


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, then a pointwise MLP, scaled and added (`CXBlock` in sam2's memory_encoder.py)."""

    def __init__(self, channels: int, kernel: int, layer_scale: float = 1e-6, expansion: int = 4) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(channels, kernel)
        self.norm = LayerNorm2d(channels)
        self.expand = nn.Linear(channels, expansion * channels)
        self.project = nn.Linear(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), layer_scale))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x)).permute(0, 2, 3, 1)
        y = self.project(activated(self.expand, y, "gelu"))
        return x + (self.scale * y).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


def is_exporting() -> bool:
    """Return whether a graph is being traced. PyTorch before 2.7 does not tell that from being compiled."""
    return bool(getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)())


def pool_cells(x: Tensor) -> Tensor:
    """(..., h, w) to (..., h / 2, w / 2): means of 2 x 2 cells, by which speed="fast" shortens spatial memories."""
    return torch.unflatten(F.avg_pool2d(x.flatten(0, -3), 2), 0, x.shape[:-2])
