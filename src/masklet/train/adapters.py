"""LoRA through peft: small trained matrices next to frozen layers, multiplied into them when the model is saved.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from masklet.errors import ConfigError, EngineError
from masklet.model.sam2 import SAM2
from masklet.train.config import LoraConfig

_MARK = "lora_"


def add_adapters(model: SAM2, config: LoraConfig) -> list[str]:
    """Put adapters next to the linear layers that match, and freeze these layers. Other layers stay as they are.

    Returns:
        The names of the layers.

    Raises:
        EngineError: peft is not installed.
        ConfigError: no layer matches.
    """
    try:
        import peft
    except ImportError as error:
        raise EngineError('LoRA needs peft: pip install "masklet[train]"') from error
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    layers = [name for name in linear if any(fnmatchcase(name, pattern) for pattern in config.layers)]
    if not layers:
        raise ConfigError(
            f"lora.layers: no linear layer is named like {' or '.join(config.layers)}; names are such as "
            f"{', '.join(linear[:: max(1, len(linear) // 5)])}"
        )
    learns = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    settings = peft.LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=layers)
    peft.inject_adapter_in_model(settings, model)
    # peft freezes everything but its adapters; here the other parameters learn as before.
    for name, parameter in model.named_parameters():
        if _MARK not in name and ".base_layer." not in name:
            parameter.requires_grad_(learns[name])
    return layers


@torch.no_grad()
def plain_weights(model: SAM2) -> dict[str, Tensor]:
    """Return the weights as `SAM2(model.config)` has them: copies, with adapters multiplied into their layers."""
    changes = {
        f"{name}.base_layer.weight": module.get_delta_weight("default")
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    return {
        name.replace(".base_layer.", "."): (value + changes[name] if name in changes else value).detach().clone()
        for name, value in model.state_dict().items()
        if _MARK not in name
    }
