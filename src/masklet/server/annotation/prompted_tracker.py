"""The tracker of an open medium: it answers prompts, and the answers are kept.

The annotations on disk are the truth. The tracker is made from them when it is first needed, and again after changes
that it cannot follow (undo, deletion, import). Making it costs nothing, as frames are encoded only on demand.
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
    """An answer to a prompt that the page has decoded itself."""

    rle: CocoRle
    iou_prediction: float
    object_score: float
    logits: FloatArray
    """(h, w) of the selected candidate."""


class PromptedTracker:
    """A tracker with the prompts of a medium. For one thread at a time, which the workspace's lock ensures.

    Args:
        engine: the shared model.
        store: the medium's annotations.
        open_frames: opens a source of the medium's frames.
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
        self._unselected: dict[tuple[int, int], int] = {}
        """By object and frame, candidates that are selected once their prompts have been answered."""

    @property
    def source(self) -> FrameSource:
        """The frames as the tracker reads them."""
        if self._source is None:
            self._source = self._open_frames()
        return self._source

    @property
    def tracker(self) -> Tracker[Any]:
        """The tracker, made from the annotations when it is first needed."""
        if self._tracker is None:
            self._tracker = Tracker(self.engine, self.source, store=self.store)
            for saved in self.store.prompts():
                if saved.prompt.says_absent:
                    continue
                key = saved.object_id, saved.frame_index
                self._tracker.restore_prompt(*key, saved.prompt, initial=saved.initial)
                if saved.candidate is not None and saved.prompt.is_single_click:
                    self._unselected[key] = saved.candidate
        return self._tracker

    def time_s(self, frame_index: int) -> float:
        """Return a frame's time by the nominal frame rate."""
        return frame_index / (self.source.info.fps or 1.0)

    def reload(self) -> None:
        """Make a new tracker when it is next needed."""
        self._tracker = None
        self._unselected.clear()

    def close(self) -> None:
        """Close the medium and free memory."""
        self.reload()
        if self._source is not None:
            self._source.close()
            self._source = None

    def select_candidates(self, frames: Iterable[int] | None = None) -> None:
        """Select the candidates that were selected before the tracker was made, on these frames or on all."""
        among = None if frames is None else set(frames)
        for object_id, index in [key for key in self._unselected if among is None or key[1] in among]:
            self.tracker.preview(index)
            self.tracker.choose(object_id, index, self._unselected.pop((object_id, index)))

    # Prompts.

    def add_prompt(self, new: SavedPrompt) -> list[Candidate]:
        """Give a prompt to the tracker, and keep its answer.

        Returns:
            The candidates, the one of highest IoU prediction first.
        """
        tracker, place = self.tracker, (new.object_id, new.frame_index)
        if new.candidate is not None and len(new.prompt.clicks[1]) > 1 and new.prompt.previous_logits is None:
            answer = self._decode(new.with_prompt(new.prompt.first_click()))
            new = new.with_prompt(replace(new.prompt, previous_logits=_half(answer.chosen_logits)))
        answer = self._decode(new)
        masks = tracker.preview(new.frame_index)
        row = masks.object_ids.index(new.object_id)
        self._unselected.pop(place, None)
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

    def add_local_answer(self, new: SavedPrompt, answer: LocalAnswer) -> list[Candidate]:
        """Keep a prompt with an answer that the page has decoded. A new tracker is made when it is next needed."""
        rle = encode_rle(decode_mask(answer.rle, self.size_hw))
        info = self.engine.info
        if answer.object_score > 0:
            confidence = confidence_of(answer.iou_prediction, info, stage_of(new.prompt))
        else:
            confidence = confidence_in_absence(answer.object_score, info)
        self._outdate(new)
        self.store.write_prompt(
            replace(
                new,
                time_s=self.time_s(new.frame_index),
                rle=rle,
                iou_prediction=answer.iou_prediction,
                object_score=answer.object_score,
                confidence=confidence,
                answer_logits=_half(answer.logits),
            )
        )
        self.reload()
        return [Candidate(rle, answer.iou_prediction, confidence)]

    def touch_up(self, drawn: BoolArray, new: SavedPrompt) -> list[Candidate]:
        """Change a drawn mask, (H, W), by clicks, and keep the result as a drawn mask."""
        mask = drawn
        for (x, y), label in zip(*new.prompt.clicks, strict=True):
            logits = _half(mask_logits(mask, self.engine.info.low_res_size))
            with_mask = new.with_prompt(replace(Prompt.of_click((x, y), label), previous_logits=logits), candidate=None)
            click_only = new.with_prompt(Prompt.of_click((x, y)), candidate=None)
            corrected = self._candidate_masks(with_mask)[0]
            things_here = partial(self._candidate_masks, click_only)
            mask = touched_up(mask, (float(x), float(y)), int(label), corrected, things_here)
        return self.add_prompt(new.with_prompt(Prompt(mask=mask), candidate=None))

    def mark_absent(self, new: SavedPrompt) -> None:
        """Keep that an object is absent from a frame, as `new.prompt` says. The caller must reload the tracker."""
        rle = encode_rle(np.zeros(self.size_hw, np.bool_))
        time_s = self.time_s(new.frame_index)
        self._outdate(new)
        row = given_row(new.frame_index, new.object_id, rle, time_s=time_s, object_score=ABSENT_SCORE, accepted=True)
        self.store.write([row])
        self.store.write_prompt(replace(new, time_s=time_s, rle=rle, iou_prediction=1.0, object_score=ABSENT_SCORE))

    def _outdate(self, new: SavedPrompt) -> None:
        """Mark the masks that a prompt can change as outdated, where the tracker does not get the prompt."""
        prompted = [prompt.frame_index for prompt in self.store.prompts(object_id=new.object_id)]
        self.store.outdate(new.object_id, new.frame_index, [index for index in prompted if index != new.frame_index])

    # Answers of the model.

    def _decode(self, new: SavedPrompt) -> DecodeResult[Any]:
        """What the decoder says to a prompt, the meant candidate chosen."""
        tracker = self.tracker
        tracker.prompt(new.object_id, new.frame_index, new.prompt, clear=True)
        self.select_candidates([new.frame_index])
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
                encode_rle(self._candidate_mask(answer, place, said)),
                ious[place],
                confidence_of(ious[place], info, stage),
            )
            for place in answer.decoded.best_first
        ]

    def _candidate_masks(self, said: SavedPrompt) -> list[BoolArray]:
        """The masks of a prompt's candidates, that of the highest IoU prediction first."""
        answer = self._decode(said)
        return [self._candidate_mask(answer, place, said) for place in answer.decoded.best_first]

    def _candidate_mask(self, answer: DecodeResult[Any], place: int, said: SavedPrompt) -> BoolArray:
        """The mask of one candidate."""
        return np.asarray(shown_logits(answer.logits[place], self.engine.info, said.prompt, self.size_hw) > 0)


def logits_to_correct(before: SavedPrompt | None, new: SavedPrompt) -> FloatArray | None:
    """Return the logits that the added points of a prompt correct; None for a prompt that starts again."""
    if before is None:
        return None
    same_candidate = new.candidate is None or new.candidate == before.candidate
    return before.answer_logits if same_candidate and new.prompt.extends(before.prompt) else None


def decode_mask(rle: CocoRle, size_hw: tuple[int, int]) -> BoolArray:
    """Decode a mask, (H, W).

    Raises:
        PromptError: the mask does not have the size of the frames.
    """
    if tuple(rle["size"]) != size_hw:  # before it is decoded: a few bytes can stand for gigabytes
        height, width = size_hw
        raise PromptError(f"rle must have size [{height}, {width}] as the frames have, got {list(rle['size'])}")
    return decode_rle(rle)


def _half(logits: FloatArray) -> FloatArray:
    """Return logits as they are stored, so that a prompt gives the same mask before and after a restart."""
    return np.asarray(logits.clip(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT).astype(np.float16), np.float32)
