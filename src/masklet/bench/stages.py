"""The four functions of an engine, one by one, as a frame in the middle of a video needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from masklet.bench.timing import Contestant
from masklet.engine.protocol import Engine
from masklet.memory.bank import MemoryConfig
from masklet.prompts import Prompt
from masklet.records import ByteArray, FloatArray, Recall

STAGES = ("encode image", "attend", "decode masks", "encode memory")


class StageScene:
    """One frame, objects on it, and for each as much remembered as the model ever reads.

    Args:
        engine: runs the model.
        rgb: (H, W, 3) the frame.
        num_objects: objects, prompted by clicks that are spread over the frame.
    """

    def __init__(self, engine: Engine[Any], rgb: ByteArray, num_objects: int) -> None:
        self.engine, self.rgb = engine, rgb
        self.features = engine.encode_image(rgb, in_video=True)
        prompts = [Prompt.create(points_xy=[point]) for point in spread(num_objects, (rgb.shape[0], rgb.shape[1]))]
        first = engine.decode(engine.attend(self.features, [Recall()] * num_objects), prompts)
        memories = engine.encode_memory(self.features, first, [True] * num_objects)
        rules = MemoryConfig.for_engine(engine.info)
        self.recalls = [
            Recall(
                spatial=tuple((slot, memory.spatial) for slot in range(rules.spatial_slots)),
                pointers=tuple((ago, memory.pointer) for ago in range(1, rules.max_pointers + 1)),
                pointer_span=rules.max_pointers,
            )
            for memory in memories
        ]
        self.conditioned = engine.attend(self.features, self.recalls)
        self.decoded = engine.decode(self.conditioned, [None] * num_objects)

    def encode_image(self) -> Any:
        return self.engine.encode_image(self.rgb, in_video=True).arrays["embedding"]

    def attend(self) -> Any:
        return self.engine.attend(self.features, self.recalls).embeddings

    def decode(self) -> Any:
        decoded = self.engine.decode(self.conditioned, [None] * len(self.recalls))
        return [self.engine.to_numpy(item.low_res_logits)[item.chosen] for item in decoded]

    def encode_memory(self) -> Any:
        memories = self.engine.encode_memory(self.features, self.decoded, [False] * len(self.recalls))
        return [memory.spatial for memory in memories]

    def masks(self) -> FloatArray:
        """(N, h, w) low-res logits."""
        return np.stack(self.decode())

    def contestant(self, name: str, stage: str) -> Contestant:
        work = dict(zip(STAGES, (self.encode_image, self.attend, self.decode, self.encode_memory), strict=True))[stage]

        def run() -> Any:
            answer = work()
            self._wait()
            return answer

        return Contestant(name, run, self._as_array)

    def _wait(self) -> None:
        """Until the device has done what it was told."""
        if self.engine.info.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize(self.engine.info.device)

    def _as_array(self, answer: Any) -> FloatArray:
        if isinstance(answer, np.ndarray):
            return answer
        if isinstance(answer, (list, tuple)):
            return np.stack([self._as_array(item) for item in answer])
        return self.engine.to_numpy(answer)


def contestants(scenes: Mapping[str, StageScene]) -> dict[str, list[Contestant]]:
    """Return contestants by stage, one per scene: the same frame for other engines."""
    return {stage: [scene.contestant(name, stage) for name, scene in scenes.items()] for stage in STAGES}


def disagreement(scenes: Sequence[StageScene]) -> list[float]:
    """Return how far each scene's masks are from the first scene's: 1 - IoU of all objects' low-res masks."""
    masks = [scene.masks() > 0 for scene in scenes]
    unions = [int(np.count_nonzero(masks[0] | other)) for other in masks]
    shared = [int(np.count_nonzero(masks[0] & other)) for other in masks]
    return [1 - common / max(1, union) for common, union in zip(shared, unions, strict=True)]


def spread(count: int, size_hw: tuple[int, int]) -> list[tuple[float, float]]:
    """Places on a grid over the picture, x and y."""
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    height, width = size_hw
    return [
        ((index % columns + 0.5) * width / columns, (index // columns + 0.5) * height / rows) for index in range(count)
    ]
