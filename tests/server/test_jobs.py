"""Background work of a server, which continues when something fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from masklet.errors import OutputError
from masklet.server import studio
from masklet.server.database import Database, ProjectRow
from masklet.server.errors import as_api_error
from masklet.server.jobs import WORKERS, Job, Jobs
from masklet.server.settings import Limits
from tests.server.conftest import Open
from tests.waiting import PATIENCE_S, wait_until


def test_a_full_disk_ends_jobs_and_not_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'studio.db'}")
    user = database.user_named("anna")
    with database.session() as session:
        project = ProjectRow(user_id=user.id, name="Birds")
        session.add(project)
    jobs, go_on = Jobs(database, Limits(), as_api_error), threading.Event()

    @contextmanager
    def full_disk() -> Iterator[Session]:
        raise OutputError("database or disk is full")
        yield

    def submit() -> Job:
        job = Job("export", user.id, project.id, None, lambda job: bool(go_on.wait(PATIENCE_S)) or None)
        assert jobs.submit(job) is job
        return job

    first = [submit() for _ in range(WORKERS)]
    wait_until(lambda: all(job.state == "running" for job in first))
    with monkeypatch.context() as patch:
        patch.setattr(database, "session", full_disk)
        go_on.set()
        wait_until(lambda: jobs.num_ended.get(("export", "done")) == WORKERS)
        wait_until(lambda: caplog.text.count("is not stored yet") >= WORKERS)
    jobs.store_states()
    for job in first:
        record = jobs.record(job.id)
        assert record is not None
        assert record.state == "done"
    later = submit()
    wait_until(lambda: later.has_ended)
    jobs.close()
    record = jobs.record(later.id)
    assert record is not None
    assert record.state == "done"
    database.close()


def test_failures_to_close_are_logged_and_tried_again(
    open_studio: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def fail(self: object) -> int:
        tried.append(1)
        raise OSError("no space left")

    monkeypatch.setattr(studio, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr("masklet.server.annotation.open_media.Workspaces.close_idle", fail)
    open_studio()
    wait_until(lambda: len(tried) > 2)
    assert "no space left" in caplog.text
