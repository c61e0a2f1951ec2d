"""The same weights in other implementations: transformers' SAM 2, and the exported image encoder in other runtimes.

What is not installed, or cannot be run fairly here, is left out with its reason.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from masklet.bench.stages import StageScene
from masklet.bench.timing import Contestant
from masklet.records import FloatArray

if TYPE_CHECKING:
    from masklet.engine.torch_engine import TorchEngine
    from masklet.model.sam2 import SAM2


def peers(
    engine: TorchEngine, scene: StageScene, exported: Path | None
) -> tuple[dict[str, list[Contestant]], list[str]]:
    """Return further contestants by stage, next to those of `masklet.bench.stages`, and why others are missing.

    Args:
        engine: of an official architecture, on a CPU, in fp32.
        scene: of one object, of that engine.
        exported: a folder of `masklet export` of the same weights, for the runtimes of graphs.
    """
    contestants: dict[str, list[Contestant]] = {"encode image": [], "attend": [], "decode masks": []}
    missing = []
    if importlib.util.find_spec("transformers") is None:
        missing.append("transformers is not installed")
    else:
        rivals = {"transformers fp32": Transformers(engine, scene)}
        from masklet.model.packed import computes_in_bf16

        if computes_in_bf16():
            rivals["transformers bf16"] = Transformers(engine, scene, autocast=True)
        else:
            missing.append("bf16: this CPU has no instructions for it, and PyTorch's emulation is no contestant")
        for name, theirs in rivals.items():
            contestants["encode image"].append(Contestant(name, theirs.encode_image))
            contestants["attend"].append(Contestant(name, theirs.attend))
            contestants["decode masks"].append(Contestant(name, theirs.decode))
    pixels = engine.squared(scene.rgb, True)[None]
    graph = None if exported is None else exported / "encode_image.onnx"
    if graph is None:
        missing.append("onnxruntime and OpenVINO: --exported FOLDER was not given")
    else:
        contestants["encode image"].append(Contestant("onnxruntime", _in_onnxruntime(graph, pixels)))
        if importlib.util.find_spec("openvino") is None:
            missing.append("openvino is not installed")
        else:
            contestants["encode image"].append(Contestant("OpenVINO", _in_openvino(graph, pixels)))
    return contestants, missing


class Transformers:
    """`Sam2VideoModel` with an engine's weights, asked what a `StageScene` asks.

    Args:
        engine: has the weights.
        scene: of one object.
        autocast: in bf16, as the official predictors run; else fp32.
    """

    def __init__(self, engine: TorchEngine, scene: StageScene, *, autocast: bool = False) -> None:
        import torch

        self.autocast = autocast
        self.model = _as_transformers(engine.model)
        # Whatever filter squared the picture, both see the same numbers.
        pixels = torch.from_numpy(engine.squared(scene.rgb, True)[None])
        self.pixels = engine.model.image_encoder.normalise(pixels).contiguous()
        recall = scene.recalls[0]
        embedding = scene.features.arrays["embedding"]
        self.grid = embedding.shape[-1]
        self.attended = self._attention_inputs(embedding, recall, engine.model.config.embed_dim)
        fine = scene.features.arrays
        self.maps = [fine["high_res_4"], fine["high_res_8"], scene.conditioned.embeddings[0][None]]

    def encode_image(self) -> FloatArray:
        with self._running():
            features = self.model.get_image_features(self.pixels, return_dict=True).fpn_hidden_states[-1]
        return self._as_map(features)

    def attend(self) -> FloatArray:
        with self._running():
            conditioned = self.model.memory_attention(**self.attended)
        return self._as_map(conditioned.reshape(self.grid**2, 1, -1))

    def decode(self) -> FloatArray:
        """(1, h, w) logits, as for a frame without a prompt: a click is another vector in the same place."""
        import torch

        with self._running():
            points, labels = torch.zeros(1, 1, 1, 2), -torch.ones(1, 1, 1, dtype=torch.int32)  # and one of padding
            sparse, dense = self.model.prompt_encoder(
                input_points=points, input_labels=labels, input_boxes=None, input_masks=None
            )
            masks, ious, *_ = self.model.mask_decoder(
                image_embeddings=self.maps[-1],
                image_positional_embeddings=self.model.get_image_wide_positional_embeddings(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
                high_resolution_features=self.maps[:-1],
            )
        best = int(ious[0, 0].argmax())
        return np.asarray(masks[0, 0, best][None].float().numpy())

    @contextmanager
    def _running(self) -> Iterator[None]:
        import torch

        half: AbstractContextManager[Any] = nullcontext()
        if self.autocast:
            half = torch.autocast("cpu", dtype=torch.bfloat16)
        with torch.inference_mode(), half:
            yield

    def _as_map(self, tokens: Any) -> FloatArray:
        """(h*w, 1, D) to (1, D, h, w)."""
        return np.asarray(tokens.float().permute(1, 2, 0).reshape(1, -1, self.grid, self.grid).numpy())

    def _attention_inputs(self, embedding: Any, recall: Any, dim: int) -> dict[str, Any]:
        import torch

        def flat(x: Any) -> Any:
            return x.flatten(2).permute(2, 0, 1)

        model = self.model
        cpu = torch.device("cpu")
        with torch.inference_mode():
            remembered = []
            for slot, memory in recall.spatial:
                places = model.memory_encoder.position_encoding(memory[None].shape, "cpu", torch.float32)
                entry = {"maskmem_features": flat(memory[None]), "maskmem_pos_enc": flat(places)}
                remembered.append((slot, entry))
            features, positions = model._build_memory_attention_inputs(remembered, cpu)
            pointers, times = model._process_object_pointers(
                [ago for ago, _ in recall.pointers],
                [pointer[None] for _, pointer in recall.pointers],
                recall.pointer_span,
                1,
                dim,
                cpu,
            )
            places = model.vision_encoder.neck.position_encoding(embedding.shape, "cpu", torch.float32)
            return {
                "current_vision_features": flat(embedding),
                "current_vision_position_embeddings": flat(places),
                "memory": torch.cat((*features, pointers)),
                "memory_posision_embeddings": torch.cat((*positions, times)),
                "num_object_pointer_tokens": len(pointers),
            }


def _as_transformers(model: SAM2) -> Any:
    from masklet.model.checkpoint import Checkpoint, to_transformers
    from masklet.model.foreign import config_to_transformers

    transformers = importlib.import_module("transformers")  # an optional peer, without types
    theirs = transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**config_to_transformers(model.config)))
    theirs.load_state_dict(to_transformers(Checkpoint(model.config, model.state_dict())))
    return theirs.eval()


def _in_onnxruntime(graph: Path, pixels: Any) -> Callable[[], FloatArray]:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["embedding"], {"pixels": pixels})[0]


def _in_openvino(graph: Path, pixels: Any) -> Callable[[], FloatArray]:
    import torch

    openvino = importlib.import_module("openvino")
    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(str(graph), "CPU", settings)
    output = compiled.output("embedding")
    return lambda: np.array(compiled(pixels)[output])
