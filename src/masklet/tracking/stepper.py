"""One frame and many objects: recall, decode, select, update the status, remember, show and store.

The order of these is the body of `Stepper.process`. The stepper knows nothing of the way through the video: the walker
decides which frames come, in which order and with which objects.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np

from masklet.engine.calibration import confidence_in_absence, confidence_of, stage_of
from masklet.errors import TrackingError
from masklet.masks.edges import refine_edges
from masklet.masks.operations import MASK_LOGIT, mask_logits, resolve_overlap
from masklet.masks.shown import shown_logits
from masklet.memory.policies import Sighting
from masklet.prompts import Prompt
from masklet.records import (
    PREVIOUS_LOGIT_LIMIT,
    BoolArray,
    Decoded,
    FloatArray,
    Frame,
    FrameMasks,
    ObjectResult,
    Recall,
)
from masklet.tracking.collisions import Claim
from masklet.tracking.frame_engine import DecodeRequest, DecodeResult, FrameEngine
from masklet.tracking.mask_rows import MaskRow, from_results, to_rows, with_rows
from masklet.tracking.state import TrackerState
from masklet.tracking.status import Verdict
from masklet.tracking.track import Hypothesis, PromptState, Selection

A = TypeVar("A")

LOOK_BACK = 64
"""Most stored frames that are searched for memories to rebuild."""


class Stepper(Generic[A]):
    """Takes objects through single frames.

    Args:
        state: the tracker's state.
        view: the engine, bound to the current frame.
    """

    def __init__(self, state: TrackerState[A], view: FrameEngine[A]) -> None:
        self._state = state
        self._view = view
        self.answers: Mapping[int, Decoded[A]] = {}
        """The decoder's answers by object id, on the frame that was shown last."""

    @property
    def frame(self) -> Frame | None:
        """The current frame; None before the first."""
        return self._view.frame

    def process(self, frame: Frame, direction: int, object_ids: Iterable[int]) -> FrameMasks:
        """Track objects on one frame and store their masks. `rebuild_memories` comes first.

        Args:
            frame: the frame.
            direction: 1 forward, -1 backward.
            object_ids: the objects; those that are unknown at this frame are left out.
        """
        tracks = self._state.tracks
        self._view.set_frame(frame)
        recalls = self._recalls(frame.index, direction, {i: tracks[i].hypotheses for i in object_ids})
        for object_id in recalls:
            tracks[object_id].reset_after_gap(frame.index, direction)
        selected = self._select(frame, self._decode(frame, recalls), direction)
        losers = self._collided(frame, selected)
        verdicts = {
            object_id: tracks[object_id].monitor.update(
                selection.sighting,
                confidence=self._calibrated_confidence(object_id, frame.index, selection.result.decoded),
                collided=object_id in losers,
                refused=selection.refused,
            )
            for object_id, selection in selected.items()
        }
        self._remember(frame, selected, direction, losers if self._state.memory.withhold_collapsed else ())
        for object_id, selection in selected.items():
            tracks[object_id].mark_tracked(frame.index, direction, selection.result)
        masks = self._frame_masks(frame, selected, verdicts)
        if self._state.store is None:
            return masks
        rows = to_rows(masks, direction=direction)
        self._state.store.write(rows)
        return with_rows(masks, rows)

    def preview(self, frame_index: int, direction: int, object_ids: Iterable[int]) -> FrameMasks:
        """Return the masks that the prompts on a frame give; memory stays as it is."""
        selected = self.decode_prompts(frame_index, direction, object_ids)
        return self._frame_masks(self.read(frame_index), selected)

    def look(self, frame: Frame, direction: int, object_ids: Iterable[int]) -> FrameMasks:
        """Return the masks that objects would have on a frame, from memory; their tracks and the store stay as they
        are."""
        tracks = self._state.tracks
        self._view.set_frame(frame)
        recalls = self._recalls(frame.index, direction, {i: tracks[i].hypotheses for i in object_ids})
        selected = self._select(frame, self._decode(frame, recalls), direction)
        verdicts = {
            object_id: copy.deepcopy(tracks[object_id].monitor).update(
                selection.sighting,
                confidence=self._calibrated_confidence(object_id, frame.index, selection.result.decoded),
                refused=selection.refused,
            )
            for object_id, selection in selected.items()
        }
        return self._frame_masks(frame, selected, verdicts)

    def expected_masks(self) -> Iterator[tuple[int, BoolArray]]:
        """Yield where memory puts the objects that were found absent on the frame that was shown last, by object id.

        The decoder draws a mask of each object, whether or not it takes it for present. They are made one at a time:
        absent objects may be many.
        """
        frame, info = self._view.frame, self._view.engine.info
        if frame is None:
            return
        for object_id, answer in self.answers.items():
            if not answer.is_present:
                logits = self._view.engine.to_numpy(answer.low_res_logits)[answer.chosen]
                yield object_id, shown_logits(logits, info, None, frame.size_hw) > 0

    def decode_prompts(self, frame_index: int, direction: int, object_ids: Iterable[int]) -> dict[int, Selection[A]]:
        """Decode the prompts on a frame, by object id; nothing is rendered, and memory stays as it is."""
        hypotheses = self._hypotheses(frame_index, direction, object_ids)
        frame = self._view.set_frame(self.read(frame_index))
        results = self._decode(frame, self._recalls(frame_index, direction, hypotheses))
        return self._select(frame, results, direction)

    def joined_boxes(self, frame_index: int, boxes_xyxy: FloatArray) -> BoolArray:
        """Return the (H, W) mask of an object whose parts have a box each, (B, 4): the masks of all boxes together."""
        frame = self._view.set_frame(self.read(frame_index))
        prompts = [Prompt.create(box_xyxy=box, size_hw=frame.size_hw) for box in boxes_xyxy]
        results = self._view.decode([DecodeRequest(Recall(), prompt) for prompt in prompts])
        parts = [
            shown_logits(result.chosen_logits, self._view.engine.info, prompt, frame.size_hw) > 0
            for result, prompt in zip(results, prompts, strict=True)
        ]
        mask: BoolArray = np.any(parts, axis=0)
        return mask

    def read(self, frame_index: int) -> Frame:
        """Read a frame of the source, or return the current one.

        Raises:
            TrackingError: there is no source.
            VideoError: the frame cannot be read.
        """
        current, source = self._view.frame, self._state.source
        if current is not None and current.index == frame_index:
            return current
        if source is None:
            raise TrackingError(f"frame {frame_index} is not the last one, and there is no source to read it from")
        return source.frame(frame_index)

    # From memory to masks.

    def _recalls(
        self, frame_index: int, direction: int, hypotheses: Mapping[int, Sequence[Hypothesis[A]]]
    ) -> dict[int, list[Recall[A]]]:
        """Return what each hypothesis reads for a frame, by object id, ascending.

        Objects unknown at this frame are left out. On a prompted frame only the best hypothesis reads.
        """
        recalls: dict[int, list[Recall[A]]] = {}
        for object_id in sorted(hypotheses):
            prompt = self._state.prompt_state(object_id, frame_index)
            if prompt is not None and not prompt.reads_memory:
                recalls[object_id] = [Recall()]
                continue
            of_object = [
                hypothesis.bank.recall(frame_index, direction=direction, num_frames=self._state.num_frames)
                for hypothesis in hypotheses[object_id][: None if prompt is None else 1]
            ]
            if prompt is not None or not of_object[0].is_empty:
                recalls[object_id] = of_object
        return recalls

    def _decode(self, frame: Frame, recalls: Mapping[int, Sequence[Recall[A]]]) -> dict[int, list[DecodeResult[A]]]:
        """Decode all objects in one batch, except those whose prompt has been answered already."""
        requests: list[tuple[int, DecodeRequest[A]]] = []
        for object_id, of_object in recalls.items():
            prompt = self._state.prompt_state(object_id, frame.index)
            if prompt is None:
                requests += [(object_id, DecodeRequest(recall)) for recall in of_object]
            elif not prompt.is_answered:
                requests.append(
                    (object_id, DecodeRequest(of_object[0], self._prompt_to_decode(object_id, prompt, frame)))
                )
        results: dict[int, list[DecodeResult[A]]] = {object_id: [] for object_id in recalls}
        decoded = self._view.decode([request for _, request in requests])
        for (object_id, _), result in zip(requests, decoded, strict=True):
            results[object_id].append(result)
        for object_id, of_result in results.items():
            prompt = self._state.prompt_state(object_id, frame.index)
            if prompt is not None and of_result:
                prompt.answer, prompt.is_answered = of_result[0], True
            elif prompt is not None and prompt.answer is not None:
                of_result.append(prompt.answer)
        return results

    def _prompt_to_decode(self, object_id: int, state: PromptState[A], frame: Frame) -> Prompt:
        """Return the prompt with the logits that it corrects: those of the last answer on this frame, or else those
        made from the stored mask."""
        prompt = state.prompt.fitted(frame.size_hw)
        if prompt.mask is not None or prompt.previous_logits is not None:
            return prompt
        last = self._state.tracks[object_id].last_result
        corrected = state.answer
        if corrected is None and not state.initial and last is not None and last[0] == frame.index:
            corrected = last[1]
        if corrected is not None:
            logits = corrected.chosen_logits
            if self._state.memory.absent_as_empty and not corrected.decoded.is_present:
                logits = np.full_like(logits, -PREVIOUS_LOGIT_LIMIT)
            return replace(prompt, previous_logits=logits.clip(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT))
        stored = None if state.initial else self._state.stored(object_id, frame.index)
        if stored is not None and stored.mask.any():
            return replace(prompt, previous_logits=mask_logits(stored.mask, self._view.engine.info.low_res_size))
        return prompt

    def _select(
        self, frame: Frame, results: Mapping[int, Sequence[DecodeResult[A]]], direction: int
    ) -> dict[int, Selection[A]]:
        """Choose the candidate mask(s) each object continues with."""
        safeguards = self._state.memory.safeguards
        selected: dict[int, Selection[A]] = {}
        for object_id, of_object in results.items():
            track = self._state.tracks[object_id]
            selection = track.select(frame.index, direction, of_object, safeguards=safeguards)
            strays = track.strays(frame.index, direction, selection) if safeguards else None
            selected[object_id] = selection if strays is None else self._without(selection, strays)
        return selected

    def _without(self, selection: Selection[A], strays: BoolArray) -> Selection[A]:
        """Return a selection of a single result whose mask lacks some pixels, (h, w)."""
        (result,), (sighting,) = selection.results, selection.sightings
        logits = result.logits.copy()
        logits[result.decoded.chosen][strays] = -MASK_LOGIT
        return replace(
            selection,
            results=(self._view.with_logits(result, logits),),
            sightings=(sighting.with_masks(logits > 0),),
        )

    def _collided(self, frame: Frame, selected: Mapping[int, Selection[A]]) -> set[int]:
        """Return the ids of objects that have collapsed onto another one."""
        if not self._state.memory.safeguards or len(selected) < 2:
            return set()
        masks, claims = {}, {}
        for object_id, selection in selected.items():
            track = self._state.tracks[object_id]
            is_shown = selection.result.decoded.is_present and not selection.refused
            masks[object_id] = (selection.result.chosen_logits > 0) & is_shown
            claims[object_id] = Claim(
                selection.result.decoded.object_score, track.monitor.score_variance, frame.index in track.prompts
            )
        return self._state.collisions.losers(masks, claims)

    def _remember(
        self, frame: Frame, selected: Mapping[int, Selection[A]], direction: int, withheld: Iterable[int]
    ) -> None:
        """Encode the frame's memories and write them, except for masks that cannot be relied on.

        Args:
            frame: the frame.
            selected: by object id.
            direction: 1 forward, -1 backward.
            withheld: ids of objects whose masks are not remembered; refused masks are not either.
        """
        skipped = {*withheld, *(object_id for object_id, selection in selected.items() if selection.refused)}
        written = {object_id: selection for object_id, selection in selected.items() if object_id not in skipped}
        prompts = {object_id: self._state.prompt_state(object_id, frame.index) for object_id in written}
        results = [(result, prompts[i] is not None) for i, selection in written.items() for result in selection.results]
        memories = iter(
            self._view.encode_memories([result for result, _ in results], [prompted for _, prompted in results])
        )
        for object_id, selection in selected.items():
            track = self._state.tracks[object_id]
            track.continue_with(selection)
            for hypothesis, result, sighting in zip(
                track.hypotheses, selection.results, selection.sightings, strict=True
            ):
                write = hypothesis.bank.policy.write(sighting)
                if object_id in skipped:
                    continue
                memory, prompt = next(memories), prompts[object_id]
                if write.remember or prompt is not None:
                    hypothesis.bank.write(
                        frame.index,
                        memory,
                        prompted=prompt is not None and (prompt.initial or self._state.memory.corrections_stay),
                        iou_prediction=result.decoded.iou_prediction,
                        object_score=result.decoded.object_score,
                        direction=direction,
                        resolved=write.resolved,
                        reliable=write.reliability,
                    )
            track.drop_forgotten_prompts(frame.index)

    # What is shown.

    def _frame_masks(
        self, frame: Frame, selected: Mapping[int, Selection[A]], verdicts: Mapping[int, Verdict] | None = None
    ) -> FrameMasks:
        """Put the output of a frame together.

        Args:
            frame: the frame.
            selected: by object id.
            verdicts: by object id; None in a preview.
        """
        self.answers = {object_id: selection.result.decoded for object_id, selection in selected.items()}
        prompts = [self._state.prompt_state(object_id, frame.index) for object_id in selected]
        # One plane for all objects: fresh memory for each would cost more time than what is written into it.
        plane = np.empty(frame.size_hw, np.float32)
        logits = (
            self._full_logits(frame, selection, prompt, plane)
            for selection, prompt in zip(selected.values(), prompts, strict=True)
        )
        if self._state.non_overlap and len(selected) > 1:
            masks = resolve_overlap(logits, frame.size_hw)
        else:
            masks = np.zeros((len(selected), *frame.size_hw), np.bool_)
            for row, full in enumerate(logits):
                np.greater(full, 0, out=masks[row])
        results = [
            ObjectResult(
                object_id=object_id,
                iou_prediction=answer.iou_prediction,
                object_score=answer.object_score,
                confidence=self._confidence(object_id, frame.index, answer),
                prompted=prompt is not None,
                **({} if verdicts is None else verdicts[object_id]._asdict()),
            )
            for (object_id, answer), prompt in zip(self.answers.items(), prompts, strict=True)
        ]
        shown = from_results(frame.index, frame.time_s, results, masks)
        return replace(shown, statuses=(), review=None) if verdicts is None else shown

    def _confidence(self, object_id: int, frame_index: int, answer: Decoded[A]) -> float:
        """Return the expected IoU of an object's mask on a frame, or of its absence."""
        prompt = self._state.prompt_state(object_id, frame_index)
        stage = stage_of(None if prompt is None else prompt.prompt)
        if stage == "tracked" and not answer.is_present:
            return confidence_in_absence(answer.object_score, self._view.engine.info)
        return confidence_of(answer.iou_prediction, self._view.engine.info, stage)

    def _calibrated_confidence(self, object_id: int, frame_index: int, answer: Decoded[A]) -> float | None:
        """Return the same if the model is calibrated for tracking, else None."""
        is_calibrated = "tracked" in self._view.engine.info.calibration
        return self._confidence(object_id, frame_index, answer) if is_calibrated else None

    def _full_logits(
        self, frame: Frame, selection: Selection[A], state: PromptState[A] | None, plane: FloatArray
    ) -> FloatArray:
        """Return the (H, W) logits of an object: negative everywhere if it is absent, exact for a mask prompt.

        They may be written into `plane`, (H, W).
        """
        if state is not None and state.prompt.mask is not None:
            return np.where(state.prompt.mask, np.float32(MASK_LOGIT), np.float32(-MASK_LOGIT))
        if selection.refused or not selection.result.decoded.is_present:
            return np.broadcast_to(np.float32(-MASK_LOGIT), frame.size_hw)
        low_res = selection.result.chosen_logits
        prompt = None if state is None else state.prompt
        logits = shown_logits(low_res, self._view.engine.info, prompt, frame.size_hw, plane)
        if self._state.edges is None:
            return logits
        return refine_edges(logits, frame.rgb, (low_res.shape[0], low_res.shape[1]), self._state.edges)

    # Memories that only the store still has.

    def rebuild_memories(self, frame_index: int, direction: int, object_ids: Iterable[int]) -> None:
        """Give objects the memories that the coming frame reads, rebuilt from stored masks where banks lack them.

        They lack them if the frames right before this one have been tracked, but not just now: the user has gone back,
        or accepted masks were passed over.
        """
        for object_id, hypotheses in self._hypotheses(frame_index, direction, object_ids).items():
            self._state.tracks[object_id].hypotheses = hypotheses

    def _hypotheses(
        self, frame_index: int, direction: int, object_ids: Iterable[int]
    ) -> dict[int, list[Hypothesis[A]]]:
        """Return each object's hypotheses for a frame: its own, or a single one rebuilt from stored masks."""
        current = {object_id: self._state.tracks[object_id].hypotheses for object_id in object_ids}
        store = self._state.store
        if store is None or self._state.memory.retention == "editing":
            return current
        missing: dict[int, list[MaskRow]] = {}
        for object_id in current:
            track = self._state.tracks[object_id]
            if track.leads_up_to(frame_index, direction):
                continue
            behind = store.behind(object_id, frame_index, direction, LOOK_BACK)
            frames = track.bank.missing_for(frame_index, behind, direction) if behind else []
            rows = [row for index in frames if (row := store.mask(object_id, index)) is not None and row.mask.any()]
            if rows:
                missing[object_id] = rows
        return {**current, **self._rebuilt(missing, direction)} if missing else current

    def _rebuilt(self, missing: Mapping[int, Sequence[MaskRow]], direction: int) -> dict[int, list[Hypothesis[A]]]:
        """Return hypotheses that remember stored masks as if they had just been tracked; each frame is encoded once."""
        rebuilt = {}
        for object_id in missing:
            bank = self._state.tracks[object_id].bank.fork()
            bank.forget_tracked()
            bank.policy.reset()
            rebuilt[object_id] = Hypothesis(bank)
        frames = sorted({row.frame_index for rows in missing.values() for row in rows}, key=lambda i: i * direction)
        for index in frames:
            rows = [row for of_object in missing.values() for row in of_object if row.frame_index == index]
            self._view.set_frame(self.read(index))
            results = self._view.decode([DecodeRequest(Recall(), Prompt.create(mask=row.mask)) for row in rows])
            memories = self._view.encode_memories(results, [False] * len(rows))
            for row, result, memory in zip(rows, results, memories, strict=True):
                bank = rebuilt[row.object_id].bank
                scores = (row.iou_prediction,)
                write = bank.policy.write(Sighting(index, direction, row.object_score, scores, result.logits > 0))
                bank.write(
                    index,
                    memory,
                    prompted=False,
                    iou_prediction=row.iou_prediction,
                    object_score=row.object_score,
                    direction=direction,
                    resolved=write.resolved,
                    reliable=row.reliability,
                )
        return {object_id: [hypothesis] for object_id, hypothesis in rebuilt.items()}
