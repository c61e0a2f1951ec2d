"""The depthwise convolution's own backward pass gives PyTorch's gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from masklet.model.depthwise import _DepthwiseConv2d, depthwise_conv2d


def reference(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    """TensorFlow's "SAME" for even sizes: with stride 2 the odd row of padding is at the bottom and the right."""
    kernel = weight.shape[-1]
    before = (kernel - 1) // 2 if stride == 1 else (kernel - 2) // 2
    after = kernel - stride - before
    padded = F.pad(x, (before, after, before, after))
    return F.conv2d(padded, weight, bias, stride, groups=len(weight))


def inputs(kernel: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(kernel)
    shapes = (2, 6, 12, 8), (6, 1, kernel, kernel), (6,)
    x, weight, bias = (torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes)
    return x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()


def gradients(y: Tensor, *of: Tensor) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return torch.autograd.grad(y, of, torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y.dtype))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (7, 1), (3, 2), (5, 2)])
def test_custom_gradients_equal_autograd(kernel: int, stride: int) -> None:
    parts = inputs(kernel, torch.float64)
    expected = reference(*parts, stride)
    own = _DepthwiseConv2d.apply(*parts, stride)
    assert torch.allclose(own, expected, rtol=1e-12, atol=1e-12)
    for ours, true in zip(gradients(own, *parts), gradients(expected, *parts), strict=True):
        assert torch.allclose(ours, true, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2)])
def test_bf16_uses_the_custom_path_within_its_precision(kernel: int, stride: int) -> None:
    parts = inputs(kernel, torch.bfloat16)
    exact = tuple(part.detach().double().requires_grad_() for part in parts)
    own = depthwise_conv2d(*parts, stride)
    assert type(own.grad_fn).__name__ == "_DepthwiseConv2dBackward"
    for ours, true in zip(gradients(own, *parts), gradients(reference(*exact, stride), *exact), strict=True):
        assert (ours.double() - true).abs().max() <= 0.02 * true.abs().max()


def test_autocast_uses_the_custom_path() -> None:
    parts = inputs(3, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = depthwise_conv2d(*parts)
    assert y.dtype == torch.bfloat16
    assert all(gradient.dtype == torch.float32 for gradient in gradients(y, *parts))


def test_gradients_that_nobody_needs_are_not_computed() -> None:
    x, weight, bias = inputs(3, torch.bfloat16)
    frozen = depthwise_conv2d(x, weight.detach(), bias.detach())
    assert torch.equal(gradients(frozen, x)[0], gradients(depthwise_conv2d(x, weight, bias), x)[0])


@pytest.mark.parametrize("stride", [1, 2])
def test_without_gradients_the_result_is_the_same(stride: int) -> None:
    parts = inputs(5, torch.float32)
    with torch.no_grad():
        assert torch.allclose(depthwise_conv2d(*parts, stride), reference(*parts, stride), rtol=1e-5, atol=1e-5)
