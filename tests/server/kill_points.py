"""Kills a server at every step of an operation, and looks at what the next one finds.

    python kill_points.py FOLDER OPERATION [--transactions]

For each step a child process opens a copy of the same data, begins the operation, and kills itself by SIGKILL there: a
step is a change of files below the data folder, or the moment before or after a transaction is committed
(`--transactions`: only these). Another child then starts on that data, looks at it, and sends the request again with
the same Idempotency-Key. Prints one line of JSON per step. The parent has no threads, so that forking is safe.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from sqlalchemy import Connection, Engine, event, select
from sqlalchemy.orm import Session

from masklet.api import Model
from masklet.server.app import create_app
from masklet.server.database import AssetRow, Base, Database, JobRow, MediumRow
from masklet.server.processes import LimitedProcesses
from masklet.server.settings import Settings
from masklet.tracking.mask_store import MaskStore
from tests.fake_engine import FakeEngine
from tests.server.conftest import HOST, OWN_PAGE, Page, png, run_here

KEY = {"idempotency-key": "once"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Steps:
    """Counts the steps of an operation, and kills the process at one of them.

    Args:
        data: the folder whose changes are steps.
        last: number of the step, from 1; 0 only counts.
    """

    def __init__(self, data: Path, last: int) -> None:
        self.data = str(data)
        self.last = last
        self.count = 0
        self.is_armed = False
        self._lock = threading.Lock()
        self._written = threading.local()

    def reach(self, name: str) -> None:
        with self._lock:
            if self.is_armed:
                self.count += 1
                if self.count == self.last:
                    os.write(1, json.dumps({"step": name}).encode() + b"\n")
                    os.kill(os.getpid(), signal.SIGKILL)

    def hear(self, name: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook: Python announces every change of files before it is made."""
        if not self.is_armed or not arguments or not str(arguments[0]).startswith(self.data):
            return
        is_write = name == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
        if is_write or name in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.move"):
            self.reach(f"{name} {Path(arguments[0]).relative_to(self.data)}")

    def watch(self) -> None:
        """Make steps of the system's changes of files and of all transactions."""
        if "--transactions" not in sys.argv:
            sys.addaudithook(self.hear)
        event.listen(Engine, "before_cursor_execute", self._note_write)
        event.listen(Engine, "commit", self._before_commit)
        Database.session = self._around(Database.session, self._has_written)  # type: ignore[method-assign]
        MaskStore.transaction = self._around(MaskStore.transaction, lambda: True, before=True)  # type: ignore[method-assign]

    def _note_write(self, connection: Connection, cursor: object, statement: str, *_: object) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            connection.info["wrote"] = True

    def _before_commit(self, connection: Connection) -> None:
        if connection.info.pop("wrote", False):
            self.reach("before a commit")
            self._written.count = getattr(self._written, "count", 0) + 1

    def _has_written(self) -> bool:
        count, self._written.count = getattr(self._written, "count", 0), 0
        return bool(count)

    def _around(self, real: Callable[..., Any], is_step: Callable[[], bool], *, before: bool = False) -> Any:
        @contextmanager
        def around(*arguments: Any) -> Iterator[Any]:
            with real(*arguments) as value:
                yield value
                if before:
                    self.reach(f"before the end of a {real.__name__}")
            if is_step():
                self.reach(f"after a {real.__name__}")

        return around


@contextmanager
def opened(data: Path) -> Iterator[Page]:
    app = create_app(Settings(data=data), Model(FakeEngine()))
    with Page(app, base_url=HOST, headers=OWN_PAGE, raise_server_exceptions=False) as page:
        yield page


def prepare(data: Path) -> dict[str, str]:
    """Make a project with a clip, an object and its masks."""
    with opened(data) as page:
        project = page.new_project()
        clip = page.new_clip(4, project)
        page.click(clip, page.new_object(clip, name="duck"))
        page.track(clip)
        job = page.post(f"/api/v1/media/{clip}/export", json={"format": "coco"}).json()["id"]
        page.events(job)
        (data.parent / "coco.json").write_bytes(page.get(f"/api/v1/jobs/{job}/result").content)
        page.get(f"/api/v1/media/{clip}/frames/0.jpg")
    return {"project": project, "clip": clip}


def request_of(operation: str, about: dict[str, str], folder: Path) -> tuple[str, str, dict[str, Any]]:
    project, medium = f"/api/v1/projects/{about['project']}", f"/api/v1/media/{about['clip']}"
    images = [("files", (f"{number}.png", png(number), "image/png")) for number in range(2)]
    coco = [("files", ("coco.json", (folder / "coco.json").read_bytes(), "application/json"))]
    render = {"container": "gif", "composition": {}}
    requests: dict[str, tuple[str, str, dict[str, Any]]] = {
        "project": ("POST", "/api/v1/projects", {"json": {"name": "new"}}),
        "upload": ("POST", f"{project}/media", {"files": images}),
        "sequence": ("POST", f"{project}/media?as=sequence", {"files": images}),
        "asset": ("POST", f"{project}/assets", {"files": images[:1]}),
        "import": ("POST", f"{medium}/import", {"files": coco}),
        "object": ("POST", f"{medium}/objects", {"json": {"name": "goose"}}),
        "prompt": ("PUT", f"{medium}/frames/2/objects/1/prompt", {"json": {"points": [[2, 2]], "labels": [1]}}),
        "mask": ("PUT", f"{medium}/frames/2/objects/1/mask", {"json": {"rle": {"size": [6, 8], "counts": "=24000a0"}}}),
        "accept": ("POST", f"{medium}/accept", {"json": {"start": 0, "stop": 4}}),
        "undo": ("POST", f"{medium}/undo", {}),
        "delete-object": ("DELETE", f"{medium}/objects/1", {}),
        "track": ("POST", f"{medium}/track", {"json": {"direction": "forward"}}),
        "export": ("POST", f"{medium}/export", {"json": {"format": "masks"}}),
        "render": ("POST", f"{medium}/render", {"json": render}),
        "delete": ("DELETE", medium, {}),
        "delete-project": ("DELETE", project, {}),
    }
    return requests[operation]


def operate(data: Path, operation: str, about: dict[str, str], step: int) -> None:
    """Send the request, and be killed at a step; otherwise print that there is no such step."""
    steps = Steps(data, step)
    steps.watch()
    with opened(data) as page:
        method, where, more = request_of(operation, about, data.parent)
        steps.is_armed = True
        answer = page.request(method, where, headers=KEY, **more)
        os.write(1, json.dumps({"status": answer.status_code}).encode() + b"\n")
        if answer.status_code == 202:
            events = page.events(answer.json()["id"])
            os.write(1, json.dumps({"end": events[-1][0]}).encode() + b"\n")
        steps.is_armed = False
    os.write(1, json.dumps({"count": steps.count}).encode() + b"\n")


def look(data: Path, operation: str, about: dict[str, str]) -> None:
    """Start on what the killed server left, look at it, send the request again, and look once more."""
    with opened(data) as page:
        before = state_of(page, data)
        method, where, more = request_of(operation, about, data.parent)
        answer = page.request(method, where, headers=KEY, **more)
        if answer.status_code == 202:
            page.events(answer.json()["id"])
        after = state_of(page, data)
    os.write(1, json.dumps({"before": before, "again": answer.status_code, "after": after}).encode() + b"\n")


def state_of(page: Page, data: Path) -> dict[str, Any]:
    """What there is, and what should not be there."""
    studio = page.app.state.studio  # type: ignore[attr-defined]
    with studio.database.session() as session:
        owners = {folder: ids_of(session, kind) for folder, kind in KINDS.items()}
    faults = [
        f"{folder}/{path.name} belongs to nothing"
        for folder, ids in owners.items()
        for path in (data / folder).glob("*")
        if path.name not in ids
    ]
    faults += [f"{path.relative_to(data)} is left" for path in data.rglob("*.part*")]
    faults += [f"{path.relative_to(data)} is left" for path in (data / "tmp").glob("*")]
    projects = page.get("/api/v1/projects").json()["projects"]
    objects, annotations = [], []
    for project in projects:
        for medium in page.get(f"/api/v1/projects/{project['id']}/media").json()["media"]:
            where = f"/api/v1/media/{medium['id']}"
            picture = page.get(f"{where}/frames/0.jpg")
            if picture.status_code != 200:
                faults.append(f"{where} has no picture: {picture.status_code}")
            objects += [row["name"] for row in page.get(f"{where}/objects").json()["objects"]]
            annotations.append([page.get(f"{where}/masks").json()["frames"], page.get(f"{where}/history").json()])
        for asset in page.get(f"/api/v1/projects/{project['id']}/assets").json()["assets"]:
            if page.get(f"/api/v1/assets/{asset['id']}").status_code != 200:
                faults.append("an asset has no file")
    for job in page.get("/api/v1/jobs").json()["jobs"]:
        is_there = page.get(f"/api/v1/jobs/{job['id']}/result").status_code == 200
        if is_there != (job["result"] is not None):
            faults.append(f"the result of {job['kind']}: {is_there}, and {job['state']}")
        if job["state"] not in ("done", "failed", "cancelled"):
            faults.append(f"a job is {job['state']}")
    counts = {name: len(ids) for name, ids in owners.items() if name in ("media", "assets")}
    jobs = [job["state"] for job in page.get("/api/v1/jobs").json()["jobs"]]
    return {
        "faults": faults,
        "objects": objects,
        "annotations": annotations,
        "projects": len(projects),
        "jobs": sorted(jobs),
        **counts,
    }


KINDS: dict[str, type[Base]] = {"media": MediumRow, "assets": AssetRow, "results": JobRow, "cache": MediumRow}


def ids_of(session: Session, kind: Any) -> set[str]:
    return set(session.scalars(select(kind.id)))


def in_a_child(work: Callable[..., None], *arguments: Any) -> tuple[list[dict[str, Any]], bool]:
    """Return what a child prints, and whether it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.dup2(writing, 1)
            work(*arguments)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as lines:
        printed = [json.loads(line) for line in lines]
    _, ended = os.waitpid(child, 0)
    if not os.WIFSIGNALED(ended) and os.WEXITSTATUS(ended):
        sys.exit("a child failed")
    return printed, os.WIFSIGNALED(ended)


def main() -> None:
    folder, operation = Path(sys.argv[1]).resolve(), sys.argv[2]
    LimitedProcesses.run = run_here  # type: ignore[method-assign]
    (about,), _ = in_a_child(lambda: os.write(1, json.dumps(prepare(folder / "data")).encode() + b"\n") and None)
    for number in range(1, 1000):
        data = folder / "killed"
        shutil.copytree(folder / "data", data)
        printed, was_killed = in_a_child(operate, data, operation, about, number)
        found, _ = in_a_child(look, data, operation, about)
        merged = {key: value for line in (*printed, *found) for key, value in line.items()}
        print(json.dumps({"number": number, "was_killed": was_killed, **merged}), flush=True)  # noqa: T201
        shutil.rmtree(data)
        if not was_killed:
            return


if __name__ == "__main__":
    main()
