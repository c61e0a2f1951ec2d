"""Packed layers are the linear layers they were made of, in bf16."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the model is PyTorch's")

from torch import nn  # noqa: E402

from masklet.engine.torch_engine import TorchEngine  # noqa: E402
from masklet.model.packed import PackedLinear, activated, added, can_pack, packed  # noqa: E402
from tests.model.tiny import SIZE, TINY, random_model  # noqa: E402

pytestmark = pytest.mark.skipif(not can_pack(torch.bfloat16), reason="this CPU or PyTorch has no bf16")


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 6e-3), (torch.float32, 1e-6)], ids=["bf16", "fp32"])
@torch.no_grad()
def test_fused_addition_and_activation_give_the_same_result(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    linear, x, residual = nn.Linear(48, 80), torch.randn(2, 7, 48), torch.randn(2, 7, 80)
    own = PackedLinear(linear, dtype)
    pairs = [(own(x), linear(x)), (added(residual.to(dtype), own, x), added(residual, linear, x))]
    pairs += [(activated(own, x, one), activated(linear, x, one)) for one in ("relu", "gelu")]
    for found, wanted in pairs:
        assert found.dtype == dtype
        assert (found.float() - wanted).norm() < tolerance * wanted.norm()
    mixed = added(residual, own, x)  # a residual in fp32 stays in fp32
    assert mixed.dtype == torch.float32
    assert (mixed - added(residual, linear, x)).norm() < tolerance * mixed.norm()
    shared = residual[:1].to(dtype)  # what objects share of a frame until they look at their memories
    assert (added(shared, own, x).float() - added(residual[:1], linear, x)).norm() < tolerance * mixed.norm()


def test_the_model_itself_is_not_changed_and_its_tensors_are_shared() -> None:
    model = random_model(TINY)
    before = {name: id(value) for name, value in model.state_dict(keep_vars=True).items()}
    shadow = packed(model, ("memory_attention",), torch.float32)
    assert {name: id(value) for name, value in model.state_dict(keep_vars=True).items()} == before
    assert any(isinstance(module, PackedLinear) for module in shadow.memory_attention.modules())
    assert not any(type(module) is nn.Linear for module in shadow.memory_attention.modules())
    assert shadow.no_object_pointer is model.no_object_pointer


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_engine_leaves_its_model_as_it_was(precision: str) -> None:
    model = random_model(TINY)
    engine = TorchEngine(model, device="cpu", precision=precision)
    assert engine.model is model
    assert not any(isinstance(module, PackedLinear) for module in model.modules())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@torch.no_grad()
def test_engines_with_packed_layers_can_be_copied_and_pickled() -> None:
    linear, x = nn.Linear(48, 80), torch.randn(3, 48)
    for dtype in (torch.float32, torch.bfloat16):
        own = PackedLinear(linear, dtype)
        assert torch.equal(copy.deepcopy(own)(x), own(x))
        assert torch.equal(pickle.loads(pickle.dumps(own))(x), own(x))
    engine = TorchEngine(random_model(TINY), device="cpu")
    picture = {"pixels": np.full((1, SIZE, SIZE, 3), 99, np.float32)}
    for again in (copy.deepcopy(engine), pickle.loads(pickle.dumps(engine))):
        found, wanted = (one.run_stage("encode_image", picture)["embedding"] for one in (again, engine))
        assert torch.equal(found, wanted)
