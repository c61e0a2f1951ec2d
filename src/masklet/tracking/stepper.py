"""One frame and many objects: recall, attend, decode, choose, judge, remember, show and store.

The order of these is the body of `Stepper.track`. It knows nothing of the way through the video: which frames come, in
which order and with which objects, is the tracker's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np

from masklet.engine.calibration import confidence_in_absence, confidence_of, stage_of
from masklet.masks.edges import EdgeConfig, refine_edges
from masklet.masks.operations import MASK_LOGIT, mask_logits, resolve_overlap
from masklet.masks.shown import shown_logits
from masklet.memory.bank import MemoryConfig
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
from masklet.tracking.collisions import Claim, CollisionGuard
from masklet.tracking.frame_engine import Answer, FrameEngine, Question
from masklet.tracking.mask_rows import MaskRow, from_results, to_rows, with_rows
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.status import Verdict
from masklet.tracking.track import Branching, Given, Hypothesis, Track

A = TypeVar("A")

LOOK_BACK = 64
"""Stored frames among which those are sought whose memories are rebuilt."""


class Stepper(Generic[A]):
    """Takes objects through single frames.

    Args:
        view: the engine and the frame that it looks at.
        store: keeps the masks; None keeps none.
        memory: rules of remembering.
        read: gives any frame of the source, for memories to be rebuilt from.
        num_frames: of the source, where known.
        non_overlap: a pixel that several objects claim goes to the one of the highest logit.
        edges: how the edges of what is shown are refined by the picture; None leaves them as the model has them.
    """

    def __init__(
        self,
        view: FrameEngine[A],
        store: MaskStore | None,
        memory: MemoryConfig,
        *,
        read: Callable[[int], Frame],
        num_frames: int | None,
        non_overlap: bool,
        edges: EdgeConfig | None,
    ) -> None:
        self.view = view
        self.store = store
        self.memory = memory
        self.read = read
        self.num_frames = num_frames
        self.non_overlap = non_overlap
        self.edges = edges
        self.tracks: dict[int, Track[A]] = {}
        """By object id."""
        self.collisions = CollisionGuard()
        self.answers: Mapping[int, Decoded[A]] = {}
        """By object id: what the decoder said on the frame that was shown last."""

    def track(self, frame: Frame, direction: int, object_ids: Iterable[int]) -> FrameMasks:
        """Everything from recall to the store, for objects that are prepared for it."""
        self.view.look_at(frame)
        recalls = self.recall(frame.index, direction, {i: self.tracks[i].hypotheses for i in object_ids})
        for object_id in recalls:
            self.tracks[object_id].turn_to(frame.index, direction)
        chosen = self.choose(frame, self.answer(frame, recalls), direction)
        losers = self._collided(frame, chosen)
        verdicts = {
            object_id: self.tracks[object_id].watch.judge(
                branching.sighting,
                confidence=self._calibrated_confidence(object_id, frame.index, branching.answer.decoded),
                collided=object_id in losers,
                refused=branching.refused,
            )
            for object_id, branching in chosen.items()
        }
        self._remember(frame, chosen, direction, losers if self.memory.withhold_collapsed else ())
        for object_id, branching in chosen.items():
            self.tracks[object_id].mark_tracked(frame.index, direction, branching.answer)
        masks = self.show(frame, chosen, verdicts)
        if self.store is None:
            return masks
        rows = to_rows(masks, direction=direction)
        self.store.write(rows)
        return with_rows(masks, rows)

    def preview(self, frame_index: int, direction: int, object_ids: Iterable[int]) -> FrameMasks:
        """What the prompts on a frame give; memory stays as it is."""
        hypotheses = self.prepared(frame_index, direction, object_ids)
        frame = self.view.look_at(self.read(frame_index))
        answers = self.answer(frame, self.recall(frame_index, direction, hypotheses))
        return self.show(frame, self.choose(frame, answers, direction))

    def joined_boxes(self, frame_index: int, boxes_xyxy: FloatArray) -> BoolArray:
        """(H, W) of an object of which each part has a box, (B, 4): the masks of all boxes together."""
        frame = self.view.look_at(self.read(frame_index))
        prompts = [Prompt.create(box_xyxy=box, size_hw=frame.size_hw) for box in boxes_xyxy]
        answers = self.view.answer([Question(Recall(), prompt) for prompt in prompts])
        shown = [
            shown_logits(answer.chosen_logits, self.view.engine.info, prompt, frame.size_hw) > 0
            for answer, prompt in zip(answers, prompts, strict=True)
        ]
        together: BoolArray = np.any(shown, axis=0)
        return together

    def recall(
        self, frame_index: int, direction: int, hypotheses: Mapping[int, Sequence[Hypothesis[A]]]
    ) -> dict[int, list[Recall[A]]]:
        """What each hypothesis of each object reads for this frame, by object id, ascending.

        Objects unknown at this frame are left out. On a prompted frame the best hypothesis reads alone.
        """
        recalls: dict[int, list[Recall[A]]] = {}
        for object_id in sorted(hypotheses):
            given = self.tracks[object_id].given.get(frame_index)
            if given is not None and not given.reads_memory:
                recalls[object_id] = [Recall()]
                continue
            own = [
                hypothesis.bank.recall(frame_index, direction=direction, num_frames=self.num_frames)
                for hypothesis in hypotheses[object_id][: None if given is None else 1]
            ]
            if given is not None or not own[0].is_empty:
                recalls[object_id] = own
        return recalls

    def answer(self, frame: Frame, recalls: Mapping[int, Sequence[Recall[A]]]) -> dict[int, list[Answer[A]]]:
        """Decode all objects in one batch, but for those whose prompt has been answered already."""
        asked: list[tuple[int, Question[A]]] = []
        for object_id, own in recalls.items():
            track = self.tracks[object_id]
            given = track.given.get(frame.index)
            if given is None:
                asked += [(object_id, Question(recall)) for recall in own]
            elif not given.is_answered:
                asked.append((object_id, Question(own[0], self._to_decode(object_id, given, frame))))
        answers: dict[int, list[Answer[A]]] = {object_id: [] for object_id in recalls}
        for (object_id, _), answer in zip(asked, self.view.answer([question for _, question in asked]), strict=True):
            answers[object_id].append(answer)
        for object_id, own_answers in answers.items():
            given = self.tracks[object_id].given.get(frame.index)
            if given is not None and own_answers:
                given.answer, given.is_answered = own_answers[0], True
            elif given is not None and given.answer is not None:
                own_answers.append(given.answer)
        return answers

    def _to_decode(self, object_id: int, given: Given[A], frame: Frame) -> Prompt:
        """The prompt as the engine is to see it: with the logits that it corrects."""
        prompt = given.prompt.fitted(frame.size_hw)
        if prompt.mask is not None or prompt.previous_logits is not None:
            return prompt
        latest = self.tracks[object_id].latest_answer
        corrected = given.answer
        if corrected is None and not given.initial and latest is not None and latest[0] == frame.index:
            corrected = latest[1]
        if corrected is not None:
            logits = corrected.chosen_logits
            if self.memory.absent_as_empty and not corrected.decoded.is_present:
                logits = np.full_like(logits, -PREVIOUS_LOGIT_LIMIT)
            return replace(prompt, previous_logits=logits.clip(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT))
        stored = None if given.initial or self.store is None else self.store.mask(object_id, frame.index)
        if stored is not None and stored.mask.any():
            return replace(prompt, previous_logits=mask_logits(stored.mask, self.view.engine.info.low_res_size))
        return prompt

    def choose(
        self, frame: Frame, answers: Mapping[int, Sequence[Answer[A]]], direction: int
    ) -> dict[int, Branching[A]]:
        """With which candidates each object goes on."""
        return {
            object_id: self.tracks[object_id].choose(frame.index, direction, own, careful=self.memory.safeguards)
            for object_id, own in answers.items()
        }

    def _collided(self, frame: Frame, chosen: Mapping[int, Branching[A]]) -> set[int]:
        """Objects that have collapsed onto another one."""
        if not self.memory.safeguards or len(chosen) < 2:
            return set()
        masks, claims = {}, {}
        for object_id, branching in chosen.items():
            is_shown = branching.answer.decoded.is_present and not branching.refused
            masks[object_id] = (branching.answer.chosen_logits > 0) & is_shown
            claims[object_id] = Claim(
                branching.answer.decoded.object_score,
                self.tracks[object_id].watch.unsteadiness,
                frame.index in self.tracks[object_id].given,
            )
        return self.collisions.losers(masks, claims)

    def _remember(
        self, frame: Frame, chosen: Mapping[int, Branching[A]], direction: int, unwritten: Iterable[int]
    ) -> None:
        """Encode the frame's memories and write them, but for masks that are not to be believed."""
        silent = {*unwritten, *(object_id for object_id, one in chosen.items() if one.refused)}
        written = {object_id: one for object_id, one in chosen.items() if object_id not in silent}
        given = {object_id: self.tracks[object_id].given.get(frame.index) for object_id in written}
        answers = [(answer, given[i] is not None) for i, one in written.items() for answer in one.answers]
        memories = iter(self.view.memorise([answer for answer, _ in answers], [prompted for _, prompted in answers]))
        for object_id, branching in chosen.items():
            track = self.tracks[object_id]
            track.go_on(branching)
            for hypothesis, answer, sighting in zip(
                track.hypotheses, branching.answers, branching.sightings, strict=True
            ):
                write = hypothesis.bank.policy.write(sighting)
                if object_id in silent:
                    continue
                memory, prompt = next(memories), given[object_id]
                if write.remember or prompt is not None:
                    hypothesis.bank.write(
                        frame.index,
                        memory,
                        prompted=prompt is not None and (prompt.initial or self.memory.corrections_stay),
                        iou_prediction=answer.decoded.iou_prediction,
                        object_score=answer.decoded.object_score,
                        direction=direction,
                        resolved=write.resolved,
                        reliable=write.reliability,
                    )
            track.drop_forgotten(frame.index)

    def show(
        self, frame: Frame, chosen: Mapping[int, Branching[A]], verdicts: Mapping[int, Verdict] | None = None
    ) -> FrameMasks:
        self.answers = {object_id: one.answer.decoded for object_id, one in chosen.items()}
        given = [self.tracks[object_id].given.get(frame.index) for object_id in chosen]
        logits = (self._full_logits(frame, one, prompt) for one, prompt in zip(chosen.values(), given, strict=True))
        masks = np.zeros((len(chosen), *frame.size_hw), np.bool_)
        if self.non_overlap and len(chosen) > 1:
            masks = resolve_overlap(np.stack(list(logits)))
        else:
            for row, plane in enumerate(logits):
                masks[row] = plane > 0
        results = [
            ObjectResult(
                object_id=object_id,
                iou_prediction=answer.iou_prediction,
                object_score=answer.object_score,
                confidence=self._confidence(object_id, frame.index, answer),
                prompted=prompt is not None,
                **({} if verdicts is None else verdicts[object_id]._asdict()),
            )
            for (object_id, answer), prompt in zip(self.answers.items(), given, strict=True)
        ]
        shown = from_results(frame.index, frame.time_s, results, masks)
        return replace(shown, statuses=(), review=None) if verdicts is None else shown

    def _confidence(self, object_id: int, frame_index: int, answer: Decoded[A]) -> float:
        """Return the expected IoU of an object's mask on a frame, or of its absence."""
        state = self.tracks[object_id].given.get(frame_index)
        stage = stage_of(None if state is None else state.prompt)
        if stage == "tracked" and not answer.is_present:
            return confidence_in_absence(answer.object_score, self.view.engine.info)
        return confidence_of(answer.iou_prediction, self.view.engine.info, stage)

    def _calibrated_confidence(self, object_id: int, frame_index: int, answer: Decoded[A]) -> float | None:
        """Return the same where the model is calibrated for tracking."""
        is_calibrated = "tracked" in self.view.engine.info.calibration
        return self._confidence(object_id, frame_index, answer) if is_calibrated else None

    def _full_logits(self, frame: Frame, branching: Branching[A], given: Given[A] | None) -> FloatArray:
        """(H, W) logits of an object: below 0 everywhere when it is absent, a mask prompt as it was given."""
        if given is not None and given.prompt.mask is not None:
            return np.where(given.prompt.mask, np.float32(MASK_LOGIT), np.float32(-MASK_LOGIT))
        if branching.refused or not branching.answer.decoded.is_present:
            return np.full(frame.size_hw, -MASK_LOGIT, np.float32)
        low_res = branching.answer.chosen_logits
        said = None if given is None else given.prompt
        logits = shown_logits(low_res, self.view.engine.info, said, frame.size_hw)
        if self.edges is None:
            return logits
        return refine_edges(logits, frame.rgb, (low_res.shape[0], low_res.shape[1]), self.edges)

    def prepared(self, frame_index: int, direction: int, object_ids: Iterable[int]) -> dict[int, list[Hypothesis[A]]]:
        """What each object goes into a frame with: its hypotheses, or one rebuilt from stored masks.

        It is rebuilt when the frames right before this one have been tracked, but the bank does not have them: the
        user has gone back, or accepted masks were passed.
        """
        ready = {object_id: self.tracks[object_id].hypotheses for object_id in object_ids}
        store = self.store
        if store is None or self.memory.retention == "editing":
            return ready
        wanted: dict[int, list[MaskRow]] = {}
        for object_id in ready:
            track = self.tracks[object_id]
            if track.follows(frame_index, direction):
                continue
            behind = store.behind(object_id, frame_index, direction, LOOK_BACK)
            lacking = track.bank.lacks(behind, frame_index, direction) if behind else []
            rows = [row for index in lacking if (row := store.mask(object_id, index)) is not None and row.mask.any()]
            if rows:
                wanted[object_id] = rows
        return {**ready, **self._rebuilt(wanted, direction)} if wanted else ready

    def _rebuilt(self, wanted: Mapping[int, Sequence[MaskRow]], direction: int) -> dict[int, list[Hypothesis[A]]]:
        """Hypotheses that remember stored masks, as if they had just been tracked: each frame is encoded once."""
        fresh = {}
        for object_id in wanted:
            bank = self.tracks[object_id].bank.fork()
            bank.forget_tracked()
            bank.policy.reset()
            fresh[object_id] = Hypothesis(bank)
        frames = sorted({row.frame_index for rows in wanted.values() for row in rows}, key=lambda i: i * direction)
        for index in frames:
            rows = [row for own in wanted.values() for row in own if row.frame_index == index]
            self.view.look_at(self.read(index))
            answers = self.view.answer([Question(Recall(), Prompt.create(mask=row.mask)) for row in rows])
            memories = self.view.memorise(answers, [False] * len(rows))
            for row, answer, memory in zip(rows, answers, memories, strict=True):
                bank = fresh[row.object_id].bank
                scores = (row.iou_prediction,)
                write = bank.policy.write(Sighting(index, direction, row.object_score, scores, answer.logits > 0))
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
        return {object_id: [hypothesis] for object_id, hypothesis in fresh.items()}

    def install(self, hypotheses: Mapping[int, list[Hypothesis[A]]]) -> None:
        for object_id, own in hypotheses.items():
            self.tracks[object_id].hypotheses = own
