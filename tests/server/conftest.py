"""A server in this process, with an engine that answers immediately."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from masklet.api import Model
from masklet.records import ByteArray, ImageFeatures
from masklet.server.app import create_app
from masklet.server.processes import Answers, LimitedProcesses
from masklet.server.settings import Limits, Settings
from tests.fake_engine import FakeEngine, picture
from tests.waiting import PATIENCE_S

HOST = "http://127.0.0.1:8100"
LIVE = "ws://127.0.0.1:8100/api/v1/live"
OWN_PAGE = {"X-Masklet": "1"}


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    """Servers that ran in this process before have set the level of the log."""
    caplog.set_level(logging.INFO, logger="masklet.server")


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(number)).save(buffer, "PNG")
    return buffer.getvalue()


class HeldEngine(FakeEngine):
    """Waits for an event before it encodes one of the frames.

    Args:
        held_at: number of the picture, below 256.
    """

    def __init__(self, held_at: int) -> None:
        super().__init__()
        self.held_at = held_at
        self.is_waiting = threading.Event()
        self.go_on = threading.Event()

    def encode_image(self, rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[int]:
        if int(rgb[0, 0, 0]) == self.held_at and not self.go_on.is_set():
            self.is_waiting.set()
            assert self.go_on.wait(PATIENCE_S)
        return super().encode_image(rgb, in_video=in_video)


def run_here(
    processes: LimitedProcesses, task: str, document: Mapping[str, Any], *, folder: Path, seconds: float
) -> Answers:
    """Run a task without a limited process, which takes a second to start and has its own tests."""
    module, _, name = task.partition(":")
    asked = json.loads(json.dumps(document))
    return Answers([json.loads(json.dumps(answer)) for answer in getattr(import_module(module), name)(asked)])


RUN_LIMITED = LimitedProcesses.run


@pytest.fixture(autouse=True)
def limited_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LimitedProcesses, "run", run_here)


@pytest.fixture
def limited_processes(limited_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run tasks in limited processes all the same."""
    monkeypatch.setattr(LimitedProcesses, "run", RUN_LIMITED)


class Page(TestClient):
    """Sends the page's requests, and has helpers for many tests."""

    def new_project(self, name: str = "Birds") -> str:
        return str(self.post("/api/v1/projects", json={"name": name}).json()["id"])

    def new_clip(self, frames: int = 12, project: str | None = None) -> str:
        """A video of `frames` frames: pictures of the fake engine, 8 x 6 pixels."""
        files = [("files", (f"clip/{index}.png", png(index), "image/png")) for index in range(frames)]
        where = f"/api/v1/projects/{project or self.new_project()}/media?as=sequence"
        answer = self.post(where, files=files)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["media"][0]["id"])

    def new_object(self, media_id: str, **about: Any) -> int:
        return int(self.post(f"/api/v1/media/{media_id}/objects", json=about).json()["id"])

    def click(self, media_id: str, object_id: int, frame: int = 0, **prompt: Any) -> dict[str, Any]:
        body = {"points": [[1, 1]], "labels": [1]} | prompt
        answer = self.put(f"/api/v1/media/{media_id}/frames/{frame}/objects/{object_id}/prompt", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def track(self, media_id: str, **body: Any) -> list[tuple[str, dict[str, Any]]]:
        """Track, and hear it to its end."""
        job = self.post(f"/api/v1/media/{media_id}/track", json=body)
        assert job.status_code == 202, job.text
        return self.events(job.json()["id"])

    def events(self, job_id: str) -> list[tuple[str, dict[str, Any]]]:
        found, name = [], ""
        for line in self.get(f"/api/v1/jobs/{job_id}/events").text.splitlines():
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                found.append((name, json.loads(line[6:])))
        return found

    def timeline(self, media_id: str) -> dict[str, Any]:
        return dict(self.get(f"/api/v1/media/{media_id}/timeline").json())


Open = Callable[..., Page]


@pytest.fixture
def open_studio(tmp_path: Path) -> Iterator[Open]:
    """Opens servers on one data folder, one after the other: closing one and opening the next is a restart."""
    opened: list[Page] = []

    def open_(*, limits: Limits | None = None, engine: FakeEngine | None = None, **settings: Any) -> Page:
        for page in opened:
            page.__exit__(None, None, None)
        opened.clear()
        model = Model(engine or FakeEngine())
        app = create_app(Settings(data=tmp_path / "data", limits=limits or Limits(), **settings), model)
        page = Page(app, base_url=HOST, headers=OWN_PAGE, raise_server_exceptions=False)
        page.__enter__()
        opened.append(page)
        return page

    yield open_
    for page in opened:
        page.__exit__(None, None, None)


@pytest.fixture
def page(open_studio: Open) -> Page:
    return open_studio()
