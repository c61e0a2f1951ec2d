"""Weights from files and back, in three layouts: masklet's own, the official SAM 2 release's, and transformers'.

The official release says nothing of its configuration; it is recognised from the weights. Nothing is half-loaded: all
keys, shapes and types are compared with those of the model before any weight leaves this module.

Weights without a memory (transformers' `Sam2Model`) become a model whose memory parts are zeros, and whose
configuration says so (`images_only`): it segments images like any other, and whoever tracks refuses it.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from masklet.errors import CheckpointError, ConfigError, OutputError
from masklet.foreign.documents import parse_json, read_json, reading
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
_IMAGE_PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.", "no_memory_embedding")
"""Prefixes of the keys of the image parts; all other keys belong to the memory."""
_STATE_DICTS = ("model", "state_dict", "model_state_dict")
"""Keys under which training scripts store the state dict, next to optimizers and epochs, which are not read."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights and configuration of a model, complete and checked."""

    config: ModelConfig
    weights: StateDict
    """`SAM2(config).state_dict()`, in the dtype of the file; zeros for the memory that a model of images only lacks."""
    unused: StateDict = field(default_factory=dict)
    """Weights that the official model has and never reads; kept so that a conversion back is exact."""
    layout: Layout = "masklet"
    """Layout of the file that it was read from."""

    @property
    def own_weights(self) -> StateDict:
        """Return the weights without the zeros that stand for a missing memory."""
        return {key: value for key, value in self.weights.items() if _is_there(key, self.config)}

    @property
    def num_parameters(self) -> int:
        return sum(value.numel() for key, value in self.own_weights.items() if key != FREQUENCIES)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Types of the weights: "float32", "bfloat16", ..."""
        return tuple(sorted({str(value.dtype).removeprefix("torch.") for value in self.own_weights.values()}))


def load_model(path: str | Path, config: ModelConfig | None = None, *, image_size: int | None = None) -> SAM2:
    """Read a checkpoint into a model, in fp32 on the CPU; see `read_checkpoint`."""
    checkpoint = read_checkpoint(path, config, image_size=image_size)
    model = SAM2(checkpoint.config)
    model.load_state_dict(checkpoint.weights)
    return model.eval()


def read_checkpoint(
    path: str | Path, config: ModelConfig | None = None, *, image_size: int | None = None
) -> Checkpoint:
    """Read a checkpoint of any layout. Only tensors are read: code in a pickle is refused, never run.

    Args:
        path: a `.pt` or `.safetensors` file, or a folder of transformers (`model.safetensors` and `config.json`).
        config: for foreign weights of a model that was never released; the others are recognised.
        image_size: side of the square input, for a model that was trained at another size than it says, which
            official weights do not tell.

    Raises:
        CheckpointError: no such file; truncated or not a checkpoint; code in a pickle; another family of models; keys
            missing, unexpected, wrongly shaped or no floating-point numbers, each by its name in the file.
        ConfigError: `image_size` is not a multiple of 32.
    """
    path = Path(path)
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(
            f"checkpoint {file} does not exist: give a .pt or .safetensors file or transformers' folder"
        )
    try:
        _check_file_type(file)
        with reading("the file", CheckpointError):
            content, own_config = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
            if own_config is not None:
                checkpoint = _from_masklet(content, own_config)
            else:
                content = _without_wrappers(content)
                layout = _layout_of(content)
                if config is None and layout == "transformers":
                    config = _transformers_config(file.parent / "config.json")
                checkpoint = _from_foreign(content, layout, config)
    except CheckpointError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error
    if image_size is None:
        return checkpoint
    return replace(checkpoint, config=replace(checkpoint.config, image_size=image_size))


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
    """Return the state dict as the official release names it; inverse of `from_sam2`.

    Raises:
        CheckpointError: the model is not of the official kind.
    """
    return _to_foreign(checkpoint, "sam2")


def from_transformers(state_dict: Mapping[str, Tensor], config: ModelConfig | None = None) -> Checkpoint:
    """Take over the state dict of transformers' `Sam2VideoModel`; arguments and errors as `from_sam2`."""
    return _from_foreign(state_dict, "transformers", config)


def to_transformers(checkpoint: Checkpoint) -> StateDict:
    """Return the state dict of transformers' `Sam2VideoModel` (`Sam2Model` takes what it needs of it); as `to_sam2`."""
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
        OutputError: the place is not writable, or the disk is full; nothing is left there.
    """
    path, config = Path(path), checkpoint.config
    if layout == "transformers":
        state, description = to_transformers(checkpoint), config_to_transformers(config)
        _write_safetensors(state, make_folder(path) / "model.safetensors")
        with _written(path / "config.json") as partial:
            partial.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    elif layout == "sam2":
        state = to_sam2(checkpoint)
        if path.suffix == ".safetensors":
            _write_safetensors(state, path)
        else:
            _write_pickle({"model": state}, path)
    elif layout == "masklet":
        # The other layouts fill absent tensors with zeros; leaving those out makes the conversion exact both ways.
        unused = {_UNUSED_PREFIX + key: value for key, value in checkpoint.unused.items() if value.any()}
        state = checkpoint.own_weights | unused
        if path.suffix == ".safetensors":
            _write_safetensors(state, path, {_METADATA_KEY: json.dumps(config.to_dict())})
        else:
            _write_pickle({"config": config.to_dict(), "model": state}, path)
    else:
        raise CheckpointError(f"layout must be one of {', '.join(get_args(Layout))}, got {layout!r}")


# From and to weights.


def _from_masklet(content: Mapping[str, Any], description: Mapping[str, Any]) -> Checkpoint:
    if "trunk" not in description:
        raise CheckpointError("this is the state of a training: give the ema.pt next to it, which is the model")
    try:
        config = ModelConfig.from_dict(description)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    unused = {key.removeprefix(_UNUSED_PREFIX): content[key] for key in content if key.startswith(_UNUSED_PREFIX)}
    weights = {key: value for key, value in content.items() if not key.startswith(_UNUSED_PREFIX)}
    blank = _blank_weights(config)
    _check({key: value for key, value in blank.items() if _is_there(key, config)}, weights, config.name)
    return Checkpoint(config, _with_zeros(weights, blank), unused)


def _from_foreign(state_dict: Mapping[str, Any], layout: ForeignLayout, config: ModelConfig | None) -> Checkpoint:
    state = dict(state_dict)
    config = config or _recognise(state, layout)
    require_official_kind(config)
    blank = _blank_weights(config)
    memory_names = {foreign_name(key, layout) for key in blank if not key.startswith(_IMAGE_PARTS)}
    if not any(name in state for name in memory_names):
        config = _without_memory(config)
    if layout == "transformers":
        _fit_transformers(state)
    kept = [key for key in blank if _is_there(key, config)]
    expected = {name: tensor for key in kept for name, tensor in to_foreign(key, blank[key], layout).items()}
    unused_name = foreign_name(UNUSED, layout)
    if unused_name in state:
        expected |= to_foreign(UNUSED, blank["no_memory_embedding"], layout)
    _check(expected, state, config.name)
    weights = {key: from_foreign(key, blank[key].shape, state, layout) for key in kept}
    unused = {UNUSED: state[unused_name].flatten()} if unused_name in state else {}
    return Checkpoint(config, _with_zeros(weights, blank), unused, layout)


def _to_foreign(checkpoint: Checkpoint, layout: ForeignLayout) -> StateDict:
    require_official_kind(checkpoint.config)
    state = checkpoint.own_weights | checkpoint.unused
    if not checkpoint.config.images_only:
        state.setdefault(UNUSED, torch.zeros_like(state["no_memory_embedding"]))
    return {name: tensor for key in state for name, tensor in to_foreign(key, state[key], layout).items()}


def _is_there(key: str, config: ModelConfig) -> bool:
    return key.startswith(_IMAGE_PARTS) or not config.images_only


def _with_zeros(weights: StateDict, blank: StateDict) -> StateDict:
    """Return the weights in the model's order, with zeros for those that are missing."""
    dtype = weights["no_memory_embedding"].dtype
    return {key: weights[key] if key in weights else torch.zeros(blank[key].shape, dtype=dtype) for key in blank}


def _without_memory(config: ModelConfig) -> ModelConfig:
    """Return the config of a model of images only, without a version: the versions of SAM 2 differ in their memory."""
    size = config.name.split("-", 1)[-1]
    return replace(config, images_only=True, name=f"sam2-{size}-images")


def _fit_transformers(state: dict[str, Any]) -> None:
    """Complete a state dict in place, since some versions of transformers save only one of two equal tensors.

    Raises:
        CheckpointError: weights that no version would save.
    """
    pair = foreign_name(FREQUENCIES, "transformers"), FREQUENCIES_COPY
    present = [state[name] for name in pair if name in state]
    if present and not all(isinstance(other, Tensor) and torch.equal(present[0], other) for other in present):
        raise CheckpointError(f"{' and '.join(pair)} differ: they are two copies of one tensor and must be equal")
    state |= {name: present[0] for name in pair if present}


def _check(expected: Mapping[str, Tensor], state: Mapping[str, Any], model_name: str) -> None:
    """Check that a state dict has exactly the expected keys, all floating-point tensors of the expected shape.

    Raises:
        CheckpointError: names the keys that do not fit.
    """
    wrong_type, wrong_shape = [], []
    for key in expected.keys() & state.keys():
        value = state[key]
        if not isinstance(value, Tensor) or not value.is_floating_point():
            wrong_type.append(f"{key} ({value.dtype if isinstance(value, Tensor) else type(value).__name__})")
        elif value.shape != expected[key].shape:
            wrong_shape.append(f"{key} (expected {tuple(expected[key].shape)}, got {tuple(value.shape)})")
    problems = {
        "missing": [key for key in expected if key not in state],
        "unexpected": [str(key) for key in state if key not in expected],
        "of another shape": wrong_shape,
        "not of floating-point numbers": wrong_type,
    }
    problem_texts = [f"{len(keys)} {what}: {_listed(sorted(keys))}" for what, keys in problems.items() if keys]
    if problem_texts:
        raise CheckpointError(f"the weights do not fit {model_name}; keys {'; '.join(problem_texts)}")


def _listed(keys: list[str]) -> str:
    more = len(keys) - MAX_LISTED
    return ", ".join(keys[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _blank_weights(config: ModelConfig) -> StateDict:
    """Names and shapes of a model's weights, without the memory for them."""
    with torch.device("meta"):
        return SAM2(config).state_dict()


# Recognition of the model.

_MARKS: Mapping[ForeignLayout, tuple[str, ...]] = {
    "sam2": ("image_encoder.trunk.pos_embed_window", "sam_mask_decoder."),
    "transformers": ("vision_encoder.backbone.", "mask_decoder."),
}
_OTHER_FAMILIES = {
    "detector.": "SAM 3",
    "image_encoder.trunk.body.": "EdgeTAM",
    "vision_encoder.backbone.timm_model.": "EdgeTAM",
    "image_encoder.blocks.": "SAM 1 (Segment Anything)",
    "vision_encoder.layers.": "SAM 1 (Segment Anything)",
}
_RELATIVES = {
    "image_encoder.trunk.": "EfficientTAM, or of another relative of SAM 2 without Hiera's pos_embed_window",
    "mask_decoder.": "a variant of SAM 1 (Segment Anything)",
}
"""Looked for when nothing else fits."""


def _layout_of(state: Mapping[str, Any]) -> ForeignLayout:
    """Whose names these are.

    Raises:
        CheckpointError: of nobody who makes SAM 2.
    """

    def has(mark: str) -> bool:
        return any(key.startswith(mark) for key in state)

    if not any(map(has, _OTHER_FAMILIES)):
        for layout, marks in _MARKS.items():
            if all(map(has, marks)):
                return layout
    for mark, family in (_OTHER_FAMILIES | _RELATIVES).items():
        if has(mark):
            raise CheckpointError(f"these are weights of {family}, which is not SAM 2")
    first = ", ".join(repr(key) for key in list(state)[:3])
    raise CheckpointError(
        f"these are not weights of SAM 2: none of its parts is among the {len(state)} keys ({first} ...)"
    )


_TRAINING_PREFIXES = re.compile(r"(^|(?<=\.))(module|_orig_mod)\.")
"""Prefixes that DistributedDataParallel and torch.compile put into names."""


def _without_wrappers(state: Mapping[Any, Any]) -> dict[str, Any]:
    """Names as the model has them, without those of the modules that it was trained in."""
    renamed = {_TRAINING_PREFIXES.sub("", str(key)): value for key, value in state.items()}
    for mark in (mark for marks in _MARKS.values() for mark in marks):
        wrapped = next((key for key in renamed if f".{mark}" in key), None)
        if wrapped is not None and not any(key.startswith(mark) for key in renamed):
            prefix = wrapped[: wrapped.index(f".{mark}") + 1]
            return {key.removeprefix(prefix): value for key, value in renamed.items()}
    return renamed


def _recognise(state: Mapping[str, Any], layout: ForeignLayout) -> ModelConfig:
    """Return the released model that has this trunk and, of its two versions, this memory.

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
    released = {name: c for name, c in OFFICIAL_CONFIGS.items() if name.startswith(f"{version}-")}
    trunks = {}
    for name, config in released.items():
        assert isinstance(config.trunk, HieraConfig)
        if (config.trunk.embed_dim, config.trunk.stages) == (embed_dim, tuple(stages)):
            return config
        trunks[name] = f"{config.trunk.embed_dim} in {config.trunk.stages}"
    raise CheckpointError(
        f"no released model has this trunk: channels and blocks are {embed_dim} in {tuple(stages)}, expected "
        f"{', '.join(f'{text} ({name})' for name, text in trunks.items())}"
    )


def _transformers_config(path: Path) -> ModelConfig | None:
    if not path.is_file():
        return None
    values = read_json(path, CheckpointError, path.name).value
    return config_from_transformers(values if isinstance(values, dict) else {})


# Files. Tensors, and masklet's description of the model where the file has one.

_NO_CHECKPOINTS = {
    b"version https://git-lfs": "it is a pointer of git-lfs and not the file: run `git lfs pull`, or download it",
    b"<!doctype html": "it is a web page: what was to be downloaded is something else",
    b"<html": "it is a web page: what was to be downloaded is something else",
}
"""Problem of a file that is not a checkpoint, by its first bytes."""


def _check_file_type(path: Path) -> None:
    """Raise a CheckpointError for empty files and for what is often downloaded in place of a checkpoint."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise CheckpointError(f"it cannot be read: {error.strerror or error}") from error
    if not start:
        raise CheckpointError("it is empty (0 bytes): download or copy it again")
    for mark, problem in _NO_CHECKPOINTS.items():
        if start.lower().startswith(mark):
            raise CheckpointError(problem)


def _read_safetensors(path: Path) -> tuple[StateDict, dict[str, Any] | None]:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_METADATA_KEY)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        description = None if text is None else parse_json(text, _METADATA_KEY, CheckpointError).value
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(_damaged("safetensors", str(error))) from error
    return tensors, description if isinstance(description, dict) else None


def _read_pickle(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower():
            raise CheckpointError(_refused_code(str(error))) from error
        raise CheckpointError(_damaged("PyTorch")) from error
    except Exception as error:  # torch raises nearly anything on a damaged file
        raise CheckpointError(_damaged("PyTorch", str(error) or repr(error))) from error
    state: Any = content
    if isinstance(content, dict):
        state = next((content[key] for key in _STATE_DICTS if isinstance(content.get(key), dict)), content)
    if not isinstance(state, dict):
        raise CheckpointError(f"it must hold a state dict, got {type(content).__name__}")
    description = content.get("config") if state is not content else None
    return state, description if isinstance(description, dict) else None


def _damaged(kind: str, reason: str = "") -> str:
    """`reason` is the reader's, of which the first sentence will do."""
    first = re.split(r"\.?\s*\n|\. ", reason)[0]
    return f"damaged, or no {kind} file{f' ({first})' if first else ''}: download or copy it again"


def _refused_code(message: str) -> str:
    """Return the message for a pickle that asks for more than tensors; torch's own `message` names it."""
    match = re.search(r"GLOBAL ([\w.]+)", message)
    name = match[1] if match else "code"
    if name.startswith(("ultralytics.", "models.yolo.")):
        return f"it is a whole model of YOLO ({name}), which is not SAM 2"
    return (
        f"it holds more than tensors ({name}), and reading that could run code. If you trust its origin, save the "
        f'weights alone: torch.save({{"model": torch.load(FILE, weights_only=False)["model"]}}, "weights.pt")'
    )


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """`atomic_path`, where a full disk is an `OutputError`: torch and safetensors have errors of their own for it."""
    try:
        with atomic_path(path) as partial:
            yield partial
    except OutputError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        raise OutputError(f"cannot write {path}: {(str(error) or repr(error)).splitlines()[0]}") from error


def _write_safetensors(state: StateDict, path: Path, metadata: dict[str, str] | None = None) -> None:
    # Cloned, since the format refuses tensors that share memory.
    tensors = {key: value.clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    with _written(path) as partial:
        partial.touch()
        mode = partial.stat().st_mode  # as files of this user have it; safetensors makes one that nobody else can read
        save_file(tensors, partial, {"format": "pt"} | (metadata or {}))
        partial.chmod(mode)


def _write_pickle(content: dict[str, Any], path: Path) -> None:
    with _written(path) as partial:
        torch.save(content, partial)
