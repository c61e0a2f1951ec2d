"""The readers of checkpoints and of exported models, with tiny weights and with the graphs of nano."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from masklet.engine.onnx_engine import OnnxEngine
from masklet.engine.staged import STAGE_OUTPUTS
from masklet.model.checkpoint import Checkpoint, load_model, save_checkpoint
from masklet.model.config import OFFICIAL_CONFIGS, HieraConfig
from masklet.model.sam2 import SAM2

NANO = Path(__file__).parents[2] / "src/masklet/models/nano"
MODEL_JSON = NANO / "model.json"
GRAPH = NANO / "encode_memory.onnx"

_TRUNK = HieraConfig(
    embed_dim=8, num_heads=1, stages=(1, 1, 2, 1), global_attention_blocks=(3,), window_position_size=(4, 4),
    window_sizes=(8, 4, 3, 2),
)  # fmt: skip
_TINY = dataclasses.replace(
    OFFICIAL_CONFIGS["sam2.1-tiny"], image_size=64, trunk=_TRUNK, embed_dim=32, memory_dim=16, decoder_mlp_dim=32,
    memory_mlp_dim=32, memory_layers=1,
)  # fmt: skip


def checkpoints(folder: Path, suffix: Literal[".safetensors", ".pt"]) -> tuple[bytes, ...]:
    """Return a tiny model's checkpoint, and its weights alone by the names of the official release."""
    torch.manual_seed(0)
    checkpoint = Checkpoint(_TINY, SAM2(_TINY).state_dict())
    paths = [folder / f"masklet{suffix}", folder / f"sam2{suffix}"]
    save_checkpoint(checkpoint, paths[0])
    save_checkpoint(checkpoint, paths[1], "sam2")
    return paths[0].read_bytes(), paths[1].read_bytes()


def read_weights(path: Path) -> None:
    """Read a checkpoint into a model."""
    load_model(path, _TINY)


def open_exported_model(path: Path) -> None:
    """Open nano's graphs with another description, and encode a picture."""
    _open_folder(path, "model.json").encode_image(np.zeros((24, 32, 3), np.uint8))


def open_graph(path: Path) -> None:
    """Open nano with another graph for `encode_memory`."""
    _open_folder(path, GRAPH.name)


def _open_folder(path: Path, name: str) -> OnnxEngine:
    """Open nano with the file `name` replaced."""
    folder = path.parent / "exported"
    folder.mkdir(exist_ok=True)
    for file in (MODEL_JSON, *(NANO / f"{stage}.onnx" for stage in STAGE_OUTPUTS)):
        link = folder / file.name
        link.unlink(missing_ok=True)
        link.symlink_to(path if file.name == name else file)
    return OnnxEngine(folder, num_threads=1)
