"""One object: its prompts, and the hypotheses of where it has been, each with a memory bank of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from masklet.errors import TrackingError
from masklet.masks.operations import largest_component
from masklet.memory.bank import MemoryBank
from masklet.memory.policies import Branch, CandidateTrack, Sighting
from masklet.prompts import Prompt
from masklet.records import BoolArray
from masklet.tracking.frame_engine import DecodeResult
from masklet.tracking.status import StatusMonitor
from masklet.tracking.stray_pieces import stray_pieces

A = TypeVar("A")

LONGEST_GAP = 10
"""Frames that may be missing between two that still follow one another, as with a slow camera."""

SECOND_CHOICE = 0.5
"""A candidate replaces the one that is refused if its rating is at least this fraction of the other's."""


@dataclass(slots=True)
class PromptState(Generic[A]):
    """A user's prompt for one object on one frame, and the decoder's answer to it."""

    prompt: Prompt
    initial: bool
    """The object had not been tracked on this frame before: nothing is corrected, so no memory is read."""
    answer: DecodeResult[A] | None = None
    """The last answer; newer points correct it."""
    is_answered: bool = False
    """True if `answer` takes all of `prompt` into account."""
    is_remembered: bool = False
    """True if the answer is in the memory bank."""

    @property
    def reads_memory(self) -> bool:
        """False for masks, and for initial prompts that locate the object; a single background click does not."""
        return self.prompt.kind != "mask" and not (self.initial and self.prompt.locates_object)

    def with_points(self, more: Prompt, low_res_size: int) -> PromptState[A]:
        """Return the prompt with more points. They correct the logits that came with them, or else the mask of the
        prompt, or else the last answer, or else the logits that this answer was to correct."""
        before = self.prompt.with_logits_for_mask(low_res_size)
        if self.answer is not None and self.prompt.mask is None:
            before = replace(before, previous_logits=None)  # the answer is what is corrected now
        prompt = before.merged(more)
        return PromptState(prompt, self.initial, self.answer if prompt.previous_logits is None else None)

    def choose(self, candidate: int) -> None:
        """Select a candidate of the answer, counted from the highest IoU prediction.

        Raises:
            TrackingError: there is no such candidate.
        """
        assert self.answer is not None
        best_first = self.answer.decoded.best_first
        if not 0 <= candidate < len(best_first):
            raise TrackingError(f"candidate must be 0 to {len(best_first) - 1}, as the prompt had, got {candidate}")
        self.answer, self.is_remembered = self.answer.choosing(best_first[candidate]), False


@dataclass(slots=True)
class Hypothesis(Generic[A]):
    """One possible past of an object: what is remembered of it, and how likely it is."""

    bank: MemoryBank[A]
    score: float = 0.0
    """`Branch.score` of the last frame."""


@dataclass(frozen=True, slots=True)
class Selection(Generic[A]):
    """The candidate masks that an object continues with from a frame: one row per hypothesis to come, best first."""

    branches: tuple[Branch, ...]
    """The hypothesis that each row continues, and its new score."""
    results: tuple[DecodeResult[A], ...]
    sightings: tuple[Sighting, ...]
    refused: bool = False
    """True if the mask has exploded over the frame: it is neither shown nor remembered."""

    @property
    def result(self) -> DecodeResult[A]:
        """The result that is shown."""
        return self.results[0]

    @property
    def sighting(self) -> Sighting:
        """The sighting that belongs to `result`."""
        return self.sightings[0]


@dataclass(slots=True)
class Track(Generic[A]):
    """Everything about one object; to remove the object is to remove its track."""

    hypotheses: list[Hypothesis[A]]
    """Best first; a single one unless the policy keeps several."""
    prompts: dict[int, PromptState[A]] = field(default_factory=dict)
    """Prompts by frame index."""
    last_result: tuple[int, DecodeResult[A]] | None = None
    """The last frame that was tracked and its result, to be corrected by clicks on it."""
    direction: int = 1
    """Tracking direction of that frame: 1 forward, -1 backward."""
    tracked_frames: range = range(0)
    """Consecutive frames on which the object has been tracked lately."""
    monitor: StatusMonitor = field(default_factory=StatusMonitor)
    name: str = ""
    class_name: str = ""
    """Kind of object, as "person"; may be empty."""
    hidden: bool = False

    @property
    def bank(self) -> MemoryBank[A]:
        """Memory bank of the best hypothesis."""
        return self.hypotheses[0].bank

    @property
    def first_trackable(self) -> int:
        """The first frame on which the object can be tracked going forward."""
        return 0 if self.bank.inherited else min(self.prompts)

    def last_trackable(self, num_frames: int | None) -> int:
        """Return the last frame on which the object can be tracked going backward."""
        return num_frames - 1 if self.bank.inherited and num_frames else max(self.prompts)

    @property
    def can_be_tracked(self) -> bool:
        """True if there is a prompt or an inherited memory to start from."""
        return bool(self.prompts or self.bank.inherited)

    def has_pending_prompt(self, frame_index: int | None) -> bool:
        """Return True if a frame has a prompt that is not in memory yet."""
        return frame_index in self.prompts and not self.prompts[frame_index].is_remembered

    # Prompts.

    def restore_prompt(self, frame_index: int, prompt: PromptState[A] | None) -> None:
        """Put an earlier prompt, or none, in the place of a frame's prompt. The frame's memory is forgotten."""
        self.prompts.pop(frame_index, None)
        for hypothesis in self.hypotheses:
            hypothesis.bank.forget(frame_index)
        if prompt is not None:
            prompt.is_remembered = False
            self.prompts[frame_index] = prompt

    def count_as_tracked(self, frame_index: int) -> None:
        """Remove the prompt on a frame, and keep the frame's memory as that of a tracked one."""
        del self.prompts[frame_index]
        for hypothesis in self.hypotheses:
            hypothesis.bank.count_as_tracked(frame_index)

    # From frame to frame.

    def leads_up_to(self, frame_index: int, direction: int) -> bool:
        """Return True if the last tracked frame is this one or the one right before it."""
        if self.last_result is None or self.direction != direction:
            return False
        return 0 <= (frame_index - self.last_result[0]) * direction <= 1

    def strays(self, frame_index: int, direction: int, selection: Selection[A]) -> BoolArray | None:
        """Return the (h, w) low-res pieces of a selected mask that are out of the object's reach; None if it is whole.

        Nothing is out of reach of an object that was prompted in distant pieces, or after a shot cut, a gap or a
        refused mask; and where several hypotheses are kept, they decide.

        Args:
            frame_index: the frame.
            direction: 1 forward, -1 backward.
            selection: what `select` returned for the frame.
        """
        if frame_index in self.prompts or selection.refused or len(selection.results) > 1:
            return None
        if self.last_result is None or self.direction != direction or not self.monitor.is_following:
            return None
        last_index, last = self.last_result
        ahead = (frame_index - last_index) * direction
        if not (0 < ahead <= LONGEST_GAP and last.decoded.is_present):
            return None
        strays = stray_pieces(selection.result.chosen_logits > 0, last.chosen_logits > 0, frames=ahead)
        return strays if strays.any() and not self._is_prompted_in_pieces() else None

    def _is_prompted_in_pieces(self) -> bool:
        """Return True if a prompt has led to pieces far apart, such as a pair of shoes."""
        masks = [prompt.answer.chosen_logits > 0 for prompt in self.prompts.values() if prompt.answer is not None]
        return any(stray_pieces(mask, largest_component(mask)).any() for mask in masks)

    def reset_after_gap(self, frame_index: int, direction: int) -> None:
        """Reset the policies if this frame does not follow the last one."""
        if self.last_result is None:
            return
        ahead = (frame_index - self.last_result[0]) * direction
        if not (0 <= ahead <= LONGEST_GAP and direction == self.direction):
            for hypothesis in self.hypotheses:
                hypothesis.bank.policy.reset()

    def select(
        self, frame_index: int, direction: int, results: Sequence[DecodeResult[A]], *, safeguards: bool
    ) -> Selection[A]:
        """Choose the candidate mask(s) that the object continues with.

        Args:
            frame_index: the frame.
            direction: 1 forward, -1 backward.
            results: one per hypothesis; on a prompted frame a single one.
            safeguards: refuse masks that explode over the frame.
        """
        is_prompted = frame_index in self.prompts
        sightings = [
            Sighting(
                frame_index,
                direction,
                result.decoded.object_score,
                result.decoded.iou_predictions,
                result.logits > 0,
                result.decoded.chosen,
                prompted=is_prompted,
            )
            for result in results
        ]
        if is_prompted:  # the user has decided: all hypotheses but this one end here
            return Selection((Branch(0, results[0].decoded.chosen, 0.0),), (results[0],), (sightings[0],))
        candidates = [
            hypothesis.bank.policy.candidate_track(hypothesis.score, sighting)
            for hypothesis, sighting in zip(self.hypotheses, sightings, strict=True)
        ]
        branches = self.bank.policy.select(candidates)
        plausible = self._plausible(candidates, branches) if safeguards else branches
        # If every mask is refused, the policy's choice still says how the hypotheses continue; only the mask is
        # neither shown nor remembered (see `refused`).
        continued = plausible or branches
        return Selection(
            tuple(continued),
            tuple(results[branch.track].choosing(branch.candidate) for branch in continued),
            tuple(sightings[branch.track].choosing(branch.candidate) for branch in continued),
            refused=not plausible,
        )

    def _plausible(self, tracks: Sequence[CandidateTrack], branches: Sequence[Branch]) -> Sequence[Branch]:
        """Return the branches whose masks have not exploded over the frame.

        If there is none, return the best branch with its next best candidate, as long as that one's rating is not far
        below the refused one's: a tracked object often has a second candidate of its usual size. If there is none
        either, return nothing.
        """

        def is_plausible(track: int, candidate: int) -> bool:
            sighting = tracks[track].sighting
            return not (sighting.is_present and self.monitor.has_exploded(sighting.areas[candidate]))

        plausible = [branch for branch in branches if is_plausible(branch.track, branch.candidate)]
        if plausible:
            return plausible
        best = branches[0]
        ratings = tracks[best.track].ratings
        least = SECOND_CHOICE * ratings[best.candidate]
        areas = tracks[best.track].sighting.areas
        others = [
            candidate
            for candidate, rating in enumerate(ratings)
            if rating >= least and is_plausible(best.track, candidate) and areas[candidate] > 0
        ]
        return [best._replace(candidate=max(others, key=ratings.__getitem__))] if others else []

    def continue_with(self, selection: Selection[A]) -> None:
        """Make one hypothesis per selected branch; a bank that several of them continue is copied."""
        banks = {branch.track: self.hypotheses[branch.track].bank for branch in selection.branches}
        unused = set(banks)
        hypotheses = []
        for branch in selection.branches:
            bank = banks[branch.track] if branch.track in unused else banks[branch.track].fork()
            unused.discard(branch.track)
            hypotheses.append(Hypothesis(bank, branch.score))
        self.hypotheses = hypotheses

    def handle_shot_cut(self) -> None:
        """Drop recent memories: after a shot cut they mislead, while prompted ones still hold.

        The last one stays: with it a model can still tell when the object is gone (docs/lab-notes.md).
        """
        del self.hypotheses[1:]
        self.bank.keep_last_tracked()
        self.bank.policy.reset()
        self.monitor.forget_areas()

    def forget_memory(self) -> None:
        """Forget everything but name and class: the object is not tracked again, and its stored masks stay."""
        del self.hypotheses[1:]
        self.bank.clear()
        self.prompts.clear()
        self.last_result = None

    # Tracked frames.

    def has_tracked(self, frame_index: int) -> bool:
        """Return True if a frame is one of `tracked_frames`."""
        return frame_index in self.tracked_frames

    def mark_tracked(self, frame_index: int, direction: int, result: DecodeResult[A]) -> None:
        """Record that a frame is done."""
        self.last_result, self.direction = (frame_index, result), direction
        extended = range(min(frame_index, self.tracked_frames.start), max(frame_index + 1, self.tracked_frames.stop))
        is_next = self.tracked_frames and len(extended) <= len(self.tracked_frames) + 1
        self.tracked_frames = extended if is_next else range(frame_index, frame_index + 1)

    def drop_forgotten_prompts(self, frame_index: int) -> None:
        """Record that this frame's prompt is remembered, and drop the prompts that the bank has forgotten."""
        if frame_index in self.prompts:
            self.prompts[frame_index].is_remembered = True
        forgotten = [index for index, prompt in self.prompts.items() if prompt.is_remembered and index not in self.bank]
        for index in forgotten:
            del self.prompts[index]

    def forget_tracked(self, first: int, last: int) -> None:
        """Forget what was tracked on frames that a prompt has outdated, first to last."""
        for hypothesis in self.hypotheses:
            for index in hypothesis.bank.tracked_frames + hypothesis.bank.resolved_frames:
                if first <= index <= last:
                    hypothesis.bank.forget(index)
        if self.last_result is not None and first < self.last_result[0] <= last:
            self.last_result = None
