"""An engine bound to one frame: it encodes the frame once, and decodes objects in batches of bounded size."""

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
class DecodeRequest(Generic[A]):
    """Input of the decoder for one object."""

    recall: Recall[A]
    prompt: Prompt | None = None
    """Prompt with the logits that it corrects; None tracks the object from memory alone."""


@dataclass(frozen=True, slots=True)
class DecodeResult(Generic[A]):
    """The decoder's answer for one object, with a copy of the logits that can be read without the engine."""

    decoded: Decoded[A]
    logits: FloatArray
    """(K, h, w) on the host."""

    def choosing(self, candidate: int) -> DecodeResult[A]:
        """Return a copy with another chosen candidate."""
        return replace(self, decoded=replace(self.decoded, chosen=candidate))

    @property
    def chosen_logits(self) -> FloatArray:
        """Logits (h, w) of the chosen candidate."""
        logits: FloatArray = self.logits[self.decoded.chosen]
        return logits


class FrameEngine(Generic[A]):
    """The engine's functions on the current frame, whose features are kept.

    Args:
        engine: runs the model.
        objects_at_once: the largest batch. A larger one needs more memory; the masks are the same.
    """

    def __init__(self, engine: Engine[A], objects_at_once: int = 16) -> None:
        self.engine = engine
        self.objects_at_once = objects_at_once
        self.frame: Frame | None = None
        self._features: ImageFeatures[A] | None = None

    def set_frame(self, frame: Frame) -> Frame:
        """Make this the current frame. The features stay if it already is, with the same pixels."""
        current = self.frame
        if current is None or current.index != frame.index or not np.array_equal(current.rgb, frame.rgb):
            self.frame, self._features = frame, None
        return frame

    @property
    def features(self) -> ImageFeatures[A]:
        """Features of the current frame, encoded when they are first needed."""
        assert self.frame is not None
        if self._features is None:
            self._features = self.engine.encode_image(self.frame.rgb, in_video=True)
        return self._features

    def decode(self, requests: Sequence[DecodeRequest[A]]) -> list[DecodeResult[A]]:
        """Run memory attention and the mask decoder; one result per request."""
        results: list[DecodeResult[A]] = []
        for batch in self._batches(requests):
            conditioned = self.engine.attend(self.features, [request.recall for request in batch])
            answers = self.engine.decode(conditioned, [request.prompt for request in batch])
            results += [DecodeResult(decoded, self.engine.to_numpy(decoded.low_res_logits)) for decoded in answers]
        return results

    def with_logits(self, result: DecodeResult[A], logits: FloatArray) -> DecodeResult[A]:
        """Return a result with other logits, (K, h, w)."""
        return DecodeResult(replace(result.decoded, low_res_logits=self.engine.from_numpy(logits)), logits)

    def encode_memories(self, results: Sequence[DecodeResult[A]], prompted: Sequence[bool]) -> list[FrameMemory[A]]:
        """Run the memory encoder; one memory per result.

        Args:
            results: from `decode`, on the current frame.
            prompted: for each of them, whether the user prompted the object on this frame.
        """
        memories: list[FrameMemory[A]] = []
        for batch in self._batches(range(len(results))):
            memories += self.engine.encode_memory(
                self.features, [results[row].decoded for row in batch], [prompted[row] for row in batch]
            )
        return memories

    def _batches(self, rows: Sequence[T]) -> Iterator[Sequence[T]]:
        for start in range(0, len(rows), self.objects_at_once):
            yield rows[start : start + self.objects_at_once]
