"""Session files: tracking continues from them as it would have continued without them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet import resume
from masklet.errors import OutputError, SessionError, TrackingError
from masklet.masks.edges import EdgeConfig
from masklet.memory.bank import MemoryConfig
from masklet.records import FrameMasks
from masklet.tracking.session import model_of, session_about
from masklet.tracking.tracker import Tracker
from tests.fake_engine import FakeEngine, pictures

CLICK: dict[str, Any] = {"points_xy": [(1, 1)]}
CORRECTION: dict[str, Any] = {"points_xy": [(5, 2)], "labels": [0]}


def engine() -> FakeEngine:
    return FakeEngine(lambda number: -4.0 if number in (7, 8, 9) else 6.0 + number % 3)


def started(stop: int = 15, **options: Any) -> Tracker[int]:
    tracker = Tracker(engine(), pictures(30), **options)
    tracker.prompt(1, 0, **CLICK)
    tracker.prompt(2, 4, box_xyxy=(0, 0, 5, 5))
    tracker.rename(2, "pump")
    for _ in tracker.run(stop=stop):
        pass
    return tracker


def facts(masks: FrameMasks) -> tuple[Any, ...]:
    return (
        masks.frame_index,
        masks.object_ids,
        masks.masks.tolist(),
        masks.object_scores.tolist(),
        masks.statuses,
        masks.prompted.tolist(),
    )


@pytest.mark.parametrize(
    "memory", [MemoryConfig(), MemoryConfig.official(), MemoryConfig(retention="editing")], ids=lambda m: m.policy
)
def test_a_resumed_session_continues_as_if_never_interrupted(tmp_path: Path, memory: MemoryConfig) -> None:
    tracker = started(memory=memory)
    tracker.prompt(1, 14, **CORRECTION)
    tracker.accept(3)
    path = tracker.save(tmp_path / "job.masklet")
    resumed = Tracker.resume(path, engine(), pictures(30))
    assert (resumed.object_ids, resumed.names, resumed.memory) == (tracker.object_ids, {2: "pump"}, tracker.memory)
    assert [facts(masks) for masks in resumed.run(start=15)] == [facts(masks) for masks in tracker.run(start=15)]
    here, there = tracker.engine, resumed.engine
    assert isinstance(here, FakeEngine)
    assert isinstance(there, FakeEngine)
    assert there.attended == here.attended[-len(there.attended) :]
    assert resumed.masks_at(3) is not None
    assert facts(resumed.masks_at(3)) == facts(tracker.masks_at(3))  # type: ignore[arg-type]
    assert resumed.suggest_frames() == tracker.suggest_frames()


def test_an_interrupted_run_is_still_to_be_done_after_resuming(tmp_path: Path) -> None:
    tracker = started(30)
    tracker.prompt(1, 12, **CORRECTION)
    resumed = Tracker.resume(tracker.save(tmp_path / "job.masklet"), engine(), pictures(30))
    assert [masks.frame_index for masks in resumed.retrack()] == list(range(12, 30))


def test_a_mask_prompt_and_a_preview_survive(tmp_path: Path) -> None:
    tracker = Tracker(engine(), pictures(5))
    mask = np.zeros((6, 8), bool)
    mask[1:3, 2:5] = True
    tracker.prompt(1, 2, mask=mask)
    tracker.prompt(2, 2, **CLICK)
    tracker.preview(2)
    tracker.prompt(2, 2, **CORRECTION)
    resumed = Tracker.resume(tracker.save(tmp_path / "job.masklet"), engine(), pictures(5))
    first = next(resumed.run())
    assert (first.mask(1) == mask).all()
    there = resumed.engine
    assert isinstance(there, FakeEngine)
    prompt = there.prompt_of(2)
    assert prompt is not None
    assert prompt.previous_logits is not None
    assert prompt.num_points == 2


def test_a_file_names_its_model_video_and_objects(tmp_path: Path) -> None:
    about = session_about(started().save(tmp_path / "job.masklet"))
    assert about["model"]["name"] == "fake"
    assert about["video"]["num_frames"] == 30
    unnamed = {"object_id": 1, "name": "", "class_name": "", "hidden": False}
    assert about["objects"] == [unnamed, unnamed | {"object_id": 2, "name": "pump"}]


def test_the_model_is_loaded_from_its_path_if_that_exists(tmp_path: Path) -> None:
    weights = tmp_path / "mine.pt"
    about = {"name": "tiny", "path": str(weights)}
    assert model_of(about) == "tiny"
    weights.touch()
    assert model_of(about) == str(weights)
    assert model_of({"name": "nano"}) == "nano"  # of the first versions
    path = started().save(tmp_path / "job.masklet")
    with pytest.raises(SessionError, match="with the model fake, which is missing: give it as model="):
        resume(path)


def test_edges_are_part_of_a_session(tmp_path: Path) -> None:
    edges = EdgeConfig(band=1.5)
    resumed = Tracker.resume(started(edges=edges).save(tmp_path / "job.masklet"), engine(), pictures(30))
    assert resumed.edges == edges


def test_an_object_is_adopted_from_a_file(tmp_path: Path) -> None:
    path = started().save(tmp_path / "job.masklet")
    own = engine()
    tracker = Tracker(own, pictures(4))
    tracker.adopt(path, 2)
    assert tracker.names == {2: "pump"}
    assert next(tracker.run()).object_ids == (2,)
    assert own.recall_of(0).spatial == ((0, 4),)
    with pytest.raises(TrackingError, match="object 7 is unknown there: known are 1, 2"):
        tracker.adopt(path, 7)


# Bad files.


def test_saving_again_replaces_the_file_or_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = started()
    path = tracker.save(tmp_path / "job.masklet")
    before = path.read_bytes()

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OutputError, match=r"cannot write the session .*No space left on device"):
        tracker.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["job.masklet"]
    monkeypatch.undo()
    tracker.save(path)
    assert Tracker.resume(path, engine(), pictures(30)).object_ids == (1, 2)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, kept: float) -> None:
    path = started().save(tmp_path / "job.masklet")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(SessionError, match=r"job\.masklet is not a session file, or was cut off"):
        Tracker.resume(path, engine(), pictures(30))


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    document = json.loads(entries["session.json"])
    change(document)
    entries["session.json"] = json.dumps(document).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return path


def drop_tracks(document: dict[str, Any]) -> None:
    del document["tracks"]


def wrong_array(document: dict[str, Any]) -> None:
    document["tracks"][0]["hypotheses"][0]["entries"][0]["pointer"] = "arrays/999.npy"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (drop_tracks, "has no field 'tracks'"),
        (
            lambda document: document["tracks"][0]["watch"].update(scores=["x", 1]),
            r"scores\[0\] must be a finite number",
        ),
        (lambda document: document["tracks"][0]["hypotheses"][0].update(score="x"), "score must be a finite number"),
        (lambda document: document["tracks"][1]["given"][0].update(is_answered="no"), "must be true or false"),
        (lambda document: document.update(direction=0), "direction must be 1 or -1"),
        (wrong_array, "is damaged: KeyError"),
        (lambda document: document.update(version=99), "has version 99, and this masklet .* reads version 1"),
        (lambda document: document.update(format="other"), "is not a masklet session"),
        (lambda document: document["model"].update(name="other"), "was made with the model other"),
        (lambda document: document["memory"].update(new=1), "unknown memory settings: new"),
        (lambda document: document["video"].update(num_frames=5), "belongs to another video"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], text: str
) -> None:
    path = rewritten(started().save(tmp_path / "job.masklet"), change)
    with pytest.raises(SessionError, match=text):
        Tracker.resume(path, engine(), pictures(30))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="cannot read the session"):
        Tracker.resume(tmp_path / "missing.masklet", engine())
    (tmp_path / "text.masklet").write_text("hello")
    with pytest.raises(SessionError, match="is not a session file"):
        Tracker.resume(tmp_path / "text.masklet", engine())
    path = started().save(tmp_path / "job.masklet")
    with pytest.raises(SessionError, match="does not say where its video"):
        Tracker.resume(path, engine())
