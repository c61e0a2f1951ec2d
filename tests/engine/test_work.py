"""Counts the cost of a frame: operations, runs of the graphs and bytes kept. Nothing depends on the clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from masklet.engine.onnx_engine import OnnxEngine
from masklet.engine.open import embedded_folder
from masklet.engine.staged import StageName
from masklet.prompts import Prompt
from masklet.records import Frame, Recall
from masklet.tracking.tracker import Tracker


class Counting(OnnxEngine):
    """Counts what it runs."""

    def __init__(self) -> None:
        super().__init__(embedded_folder("nano"), num_threads=1)
        self.runs: Counter[str] = Counter()

    def run_stage(self, stage: StageName, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.runs[stage] += 1
        return super().run_stage(stage, inputs)


@pytest.fixture(scope="module")
def engine() -> Counting:
    return Counting()


def test_a_frame_is_a_run_of_each_stage_whatever_the_number_of_objects(engine: Counting) -> None:
    tracker = Tracker(engine)
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    given = {i: Prompt.create(box_xyxy=(8 * i, 8, 8 * i + 16, 30)) for i in range(3)}
    for index in range(3):
        engine.runs.clear()
        tracker.step(Frame(index, np.roll(picture, index, axis=1), index / 10), given if index == 0 else None)
        # There is no memory yet on the first frame, and no prompt on later ones.
        decoded = {"decode": 1} if index == 0 else {"match": 1, "attend": 1, "decode_tracked": 1}
        assert engine.runs == {"encode_image": 1, "encode_memory": 1} | decoded


def test_a_second_click_runs_the_decoder_alone(engine: Counting) -> None:
    from masklet.segmentation.segmenter import Segmenter

    image = Segmenter(engine).set_image(np.zeros((48, 64, 3), np.uint8))
    image.predict(points_xy=[(30, 20)])
    engine.runs.clear()
    image.predict(points_xy=[(30, 20), (5, 5)], labels=[1, 0])
    assert engine.runs == {"decode": 1}


def test_bytes_kept_of_a_frame_and_object(engine: Counting) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    features = engine.encode_image(picture)
    decoded = engine.decode(engine.attend(features, [Recall()]), [Prompt.create(points_xy=[(30, 20)])])
    (memory,) = engine.encode_memory(features, decoded, [True])
    grid = engine.info.image_size // 16
    assert memory.spatial.nbytes == 4 * (64 + 64 + 1) * grid**2
    assert memory.pointer.nbytes == 4 * 128


def test_absent_objects_share_the_memory_of_an_empty_mask(engine: Counting) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    features = engine.encode_image(picture)
    prompts = [Prompt.create(points_xy=[(x, 20)]) for x in (10, 30, 50, 60)]
    present = engine.decode(engine.attend(features, [Recall()] * 4), prompts)
    decoded = [replace(answer, object_score=score) for answer, score in zip(present, (-1, 2, -3, 4), strict=True)]
    together = engine.encode_memory(features, decoded, [True, False, False, True])
    for answer, prompted, memory in zip(decoded, (True, False, False, True), together, strict=True):
        (alone,) = engine.encode_memory(features, [answer], [prompted])
        np.testing.assert_allclose(memory.spatial, alone.spatial, atol=1e-4)
    assert together[0].spatial is together[2].spatial


OPERATIONS = {
    "sam2.1-tiny": {
        "encode_image": 292.4,
        "attend": 605.6,
        "attend, fast": 193.5,
        "decode": 3.679,
        "encode_memory": 11.61,
    },
    "nano": {
        "encode_image": 2.397,
        "match": 0.7113,
        "match, two objects": 0.7193,
        "attend": 2.399,
        "attend, fast": 1.180,
        "decode": 0.2530,
        "decode_tracked": 0.2502,
        "encode_memory": 0.3584,
    },
}
"""Operations for one object (or as many as named) with all slots full, in units of 1e9."""


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_of_each_stage(name: str) -> None:
    """Counts operations in PyTorch; a change must be intended. The model has fake tensors: no arithmetic."""
    torch = pytest.importorskip("torch", reason="counting needs PyTorch")
    from torch._subclasses.fake_tensor import FakeTensorMode

    from masklet.model.config import NANO_CONFIG, OFFICIAL_CONFIGS
    from masklet.model.sam2 import SAM2
    from tests.model.work import count_operations

    config = NANO_CONFIG if name == "nano" else OFFICIAL_CONFIGS[name]
    slots = 4 if name == "nano" else config.spatial_slots
    found = {}
    with FakeTensorMode(), torch.no_grad():
        model = SAM2(config).eval()
        size, grid = config.image_size, config.grid_size
        pixels = torch.zeros(1, size, size, 3)
        features = model.encode_image(pixels)
        keys = {} if features.keys is None else {"keys": features.keys}
        low_res = torch.zeros(1, 1, 4 * grid, 4 * grid)
        prompt = {
            "points_xy": torch.zeros(1, 2, 2),
            "labels": torch.full((1, 2), -1),
            "mask_logits": low_res,
            "has_mask": torch.zeros(1, dtype=torch.bool),
        }
        fine = {"high_res_4": features.high_res_4, "high_res_8": features.high_res_8}

        def match(num_objects: int = 1) -> object:
            memory_keys = features.keys[:, None].expand(-1, slots, -1, -1, -1)
            masks = torch.zeros(1, num_objects, slots, grid, grid)
            return model.match(features.keys, memory_keys, masks, torch.arange(slots).expand(1, num_objects, -1))

        def attend(side: int) -> object:
            memory = torch.zeros(1, slots, config.memory_dim, side, side)
            return model.attend(
                features.embedding,
                memory,
                torch.arange(slots)[None],
                torch.zeros(1, config.max_pointers, config.embed_dim),
                torch.zeros(1, config.max_pointers),
                None if config.correspondence is None else torch.zeros(1, 4, grid, grid),
            )

        stages = {
            "encode_image": lambda: model.encode_image(pixels),
            "match": match,
            "match, two objects": lambda: match(2),
            "attend": lambda: attend(grid),
            "attend, fast": lambda: attend(grid // 2),
            "decode": lambda: model.decode(features.unconditioned, **fine, **prompt),
            "decode_tracked": lambda: model.decode_tracked(features.unconditioned, **fine),
            "encode_memory": lambda: model.encode_memory(
                features.embedding, low_res, torch.zeros(1), torch.zeros(1, dtype=torch.bool), **keys
            ),
        }
        found = {stage: count_operations(run) / 1e9 for stage, run in stages.items() if stage in OPERATIONS[name]}
    for stage, operations in OPERATIONS[name].items():
        assert found[stage] == pytest.approx(operations, rel=0.005), stage
