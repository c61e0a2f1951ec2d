"""Limited processes: bounded in memory and time, unable to forge their answers, killed with all that they started."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from masklet.server.errors import ApiError
from masklet.server.processes import LimitedProcesses
from masklet.server.settings import Limits
from tests.waiting import PATIENCE_S, wait_until

HERE = "tests.server.test_processes"
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.usefixtures("limited_processes"),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows bounds only the time"),
]


@pytest.fixture(autouse=True)
def tasks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


# Tasks: these functions run in a limited process.


def echo(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield from document["answers"]


def noise(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Write forged answers wherever a decoder, or a program that it starts, could write them."""
    forged = '{"forged": true}\\n{"is_complete": true, "failure": null}\\n'
    for number in (1, 2):
        os.write(number, forged.encode())
    subprocess.run(
        ["sh", "-c", f"printf '{forged}'; for f in /proc/self/fd/*; do printf '{forged}' >$f; done"], check=False
    )
    yield {"is_real": True}


def memory(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield {"bytes": len(bytearray(document["bytes"]))}


def large_file(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    with open(document["path"], "wb") as file:
        file.write(b"0" * document["bytes"])
    yield {}


def children(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Start a program that would run for ever, tell its number, and never end."""
    program = subprocess.Popen(["sleep", "1000"])
    Path(document["path"]).write_text(f"{os.getpid()} {program.pid}")
    threading.Event().wait()
    yield {}


def crash(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield {"file": 1}
    os.abort()


def secrets(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield dict(os.environ)


def are_gone(path: Path) -> bool:
    return not any(
        psutil.pid_exists(int(number)) and psutil.Process(int(number)).status() != psutil.STATUS_ZOMBIE
        for number in path.read_text().split()
    )


def test_answers_come_in_order(tmp_path: Path) -> None:
    documents = [{"number": number} for number in range(3)]
    answers = LimitedProcesses(Limits()).run(
        f"{HERE}:echo", {"answers": documents}, folder=tmp_path, seconds=PATIENCE_S
    )
    assert (answers.documents, answers.failure) == (documents, None)


def test_what_decoders_and_their_programs_print_is_no_answer(tmp_path: Path) -> None:
    answers = LimitedProcesses(Limits()).run(f"{HERE}:noise", {}, folder=tmp_path, seconds=PATIENCE_S)
    assert (answers.documents, answers.failure) == ([{"is_real": True}], None)


def test_memory_is_bounded(tmp_path: Path) -> None:
    processes = LimitedProcesses(Limits(process_bytes=200 * 2**20))
    small = processes.run(f"{HERE}:memory", {"bytes": 100 * 2**20}, folder=tmp_path, seconds=PATIENCE_S)
    large = processes.run(f"{HERE}:memory", {"bytes": 300 * 2**20}, folder=tmp_path, seconds=PATIENCE_S)
    assert (small.documents, small.failure) == ([{"bytes": 100 * 2**20}], None)
    assert large.documents == []
    assert large.failure == "more than 200 MB of memory would be needed"


def test_files_are_bounded(tmp_path: Path) -> None:
    processes = LimitedProcesses(Limits(process_file_bytes=1000))
    document = {"path": str(tmp_path / "large"), "bytes": 5000}
    answers = processes.run(f"{HERE}:large_file", document, folder=tmp_path, seconds=PATIENCE_S)
    assert answers.documents == []
    assert answers.failure is not None
    assert (tmp_path / "large").stat().st_size <= 1000


def test_a_crash_keeps_the_answers_before_it(tmp_path: Path) -> None:
    answers = LimitedProcesses(Limits()).run(f"{HERE}:crash", {}, folder=tmp_path, seconds=PATIENCE_S)
    assert (answers.documents, answers.failure) == ([{"file": 1}], "the decoder broke down")


def test_a_process_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    started = tmp_path / "started"
    processes = LimitedProcesses(Limits())
    answers = processes.run(f"{HERE}:children", {"path": str(started)}, folder=tmp_path, seconds=5.0)
    assert answers.failure is not None
    assert "longer than 5 s" in answers.failure
    wait_until(lambda: are_gone(started), "the end of both processes")


def test_closing_kills_what_runs(tmp_path: Path) -> None:
    started, results = tmp_path / "started", []
    processes = LimitedProcesses(Limits())

    def work() -> None:
        document = {"path": str(started)}
        results.append(processes.run(f"{HERE}:children", document, folder=tmp_path, seconds=PATIENCE_S))

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: started.exists() and " " in started.read_text(), "the start of both processes")
    processes.close()
    thread.join()
    wait_until(lambda: are_gone(started), "the end of both processes")
    later = processes.run(f"{HERE}:echo", {"answers": []}, folder=tmp_path, seconds=PATIENCE_S)
    assert later.failure == "the server is stopping"


def test_a_killed_server_leaves_no_process(tmp_path: Path) -> None:
    started = tmp_path / "started"
    program = (
        "from pathlib import Path; from masklet.server.processes import LimitedProcesses\n"
        "from masklet.server.settings import Limits\n"
        f"LimitedProcesses(Limits()).run('{HERE}:children', {{'path': {str(started)!r}}}, "
        f"folder=Path({str(tmp_path)!r}), seconds=1000)"
    )
    server = subprocess.Popen([sys.executable, "-c", program])
    try:
        wait_until(lambda: started.exists() and " " in started.read_text(), "the start of both processes")
    finally:
        server.kill()
        server.wait()
    wait_until(lambda: are_gone(started), "the end of both processes")


def test_secrets_are_not_passed_on_and_temporary_files_stay_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKLET_TOKEN", "secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    answers = LimitedProcesses(Limits()).run(f"{HERE}:secrets", {}, folder=tmp_path, seconds=PATIENCE_S)
    (environment,) = answers.documents
    assert "secret" not in environment.values()
    assert environment["TMPDIR"] == str(tmp_path)


# The queue.


def test_few_run_at_once_and_one_user_never_takes_all() -> None:
    processes = LimitedProcesses(Limits(processes=2))
    may_end, lock = threading.Event(), threading.Lock()
    running: list[str] = []

    def work(user: str) -> None:
        with lock:
            running.append(user)
        assert may_end.wait(PATIENCE_S)

    async def send() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(processes.queued, "ann", work, "ann")
            with anyio.fail_after(PATIENCE_S):
                while running != ["ann"]:
                    await anyio.sleep(0.01)
            for _ in range(2):
                group.start_soon(processes.queued, "bob", work, "bob")
            with anyio.fail_after(PATIENCE_S):
                while len(running) < 2:
                    await anyio.sleep(0.01)
            assert running == ["ann", "bob"]
            may_end.set()

    anyio.run(send)
    assert sorted(running) == ["ann"] * 3 + ["bob"] * 2


@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        (Limits(queued_checks=2, checks_per_user=9), 503, "busy"),
        (Limits(queued_checks=9, checks_per_user=2), 429, "too_many_files"),
    ],
)
def test_the_queue_is_bounded(limits: Limits, status: int, code: str) -> None:
    processes = LimitedProcesses(limits)
    may_end = threading.Event()

    async def send() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(processes.queued, "ann", may_end.wait)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(ApiError) as refusal:
                await processes.queued("ann", may_end.wait)
            may_end.set()
        assert (refusal.value.status, refusal.value.code) == (status, code)
        assert refusal.value.retry_after_s == 10
        processes.check_room("ann")  # the two have ended

    anyio.run(send)
