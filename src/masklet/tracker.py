"""Follows objects through a video: image encoder, memory attention, mask decoder, memory encoder, memory bank.

The tracker moves handles between an engine and one memory bank per object; it knows no tensors, no files and no
video format. `step` is the one path on which a frame is looked at; `run` is a loop over it. What is kept is the last
frame, the banks and the prompts, so memory does not grow with the video.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from masklet.engine.protocol import Engine
from masklet.errors import EngineError, PromptError, TrackingError
from masklet.frame_engine import Answer, FrameEngine, Question
from masklet.masks import MASK_LOGIT, CocoRle, decode_rle, encode_rle, mask_logits, resolve_overlap, upsample_logits
from masklet.memory_bank import MemoryBank, MemoryConfig
from masklet.policies import Sighting
from masklet.records import Decoded, FloatArray, Frame, FrameMasks, Prompt, Recall
from masklet.track import Given, Hypothesis, Track
from masklet.video.source import FrameSource, VideoSource, open_source

A = TypeVar("A")

Direction = Literal["forward", "backward", "both"]

PREVIOUS_LOGIT_LIMIT = 32.0
"""Earlier logits are clamped to this before they are corrected.
Source: sam2 2b90b9f, sam2_video_predictor.py `add_new_points_or_box`."""


@dataclass(frozen=True, slots=True)
class _Branch(Generic[A]):
    """An answer that one of an object's hypotheses goes on with."""

    hypothesis: int
    answer: Answer[A]
    sighting: Sighting
    score: float


@dataclass(frozen=True, slots=True)
class _Held:
    """Masks of a frame that waits for its other objects, small enough to keep many."""

    masks: FrameMasks
    """With no pixels in `masks`."""
    rles: tuple[CocoRle, ...]


class Tracker(Generic[A]):
    """Tracks any number of objects through one video.

    Prompts may be given for any object on any frame, before, during and after tracking; they take effect when their
    frame is reached. An object is absent from the frames before its first prompt, seen in the direction of tracking.

    Args:
        engine: runs the model.
        source: what `masklet.video.open_source` takes: a path, folder of frames, camera index, URL or iterator of
            frames. None when the frames are given to `step` by hand.
        memory: rules of remembering; those that suit the engine's model when left out.
        non_overlap: a pixel that several objects claim goes to the one of the highest logit.

    Raises:
        EngineError: the model has no memory.
        VideoError: the source cannot be opened.
    """

    def __init__(
        self,
        engine: Engine[A],
        source: VideoSource | None = None,
        *,
        memory: MemoryConfig | None = None,
        non_overlap: bool = False,
    ) -> None:
        if engine.info.images_only:
            raise EngineError(
                f"{engine.info.name} cannot track: its weights are those of an image model (transformers' Sam2Model), "
                f"without a memory. Give weights of a video model (Sam2VideoModel, or an official .pt)"
            )
        self.engine = engine
        self.source: FrameSource | None = None if source is None else open_source(source)
        self.memory = MemoryConfig.for_engine(engine.info) if memory is None else memory.fitted_to(engine.info)
        self.non_overlap = non_overlap
        self._tracks: dict[int, Track[A]] = {}
        self._view = FrameEngine(engine)  # keeps the last frame: a click on it does not encode it again
        self.answers: Mapping[int, Decoded[A]] = {}
        """By object id: what the decoder said on the frame whose masks came last, as handles of the engine."""
        self._position: int | None = None  # the last frame stepped on
        self._direction = 1

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects that have been prompted, ascending."""
        return tuple(sorted(self._tracks))

    @property
    def frame(self) -> Frame | None:
        """The frame whose masks came last, with its pixels: what an overlay is drawn on. None before the first."""
        return self._view.frame

    @property
    def _is_forward_only(self) -> bool:
        """Cameras, streams and iterators have no length, and no way back."""
        return self.num_frames is None

    @property
    def num_frames(self) -> int | None:
        """Frames of the source; None where that is not known, as for a camera."""
        return None if self.source is None else self.source.info.num_frames

    def prompt(
        self,
        object_id: int = 1,
        frame_index: int = 0,
        *,
        points_xy: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box_xyxy: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        previous_logits: ArrayLike | None = None,
        clear: bool = False,
    ) -> None:
        """Say what an object is on one frame. It takes effect when the frame is reached, or in `preview`.

        Several prompts of one object on one frame add up: points join earlier points, and correct an earlier box,
        mask or preview. A box or mask replaces what was said before.

        A prompt on a frame on which the object has been tracked corrects that frame with its memory in view; run
        again from there to take the correction to the frames after it. A prompt on the frame that `run` has just
        yielded is taken in before the next frame; the frame is not yielded again (`preview` shows it).

        Args:
            object_id: any whole number; a new one begins a new object.
            frame_index: the frame, from 0.
            points_xy: (P, 2) source pixels, x right, y down.
            labels: (P,) 1 on the object, 0 not on it; all 1 when left out.
            box_xyxy: (4,) source pixels around the object.
            mask: (H, W) the object itself.
            previous_logits: (h, w) low-res logits that points or a box correct, in place of the last answer here.
            clear: forget what was said of this object on this frame before.

        Raises:
            PromptError: see `Prompt.create`.
            TrackingError: the frame does not exist, or a source that runs once has passed it.
        """
        self._check_object_id(object_id)
        self._check_frame_index(frame_index)
        prompt = Prompt.create(
            points_xy=points_xy,
            labels=labels,
            box_xyxy=box_xyxy,
            mask=mask,
            previous_logits=previous_logits,
            size_hw=self._size_hw(frame_index),
        )
        self._take(object_id, frame_index, prompt, clear)

    def preview(self, frame_index: int = 0) -> FrameMasks:
        """The masks that the prompts on one frame give, for the objects prompted there; memory stays as it is.

        What is shown is what tracking then starts from: further points correct it.

        Raises:
            TrackingError: no object is prompted on this frame.
            VideoError: the frame cannot be read, or a source that runs once has passed it.
        """
        prompted = [object_id for object_id, track in self._tracks.items() if frame_index in track.given]
        if not prompted:
            raise TrackingError(f"no object is prompted on frame {frame_index}: call prompt(...) first")
        frame = self._view.look_at(self._read(frame_index))
        answers = self._answer(frame, self._recall(frame.index, self._direction, prompted))
        return self._show(frame, self._choose(frame, answers, self._direction))

    def step(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None, *, direction: int = 1) -> FrameMasks:
        """Track all objects on one frame.

        Args:
            frame: the next frame, in the direction of tracking; gaps are allowed.
            prompts: by object id, in addition to those given by `prompt`.
            direction: 1 forward, -1 backward.

        Returns:
            The masks of all objects known at this frame. None of them: no object has been prompted here or earlier.

        Raises:
            PromptError: a prompt does not fit the frame.
        """
        if direction not in (1, -1):
            raise TrackingError(f"direction must be 1 (forward) or -1 (backward), got {direction!r}")
        for object_id, prompt in (prompts or {}).items():
            self._check_object_id(object_id)
            self._take(object_id, frame.index, _fitting(prompt, frame.size_hw), clear=False)
        return self._step(frame, direction, self._tracks)

    def run(
        self, direction: Direction = "forward", *, start: int | None = None, stop: int | None = None
    ) -> Iterator[FrameMasks]:
        """Track through the source, frame by frame, as the results are asked for.

        `forward` goes from the earliest prompted frame to the end, `backward` from the latest one to frame 0.
        `both` goes outwards from each object's first prompt: first the earlier frames, descending, then all from the
        earliest prompt on, ascending; every frame comes once, with all of its objects. (Where objects have different
        first prompts, the masks between those are held back, run-length encoded, until the way forward.)

        Args:
            direction: 'forward', 'backward' or 'both'.
            start: first frame of the way: the highest when going backward, the lowest when going both ways. Prompts
                that lie before it are taken in first, unless they have been already.
            stop: the way ends before this frame, as in `range`.

        Yields:
            The masks of each frame. If the source breaks off, its `VideoError` comes after the frames before it.

        Raises:
            TrackingError: no object is prompted, the frames do not exist, or a live source is to go backward or to
                start elsewhere than it is.
        """
        source = self._check_run(direction, start, stop)
        prompted = [index for track in self._tracks.values() for index in track.given]
        if direction == "both":
            return self._run_both(source, start or 0, stop)
        if direction == "backward":
            return self._run_one_way(source, max(prompted) if start is None else start, stop, -1)
        first = min(prompted) if start is None else start
        if self._is_forward_only and self._position is not None:
            first = max(first, self._position + 1)
        return self._run_one_way(source, first, stop, 1)

    def take_back(self, object_id: int, frame_index: int) -> None:
        """Forget what was said of an object on one frame, if anything was; a memory of the frame stays, as tracked.

        Raises:
            TrackingError: the object is unknown.
        """
        track = self._known(object_id)
        track.given.pop(frame_index, None)
        for hypothesis in track.hypotheses:
            hypothesis.bank.count_as_tracked(frame_index)

    def remove(self, object_id: int) -> None:
        """Forget an object altogether; its id may be used anew.

        Raises:
            TrackingError: the object is unknown.
        """
        self._known(object_id)
        del self._tracks[object_id]

    def reset(self) -> None:
        """Forget all objects. The source stays open; a live one goes on from where it is."""
        self._tracks.clear()

    # The way through the source.

    def _run_one_way(self, source: FrameSource, start: int, stop: int | None, direction: int) -> Iterator[FrameMasks]:
        self._take_in_prompts_off_the_way(start, direction)
        for frame in source.frames(start, stop, direction):
            self._take_in_late_prompts(self._tracks)
            yield self._step(frame, direction, self._tracks)

    def _run_both(self, source: FrameSource, start: int, stop: int | None) -> Iterator[FrameMasks]:
        first_prompt = {object_id: min(track.given) for object_id, track in self._tracks.items()}
        lowest, highest = min(first_prompt.values()), max(first_prompt.values())
        held: dict[int, _Held] = {}
        for frame in source.frames(highest, start - 1 if start else None, -1):
            on_their_way = [object_id for object_id, index in first_prompt.items() if index >= frame.index]
            self._take_in_late_prompts(on_their_way)
            masks = self._step(frame, -1, [object_id for object_id in on_their_way if object_id in self._tracks])
            if frame.index < lowest:
                yield masks
            else:
                # Objects first prompted here are shown on the way forward.
                held[frame.index] = _hold(masks, [i for i in masks.object_ids if first_prompt[i] > frame.index])
        for masks in self._run_one_way(source, lowest, stop, 1):
            earlier = held.pop(masks.frame_index, None)
            yield masks if earlier is None else self._joined(earlier, masks)

    def _take_in_prompts_off_the_way(self, start: int, direction: int) -> None:
        """Remember prompts that the coming frames read but the way does not pass before them."""
        if self._is_forward_only:
            return
        given = [pair for track in self._tracks.values() for pair in track.given.items()]
        waiting = {index for index, prompt in given if not prompt.is_remembered}
        for index in sorted(waiting, reverse=direction < 0):
            if (start - index) * direction > 0 or (self.memory.prompts_ahead and index != start):
                self._remember_prompts(self._view.look_at(self._read(index)), direction, self._tracks)

    def _take_in_late_prompts(self, object_ids: Iterable[int]) -> None:
        """Remember prompts that were given on the last frame after it had been yielded."""
        ids = [i for i in object_ids if i in self._tracks and self._tracks[i].is_waiting(self._position)]
        if ids and self._position is not None:
            self._remember_prompts(self._view.look_at(self._read(self._position)), self._direction, ids)

    def _remember_prompts(self, frame: Frame, direction: int, object_ids: Iterable[int]) -> None:
        ids = [i for i in object_ids if self._tracks[i].is_waiting(frame.index)]
        answers = self._answer(frame, self._recall(frame.index, direction, ids))
        self._remember(frame, self._choose(frame, answers, direction), direction)

    # One frame.

    def _step(self, frame: Frame, direction: int, object_ids: Iterable[int]) -> FrameMasks:
        self._view.look_at(frame)
        self._position, self._direction = frame.index, direction
        recalls = self._recall(frame.index, direction, object_ids)
        for object_id in recalls:
            self._tracks[object_id].turn_to(frame.index, direction)
        chosen = self._choose(frame, self._answer(frame, recalls), direction)
        self._remember(frame, chosen, direction)
        for object_id, branches in chosen.items():
            track = self._tracks[object_id]
            track.latest_answer, track.direction = (frame.index, branches[0].answer), direction
            track.mark_tracked(frame.index)
        return self._show(frame, chosen)

    def _recall(self, frame_index: int, direction: int, object_ids: Iterable[int]) -> dict[int, list[Recall[A]]]:
        """What each hypothesis of each object reads for this frame, by object id, ascending.

        Objects unknown at this frame are left out. On a prompted frame the best hypothesis reads alone.
        """
        recalls: dict[int, list[Recall[A]]] = {}
        for object_id in sorted(object_ids):
            track = self._tracks[object_id]
            given = track.given.get(frame_index)
            if given is not None and not given.reads_memory:
                recalls[object_id] = [Recall()]
                continue
            hypotheses = track.hypotheses if given is None else track.hypotheses[:1]
            own = [
                hypothesis.bank.recall(frame_index, direction=direction, num_frames=self.num_frames)
                for hypothesis in hypotheses
            ]
            if given is not None or not own[0].is_empty:
                recalls[object_id] = own
        return recalls

    def _answer(self, frame: Frame, recalls: Mapping[int, Sequence[Recall[A]]]) -> dict[int, list[Answer[A]]]:
        """Decode all objects in one batch, but for those whose prompt has been answered already."""
        asked: list[tuple[int, Question[A]]] = []
        for object_id, own in recalls.items():
            track = self._tracks[object_id]
            given = track.given.get(frame.index)
            if given is None:
                with_candidates = track.bank.policy.asks_for_candidates
                asked += [(object_id, Question(recall, with_candidates=with_candidates)) for recall in own]
            elif not given.is_answered:
                asked.append((object_id, Question(own[0], self._to_decode(track, given, frame))))
        answers: dict[int, list[Answer[A]]] = {object_id: [] for object_id in recalls}
        for (object_id, _), answer in zip(asked, self._view.answer([question for _, question in asked]), strict=True):
            answers[object_id].append(answer)
        for object_id, own_answers in answers.items():
            given = self._tracks[object_id].given.get(frame.index)
            if given is not None and own_answers:
                given.answer, given.is_answered = own_answers[0], True
            elif given is not None and given.answer is not None:
                own_answers.append(given.answer)
        return answers

    def _to_decode(self, track: Track[A], given: Given[A], frame: Frame) -> Prompt:
        """The prompt as the engine is to see it: with the logits that it corrects."""
        prompt = _fitting(given.prompt, frame.size_hw)
        corrected, latest = given.answer, track.latest_answer
        if corrected is None and not given.initial and latest is not None and latest[0] == frame.index:
            corrected = latest[1]
        if corrected is None or prompt.mask is not None or prompt.previous_logits is not None:
            return prompt
        logits = corrected.chosen_logits
        if self.memory.absent_as_empty and not corrected.decoded.is_present:
            logits = np.full_like(logits, -PREVIOUS_LOGIT_LIMIT)
        return replace(prompt, previous_logits=logits.clip(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT))

    def _choose(
        self, frame: Frame, answers: Mapping[int, Sequence[Answer[A]]], direction: int
    ) -> dict[int, list[_Branch[A]]]:
        """With which candidates each object goes on, the best first."""
        return {
            object_id: self._branches(self._tracks[object_id], frame, own, direction)
            for object_id, own in answers.items()
        }

    def _branches(
        self, track: Track[A], frame: Frame, answers: Sequence[Answer[A]], direction: int
    ) -> list[_Branch[A]]:
        is_prompted = frame.index in track.given
        sightings = [_sighting(frame.index, direction, answer, is_prompted) for answer in answers]
        if is_prompted:
            return [_Branch(0, answers[0], sightings[0], 0.0)]
        paths = [
            hypothesis.bank.policy.path(hypothesis.score, sighting)
            for hypothesis, sighting in zip(track.hypotheses, sightings, strict=True)
        ]
        return [
            _Branch(path, answers[path].choosing(candidate), sightings[path].choosing(candidate), score)
            for path, candidate, score in track.bank.policy.select(paths)
        ]

    def _remember(self, frame: Frame, chosen: Mapping[int, Sequence[_Branch[A]]], direction: int) -> None:
        branches = [(object_id, branch) for object_id, own in chosen.items() for branch in own]
        memories = iter(
            self._view.memorise(
                [branch.answer for _, branch in branches],
                [frame.index in self._tracks[object_id].given for object_id, _ in branches],
            )
        )
        for object_id, own in chosen.items():
            track = self._tracks[object_id]
            given = track.given.get(frame.index)
            track.branch([(branch.hypothesis, branch.score) for branch in own])
            for hypothesis, branch in zip(track.hypotheses, own, strict=True):
                memory, write = next(memories), hypothesis.bank.policy.write(branch.sighting)
                if write.remember or given is not None:
                    hypothesis.bank.write(
                        frame.index,
                        memory,
                        prompted=given is not None and (given.initial or self.memory.corrections_stay),
                        iou_prediction=branch.answer.decoded.iou_prediction,
                        object_score=branch.answer.decoded.object_score,
                        direction=direction,
                        resolved=write.resolved,
                        reliable=write.reliability,
                    )
            if given is not None:
                given.is_remembered = True
            forgotten = [i for i, old in track.given.items() if old.is_remembered and i not in track.bank]
            for index in forgotten:
                del track.given[index]

    def _show(self, frame: Frame, chosen: Mapping[int, Sequence[_Branch[A]]]) -> FrameMasks:
        answers = {object_id: branches[0].answer for object_id, branches in chosen.items()}
        self.answers = {object_id: answer.decoded for object_id, answer in answers.items()}
        given = [self._tracks[object_id].given.get(frame.index) for object_id in answers]
        logits = (_full_logits(frame, *pair) for pair in zip(answers.values(), given, strict=True))
        masks = np.zeros((len(answers), *frame.size_hw), np.bool_)
        if self.non_overlap and len(answers) > 1:
            masks = resolve_overlap(np.stack(list(logits)))
        else:
            for row, plane in enumerate(logits):
                masks[row] = plane > 0
        return FrameMasks(
            frame_index=frame.index,
            time_s=frame.time_s,
            object_ids=tuple(answers),
            masks=masks,
            iou_predictions=np.array([answer.decoded.iou_prediction for answer in answers.values()], np.float32),
            object_scores=np.array([answer.decoded.object_score for answer in answers.values()], np.float32),
            prompted=np.array([prompt is not None for prompt in given], np.bool_),
        )

    def _joined(self, held: _Held, masks: FrameMasks) -> FrameMasks:
        """One frame's masks from the way back and the way forward, which have different objects."""
        rows = [row for row, object_id in enumerate(held.masks.object_ids) if object_id in self._tracks]
        earlier = np.array([decode_rle(held.rles[row]) for row in rows], np.bool_).reshape(-1, *masks.masks.shape[1:])
        if self.non_overlap:
            earlier &= ~masks.masks.any(axis=0)
        object_ids = [held.masks.object_ids[row] for row in rows] + list(masks.object_ids)
        order = np.argsort(object_ids)

        def join(first: Any, second: Any) -> Any:
            return np.concatenate([first, second])[order]

        return replace(
            masks,
            object_ids=tuple(sorted(object_ids)),
            masks=join(earlier, masks.masks),
            iou_predictions=join(held.masks.iou_predictions[rows], masks.iou_predictions),
            object_scores=join(held.masks.object_scores[rows], masks.object_scores),
            prompted=join(held.masks.prompted[rows], masks.prompted),
        )

    def _read(self, frame_index: int) -> Frame:
        if self.frame is not None and self.frame.index == frame_index:
            return self.frame
        if self.source is None:
            raise TrackingError(f"frame {frame_index} is not the last one, and there is no source to read it from")
        return self.source.frame(frame_index)

    # Prompts.

    def _take(self, object_id: int, frame_index: int, prompt: Prompt, clear: bool) -> None:
        track = self._tracks.get(object_id)
        if track is None:
            track = self._tracks[object_id] = Track([Hypothesis(MemoryBank(self.memory))])
        known = track.given.get(frame_index)
        initial = not track.has_tracked(frame_index) if known is None else known.initial
        if known is None or clear or prompt.box_xyxy is not None or prompt.mask is not None:
            track.given[frame_index] = Given(prompt, initial)
        else:
            track.given[frame_index] = self._with_points(known, prompt)

    def _with_points(self, known: Given[A], more: Prompt) -> Given[A]:
        """What was said, and more points: they correct the logits that came with them, or the mask that was given,
        or the last answer, or what that was to correct."""
        logits = more.previous_logits
        if logits is None and known.prompt.mask is not None:
            logits = mask_logits(known.prompt.mask, self.engine.info.low_res_size)
        if logits is None and known.answer is None:
            logits = known.prompt.previous_logits
        prompt = Prompt(
            points_xy=np.concatenate([known.prompt.points_xy, more.points_xy]),
            labels=np.concatenate([known.prompt.labels, more.labels]),
            box_xyxy=known.prompt.box_xyxy,
            previous_logits=logits,
        )
        return Given(prompt, known.initial, known.answer if logits is None else None)

    def _size_hw(self, frame_index: int) -> tuple[int, int] | None:
        if self.source is not None:
            return self.source.info.size_hw
        return None if self.frame is None or self.frame.index != frame_index else self.frame.size_hw

    # Checks.

    def _known(self, object_id: int) -> Track[A]:
        if object_id not in self._tracks:
            known = ", ".join(map(str, self.object_ids)) or "none"
            raise TrackingError(f"object {object_id} is unknown: known are {known}")
        return self._tracks[object_id]

    @staticmethod
    def _check_object_id(object_id: int) -> None:
        if isinstance(object_id, bool) or not isinstance(object_id, int | np.integer):
            raise PromptError(f"object_id must be a whole number, got {object_id!r}")

    def _check_frame_index(self, frame_index: int) -> None:
        if isinstance(frame_index, bool) or not isinstance(frame_index, int | np.integer):
            raise PromptError(f"frame_index must be a whole number, got {frame_index!r}")
        count = self.num_frames
        if frame_index < 0 or (count is not None and frame_index >= count):
            there = "" if count is None else f", and the video has {count}: the last is {count - 1}"
            raise TrackingError(f"frame {frame_index} does not exist: frames count from 0{there}")
        if self.source is not None and count is None and self._position is not None and frame_index < self._position:
            raise TrackingError(
                f"frame {frame_index} has passed, and this source cannot go back: the last frame is {self._position}"
            )

    def _check_run(self, direction: str, start: int | None, stop: int | None) -> FrameSource:
        if self.source is None:
            raise TrackingError("there is no source to run through: give one to Tracker(...), or call step(frame)")
        if direction not in ("forward", "backward", "both"):
            raise TrackingError(f"direction must be 'forward', 'backward' or 'both', got {direction!r}")
        if not self._tracks:
            raise TrackingError("nothing to track yet: say what the objects are with prompt(...) first")
        if self._is_forward_only and direction != "forward":
            raise TrackingError(f"this source has no way back, so direction must be 'forward', got {direction!r}")
        if self._is_forward_only and start is not None:
            raise TrackingError(f"this source cannot start elsewhere than it is: leave start out, got {start}")
        if start is not None:
            self._check_frame_index(start)
        if direction == "both":
            firsts = [min(track.given) for track in self._tracks.values()]
            if (start or 0) > min(firsts) or (stop is not None and stop <= max(firsts)):
                raise TrackingError(
                    f"going both ways, start and stop must enclose the first prompts of all objects, on frames "
                    f"{min(firsts)} to {max(firsts)}: got start {start} and stop {stop}"
                )
        return self.source


def _fitting(prompt: Prompt, size_hw: tuple[int, int]) -> Prompt:
    """The prompt, checked against a frame that was not known when it was made."""
    return Prompt.create(
        points_xy=prompt.points_xy,
        labels=prompt.labels,
        box_xyxy=prompt.box_xyxy,
        mask=prompt.mask,
        previous_logits=prompt.previous_logits,
        size_hw=size_hw,
    )


def _sighting(frame_index: int, direction: int, answer: Answer[Any], prompted: bool) -> Sighting:
    decoded = answer.decoded
    return Sighting(
        frame_index,
        direction,
        decoded.object_score,
        decoded.iou_predictions,
        answer.logits > 0,
        decoded.chosen,
        prompted=prompted,
    )


def _full_logits(frame: Frame, answer: Answer[Any], given: Given[Any] | None) -> FloatArray:
    """(H, W) logits of an object: below 0 everywhere when it is absent, a mask prompt as it was given."""
    if given is not None and given.prompt.mask is not None:
        return np.where(given.prompt.mask, np.float32(MASK_LOGIT), np.float32(-MASK_LOGIT))
    if not answer.decoded.is_present:
        return np.full(frame.size_hw, -MASK_LOGIT, np.float32)
    return upsample_logits(answer.chosen_logits, frame.size_hw)


def _hold(masks: FrameMasks, object_ids: Iterable[int]) -> _Held:
    rows = [masks.object_ids.index(object_id) for object_id in object_ids]
    without_pixels = replace(
        masks,
        object_ids=tuple(masks.object_ids[row] for row in rows),
        masks=np.zeros((len(rows), 0, 0), np.bool_),
        iou_predictions=masks.iou_predictions[rows],
        object_scores=masks.object_scores[rows],
        prompted=masks.prompted[rows],
    )
    return _Held(without_pixels, tuple(encode_rle(masks.masks[row]) for row in rows))
