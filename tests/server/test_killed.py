"""A server is killed while it tracks, and only the current frame is lost. Uses the Python client."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from masklet.media.images import write_image
from masklet.server.client import Studio, StudioError
from tests.fake_engine import picture
from tests.waiting import PATIENCE_S

FRAMES = 60
HELD_AT = 30
"""Frame that the first server never finishes, so that it is killed in the middle however busy the machine is."""


@contextmanager
def server(data: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], Studio]]:
    command = [sys.executable, str(Path(__file__).with_name("held_server.py")), str(data), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the server did not start"
        yield process, Studio(address)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_killed_while_it_tracks(tmp_path: Path) -> None:
    data, shots = tmp_path / "data", tmp_path / "shots"
    paths = [write_image(shots / f"{index}.png", picture(index)) for index in range(FRAMES)]
    seen: list[int] = []
    with server(data, str(HELD_AT)) as (process, studio):
        project = studio.create_project("Ducks")
        clip = studio.upload(project, *paths, as_sequence=True)[0]
        duck = clip.create_object("duck", class_name="bird")
        clip.prompt(duck, 0, points_xy=[(1, 1)])
        for frame in clip.track():
            seen.append(frame["frame_index"])
            if len(seen) == 10:
                process.send_signal(signal.SIGKILL)
                break
    with server(data) as (process, studio):
        (again,) = studio.media(project)
        assert [one["name"] for one in again.objects()] == ["duck"]
        kept = again.masks()
        assert set(seen) <= set(kept), "a frame whose masks had been shown is lost"
        assert sorted(kept) == list(range(len(kept)))
        assert len(kept) <= HELD_AT
        (job,) = studio.call("GET", "/jobs")["jobs"]
        assert job["state"] == "failed"
        assert "was stopped" in job["message"]
        rest = [frame["frame_index"] for frame in again.track(start=len(kept))]
        assert rest[-1] == FRAMES - 1
        assert len(again.masks()) == FRAMES
        assert (again.undo(), again.undo()) == ("Track forward", "Track forward")
        assert sorted(again.masks()) == [0]
        with pytest.raises(StudioError, match="there is no object 7") as refusal:
            again.prompt(7, points_xy=[(1, 1)])
        assert (refusal.value.status, refusal.value.code) == (404, "not_found")
        path = again.export("coco", tmp_path / "out.json")
        assert '"duck"' in path.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) in (0, -signal.SIGTERM)


def test_an_unreachable_server_is_reported_in_a_sentence() -> None:
    with pytest.raises(StudioError, match="start one with masklet serve"):
        Studio("http://127.0.0.1:9").me()
