"""Counts PyTorch's operators for a frame on a CPU: fused parts stay fused, cached parts are not computed again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="stages of PyTorch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from masklet.bench.stages import StageScene  # noqa: E402
from masklet.engine.torch_engine import TorchEngine  # noqa: E402
from masklet.model import cpu_attention, kernels  # noqa: E402
from masklet.model.packed import can_pack  # noqa: E402
from tests.model.tiny import TINY, random_model  # noqa: E402

pytestmark = [
    pytest.mark.skipif(not can_pack(torch.bfloat16), reason="this CPU or PyTorch has no bf16"),
    pytest.mark.skipif(
        kernels.find(True) is None or kernels.find(False) is None, reason="the attention kernel is not to be had here"
    ),
]

PHOTO = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)
BLOCKS = sum(TINY.trunk.stages)  # type: ignore[union-attr]


class Counting(TorchDispatchMode):
    """Counts the calls by operator name."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def calls(work: Any) -> Counter[str]:
    with Counting() as counting:
        work()
    return counting.calls


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_linear_layers_are_packed_and_attention_is_the_kernel(precision: str) -> None:
    engine = TorchEngine(random_model(TINY), device="cpu", precision=precision)
    first, again = (calls(lambda: engine.encode_image(PHOTO)) for _ in range(2))
    own = BLOCKS * 4 + len(TINY.trunk.stages) - 1  # qkv, project, expand, project; a shortcut where a stage begins
    assert again["_linear_pointwise"] == own
    assert not again["addmm"] + again["mm"] + again["gelu"]
    assert not any("scaled_dot_product" in name for name in again)
    assert (first["upsample_bicubic2d"], again["upsample_bicubic2d"]) == (1, 0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_memory_attention_writes_no_scores(precision: str) -> None:
    scene = StageScene(TorchEngine(random_model(TINY), device="cpu", precision=precision), PHOTO, 2)
    found = calls(scene.attend)
    assert found["_linear_pointwise"] == TINY.memory_layers * 10  # eight around two attentions, two of the MLP
    assert not found["_softmax"] + found["bmm"] + found["relu"]
    assert not any("scaled_dot_product" in name for name in found)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 0.1)])
@pytest.mark.parametrize("speed", ["exact", "fast"])
def test_several_objects_without_the_kernel(
    monkeypatch: pytest.MonkeyPatch, precision: str, tolerance: float, speed: str
) -> None:
    """Disable the kernel, as on machines without AVX-512 or a compiler."""
    scene = StageScene(TorchEngine(random_model(TINY), device="cpu", precision=precision, speed=speed), PHOTO, 3)
    wanted = torch.stack(scene.attend()).float()
    monkeypatch.setattr(cpu_attention, "takes", lambda *tensors: False)
    assert (torch.stack(scene.attend()).float() - wanted).norm() < tolerance * wanted.norm()
