"""GPUs answer as CPUs do, compiled or not, and the host does not wait for them inside a stage.

Run with `pytest -m gpu`; skipped where PyTorch sees no CUDA device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="GPUs are reached through PyTorch")

from masklet.bench.stages import STAGES, StageScene  # noqa: E402
from masklet.bench.timing import deviation  # noqa: E402
from masklet.engine.staged import StageName  # noqa: E402
from masklet.engine.torch_engine import TorchEngine  # noqa: E402
from masklet.prompts import Prompt  # noqa: E402
from masklet.records import Frame  # noqa: E402
from masklet.tracking.tracker import Tracker  # noqa: E402
from tests.model.tiny import TINY, random_model  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device"),
]

PHOTO = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 1e-1}
"""Norm of the difference over the norm of the answer. Random, sharp weights amplify rounding."""


class Stage:
    """Keeps the last inputs of each stage, on the device."""

    def __init__(self, engine: TorchEngine) -> None:
        self.engine = engine
        self.inputs: dict[StageName, dict[str, Any]] = {}
        self._run = engine.run_stage
        engine.run_stage = self._keep  # type: ignore[method-assign, assignment]

    def _keep(self, stage: StageName, inputs: Any) -> Any:
        self.inputs[stage] = {name: self.engine._uploaded(value) for name, value in inputs.items()}
        return self._run(stage, inputs)

    def again(self, stage: StageName) -> None:
        self._run(stage, self.inputs[stage])


def scene(device: str, precision: str, *, num_objects: int = 2, speed: str = "exact") -> StageScene:
    return StageScene(
        TorchEngine(random_model(TINY), device=device, precision=precision, speed=speed), PHOTO, num_objects
    )


@pytest.mark.parametrize("speed", ["exact", "fast"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_each_stage_answers_as_on_the_cpu(precision: str, speed: str) -> None:
    own, reference = scene("cuda", precision, speed=speed), scene("cpu", "fp32", speed=speed)
    assert own.engine.info.device.startswith("cuda")
    for stage in STAGES:
        answers = []
        for one in (own, reference):
            contestant = one.contestant("", stage)
            answers.append(contestant.as_array(contestant.run()))
        assert deviation(*answers) < TOLERANCE[precision], stage


def masks(device: str, precision: str) -> np.ndarray[Any, Any]:
    """Return the masks of two objects over twenty frames of a moving picture."""
    tracker = Tracker(TorchEngine(random_model(TINY), device=device, precision=precision))
    given = {1: Prompt.create(points_xy=[(60, 40)]), 2: Prompt.create(box_xyxy=(5, 5, 60, 60))}
    shown = []
    for index in range(20):
        frame = Frame(index, np.roll(PHOTO, index, axis=1), index / 10)
        shown.append(tracker.step(frame, given if index == 0 else None).masks)
    return np.stack(shown)


@pytest.mark.parametrize(("precision", "agreement"), [("fp32", 0.999), ("fp16", 0.95), ("bf16", 0.9)])
def test_a_video(precision: str, agreement: float) -> None:
    found = (masks("cuda", precision) == masks("cpu", "fp32")).mean()
    assert found > agreement


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Raise on any operation for which the host waits for the GPU."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("stage", ["encode_image", "attend", "decode", "encode_memory"])
@pytest.mark.parametrize("speed", ["exact", "fast"])
def test_the_host_does_not_wait_inside_a_stage(stage: StageName, speed: str, request: pytest.FixtureRequest) -> None:
    engine = TorchEngine(random_model(TINY), device="cuda", precision="bf16", speed=speed)
    kept = Stage(engine)
    seen = StageScene(engine, PHOTO, 2)
    seen.encode_memory()
    kept.again(stage)  # the first run sets up caches
    request.getfixturevalue("no_waiting")
    kept.again(stage)


def test_uploads_do_not_wait(request: pytest.FixtureRequest) -> None:
    engine = TorchEngine(random_model(TINY), device="cuda", precision="bf16")
    pixels = {"pixels": np.zeros((1, 128, 128, 3), np.float32)}
    engine.run_stage("encode_image", pixels)
    request.getfixturevalue("no_waiting")
    engine.run_stage("encode_image", pixels)


@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_stages_answer_alike_and_take_any_number_of_clicks(precision: str) -> None:
    from torch._dynamo.utils import counters

    model = random_model(TINY)
    plain, compiled = (
        TorchEngine(model, device="cuda", precision=precision, compiled=compiled) for compiled in (False, True)
    )

    def answers(engine: TorchEngine, num_clicks: int) -> np.ndarray[Any, Any]:
        seen = StageScene(engine, PHOTO, 2)
        clicks = [(20 + 10 * i, 40) for i in range(num_clicks)]
        prompt = Prompt.create(points_xy=clicks, labels=[1] * num_clicks)
        decoded = engine.decode(seen.conditioned, [prompt, prompt])
        return np.stack([engine.to_numpy(one.low_res_logits)[0] for one in decoded])

    assert deviation(answers(compiled, 2), answers(plain, 2)) < TOLERANCE[precision]
    graphs = counters["stats"]["unique_graphs"]
    assert graphs
    for num_clicks in (3, 5, 9):
        assert deviation(answers(compiled, num_clicks), answers(plain, num_clicks)) < TOLERANCE[precision]
    assert counters["stats"]["unique_graphs"] == graphs  # another number of clicks needs no other graph
