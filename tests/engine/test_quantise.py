"""Graphs in 8 bits: those of nano, and how they are made."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet.engine.onnx_engine import INT8_SUFFIX, OnnxEngine
from masklet.engine.open import embedded_folder, open_engine
from masklet.errors import EngineError
from masklet.media.images import read_image
from masklet.prompts import Prompt
from masklet.records import BoolArray, Frame
from masklet.tracking.tracker import Tracker

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "media" / "cat.jpg"
PROMPTS = {1: Prompt.create(points_xy=[(220, 170)]), 2: Prompt.create(box_xyxy=(0, 0, 120, 120))}


@pytest.fixture(scope="module")
def engine() -> OnnxEngine:
    return OnnxEngine(embedded_folder("nano"), num_threads=1, precision="int8")


def tracked(engine: OnnxEngine, prompts: dict[int, Prompt]) -> list[BoolArray]:
    """Return the masks of a picture that moves to the right, by frame."""
    photo, tracker = read_image(PHOTO), Tracker(engine)
    frames = [Frame(i, np.roll(photo, 6 * i, axis=1), i / 10) for i in range(4)]
    return [tracker.step(frame, prompts if frame.index == 0 else None).masks for frame in frames]


def test_masks_are_nearly_those_of_fp32(engine: OnnxEngine) -> None:
    plain = OnnxEngine(embedded_folder("nano"), num_threads=1)
    for one, other in zip(tracked(engine, PROMPTS), tracked(plain, PROMPTS), strict=True):
        assert (one[0] & other[0]).sum() > 0.95 * (one[0] | other[0]).sum()
        assert (one == other).mean() > 0.98


def test_the_mask_of_an_object_does_not_depend_on_the_others(engine: OnnxEngine) -> None:
    together = tracked(engine, PROMPTS)
    alone = tracked(engine, {1: PROMPTS[1]})
    for one, other in zip(together, alone, strict=True):
        assert (one[0] == other[0]).mean() > 0.9999


def test_copies_compute_alike(engine: OnnxEngine) -> None:
    again = copy.deepcopy(engine)
    assert again.info.precision == engine.info.precision == "int8"
    features, copied = (e.encode_image(read_image(PHOTO)).arrays["embedding"] for e in (engine, again))
    np.testing.assert_array_equal(features, copied)


def test_int8_is_for_folders_that_have_it(tmp_path: Path) -> None:
    assert open_engine("nano", precision="int8").info.precision == "int8"
    assert open_engine("nano").info.precision == "fp32"
    nano = embedded_folder("nano")
    for path in nano.iterdir():
        if not path.name.endswith(INT8_SUFFIX):
            (tmp_path / path.name).symlink_to(path)
    with pytest.raises(EngineError, match="has no graphs in int8: masklet export --precision int8"):
        open_engine(tmp_path, precision="int8")
    with pytest.raises(EngineError, match="must be fp32 or int8, got 'int4'"):
        OnnxEngine(nano, precision="int4")


def two_products(path: Path) -> Path:
    """Write a graph of x @ weights, and of the result by its own transpose."""
    onnx = pytest.importorskip("onnx", reason="quantising needs onnx")
    helper, numbers = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["projected"], name="by_weights"),
        helper.make_node("Transpose", ["projected"], ["turned"], name="turn", perm=[1, 0]),
        helper.make_node("MatMul", ["projected", "turned"], ["y"], name="by_itself"),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("x", numbers, [None, 8])],
        [helper.make_tensor_value_info("y", numbers, [None, None])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_only_products_by_weights_are_in_8_bits(tmp_path: Path) -> None:
    import onnxruntime

    path = two_products(tmp_path / "attend.onnx")
    from masklet.engine.quantise import quantised

    samples: list[dict[str, Any]] = [
        {"x": np.random.default_rng(seed).normal(size=(5, 8)).astype(np.float32)} for seed in range(4)
    ]
    graph = quantised(path, "attend", samples)
    stored = {node.input[0] for node in graph.graph.node if node.op_type == "DequantizeLinear"}
    assert stored == {"x_QuantizeLinear_Output", "weights_quantized"}
    sessions = (onnxruntime.InferenceSession(source) for source in (graph.SerializeToString(), str(path)))
    (found,), (expected,) = (session.run(None, samples[0]) for session in sessions)
    assert 0 < np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected)


def test_a_stage_that_never_ran_is_named(tmp_path: Path) -> None:
    path = two_products(tmp_path / "attend.onnx")
    from masklet.engine.quantise import quantised

    with pytest.raises(EngineError, match="stage attend never ran: calibrate on clips with masks"):
        quantised(path, "attend", [])
