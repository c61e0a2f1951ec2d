"""The tracker of a medium that is open, what it answers to prompts, and how the answers are kept.

The annotations on disk are the truth. The tracker is made from them when it is first needed, and anew after anything
that it could not follow (undo, deleting, importing); making it costs nothing, as it encodes frames only when asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from masklet.engine.calibration import confidence_in_absence, confidence_of, stage_of
from masklet.errors import PromptError
from masklet.masks.operations import CocoRle, decode_rle, encode_rle, mask_logits
from masklet.masks.shown import shown_logits
from masklet.media.source import FrameSource
from masklet.prompts import Prompt
from masklet.records import ABSENT_SCORE, PREVIOUS_LOGIT_LIMIT, BoolArray, FloatArray
from masklet.server.annotation.store import AnnotationStore, SavedPrompt
from masklet.server.annotation.touch_up import touched_up
from masklet.server.shared_model import SharedEngine
from masklet.tracking.frame_engine import DecodeResult
from masklet.tracking.mask_rows import given_row
from masklet.tracking.tracker import Tracker


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer to a prompt."""

    rle: CocoRle
    iou_prediction: float
    confidence: float
    """Expected IoU of the mask, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """An answer to a prompt that the page's own decoder has worked out."""

    rle: CocoRle
    iou_prediction: float
    object_score: float
    logits: FloatArray
    """(h, w) of the chosen candidate."""


class PromptedTracker:
    """A tracker with the prompts of a medium. One thread at a time: the workspace's lock sees to that.

    Args:
        engine: the shared model.
        store: the medium's annotations.
        open_frames: opens the medium.
        size_hw: of its frames.
    """

    def __init__(
        self,
        engine: SharedEngine,
        store: AnnotationStore,
        open_frames: Callable[[], FrameSource],
        size_hw: tuple[int, int],
    ) -> None:
        self.engine = engine
        self.store = store
        self.size_hw = size_hw
        self._open_frames = open_frames
        self._source: FrameSource | None = None
        self._tracker: Tracker[Any] | None = None
        self._undecided: dict[tuple[int, int], int] = {}  # candidates to be chosen once their prompts are answered

    @property
    def source(self) -> FrameSource:
        """The medium as the tracker reads it."""
        if self._source is None:
            self._source = self._open_frames()
        return self._source

    @property
    def tracker(self) -> Tracker[Any]:
        """Made from the annotations when it is needed."""
        if self._tracker is None:
            self._tracker = Tracker(self.engine, self.source, store=self.store)
            for said in self.store.prompts():
                if not said.prompt.says_absent:
                    self._tracker.restore_prompt(said.object_id, said.frame_index, said.prompt, initial=said.initial)
                    if said.candidate is not None and said.prompt.is_single_click:
                        self._undecided[said.object_id, said.frame_index] = said.candidate
        return self._tracker

    def time_s(self, frame_index: int) -> float:
        """When a frame is shown, as near as frames per second say it."""
        return frame_index / (self.source.info.fps or 1.0)

    def reload(self) -> None:
        """Make the tracker anew when it is next needed."""
        self._tracker = None
        self._undecided.clear()

    def close(self) -> None:
        """Let go of the medium and of memory."""
        self.reload()
        if self._source is not None:
            self._source.close()
            self._source = None

    def decide(self, frames: Iterable[int] | None = None) -> None:
        """Choose the candidates that were chosen before the tracker was made: on these frames, or on all."""
        among = None if frames is None else set(frames)
        for place in [place for place in self._undecided if among is None or place[1] in among]:
            object_id, frame_index = place
            candidate = self._undecided.pop(place)
            self.tracker.preview(frame_index)
            self.tracker.choose(object_id, frame_index, candidate)

    # What is said, and kept with what comes of it.

    def say(self, new: SavedPrompt) -> list[Candidate]:
        """Give a prompt to the tracker, and keep what it answers.

        Returns:
            The candidates, the one of highest IoU prediction first.
        """
        tracker, place = self.tracker, (new.object_id, new.frame_index)
        if new.candidate is not None and len(new.prompt.clicks[1]) > 1 and new.prompt.previous_logits is None:
            answer = self._answer(new.with_prompt(new.prompt.first_click()))
            new = new.with_prompt(replace(new.prompt, previous_logits=_half(answer.chosen_logits)))
        answer = self._answer(new)
        masks = tracker.preview(new.frame_index)
        row = masks.object_ids.index(new.object_id)
        self._undecided.pop(place, None)
        self.store.write_prompt(
            replace(
                new,
                time_s=masks.time_s,
                rle=encode_rle(masks.masks[row]),
                iou_prediction=float(masks.iou_predictions[row]),
                object_score=float(masks.object_scores[row]),
                confidence=float(masks.confidences[row]),
                answer_logits=_half(answer.chosen_logits),
            )
        )
        return self._candidates(answer, new)

    def keep(self, new: SavedPrompt, given: LocalAnswer) -> list[Candidate]:
        """Take an answer that was worked out elsewhere. The tracker is made anew when it is next needed."""
        rle = encode_rle(fitting_mask(given.rle, self.size_hw))
        info = self.engine.info
        if given.object_score > 0:
            confidence = confidence_of(given.iou_prediction, info, stage_of(new.prompt))
        else:
            confidence = confidence_in_absence(given.object_score, info)
        self._outdate(new)
        self.store.write_prompt(
            replace(
                new,
                time_s=self.time_s(new.frame_index),
                rle=rle,
                iou_prediction=given.iou_prediction,
                object_score=given.object_score,
                confidence=confidence,
                answer_logits=_half(given.logits),
            )
        )
        self.reload()
        return [Candidate(rle, given.iou_prediction, confidence)]

    def touch_up(self, drawn: BoolArray, new: SavedPrompt) -> list[Candidate]:
        """Clicks on a drawn mask, (H, W), make another drawn mask."""
        mask = drawn
        for (x, y), label in zip(*new.prompt.clicks, strict=True):
            logits = _half(mask_logits(mask, self.engine.info.low_res_size))
            told = new.with_prompt(replace(Prompt.of_click((x, y), label), previous_logits=logits), candidate=None)
            lone = new.with_prompt(Prompt.of_click((x, y)), candidate=None)
            mask = touched_up(mask, (float(x), float(y)), int(label), self._seen(told)[0], partial(self._seen, lone))
        return self.say(new.with_prompt(Prompt(mask=mask), candidate=None))

    def say_absent(self, new: SavedPrompt) -> None:
        """Keep that an object is not on a frame, as `new.prompt` says. The tracker has to be made again."""
        rle = encode_rle(np.zeros(self.size_hw, np.bool_))
        time_s = self.time_s(new.frame_index)
        self._outdate(new)
        row = given_row(new.frame_index, new.object_id, rle, time_s=time_s, object_score=ABSENT_SCORE, accepted=True)
        self.store.write([row])
        self.store.write_prompt(replace(new, time_s=time_s, rle=rle, iou_prediction=1.0, object_score=ABSENT_SCORE))

    def _outdate(self, new: SavedPrompt) -> None:
        """Mark what a prompt can change that the tracker is not told of."""
        said = [one.frame_index for one in self.store.prompts(object_id=new.object_id)]
        self.store.outdate(new.object_id, new.frame_index, [index for index in said if index != new.frame_index])

    # What the model answers.

    def _answer(self, new: SavedPrompt) -> DecodeResult[Any]:
        """What the decoder says to a prompt, the meant candidate chosen."""
        tracker = self.tracker
        tracker.prompt(new.object_id, new.frame_index, new.prompt, clear=True)
        self.decide([new.frame_index])
        tracker.preview(new.frame_index)
        if new.candidate is not None and new.prompt.is_single_click:
            tracker.choose(new.object_id, new.frame_index, new.candidate)
            tracker.preview(new.frame_index)
        decoded = tracker.answers[new.object_id]
        return DecodeResult(decoded, self.engine.to_numpy(decoded.low_res_logits))

    def _candidates(self, answer: DecodeResult[Any], said: SavedPrompt) -> list[Candidate]:
        if said.prompt.mask is not None:
            return [Candidate(encode_rle(said.prompt.mask), 1.0, 1.0)]
        ious = [float(iou) for iou in answer.decoded.iou_predictions]
        info, stage = self.engine.info, stage_of(said.prompt)
        return [
            Candidate(
                encode_rle(self._shown(answer, place, said)), ious[place], confidence_of(ious[place], info, stage)
            )
            for place in answer.decoded.best_first
        ]

    def _seen(self, said: SavedPrompt) -> list[BoolArray]:
        """The masks of a prompt's candidates, that of the highest IoU prediction first."""
        answer = self._answer(said)
        return [self._shown(answer, place, said) for place in answer.decoded.best_first]

    def _shown(self, answer: DecodeResult[Any], place: int, said: SavedPrompt) -> BoolArray:
        """The mask of one candidate."""
        return np.asarray(shown_logits(answer.logits[place], self.engine.info, said.prompt, self.size_hw) > 0)


def corrected_logits(before: SavedPrompt | None, new: SavedPrompt) -> FloatArray | None:
    """The logits that the newer of a prompt's points correct; None where it starts afresh."""
    if before is None:
        return None
    is_meant = new.candidate is None or new.candidate == before.candidate
    return before.answer_logits if is_meant and new.prompt.extends(before.prompt) else None


def fitting_mask(rle: CocoRle, size_hw: tuple[int, int]) -> BoolArray:
    """(H, W), decoded.

    Raises:
        PromptError: it is of another size.
    """
    if tuple(rle["size"]) != size_hw:  # before it is decoded: a few bytes can stand for gigabytes
        height, width = size_hw
        raise PromptError(f"rle must have size [{height}, {width}] as the frames have, got {list(rle['size'])}")
    return decode_rle(rle)


def _half(logits: FloatArray) -> FloatArray:
    """As they are kept, so that a prompt gives the same mask before and after a restart."""
    return np.asarray(logits.clip(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT).astype(np.float16), np.float32)
