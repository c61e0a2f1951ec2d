"""Follows the objects of a clip under several policies at once, and stores the results, one file per clip and policy.

All policies look at a frame together: it is painted and encoded once, and objects of which two policies remember the
same are decoded once, which halves the time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.stress.judge import Sight, Verdict, judge, see
from benchmarks.stress.materials import Materials
from benchmarks.stress.scenes import make_clip
from masklet.datasets import ClipExample
from masklet.engine.protocol import Engine
from masklet.errors import ConfigError
from masklet.evaluation.running import Tick
from masklet.masks.rle import CocoRle, encode_rle
from masklet.memory.bank import MemoryConfig
from masklet.output import atomic_path
from masklet.prompts import Prompt
from masklet.records import ByteArray, Conditioned, Decoded, Frame, FrameMemory, ImageFeatures, Recall
from masklet.tracking.tracker import Tracker


@dataclass(frozen=True)
class StressTask:
    """A generated clip, by what makes it."""

    failure: str
    take: int
    roots: tuple[Path, ...]
    seed: int
    num_frames: int
    crowd_size: int

    @property
    def name(self) -> str:
        return f"{self.failure.replace(' ', '_')}_{self.take}"

    @property
    def about(self) -> dict[str, Any]:
        """What the clip depends on, so that results of another are not taken for its own."""
        crowd_size = {"crowd_size": self.crowd_size} if self.failure == "crowd" else {}
        return {"roots": [root.name for root in self.roots], "seed": self.seed, "frames": self.num_frames, **crowd_size}

    def open(self) -> Footage:
        clip = make_clip(
            self.failure,
            self.take,
            _materials(self.roots),
            seed=self.seed,
            frames=self.num_frames,
            crowd_size=self.crowd_size,
        )
        return Footage(dict.fromkeys(clip.tracked, clip.prompt_frame), clip.num_frames, clip.film.frame)


@dataclass(frozen=True)
class RealTask:
    """A clip of a data set: each object is prompted where it first appears."""

    clip: ClipExample
    failure: str = "real clips"

    @property
    def name(self) -> str:
        return f"real_{self.clip.name}"

    @property
    def num_frames(self) -> int:
        return self.clip.num_frames

    @property
    def about(self) -> dict[str, Any]:
        return {"frames": self.num_frames}

    def open(self) -> Footage:
        def frame(index: int) -> tuple[ByteArray, ByteArray | None]:
            (rgb,) = self.clip.read_frames([index])
            return rgb, self.clip.read_labels(index).flat() if index in self.clip.labelled_frames else None

        return Footage(self.clip.first_seen(), self.clip.num_frames, frame)


Task = StressTask | RealTask


@dataclass(frozen=True)
class Footage:
    """Frames with their truth, and where each followed object is prompted."""

    prompts: Mapping[int, int]
    """Frame index by object id. Frames before the first are tracked backward."""
    num_frames: int
    frame: Any
    """(index) -> (rgb (H, W, 3), object id of each pixel (H, W) or None where it is not known)."""

    def legs(self) -> Iterator[tuple[int, range]]:
        """(direction, frames) from the first prompt outwards: back first, as `Tracker.run("both")`."""
        first = min(self.prompts.values())
        if first > 0 and len(set(self.prompts.values())) == 1:
            yield -1, range(first, -1, -1)
        yield 1, range(first, self.num_frames)


@lru_cache(maxsize=1)
def _materials(roots: tuple[Path, ...]) -> Materials:
    return Materials(roots)


class Shared:
    """An engine that several trackers use on the same frame: what one of them has asked is not computed again.

    Policies part when they choose or read differently, and until then they ask the same: of the same frame, with the
    same memories (told by their handles, of which there is one as long as nobody has parted) and the same prompt.
    """

    def __init__(self, engine: Engine[Any]) -> None:
        self._engine = engine
        self._rgb: ByteArray | None = None
        self._features: ImageFeatures[Any] | None = None
        self._known: dict[Hashable, tuple[Any, float]] = {}  # of this frame: answer and processor time
        self.unasked = 0.0
        """Processor time that is not the asker's own: spent encoding images, less what answers had cost another."""

    def encode_image(self, rgb: ByteArray, **options: Any) -> ImageFeatures[Any]:
        if self._features is None or self._rgb is not rgb:
            start = time.process_time()
            self._rgb, self._features = rgb, self._engine.encode_image(rgb, **options)
            self._known.clear()
            self.unasked += time.process_time() - start
        return self._features

    def attend(self, features: ImageFeatures[Any], recalls: Sequence[Recall[Any]]) -> Conditioned[Any]:
        def work(rows: list[int]) -> Sequence[Any]:
            return self._engine.attend(features, [recalls[row] for row in rows]).embeddings

        return Conditioned(tuple(self._shared([_recall_key(recall) for recall in recalls], recalls, work)), features)

    def decode(
        self, conditioned: Conditioned[Any], prompts: Sequence[Prompt | None], **options: Any
    ) -> list[Decoded[Any]]:
        def work(rows: list[int]) -> Sequence[Any]:
            own = Conditioned(tuple(conditioned.embeddings[row] for row in rows), conditioned.features)
            return self._engine.decode(own, [prompts[row] for row in rows], **options)

        keys = [
            ("decode", id(embedding), _prompt_key(prompt))
            for embedding, prompt in zip(conditioned.embeddings, prompts, strict=True)
        ]
        return self._shared(keys, conditioned.embeddings, work)

    def encode_memory(
        self, features: ImageFeatures[Any], decoded: Sequence[Decoded[Any]], prompted: Sequence[bool]
    ) -> list[FrameMemory[Any]]:
        def work(rows: list[int]) -> Sequence[Any]:
            return self._engine.encode_memory(features, [decoded[row] for row in rows], [prompted[row] for row in rows])

        keys = [
            ("memory", id(one.low_res_logits), one.chosen, one.object_score, said)
            for one, said in zip(decoded, prompted, strict=True)
        ]
        return self._shared(keys, decoded, work)

    def _shared(
        self, keys: Sequence[Hashable], inputs: Sequence[Any], work: Callable[[list[int]], Sequence[Any]]
    ) -> list[Any]:
        """One answer a key; `work` gives those of some rows. Inputs are held, so that no other takes their id."""
        missing = list({key: row for row, key in reversed(list(enumerate(keys))) if key not in self._known}.values())
        for key in keys:
            if key in self._known:
                self.unasked -= self._known[key][1]
        if missing:
            start = time.process_time()
            answers = work(missing)
            each = (time.process_time() - start) / len(missing)
            for row, answer in zip(missing, answers, strict=True):
                self._known[keys[row]] = ((answer, inputs[row]), each)
        return [self._known[key][0][0] for key in keys]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def _recall_key(recall: Recall[Any]) -> Hashable:
    spatial = tuple((slot, id(memory)) for slot, memory in recall.spatial)
    return "attend", spatial, tuple((ago, id(pointer)) for ago, pointer in recall.pointers), recall.pointer_span


def _prompt_key(prompt: Prompt | None) -> Hashable:
    """By content: each tracker makes its own copy."""
    if prompt is None:
        return None
    arrays = (prompt.points_xy, prompt.labels, prompt.box_xyxy, prompt.mask, prompt.previous_logits)
    return tuple(None if array is None else array.tobytes() for array in arrays)


@dataclass(frozen=True, slots=True)
class Result:
    """One policy on one clip."""

    verdicts: tuple[Verdict, ...]
    masks: Mapping[int, Mapping[int, CocoRle]]
    """By object id and frame index."""
    scores: Mapping[int, Mapping[int, tuple[float, float, float]]]
    """By object id and frame index: IoU prediction, object score, and J."""
    seconds: float
    """Processor time per object and frame, without the image encoder."""


def result_path(out: Path, task: Task, policy: str) -> Path:
    return out / "results" / policy / f"{task.name}.json"


def load_result(out: Path, task: Task, policy: str, model: str) -> Result | None:
    """Return the stored results; None when there is nothing, or it is of another model or of another clip."""
    path = result_path(out, task, policy)
    if not path.exists():
        return None
    known = json.loads(path.read_text())
    if known["about"] != {"model": model, **task.about}:
        return None
    verdicts = [Verdict(**{**one, "found_after": tuple(one["found_after"])}) for one in known["verdicts"]]
    masks = {int(i): {int(t): rle for t, rle in own.items()} for i, own in known["masks"].items()}
    scores = {int(i): {int(t): tuple(three) for t, three in own.items()} for i, own in known["scores"].items()}
    return Result(tuple(verdicts), masks, scores, known["seconds"])


def save_result(out: Path, task: Task, policy: str, model: str, result: Result) -> None:
    path = result_path(out, task, policy)
    about = {"model": model, **task.about}
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps(
                {
                    "about": about,
                    "verdicts": [asdict(one) for one in result.verdicts],
                    "seconds": result.seconds,
                    "masks": result.masks,
                    "scores": result.scores,
                }
            )
        )


@dataclass(frozen=True, slots=True)
class Follow:
    """Work for one process: the policies that are missing on one clip."""

    out: Path
    model: str

    def __call__(self, engine: Engine[Any], item: tuple[Task, tuple[str, ...]], tick: Tick) -> list[str]:
        task, policies = item
        for policy, result in follow(engine, task, policies, tick).items():
            save_result(self.out, task, policy, self.model, result)
        return [task.name]


def memory_for(engine: Engine[Any], policy: str) -> MemoryConfig:
    """The model's own settings with a policy; `official` is SAM 2's rules to the letter, in as many slots.

    Args:
        engine: of the model.
        policy: its name, and what is to be set otherwise, settings of a policy by its name first:
            `motion@motion.weight=0.15@spatial_slots=7`.

    Raises:
        ConfigError: there is no such policy or setting, or its value cannot be.
    """
    name, *settings = policy.split("@")
    suited = MemoryConfig.for_engine(engine.info)
    slots = {"spatial_slots": suited.spatial_slots} if name == "official" else {}
    values = MemoryConfig.for_engine(engine.info, policy=name, **slots).to_dict()
    for setting in settings:
        path, _, text = setting.partition("=")
        owner, _, field = path.rpartition(".")
        if not field or not text:
            raise ConfigError(f"a policy's settings must be @field=value or @policy.field=value, got {setting!r}")
        target = values["settings"].setdefault(owner, {}) if owner else values
        try:
            target[field] = json.loads(text)
        except ValueError:
            target[field] = text
    return MemoryConfig.from_dict(values)


def follow(engine: Engine[Any], task: Task, policies: Sequence[str], tick: Tick = lambda: None) -> dict[str, Result]:
    """Track one clip under several policies; `tick` is called after each frame.

    Every object is prompted with its exact mask, and judged on all other frames.
    """
    footage = task.open()
    shared = Shared(engine)
    trackers = {policy: Tracker(shared, memory=memory_for(engine, policy)) for policy in policies}
    legs: dict[tuple[str, int], list[list[Sight]]] = {
        (policy, object_id): [] for policy in policies for object_id in footage.prompts
    }
    masks: dict[str, dict[int, dict[int, CocoRle]]] = {policy: {i: {} for i in footage.prompts} for policy in policies}
    scores: dict[str, dict[int, dict[int, tuple[float, float, float]]]] = {
        policy: {i: {} for i in footage.prompts} for policy in policies
    }
    seconds, steps = dict.fromkeys(policies, 0.0), 0
    for direction, indices in footage.legs():
        for leg in legs.values():
            leg.append([])
        for index in indices:
            rgb, owners = footage.frame(index)
            frame = Frame(index, rgb, index / 24)
            prompts = {
                object_id: Prompt.create(mask=owners == object_id)
                for object_id, at in footage.prompts.items()
                if at == index and owners is not None
            }
            steps += sum(at <= index or direction < 0 for at in footage.prompts.values())
            for policy, tracker in trackers.items():
                start = time.process_time() - shared.unasked
                shown = tracker.step(frame, prompts, direction=direction)
                seconds[policy] += time.process_time() - shared.unasked - start
                for row, object_id in enumerate(shown.object_ids):
                    masks[policy][object_id][index] = encode_rle(shown.masks[row])
                    if owners is not None and object_id not in prompts:
                        sight = see(object_id, shown.masks[row], owners)
                        legs[policy, object_id][-1].append(sight)
                        said = float(shown.iou_predictions[row]), float(shown.object_scores[row])
                        scores[policy][object_id][index] = (*said, sight.j)
            tick()
    return {
        policy: Result(
            tuple(
                verdict
                for object_id in footage.prompts
                if (verdict := judge(task.name, task.failure, policy, object_id, legs[policy, object_id]))
            ),
            masks[policy],
            scores[policy],
            seconds[policy] / max(steps, 1),
        )
        for policy in policies
    }
