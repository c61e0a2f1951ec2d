"""Names of the weights in the official SAM 2 release and in transformers. They appear here and nowhere else.

One table says what each part is called; reading and writing both follow from it, since a file is compared with what a
model of its configuration would write.

Source: sam2 2b90b9f, sam2_base.py and the modules it builds; transformers 5.23, modeling_sam2_video.py `Sam2VideoModel`
and configuration_sam2_video.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from masklet.errors import CheckpointError, ConfigError
from masklet.model.config import OFFICIAL_CONFIGS, HieraConfig, ModelConfig

ForeignLayout = Literal["sam2", "transformers"]

_Row = tuple[str, str, str]

UNUSED = "no_memory_position"
"""(D,) which both carry and neither reads: kept, so that a converted file can be converted back exactly."""
FREQUENCIES = "prompt_encoder.position.frequencies"
FREQUENCIES_COPY = "shared_image_embedding.positional_embedding"
"""transformers has the frequencies twice."""
_LABELS = "prompt_encoder.label_embeddings"
_SLOTS = "slot_encodings"
_ROW_VECTORS = {
    "prompt_encoder.padding_embedding": 1,
    "prompt_encoder.no_mask_embedding": 1,
    "no_memory_embedding": 2,
    UNUSED: 2,
    "absent_memory": 1,
    "no_object_pointer": 1,
}
"""Vectors here that have so many leading axes of size 1 there."""


def _under(prefix: str, sam2_prefix: str, transformers_prefix: str, *rows: _Row) -> tuple[_Row, ...]:
    return tuple((f"{prefix}.{a}", f"{sam2_prefix}.{b}", f"{transformers_prefix}.{c}") for a, b, c in rows)


# masklet, sam2, transformers; # is a number.
_ROWS: tuple[_Row, ...] = (
    *_under(
        "image_encoder.trunk",
        "image_encoder.trunk",
        "vision_encoder.backbone",
        ("patch_embed", "patch_embed.proj", "patch_embed.projection"),
        ("position_background", "pos_embed", "pos_embed"),
        ("position_window", "pos_embed_window", "pos_embed_window"),
        ("blocks.#.norm_attention", "blocks.#.norm1", "blocks.#.layer_norm1"),
        ("blocks.#.attention.qkv", "blocks.#.attn.qkv", "blocks.#.attn.qkv"),
        ("blocks.#.attention.project", "blocks.#.attn.proj", "blocks.#.attn.proj"),
        ("blocks.#.norm_mlp", "blocks.#.norm2", "blocks.#.layer_norm2"),
        ("blocks.#.mlp_expand", "blocks.#.mlp.layers.0", "blocks.#.mlp.proj_in"),
        ("blocks.#.mlp_project", "blocks.#.mlp.layers.1", "blocks.#.mlp.proj_out"),
        ("blocks.#.shortcut", "blocks.#.proj", "blocks.#.proj"),
    ),
    *_under(
        "image_encoder.neck",
        "image_encoder.neck",
        "vision_encoder.neck",
        # Ours count from stride 4 up, theirs from stride 32 down.
        *((f"laterals.{i}", f"convs.{3 - i}.conv", f"convs.{3 - i}") for i in range(4)),
    ),
    ("image_encoder.neck.project_4", "sam_mask_decoder.conv_s0", "mask_decoder.conv_s0"),
    ("image_encoder.neck.project_8", "sam_mask_decoder.conv_s1", "mask_decoder.conv_s1"),
    (
        FREQUENCIES,
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "prompt_encoder.shared_embedding.positional_embedding",
    ),
    (_LABELS, "sam_prompt_encoder.point_embeddings.{}.weight", "prompt_encoder.point_embed.weight"),
    *_under(
        "prompt_encoder",
        "sam_prompt_encoder",
        "prompt_encoder",
        ("padding_embedding", "not_a_point_embed.weight", "not_a_point_embed.weight"),
        ("no_mask_embedding", "no_mask_embed.weight", "no_mask_embed.weight"),
        ("mask_downscaler.conv_1", "mask_downscaling.0", "mask_embed.conv1"),
        ("mask_downscaler.norm_1", "mask_downscaling.1", "mask_embed.layer_norm1"),
        ("mask_downscaler.conv_2", "mask_downscaling.3", "mask_embed.conv2"),
        ("mask_downscaler.norm_2", "mask_downscaling.4", "mask_embed.layer_norm2"),
        ("mask_downscaler.project", "mask_downscaling.6", "mask_embed.conv3"),
    ),
    *_under(
        "mask_decoder.transformer",
        "sam_mask_decoder.transformer",
        "mask_decoder.transformer",
        ("blocks.#.self_attention", "layers.#.self_attn", "layers.#.self_attn"),
        ("blocks.#.norm_self", "layers.#.norm1", "layers.#.layer_norm1"),
        ("blocks.#.tokens_to_image", "layers.#.cross_attn_token_to_image", "layers.#.cross_attn_token_to_image"),
        ("blocks.#.norm_tokens", "layers.#.norm2", "layers.#.layer_norm2"),
        ("blocks.#.mlp_expand", "layers.#.mlp.layers.0", "layers.#.mlp.proj_in"),
        ("blocks.#.mlp_project", "layers.#.mlp.layers.1", "layers.#.mlp.proj_out"),
        ("blocks.#.norm_mlp", "layers.#.norm3", "layers.#.layer_norm3"),
        ("blocks.#.image_to_tokens", "layers.#.cross_attn_image_to_token", "layers.#.cross_attn_image_to_token"),
        ("blocks.#.norm_image", "layers.#.norm4", "layers.#.layer_norm4"),
        ("final_attention", "final_attn_token_to_image", "final_attn_token_to_image"),
        ("norm_final", "norm_final_attn", "layer_norm_final_attn"),
    ),
    *_under(
        "mask_decoder",
        "sam_mask_decoder",
        "mask_decoder",
        ("object_score_token", "obj_score_token.weight", "obj_score_token.weight"),
        ("iou_token", "iou_token.weight", "iou_token.weight"),
        ("mask_tokens", "mask_tokens.weight", "mask_tokens.weight"),
        ("upscale_8", "output_upscaling.0", "upscale_conv1"),
        ("norm_8", "output_upscaling.1", "upscale_layer_norm"),
        ("upscale_4", "output_upscaling.3", "upscale_conv2"),
        ("mask_heads.#", "output_hypernetworks_mlps.#", "output_hypernetworks_mlps.#"),
        ("iou_head", "iou_prediction_head", "iou_prediction_head"),
        ("object_score_head", "pred_obj_score_head", "pred_obj_score_head"),
    ),
    *_under(
        "memory_encoder.mask_downsampler",
        "memory_encoder.mask_downsampler",
        "memory_encoder.mask_downsampler",
        # Officially one list: a convolution, a norm and an activation, four times, and a last convolution.
        *((f"convs.{i}", f"encoder.{3 * i}", f"layers.{i}.conv") for i in range(4)),
        *((f"norms.{i}", f"encoder.{3 * i + 1}", f"layers.{i}.layer_norm") for i in range(4)),
        ("project", "encoder.12", "final_conv"),
    ),
    *_under(
        "memory_encoder",
        "memory_encoder",
        "memory_encoder",
        ("feature_project", "pix_feat_proj", "feature_projection"),
        ("fuser.#.depthwise", "fuser.layers.#.dwconv", "memory_fuser.layers.#.depthwise_conv"),
        ("fuser.#.norm", "fuser.layers.#.norm", "memory_fuser.layers.#.layer_norm"),
        ("fuser.#.expand", "fuser.layers.#.pwconv1", "memory_fuser.layers.#.pointwise_conv1"),
        ("fuser.#.project", "fuser.layers.#.pwconv2", "memory_fuser.layers.#.pointwise_conv2"),
        ("fuser.#.scale", "fuser.layers.#.gamma", "memory_fuser.layers.#.scale"),
        ("project", "out_proj", "projection"),
    ),
    *_under(
        "memory_attention",
        "memory_attention",
        "memory_attention",
        ("layers.#.self_attention", "layers.#.self_attn", "layers.#.self_attn"),
        ("layers.#.cross_attention", "layers.#.cross_attn_image", "layers.#.cross_attn_image"),
        ("layers.#.mlp_expand", "layers.#.linear1", "layers.#.linear1"),
        ("layers.#.mlp_project", "layers.#.linear2", "layers.#.linear2"),
        ("layers.#.norm_self", "layers.#.norm1", "layers.#.layer_norm1"),
        ("layers.#.norm_cross", "layers.#.norm2", "layers.#.layer_norm2"),
        ("layers.#.norm_mlp", "layers.#.norm3", "layers.#.layer_norm3"),
        ("norm", "norm", "layer_norm"),
    ),
    (_SLOTS, "maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    ("no_memory_embedding", "no_mem_embed", "no_memory_embedding"),
    (UNUSED, "no_mem_pos_enc", "no_memory_positional_encoding"),
    ("absent_memory", "no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"),
    ("pointer_head", "obj_ptr_proj", "object_pointer_proj"),
    ("no_object_pointer", "no_obj_ptr", "no_object_pointer"),
    ("pointer_time", "obj_ptr_tpos_proj", "temporal_positional_encoding_projection_layer"),
    ("mask_prompt_conv", "mask_downsample", "mask_downsample"),
)

# Suffixes of a row's name in attentions and in MLPs of three layers.
_TAILS: Mapping[str, tuple[str, str]] = {
    "": ("", ""),
    ".query": (".q_proj", ".q_proj"),
    ".key": (".k_proj", ".k_proj"),
    ".value": (".v_proj", ".v_proj"),
    ".out": (".out_proj", ".o_proj"),
    ".layers.0": (".layers.0", ".proj_in"),
    ".layers.1": (".layers.1", ".layers.0"),
    ".layers.2": (".layers.2", ".proj_out"),
}


def _pattern(ours: str) -> re.Pattern[str]:
    number, tails = "([0-9]+)", "|".join(re.escape(tail) for tail in _TAILS)
    return re.compile(rf"{re.escape(ours).replace(re.escape('#'), number)}({tails})(\.weight|\.bias)?")


_PATTERNS = [(_pattern(ours), names) for ours, *names in _ROWS]


def foreign_name(key: str, layout: ForeignLayout) -> str:
    """Return the foreign name of a weight of `SAM2`; if several tensors make it up, a format of their number.

    Raises:
        CheckpointError: the layout has no name for it.
    """
    column = ("sam2", "transformers").index(layout)
    for pattern, names in _PATTERNS:
        if match := pattern.fullmatch(key):
            *numbers, tail, suffix = match.groups()
            name = names[column]
            for number in numbers:
                name = name.replace("#", number, 1)
            return name + _TAILS[tail][column] + (suffix or "")
    raise CheckpointError(f"the layout of {layout} has no name for {key!r}: this is not a model of the official kind")


def to_foreign(key: str, value: Tensor, layout: ForeignLayout) -> dict[str, Tensor]:
    """Return one weight by its foreign name, or names, in the foreign shape and order."""
    name = foreign_name(key, layout)
    if key == _LABELS and layout == "sam2":
        return {name.format(i): value[i : i + 1] for i in range(len(value))}
    if key == FREQUENCIES and layout == "transformers":
        return {name: value, FREQUENCIES_COPY: value}
    if key == _SLOTS:  # foreign order: from the previous frame to prompted frames
        return {name: value.roll(-1, dims=0)[:, None, None]}
    return {name: value.reshape((1,) * _ROW_VECTORS.get(key, 0) + value.shape)}


def from_foreign(key: str, shape: torch.Size, state: Mapping[str, Tensor], layout: ForeignLayout) -> Tensor:
    """Return the weight `key` of `shape` from a foreign state dict; inverse of `to_foreign`."""
    name = foreign_name(key, layout)
    if key == _LABELS and layout == "sam2":
        return torch.cat([state[name.format(i)] for i in range(shape[0])])
    value = state[name].reshape(shape)
    return value.roll(1, dims=0) if key == _SLOTS else value


_OFFICIAL_KIND = {
    "prompt_maps": None,
    "correspondence": None,
    "rope_span": None,
    "decoder_activation": "gelu",
    "decoder_refines": False,
    "smooth_logits": False,
    "combines_masks": False,
    "memory_mask_upscale": 4,
    "memory_mask_channels": (4, 16, 64, 256),
}


def require_official_kind(config: ModelConfig) -> HieraConfig:
    """Return the trunk of a model that the other layouts can describe.

    Raises:
        CheckpointError: it has parts or settings of masklet's own.
    """
    additions = [name for name, value in _OFFICIAL_KIND.items() if getattr(config, name) != value]
    if additions or not isinstance(config.trunk, HieraConfig):
        raise CheckpointError(
            f"{config.name} is not of the official kind ({', '.join(additions or ['trunk'])} differ): only masklet's "
            f"own layout can hold it"
        )
    return config.trunk


# transformers' config.json: field here, field there.
_TRUNK_FIELDS = {
    "embed_dim": "hidden_size",
    "stages": "blocks_per_stage",
    "global_attention_blocks": "global_attention_blocks",
    "window_position_size": "window_positional_embedding_background_size",
    "window_sizes": "window_size_per_stage",
}
_DECODER_FIELDS = {
    "decoder_depth": "num_hidden_layers",
    "decoder_heads": "num_attention_heads",
    "decoder_mlp_dim": "mlp_dim",
    "decoder_activation": "hidden_act",
}
_MODEL_FIELDS = {
    "image_size": "image_size",
    "embed_dim": "memory_attention_hidden_size",
    "memory_dim": "memory_encoder_output_channels",
    "spatial_slots": "num_maskmem",
    "max_pointers": "max_object_pointers_in_encoder",
    "memory_layers": "memory_attention_num_layers",
    "memory_heads": "memory_attention_num_attention_heads",
    "memory_mlp_dim": "memory_attention_feed_forward_hidden_size",
    "memory_fuser_blocks": "memory_fuser_num_layers",
    "memory_fuser_kernel": "memory_fuser_kernel_size",
    "pointer_times": "enable_temporal_pos_encoding_for_object_pointers",
    "absent_memory_embedding": "enable_occlusion_spatial_embedding",
}


def config_from_transformers(values: Mapping[str, Any]) -> ModelConfig:
    """Return the model that transformers' `config.json` describes; fields left out are those of sam2.1-tiny.

    Whether there is a memory is for the weights to say: either class loads a folder of the other.

    Raises:
        CheckpointError: it describes another kind of model, or one that cannot be.
    """
    kind = values.get("model_type")
    if kind not in ("sam2", "sam2_video"):
        raise CheckpointError(f'config.json must have model_type "sam2_video" or "sam2", got {kind!r}')
    base = OFFICIAL_CONFIGS["sam2.1-tiny"]
    try:
        trunk_values = values["vision_config"]["backbone_config"]
        heads = trunk_values.get("num_attention_heads_per_stage", [1])[0]
        trunk = HieraConfig(num_heads=heads, **_read(trunk_values, _TRUNK_FIELDS, base.trunk))
        decoder = _read(values.get("mask_decoder_config", {}), _DECODER_FIELDS, base)
        sizes = {  # the image model gives these in its parts only
            "image_size": values.get("prompt_encoder_config", {}).get("image_size", base.image_size),
            "memory_attention_hidden_size": values["vision_config"].get("fpn_hidden_size", base.embed_dim),
        }
        fields = _read(sizes | dict(values), _MODEL_FIELDS, base)
        if isinstance(fields["image_size"], tuple):
            fields["image_size"] = fields["image_size"][0]
        signed = fields["pointer_times"]
        config = ModelConfig(name="sam2-custom", trunk=trunk, signed_pointer_times=signed, **decoder, **fields)
    except (KeyError, TypeError, IndexError, AttributeError, ConfigError) as error:
        raise CheckpointError(f"config.json describes no model of the SAM 2 family: {error!r}") from error
    for released in OFFICIAL_CONFIGS.values():
        if replace(config, name=released.name, image_size=released.image_size) == released:
            return replace(config, name=released.name)
    return config


def _read(values: Mapping[str, Any], names: Mapping[str, str], base: Any) -> dict[str, Any]:
    fields = {ours: values.get(theirs, getattr(base, ours)) for ours, theirs in names.items()}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def _write(config: Any, names: Mapping[str, str]) -> dict[str, Any]:
    fields = {theirs: getattr(config, ours) for ours, theirs in names.items()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}


def config_to_transformers(config: ModelConfig) -> dict[str, Any]:
    """Return `config.json` for `Sam2VideoModel`, or for `Sam2Model` where there is no memory.

    Raises:
        CheckpointError: the model is not of the official kind.
    """
    trunk, dim, grid = require_official_kind(config), config.embed_dim, config.grid_size
    stages = range(len(trunk.stages))
    parts = {
        "prompt_encoder_config": {"hidden_size": dim, "image_size": config.image_size},
        "mask_decoder_config": {
            "hidden_size": dim,
            "iou_head_hidden_dim": dim,
            **_write(config, _DECODER_FIELDS),
        },
        "vision_config": {
            "model_type": "sam2_vision_model",
            "fpn_hidden_size": dim,
            "backbone_channel_list": list(trunk.channels[::-1]),
            "backbone_feature_sizes": [[side * grid] * 2 for side in (4, 2, 1)],
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "image_size": [config.image_size] * 2,
                "num_attention_heads": trunk.num_heads,
                "num_attention_heads_per_stage": [trunk.num_heads * 2**i for i in stages],
                "embed_dim_per_stage": list(trunk.channels),
                **_write(trunk, _TRUNK_FIELDS),
            },
        },
    }
    if config.images_only:
        return {"architectures": ["Sam2Model"], "model_type": "sam2", "image_size": config.image_size, **parts}
    return {
        "architectures": ["Sam2VideoModel"],
        "model_type": "sam2_video",
        **_write(config, _MODEL_FIELDS),
        "memory_attention_rope_feat_sizes": [grid, grid],
        "memory_encoder_hidden_size": dim,
        "mask_downsampler_embed_dim": dim,
        "memory_fuser_embed_dim": dim,
        "memory_fuser_intermediate_dim": 4 * dim,
        "memory_fuser_padding": config.memory_fuser_kernel // 2,
        **parts,
    }
