"""Everything about one object: what was said of it, and the ways in which it may have gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from masklet.errors import TrackingError
from masklet.memory.bank import MemoryBank
from masklet.memory.policies import Branch, CandidateTrack, Sighting
from masklet.prompts import Prompt
from masklet.records import Decoded
from masklet.tracking.frame_engine import Answer
from masklet.tracking.status import Watch

A = TypeVar("A")

LONGEST_GAP = 10
"""Frames that may be missing between two for the second still to follow the first, as a slow camera's do."""

SECOND_CHOICE = 0.5
"""How good a candidate must be, compared to the one that is refused, to take its place."""


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
        return self.prompt.kind != "mask" and not (self.initial and self.prompt.locates_object)

    def with_points(self, more: Prompt, low_res_size: int) -> Given[A]:
        """What was said, and more points: they correct the logits that came with them, or the mask that was given,
        or the last answer, or what that was to correct."""
        before = self.prompt.with_logits_for_mask(low_res_size)
        if self.answer is not None and self.prompt.mask is None:
            before = replace(before, previous_logits=None)  # the answer is what is corrected now
        prompt = before.merged(more)
        return Given(prompt, self.initial, self.answer if prompt.previous_logits is None else None)

    def choose(self, candidate: int) -> None:
        """Mean another of the answer's candidates, counted from the one of highest IoU prediction."""
        assert self.answer is not None
        best_first = self.answer.decoded.best_first
        if not 0 <= candidate < len(best_first):
            raise TrackingError(f"candidate must be 0 to {len(best_first) - 1}, as the prompt had, got {candidate}")
        self.answer, self.is_remembered = self.answer.choosing(best_first[candidate]), False


@dataclass(slots=True)
class Hypothesis(Generic[A]):
    """One way in which an object may have gone: what is remembered of it, and how good it has been so far."""

    bank: MemoryBank[A]
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Branching(Generic[A]):
    """With what an object goes on from a frame: one row a hypothesis to come, the best first."""

    branches: tuple[Branch, ...]
    """From which hypothesis, and its score."""
    answers: tuple[Answer[A], ...]
    sightings: tuple[Sighting, ...]
    refused: bool = False
    """The mask has exploded over the frame: it is neither shown nor remembered."""

    @property
    def answer(self) -> Answer[A]:
        """The one that is shown."""
        return self.answers[0]

    @property
    def sighting(self) -> Sighting:
        return self.sightings[0]


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
    watch: Watch = field(default_factory=Watch)
    name: str = ""
    hidden: bool = False

    @property
    def bank(self) -> MemoryBank[A]:
        """Of the best hypothesis."""
        return self.hypotheses[0].bank

    @property
    def latest(self) -> tuple[int, Decoded[A]] | None:
        """The last frame that was tracked, and what the decoder said."""
        return None if self.latest_answer is None else (self.latest_answer[0], self.latest_answer[1].decoded)

    @property
    def first_known(self) -> int:
        """The first frame on which the object can be tracked going forward."""
        return 0 if self.bank.inherited else min(self.given)

    def last_known(self, num_frames: int | None) -> int:
        """The last frame on which the object can be tracked going backward."""
        return num_frames - 1 if self.bank.inherited and num_frames else max(self.given)

    def is_waiting(self, frame_index: int | None) -> bool:
        """Whether something was said on a frame that is not in memory yet."""
        return frame_index in self.given and not self.given[frame_index].is_remembered

    # What is said of it.

    def put_back(self, frame_index: int, given: Given[A] | None) -> None:
        """What was said on a frame at an earlier time counts again; what is remembered of the frame does not."""
        self.given.pop(frame_index, None)
        for hypothesis in self.hypotheses:
            hypothesis.bank.forget(frame_index)
        if given is not None:
            given.is_remembered = False
            self.given[frame_index] = given

    def count_as_tracked(self, frame_index: int) -> None:
        """Unsay what was said on a frame; what was seen there stays in memory."""
        del self.given[frame_index]
        for hypothesis in self.hypotheses:
            hypothesis.bank.count_as_tracked(frame_index)

    # From frame to frame.

    def follows(self, frame_index: int, direction: int) -> bool:
        """Whether what is in memory leads up to this frame."""
        if self.latest_answer is None or self.direction != direction:
            return False
        return 0 <= (frame_index - self.latest_answer[0]) * direction <= 1

    def turn_to(self, frame_index: int, direction: int) -> None:
        """Tell the policies when this frame does not follow the last one."""
        if self.latest_answer is None:
            return
        ahead = (frame_index - self.latest_answer[0]) * direction
        if not (0 <= ahead <= LONGEST_GAP and direction == self.direction):
            for hypothesis in self.hypotheses:
                hypothesis.bank.policy.reset()

    def choose(self, frame_index: int, direction: int, answers: Sequence[Answer[A]], *, careful: bool) -> Branching[A]:
        """With which candidates to go on, as the policy says; a prompt leaves no choice.

        Args:
            frame_index: the frame.
            direction: 1 forward, -1 backward.
            answers: one a hypothesis; on a prompted frame, one.
            careful: refuse masks that explode over the frame.
        """
        is_prompted = frame_index in self.given
        sightings = [
            Sighting(
                frame_index,
                direction,
                answer.decoded.object_score,
                answer.decoded.iou_predictions,
                answer.logits > 0,
                answer.decoded.chosen,
                prompted=is_prompted,
            )
            for answer in answers
        ]
        if is_prompted:
            return Branching((Branch(0, answers[0].decoded.chosen, 0.0),), (answers[0],), (sightings[0],))
        paths = [
            hypothesis.bank.policy.candidate_track(hypothesis.score, sighting)
            for hypothesis, sighting in zip(self.hypotheses, sightings, strict=True)
        ]
        branches = self.bank.policy.select(paths)
        sound = self._sound(paths, branches) if careful else branches
        return Branching(
            tuple(sound or branches),
            tuple(answers[path].choosing(candidate) for path, candidate, _ in sound or branches),
            tuple(sightings[path].choosing(candidate) for path, candidate, _ in sound or branches),
            refused=not sound,
        )

    def _sound(self, paths: Sequence[CandidateTrack], branches: Sequence[Branch]) -> Sequence[Branch]:
        """The branches whose masks have not exploded; or else the next best candidate; or nothing."""

        def is_sound(path: int, candidate: int) -> bool:
            sighting = paths[path].sighting
            return not (sighting.is_present and self.watch.has_exploded(sighting.areas[candidate]))

        sound = [branch for branch in branches if is_sound(branch.track, branch.candidate)]
        if sound:
            return sound
        path = branches[0].track
        ratings = paths[path].ratings
        least = SECOND_CHOICE * ratings[branches[0].candidate]
        others = [
            candidate
            for candidate, rating in enumerate(ratings)
            if rating >= least and is_sound(path, candidate) and paths[path].sighting.areas[candidate] > 0
        ]
        return [branches[0]._replace(candidate=max(others, key=ratings.__getitem__))] if others else []

    def go_on(self, branching: Branching[A]) -> None:
        """Have one hypothesis a branch; a bank that several go on with is copied."""
        banks = {branch.track: self.hypotheses[branch.track].bank for branch in branching.branches}
        untouched = set(banks)
        grown = []
        for branch in branching.branches:
            bank = banks[branch.track] if branch.track in untouched else banks[branch.track].fork()
            untouched.discard(branch.track)
            grown.append(Hypothesis(bank, branch.score))
        self.hypotheses = grown

    def cut(self) -> None:
        """The scene has changed: recent memories mislead, prompted ones do not.

        The last one stays: with it a model that can tell when the object is gone goes on doing so (docs/lab-notes.md).
        """
        del self.hypotheses[1:]
        self.bank.keep_last_tracked()
        self.bank.policy.reset()
        self.watch.cut()

    # What has been tracked.

    def has_tracked(self, frame_index: int) -> bool:
        return frame_index in self.tracked

    def mark_tracked(self, frame_index: int, direction: int, answer: Answer[A]) -> None:
        """Take note of a frame that is done."""
        self.latest_answer, self.direction = (frame_index, answer), direction
        grown = range(min(frame_index, self.tracked.start), max(frame_index + 1, self.tracked.stop))
        is_next = self.tracked and len(grown) <= len(self.tracked) + 1
        self.tracked = grown if is_next else range(frame_index, frame_index + 1)

    def drop_forgotten(self, frame_index: int) -> None:
        """Take note that what was said on this frame is remembered, and let go of what the bank has let go of."""
        if frame_index in self.given:
            self.given[frame_index].is_remembered = True
        forgotten = [index for index, old in self.given.items() if old.is_remembered and index not in self.bank]
        for index in forgotten:
            del self.given[index]

    def forget_tracked(self, first: int, last: int) -> None:
        """Forget what was tracked on a stretch of frames that does not hold any more."""
        for hypothesis in self.hypotheses:
            for index in hypothesis.bank.tracked_frames + hypothesis.bank.resolved_frames:
                if first <= index <= last:
                    hypothesis.bank.forget(index)
        if self.latest_answer is not None and first < self.latest_answer[0] <= last:
            self.latest_answer = None
