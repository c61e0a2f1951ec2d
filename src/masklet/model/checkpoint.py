"""Weights from files and back, in three layouts: masklet's own, the official SAM 2 release's, and transformers'.

The official release says nothing of its configuration; it is recognised from the weights. Nothing is half-loaded: all
keys, shapes and types are compared with those of the model before any weight leaves this module.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from masklet.errors import CheckpointError, ConfigError
from masklet.model.config import OFFICIAL_CONFIGS, HieraConfig, ModelConfig
from masklet.model.foreign import (
    FREQUENCIES,
    FREQUENCIES_COPY,
    UNUSED,
    ForeignLayout,
    config_from_transformers,
    config_to_transformers,
    foreign_name,
    from_foreign,
    require_official_kind,
    to_foreign,
)
from masklet.model.sam2 import SAM2
from masklet.output import atomic_path, make_folder

Layout = Literal["masklet", "sam2", "transformers"]
StateDict = dict[str, Tensor]

MAX_LISTED = 10
"""Keys of each kind that an error names; it counts the others."""
_METADATA_KEY = "masklet"
_UNUSED_PREFIX = "unused."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model at rest, complete and checked."""

    config: ModelConfig
    weights: StateDict
    """`SAM2(config).state_dict()`, in the dtype of the file."""
    unused: StateDict = field(default_factory=dict)
    """What the official model carries and never reads; kept for an exact way back."""
    layout: Layout = "masklet"
    """What it was read from."""


def load_model(path: str | Path, config: ModelConfig | None = None) -> SAM2:
    """Read a checkpoint into a model, in fp32 on the CPU; see `read_checkpoint`."""
    checkpoint = read_checkpoint(path, config)
    model = SAM2(checkpoint.config)
    model.load_state_dict(checkpoint.weights)
    return model.eval()


def load_checkpoint(path: str | Path, config: ModelConfig | None = None) -> tuple[ModelConfig, StateDict]:
    """Configuration and weights of a checkpoint; see `read_checkpoint`."""
    checkpoint = read_checkpoint(path, config)
    return checkpoint.config, checkpoint.weights


def read_checkpoint(path: str | Path, config: ModelConfig | None = None) -> Checkpoint:
    """Read a checkpoint of any layout. Only tensors are read: code in a pickle is refused, never run.

    Args:
        path: a `.pt` or `.safetensors` file, or a folder of transformers (`model.safetensors` and `config.json`).
        config: for foreign weights of a model that was never released; the others are recognised.

    Raises:
        CheckpointError: no such file; truncated or not a checkpoint; code in a pickle; another family of models; keys
            missing, unexpected, wrongly shaped or no floating-point numbers, each by its name in the file.
    """
    path = Path(path)
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(
            f"checkpoint {file} does not exist: give a .pt or .safetensors file or transformers' folder"
        )
    try:
        content, own_config = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
        if own_config is not None:
            return _from_masklet(content, own_config)
        layout = _layout_of(content)
        if config is None and layout == "transformers":
            config = _transformers_config(file.parent / "config.json")
        return _from_foreign(content, layout, config)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error


def from_sam2(state_dict: Mapping[str, Tensor], config: ModelConfig | None = None) -> Checkpoint:
    """Take over the official release's state dict, which its `.pt` files hold under "model".

    Args:
        state_dict: by the official names.
        config: None recognises the eight released models.

    Raises:
        CheckpointError: see `read_checkpoint`.
    """
    return _from_foreign(state_dict, "sam2", config)


def to_sam2(checkpoint: Checkpoint) -> StateDict:
    """The state dict as the official release names it; inverse of `from_sam2`.

    Raises:
        CheckpointError: the model is not of the official kind.
    """
    return _to_foreign(checkpoint, "sam2")


def from_transformers(state_dict: Mapping[str, Tensor], config: ModelConfig | None = None) -> Checkpoint:
    """Take over the state dict of transformers' `Sam2VideoModel`; arguments and errors as `from_sam2`."""
    return _from_foreign(state_dict, "transformers", config)


def to_transformers(checkpoint: Checkpoint) -> StateDict:
    """The state dict of transformers' `Sam2VideoModel` (`Sam2Model` takes what it needs of it); as `to_sam2`."""
    return _to_foreign(checkpoint, "transformers")


def save_checkpoint(checkpoint: Checkpoint, path: str | Path, layout: Layout = "masklet") -> None:
    """Write a checkpoint. An existing file is replaced once the new one is complete.

    Args:
        checkpoint: what to write.
        path: for "masklet" and "sam2" a file, in safetensors' format if its name ends so, else in PyTorch's; for
            "transformers" a folder.
        layout: whose names and format.

    Raises:
        CheckpointError: an unknown layout, or one that has no words for this model.
        OutputError: the place is not writable.
    """
    path, config = Path(path), checkpoint.config
    if layout == "transformers":
        state, description = to_transformers(checkpoint), config_to_transformers(config)
        make_folder(path)
        _write_safetensors(state, path / "model.safetensors")
        with atomic_path(path / "config.json") as partial:
            partial.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    elif layout == "sam2":
        state = to_sam2(checkpoint)
        if path.suffix == ".safetensors":
            _write_safetensors(state, path)
        else:
            _write_pickle({"model": state}, path)
    elif layout == "masklet":
        state = checkpoint.weights | {_UNUSED_PREFIX + key: value for key, value in checkpoint.unused.items()}
        if path.suffix == ".safetensors":
            _write_safetensors(state, path, {_METADATA_KEY: json.dumps(config.to_dict())})
        else:
            _write_pickle({"config": config.to_dict(), "model": state}, path)
    else:
        raise CheckpointError(f"layout must be one of {', '.join(get_args(Layout))}, got {layout!r}")


# From and to weights.


def _from_masklet(content: Mapping[str, Any], description: Mapping[str, Any]) -> Checkpoint:
    if "trunk" not in description:
        raise CheckpointError("this is the state of a training: give the ema.pt beside it, which is the model")
    try:
        config = ModelConfig.from_dict(description)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    unused = {key.removeprefix(_UNUSED_PREFIX): content[key] for key in content if key.startswith(_UNUSED_PREFIX)}
    weights = {key: value for key, value in content.items() if not key.startswith(_UNUSED_PREFIX)}
    _check(_blank_weights(config), weights, config.name)
    return Checkpoint(config, weights, unused)


def _from_foreign(state_dict: Mapping[str, Any], layout: ForeignLayout, config: ModelConfig | None) -> Checkpoint:
    config = config or _recognise(state_dict, layout)
    require_official_kind(config)
    blank, given = _blank_weights(config), dict(state_dict)
    if layout == "transformers":
        _fit_transformers(given)
    expected = {name: tensor for key in blank for name, tensor in to_foreign(key, blank[key], layout).items()}
    unused_name = foreign_name(UNUSED, layout)
    if unused_name in given:
        expected |= to_foreign(UNUSED, blank["no_memory_embedding"], layout)
    _check(expected, given, config.name)
    weights = {key: from_foreign(key, value.shape, given, layout) for key, value in blank.items()}
    unused = {UNUSED: given[unused_name].flatten()} if unused_name in given else {}
    return Checkpoint(config, weights, unused, layout)


def _to_foreign(checkpoint: Checkpoint, layout: ForeignLayout) -> StateDict:
    require_official_kind(checkpoint.config)
    unused = checkpoint.unused or {UNUSED: torch.zeros_like(checkpoint.weights["no_memory_embedding"])}
    state = checkpoint.weights | unused
    return {name: tensor for key in state for name, tensor in to_foreign(key, state[key], layout).items()}


def _fit_transformers(given: dict[str, Any]) -> None:
    """Even out what differs between versions and classes of transformers.

    Raises:
        CheckpointError: weights of the image model alone, or that no version would save.
    """
    if not any(key.startswith("memory_attention.") for key in given):
        raise CheckpointError(
            "these are weights of transformers' image model (Sam2Model), without a memory: give those of a "
            "Sam2VideoModel, which segments images as well"
        )
    pair = foreign_name(FREQUENCIES, "transformers"), FREQUENCIES_COPY
    present = [given[name] for name in pair if name in given]
    if present and not all(torch.equal(present[0], other) for other in present):
        raise CheckpointError(f"{' and '.join(pair)} differ: they are the same thing and must be equal")
    given |= {name: present[0] for name in pair if present}  # some versions save one of the two


def _check(expected: Mapping[str, Tensor], given: Mapping[str, Any], model_name: str) -> None:
    """Every key there and no other, all of them floating-point numbers in the right shape."""
    wrong_type, wrong_shape = [], []
    for key in expected.keys() & given.keys():
        value = given[key]
        if not isinstance(value, Tensor) or not value.is_floating_point():
            wrong_type.append(f"{key} ({value.dtype if isinstance(value, Tensor) else type(value).__name__})")
        elif value.shape != expected[key].shape:
            wrong_shape.append(f"{key} (expected {tuple(expected[key].shape)}, got {tuple(value.shape)})")
    problems = {
        "missing": [key for key in expected if key not in given],
        "unexpected": [str(key) for key in given if key not in expected],
        "of another shape": wrong_shape,
        "not of floating-point numbers": wrong_type,
    }
    found = [f"{len(keys)} {what}: {_listed(sorted(keys))}" for what, keys in problems.items() if keys]
    if found:
        raise CheckpointError(f"the weights do not fit {model_name}; keys {'; '.join(found)}")


def _listed(keys: list[str]) -> str:
    more = len(keys) - MAX_LISTED
    return ", ".join(keys[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _blank_weights(config: ModelConfig) -> StateDict:
    """Names and shapes of a model's weights, without the memory for them."""
    with torch.device("meta"):
        return SAM2(config).state_dict()


# Which model is it?

_MARKS: Mapping[ForeignLayout, tuple[str, ...]] = {
    "sam2": ("image_encoder.trunk.", "sam_mask_decoder."),
    "transformers": ("vision_encoder.backbone.", "mask_decoder."),
}
_OTHER_FAMILIES = {
    "detector.": "SAM 3",
    "image_encoder.blocks.": "SAM 1 (Segment Anything)",
    "vision_encoder.layers.": "SAM 1 (Segment Anything)",
    "mask_decoder.": "a variant of SAM 1 (Segment Anything)",
}


def _layout_of(state: Mapping[str, Any]) -> ForeignLayout:
    """Whose names these are.

    Raises:
        CheckpointError: of nobody who makes SAM 2.
    """

    def has(mark: str) -> bool:
        return any(str(key).startswith(mark) for key in state)

    for layout, marks in _MARKS.items():
        if all(has(mark) for mark in marks):
            return layout
    for mark, family in _OTHER_FAMILIES.items():
        if has(mark):
            raise CheckpointError(f"these are weights of {family}, which is another model than SAM 2")
    first = ", ".join(repr(key) for key in list(state)[:3])
    raise CheckpointError(
        f"these are no weights of SAM 2: none of its parts is among the {len(state)} keys ({first} ...)"
    )


def _recognise(state: Mapping[str, Any], layout: ForeignLayout) -> ModelConfig:
    """The released model that has this trunk and, of its two versions, this memory.

    Raises:
        CheckpointError: there is none.
    """

    def has(key: str) -> bool:
        return foreign_name(key, layout) in state

    trunk = "image_encoder.trunk"
    patches = state.get(foreign_name(f"{trunk}.patch_embed.weight", layout))
    embed_dim = patches.shape[0] if isinstance(patches, Tensor) and patches.ndim else 0
    stages: list[int] = []
    while has(f"{trunk}.blocks.{sum(stages)}.norm_attention.weight"):
        if not stages or has(f"{trunk}.blocks.{sum(stages)}.shortcut.weight"):
            stages.append(0)
        stages[-1] += 1
    version = "sam2.1" if has("absent_memory") or has("pointer_time.weight") else "sam2"
    known = {name: c for name, c in OFFICIAL_CONFIGS.items() if name.startswith(f"{version}-")}
    trunks = {}
    for name, config in known.items():
        assert isinstance(config.trunk, HieraConfig)
        if (config.trunk.embed_dim, config.trunk.stages) == (embed_dim, tuple(stages)):
            return config
        trunks[name] = f"{config.trunk.embed_dim} in {config.trunk.stages}"
    raise CheckpointError(
        f"no released model has such a trunk: channels and blocks are {embed_dim} in {tuple(stages)}, expected "
        f"{', '.join(f'{text} ({name})' for name, text in trunks.items())}"
    )


def _transformers_config(path: Path) -> ModelConfig | None:
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}") from error
    return config_from_transformers(values if isinstance(values, dict) else {})


# Files. Tensors, and masklet's description of the model where the file has one.


def _read_safetensors(path: Path) -> tuple[StateDict, dict[str, Any] | None]:
    try:
        with safe_open(path, framework="pt") as file:
            description = (file.metadata() or {}).get(_METADATA_KEY)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
        return tensors, None if description is None else json.loads(description)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"damaged, or no safetensors file: {error}") from error


def _read_pickle(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower():
            raise CheckpointError(
                "it holds more than tensors, and reading it could run code: save the state dict alone"
            ) from error
        raise CheckpointError("damaged, or no PyTorch file") from error
    except Exception as error:  # torch raises nearly anything on a damaged file
        raise CheckpointError(f"damaged, or no PyTorch file: {(str(error) or repr(error)).splitlines()[0]}") from error
    state = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise CheckpointError(f"it must hold a state dict, got {type(content).__name__}")
    description = content.get("config") if state is not content else None
    return state, description if isinstance(description, dict) else None


def _write_safetensors(state: StateDict, path: Path, metadata: dict[str, str] | None = None) -> None:
    # Cloned, since the format refuses tensors that share memory.
    tensors = {key: value.clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    with atomic_path(path) as partial:
        save_file(tensors, partial, {"format": "pt"} | (metadata or {}))


def _write_pickle(content: dict[str, Any], path: Path) -> None:
    with atomic_path(path) as partial:
        torch.save(content, partial)
