"""The same tests for every engine: the embedded nano in onnxruntime, and its weights in PyTorch."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet.engine.onnx_engine import OnnxEngine, read_spec
from masklet.engine.open import embedded_folder, open_engine
from masklet.engine.protocol import Engine
from masklet.engine.staged import ModelSpec
from masklet.errors import CheckpointError, EngineError
from masklet.media.images import read_image
from masklet.memory.bank import MemoryConfig
from masklet.prompts import Prompt
from masklet.records import BoolArray, ByteArray, Decoded, Frame, Recall
from masklet.segmentation.segmenter import Segmenter
from masklet.tracking.tracker import Tracker

REPOSITORY = Path(__file__).resolve().parents[2]
NANO_WEIGHTS = REPOSITORY / "weights" / "nano.safetensors"
PHOTO = REPOSITORY / "examples" / "media" / "cat.jpg"


def make_engine(kind: str) -> Engine[Any]:
    if kind == "onnx":
        return OnnxEngine(embedded_folder("nano"), num_threads=1)
    pytest.importorskip("torch", reason="TorchEngine needs PyTorch")
    return open_engine(NANO_WEIGHTS, device="cpu", precision="fp32")


@pytest.fixture(scope="module", params=["onnx", "torch"])
def engine(request: pytest.FixtureRequest) -> Engine[Any]:
    return make_engine(request.param)


@pytest.fixture(scope="module")
def photo() -> ByteArray:
    return read_image(PHOTO)


def disk(size_hw: tuple[int, int], centre_xy: tuple[int, int], radius: int) -> BoolArray:
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    return (x - centre_xy[0]) ** 2 + (y - centre_xy[1]) ** 2 <= radius**2


def prompts(size_hw: tuple[int, int]) -> list[Prompt]:
    """One of every kind: a click, clicks, a box, a box with a click, a mask."""
    return [
        Prompt.create(points_xy=[(220, 170)]),
        Prompt.create(points_xy=[(220, 170), (20, 20)], labels=[1, 0]),
        Prompt.create(box_xyxy=(100, 40, 330, 290)),
        Prompt.create(box_xyxy=(100, 40, 330, 290), points_xy=[(220, 170)]),
        Prompt.create(mask=disk(size_hw, (220, 150), 80)),
    ]


def answer(engine: Engine[Any], rgb: ByteArray, asked: list[Prompt]) -> list[Decoded[Any]]:
    features = engine.encode_image(rgb)
    return engine.decode(engine.attend(features, [Recall()] * len(asked)), asked)


def test_engines_agree_on_every_kind_of_prompt(photo: ByteArray) -> None:
    first, second = make_engine("onnx"), make_engine("torch")
    asked = prompts(photo.shape[:2])
    for one, other in zip(answer(first, photo, asked), answer(second, photo, asked), strict=True):
        a, b = first.to_numpy(one.low_res_logits), second.to_numpy(other.low_res_logits)
        # Weights are stored in fp16 on both sides and computed with in fp32; orders of summation differ.
        np.testing.assert_allclose(a, b, atol=5e-3 * np.abs(b).max())
        assert ((a > 0) == (b > 0)).mean() > 0.999
        assert one.iou_predictions == pytest.approx(other.iou_predictions, abs=2e-3)
        assert one.object_score == pytest.approx(other.object_score, rel=1e-2, abs=1e-2)
        assert one.chosen == other.chosen


def test_engines_agree_on_a_track(photo: ByteArray) -> None:
    rolled = [Frame(i, np.roll(photo, 6 * i, axis=1), i / 10) for i in range(4)]
    found = []
    for kind in ("onnx", "torch"):
        tracker = Tracker(make_engine(kind))
        given = {1: Prompt.create(points_xy=[(220, 170)]), 2: Prompt.create(box_xyxy=(0, 0, 120, 120))}
        found.append([tracker.step(frame, given if frame.index == 0 else None).masks for frame in rolled])
    for one, other in zip(*found, strict=True):
        assert (one == other).mean() > 0.999


def test_a_batch_gives_the_same_results_as_single_objects(engine: Engine[Any], photo: ByteArray) -> None:
    asked = prompts(photo.shape[:2])
    together = answer(engine, photo, asked)
    for prompt, one in zip(asked, together, strict=True):
        (alone,) = answer(engine, photo, [prompt])
        np.testing.assert_allclose(
            engine.to_numpy(one.low_res_logits), engine.to_numpy(alone.low_res_logits), atol=1e-3
        )


def test_candidates_are_three_for_a_single_click_and_one_otherwise(engine: Engine[Any], photo: ByteArray) -> None:
    asked = prompts(photo.shape[:2])
    assert [len(one.iou_predictions) for one in answer(engine, photo, asked)] == [3, 1, 1, 1, 1]
    conditioned = engine.attend(engine.encode_image(photo), [Recall()])
    (three,) = engine.decode(conditioned, [asked[2]], multimask=True)
    (one,) = engine.decode(conditioned, [asked[0]], multimask=False)
    assert (len(three.iou_predictions), len(one.iou_predictions)) == (3, 1)
    assert three.chosen == int(np.argmax(three.iou_predictions))


def test_a_mask_prompt_answers_with_itself(engine: Engine[Any], photo: ByteArray) -> None:
    mask = disk(photo.shape[:2], (220, 150), 80)
    (decoded,) = answer(engine, photo, [Prompt.create(mask=mask)])
    logits = engine.to_numpy(decoded.low_res_logits)[0]
    side = engine.info.low_res_size
    assert logits.shape == (side, side)
    assert (logits > 0).mean() == pytest.approx(mask.mean(), rel=0.02)
    assert decoded.is_present


def test_objects_with_unequal_memories_share_a_call(engine: Engine[Any], photo: ByteArray) -> None:
    features = engine.encode_image(photo)
    conditioned = engine.attend(features, [Recall()] * 2)
    decoded = engine.decode(conditioned, [Prompt.create(points_xy=[(220, 170)]), Prompt.create(points_xy=[(30, 30)])])
    one, other = engine.encode_memory(features, decoded, [True, False])
    short = Recall(((0, one.spatial),), ((1, one.pointer),))
    long = Recall(((0, one.spatial), (1, other.spatial)), ((2, one.pointer), (1, other.pointer)))
    together = engine.attend(features, [short, long, Recall(), short])
    apart = [engine.attend(features, [recall]).embeddings[0] for recall in (short, long, Recall(), short)]
    for both, alone in zip(together.embeddings, apart, strict=True):
        np.testing.assert_allclose(engine.to_numpy(both), engine.to_numpy(alone), atol=1e-3)


def test_an_absent_object_is_remembered_as_absent(engine: Engine[Any], photo: ByteArray) -> None:
    features = engine.encode_image(photo)
    (there,) = engine.decode(engine.attend(features, [Recall()]), [Prompt.create(points_xy=[(220, 170)])])
    gone = Decoded(there.low_res_logits, there.iou_predictions, there.chosen, -3.0, there.pointers)
    with_mask, without = engine.encode_memory(features, [there, gone], [False, False])
    empty_mask = engine.to_numpy(without.spatial)[-1]  # the correspondence keeps the mask in the last channel
    assert engine.to_numpy(with_mask.spatial)[-1].max() > 0.5
    assert empty_mask.max() == 0


@pytest.mark.parametrize(("pads", "tokens"), [(True, 2), (False, 0)])
def test_logits_alone_come_with_padding_or_with_nothing(photo: ByteArray, pads: bool, tokens: int) -> None:
    """nano gets padding; official models get no points, as in their image predictor."""
    engine = OnnxEngine(embedded_folder("nano"), num_threads=1)
    assert engine.spec.pads_logits_alone
    engine.spec = replace(engine.spec, pads_logits_alone=pads)
    logits = np.zeros((engine.info.low_res_size,) * 2, np.float32)
    prompt = Prompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int32), previous_logits=logits)
    assert [len(part) for part in engine._tokens(prompt, photo.shape[:2])] == [tokens, tokens]


def test_nano_finds_a_cat(engine: Engine[Any], photo: ByteArray) -> None:
    image = Segmenter(engine).set_image(photo)
    result = image.predict(box_xyxy=(110, 10, 400, 299))
    assert result.mask[150:250, 180:280].mean() > 0.9  # its face
    assert result.mask[:100, :25].mean() < 0.01  # the cushion behind it
    assert result.mask[50:200, 420:].mean() < 0.01  # the room at its other side


def test_official_rules_run_on_any_engine(engine: Engine[Any], photo: ByteArray) -> None:
    tracker = Tracker(engine, memory=MemoryConfig.official(max_pointers=engine.info.max_pointers))
    given = {5: Prompt.create(box_xyxy=(110, 10, 400, 299))}
    masks = [tracker.step(Frame(i, photo, 0.0), given if i == 0 else None) for i in range(3)]
    assert [m.object_ids for m in masks] == [(5,)] * 3


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("no-such-model", {}, CheckpointError, "expected a known name"),
        ("nano", {"device": "cuda"}, EngineError, "run on the CPU"),
        ("nano", {"precision": "bf16"}, EngineError, "in fp32"),
    ],
)
def test_models_that_cannot_be_opened_give_the_reason(
    name: str, options: dict[str, str], error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        open_engine(name, **options)


def test_a_folder_of_transformers_is_a_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="checkpoints need PyTorch")
    (tmp_path / "config.json").write_text('{"model_type": "sam2_video"}')
    with pytest.raises(CheckpointError, match=r"config\.json is there, the weights are not"):
        open_engine(tmp_path)


def test_a_folder_that_was_exported_earlier_still_loads() -> None:
    spec = read_spec(embedded_folder("nano"))
    assert ModelSpec.from_dict(spec.to_dict() | {"tracks_with_candidates": False}) == spec
    with pytest.raises(CheckpointError, match="tracks_with_wings"):
        ModelSpec.from_dict(spec.to_dict() | {"tracks_with_wings": True})


def test_the_embedded_model_equals_its_configuration() -> None:
    pytest.importorskip("torch", reason="the configuration is the torch model's")
    from masklet.model.config import NANO_CONFIG

    spec, facts = read_spec(embedded_folder("nano")).to_dict(), asdict(NANO_CONFIG.inference)
    assert set(spec.pop("calibration")) == {"click", "clicks", "box", "tracked", "absent"}  # of exactly these weights
    assert facts.pop("calibration") == {}
    assert {name: spec[name] for name in facts} == facts


def test_a_damaged_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model\.json"):
        OnnxEngine(tmp_path)
    (tmp_path / "model.json").write_text('{"format_version": 99}')
    with pytest.raises(CheckpointError, match="format_version must be 3, got 99"):
        OnnxEngine(tmp_path)
    (tmp_path / "model.json").write_text((embedded_folder("nano") / "model.json").read_text())
    with pytest.raises(CheckpointError, match=r"lacks encode_image\.onnx"):
        OnnxEngine(tmp_path)
    (tmp_path / "encode_image.onnx").write_bytes(b"not a graph")
    with pytest.raises(CheckpointError, match="onnxruntime can load"):
        OnnxEngine(tmp_path)
