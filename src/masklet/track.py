"""Everything about one object: what was said of it, and the ways in which it may have gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from masklet.frame_engine import Answer
from masklet.memory_bank import MemoryBank
from masklet.records import Decoded, PointLabel, Prompt

A = TypeVar("A")

LONGEST_GAP = 10
"""Frames that may be missing between two for the second still to follow the first, as a slow camera's do."""


@dataclass(slots=True)
class Given(Generic[A]):
    """What the user said about one object on one frame, and what came of it."""

    prompt: Prompt
    initial: bool
    """The object had not been tracked on this frame before: nothing is corrected, so no memory is read."""
    answer: Answer[A] | None = None
    """The last answer; newer points correct it."""
    is_answered: bool = False
    """Whether `answer` takes all of `prompt` in."""
    is_remembered: bool = False
    """Whether the answer is in the memory bank."""

    @property
    def reads_memory(self) -> bool:
        """A mask needs no memory, nor does a first prompt; but a lone "not this" means nothing without one."""
        says_what = self.prompt.box_xyxy is not None or (self.prompt.labels == PointLabel.FOREGROUND).any()
        return self.prompt.mask is None and not (self.initial and says_what)


@dataclass(slots=True)
class Hypothesis(Generic[A]):
    """One way in which an object may have gone: what is remembered of it, and how good it has been so far."""

    bank: MemoryBank[A]
    score: float = 0.0


@dataclass(slots=True)
class Track(Generic[A]):
    """Everything about one object: removing it is one `pop`."""

    hypotheses: list[Hypothesis[A]]
    """The best first; one, unless the policy keeps several ways open."""
    given: dict[int, Given[A]] = field(default_factory=dict)
    """By frame index."""
    latest_answer: tuple[int, Answer[A]] | None = None
    """The last frame that was tracked and its answer, to be corrected by clicks on it."""
    direction: int = 1
    """In which that was."""
    tracked: range = range(0)
    """The stretch of frames on which the object has been tracked lately."""

    @property
    def bank(self) -> MemoryBank[A]:
        """Of the best hypothesis."""
        return self.hypotheses[0].bank

    @property
    def latest(self) -> tuple[int, Decoded[A]] | None:
        """The last frame that was tracked, and what the decoder said."""
        return None if self.latest_answer is None else (self.latest_answer[0], self.latest_answer[1].decoded)

    def is_waiting(self, frame_index: int | None) -> bool:
        """Whether something was said on a frame that is not in memory yet."""
        return frame_index in self.given and not self.given[frame_index].is_remembered

    def branch(self, branches: Sequence[tuple[int, float]]) -> None:
        """Go on as these (hypothesis, score), the best first; a hypothesis that branches is copied."""
        banks = {row: self.hypotheses[row].bank for row, _ in branches}
        untouched = set(banks)
        grown = []
        for row, score in branches:
            grown.append(Hypothesis(banks[row] if row in untouched else banks[row].fork(), score))
            untouched.discard(row)
        self.hypotheses = grown

    def turn_to(self, frame_index: int, direction: int) -> None:
        """Tell the policies when this frame does not follow the last one."""
        if self.latest_answer is None:
            return
        ahead = (frame_index - self.latest_answer[0]) * direction
        if not (0 <= ahead <= LONGEST_GAP and direction == self.direction):
            for hypothesis in self.hypotheses:
                hypothesis.bank.policy.reset()

    def has_tracked(self, frame_index: int) -> bool:
        return frame_index in self.tracked

    def mark_tracked(self, frame_index: int) -> None:
        grown = range(min(frame_index, self.tracked.start), max(frame_index + 1, self.tracked.stop))
        is_next = self.tracked and len(grown) <= len(self.tracked) + 1
        self.tracked = grown if is_next else range(frame_index, frame_index + 1)
