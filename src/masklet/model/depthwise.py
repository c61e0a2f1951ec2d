"""Depthwise convolution whose backward pass is fast in bf16 on CPUs.

oneDNN's bf16 gradients of depthwise convolutions are 20 to 80 times slower than the forward pass (docs/lab-notes.md;
in fp32 they are not, and PyTorch's own are used). The same gradients can be had from operations that are fast: the
input gradient is a forward depthwise convolution of the zero-inserted output gradient with the flipped kernel; a 5 x 5
weight gradient is four 3 x 3 ones on shifted crops. Forward results and gradients are exact.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def depthwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> Tensor:
    """Depthwise convolution, padded so that the output has ceil(size / stride) cells.

    Args:
        x: (B, C, H, W); H and W even where stride is 2.
        weight: (C, 1, k, k), k odd. With stride 2 the padding is TensorFlow's "SAME" for even sizes: one more row at
            the bottom and the right.
        bias: (C,).
        stride: 1 or 2.

    Returns:
        (B, C, H / stride, W / stride)
    """
    if x.device.type != "cpu" or not torch.is_grad_enabled():
        return _forward(x, weight, bias, stride)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    if x.dtype != torch.bfloat16:
        return _forward(x, weight, bias, stride)
    with torch.autocast("cpu", enabled=False):
        return _DepthwiseConv2d.apply(x, weight, bias, stride)  # type: ignore[no-any-return, no-untyped-call]


def _forward(x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
    kernel = weight.shape[-1]
    if stride == 1:
        return F.conv2d(x, weight, bias, 1, kernel // 2, 1, weight.shape[0])
    before = (kernel - 2) // 2
    after = kernel - 2 - before
    return F.conv2d(F.pad(x, (before, after, before, after)), weight, bias, 2, 0, 1, weight.shape[0])


class _DepthwiseConv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return _forward(x, weight, bias, stride)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        grad = gradients[0].contiguous(memory_format=torch.channels_last)
        if ctx.stride == 2:
            # Output (i, j) was centred on input (2i + 1, 2j + 1): put its gradient back there, with zeros in between.
            spread = torch.zeros(x.shape, dtype=grad.dtype).contiguous(memory_format=torch.channels_last)
            spread[:, :, 1::2, 1::2] = grad
        else:
            spread = grad
        channels, kernel = weight.shape[0], weight.shape[-1]
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = F.conv2d(spread, weight.flip(2, 3).contiguous(), None, 1, kernel // 2, 1, channels)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(spread, x, weight)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias, None


def _weight_gradient(grad: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Gradient of a stride-1 depthwise convolution's weight, in 3 x 3 pieces where the kernel is 5 x 5."""
    channels, kernel = weight.shape[0], weight.shape[-1]
    if kernel != 5:
        return _native_weight_gradient(grad, x, weight, kernel // 2)
    height, width = x.shape[2:]
    padded = F.pad(x, (2, 2, 2, 2))
    corner = weight[:, :, :3, :3].contiguous()
    result = torch.empty((channels, 1, 5, 5), dtype=weight.dtype)
    for top in (0, 2):
        for left in (0, 2):
            crop = padded[:, :, top : top + height + 2, left : left + width + 2]
            crop = crop.contiguous(memory_format=torch.channels_last)
            result[:, :, top : top + 3, left : left + 3] = _native_weight_gradient(grad, crop, corner, 0)
    return result


def _native_weight_gradient(grad: Tensor, x: Tensor, weight: Tensor, padding: int) -> Tensor:
    channels = weight.shape[0]
    gradients = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [1, 1], [padding] * 2, [1, 1], False, [0, 0], channels, [False, True, False]
    )
    return gradients[1]  # type: ignore[no-any-return]
