"""The preset `fast`: memories are pooled on reading, and nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from masklet.engine.onnx_engine import OnnxEngine
from masklet.engine.open import embedded_folder
from masklet.engine.staged import StageName
from masklet.errors import EngineError
from masklet.prompts import Prompt
from masklet.records import Recall

torch = pytest.importorskip("torch", reason="TorchEngine needs PyTorch")

from masklet.engine import torch_engine  # noqa: E402
from masklet.engine.torch_engine import TorchEngine  # noqa: E402
from masklet.model.config import NANO_CONFIG  # noqa: E402
from masklet.model.sam2 import SAM2  # noqa: E402
from tests.model.tiny import GRID, TINY, random_model  # noqa: E402

PHOTO = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)


class Watched(TorchEngine):
    """Records the shapes of the memories that are attended to."""

    seen: tuple[int, ...] = ()

    def run_stage(self, stage: StageName, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if stage == "attend":
            self.seen = tuple(inputs["memory"].shape)
        return super().run_stage(stage, inputs)


def tracked(engine: Watched) -> np.ndarray[Any, Any]:
    """Return the logits of a picture that is tracked once."""
    features = engine.encode_image(PHOTO)
    (first,) = engine.decode(engine.attend(features, [Recall()]), [Prompt.create(points_xy=[(60, 40)])])
    (memory,) = engine.encode_memory(features, [first], [True])
    assert tuple(memory.spatial.shape[-2:]) == (GRID, GRID)  # the stored memory is the same at either speed
    recall = Recall(((0, memory.spatial),), ((1, memory.pointer),))
    (second,) = engine.decode(engine.attend(features, [recall]), [None])
    return engine.to_numpy(second.low_res_logits)


def test_fast_reads_a_quarter_of_the_cells() -> None:
    exact, fast = (Watched(random_model(TINY), device="cpu", precision="fp32", speed=s) for s in ("exact", "fast"))
    one, other = tracked(exact), tracked(fast)
    assert (exact.seen[-2:], fast.seen[-2:]) == ((GRID, GRID), (GRID // 2, GRID // 2))
    assert (exact.info.speed, fast.info.speed) == ("exact", "fast")
    assert one.shape == other.shape
    assert not np.array_equal(one, other)


def test_by_default_nano_is_fast_and_the_official_models_are_exact() -> None:
    assert OnnxEngine(embedded_folder("nano")).info.speed == "fast"
    assert OnnxEngine(embedded_folder("nano"), speed="exact").info.speed == "exact"
    assert TorchEngine(random_model(TINY), device="cpu").info.speed == "exact"
    assert TorchEngine(SAM2(NANO_CONFIG), device="cpu").info.speed == "fast"


def test_engines_pool_alike() -> None:
    values = np.random.default_rng(0).random((2, 3, 5, 8, 8), np.float32)
    onnx = OnnxEngine(embedded_folder("nano"), num_threads=1).pool(values)
    from_torch = TorchEngine(random_model(TINY), device="cpu").pool(torch.from_numpy(values))
    np.testing.assert_allclose(onnx, from_torch.numpy(), rtol=1e-6)
    np.testing.assert_allclose(onnx[0, 0, 0, 0, 0], values[0, 0, 0, :2, :2].mean(), rtol=1e-6)


def test_bf16_is_used_only_for_speed_on_processors_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for has_bf16, speed, expected in ((True, "fast", "bf16"), (True, "exact", "fp32"), (False, "fast", "fp32")):
        monkeypatch.setattr(torch_engine, "computes_in_bf16", lambda has_bf16=has_bf16: has_bf16)
        assert torch_engine._auto_precision(cpu, speed) == expected
    assert torch_engine._auto_precision(torch.device("cuda"), "exact") == "bf16"


def test_an_unknown_speed_is_refused() -> None:
    with pytest.raises(EngineError, match="auto, exact or fast, got 'faster'"):
        OnnxEngine(embedded_folder("nano"), speed="faster")
