"""Sessions and studio folders of earlier versions open; those of later versions say which one wrote them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import masklet
from masklet.api import Model
from masklet.errors import SessionError, TrackingError
from masklet.memory.policies import OfficialConfig
from masklet.server.annotation.history import FORMAT
from masklet.server.app import create_app
from masklet.server.settings import Settings
from masklet.tracking.mask_rows import COLUMNS
from masklet.tracking.session import VERSION
from tests.fake_engine import FakeEngine, pictures
from tests.server.conftest import HOST, OWN_PAGE, Page

WRITTEN = Path(__file__).parent / "fixtures" / "written_at_fa23a8e"
NUM_FRAMES = 24


def engine() -> FakeEngine:
    """The engine that wrote the files: the objects are there on frames 0 to 5."""
    return FakeEngine(lambda number: 6.0 if number < 6 else -4.0)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    shutil.unpack_archive(WRITTEN / "studio.zip", tmp_path)
    app = create_app(Settings(data=tmp_path / "studio"), Model(engine()))
    with Page(app, base_url=HOST, headers=OWN_PAGE) as opened:
        yield opened


def media(page: Page) -> dict[str, str]:
    """Ids of the media, by kind."""
    projects = page.get("/api/v1/projects").json()["projects"]
    listed = [page.get(f"/api/v1/projects/{project['id']}/media").json()["media"] for project in projects]
    return {medium["kind"]: medium["id"] for in_project in listed for medium in in_project}


def test_a_session_resumes_with_its_masks_prompts_and_marks() -> None:
    tracker = masklet.resume(WRITTEN / "session.masklet", model=Model(engine()), video=pictures(NUM_FRAMES))
    assert tracker.object_ids == (1, 2)
    assert tracker.names == {2: "pump"}
    assert tracker.notes == {"author": "fa23a8e"}
    assert {index: sorted(by_object) for index, by_object in tracker.prompts.items()} == {0: [1], 2: [2], 5: [1]}
    accepted = tracker.masks_at(3)
    assert accepted is not None
    assert accepted.masks[:, :, :4].all()
    assert accepted.statuses == ("present", "present")
    lost = tracker.masks_at(22)
    assert lost is not None
    assert (lost.object_ids, lost.statuses) == ((2,), ("lost",))  # what the last prompt outdated is not shown
    with pytest.raises(TrackingError, match="has been accepted on frame 3"):
        tracker.prompt(1, 3, points_xy=[(1, 1)])


def test_a_resumed_session_continues() -> None:
    tracker = masklet.resume(WRITTEN / "session.masklet", model=Model(engine()), video=pictures(NUM_FRAMES))
    assert [masks.frame_index for masks in tracker.retrack()] == list(range(5, 23))
    assert tracker.tracked_frames == (0, 22)
    assert [masks.frame_index for masks in tracker.run(start=23)] == [23]


@pytest.mark.parametrize("policy", ["motion", "distractor_motion", "tree", "distractor", "official"])
def test_sessions_of_all_policies_continue(policy: str) -> None:
    path = WRITTEN / f"session_{policy}.masklet"
    tracker = masklet.resume(path, model=Model(engine()), video=pictures(NUM_FRAMES))
    assert tracker.memory.policy == policy.replace("_", "+")
    assert tracker.memory.settings_of("official") == OfficialConfig(stride=2 if policy == "official" else 1)
    assert [masks.frame_index for masks in tracker.retrack()] == list(range(5, 23))
    assert [masks.frame_index for masks in tracker.run(start=23)] == [23]


def test_a_session_of_a_newer_version_names_the_version(tmp_path: Path) -> None:
    path = tmp_path / "newer.masklet"
    with zipfile.ZipFile(WRITTEN / "session.masklet") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "session.json":
                content = json.dumps(json.loads(content) | {"version": VERSION + 1, "masklet": "9.8.7"}).encode()
            new.writestr(name, content)
    with pytest.raises(SessionError, match=rf"version {VERSION + 1}.*reads version {VERSION}: use masklet 9\.8\.7"):
        masklet.resume(path, model=Model(engine()), video=pictures(NUM_FRAMES))


def test_a_studio_shows_its_projects(page: Page) -> None:
    clip = media(page)["video"]
    timeline = page.timeline(clip)
    assert timeline["accepted"] == [[3, 5]]
    assert [one["status"] for one in timeline["objects"]] == [
        "p" * 6 + "o" * 15 + "lll",
        "..pppp" + "o" * 15 + "lll",
        "." * 24,
    ]
    assert [one["stale"] for one in timeline["objects"]] == [[[6, 24]], [], []]
    frame = page.get(f"/api/v1/media/{clip}/masks?start=3&stop=4").json()["frames"][0]
    assert [mask["object_id"] for mask in frame["objects"]] == [1, 2]
    assert {mask["accepted"] for mask in frame["objects"]} == {True}


def test_a_studio_undoes_and_redoes_what_was_done_before(page: Page) -> None:
    clip = media(page)["video"]
    before = page.timeline(clip)
    assert page.post(f"/api/v1/media/{clip}/redo").json()["what"] is not None
    assert len(page.timeline(clip)["objects"]) == 2
    for _ in range(3):  # the deletion, the creation, the correction on frame 5
        assert page.post(f"/api/v1/media/{clip}/undo").json()["what"] is not None
    assert page.timeline(clip)["objects"][0]["stale"] == []
    for _ in range(2):
        page.post(f"/api/v1/media/{clip}/redo")
    after = page.timeline(clip)
    assert (after["objects"], after["accepted"]) == (before["objects"], before["accepted"])


def test_a_studio_continues_tracking(page: Page) -> None:
    clip = media(page)["video"]
    assert page.track(clip, only_changed=True)[-1][0] == "done"
    assert [one["stale"] for one in page.timeline(clip)["objects"]] == [[], [], []]
    assert page.post(f"/api/v1/media/{clip}/undo").json()["what"] is not None
    assert page.timeline(clip)["objects"][0]["stale"] == [[6, 24]]


def test_a_photo_still_has_its_mask(page: Page) -> None:
    photo = media(page)["image"]
    (frame,) = page.get(f"/api/v1/media/{photo}/masks?start=0&stop=1").json()["frames"]
    assert [(mask["object_id"], mask["area"]) for mask in frame["objects"]] == [(1, 24)]


def test_an_old_annotation_file_gets_the_new_columns(page: Page, tmp_path: Path) -> None:
    clip = media(page)["video"]
    page.timeline(clip)
    with closing(sqlite3.connect(tmp_path / "studio" / "media" / clip / "annotations.db")) as database:
        for table in ("masks", "masks_before"):
            present = {name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")}
            assert present >= set(COLUMNS)


def test_an_annotation_file_of_a_later_format_names_the_version(page: Page, tmp_path: Path) -> None:
    clip = media(page)["video"]
    with closing(sqlite3.connect(tmp_path / "studio" / "media" / clip / "annotations.db")) as database, database:
        database.execute("CREATE TABLE written_by (id INTEGER PRIMARY KEY, format, masklet)")
        database.execute("INSERT INTO written_by VALUES (0, ?, '9.8.7')", (FORMAT + 1,))
    answer = page.get(f"/api/v1/media/{clip}/timeline")
    assert answer.status_code == 422
    assert f"written by masklet 9.8.7 in format {FORMAT + 1}" in answer.text
    assert f"reads formats up to {FORMAT}: use masklet 9.8.7" in answer.text
