"""EfficientNet-Lite0: batch norms folded into convolutions change nothing."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.errors import CheckpointError
from masklet.model.efficientnet_lite import EfficientNetLite0

KERNELS = [3] * 3 + [5] * 2 + [3] * 3 + [5] * 3 + [5] * 4 + [3]
STRIDES = [1] + [2, 1] + [2, 1] + [2, 1, 1] + [1] * 3 + [2] + [1] * 3 + [1]
CHANNELS = [16] + [24] * 2 + [40] * 2 + [80] * 3 + [112] * 3 + [192] * 4 + [320]
OUTPUTS = (2, 4, 10, 15)


class Unfolded(nn.Module):
    """The same network the plain way: convolution, batch norm, ReLU6. Its names are those of the ImageNet weights."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        self._blocks = nn.ModuleList()
        inputs = 32
        for index, (kernel, stride, outputs) in enumerate(zip(KERNELS, STRIDES, CHANNELS, strict=True)):
            block = nn.Module()
            hidden = inputs if index == 0 else 6 * inputs
            if index > 0:
                block._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
                block._bn0 = nn.BatchNorm2d(hidden, eps=1e-3)
            block._depthwise_conv = nn.Conv2d(hidden, hidden, kernel, stride, groups=hidden, bias=False)
            block._bn1 = nn.BatchNorm2d(hidden, eps=1e-3)
            block._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
            block._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)
            self._blocks.append(block)
            inputs = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu6(self._bn0(self._conv_stem(same(x, 3, 2))))
        features = []
        for index, (block, kernel, stride) in enumerate(zip(self._blocks, KERNELS, STRIDES, strict=True)):
            y = x if index == 0 else F.relu6(block._bn0(block._expand_conv(x)))
            y = F.relu6(block._bn1(block._depthwise_conv(same(y, kernel, stride))))
            y = block._bn2(block._project_conv(y))
            x = x + y if stride == 1 and x.shape == y.shape else y
            if index in OUTPUTS:
                features.append(x)
        return features


def same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's padding: the output has ceil(size / stride) cells, and the odd row goes to the end."""
    total = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
    before, after = total // 2, total - total // 2
    return F.pad(x, (before, after, before, after))


@pytest.fixture(scope="module")
def unfolded() -> Unfolded:
    torch.manual_seed(0)
    network = Unfolded().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
    return network


@torch.inference_mode()
def test_folding_batch_norms_is_exact(unfolded: Unfolded) -> None:
    folded = EfficientNetLite0()
    folded.load_imagenet(unfolded.state_dict())
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for ours, expected in zip(folded(x), unfolded(x), strict=True):
        assert ours.shape == expected.shape
        assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_other_weights_are_refused(unfolded: Unfolded) -> None:
    with pytest.raises(CheckpointError, match="not the weights of EfficientNet-Lite0"):
        EfficientNetLite0().load_imagenet({})
    state = unfolded.state_dict()
    state["_conv_stem.weight"] = torch.zeros(32, 3, 5, 5)
    with pytest.raises(CheckpointError, match=r"(?s)not the weights of EfficientNet-Lite0.*stem\.weight"):
        EfficientNetLite0().load_imagenet(state)


def test_freezing_goes_from_the_image_on() -> None:
    trunk = EfficientNetLite0()
    trunk.freeze(3)
    trained = {name.split(".")[1] for name, p in trunk.named_parameters() if p.requires_grad}
    assert trained == {"3", "4", "5", "6"}
    trunk.freeze(0)
    assert all(p.requires_grad for p in trunk.parameters())
