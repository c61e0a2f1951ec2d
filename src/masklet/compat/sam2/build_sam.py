"""Official `build_sam.py`: models from a checkpoint or from the hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, cast

from masklet.api import load
from masklet.checks import check_path
from masklet.compat.sam2.model import SAM2Base
from masklet.compat.sam2.sam2_video_predictor import SAM2VideoPredictor
from masklet.engine.hub import EMBEDDED
from masklet.engine.staged import StagedEngine
from masklet.errors import CheckpointError, ConfigError
from masklet.memory.policies import OfficialConfig

_SIZES = {"t": "tiny", "s": "small", "b+": "base-plus", "b_plus": "base-plus", "base_plus": "base-plus", "l": "large"}
_CONFIG_NAME = re.compile(r"(sam2(?:\.1)?)_hiera_(\w+\+?)(?:\.yaml)?$")

HOLE_AREA = 8
"""Pixels of the low-res logits. Source: sam2 2b90b9f, build_sam.py."""


def build_sam2(
    config_file: str | None = None,
    ckpt_path: str | PathLike[str] | None = None,
    device: Any = "cuda",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    **kwargs: Any,
) -> SAM2Base:
    """Return a model for `SAM2ImagePredictor` and `SAM2AutomaticMaskGenerator`.

    Args:
        config_file: official name. The weights say themselves what they are, so it is used only when there are none:
            then it names the official ones.
        ckpt_path: what `masklet.load` takes, "nano" included; None takes the official weights from the hub.
        device: a torch device; exported models, as nano, run on the CPU whatever it is.
        mode: "eval".
        hydra_overrides_extra: see `build_sam2_video_predictor`; of those for videos nothing is made here.
        apply_postprocessing: a single mask that is not stable gives way to the best of three.

    Raises:
        CheckpointError: the weights are unknown, unfit or not to be had.
        ConfigError: an override that means nothing here, or `mode` is not "eval".
        EngineError: there is no such device.
    """
    engine = _load(config_file, ckpt_path, device, mode)
    _settings(engine, hydra_overrides_extra, apply_postprocessing)
    return SAM2Base(engine)


def build_sam2_video_predictor(
    config_file: str | None = None,
    ckpt_path: str | PathLike[str] | None = None,
    device: Any = "cuda",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    vos_optimized: bool = False,
    **kwargs: Any,
) -> SAM2VideoPredictor:
    """Return a predictor for videos.

    Args:
        config_file: see `build_sam2`.
        ckpt_path: see `build_sam2`.
        device: a torch device.
        mode: "eval".
        hydra_overrides_extra: "++model.<name>=<value>" for the names in `OVERRIDES`.
        apply_postprocessing: as for images; besides, holes of up to 8 low-res pixels are filled, and masks of prompted
            frames are remembered as binary.
        vos_optimized: taken and not needed.

    Raises:
        CheckpointError: the weights are unknown, unfit or not to be had.
        ConfigError: an override that means nothing here, or `mode` is not "eval".
        EngineError: there is no such device, or the weights have no memory.
    """
    engine = _load(config_file, ckpt_path, device, mode)
    return SAM2VideoPredictor(engine, **_settings(engine, hydra_overrides_extra, apply_postprocessing))


def build_sam2_hf(model_id: str, **kwargs: Any) -> SAM2Base:
    """Call `build_sam2` with weights from the hub, by their repository: "facebook/sam2.1-hiera-tiny"."""
    return build_sam2(None, ckpt_path=model_id, **kwargs)


def build_sam2_video_predictor_hf(model_id: str, **kwargs: Any) -> SAM2VideoPredictor:
    """Call `build_sam2_video_predictor` with weights from the hub, by their repository."""
    return build_sam2_video_predictor(None, ckpt_path=model_id, **kwargs)


def _load(config_file: str | None, ckpt_path: str | PathLike[str] | None, device: Any, mode: str) -> StagedEngine[Any]:
    if mode != "eval":
        raise ConfigError(f"mode must be 'eval', got {mode!r}: to train, use masklet train")
    name = ckpt_path
    if name is None:
        match = _CONFIG_NAME.search(str(config_file))
        size = None if match is None else _SIZES.get(match[2], match[2])
        if match is None or size not in _SIZES.values():
            raise CheckpointError(
                f"config_file must be an official name such as 'configs/sam2.1/sam2.1_hiera_t.yaml' when there is no "
                f"ckpt_path, got {config_file!r}"
            )
        name = f"{match[1]}-{size}"
    check_path("ckpt_path", name, error=CheckpointError)
    # fp32, as the official code: for bf16, put the calls under torch.autocast.
    runs_on_cpu_only = str(name) in EMBEDDED or (Path(name) / "model.json").is_file()
    model = load(name, device="cpu" if runs_on_cpu_only else device, precision="fp32")
    return cast("StagedEngine[Any]", model.engine)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


_MEMORY: dict[str, tuple[str, Callable[[str], Any]]] = {
    "add_all_frames_to_correct_as_cond": ("corrections_stay", _flag),
    "max_cond_frames_in_attn": ("max_prompted", lambda text: None if int(text) < 0 else int(text)),
    "memory_temporal_stride_for_eval": ("official", lambda text: OfficialConfig(stride=int(text))),
    "num_maskmem": ("spatial_slots", int),
    "max_obj_ptrs_in_encoder": ("max_pointers", int),
}
"""Official name: argument of `MemoryConfig.official`, and how to read its value from text."""
_PREDICTOR: dict[str, tuple[str, Callable[[str], Any]]] = {
    "fill_hole_area": ("fill_hole_area", int),
    "non_overlap_masks": ("non_overlap_masks", _flag),
    "binarize_mask_from_pts_for_mem_enc": ("binarize_mask_from_pts_for_mem_enc", _flag),
}
"""Official name: argument of `SAM2VideoPredictor`, and its value in text."""
_STABILITY = "sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh"
_BY_STABILITY = "sam_mask_decoder_extra_args.dynamic_multimask_via_stability"

OVERRIDES = (*_MEMORY, *_PREDICTOR, _STABILITY, _BY_STABILITY)
"""Settings that `hydra_overrides_extra` may change."""


def _settings(engine: StagedEngine[Any], overrides: Sequence[str], apply_postprocessing: bool) -> dict[str, Any]:
    """Set what is the engine's; the rest as arguments of `SAM2VideoPredictor`."""
    memory: dict[str, Any] = {}
    settings: dict[str, Any] = {
        "fill_hole_area": HOLE_AREA if apply_postprocessing else 0,
        "binarize_mask_from_pts_for_mem_enc": apply_postprocessing,
    }
    threshold = engine.spec.stability_threshold if apply_postprocessing else 0.0
    for override in overrides:
        name, is_set, text = override.lstrip("+").removeprefix("model.").partition("=")
        try:
            if not is_set or name not in OVERRIDES:
                raise ConfigError(f"override {override!r} is unknown: expected one of {', '.join(OVERRIDES)}")
            if name in _MEMORY:
                field, read = _MEMORY[name]
                memory[field] = read(text)
            elif name in _PREDICTOR:
                field, read = _PREDICTOR[name]
                settings[field] = read(text)
            elif name == _STABILITY:
                threshold = float(text)
            else:
                threshold = threshold if _flag(text) else 0.0
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"override {override!r} has a value that does not fit: {error}") from error
    engine.spec = replace(engine.spec, stability_threshold=threshold)
    return settings | {"memory": memory}
