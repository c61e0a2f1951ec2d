"""Exports a model: the functions of `SAM2`, as they are, become ONNX graphs in a folder, one for each stage.

There is no second implementation for the export: the graphs are traced from the functions that `TorchEngine` runs.
Needs the `export` extra.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from masklet.engine.onnx_engine import FORMAT_VERSION, INT8_SUFFIX, SPEC_FILE, OnnxEngine
from masklet.engine.staged import STAGE_OUTPUTS, VARYING_AXES, StageName
from masklet.engine.torch_engine import spec_of
from masklet.errors import EngineError
from masklet.model.sam2 import SAM2

Calibrate = Callable[[OnnxEngine], object]

OPSET = 20
_SMALLEST_HALVED = 256  # elements; smaller tensors save little and are sensitive (norms, biases)


def export_model(
    model: SAM2,
    folder: str | Path,
    *,
    precision: Literal["fp32", "fp16"] = "fp32",
    calibrate: Calibrate | None = None,
) -> Path:
    """Write `<stage>.onnx` for each stage of the model and `model.json`.

    Args:
        model: any model of the family.
        folder: created if it does not exist; files of the same names are replaced.
        precision: of the stored weights. "fp16" halves the files; they are widened when loaded, so the arithmetic
            stays fp32 and speed is the same.
        calibrate: runs an engine on data like that which the model will see; graphs in 8 bits are then written, too:
            `<stage>.int8.onnx` of what runs on each frame and for each object (`masklet.engine.quantise`).

    Returns:
        The folder.

    Raises:
        EngineError: the export extra is missing, or the data did not make every stage run.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise EngineError('exporting needs onnx and onnxscript: pip install "masklet[export]"') from error
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = model.eval().cpu().float().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    graphs = {stage: _export_stage(model, stage, example) for stage, example in _example_inputs(model).items()}
    document = {"format_version": FORMAT_VERSION, "spec": spec_of(model).to_dict(), "weights": precision}
    text = json.dumps(document, indent=2) + "\n"
    in_int8 = {} if calibrate is None else _quantised(graphs, text, calibrate)
    for path in folder.glob(f"*{INT8_SUFFIX}"):
        path.unlink()  # of an earlier export
    for suffix, written in ((".onnx", graphs), (INT8_SUFFIX, in_int8)):
        for stage, graph in written.items():
            if precision == "fp16":
                _halve_weights(graph)
            onnx.save(graph, folder / f"{stage}{suffix}")
    (folder / SPEC_FILE).write_text(text, encoding="utf-8")
    return folder


def _quantised(graphs: Mapping[StageName, Any], spec: str, calibrate: Calibrate) -> dict[StageName, Any]:
    """Return the graphs in 8 bits by stage, with ranges from the engine's runs."""
    import onnx

    from masklet.engine.quantise import QUANTISED, RecordingEngine, quantised

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stage, graph in graphs.items():
            onnx.save(graph, folder / f"{stage}.onnx")
        (folder / SPEC_FILE).write_text(spec, encoding="utf-8")
        engine = RecordingEngine(folder)
        calibrate(engine)
        stages = [stage for stage in QUANTISED if stage in graphs]
        return {stage: quantised(folder / f"{stage}.onnx", stage, engine.samples[stage]) for stage in stages}


class _StageModule(nn.Module):
    """Wraps one function of the model as a module."""

    def __init__(self, model: SAM2, stage: StageName, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.stage, self.names = model, stage, names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        answer = getattr(self.model, self.stage)(**dict(zip(self.names, inputs, strict=True)))
        values = answer if isinstance(answer, tuple) else (answer,)
        return tuple(value for value in values if value is not None)


def _export_stage(model: SAM2, stage: StageName, example: Mapping[str, Tensor]) -> Any:
    names = [name for name in STAGE_OUTPUTS[stage] if name != "keys" or model.correspondence is not None]
    axes = tuple(
        {axis: torch.export.Dim(label, min=1) for axis, label in VARYING_AXES[stage].get(name, {}).items()}
        for name in example
    )
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _StageModule(model, stage, list(example)),
            tuple(example.values()),
            dynamo=True,
            dynamic_shapes=(axes,),
            input_names=list(example),
            output_names=names,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    _strip_traces(graph)
    return graph


def _strip_traces(graph: Any) -> None:
    """Remove the source locations of nodes: the exporter writes paths of the exporting machine into each."""
    for part in (graph, graph.graph):
        part.ClearField("metadata_props")
    body = graph.graph
    for part in (*body.node, *body.value_info, *body.input, *body.output, *body.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _example_inputs(model: SAM2) -> dict[StageName, dict[str, Tensor]]:
    """Return example inputs for each stage: three objects with two memories, two pointers and two points."""
    size = model.config.image_size
    side, objects = size // 4, 3
    with torch.no_grad():
        dtype = torch.uint8 if spec_of(model).resize == "area" else torch.float32  # see `StagedEngine.encode_image`
        pixels = torch.zeros(1, size, size, 3, dtype=dtype)
        features = model.encode_image(pixels)
        keys = {} if features.keys is None else {"keys": features.keys}
        decode = {
            "embedding": features.unconditioned.repeat(objects, 1, 1, 1),
            "high_res_4": features.high_res_4,
            "high_res_8": features.high_res_8,
            "points_xy": torch.rand(objects, 2, 2) * size,
            "labels": torch.tensor([[1, -1]] * objects),
            "mask_logits": torch.zeros(objects, 1, side, side),
            "has_mask": torch.zeros(objects, dtype=torch.bool),
        }
        masks = model.decode(**decode)
        encode_memory = {
            "embedding": features.embedding,
            "low_res_logits": masks.low_res_logits[:, :1],
            "object_score": masks.object_score,
            "is_prompted": torch.zeros(objects, dtype=torch.bool),
            **keys,
        }
        memory = model.encode_memory(**encode_memory)
        stages: dict[StageName, dict[str, Tensor]] = {"encode_image": {"pixels": pixels}}
        attend = {
            "embedding": features.embedding,
            "memory": memory[:, None, : model.config.memory_dim].repeat(1, 2, 1, 1, 1),
            "slots": torch.tensor([[0, 1]] * objects),
            "pointers": masks.pointers[:, :2],
            "pointer_times": torch.rand(objects, 2),
        }
        if keys:
            stages["match"] = {
                **keys,
                "memory_keys": memory[None, :2, model.config.memory_dim : -1],
                "memory_masks": memory[None, :, None, -1].repeat(1, 1, 2, 1, 1),
                "slots": torch.tensor([[[0, 1]] * (objects - 1) + [[0, -1]]]),
            }
            attend["matches"] = model.match(**stages["match"])
            stages["decode_tracked"] = {name: decode[name] for name in ("embedding", "high_res_4", "high_res_8")}
    return {**stages, "attend": attend, "decode": decode, "encode_memory": encode_memory}


def _halve_weights(graph: Any) -> None:
    """Store large float32 initializers as float16 behind a Cast, which onnxruntime folds when it loads the graph."""
    import onnx
    from onnx import numpy_helper

    casts = []
    for tensor in graph.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or tensor.name.endswith("_scale"):
            continue  # scales of weights in 8 bits are too small for fp16
        values = numpy_helper.to_array(tensor)
        if values.size < _SMALLEST_HALVED:
            continue
        name, stored = tensor.name, f"{tensor.name}.fp16"
        tensor.CopyFrom(numpy_helper.from_array(values.astype("float16"), stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT, name=f"{name}.widen"))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
