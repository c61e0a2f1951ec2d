"""`masklet models`: which models there are, and which of them are here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from masklet.cli.console import format_bytes, print_json, print_line, print_table
from masklet.cli.options import JsonOption

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
"""Written down, for counting them takes PyTorch; a test counts."""


@dataclass(frozen=True, slots=True)
class _Listed:
    name: str
    millions: float | None
    """Parameters."""
    image_size: int | None
    """Side of the square input, pixels."""
    origin: str
    folder: Path | None
    """Where it is; None when it has to be given by its path."""


def models(as_json: JsonOption = False) -> int:
    """List the models: name, parameters, origin, and whether they are here."""
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
                        "present": model.folder is not None,
                        "path": None if model.folder is None else str(model.folder),
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
            _whereabouts(model),
        )
        for model in listed
    ]
    print_table(("model", "parameters", "input", "from", "here"), rows, left=("model", "from", "here"))
    print_line("")
    print_line(
        "Any other model is given by its path: an exported folder, or a checkpoint of SAM 2, transformers or masklet."
    )
    return 0


def _embedded() -> list[_Listed]:
    from masklet.engine.open import EMBEDDED, embedded_folder

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
                folder=None if size is None else folder,
            )
        )
    return listed


def _image_size(folder: Path) -> int | None:
    """Of an exported model; None where there is none."""
    try:
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        return int(document["spec"]["image_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _official() -> list[_Listed]:
    from masklet.model.config import OFFICIAL_CONFIGS

    return [
        _Listed(name, _MILLION_PARAMETERS.get(name), config.image_size, "facebookresearch/sam2", None)
        for name, config in OFFICIAL_CONFIGS.items()
    ]


def _whereabouts(model: _Listed) -> str:
    if model.folder is None:
        return "no" if model.image_size is None else "no: give its checkpoint, --model path/to/file.pt"
    size = sum(path.stat().st_size for path in model.folder.iterdir() if path.is_file())
    return f"yes, {format_bytes(size)}"
