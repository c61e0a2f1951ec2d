"""Packed layers are the linear layers they were made of, in bf16."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the model is PyTorch's")

from torch import nn  # noqa: E402

from masklet.engine.torch_engine import TorchEngine, computes_in_bf16  # noqa: E402
from masklet.model.packed import PackedLinear, activated, added, can_pack, packed  # noqa: E402
from model.tiny import TINY, random_model  # noqa: E402

pytestmark = pytest.mark.skipif(not can_pack() or not computes_in_bf16(), reason="this CPU or PyTorch has no bf16")


@torch.no_grad()
def test_what_follows_is_fused_and_the_same() -> None:
    torch.manual_seed(0)
    linear, x, residual = nn.Linear(48, 80), torch.randn(2, 7, 48), torch.randn(2, 7, 80)
    own = PackedLinear(linear)
    pairs = [(own(x), linear(x)), (added(residual.bfloat16(), own, x), added(residual, linear, x))]
    pairs += [(activated(own, x, one), activated(linear, x, one)) for one in ("relu", "gelu")]
    for found, wanted in pairs:
        assert found.dtype == torch.bfloat16
        assert (found.float() - wanted).norm() < 6e-3 * wanted.norm()
    mixed = added(residual, own, x)  # a residual in fp32 stays in fp32
    assert mixed.dtype == torch.float32
    assert (mixed - added(residual, linear, x)).norm() < 6e-3 * mixed.norm()


def test_the_model_itself_is_not_changed_and_its_tensors_are_shared() -> None:
    model = random_model(TINY)
    before = {name: id(value) for name, value in model.state_dict(keep_vars=True).items()}
    shadow = packed(model, ("memory_attention",))
    assert {name: id(value) for name, value in model.state_dict(keep_vars=True).items()} == before
    assert any(isinstance(module, PackedLinear) for module in shadow.memory_attention.modules())
    assert not any(type(module) is nn.Linear for module in shadow.memory_attention.modules())
    assert shadow.no_object_pointer is model.no_object_pointer


def test_an_engine_in_bf16_leaves_its_model_as_it_was() -> None:
    model = random_model(TINY)
    engine = TorchEngine(model, device="cpu", precision="bf16")
    assert engine.model is model
    assert not any(isinstance(module, PackedLinear) for module in model.modules())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
