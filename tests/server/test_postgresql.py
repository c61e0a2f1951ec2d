"""A server with PostgreSQL, which stops and starts again. Needs PostgreSQL of the system, which `.ci/run` installs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from masklet.errors import OutputError
from tests.server.conftest import Open, png
from tests.waiting import wait_until

BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


class PostgreSQL:
    """A database in a folder, reached through a socket in it.

    Args:
        folder: empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._prefix: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, "postgres")
            self._prefix = ["runuser", "-u", "postgres", "--"]
        self._run("initdb", "--auth=trust", "--username=masklet", "--no-sync", "--pgdata", str(folder / "db"))

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://masklet@/postgres?host={self.folder}"

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "start", "--wait", "-D", str(self.folder / "db"), "-o", options, "-l", "/dev/null")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--mode=immediate", "-D", str(self.folder / "db"))

    def _run(self, program: str, *arguments: str) -> None:
        assert BIN is not None
        command = [*self._prefix, str(BIN / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    pytest.importorskip("psycopg", reason="the driver is not installed")
    if BIN is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    folder = tmp_path_factory.mktemp("pg")
    if os.geteuid() == 0:
        for parent in (folder, *list(folder.parents)[:2]):
            parent.chmod(0o755)
    database = PostgreSQL(folder)
    database.start()
    yield database
    database.stop()


def test_a_database_that_stops_and_starts_again(
    open_studio: Open, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masklet.server.readiness.FRESH_SECONDS", 0)
    page = open_studio(database=postgresql.url)
    assert page.get("/readyz").json()["faults"] == []
    project = page.new_project()
    clip = page.new_clip(3, project)
    page.click(clip, page.new_object(clip))
    postgresql.stop()
    for method, where, body in (
        ("GET", "/api/v1/projects", None),
        ("POST", "/api/v1/projects", {"name": "new"}),
        ("GET", f"/api/v1/media/{clip}/frames/1.jpg", None),
        ("POST", f"/api/v1/media/{clip}/objects", {}),
        ("DELETE", f"/api/v1/projects/{project}", None),
        ("POST", f"/api/v1/media/{clip}/track", {}),
    ):
        answer = page.request(method, where, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage"), answer.text
        assert answer.headers["retry-after"]
    assert page.get("/readyz").json()["faults"] == ["the database cannot be written"]
    postgresql.start()
    wait_until(lambda: page.get("/readyz").status_code == 200, "the database")
    assert len(page.get(f"/api/v1/media/{clip}/objects").json()["objects"]) == 1
    assert page.get(f"/api/v1/projects/{project}/media?search=%00").status_code == 422
    key = {"idempotency-key": "once"}
    files = [("files", ("a.png", png(1), "image/png"))]
    reports = [page.post(f"/api/v1/projects/{project}/media", files=files, headers=key).json() for _ in range(2)]
    assert reports[0] == reports[1]
    assert page.delete(f"/api/v1/projects/{project}").status_code == 204
    assert page.get("/api/v1/projects").json()["projects"] == []


def test_a_start_without_the_database_says_so(open_studio: Open, postgresql: PostgreSQL) -> None:
    postgresql.stop()
    with pytest.raises(OutputError, match="cannot open the database postgresql"):
        open_studio(database=postgresql.url)
    postgresql.start()
    assert open_studio(database=postgresql.url).get("/readyz").status_code == 200
