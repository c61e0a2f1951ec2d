"""The graphs are the model: exported stages answer as the functions they were traced from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="export needs PyTorch")
pytest.importorskip("onnxscript", reason="export needs onnxscript")

import torch.nn.functional as F  # noqa: E402

from masklet.engine.export import _example_inputs, _export_stage, export_model  # noqa: E402
from masklet.engine.onnx_engine import INT8_SUFFIX, OnnxEngine  # noqa: E402
from masklet.engine.quantise import QUANTISED  # noqa: E402
from masklet.engine.staged import STAGE_OUTPUTS  # noqa: E402
from masklet.model.config import NANO_CONFIG, OFFICIAL_CONFIGS, HieraConfig  # noqa: E402
from masklet.model.sam2 import SAM2  # noqa: E402
from masklet.prompts import Prompt  # noqa: E402
from masklet.records import Frame  # noqa: E402
from masklet.tracking.tracker import Tracker  # noqa: E402

TINY_NANO = dataclasses.replace(NANO_CONFIG, image_size=64, memory_layers=1, decoder_depth=1)
TINY_OFFICIAL = dataclasses.replace(
    OFFICIAL_CONFIGS["sam2.1-tiny"],
    image_size=64,
    trunk=HieraConfig(
        embed_dim=8,
        num_heads=1,
        stages=(1, 1, 2, 1),
        global_attention_blocks=(3,),
        window_position_size=(4, 4),
        window_sizes=(8, 4, 3, 2),
    ),
    embed_dim=32,
    memory_dim=16,
    decoder_mlp_dim=32,
    memory_mlp_dim=32,
    memory_layers=1,
    memory_mask_channels=(4, 8, 8, 8),
)


def test_the_memory_encoder_exports_with_any_number_of_objects(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SAM2(TINY_NANO).eval()
    example = _example_inputs(model)["encode_memory"]
    path = tmp_path / "encode_memory.onnx"
    path.write_bytes(_export_stage(model, "encode_memory", example).SerializeToString())
    session = onnxruntime.InferenceSession(str(path))
    for objects in (1, 5):
        inputs = dict(example)
        inputs["low_res_logits"] = torch.randn(objects, 1, 16, 16)
        inputs["object_score"] = torch.linspace(-1, 1, objects)
        inputs["is_prompted"] = torch.arange(objects) % 2 == 0
        with torch.no_grad():
            expected = model.encode_memory(**inputs).numpy()
        (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("config", [TINY_NANO, TINY_OFFICIAL], ids=["nano", "official"])
def test_every_stage_of_an_exported_folder_answers_as_the_model(config: object, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SAM2(config).eval()  # type: ignore[arg-type]
    engine = OnnxEngine(export_model(model, tmp_path / "model"), num_threads=1)
    for stage, inputs in _example_inputs(model).items():
        with torch.no_grad():
            answer = getattr(model, stage)(**inputs)
        values = answer if isinstance(answer, tuple) else (answer,)
        found = engine.run_stage(stage, {name: value.numpy() for name, value in inputs.items()})
        expected = {n: v for n, v in zip(STAGE_OUTPUTS[stage], values, strict=True) if v is not None}
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value.numpy(), atol=1e-3 * max(1.0, value.abs().max().item()))
    inputs = _example_inputs(model)["attend"]
    pooled = torch.unflatten(F.avg_pool2d(inputs["memory"].flatten(0, 1), 2), 0, inputs["memory"].shape[:2])
    with torch.no_grad():
        expected_pooled = model.attend(**(inputs | {"memory": pooled})).numpy()
    found = engine.run_stage("attend", {name: value.numpy() for name, value in (inputs | {"memory": pooled}).items()})
    np.testing.assert_allclose(
        found["conditioned"], expected_pooled, atol=1e-3 * max(1.0, np.abs(expected_pooled).max())
    )


@pytest.mark.slow
def test_what_runs_for_each_object_is_exported_in_int8_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    box = Prompt.create(box_xyxy=(8, 8, 40, 30))

    def track(engine: OnnxEngine) -> None:
        tracker = Tracker(engine)
        for index in range(3):
            tracker.step(Frame(index, np.roll(picture, index, axis=1), index / 10), None if index else {1: box})

    folder = export_model(SAM2(TINY_NANO).eval(), tmp_path / "model", precision="fp16", calibrate=track)
    in_int8 = {path.name.removesuffix(INT8_SUFFIX) for path in folder.glob(f"*{INT8_SUFFIX}")}
    assert in_int8 == set(QUANTISED)
    track(OnnxEngine(folder, num_threads=1, precision="int8"))
    for stage in in_int8:
        assert (folder / f"{stage}{INT8_SUFFIX}").stat().st_size < 1.2 * (folder / f"{stage}.onnx").stat().st_size
    export_model(SAM2(TINY_NANO).eval(), folder)
    assert not list(folder.glob(f"*{INT8_SUFFIX}"))
