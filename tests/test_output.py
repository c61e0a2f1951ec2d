from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from masklet import output
from masklet.errors import OutputError
from masklet.output import (
    LOCK_FILE,
    PathLock,
    atomic_path,
    check_writable,
    holds_files,
    only_user,
    refuse_existing,
    remove_unfinished,
)
from tests.conftest import LimitFiles


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new" / "result.json"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".json"
        temporary.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"
    assert list(target.parent.iterdir()) == [target]


def fail_in_the_middle(target: Path, *, keep_partial: bool) -> None:
    with atomic_path(target, keep_partial=keep_partial) as temporary:
        temporary.write_text("partial")
        raise KeyboardInterrupt


def test_a_failure_keeps_the_existing_file(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fail_in_the_middle(target, keep_partial=False)
    assert target.read_text() == "old"
    with pytest.raises(KeyboardInterrupt):
        fail_in_the_middle(target, keep_partial=True)
    assert target.read_text() == "partial"
    assert list(tmp_path.iterdir()) == [target]


def test_existing_outputs_are_refused_without_force(tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    assert refuse_existing(file) == file
    assert refuse_existing(tmp_path) == tmp_path  # an empty folder is welcome
    file.write_text("")
    for path in (file, tmp_path):
        with pytest.raises(OutputError, match="use --force"):
            refuse_existing(path)
        assert refuse_existing(path, force=True) == path


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot create the folder"):
        check_writable(tmp_path / "file" / "inside.png")
    with pytest.raises(OutputError, match="it is a folder"), atomic_path(tmp_path):
        pass


KILLED = """
import os, signal, sys
from pathlib import Path
from masklet.output import OutputFolder, atomic_path
with OutputFolder(Path(sys.argv[1]) / "folder") as folder, atomic_path(Path(sys.argv[1]) / "clip.mp4") as temporary:
    folder.write("1.png", b"half")
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    assert not holds_files(tmp_path), "it does not count as a result"
    assert not list(tmp_path.iterdir())


def test_files_that_others_are_writing_stay(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.txt") as mine:
        mine.touch()
        other = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{os.getppid()}-"))
        elsewhere = mine.with_name(mine.name.replace(mine.name.split(".")[2][:8], "00000000"))
        earlier = mine.with_name(mine.name.replace(mine.name.split("-")[2], "000000"))
        for path in (other, elsewhere, earlier, tmp_path / ".b.part.txt"):
            path.touch()
        remove_unfinished(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {mine.name, other.name, elsewhere.name, ".b.part.txt"}


@pytest.mark.parametrize("name", ["é" * 120 + ".png", "x" * 250 + ".json"])
def test_long_names_are_written(tmp_path: Path, name: str) -> None:
    with atomic_path(tmp_path / name) as temporary:
        temporary.touch()
    assert [path.name for path in tmp_path.iterdir()] == [name]


HOLD = """
import sys
from masklet.output import PathLock
lock = PathLock(sys.argv[1], is_file=sys.argv[2:] == ["file"])
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(path: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until it is killed."""
    command = [sys.executable, "-c", HOLD, str(path), *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "locked\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.mark.parametrize("options", [(), ("file",)])
def test_a_path_in_use_names_its_process_until_that_is_killed(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = tmp_path / "run"
    with holder(path, *options) as process:
        with pytest.raises(OutputError) as refusal, only_user(path, is_file=bool(options)):
            pass
        assert f"in use by process {process.pid} on {socket.gethostname()} since 2" in str(refusal.value)
    assert list(tmp_path.rglob(f"*{LOCK_FILE}")), "a killed process leaves its file"
    with only_user(path, is_file=bool(options)):
        pass
    assert not list(tmp_path.rglob(f"*{LOCK_FILE}"))


def test_a_lock_holds_within_one_process_too(tmp_path: Path) -> None:
    first = PathLock(tmp_path)
    with pytest.raises(OutputError, match=f"process {os.getpid()}"):
        PathLock(tmp_path)
    first.release()
    first.release()
    PathLock(tmp_path).release()


def test_a_lock_leaves_no_trace(tmp_path: Path) -> None:
    with only_user(tmp_path / "new" / "run"):
        assert refuse_existing(tmp_path / "new" / "run") is not None  # the lock itself is no content
    assert not (tmp_path / "new" / "run").exists()
    with only_user(tmp_path / "kept"):
        (tmp_path / "kept" / "result").touch()
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["result"]


def test_a_lock_needs_no_space(tmp_path: Path, limit_files: LimitFiles) -> None:
    with limit_files(0):
        with only_user(tmp_path), pytest.raises(OutputError, match="in use by another process"):
            PathLock(tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_a_file_that_its_owner_removes_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = PathLock(tmp_path)
    real = PathLock._lock
    attempts = []

    def release_in_between(self: PathLock, file: object) -> bool:
        if not attempts:
            lock.release()  # between opening the file and locking it
        attempts.append(file)
        return real(self, file)  # type: ignore[arg-type]

    monkeypatch.setattr(PathLock, "_lock", release_in_between)
    second = PathLock(tmp_path)
    assert len(attempts) == 2
    with pytest.raises(OutputError, match="in use"):
        PathLock(tmp_path)
    second.release()


@pytest.mark.skipif(sys.platform == "win32", reason="`flock` is of other systems")
def test_without_locks_of_the_file_system_the_note_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(output.fcntl, "flock", no_locks)
    note = {"process": os.getpid(), "host": socket.gethostname(), "since": "today"}
    (tmp_path / LOCK_FILE).write_text(json.dumps(note))
    with pytest.raises(OutputError, match=f"in use by process {os.getpid()}"):
        PathLock(tmp_path)
    for changes in ({"process": 2**22 + 1}, {"host": "elsewhere"}):
        (tmp_path / LOCK_FILE).write_text(json.dumps(note | changes))
        PathLock(tmp_path).release()


def test_a_folder_that_cannot_be_written_is_an_error_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot create the folder"):
        PathLock(tmp_path / "file")
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(OutputError, match="cannot write in"):
        PathLock(tmp_path)
