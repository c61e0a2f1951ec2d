"""Selection of the parameters that learn, their learning rates, and their running average."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from masklet.errors import ConfigError
from masklet.model.sam2 import SAM2
from masklet.train.config import OptimizerConfig

_TRUNK = "image_encoder.trunk."
_MEMORY_PARTS = (
    "memory_",
    "slot_",
    "absent_",
    "pointer_",
    "no_object_pointer",
    "correspondence",
    "mask_decoder.object_score",
)
"""Name prefixes of parameters that only clips train."""


def freeze(model: SAM2, stages: int, patterns: Sequence[str]) -> None:
    """Stop training the trunk's first stages and whatever matches a pattern.

    Raises:
        ConfigError: a pattern matches nothing.
    """
    model.image_encoder.trunk.freeze(stages)
    # The rows of the mask prompt's reduction are engine arithmetic, not something to learn.
    model.mask_prompt_conv.requires_grad_(False)
    parameters = dict(model.named_parameters())
    for pattern in patterns:
        matching = [name for name in parameters if fnmatchcase(name, pattern)]
        if not matching:
            raise ConfigError(
                f"frozen: no parameter is named like {pattern!r}; names are such as {', '.join(list(parameters)[::90])}"
            )
        for name in matching:
            parameters[name].requires_grad_(False)


def trunk_depth(name: str) -> int | None:
    """Return the depth of a parameter in its trunk: 0 next to the pixels, then block by block; None outside of it."""
    if not name.startswith(_TRUNK):
        return None
    block = re.match(r"(?:blocks|stages)\.(\d+)\.", name.removeprefix(_TRUNK))
    return 0 if block is None else int(block[1]) + 1


def build_optimizer(model: SAM2, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return AdamW with a rate by part (trunk, image parts, memory parts) and, in the trunk, by depth.

    Biases, norms and embeddings have no weight decay. A group's "top" is its rate at the top of the schedule.
    """
    depths = [depth for name, _ in model.named_parameters() if (depth := trunk_depth(name)) is not None]
    deepest = max(depths, default=0)
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth = trunk_depth(name)
        if depth is not None:
            scale = config.trunk_scale * config.layer_decay ** (deepest - depth)
        else:
            scale = 1.0 if name.startswith(_MEMORY_PARTS) else config.old_scale
        decay = config.weight_decay if parameter.ndim > 1 and "embedding" not in name else 0.0
        groups.setdefault((scale, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "top": config.learning_rate * scale, "weight_decay": decay}
            for (scale, decay), parameters in groups.items()
        ],
        lr=config.learning_rate,
        betas=config.betas,
        fused=True,
    )


class WeightAverage:
    """Exponential moving average of the trained parameters, younger at the start."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.names = [name for name, p in model.named_parameters() if p.requires_grad]
        self.values = [p.detach().clone() for p in model.parameters() if p.requires_grad]

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = [p.detach() for p in model.parameters() if p.requires_grad]
        torch._foreach_lerp_(self.values, current, 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Give the model the averaged weights within a `with` block."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        current = [p.data for p in parameters]
        try:
            for parameter, value in zip(parameters, self.values, strict=True):
                parameter.data = value
            yield
        finally:
            for parameter, value in zip(parameters, current, strict=True):
                parameter.data = value

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "values": dict(zip(self.names, self.values, strict=True))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        with torch.no_grad():
            for name, value in zip(self.names, self.values, strict=True):
                value.copy_(state["values"][name])
