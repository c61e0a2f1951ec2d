"""Floating-point operations of what runs, counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count


def count_operations(function: Callable[[], object]) -> int:
    """Of matrix products, convolutions and attention; two for a multiplication and an addition."""

    def attention(queries: Any, keys: Any, values: Any, *_: Any, **__: Any) -> int:
        return int(sdpa_flop_count(queries, keys, values))

    # PyTorch's counter knows the fused kernels of GPUs only.
    on_cpu = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=on_cpu) as counter:
        function()
    return int(counter.get_total_flops())
