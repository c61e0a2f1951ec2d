"""Peers are asked the same question: with the same weights they give the same answer."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="peers need PyTorch")
pytest.importorskip("transformers", reason="the peer is transformers: pip install transformers")

from masklet.bench.peers import peers  # noqa: E402
from masklet.bench.stages import StageScene, contestants  # noqa: E402
from masklet.bench.timing import compete  # noqa: E402
from masklet.engine.torch_engine import TorchEngine  # noqa: E402
from tests.model.tiny import TINY, random_model  # noqa: E402


def test_transformers_answers_as_masklet_does() -> None:
    engine = TorchEngine(random_model(TINY), device="cpu", precision="fp32")
    scene = StageScene(engine, np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8), 1)
    found, missing = peers(engine, scene, None)
    assert any("--exported" in reason for reason in missing)
    own = contestants({"masklet": scene})
    for stage, rivals in found.items():
        assert rivals[0].name == "transformers fp32"
        for result in compete([rivals[0], *own[stage]], 1, warm_up=0):
            assert result.deviation < 1e-4
