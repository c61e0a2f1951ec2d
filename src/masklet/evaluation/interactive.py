"""Interactive video segmentation: how good the masks of a clip become as an annotator looks at more frames of it.

Offline, the whole clip is tracked in each round, and the next round corrects the frame that came out worst. Online, the
clip is seen once; where a mask falls below an IoU of 0.75 the annotator pauses, corrects it, and only what comes after
gains. Clicks are simulated as on images, three a frame: the first in the middle of the object where there is no mask
yet, all others in the middle of the largest error.

Objects do not influence each other, so all of a clip are tracked together, and each has its own frames corrected.

Source: Ravi et al., SAM 2 (2024), section 6.1 and appendix F.1; its code for this was not released.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from masklet.checks import check_choice, check_whole
from masklet.datasets import ClipExample
from masklet.engine.protocol import Engine
from masklet.errors import DataError
from masklet.evaluation.metrics import boundary_measure, next_click, region_similarity
from masklet.evaluation.records import ObjectRounds, Round, WorstFrame
from masklet.evaluation.report import InteractiveReport
from masklet.evaluation.running import RunOptions, Tick, run_units
from masklet.evaluation.vos import Roots, choose_clips, clip_units, masks_by_id
from masklet.masks.rle import CocoRle, encode_rle
from masklet.memory.bank import MemoryConfig
from masklet.records import BoolArray
from masklet.tracking.tracker import Tracker

Mode = Literal["offline", "online"]

PAUSE_IOU = 0.75
"""Online, a frame whose mask is worse than this is corrected."""
MAX_FRAMES = 8
CLICKS_PER_FRAME = 3

SECONDS_TO_LOCATE = 1.0
SECONDS_PER_CLICK = 1.5
EXAMINED_FRAMES_PER_S = 10.0


def annotation_time(mode: Mode, *, num_frames: int, prompted_frames: int, clicks: int) -> float:
    """Return the seconds that an annotator needs, as the paper assumes.

    One second to find the object on a frame, 1.5 s per click, and watching the clip at 10 frames/s: offline after every
    round, online once.

    Args:
        mode: offline or online.
        num_frames: length of the clip.
        prompted_frames: frames clicked on, one a round.
        clicks: on all of them together.
    """
    watched = prompted_frames if mode == "offline" else 1
    return (
        prompted_frames * SECONDS_TO_LOCATE + clicks * SECONDS_PER_CLICK + watched * num_frames / EXAMINED_FRAMES_PER_S
    )


def evaluate_interactive(
    engine: Engine[Any],
    data: Roots,
    *,
    mode: Mode = "offline",
    frames: int = MAX_FRAMES,
    clicks: int = CLICKS_PER_FRAME,
    memory: MemoryConfig | None = None,
    clips: Sequence[str] | None = None,
    limit: int | None = None,
    run: RunOptions | None = None,
) -> InteractiveReport:
    """Measure J&F after 1, 2, ... prompted frames.

    Args:
        engine: the model.
        data: clips, as a data set or as what `masklet.datasets.open_datasets` takes.
        mode: offline or online.
        frames: maximum number of prompted frames per object.
        clicks: on each of them, at most: a mask without error gets none.
        memory: the tracker's rules of remembering; those of the model when left out.
        clips: only these, by name.
        limit: at most so many, evenly spaced.
        run: how to run.

    Raises:
        ConfigError: the mode is unknown, frames or clicks below 1.
        DataError: see `open_datasets`; or no clip has an object.
        VideoError: a frame cannot be read.
    """
    check_choice("mode", mode, get_args(Mode))
    frames, clicks = check_whole("frames", frames, least=1), check_whole("clicks", clicks, least=1)
    selected = choose_clips(data, clips, limit)
    memory = memory or MemoryConfig.for_engine(engine.info)
    settings = {"frames": frames, "clicks": clicks, "memory": memory.to_dict()}
    objects = run_units(
        engine,
        _Annotate(mode, frames, clicks, memory),
        clip_units(selected, passes=frames),
        ObjectRounds,
        run or RunOptions(),
        {"task": f"interactive {mode}", **settings},
    )
    if not objects:
        raise DataError(f"none of the {len(selected)} clips has an object")
    return InteractiveReport(
        model=engine.info.name, backend=engine.info.backend, mode=mode, objects=tuple(objects), settings=settings
    )


@dataclass(frozen=True, slots=True)
class _Annotate:
    """Annotates all objects of one clip."""

    mode: Mode
    frames: int
    clicks: int
    memory: MemoryConfig

    def __call__(self, engine: Engine[Any], clip: ClipExample, tick: Tick) -> list[ObjectRounds]:
        truth = _Truth(clip)
        if not truth.first_seen:
            return []
        session = _Session(engine, clip, truth, self, tick)
        if self.mode == "offline":
            session.annotate_offline()
        else:
            session.annotate_online()
        return session.records()


class _Truth:
    """A clip's true masks; those of the last frame asked for are kept."""

    def __init__(self, clip: ClipExample) -> None:
        self.frames = clip.labelled_frames
        self.first_seen = clip.first_seen()
        self.object_ids = tuple(sorted(self.first_seen))
        self._clip = clip
        self._read: tuple[int, dict[int, BoolArray], BoolArray | None] | None = None

    def on(self, frame_index: int) -> tuple[dict[int, BoolArray], BoolArray | None]:
        """Return the mask of every object of the clip on a labelled frame, and void."""
        if self._read is None or self._read[0] != frame_index:
            labels = self._clip.read_labels(frame_index)
            masks = {object_id: labels.mask(object_id) for object_id in self.object_ids}
            self._read = frame_index, masks, labels.void
        return self._read[1], self._read[2]


@dataclass(slots=True)
class _State:
    """One object of a session."""

    first_frame: int
    prompted: list[int] = field(default_factory=list)
    clicks: int = 0
    rounds: list[Round] = field(default_factory=list)
    region: dict[int, float] = field(default_factory=dict)
    """J by frame, in the last pass."""
    boundary: dict[int, float] = field(default_factory=dict)
    masks: dict[int, CocoRle] = field(default_factory=dict)
    """Masks by labelled frame, in the last pass."""


class _Session:
    """An annotator at work on one clip."""

    def __init__(self, engine: Engine[Any], clip: ClipExample, truth: _Truth, rules: _Annotate, tick: Tick) -> None:
        self.engine, self.clip, self.truth, self.rules, self.tick = engine, clip, truth, rules, tick
        self.states = {object_id: _State(truth.first_seen[object_id]) for object_id in truth.object_ids}

    def records(self) -> list[ObjectRounds]:
        return [
            ObjectRounds(
                clip=self.clip.name,
                object_id=object_id,
                first_frame=state.first_frame,
                prompted_frames=tuple(state.prompted),
                rounds=tuple(state.rounds),
                worst=_worst_frame(state),
            )
            for object_id, state in self.states.items()
        ]

    def annotate_offline(self) -> None:
        """Track the whole clip in each round, with all prompts so far, and then prompt the worst frame."""
        # Correcting a frame in the middle reads what was tracked before it; a prompt also helps the frames before it.
        memory = replace(self.rules.memory, retention="editing", prompts_ahead=True, max_prompted_kept=None)
        with self.clip.open_frames() as source:
            tracker = Tracker(self.engine, source, memory=memory)
            self._prompt_first_frames(tracker, self.states)
            for count in range(1, self.rules.frames + 1):
                for masks in tracker.run():
                    self._judge(masks.frame_index, masks_by_id(masks))
                    self.tick()
                self._close_round(self.states)
                if count < self.rules.frames:
                    self._correct_worst_frames(tracker)

    def annotate_online(self) -> None:
        """One pass for each number of frames that may be prompted, as what comes after a correction depends on it."""
        memory = replace(self.rules.memory, max_prompted_kept=None)
        open_ids = list(self.states)
        for limit in range(1, self.rules.frames + 1):
            if open_ids:
                self._pass_online(memory, open_ids, limit)
            self._close_round(self.states)
            # An object that had a pause to spare would be annotated just the same with more of them.
            open_ids = [object_id for object_id in open_ids if len(self.states[object_id].prompted) == limit]

    def _pass_online(self, memory: MemoryConfig, object_ids: Sequence[int], limit: int) -> None:
        with self.clip.open_frames() as source:
            tracker = Tracker(self.engine, source, memory=memory)
            for object_id in object_ids:
                self.states[object_id] = _State(
                    self.states[object_id].first_frame, rounds=self.states[object_id].rounds
                )
            self._prompt_first_frames(tracker, object_ids)
            for masks in tracker.run():
                frame_index, predicted = masks.frame_index, masks_by_id(masks)
                self._judge(frame_index, predicted)
                bad = [
                    object_id
                    for object_id in object_ids
                    if self.states[object_id].region.get(frame_index, 1.0) < PAUSE_IOU
                    and len(self.states[object_id].prompted) < limit
                    and frame_index not in self.states[object_id].prompted
                ]
                if bad:
                    self._judge(frame_index, self._click(tracker, frame_index, bad, predicted))
                self.tick()

    def _prompt_first_frames(self, tracker: Tracker[Any], object_ids: Iterable[int]) -> None:
        by_frame: dict[int, list[int]] = {}
        for object_id in object_ids:
            by_frame.setdefault(self.states[object_id].first_frame, []).append(object_id)
        for frame_index, ids in sorted(by_frame.items()):
            self._click(tracker, frame_index, ids, {})

    def _correct_worst_frames(self, tracker: Tracker[Any]) -> None:
        by_frame: dict[int, list[int]] = {}
        for object_id, state in self.states.items():
            waiting = {index: iou for index, iou in state.region.items() if index not in state.prompted}
            if waiting and min(waiting.values()) < 1:
                by_frame.setdefault(min(waiting, key=lambda index: (waiting[index], index)), []).append(object_id)
        for frame_index, ids in sorted(by_frame.items()):
            # Track the frame once more: clicks correct the answer that came last.
            masks = next(iter(tracker.run(start=frame_index, stop=frame_index + 1)))
            self._click(tracker, frame_index, ids, masks_by_id(masks))

    def _click(
        self, tracker: Tracker[Any], frame_index: int, object_ids: Sequence[int], predicted: Mapping[int, BoolArray]
    ) -> dict[int, BoolArray]:
        """Click on objects of one frame, each click where the mask then shown is most wrong.

        Returns:
            The masks that came out; of objects that needed no click, those that went in.
        """
        truths, void = self.truth.on(frame_index)
        shown = {object_id: predicted.get(object_id, np.zeros_like(truths[object_id])) for object_id in object_ids}
        for _ in range(self.rules.clicks):
            clicked = False
            for object_id in object_ids:
                click = next_click(shown[object_id], truths[object_id], void)
                if click is not None:
                    tracker.prompt(object_id, frame_index, points_xy=[(click.x, click.y)], labels=[click.label])
                    self._note_click(self.states[object_id], frame_index)
                    clicked = True
            if not clicked:
                break
            answers = masks_by_id(tracker.preview(frame_index))
            shown = {object_id: answers.get(object_id, mask) for object_id, mask in shown.items()}
        return shown

    @staticmethod
    def _note_click(state: _State, frame_index: int) -> None:
        state.clicks += 1
        if frame_index not in state.prompted:
            state.prompted.append(frame_index)

    def _judge(self, frame_index: int, predicted: Mapping[int, BoolArray]) -> None:
        if frame_index not in self.truth.frames:
            return
        truths, void = self.truth.on(frame_index)
        for object_id, mask in predicted.items():
            state = self.states[object_id]
            if frame_index >= state.first_frame:
                state.region[frame_index] = region_similarity(mask, truths[object_id], void)
                state.boundary[frame_index] = boundary_measure(mask, truths[object_id], void)
                state.masks[frame_index] = encode_rle(mask)

    def _close_round(self, object_ids: Iterable[int]) -> None:
        for object_id in object_ids:
            state = self.states[object_id]
            seconds = annotation_time(
                self.rules.mode,
                num_frames=self.clip.num_frames,
                prompted_frames=len(state.prompted),
                clicks=state.clicks,
            )
            region = float(np.mean(list(state.region.values())))
            boundary = float(np.mean(list(state.boundary.values())))
            state.rounds.append(Round(len(state.prompted), state.clicks, seconds, region, boundary))


def _worst_frame(state: _State) -> WorstFrame:
    scores = {index: (state.region[index] + state.boundary[index]) / 2 for index in state.region}
    worst = min(scores, key=lambda index: (scores[index], index))
    return WorstFrame(worst, scores[worst], state.masks[worst])
