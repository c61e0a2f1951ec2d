"""A video on a GPU: the same objects are found as on the CPU. Run with `pytest -m gpu`."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="GPUs are reached through PyTorch")

from masklet.engine.torch_engine import TorchEngine  # noqa: E402
from masklet.records import Frame, Prompt  # noqa: E402
from masklet.tracker import Tracker  # noqa: E402
from model.tiny import TINY, random_model  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device"),
]


@pytest.mark.parametrize("speed", ["exact", "fast"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_video(precision: str, speed: str) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (4, 90, 120, 3)).astype(np.uint8)
    given = {1: Prompt.create(points_xy=[(60, 40)]), 2: Prompt.create(box_xyxy=(5, 5, 60, 60))}
    found = []
    for device, own in (("cpu", "fp32"), ("cuda", precision)):
        engine = TorchEngine(random_model(TINY), device=device, precision=own, speed=speed)
        tracker = Tracker(engine)
        shown = [tracker.step(Frame(i, rgb, i / 10), given if i == 0 else None).masks for i, rgb in enumerate(pictures)]
        found.append(np.stack(shown))
    agreement = (found[0] == found[1]).mean()
    assert agreement > (0.999 if precision == "fp32" else 0.9)  # random weights make much of rounding
