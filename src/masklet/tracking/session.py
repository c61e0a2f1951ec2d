"""Sessions as files: the state of a tracker in one zip of JSON and arrays, to be continued in another process.

    session.json     version, model, video, rules, objects with their prompts and memories (arrays by name)
    masks.jsonl      one stored mask per line, run-length encoded
    arrays/N.npy     memories, pointers and logits, float32

Nothing in it is executed when it is read: no pickle. A file is written next to its target and renamed, so that an old
one stays until the new one is complete.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from masklet._version import __version__
from masklet.checks import check_whole
from masklet.discovery.population import Population
from masklet.engine.protocol import Engine
from masklet.errors import ConfigError, DataError, OutputError, PromptError, SessionError
from masklet.foreign.documents import Json, parse_json, reading
from masklet.masks.edges import EdgeConfig
from masklet.masks.rle import check_rle
from masklet.media.source import FrameSource, VideoSource, open_source
from masklet.memory.bank import MemoryBank, MemoryConfig
from masklet.output import atomic_path
from masklet.prompts import Prompt
from masklet.records import Decoded, FloatArray, FrameMemory
from masklet.tracking.collisions import CollisionGuard
from masklet.tracking.frame_engine import DecodeResult
from masklet.tracking.mask_rows import MaskRow, from_json, to_json
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.passes import Pass
from masklet.tracking.session_checks import check_state
from masklet.tracking.shot_cuts import ShotCutDetector
from masklet.tracking.state import TrackerState, keeps_masks
from masklet.tracking.status import StatusMonitor
from masklet.tracking.track import Hypothesis, PromptState, Track

A = TypeVar("A")

FORMAT = "masklet session"
VERSION = 1
MAX_ARRAY_BYTES = 2**30
"""Largest array or document in a file. A larger one is damage, or an attack on our memory."""
MAX_LINE_BYTES = 2**27
"""Longest line of `masks.jsonl`: one mask."""
MAX_FRAMES = 10**8
"""Most frames of a session's video."""

Document = dict[str, Any]


def save_session(engine: Engine[A], state: TrackerState[A], path: str | Path) -> Path:
    """Write the state of a tracker into a file; see `Tracker.save`."""
    path = Path(path)
    try:
        with (
            atomic_path(path) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        ):
            document = _SessionWriter(engine, file).document(state)
            if state.store is not None:
                with file.open("masks.jsonl", "w", force_zip64=True) as lines:
                    for row in state.store.all():
                        lines.write(json.dumps(to_json(row)).encode() + b"\n")
            # The last entry: a file that has it is complete.
            file.writestr("session.json", json.dumps(document))
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write the session {path}: {error.strerror or error}") from error
    return path


def load_session(path: str | Path, engine: Engine[A], video: VideoSource | None = None) -> TrackerState[A]:
    """Read the state of a tracker, with its video opened and its masks in a store; see `masklet.resume`.

    Args:
        path: the file.
        engine: runs the model that the session was made with.
        video: where the video is now; where it was then when left out.

    Raises:
        SessionError: the file is damaged, not a session, or of another model or video.
        VideoError: the video cannot be opened.
    """
    with _SessionReader.opened(path, engine) as reader:
        about = reader.document["video"]
        source = about["path"] if video is None and about is not None else video
        if source is None and about is not None:
            raise SessionError(f"{path} does not say where its video {about['name']} is: give it as video=...")
        opened = None if source is None else open_source(source)
        if about is not None:
            assert opened is not None
            reader.check_video(opened, about)
        state = reader.state(opened)
        if state.store is not None:
            _fill_store(reader.file, state.store, reader.document)
    return state


def load_state(path: str | Path, engine: Engine[A]) -> TrackerState[A]:
    """Read the state of a tracker without its video and its stored masks.

    Raises:
        SessionError: the file is damaged, not a session, or of another model.
    """
    with _SessionReader.opened(path, engine) as reader:
        return reader.state(None)


def model_of(about: Mapping[str, Any]) -> str:
    """Return what to load for a session, from `session_about(...)["model"]`: its path if it exists, or its name."""
    path = str(about.get("path") or "")
    return path if path and Path(path).exists() else str(about["name"])


def session_about(path: str | Path) -> Document:
    """Return what a session file says of itself: `model`, `video`, `objects` and `notes`; no model is needed.

    Raises:
        SessionError: the file is damaged, or not a session.
    """
    with _unzipped(path) as file:
        document = Json(_document(path, file), f"the session {path}", SessionError)
        for name in ("name", "path"):
            if (entry := document.field("model").get(name)) is not None:
                entry.text()
        video = document.get("video")
        if video is not None:
            _check_video(video)
        objects = [_about_track(track) for track in document.field("tracks").entries()]
        return {key: document.value[key] for key in ("model", "video", "notes")} | {"objects": objects}


def _about_track(track: Json) -> Document:
    """Return what is known of an object without its masks: id, name, class, and whether results leave it out."""
    class_name, hidden = track.get("class_name"), track.get("hidden")
    if hidden is not None and not isinstance(hidden.value, bool):
        hidden.refuse("true or false")
    return {
        "object_id": track.field("object_id").whole(0, 2**31),
        "name": track.field("name").text(),
        "class_name": "" if class_name is None else class_name.text(),
        "hidden": hidden is not None and hidden.value,
    }


def _check_video(video: Json) -> None:
    """Check what a session says of its video."""
    video.field("name").text()
    if (path := video.get("path")) is not None:
        path.text()
    sides = [side.whole(1, 10**6) for side in video.field("size_hw").entries()]
    if len(sides) != 2:
        video.field("size_hw").refuse("[height, width]")
    if (num_frames := video.get("num_frames")) is not None:
        num_frames.whole(0, MAX_FRAMES)


def session_masks(path: str | Path) -> MaskStore:
    """Read the masks of a session file into a temporary store; no model is needed.

    Raises:
        SessionError: the file is damaged, or not a session.
    """
    store = MaskStore()
    with _unzipped(path) as file:
        _fill_store(file, store, _document(path, file))
    return store


def session_prompts(path: str | Path) -> dict[int, dict[int, Prompt]]:
    """Return the prompts in a session file, by frame index and object id; no model is needed to read them.

    Logits of an earlier answer are left out: they are a model's own.

    Raises:
        SessionError: the file is damaged, or not a session.
    """
    prompts: dict[int, dict[int, Prompt]] = {}
    with _unzipped(path) as file:
        about = _document(path, file)
        size_hw = _size_of(about)
        for track in about["tracks"]:
            for document in track["given"]:
                with suppress(PromptError):  # there were only logits
                    prompt = Prompt.from_dict(document | {"previous_logits": None}, size_hw=size_hw)
                    prompts.setdefault(document["frame_index"], {})[track["object_id"]] = prompt
    return prompts


class _SessionWriter(Generic[A]):
    """Turns a tracker into JSON; arrays go into the zip at once, and only their names into the JSON."""

    def __init__(self, engine: Engine[A], file: zipfile.ZipFile) -> None:
        self._engine = engine
        self._file = file
        self._num_arrays = 0
        self._names: dict[int, str] = {}
        self._kept: list[object] = []  # so that no handle is freed and its id used for another one

    def document(self, state: TrackerState[A]) -> Document:
        """Return the JSON of a state; its arrays are in the file by then."""
        info = None if state.source is None else state.source.info
        path = None if info is None else Path((info.path or info.name).removeprefix("file:"))
        model = self._engine.info
        return {
            "format": FORMAT,
            "version": VERSION,
            "masklet": __version__,
            "model": {"name": model.name, "precision": model.precision, "speed": model.speed, "path": model.path},
            "video": None
            if info is None
            else {
                "name": info.name,
                "path": str(path.resolve()) if path is not None and path.exists() else info.path and info.name,
                "size_hw": info.size_hw,
                "num_frames": info.num_frames,
            },
            "memory": state.memory.to_dict(),
            "non_overlap": state.non_overlap,
            "edges": None if state.edges is None else asdict(state.edges),
            "position": state.position,
            "direction": state.direction,
            "legs": [planned._asdict() for planned in state.passes],
            "notes": state.notes,
            "population": None if state.population is None else state.population.to_dict(),
            "cuts": state.shot_cuts.state(),
            "collisions": sorted(state.collisions.allowed),
            "tracks": [self._track(object_id, track) for object_id, track in sorted(state.tracks.items())],
        }

    def _track(self, object_id: int, track: Track[A]) -> Document:
        last = track.last_result
        return {
            "object_id": int(object_id),
            "name": track.name,
            "class_name": track.class_name,
            "hidden": track.hidden,
            "direction": track.direction,
            "tracked": [track.tracked_frames.start, track.tracked_frames.stop],
            "watch": track.monitor.state(),
            "latest": None if last is None else {"frame_index": last[0], "answer": self._answer(last[1])},
            "given": [self._prompt(int(index), prompt) for index, prompt in track.prompts.items()],
            "hypotheses": [self._hypothesis(hypothesis) for hypothesis in track.hypotheses],
        }

    def _prompt(self, frame_index: int, state: PromptState[A]) -> Document:
        return {
            "frame_index": frame_index,
            **state.prompt.to_dict(self._array),
            "initial": state.initial,
            "answer": None if state.answer is None else self._answer(state.answer),
            "is_answered": state.is_answered,
            "is_remembered": state.is_remembered,
        }

    def _answer(self, answer: DecodeResult[A]) -> Document:
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
                    "reliability": reliability,
                    "spatial": None if spatial is None else self._handle(spatial),
                    "pointer": self._handle(pointer),
                }
                for index, kind, reliability, spatial, pointer in bank.export()
            ],
            "inherited": [[self._handle(memory.spatial), self._handle(memory.pointer)] for memory in bank.inherited],
        }

    def _handle(self, handle: A) -> str:
        """Return the name of a handle's array. Hypotheses share most memories, and each is written once."""
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


class _SessionReader(Generic[A]):
    """Turns a session file into the state of a tracker."""

    def __init__(self, path: Path, engine: Engine[A], file: zipfile.ZipFile) -> None:
        self._path = path
        self._engine = engine
        self.file = file
        self._handles: dict[str, A] = {}
        self.document = _document(path, file)
        model = self.document["model"]["name"]
        if model != engine.info.name:
            raise SessionError(
                f"{path} was made with the model {model}, and cannot be continued with {engine.info.name}"
            )

    @classmethod
    @contextmanager
    def opened(cls, path: str | Path, engine: Engine[A]) -> Iterator[_SessionReader[A]]:
        """Open a session file for reading."""
        with _unzipped(path) as file:
            yield cls(Path(path), engine, file)

    def check_video(self, source: FrameSource, about: Mapping[str, Any]) -> None:
        """Refuse a video whose size or length differs from that of the session's video."""
        info = source.info
        if (list(info.size_hw), info.num_frames) != (list(about["size_hw"]), about["num_frames"]):
            height, width = about["size_hw"]
            raise SessionError(
                f"{self._path} belongs to another video: {about['name']} has {about['num_frames']} frames of {width} x "
                f"{height}, {info.name} has {info.num_frames} of {info.size_hw[1]} x {info.size_hw[0]}"
            )

    def state(self, source: FrameSource | None) -> TrackerState[A]:
        """Make the state, with an empty store if the source needs one."""
        document = self.document
        check_state(Json(document, f"the session {self._path}", SessionError))
        edges = document.get("edges")  # sessions of the first versions have none
        shot_cuts = ShotCutDetector()
        shot_cuts.restore(document["cuts"])
        memory = self._memory()
        return TrackerState(
            source,
            memory.fitted_to(self._engine.info),
            MaskStore() if keeps_masks(source, memory) else None,
            non_overlap=document["non_overlap"],
            edges=None if edges is None else EdgeConfig(**edges),
            tracks={track["object_id"]: self._track(track) for track in document["tracks"]},
            collisions=CollisionGuard({(first, second) for first, second in document["collisions"]}),
            shot_cuts=shot_cuts,
            passes=[Pass(**planned) for planned in document["legs"]],
            position=document["position"],
            direction=document["direction"],
            notes=document["notes"],
            population=_population(document.get("population"), {track["object_id"] for track in document["tracks"]}),
        )

    def _memory(self) -> MemoryConfig:
        try:
            return MemoryConfig.from_dict(self.document["memory"])
        except ConfigError as error:  # of the file, not of the caller
            raise ValueError(str(error)) from error

    def _track(self, record: Mapping[str, Any]) -> Track[A]:
        latest = record["latest"]
        return Track(
            [self._hypothesis(hypothesis) for hypothesis in record["hypotheses"]],
            prompts={prompt["frame_index"]: self._prompt(prompt) for prompt in record["given"]},
            last_result=None if latest is None else (latest["frame_index"], self._answer(latest["answer"])),
            direction=record["direction"],
            tracked_frames=range(*record["tracked"]),
            monitor=StatusMonitor.restored(record["watch"]),
            name=record["name"],
            class_name=record.get("class_name", ""),
            hidden=record["hidden"],
        )

    def _prompt(self, record: Mapping[str, Any]) -> PromptState[A]:
        return PromptState(
            Prompt.from_dict(record, self._array, size_hw=_size_of(self.document)),
            initial=record["initial"],
            answer=None if record["answer"] is None else self._answer(record["answer"]),
            is_answered=record["is_answered"],
            is_remembered=record["is_remembered"],
        )

    def _answer(self, answer: Mapping[str, Any]) -> DecodeResult[A]:
        logits = self._handle(answer["logits"])
        decoded = Decoded(
            logits,
            tuple(answer["iou_predictions"]),
            answer["chosen"],
            answer["object_score"],
            tuple(self._handle(pointer) for pointer in answer["pointers"]),
        )
        return DecodeResult(decoded, self._engine.to_numpy(logits))

    def _hypothesis(self, record: Mapping[str, Any]) -> Hypothesis[A]:
        bank: MemoryBank[A] = MemoryBank(self._memory())
        bank.policy.restore(record["policy"])
        bank.inherited = tuple(
            FrameMemory(self._handle(spatial), self._handle(pointer)) for spatial, pointer in record["inherited"]
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
                for entry in record["entries"]
            ],
            record["direction"],
        )
        return Hypothesis(bank, record["score"])

    def _handle(self, name: str) -> A:
        if name not in self._handles:
            self._handles[name] = self._engine.from_numpy(self._array(name))
        return self._handles[name]

    def _array(self, name: str) -> FloatArray:
        return _read_array(self.file, name)


def _population(document: Mapping[str, Any] | None, object_ids: Collection[int]) -> Population | None:
    """Return the record of discovered objects, each of which must have a track."""
    if document is None:
        return None
    try:
        population = Population.from_dict(document)
    except ConfigError as error:  # of the file, not of the caller
        raise DataError(f"the record of discovered objects: {error}") from error
    if missing := population.objects.keys() - set(object_ids):
        raise DataError(f"the record of discovered objects has object {min(missing)}, which has no track")
    return population


def _read_array(file: zipfile.ZipFile, name: str) -> FloatArray:
    """Read an array; its size is compared with that of the entry before memory is taken."""
    num_bytes = file.getinfo(name).file_size
    with file.open(name) as entry:
        version = np.lib.format.read_magic(entry)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read_header(entry)
        wanted = math.prod(shape) * dtype.itemsize
        if dtype.kind != "f" or is_fortran or not 0 <= wanted <= min(num_bytes, MAX_ARRAY_BYTES):
            raise ValueError(f"{name} must hold floats, in at most {MAX_ARRAY_BYTES} bytes and all of them")
        array = np.frombuffer(entry.read(wanted), dtype).reshape(shape)
    return np.array(array, np.float32)


@contextmanager
def _unzipped(path: str | Path) -> Iterator[zipfile.ZipFile]:
    """Open a session file, and turn whatever is wrong in it into one clear error."""
    with reading(f"the session {path}", SessionError):
        try:
            with zipfile.ZipFile(path) as file:
                yield file
        except (zipfile.BadZipFile, EOFError) as error:
            raise SessionError(f"{path} is not a session file, or was cut off: {error}") from error


def _size_of(document: Document) -> tuple[int, int] | None:
    """Return the size of the session's video; None for a session of frames that were pushed."""
    if document["video"] is None:
        return None
    height, width = document["video"]["size_hw"]
    return check_whole("size_hw", height, least=1, error=DataError), check_whole(
        "size_hw", width, least=1, error=DataError
    )


def _num_frames_of(document: Document) -> int:
    """Return how many frames masks may have: those of the video, or any number that memory can hold."""
    about = document["video"]
    num_frames = None if about is None else about["num_frames"]
    most = MAX_FRAMES if num_frames is None else num_frames
    return check_whole("num_frames", most, least=0, most=MAX_FRAMES, error=DataError)


def _fill_store(file: zipfile.ZipFile, store: MaskStore, document: Document) -> None:
    if "masks.jsonl" not in file.namelist():
        return
    size_hw, num_frames = _size_of(document), _num_frames_of(document)
    rows: list[MaskRow] = []
    with file.open("masks.jsonl") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE_BYTES), b""), start=1):
            where = f"masks.jsonl, line {number}"
            try:
                row = from_json(parse_json(line, where).value)
                check_rle(row.rle, size_hw)
                check_whole("frame_index", row.frame_index, least=0, most=num_frames - 1, error=DataError)
            except DataError as error:
                raise DataError(f"{where}: {error}") from error
            rows.append(row)
            if len(rows) == 256:
                store.write(rows)
                rows.clear()
    store.write(rows)


def _document(path: str | Path, file: zipfile.ZipFile) -> Document:
    if file.getinfo("session.json").file_size > MAX_ARRAY_BYTES:
        raise DataError(f"session.json is larger than {MAX_ARRAY_BYTES} bytes")
    document = parse_json(file.read("session.json"), "session.json").value
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SessionError(f"{path} is not a masklet session")
    if document["version"] != VERSION:
        raise SessionError(
            f"{path} has version {document['version']}, and this masklet ({__version__}) reads version {VERSION}: "
            f"use masklet {document['masklet']}"
        )
    return document
