"""Graphs in 8 bits: what an exported model computes for each frame and for each object on it.

Weights have a scale for each of their columns or channels. What is multiplied by them has one scale, taken beforehand
from what a model sees on clips and images. So an object's mask does not depend on the other objects of its batch, as it
would if scales were taken from each batch. What is added, normalised or attended to stays in fp32.

For CPUs with instructions for such products (VNNI on x86). On x86 without them sums of two products can overflow; 7
bits for weights would avoid that and cost half a point of nano's first click (docs/lab-notes.md).

Needs the `export` extra.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from masklet.engine.onnx_engine import OnnxEngine
from masklet.engine.staged import StageName
from masklet.errors import EngineError

Array = NDArray[Any]

QUANTISED: Mapping[StageName, tuple[str, ...]] = {
    "encode_image": ("Conv", "Clip"),
    "attend": ("MatMul",),
    "decode_tracked": ("MatMul",),
    "encode_memory": ("MatMul",),
}
"""Stages that run on each frame or for each object on it, and the operators that are computed in 8 bits."""

_STEM = 9
"""Convolutions at the input that stay in fp32: with them in 8 bits the error of the embedding is half as large again
(docs/lab-notes.md)."""
_MOST_SAMPLES = 64
_EVERY = 4


class RecordingEngine(OnnxEngine):
    """An engine in fp32 that keeps the inputs of every fourth run of each stage, at most 64 of them."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, num_threads=1)
        self.samples: dict[StageName, list[dict[str, Array]]] = defaultdict(list)
        self._runs: Counter[StageName] = Counter()

    def run_stage(self, stage: StageName, inputs: Mapping[str, Array]) -> dict[str, Array]:
        is_due = self._runs[stage] % _EVERY == 0 and len(self.samples[stage]) < _MOST_SAMPLES
        self._runs[stage] += 1
        if stage in QUANTISED and is_due:
            self.samples[stage].append({name: np.array(value) for name, value in inputs.items()})
        return super().run_stage(stage, inputs)


def quantised(path: Path, stage: StageName, samples: Sequence[Mapping[str, Array]]) -> Any:
    """Return the fp32 graph at a path, of a stage of `QUANTISED`, in 8 bits.

    Raises:
        EngineError: there are no samples: the stage did not run.
    """
    import onnx

    if not samples:
        raise EngineError(f"int8 needs ranges, and stage {stage} never ran: calibrate on clips with masks")
    with tempfile.TemporaryDirectory() as folder, _without_advice():
        plain, result = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        is_image = stage == "encode_image"  # its constants are to be folded, so that convolutions stand alone
        quant_pre_process(str(path), str(plain), skip_symbolic_shape=True, skip_optimization=not is_image)
        chosen = list(_image_nodes(onnx.load(plain).graph) if is_image else _products(onnx.load(plain).graph))
        quantize_static(
            plain,
            result,
            _Samples(samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(QUANTISED[stage]),
            nodes_to_quantize=chosen,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"], "CalibMovingAverage": True},
        )
        return onnx.load(result)


class _Samples(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, samples: Sequence[Mapping[str, Array]]) -> None:
        self._left = iter(samples)

    def get_next(self) -> dict[str, Array] | None:
        sample = next(self._left, None)
        return None if sample is None else dict(sample)


def _products(graph: Any) -> Iterator[str]:
    """Yield the names of products by weights."""
    weights = {tensor.name for tensor in graph.initializer}
    return (node.name for node in graph.node if node.op_type == "MatMul" and node.input[1] in weights)


def _image_nodes(graph: Any) -> Iterator[str]:
    """Yield the names of the trunk's convolutions but for the first ones, and of the ReLU6 after them.

    Those of the trunk have a ReLU6 before or after them. The neck's have neither: they make the maps that are added to
    others and handed on, and stay in fp32.
    """
    clipped = {node.input[0] for node in graph.node if node.op_type == "Clip"}
    from_clip = {node.output[0] for node in graph.node if node.op_type == "Clip"}
    trunk = [
        node
        for node in graph.node
        if node.op_type == "Conv" and (node.output[0] in clipped or node.input[0] in from_clip)
    ][_STEM:]
    outputs = {node.output[0] for node in trunk}
    yield from (node.name for node in trunk)
    yield from (node.name for node in graph.node if node.op_type == "Clip" and node.input[0] in outputs)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence onnxruntime's advice to pre-process graphs, which are."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
