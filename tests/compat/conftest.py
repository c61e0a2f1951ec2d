"""A tiny official model with random weights, shared by the tests of the official interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

if TYPE_CHECKING:
    from masklet.engine.torch_engine import TorchEngine
    from masklet.records import ByteArray

HEIGHT, WIDTH = 60, 80


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute the tiny model on one thread: several would wait for each other."""
    torch = pytest.importorskip("torch", reason="masklet.compat.sam2 needs PyTorch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_engine() -> TorchEngine:
    torch = pytest.importorskip("torch", reason="masklet.compat.sam2 needs PyTorch")
    from masklet.engine.torch_engine import TorchEngine
    from tests.model.tiny import random_model

    model = random_model()
    with torch.no_grad():
        model.mask_decoder.object_score_head.layers[-1].bias.fill_(50.0)  # objects are there
    return TorchEngine(model, device="cpu", precision="fp32")


@pytest.fixture(scope="session")
def small_photo() -> ByteArray:
    coarse = np.random.default_rng(3).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture(scope="session")
def clip(small_photo: ByteArray) -> list[ByteArray]:
    return [np.roll(small_photo, 3 * index, axis=1) for index in range(4)]
