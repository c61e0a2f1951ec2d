"""The tracker of an open medium: it answers prompts and stores the answers.

The annotations on disk are authoritative. The tracker is created from them when first needed, and again after changes
that it cannot follow (undo, deletion, import). That is cheap, because frames are encoded on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from masklet.engine.calibration import confidence_in_absence, confidence_of, stage_of
from masklet.masks.operations import mask_logits
from masklet.masks.rle import CocoRle, encode_rle
from masklet.masks.shown import shown_logits
from masklet.media.source import FrameSource
from masklet.prompts import Prompt
from masklet.records import ABSENT_SCORE, PREVIOUS_LOGIT_LIMIT, BoolArray, FloatArray
from masklet.server.annotation.store import AnnotationStore, SavedPrompt
from masklet.server.annotation.touch_up import touched_up
from masklet.server.shared_model import SharedEngine
from masklet.tracking.frame_engine import DecodeResult
from masklet.tracking.mask_rows import given_row
from masklet.tracking.track import Selection
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
    """An answer to a prompt that the page decoded itself."""

    rle: CocoRle
    """Checked: it has the size of the frames."""
    iou_prediction: float
    object_score: float
    logits: FloatArray
    """(h, w) logits of the selected candidate."""


class PromptedTracker:
    """A tracker with the prompts of a medium. Used by one thread at a time, under the workspace's lock.

    Args:
        engine: the shared model.
        store: the medium's annotations.
        open_frames: opens a source of the medium's frames.
        size_hw: height and width of the frames.
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
        """Candidate to select per (object id, frame index), once the prompt there has been answered."""

    @property
    def source(self) -> FrameSource:
        """Frame source of the tracker."""
        if self._source is None:
            self._source = self._open_frames()
        return self._source

    @property
    def tracker(self) -> Tracker[Any]:
        """The tracker, created from the annotations when first needed."""
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
        """Create a new tracker when it is next needed."""
        self._tracker = None
        self._unselected.clear()

    def close(self) -> None:
        """Close the medium and free memory."""
        self.reload()
        if self._source is not None:
            self._source.close()
            self._source = None

    def select_candidates(self, frames: Iterable[int] | None = None) -> None:
        """Select the candidates that were selected before the tracker was created, on these frames or on all."""
        among = None if frames is None else set(frames)
        for object_id, index in [key for key in self._unselected if among is None or key[1] in among]:
            self.tracker.decode_prompt(object_id, index)
            self.tracker.choose(object_id, index, self._unselected.pop((object_id, index)))

    # Prompts.

    def add_prompt(self, new: SavedPrompt) -> list[Candidate]:
        """Add a prompt to the tracker, and store its answer.

        Each candidate is rendered and encoded once; the stored mask is one of them.

        Returns:
            The candidates, the one of highest IoU prediction first.
        """
        prompt = new.prompt
        if new.candidate is not None and len(prompt.clicks[1]) > 1 and prompt.previous_logits is None:
            first = self._decode(new.with_prompt(prompt.first_click())).result
            new = new.with_prompt(replace(prompt, previous_logits=_half(first.chosen_logits)))
        selection = self._decode(new)
        answer = selection.result.decoded
        candidates = self._candidates(selection.result, new)
        if prompt.mask is not None:
            rle = candidates[0].rle
        elif selection.refused or not answer.is_present:
            rle = encode_rle(np.zeros(self.size_hw, np.bool_))
        else:
            rle = candidates[list(answer.best_first).index(answer.chosen)].rle
        self._unselected.pop((new.object_id, new.frame_index), None)
        frame = self.tracker.frame
        assert frame is not None
        self.store.write_prompt(
            replace(
                new,
                time_s=frame.time_s,
                rle=rle,
                iou_prediction=answer.iou_prediction,
                object_score=answer.object_score,
                confidence=confidence_of(answer.iou_prediction, self.engine.info, stage_of(prompt)),
                answer_logits=_half(selection.result.chosen_logits),
            )
        )
        return candidates

    def add_local_answer(self, new: SavedPrompt, answer: LocalAnswer) -> list[Candidate]:
        """Store a prompt with an answer that the page decoded. A new tracker is created when it is next needed."""
        rle = answer.rle
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
        """Change a drawn mask, (H, W), by clicks, and store the result as a drawn mask."""
        mask = drawn
        for (x, y), label in zip(*new.prompt.clicks, strict=True):
            logits = _half(mask_logits(mask, self.engine.info.low_res_size))
            with_mask = new.with_prompt(replace(Prompt.of_click((x, y), label), previous_logits=logits), candidate=None)
            click_only = new.with_prompt(Prompt.of_click((x, y)), candidate=None)
            corrected = self._candidate_masks(with_mask)[0]
            candidates_at_click = partial(self._candidate_masks, click_only)
            mask = touched_up(mask, (float(x), float(y)), int(label), corrected, candidates_at_click)
        return self.add_prompt(new.with_prompt(Prompt(mask=mask), candidate=None))

    def mark_absent(self, new: SavedPrompt) -> None:
        """Store that an object is absent from a frame, as in `new.prompt`. The caller must reload the tracker."""
        rle = encode_rle(np.zeros(self.size_hw, np.bool_))
        time_s = self.time_s(new.frame_index)
        self._outdate(new)
        row = given_row(new.frame_index, new.object_id, rle, time_s=time_s, object_score=ABSENT_SCORE, accepted=True)
        self.store.write([row])
        self.store.write_prompt(replace(new, time_s=time_s, rle=rle, iou_prediction=1.0, object_score=ABSENT_SCORE))

    def _outdate(self, new: SavedPrompt) -> None:
        """Mark the masks that a prompt can change as outdated, if the tracker does not receive the prompt."""
        prompted = [prompt.frame_index for prompt in self.store.prompts(object_id=new.object_id)]
        self.store.outdate(new.object_id, new.frame_index, [index for index in prompted if index != new.frame_index])

    # Answers of the model.

    def _decode(self, new: SavedPrompt) -> Selection[Any]:
        """Add a prompt to the tracker and return the decoder's answer, with the prompt's candidate selected."""
        tracker = self.tracker
        tracker.prompt(new.object_id, new.frame_index, new.prompt, clear=True)
        self.select_candidates([new.frame_index])
        if new.candidate is not None and new.prompt.is_single_click:
            tracker.decode_prompt(new.object_id, new.frame_index)
            tracker.choose(new.object_id, new.frame_index, new.candidate)
        return tracker.decode_prompt(new.object_id, new.frame_index)

    def _candidates(self, result: DecodeResult[Any], saved: SavedPrompt) -> list[Candidate]:
        """Return the candidates of an answer, the one of the highest IoU prediction first."""
        if saved.prompt.mask is not None:
            return [Candidate(encode_rle(saved.prompt.mask), 1.0, 1.0)]
        ious = [float(iou) for iou in result.decoded.iou_predictions]
        info, stage = self.engine.info, stage_of(saved.prompt)
        return [
            Candidate(
                encode_rle(self._candidate_mask(result, row, saved)), ious[row], confidence_of(ious[row], info, stage)
            )
            for row in result.decoded.best_first
        ]

    def _candidate_masks(self, saved: SavedPrompt) -> list[BoolArray]:
        """Decode a prompt and return its candidates' masks, (H, W), that of the highest IoU prediction first."""
        result = self._decode(saved).result
        return [self._candidate_mask(result, row, saved) for row in result.decoded.best_first]

    def _candidate_mask(self, result: DecodeResult[Any], row: int, saved: SavedPrompt) -> BoolArray:
        """Return the mask of one candidate, (H, W), as it is shown."""
        return np.asarray(shown_logits(result.logits[row], self.engine.info, saved.prompt, self.size_hw) > 0)


def logits_to_correct(before: SavedPrompt | None, new: SavedPrompt) -> FloatArray | None:
    """Return the logits that the added points of a prompt correct; None for a prompt that starts again."""
    if before is None:
        return None
    same_candidate = new.candidate is None or new.candidate == before.candidate
    return before.answer_logits if same_candidate and new.prompt.extends(before.prompt) else None


def _half(logits: FloatArray) -> FloatArray:
    """Round logits to their stored precision, so that a prompt gives the same mask before and after a restart."""
    return np.asarray(logits.clip(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT).astype(np.float16), np.float32)
