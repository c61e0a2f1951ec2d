"""`masklet models`: list the models and where their files are, or describe a checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import format_bytes, print_json, print_line, print_table, show_status
from masklet.cli.options import JsonOption, examples

if TYPE_CHECKING:
    from masklet.model.checkpoint import Checkpoint
    from masklet.model.config import ModelConfig

EPILOG = examples(
    ("What is this file?", "masklet models --inspect checkpoint.pt"),
    notes="An official model is downloaded at first use (masklet\\[hub]), unless it is in the folder that "
    "MASKLET_MODELS names, or in ~/.cache/masklet, under its official file name.",
)

_MILLION_PARAMETERS = {
    "nano": 4.8,
    "sam2.1-tiny": 39.0,
    "sam2.1-small": 46.1,
    "sam2.1-base-plus": 80.8,
    "sam2.1-large": 224.4,
    "sam2-tiny": 38.9,
    "sam2-small": 46.0,
    "sam2-base-plus": 80.8,
    "sam2-large": 224.4,
}
"""Parameter counts as constants: counting needs the model, and importing PyTorch takes seconds. A test checks them."""

_LAYOUT_TITLES = {
    "sam2": "official release",
    "transformers": "transformers",
    "masklet": "masklet",
    "onnx": "exported, runs without PyTorch",
}


@dataclass(frozen=True, slots=True)
class _Listed:
    name: str
    millions: float | None
    """Parameters."""
    image_size: int | None
    """Side of the square input, pixels."""
    origin: str
    path: Path | None
    """Path of the model; None when it is not on this machine."""


def models(
    inspect: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Describe a checkpoint or folder: family, layout, configuration, parameters. It is read completely "
            "and checked, so what is described can be loaded.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """List the models: name, parameters, origin, and whether their files are present. Or describe a model file."""
    from masklet.engine.hub import models_folder

    if inspect is not None:
        return _inspect(inspect, as_json)
    listed = [*_embedded(), *_official()]
    if as_json:
        print_json(
            {
                "models": [
                    {
                        "name": model.name,
                        "million_parameters": model.millions,
                        "image_size": model.image_size,
                        "origin": model.origin,
                        "present": model.path is not None,
                        "path": None if model.path is None else str(model.path),
                    }
                    for model in listed
                ]
            }
        )
        return 0
    rows = [
        (
            model.name,
            "" if model.millions is None else f"{model.millions:.1f} M",
            "" if model.image_size is None else f"{model.image_size} x {model.image_size}",
            model.origin,
            "no" if model.path is None else f"yes, {format_bytes(_size(model.path))}",
        )
        for model in listed
    ]
    print_table(("model", "parameters", "input", "from", "here"), rows, left=("model", "from", "here"))
    print_line("")
    print_line(
        f"Missing models are downloaded at first use; or put the official file into {models_folder()}. Any other "
        "model is given by its path or as user/repository on the hub: a checkpoint of SAM 2, transformers or masklet, "
        "or an exported folder."
    )
    return 0


def _embedded() -> list[_Listed]:
    from masklet.engine.hub import EMBEDDED, embedded_folder

    listed = []
    for name in EMBEDDED:
        folder = embedded_folder(name)
        size = _image_size(folder)
        listed.append(
            _Listed(
                name=name,
                millions=_MILLION_PARAMETERS.get(name),
                image_size=size,
                origin="masklet, inside the package",
                path=None if size is None else folder,
            )
        )
    return listed


def _image_size(folder: Path) -> int | None:
    """Return the input size of an exported model; None if the folder has no description."""
    try:
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        return int(document["spec"]["image_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _official() -> list[_Listed]:
    from masklet.engine.hub import OFFICIAL, find_official
    from masklet.model.config import OFFICIAL_CONFIGS

    return [
        _Listed(
            name,
            _MILLION_PARAMETERS.get(name),
            config.image_size,
            f"hub: {OFFICIAL[name].repository}",
            find_official(name),
        )
        for name, config in OFFICIAL_CONFIGS.items()
    ]


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]) if file.is_file())


def _inspect(name: str, as_json: bool) -> int:
    from masklet.engine.open import find_model, is_exported, needs_extra

    path = find_model(name)
    if is_exported(path):
        description = _describe_exported(path)
    else:
        with needs_extra("torch", f"inspecting {path}"):
            from masklet.model.checkpoint import read_checkpoint
        with show_status(f"reading {path} ..."):
            description = _describe(read_checkpoint(path))
    document = {"path": str(path), "bytes": _size(path), **description}
    if as_json:
        print_json(document)
        return 0
    size = document["image_size"]
    rows = [
        ("path", str(path)),
        ("size", format_bytes(document["bytes"])),
        ("family", document["family"]),
        ("layout", _LAYOUT_TITLES[document["layout"]]),
        ("model", document["model"] + ("" if document["released"] else f" ({document['description']})")),
        ("parameters", "" if document["parameters"] is None else f"{document['parameters']:,}"),
        ("numbers", ", ".join(document["dtypes"])),
        ("input", f"{size} x {size}"),
        ("use", "images only: it has no memory" if document["images_only"] else "images and videos"),
    ]
    print_table(("", ""), [row for row in rows if row[1]], left=("",))
    return 0


def _describe(checkpoint: Checkpoint) -> dict[str, Any]:
    config = checkpoint.config
    return {
        "family": config.family,
        "layout": checkpoint.layout,
        "model": config.name,
        "released": _is_released(config),
        "description": _description(config),
        "parameters": checkpoint.num_parameters,
        "dtypes": list(checkpoint.dtypes),
        "image_size": config.image_size,
        "images_only": config.images_only,
    }


def _describe_exported(folder: Path) -> dict[str, Any]:
    from masklet.engine.hub import EMBEDDED, embedded_folder
    from masklet.engine.onnx_engine import read_spec

    spec = read_spec(folder)
    embedded = [name for name in EMBEDDED if embedded_folder(name) == folder]
    return {
        "family": "masklet" if spec.has_keys else "SAM 2",
        "layout": "onnx",
        "model": spec.name,
        "released": bool(embedded),
        "description": "exported",
        "parameters": None,
        "dtypes": [json.loads((folder / "model.json").read_text(encoding="utf-8")).get("weights", "fp32")],
        "image_size": spec.image_size,
        "images_only": spec.images_only,
    }


def _is_released(config: ModelConfig) -> bool:
    """Return True if, judging by the weights, it is one of the eight official models or nano."""
    from dataclasses import replace

    from masklet.model.config import NANO_CONFIG, OFFICIAL_CONFIGS, InferenceConfig

    def weights_only(config: ModelConfig) -> ModelConfig:
        return replace(config, name="", inference=InferenceConfig())

    return weights_only(config) in map(weights_only, (NANO_CONFIG, *OFFICIAL_CONFIGS.values()))


def _description(config: ModelConfig) -> str:
    memory = "no memory" if config.images_only else f"memory attention of {config.memory_layers} layers"
    return f"like SAM 2: D={config.embed_dim}, {config.trunk.description}, {memory}"
