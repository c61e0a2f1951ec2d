"""An engine that sees drawn scenes: boxes that move, leave and return, by number. Its handles are integers.

Frames come from `picture`, which writes the frame's number into the pixels. A prompt locates the box with the highest
IoU; from then on its object follows that box. What it remembers is which box it was, so a test can let two boxes meet
and part again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from masklet.prompts import Prompt
from masklet.records import (
    BoolArray,
    ByteArray,
    Conditioned,
    Decoded,
    EngineInfo,
    FloatArray,
    FrameMemory,
    ImageFeatures,
    Recall,
)

SIDE = 16
"""Height and width of the frames, and of the low-res logits."""

Box = tuple[int, int, int, int]
Scene = Mapping[int, Callable[[int], Box | None]]
"""Where each box is on a frame, by its number from 1 on; None where it is out of sight."""

_FRAMES = 4096


def picture(number: int) -> ByteArray:
    rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
    rgb[..., 2] = number * 53 % 251  # every frame looks different everywhere, as under a moving camera
    rgb[0, 0, :2] = number & 255, number >> 8
    return rgb


def pictures(count: int) -> list[ByteArray]:
    return [picture(number) for number in range(count)]


def frame_number(rgb: ByteArray) -> int:
    return int(rgb[0, 0, 0]) + 256 * int(rgb[0, 0, 1])


def still(*box: int, first: int = 0, last: int = _FRAMES, gone: Collection[int] = ()) -> Callable[[int], Box | None]:
    """A box that stays in its place from the first frame to the last, but for the frames on which it is gone."""
    left, top, right, bottom = box
    return lambda number: (left, top, right, bottom) if first <= number <= last and number not in gone else None


def filled(box: Sequence[float] | None) -> BoolArray:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    if box is not None:
        left, top, right, bottom = (round(edge) for edge in box)
        mask[top:bottom, left:right] = True
    return mask


class SceneEngine:
    """Answers with the boxes of a scene.

    Args:
        scene: the boxes.
        doubtful: whether a tracked box is in doubt on a frame, by its number and the frame's.
        overlooked: whether a tracked box is taken for absent on a frame, though its mask is drawn.
    """

    def __init__(
        self,
        scene: Scene,
        doubtful: Callable[[int, int], bool] = lambda box, number: False,
        overlooked: Callable[[int, int], bool] = lambda box, number: False,
    ) -> None:
        self.scene = scene
        self.doubtful = doubtful
        self.overlooked = overlooked
        self.prompted: list[tuple[int, int]] = []
        """(frame, box) of each prompt that was decoded."""
        self.memorised: list[tuple[int, int]] = []
        """(frame, box) of each memory that was written."""

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("scene", 4 * SIDE, 7, 16, "python", "none", "int")

    def encode_image(self, rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[int]:
        return ImageFeatures({"number": frame_number(rgb)}, (rgb.shape[0], rgb.shape[1]))

    def attend(self, features: ImageFeatures[int], recalls: Sequence[Recall[int]]) -> Conditioned[int]:
        boxes = tuple(recall.spatial[0][1] // _FRAMES if recall.spatial else 0 for recall in recalls)
        return Conditioned(boxes, features)

    def decode(
        self, conditioned: Conditioned[int], prompts: Sequence[Prompt | None], *, multimask: bool | None = None
    ) -> list[Decoded[int]]:
        number = conditioned.features.arrays["number"]
        return [self._answer(number, box, p) for box, p in zip(conditioned.embeddings, prompts, strict=True)]

    def _answer(self, number: int, box: int, prompt: Prompt | None) -> Decoded[int]:
        if prompt is not None:
            box = self._located(number, prompt)
            self.prompted.append((number, box))
        is_present = box in self.scene and self.scene[box](number) is not None
        is_present &= prompt is not None or not self.overlooked(box, number)
        iou_prediction = 0.2 if prompt is None and self.doubtful(box, number) else 0.9
        return Decoded(box * _FRAMES + number, (iou_prediction,), 0, 8.0 if is_present else -8.0, (box,))

    def _located(self, number: int, prompt: Prompt) -> int:
        region = np.zeros((SIDE, SIDE), np.bool_)
        if prompt.mask is not None:
            region = prompt.mask
        elif prompt.box_xyxy is not None:
            region = filled(prompt.box_xyxy.tolist())
        else:
            assert prompt.points_xy is not None
            x, y = prompt.points_xy[0].astype(int)
            region[y, x] = True
        masks = {box: filled(place(number)) for box, place in self.scene.items()}
        ious = {box: float((mask & region).sum() / (mask | region).sum()) for box, mask in masks.items()}
        best = max(ious, key=ious.__getitem__, default=0)
        return best if ious.get(best) else 0

    def encode_memory(
        self, features: ImageFeatures[int], decoded: Sequence[Decoded[int]], prompted: Sequence[bool]
    ) -> list[FrameMemory[int]]:
        number = features.arrays["number"]
        self.memorised += [(number, answer.pointers[0]) for answer in decoded]
        return [FrameMemory(answer.pointers[0] * _FRAMES + number, answer.pointers[0]) for answer in decoded]

    def to_numpy(self, array: int) -> FloatArray:
        """(1, SIDE, SIDE) logits of a box on a frame, whose size says which they are."""
        box, number = divmod(array, _FRAMES)
        place = self.scene[box](number) if box in self.scene else None
        signs = np.where(filled(place), 1, -1).astype(np.float32)
        return (signs * (10 + array))[None]

    def from_numpy(self, array: FloatArray) -> int:
        """Inverse of `to_numpy`."""
        return round(abs(float(array.flat[0]))) - 10
