"""An engine on integers: it remembers what it was asked, and every handle says which frame it came from.

Frames come from `picture`, which writes the frame's number into the pixels; `encode_image` reads it back. So a
recall such as `((0, 0), (2, 4), (1, 5))` says that frame 0 was read as a prompted one and frames 4 and 5 as tracked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from masklet.prompts import Prompt
from masklet.records import (
    ByteArray,
    Conditioned,
    Decoded,
    EngineInfo,
    FloatArray,
    Frame,
    FrameMemory,
    ImageFeatures,
    Recall,
)

SIZE_HW = (6, 8)
LOW_RES = 4


def picture(number: int) -> ByteArray:
    rgb = np.zeros((*SIZE_HW, 3), np.uint8)
    rgb[0, 0] = number & 255, (number >> 8) & 255, number >> 16
    return rgb


def frame(number: int) -> Frame:
    return Frame(number, picture(number), number / 10)


def pictures(count: int) -> list[ByteArray]:
    return [picture(number) for number in range(count)]


def endless() -> Iterator[ByteArray]:
    number = 0
    while True:
        yield picture(number)
        number += 1


class FakeEngine:
    """Answers with the left half of the frame, at a score that the test chooses.

    Args:
        object_score: logit of every object on a frame, by its number.
        recording: keep what was asked; off for long runs.
    """

    def __init__(self, object_score: Callable[[int], float] = lambda number: 8.0, *, recording: bool = True) -> None:
        self.object_score = object_score
        self.recording = recording
        self.encoded: list[int] = []
        """Frames that were encoded, in order."""
        self.attended: list[tuple[int, tuple[Recall[int], ...]]] = []
        """(frame, one recall an object) of each call."""
        self.decoded: list[tuple[int, tuple[Prompt | None, ...], bool | None]] = []
        """(frame, one prompt an object, multimask) of each call."""
        self.memorised: list[tuple[int, tuple[bool, ...]]] = []
        """(frame, prompted or not for each object) of each call."""

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("fake", 4 * LOW_RES, 7, 16, "python", "none", "int")

    def encode_image(self, rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[int]:
        number = int(rgb[0, 0] @ np.array([1, 256, 65536]))
        if self.recording:
            self.encoded.append(number)
        return ImageFeatures({"number": number}, (rgb.shape[0], rgb.shape[1]))

    def attend(self, features: ImageFeatures[int], recalls: Sequence[Recall[int]]) -> Conditioned[int]:
        if self.recording:
            self.attended.append((features.arrays["number"], tuple(recalls)))
        return Conditioned(tuple(range(len(recalls))), features)

    def decode(
        self, conditioned: Conditioned[int], prompts: Sequence[Prompt | None], *, multimask: bool | None = None
    ) -> list[Decoded[int]]:
        assert len(conditioned.embeddings) == len(prompts)
        number = conditioned.features.arrays["number"]
        if self.recording:
            self.decoded.append((number, tuple(prompts), multimask))
        return [self._answer(number, prompt, multimask) for prompt in prompts]

    def _answer(self, number: int, prompt: Prompt | None, multimask: bool | None) -> Decoded[int]:
        several = multimask if multimask is not None else prompt is None or prompt.num_points <= 1
        iou_predictions = (0.5, 0.9, 0.7) if several else (0.8,)
        chosen = int(np.argmax(iou_predictions))
        return Decoded(
            len(iou_predictions), iou_predictions, chosen, self.object_score(number), (number,) * len(iou_predictions)
        )

    def encode_memory(
        self, features: ImageFeatures[int], decoded: Sequence[Decoded[int]], prompted: Sequence[bool]
    ) -> list[FrameMemory[int]]:
        assert len(decoded) == len(prompted)
        number = features.arrays["number"]
        if self.recording:
            self.memorised.append((number, tuple(prompted)))
        return [FrameMemory(number, number) for _ in decoded]

    def to_numpy(self, array: int) -> FloatArray:
        """Logits of `array` candidates: foreground left, background right, each candidate surer than the one before."""
        sureness = np.arange(1, 40 * array, 40, dtype=np.float32)[:, None, None]  # 1, 41, 81
        side = np.where(np.arange(LOW_RES) < LOW_RES // 2, 1, -1).astype(np.float32)
        return np.broadcast_to(sureness * side, (array, LOW_RES, LOW_RES)).copy()

    def from_numpy(self, array: FloatArray) -> int:
        """Inverse of `to_numpy`."""
        return len(array)

    def recall_of(self, number: int, row: int = 0) -> Recall[int]:
        """What an object read for a frame, when that frame was last decoded."""
        return next(recalls[row] for seen, recalls in reversed(self.attended) if seen == number)

    def prompt_of(self, number: int, row: int = 0) -> Prompt | None:
        """What an object's decoder was given on a frame, when that frame was last decoded."""
        return next(prompts[row] for seen, prompts, _ in reversed(self.decoded) if seen == number)
