"""An engine with its eyes on one frame: it encodes the frame once, and its objects in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from masklet.engine.protocol import Engine
from masklet.prompts import Prompt
from masklet.records import Decoded, FloatArray, Frame, FrameMemory, ImageFeatures, Recall

A = TypeVar("A")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[A]):
    """What the decoder says of one object, with a copy of the logits to look into."""

    decoded: Decoded[A]
    logits: FloatArray
    """(K, h, w) on the host."""

    def choosing(self, candidate: int) -> Answer[A]:
        """The same with another candidate chosen."""
        return replace(self, decoded=replace(self.decoded, chosen=candidate))

    @property
    def chosen_logits(self) -> FloatArray:
        """(h, w) of the chosen candidate."""
        chosen: FloatArray = self.logits[self.decoded.chosen]
        return chosen


@dataclass(frozen=True, slots=True)
class Question(Generic[A]):
    """What is asked of the decoder about one object."""

    recall: Recall[A]
    prompt: Prompt | None = None
    """With the logits that it corrects; None tracks from memory alone."""


class FrameEngine(Generic[A]):
    """The last frame looked at, its features, and the engine's functions on it.

    Args:
        engine: runs the model.
        objects_at_once: the largest batch. What a batch needs in memory grows with it, the answers do not change.
    """

    def __init__(self, engine: Engine[A], objects_at_once: int = 16) -> None:
        self.engine = engine
        self.objects_at_once = objects_at_once
        self.frame: Frame | None = None
        self._features: ImageFeatures[A] | None = None

    def look_at(self, frame: Frame) -> Frame:
        """Turn to a frame. Its features are kept if it is the one looked at already."""
        known = self.frame
        if known is None or known.index != frame.index or not np.array_equal(known.rgb, frame.rgb):
            self.frame, self._features = frame, None
        return frame

    @property
    def features(self) -> ImageFeatures[A]:
        """Of the frame, encoded when they are first needed."""
        assert self.frame is not None
        if self._features is None:
            self._features = self.engine.encode_image(self.frame.rgb, in_video=True)
        return self._features

    def answer(self, questions: Sequence[Question[A]]) -> list[Answer[A]]:
        """Memory attention and mask decoder, one answer a question."""
        answers: list[Answer[A]] = []
        for batch in self._batches(questions):
            conditioned = self.engine.attend(self.features, [question.recall for question in batch])
            decoded = self.engine.decode(conditioned, [question.prompt for question in batch])
            answers += [Answer(one, self.engine.to_numpy(one.low_res_logits)) for one in decoded]
        return answers

    def memorise(self, answers: Sequence[Answer[A]], prompted: Sequence[bool]) -> list[FrameMemory[A]]:
        """Memory encoder, one memory an answer."""
        memories: list[FrameMemory[A]] = []
        for batch in self._batches(range(len(answers))):
            memories += self.engine.encode_memory(
                self.features, [answers[row].decoded for row in batch], [prompted[row] for row in batch]
            )
        return memories

    def _batches(self, rows: Sequence[T]) -> Iterator[Sequence[T]]:
        for start in range(0, len(rows), self.objects_at_once):
            yield rows[start : start + self.objects_at_once]
