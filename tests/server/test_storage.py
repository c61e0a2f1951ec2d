"""Errors of disks and databases have one answer everywhere, and what is deleted is gone."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from masklet import output
from masklet.cli import main
from masklet.errors import ConfigError, OutputError
from masklet.server import data_folder
from masklet.server.database import Database
from masklet.server.errors import as_api_error, without_paths
from masklet.server.settings import Limits
from masklet.server.studio import StudioState
from tests.fake_engine import FakeEngine
from tests.server.conftest import HeldEngine, Open, Page, png
from tests.waiting import wait_until


def state_of(page: Page) -> StudioState:
    return page.app.state.studio  # type: ignore[attr-defined, no-any-return]


def left_in(data: Path) -> set[str]:
    """Files of media, assets, results, pictures and requests, without their random names."""
    return {
        f"{folder}/{path.relative_to(data / folder).as_posix().partition('/')[2]}"
        for folder in ("media", "assets", "results", "cache", "tmp")
        for path in (data / folder).rglob("*")
        if path.is_file()
    }


FULL = [
    OSError(errno.ENOSPC, "No space left on device", "/srv/masklet/media/x"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    sqlite3.OperationalError("database or disk is full"),
    OperationalError("update", {}, sqlite3.OperationalError("database or disk is full")),
    output.full_disk("the disk is full"),
]
AWAY = [
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.EROFS, "Read-only file system"),
    sqlite3.OperationalError("database is locked"),
    sqlite3.OperationalError("attempt to write a readonly database"),
    sqlite3.OperationalError("unable to open database file"),
    sqlite3.DatabaseError("database disk image is malformed"),
    OperationalError("select", {}, Exception("connection refused")),
]


@pytest.mark.parametrize(("errors", "status", "code"), [(FULL, 507, "no_space"), (AWAY, 503, "storage")])
def test_one_answer_for_each_fault(errors: list[Exception], status: int, code: str) -> None:
    for error in errors:
        for raised in (error, wrapped(error)):
            answer = as_api_error(raised)
            assert (answer.status, answer.code) == (status, code), repr(raised)
            assert answer.retry_after_s
            assert "/srv" not in str(answer)


def wrapped(error: Exception) -> OutputError:
    try:
        raise OutputError(f"cannot write it: {error}") from error
    except OutputError as outer:
        return outer


@pytest.mark.parametrize(
    "error",
    [OutputError("it has no alpha"), sqlite3.IntegrityError("UNIQUE"), sqlite3.OperationalError("no such table")],
)
def test_other_errors_are_not_the_storages(error: Exception) -> None:
    assert as_api_error(error).status in (422, 500)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/my data/media/x/source.mp4: truncated", "source.mp4: truncated"),
        ("cannot read '/opt/lib/a.py'", "cannot read 'a.py'"),
        ("file:/srv/a/b.mp4 broke", "b.mp4 broke"),
        (r"C:\data\media\x.png is damaged", "x.png is damaged"),
        ("clip/1.png and http://host/a/b and 1/2", "clip/1.png and http://host/a/b and 1/2"),
    ],
)
def test_paths_of_the_server_are_left_out(text: str, expected: str) -> None:
    assert without_paths(text, Path("/srv/my data")) == expected


# A full disk and a database that is away, on every route.


class Broken:
    """Switches that break the server's storage."""

    def __init__(self, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
        self.studio = state_of(page)
        self.patch = monkeypatch

    def fill_disk(self) -> None:
        """Let every new file and every transaction fail as on a full disk."""
        full = OSError(errno.ENOSPC, "No space left on device")
        real = Path.open

        def open_(self: Path, mode: str = "r", *options: Any, **more: Any) -> Any:
            if set(mode) & set("wxa+"):
                raise full
            return real(self, mode, *options, **more)

        def fail(*_: object, **__: object) -> None:
            raise full

        self.patch.setattr(Path, "open", open_)
        self.patch.setattr(data_folder.tempfile, "mkdtemp", fail)
        self.fail_database(sqlite3.OperationalError("database or disk is full"))

    def fail_database(self, error: Exception) -> None:
        def broken() -> Any:
            raise OperationalError("commit", {}, error)

        self.patch.setattr(self.studio.database, "_session", broken)

    def mend(self) -> None:
        self.patch.undo()


@pytest.fixture
def broken(page: Page, monkeypatch: pytest.MonkeyPatch) -> Broken:
    return Broken(page, monkeypatch)


def requests_of(clip: str, project: str, job: str) -> list[tuple[str, str, Any]]:
    medium = f"/api/v1/media/{clip}"
    return [
        ("GET", "/api/v1/projects", None),
        ("POST", "/api/v1/projects", {"name": "new"}),
        ("PATCH", f"/api/v1/projects/{project}", {"name": "new"}),
        ("DELETE", f"/api/v1/projects/{project}", None),
        ("POST", f"/api/v1/projects/{project}/media", "files"),
        ("POST", f"/api/v1/projects/{project}/assets", "files"),
        ("POST", f"/api/v1/projects/{project}/export", {"format": "coco"}),
        ("GET", medium, None),
        ("DELETE", medium, None),
        ("POST", f"{medium}/objects", {}),
        ("POST", f"{medium}/import", "files"),
        ("POST", f"{medium}/track", {}),
        ("POST", f"{medium}/proposals", {"frame_index": 0}),
        ("POST", f"{medium}/export", {"format": "coco"}),
        ("POST", f"{medium}/render", {"container": "mp4", "composition": {}}),
        ("POST", f"{medium}/undo", None),
        ("GET", f"{medium}/frames/3.jpg", None),
        ("GET", f"{medium}/timeline", None),
        ("GET", "/api/v1/jobs", None),
        ("GET", f"/api/v1/jobs/{job}", None),
        ("GET", f"/api/v1/jobs/{job}/events", None),
        ("GET", f"/api/v1/jobs/{job}/result", None),
    ]


@pytest.mark.parametrize(("fault", "status"), [("full", 507), ("locked", 503)])
def test_every_route_says_what_is_wrong_and_nothing_is_lost(
    page: Page, broken: Broken, tmp_path: Path, fault: str, status: int
) -> None:
    project = page.new_project()
    clip = page.new_clip(3, project)
    page.click(clip, page.new_object(clip))
    job = page.post(f"/api/v1/media/{clip}/export", json={"format": "coco"}).json()["id"]
    page.events(job)
    before = left_in(tmp_path / "data")
    if fault == "full":
        broken.fill_disk()
    else:
        broken.fail_database(sqlite3.OperationalError("database is locked"))
    for method, where, body in requests_of(clip, project, job):
        more = {"files": [("files", ("a.png", png(1), "image/png"))]} if body == "files" else {"json": body}
        answer = page.request(method, where, **more)
        assert answer.status_code == status, (where, answer.text)
        assert answer.headers["retry-after"]
        assert str(tmp_path) not in answer.text
    assert page.get("/readyz").status_code == 503
    assert page.get("/healthz").status_code == 200
    broken.mend()
    assert left_in(tmp_path / "data") == before
    assert len(page.get(f"/api/v1/media/{clip}/objects").json()["objects"]) == 1
    assert page.get(f"/api/v1/jobs/{job}/result").status_code == 200


def test_a_cache_that_cannot_be_written_is_no_error(
    page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clip = page.new_clip(3)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    for _ in range(2):
        assert page.get(f"/api/v1/media/{clip}/frames/0.jpg").status_code == 200
        assert page.get(f"/api/v1/media/{clip}/strip.jpg").status_code == 200
    assert caplog.text.count("are not cached") == 1


def test_a_change_that_the_lists_do_not_show_yet_is_kept(page: Page, broken: Broken) -> None:
    clip = page.new_clip(3)
    studio = state_of(page)
    real = studio.note_change

    def note(*arguments: Any) -> int:
        broken.fail_database(sqlite3.OperationalError("database is locked"))
        try:
            return real(*arguments)
        finally:
            broken.mend()

    broken.patch.setattr(studio, "note_change", note)
    assert page.post(f"/api/v1/media/{clip}/objects", json={}).status_code == 201
    project = page.get("/api/v1/projects").json()["projects"][0]["id"]
    where = f"/api/v1/projects/{project}/media"
    assert page.get(where).json()["media"][0]["num_objects"] == 0
    studio._tidy()
    assert page.get(where).json()["media"][0]["num_objects"] == 1


def test_results_of_jobs_on_a_full_disk_are_explained(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = page.new_clip(3)
    page.click(clip, page.new_object(clip))
    monkeypatch.setattr(output, "free_bytes", lambda folder: 1000)
    job = page.post(f"/api/v1/media/{clip}/render", json={"container": "mp4", "composition": {}}).json()["id"]
    name, end = page.events(job)[-1]
    assert name == "failed"
    assert "no space left" in end["message"]


# Readiness.


def test_readiness_is_true(open_studio: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = open_studio(limits=Limits(spare_bytes=1))
    monkeypatch.setattr("masklet.server.readiness.FRESH_SECONDS", 0)
    assert page.get("/readyz").json() == {"status": "ok", "faults": []}
    studio = state_of(page)

    def faults() -> str:
        answer = page.get("/readyz")
        assert answer.status_code == (503 if answer.json()["faults"] else 200)
        assert str(tmp_path) not in answer.text
        return " ".join(answer.json()["faults"])

    with closing(sqlite3.connect(tmp_path / "data" / "studio.db")) as other, monkeypatch.context() as patch:
        patch.setattr("masklet.server.readiness.CHECK_SECONDS", 0.01)
        other.execute("BEGIN IMMEDIATE")
        assert "does not answer" in faults()  # SQLite waits for the other
    wait_until(lambda: not faults())
    with monkeypatch.context() as patch:
        patch.setattr(data_folder, "free_bytes", lambda folder: 0)
        assert "0 MB left" in faults()
    with monkeypatch.context() as patch:
        patch.setattr(data_folder.tempfile, "mkdtemp", lambda dir: (_ for _ in ()).throw(OSError(errno.EROFS, "")))
        assert "the data folder cannot be written" in faults()
    studio.engine.is_failing = True
    assert "the model does not run" in faults()
    studio.engine.is_failing = False
    monkeypatch.setattr(studio.jobs, "_threads", [threading.Thread()])
    assert "a thread" in faults()
    monkeypatch.undo()
    studio.stop()
    assert "stopping" in faults()


def test_an_engine_that_fails_is_noticed(open_studio: Open) -> None:
    class Failing(FakeEngine):
        is_broken = False

        def encode_image(self, *arguments: Any, **options: Any) -> Any:
            if self.is_broken:
                raise RuntimeError("CUDA error")
            return super().encode_image(*arguments, **options)

    engine = Failing()
    page = open_studio(engine=engine)
    clip = page.new_clip(3)
    duck = page.new_object(clip)
    engine.is_broken = True
    page.put(f"/api/v1/media/{clip}/frames/0/objects/{duck}/prompt", json={"points": [[1, 1]], "labels": [1]})
    assert state_of(page).engine.is_failing
    engine.is_broken = False
    page.click(clip, duck)
    assert not state_of(page).engine.is_failing


# Start.


def test_a_second_server_is_told_of_the_first(page: Page, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    clip = page.new_clip(3)
    before = left_in(tmp_path / "data")
    arguments = ["serve", "--data", str(tmp_path / "data"), "--port", "0", "--no-browser"]
    assert main(arguments) == 2
    assert f"in use by process {os.getpid()} on " in capfd.readouterr().err.replace("\n", " ")
    assert left_in(tmp_path / "data") == before
    assert page.get(f"/api/v1/media/{clip}").status_code == 200


@pytest.mark.parametrize("kind", ["a file", "damaged", "a folder"])
def test_a_start_that_fails_says_why_in_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str) -> None:
    data = tmp_path / "data"
    if kind == "a file":
        data.write_text("")
    elif kind == "damaged":
        data.mkdir()
        (data / "studio.db").write_bytes(b"no database " * 1000)
    else:
        (data / "studio.db").mkdir(parents=True)
    assert main(["serve", "--data", str(data), "--port", "0", "--no-browser"]) == 2
    error = capfd.readouterr().err
    assert "error: cannot" in error
    assert "Traceback" not in error
    assert "sqlalche.me" not in error
    if data.is_dir():
        output.PathLock(data).release()  # the failed start holds nothing


@pytest.mark.parametrize("url", ["sqlite://user:secret@/nowhere/at/all.db", "nosuch://user:secret@host/name"])
def test_a_password_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        Database(url)
    assert "user:***@" in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


# Deletion.


@contextmanager
def tracking(page: Page, engine: HeldEngine, clip: str) -> Iterator[str]:
    """A job that tracks, and is held at a frame."""
    page.click(clip, page.new_object(clip))
    job = page.post(f"/api/v1/media/{clip}/track", json={}).json()["id"]
    wait_until(engine.is_waiting.is_set)
    try:
        yield job
    finally:
        engine.go_on.set()


@pytest.mark.parametrize("what", ["media", "projects"])
def test_what_is_deleted_is_gone(open_studio: Open, tmp_path: Path, what: str) -> None:
    engine = HeldEngine(6)
    page = open_studio(engine=engine)
    project = page.new_project()
    clip = page.new_clip(12, project)
    page.post(f"/api/v1/projects/{project}/assets", files=[("files", ("a.png", png(1), "image/png"))])
    page.click(clip, page.new_object(clip))
    jobs = [
        page.post(f"/api/v1/media/{clip}/export", json={"format": "coco"}).json()["id"],
        page.post(f"/api/v1/projects/{project}/export", json={"format": "coco"}).json()["id"],
        page.post(f"/api/v1/media/{clip}/render", json={"container": "mp4", "composition": {}}).json()["id"],
    ]
    for job in jobs:
        assert page.events(job)[-1][0] == "done"
        assert page.get(f"/api/v1/jobs/{job}/result").status_code == 200
    page.get(f"/api/v1/media/{clip}/frames/0.jpg")
    with tracking(page, engine, clip) as running:
        threading.Timer(0.1, engine.go_on.set).start()
        where = f"/api/v1/{what}/{clip if what == 'media' else project}"
        assert page.delete(where).status_code == 204
    for job in (*jobs, running):
        for suffix in ("", "/events", "/result"):
            assert page.get(f"/api/v1/jobs/{job}{suffix}").status_code == 404
    assert page.get("/api/v1/jobs").json()["jobs"] == []
    for suffix in ("", "/frames/0.jpg", "/timeline", "/objects"):
        assert page.get(f"/api/v1/media/{clip}{suffix}").status_code == 404
    assert left_in(tmp_path / "data") == ({"assets/source.png"} if what == "media" else set())
    assert page.delete(where).status_code == 404
    page = open_studio()
    assert page.get("/api/v1/jobs").json()["jobs"] == []


def test_requests_that_began_before_a_deletion_find_nothing(page: Page) -> None:
    studio = state_of(page)
    clip = page.new_clip(3)
    user = studio.database.user_named("local")
    medium = studio.medium(user, clip)
    reader = studio.reader(medium)
    assert page.delete(f"/api/v1/media/{clip}").status_code == 204
    for late in (lambda: studio.workspace(medium).__enter__(), lambda: studio.reader(medium), lambda: reader.frame(1)):
        with pytest.raises(Exception, match="there is no such image or video") as error:
            late()
        assert studio.explain(error.value).status == 404
    studio.pictures.keep(clip, "1.jpg", b"late")
    assert not (studio.data.cache / clip).exists()


@pytest.mark.parametrize("what", ["media", "assets"])
def test_an_upload_into_a_project_that_is_deleted_meanwhile_leaves_nothing(
    page: Page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    project = page.new_project()
    real = shutil.move

    def move(*arguments: Any) -> Any:
        assert page.delete(f"/api/v1/projects/{project}").status_code == 204
        return real(*arguments)

    monkeypatch.setattr("masklet.server.uploads.add.shutil.move", move)
    files = [("files", ("a.png", png(1), "image/png"))]
    assert page.post(f"/api/v1/projects/{project}/{what}", files=files).status_code == 404
    assert left_in(tmp_path / "data") == set()


def test_a_failed_deletion_changes_nothing(page: Page, broken: Broken) -> None:
    clip = page.new_clip(3)
    studio = state_of(page)
    real: Callable[..., Any] = studio._delete_rows

    def fail(*arguments: Any) -> Any:
        real(*arguments)
        raise OSError(errno.ENOSPC, "No space left on device")

    broken.patch.setattr(studio, "_delete_rows", fail)
    assert page.delete(f"/api/v1/media/{clip}").status_code == 507
    broken.mend()
    assert page.get(f"/api/v1/media/{clip}/frames/2.jpg").status_code == 200
    page.click(clip, page.new_object(clip))
    assert page.delete(f"/api/v1/media/{clip}").status_code == 204


def test_jobs_of_a_revoked_user_are_cancelled(open_studio: Open) -> None:
    engine = HeldEngine(6)
    page = open_studio(engine=engine, needs_login=True)
    studio = state_of(page)
    token = "a token of twenty letters"
    studio.accounts.set_token("anna", token)
    page.headers["authorization"] = f"Bearer {token}"
    clip = page.new_clip(12)
    with tracking(page, engine, clip) as job:
        studio.accounts.revoke("anna")
        studio._tidy()
        running = studio.jobs.find(job)
        assert running is not None
        assert running.cancelled.is_set()
    wait_until(lambda: running.has_ended)


# Requests that are sent again.


def test_requests_with_a_key_are_done_once(page: Page) -> None:
    project = page.new_project()
    clip = page.new_clip(3, project)
    page.click(clip, page.new_object(clip))
    coco = page.post(f"/api/v1/media/{clip}/export", json={"format": "coco"}).json()["id"]
    page.events(coco)
    masks = page.get(f"/api/v1/jobs/{coco}/result").content
    image = {"files": [("files", ("a.png", png(1), "image/png"))]}
    for where, body in (
        ("/api/v1/projects", {"json": {"name": "new"}}),
        (f"/api/v1/projects/{project}/media", image),
        (f"/api/v1/projects/{project}/assets", image),
        (f"/api/v1/media/{clip}/import", {"files": [("files", ("coco.json", masks, "application/json"))]}),
        (f"/api/v1/media/{clip}/track", {"json": {}}),
        (f"/api/v1/media/{clip}/proposals", {"json": {"frame_index": 0}}),
        (f"/api/v1/media/{clip}/export", {"json": {"format": "coco"}}),
        (f"/api/v1/projects/{project}/export", {"json": {"format": "coco"}}),
        (f"/api/v1/media/{clip}/render", {"json": {"container": "mp4", "composition": {}}}),
    ):
        first, second = (page.post(where, headers={"idempotency-key": "again"}, **body) for _ in range(2))  # type: ignore[arg-type]
        assert first.status_code < 300, (where, first.text)
        assert second.status_code == first.status_code
        ids = [answer.json().get("id") or answer.text for answer in (first, second)]
        assert ids[0] == ids[1], where
        if first.status_code == 202:
            page.events(ids[0])
    assert len(page.get("/api/v1/projects").json()["projects"]) == 2
    assert len(page.get(f"/api/v1/projects/{project}/media").json()["media"]) == 2
    assert len(page.get(f"/api/v1/projects/{project}/assets").json()["assets"]) == 1
