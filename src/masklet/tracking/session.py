"""Sessions as files: everything a tracker knows, in one zip of JSON and arrays, to go on with in another process.

    session.json     version, model, video, rules, objects: what was said, what is remembered (by names of arrays)
    masks.jsonl      a stored mask a line, run-length encoded
    arrays/N.npy     memories, pointers and logits, float32

Nothing in it is executed when it is read: no pickle. A file is written beside its target and renamed, so that an old
one stays until the new one is complete.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from masklet._version import __version__
from masklet.engine.protocol import Engine
from masklet.errors import ConfigError, DataError, MaskletError, OutputError, PromptError, SessionError, TrackingError
from masklet.masks.edges import EdgeConfig
from masklet.media.source import VideoSource
from masklet.memory.bank import MemoryBank, MemoryConfig
from masklet.output import atomic_path
from masklet.prompts import Prompt
from masklet.records import Decoded, FloatArray, FrameMemory
from masklet.tracking.frame_engine import Answer
from masklet.tracking.mask_rows import MaskRow, from_json, to_json
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.passes import Leg
from masklet.tracking.status import Watch
from masklet.tracking.track import Given, Hypothesis, Track

if TYPE_CHECKING:
    from masklet.tracking.tracker import Tracker

A = TypeVar("A")

FORMAT = "masklet session"
VERSION = 1
MAX_ARRAY_BYTES = 2**30
"""Of one array in a file. Larger ones are damage, or an attack on our memory."""

Document = dict[str, Any]


def save_session(tracker: Tracker[Any], path: str | Path) -> Path:
    """Write a tracker into a file; see `Tracker.save`."""
    path = Path(path)
    try:
        with (
            atomic_path(path) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        ):
            document = _Writer(tracker.engine, file).document(tracker)
            if tracker._store is not None:
                with file.open("masks.jsonl", "w", force_zip64=True) as lines:
                    for row in tracker._store.all():
                        lines.write(json.dumps(to_json(row)).encode() + b"\n")
            # The last entry: a file that has it is complete.
            file.writestr("session.json", json.dumps(document))
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write the session {path}: {error.strerror or error}") from error
    return path


def resume_session(path: str | Path, engine: Engine[A], video: VideoSource | None = None) -> Tracker[A]:
    """A tracker that goes on where the saved one was; see `masklet.resume`."""
    from masklet.tracking.tracker import Tracker

    with _Reader.opened(path, engine) as reader:
        document = reader.document
        about = document["video"]
        source = about["path"] if video is None and about is not None else video
        if source is None and about is not None:
            raise SessionError(f"{path} does not say where its video {about['name']} lies: give it as video=...")
        config = _memory_config(document)
        edges = document.get("edges")  # sessions of the first versions have none
        tracker = Tracker(
            engine,
            source,
            memory=config,
            non_overlap=document["non_overlap"],
            edges=None if edges is None else EdgeConfig(**edges),
        )
        if about is not None:
            reader.check_video(tracker, about)
        reader.fill(tracker)
    return tracker


def model_of(about: Mapping[str, Any]) -> str:
    """What to load for a session, of `session_about(...)["model"]`: where it lay then, or its name."""
    path = str(about.get("path") or "")
    return path if path and Path(path).exists() else str(about["name"])


def session_about(path: str | Path) -> Document:
    """What a session file says of itself: `model`, `video`, `objects` and `notes`; no model is needed to read it.

    Raises:
        SessionError: it is damaged, or none.
    """
    with _unzipped(path) as file:
        document = _document(path, file)
    objects = [{"object_id": one["object_id"], "name": one["name"]} for one in document["tracks"]]
    return {key: document[key] for key in ("model", "video", "notes")} | {"objects": objects}


def session_masks(path: str | Path) -> MaskStore:
    """The masks in a session file, in a store that vanishes with the process; no model is needed to read them.

    Raises:
        SessionError: it is damaged, or none.
    """
    store = MaskStore()
    with _unzipped(path) as file:
        _document(path, file)  # of a version that can be read
        _fill_store(file, store)
    return store


def session_prompts(path: str | Path) -> dict[int, dict[int, Prompt]]:
    """Return the prompts in a session file, by frame index and object id; no model is needed to read them.

    Logits of an earlier answer are left out: they are a model's own.

    Raises:
        SessionError: the file is damaged, or not a session.
    """
    prompts: dict[int, dict[int, Prompt]] = {}
    with _unzipped(path) as file:
        for track in _document(path, file)["tracks"]:
            for document in track["given"]:
                with suppress(PromptError):  # there were only logits
                    prompt = Prompt.from_dict(document | {"previous_logits": None})
                    prompts.setdefault(document["frame_index"], {})[track["object_id"]] = prompt
    return prompts


def inherited_memories(
    engine: Engine[A], other: Tracker[A] | str | Path, object_id: int
) -> tuple[tuple[FrameMemory[A], ...], str]:
    """What another tracker or a session file remembers of an object's prompted frames, and its name."""
    if isinstance(other, str | Path):
        with _Reader.opened(other, engine) as reader:
            tracks = {one["object_id"]: reader.track(one) for one in reader.document["tracks"]}
            move: Callable[[A], A] = _same
    else:
        if other.engine.info.name != engine.info.name:
            raise TrackingError(
                f"the other tracker runs {other.engine.info.name}, this one {engine.info.name}: memories of one model "
                "mean nothing to another"
            )
        tracks = other._tracks
        other_engine = other.engine
        move = _same if other_engine is engine else lambda handle: engine.from_numpy(other_engine.to_numpy(handle))
    if object_id not in tracks:
        known = ", ".join(map(str, sorted(tracks))) or "none"
        raise TrackingError(f"object {object_id} is unknown there: known are {known}")
    memories = tracks[object_id].bank.prompted_memories
    if not memories:
        raise TrackingError(f"nothing is remembered of object {object_id} yet: track it first")
    return tuple(FrameMemory(move(one.spatial), move(one.pointer)) for one in memories), tracks[object_id].name


def _same(handle: A) -> A:
    return handle


class _Writer(Generic[A]):
    """Turns a tracker into JSON; arrays go into the zip at once, and only their names into the JSON."""

    def __init__(self, engine: Engine[A], file: zipfile.ZipFile) -> None:
        self._engine = engine
        self._file = file
        self._num_arrays = 0
        self._names: dict[int, str] = {}
        self._kept: list[object] = []  # so that no handle is freed and its id used for another one

    def document(self, tracker: Tracker[A]) -> Document:
        info = None if tracker.source is None else tracker.source.info
        place = None if info is None else Path((info.path or info.name).removeprefix("file:"))
        return {
            "format": FORMAT,
            "version": VERSION,
            "masklet": __version__,
            "model": {
                "name": tracker.engine.info.name,
                "precision": tracker.engine.info.precision,
                "speed": tracker.engine.info.speed,
                "path": tracker.engine.info.path,
            },
            "video": None
            if info is None
            else {
                "name": info.name,
                "path": str(place.resolve()) if place is not None and place.exists() else info.path,
                "size_hw": info.size_hw,
                "num_frames": info.num_frames,
            },
            "memory": tracker.memory.to_dict(),
            "non_overlap": tracker.non_overlap,
            "edges": None if tracker.edges is None else asdict(tracker.edges),
            "position": tracker._walker.position,
            "direction": tracker._walker.direction,
            "legs": [leg._asdict() for leg in tracker._walker.legs],
            "notes": tracker.notes,
            "cuts": tracker._walker.cuts.state(),
            "collisions": sorted(tracker._stepper.collisions.allowed),
            "tracks": [self._track(object_id, track) for object_id, track in sorted(tracker._tracks.items())],
        }

    def _track(self, object_id: int, track: Track[A]) -> Document:
        latest = track.latest_answer
        return {
            "object_id": int(object_id),
            "name": track.name,
            "hidden": track.hidden,
            "direction": track.direction,
            "tracked": [track.tracked.start, track.tracked.stop],
            "watch": track.watch.state(),
            "latest": None if latest is None else {"frame_index": latest[0], "answer": self._answer(latest[1])},
            "given": [self._given(int(index), given) for index, given in track.given.items()],
            "hypotheses": [self._hypothesis(hypothesis) for hypothesis in track.hypotheses],
        }

    def _given(self, frame_index: int, given: Given[A]) -> Document:
        return {
            "frame_index": frame_index,
            **given.prompt.to_dict(self._array),
            "initial": given.initial,
            "answer": None if given.answer is None else self._answer(given.answer),
            "is_answered": given.is_answered,
            "is_remembered": given.is_remembered,
        }

    def _answer(self, answer: Answer[A]) -> Document:
        decoded = answer.decoded
        return {
            "logits": self._handle(decoded.low_res_logits),
            "iou_predictions": list(decoded.iou_predictions),
            "chosen": decoded.chosen,
            "object_score": decoded.object_score,
            "pointers": [self._handle(pointer) for pointer in decoded.pointers],
        }

    def _hypothesis(self, hypothesis: Hypothesis[A]) -> Document:
        bank = hypothesis.bank
        return {
            "score": hypothesis.score,
            "policy": bank.policy.state(),
            "direction": bank.direction,
            "entries": [
                {
                    "frame_index": int(index),
                    "kind": kind,
                    "reliability": sure,
                    "spatial": None if spatial is None else self._handle(spatial),
                    "pointer": self._handle(pointer),
                }
                for index, kind, sure, spatial, pointer in bank.export()
            ],
            "inherited": [[self._handle(one.spatial), self._handle(one.pointer)] for one in bank.inherited],
        }

    def _handle(self, handle: A) -> str:
        """Hypotheses share most of their memories, and each is written once."""
        if id(handle) not in self._names:
            self._kept.append(handle)
            self._names[id(handle)] = self._array(self._engine.to_numpy(handle))
        return self._names[id(handle)]

    def _array(self, array: FloatArray) -> str:
        name = f"arrays/{self._num_arrays}.npy"
        self._num_arrays += 1
        with self._file.open(name, "w", force_zip64=True) as entry:
            np.lib.format.write_array(entry, np.asarray(array, np.float32), allow_pickle=False)
        return name


class _Reader(Generic[A]):
    """Turns a session file into tracks and stored masks."""

    def __init__(self, path: Path, engine: Engine[A], file: zipfile.ZipFile) -> None:
        self._path = path
        self._engine = engine
        self._file = file
        self._handles: dict[str, A] = {}
        self.document = _document(path, file)
        model = self.document["model"]["name"]
        if model != engine.info.name:
            raise SessionError(f"{path} was made with the model {model}, and cannot go on with {engine.info.name}")

    @classmethod
    @contextmanager
    def opened(cls, path: str | Path, engine: Engine[A]) -> Iterator[_Reader[A]]:
        with _unzipped(path) as file:
            yield cls(Path(path), engine, file)

    def check_video(self, tracker: Tracker[A], about: Mapping[str, Any]) -> None:
        assert tracker.source is not None
        info = tracker.source.info
        if (list(info.size_hw), info.num_frames) != (list(about["size_hw"]), about["num_frames"]):
            height, width = about["size_hw"]
            raise SessionError(
                f"{self._path} belongs to another video: {about['name']} has {about['num_frames']} frames of {width} x "
                f"{height}, {info.name} has {info.num_frames} of {info.size_hw[1]} x {info.size_hw[0]}"
            )

    def fill(self, tracker: Tracker[A]) -> None:
        document = self.document
        walker = tracker._walker
        walker.position, walker.direction = document["position"], document["direction"]
        walker.legs = [Leg(**leg) for leg in document["legs"]]
        tracker.notes = document["notes"]
        walker.cuts.restore(document["cuts"])
        tracker._stepper.collisions.allowed = {(first, second) for first, second in document["collisions"]}
        tracker._tracks.update((one["object_id"], self.track(one)) for one in document["tracks"])
        if tracker._store is not None:
            _fill_store(self._file, tracker._store)

    def track(self, one: Mapping[str, Any]) -> Track[A]:
        hypotheses = [self._hypothesis(hypothesis) for hypothesis in one["hypotheses"]]
        latest = one["latest"]
        return Track(
            hypotheses,
            given={given["frame_index"]: self._given(given) for given in one["given"]},
            latest_answer=None if latest is None else (latest["frame_index"], self._answer(latest["answer"])),
            direction=one["direction"],
            tracked=range(*one["tracked"]),
            watch=Watch.restored(one["watch"]),
            name=one["name"],
            hidden=one["hidden"],
        )

    def _given(self, given: Mapping[str, Any]) -> Given[A]:
        return Given(
            Prompt.from_dict(given, self._array),
            initial=given["initial"],
            answer=None if given["answer"] is None else self._answer(given["answer"]),
            is_answered=given["is_answered"],
            is_remembered=given["is_remembered"],
        )

    def _answer(self, answer: Mapping[str, Any]) -> Answer[A]:
        logits = self._handle(answer["logits"])
        decoded = Decoded(
            logits,
            tuple(answer["iou_predictions"]),
            answer["chosen"],
            answer["object_score"],
            tuple(self._handle(pointer) for pointer in answer["pointers"]),
        )
        return Answer(decoded, self._engine.to_numpy(logits))

    def _hypothesis(self, one: Mapping[str, Any]) -> Hypothesis[A]:
        bank: MemoryBank[A] = MemoryBank(_memory_config(self.document))
        bank.policy.restore(one["policy"])
        bank.inherited = tuple(
            FrameMemory(self._handle(spatial), self._handle(pointer)) for spatial, pointer in one["inherited"]
        )
        bank.restore(
            [
                (
                    entry["frame_index"],
                    entry["kind"],
                    entry["reliability"],
                    None if entry["spatial"] is None else self._handle(entry["spatial"]),
                    self._handle(entry["pointer"]),
                )
                for entry in one["entries"]
            ],
            one["direction"],
        )
        return Hypothesis(bank, one["score"])

    def _handle(self, name: str) -> A:
        if name not in self._handles:
            self._handles[name] = self._engine.from_numpy(self._array(name))
        return self._handles[name]

    def _array(self, name: str) -> FloatArray:
        if self._file.getinfo(name).file_size > MAX_ARRAY_BYTES:
            raise ValueError(f"{name} is larger than {MAX_ARRAY_BYTES} bytes")
        with self._file.open(name) as entry:
            array = np.lib.format.read_array(entry, allow_pickle=False)
        return np.asarray(array, np.float32)


@contextmanager
def _unzipped(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """A session file; whatever is wrong in it is one clear error."""
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except MaskletError as error:
        if not isinstance(error, DataError):
            raise
        raise SessionError(f"the session {path} is damaged: {error}") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise SessionError(f"{path} is no session file, or was cut off: {error}") from error
    except OSError as error:
        raise SessionError(f"cannot read the session {path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, zlib.error) as error:
        raise SessionError(f"the session {path} is damaged: {type(error).__name__}: {error}") from error


def _fill_store(file: zipfile.ZipFile, store: MaskStore) -> None:
    if "masks.jsonl" not in file.namelist():
        return
    rows: list[MaskRow] = []
    with file.open("masks.jsonl") as lines:
        for line in lines:
            rows.append(from_json(json.loads(line)))
            if len(rows) == 256:
                store.write(rows)
                rows.clear()
    store.write(rows)


def _document(path: str | Path, file: zipfile.ZipFile) -> Document:
    document = json.loads(file.read("session.json"))
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SessionError(f"{path} is no session of masklet")
    if document["version"] != VERSION:
        raise SessionError(
            f"{path} has version {document['version']}, and this masklet ({__version__}) reads version {VERSION}: "
            f"use masklet {document['masklet']}"
        )
    return document


def _memory_config(document: Document) -> MemoryConfig:
    try:
        return MemoryConfig.from_dict(document["memory"])
    except ConfigError as error:  # of the file, not of the caller
        raise ValueError(str(error)) from error
