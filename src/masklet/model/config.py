"""Configuration of a SAM 2-family model. The defaults are SAM 2.1 base-plus; a variant names what differs.

`ModelConfig` describes the modules; its `inference` holds the facts that the weights do not tell, such as the resize
filter and the thresholds that suit the model. Nothing else in masklet asks which family a model belongs to.

Source: sam2 2b90b9f, configs/sam2.1/*.yaml and sam2_base.py. Where the YAML files override a default of the code, the
value here is the YAML's: these are the models that were released.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, get_args

from masklet.checks import check_choice
from masklet.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class HieraConfig:
    """Hiera, the transformer trunk of the official models."""

    kind: ClassVar[str] = "hiera"
    """Name of this trunk in files."""

    embed_dim: int = 112
    """Channels of the first stage; each later stage doubles them."""
    num_heads: int = 2
    """Attention heads of the first stage; each later stage doubles them."""
    stages: tuple[int, ...] = (2, 3, 16, 3)
    """Blocks per stage, at strides 4, 8, 16 and 32."""
    global_attention_blocks: tuple[int, ...] = (12, 16, 20)
    """Blocks (counted through all stages) that attend over the whole image instead of a window."""
    window_position_size: tuple[int, int] = (14, 14)
    """Grid of the background position embedding, before it is resized to the image."""
    window_sizes: tuple[int, ...] = (8, 4, 14, 7)
    """Side of the attention window per stage, in tokens."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Output channels at strides 4, 8, 16 and 32."""
        return tuple(self.embed_dim * 2**i for i in range(len(self.stages)))

    @property
    def description(self) -> str:
        """Size of the trunk in a few words, for people."""
        blocks = ", ".join(str(count) for count in self.stages)
        return f"Hiera of {self.embed_dim} channels in {blocks} blocks"


@dataclass(frozen=True, kw_only=True, slots=True)
class EfficientNetLiteConfig:
    """EfficientNet-Lite0, the convolutional trunk of nano. Its shape is fixed by the ImageNet weights."""

    kind: ClassVar[str] = "efficientnet_lite0"
    """Name of this trunk in files."""

    channels: tuple[int, int, int, int] = (24, 40, 112, 320)
    """Output channels at strides 4, 8, 16 and 32."""
    neck_blocks: int = 1
    """ConvNeXt blocks on the stride-16 embedding."""

    @property
    def description(self) -> str:
        """Size of the trunk in a few words, for people."""
        return "EfficientNet-Lite0"


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptMapsConfig:
    """Prompts drawn as maps and added to the image embedding (masklet's addition; see prompt_maps.py)."""

    sigmas: tuple[float, ...] = (0.03, 0.08, 0.2, 0.5)
    """Widths of the Gaussians around clicks, in image sides."""
    sample_features: bool = True
    """Add the image features under a click to its token."""
    fine_sigmas: tuple[float, ...] = ()
    """Widths of the Gaussians on the fine maps; with any, prompts and the mask fed back are drawn at strides 8 and 4
    as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CorrespondenceConfig:
    """Matching of remembered pixels by nearest features (masklet's addition; see correspondence.py)."""

    key_dim: int = 64
    """Channels of the matched features."""
    temperature: float = 0.07
    """Initial softmax temperature over cosine similarities; learned."""


Resize = Literal["area", "antialias"]
Speed = Literal["exact", "fast"]


@dataclass(frozen=True, kw_only=True, slots=True)
class InferenceConfig:
    """Facts about running a model that its weights do not tell. The defaults are those of SAM 2."""

    resize: Resize = "antialias"
    """Filter that squares images, see `masklet.masks.geometry`. "antialias" is the official code's, which uses another
    filter for frames of videos."""
    stability_threshold: float = 0.98
    """A single mask less stable than this gives way to the best candidate; 0 = never.
    Source: sam2 2b90b9f, mask_decoder.py `_dynamic_multimask_via_stability`."""
    pads_logits_alone: bool = False
    """True if logits to be corrected, without a point or box, are accompanied by a padding point."""
    memory_defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """`MemoryConfig` fields that suit the model."""
    automatic_defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """`AutomaticConfig` fields that suit the model."""
    calibration: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """IoU prediction to expected IoU by stage, as `masklet evaluate calibration` fits it."""
    max_hole: float = 0.0
    """Holes up to this fraction of a mask's area are filled in what is shown."""
    max_piece: float = 0.0
    """Separate pieces up to this fraction of a mask's area are left out of what is shown."""
    speed: Speed = "exact"
    """Speed that suits the model: the meaning of "auto"."""

    def __post_init__(self) -> None:
        for name, choices in (("resize", get_args(Resize)), ("speed", get_args(Speed))):
            check_choice(f"inference.{name}", getattr(self, name), choices)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """One model of the SAM 2 family."""

    name: str = "sam2.1-base-plus"
    image_size: int = 1024
    """Side of the square input, pixels."""
    trunk: HieraConfig | EfficientNetLiteConfig = field(default_factory=HieraConfig)
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Per RGB channel, of 0..255."""
    pixel_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    embed_dim: int = 256
    """D: width of the image embedding, the tokens and the object pointers."""

    decoder_depth: int = 2
    """Two-way transformer blocks of the mask decoder."""
    decoder_heads: int = 8
    decoder_mlp_dim: int = 2048
    decoder_activation: str = "gelu"
    """Activation of the mask upscaling: 'gelu' or 'relu'."""
    decoder_refines: bool = False
    """Cells look around once more at strides 8 and 4 of the upscaling (masklet's addition: see mask_decoder.py)."""

    smooth_logits: bool = False
    """Blur the low-res logits by [1 2 1] both ways (masklet's addition: see `SAM2.decode`)."""

    combines_masks: bool = False
    """Mask 0 becomes the weighted mean of all four, except in training (masklet's addition: see combined_mask.py)."""

    memory_dim: int = 64
    """C: channels of a spatial memory."""
    spatial_slots: int = 7
    """Temporal encodings for remembered frames: one for prompted, the rest for recent frames."""
    max_pointers: int = 16
    """Object pointers read at most."""
    memory_layers: int = 4
    memory_heads: int = 1
    memory_mlp_dim: int = 2048
    memory_fuser_blocks: int = 2
    memory_fuser_kernel: int = 7
    memory_mask_upscale: int = 4
    """The low-res logits are enlarged this many times before the memory encoder reads them."""
    memory_mask_channels: tuple[int, ...] = (4, 16, 64, 256)
    """Channels of the memory encoder's strided convolutions over the mask, each halving its size."""
    rope_span: float | None = None
    """Rotary positions over the grid: None = one unit a cell (SAM 2); else the grid always spans this many units."""

    pointer_times: bool = True
    """Object pointers carry a temporal encoding (SAM 2.1)."""
    signed_pointer_times: bool = True
    """The encoding tells past from future (SAM 2.1)."""
    absent_memory_embedding: bool = True
    """A learned vector is added to the memory of a frame without the object (SAM 2.1)."""

    prompt_maps: PromptMapsConfig | None = None
    correspondence: CorrespondenceConfig | None = None

    images_only: bool = False
    """The weights came without those of the memory (transformers' `Sam2Model`): it segments, and cannot track."""

    inference: InferenceConfig = field(default_factory=InferenceConfig)

    def __post_init__(self) -> None:
        if self.image_size % 32:
            raise ConfigError(f"image_size must be a multiple of 32, got {self.image_size}")
        if self.embed_dim % self.memory_dim:
            raise ConfigError(
                f"embed_dim must be a multiple of memory_dim ({self.memory_dim}), got {self.embed_dim}: an object "
                f"pointer is split into embed_dim / memory_dim tokens"
            )
        if self.decoder_activation not in ("gelu", "relu"):
            raise ConfigError(f"decoder_activation must be 'gelu' or 'relu', got {self.decoder_activation!r}")

    @property
    def grid_size(self) -> int:
        """Side of the stride-16 embedding."""
        return self.image_size // 16

    @property
    def family(self) -> str:
        """Family and version, for people. Without a memory, SAM 2.0 and 2.1 are the same model."""
        if self.trunk.kind != HieraConfig.kind:
            return "masklet (nano's kind)"
        return "SAM 2" if self.images_only else "SAM 2.1" if self.pointer_times else "SAM 2.0"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `from_dict` reads them back."""
        values = dataclasses.asdict(self)
        values["trunk"]["kind"] = self.trunk.kind
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Inverse of `to_dict`. Missing `inference` facts are those of the trunk's family: older files have none.

        Raises:
            ConfigError: an unknown field or trunk.
        """
        try:
            parts = dict(values)
            trunk = dict(parts.pop("trunk"))
            kind = trunk.pop("kind", None)
            if kind not in _TRUNKS:
                raise ConfigError(f"trunk.kind must be one of {', '.join(sorted(_TRUNKS))}, got {kind!r}")
            parts["trunk"] = _TRUNKS[kind](**_tuples(trunk))
            parts["inference"] = replace(_FAMILY_INFERENCE[kind], **parts.pop("inference", {}))
            for key, record in (("prompt_maps", PromptMapsConfig), ("correspondence", CorrespondenceConfig)):
                if parts.get(key) is not None:
                    parts[key] = record(**_tuples(parts[key]))
            return cls(**_tuples(parts))
        except ConfigError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"model configuration does not fit this version of masklet: {error}") from error


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


_HIERA = {
    "tiny": HieraConfig(
        embed_dim=96,
        num_heads=1,
        stages=(1, 2, 7, 2),
        global_attention_blocks=(5, 7, 9),
        window_position_size=(7, 7),
    ),
    "small": HieraConfig(
        embed_dim=96,
        num_heads=1,
        stages=(1, 2, 11, 2),
        global_attention_blocks=(7, 10, 13),
        window_position_size=(7, 7),
    ),
    "base-plus": HieraConfig(),
    "large": HieraConfig(
        embed_dim=144,
        num_heads=2,
        stages=(2, 6, 36, 4),
        global_attention_blocks=(23, 33, 43),
        window_position_size=(7, 7),
        window_sizes=(8, 4, 16, 8),
    ),
}

OFFICIAL_CONFIGS: Mapping[str, ModelConfig] = {
    **{f"sam2.1-{size}": ModelConfig(name=f"sam2.1-{size}", trunk=trunk) for size, trunk in _HIERA.items()},
    **{
        f"sam2-{size}": ModelConfig(
            name=f"sam2-{size}",
            trunk=trunk,
            pointer_times=False,
            signed_pointer_times=False,
            absent_memory_embedding=False,
        )
        for size, trunk in _HIERA.items()
    },
}
"""The eight released models by name."""

NANO_INFERENCE = InferenceConfig(
    resize="area",
    stability_threshold=0.0,
    pads_logits_alone=True,
    # Memory slots beyond these were hardly trained and change nothing (docs/lab-notes.md).
    memory_defaults={"spatial_slots": 3},
    # nano predicts lower IoUs than SAM 2, whose thresholds none of its masks pass; these were chosen on validation
    # images, where they find most objects for the number of masks (docs/lab-notes.md).
    automatic_defaults={
        "points_per_side": 24,
        "min_iou": 0.45,
        "min_stability": 0.8,
        "stability_offset": 0.2,
        "min_region_area": 100,
    },
    max_hole=0.01,
    max_piece=0.1,
    speed="fast",
)

NANO_CONFIG = ModelConfig(
    name="nano",
    image_size=384,
    trunk=EfficientNetLiteConfig(),
    pixel_mean=(127.5, 127.5, 127.5),
    pixel_std=(127.5, 127.5, 127.5),
    embed_dim=128,
    decoder_heads=4,
    decoder_mlp_dim=512,
    decoder_activation="relu",
    decoder_refines=True,
    smooth_logits=True,
    combines_masks=True,
    memory_layers=2,
    memory_mlp_dim=512,
    max_pointers=8,
    memory_fuser_kernel=5,
    memory_mask_upscale=1,
    memory_mask_channels=(16, 64),
    rope_span=16.0,
    prompt_maps=PromptMapsConfig(fine_sigmas=(0.015, 0.06)),
    correspondence=CorrespondenceConfig(),
    inference=NANO_INFERENCE,
)
"""masklet's own small model: the same system on a convolutional trunk, about 5 M parameters."""

_TRUNKS: Mapping[str, type[HieraConfig | EfficientNetLiteConfig]] = {
    trunk.kind: trunk for trunk in (HieraConfig, EfficientNetLiteConfig)
}
"""Trunk configurations by their name in files."""

_FAMILY_INFERENCE: Mapping[str, InferenceConfig] = {
    HieraConfig.kind: InferenceConfig(),
    EfficientNetLiteConfig.kind: NANO_INFERENCE,
}
"""Inference facts by trunk, for files written before `ModelConfig.inference` existed. A new trunk needs an entry."""
