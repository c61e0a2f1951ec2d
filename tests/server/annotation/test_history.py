"""Undo and redo, transactions, and idempotent requests."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from masklet.errors import OutputError
from masklet.server.annotation.history import LARGE_ANSWER, MAX_ANSWERS, MAX_LARGE_ANSWERS
from masklet.server.annotation.store import AnnotatedObject, AnnotationStore
from tests.server.annotation.conftest import prompt, row


def test_undo_and_redo_cover_all_changes(store: AnnotationStore) -> None:
    with store.operation("New object"):
        store.write_object(AnnotatedObject(1, "cat"))
    with store.operation("Track"):
        for index in range(3):
            store.write([row(index)])
        store.write([row(2, accepted=True)])
    with store.operation("Prompt"):
        store.outdate(1, 0)
        store.write_prompt(prompt(0))
    after = (store.marks(), store.prompts(), store.stale_ranges())
    assert store.history() == ("Prompt", None)
    assert [step.title for step in iter(store.undo, None)] == ["Prompt", "Track", "New object"]
    assert (store.marks(), store.prompts(), store.objects()) == ([], [], [])
    assert store.history() == (None, "New object")
    assert store.new_object_id() == 1  # a new object ends the chance to redo: the number is free
    assert [step.title for step in iter(store.redo, None)] == ["New object", "Track", "Prompt"]
    again = (store.marks(), store.prompts(), store.stale_ranges())
    assert str(again) == str(after)


def test_a_new_operation_clears_redo(store: AnnotationStore) -> None:
    for name in ("cat", "dog"):
        with store.operation(name):
            store.write_object(AnnotatedObject(1, name))
    store.undo()
    with store.operation("bird"):
        store.write_object(AnnotatedObject(1, "bird"))
    assert store.history() == ("bird", None)
    store.undo()
    assert [one.name for one in store.objects()] == ["cat"]


def test_a_long_operation_is_split_by_another_one(store: AnnotationStore) -> None:
    with store.operation("Track") as track:
        store.write([row(0)])
    with store.operation("Prompt"):
        store.write_prompt(prompt(5))
    with store.continued(track) as continued:
        store.write([row(1)])
    assert continued != track
    with store.continued(continued) as again:
        store.write([row(2)])
    assert again == continued
    assert [step.title for step in iter(store.undo, None)] == ["Track", "Prompt", "Track"]


def test_an_operation_that_fails_leaves_nothing(store: AnnotationStore) -> None:
    store.write([row(0)])
    with store.operation("undone"):
        store.write([row(5)])
    store.undo()
    with pytest.raises(ZeroDivisionError), store.operation("fails"):  # noqa: PT012
        store.write([row(0, accepted=True), row(1)])
        raise ZeroDivisionError
    assert [(mark.frame_index, mark.accepted) for mark in store.marks()] == [(0, False)]
    assert store.history() == (None, "undone")


def test_an_undo_that_fails_midway_changes_nothing(store: AnnotationStore) -> None:
    with store.operation("New object"):
        store.write_object(AnnotatedObject(1, "cat"))
    store._execute("CREATE TRIGGER full BEFORE UPDATE OF undone ON steps BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(OutputError, match="full"):
        store.undo()
    assert ([one.name for one in store.objects()], store.history()) == (["cat"], ("New object", None))
    store._execute("DROP TRIGGER full")
    assert store.undo() is not None
    assert (store.objects(), store.history()) == ([], (None, "New object"))


def test_recent_answers_are_stored_in_the_file(store: AnnotationStore, tmp_path: Path) -> None:
    large = "x" * (LARGE_ANSWER + 1)
    for number in range(MAX_ANSWERS + 1):
        assert store.answer(f"key {number}") is None
        store.remember(f"key {number}", large if number % 2 else f"answer {number}")
    store.close()
    again = AnnotationStore(tmp_path / "annotations.db")
    known = [number for number in range(MAX_ANSWERS + 1) if again.answer(f"key {number}") is not None]
    first_large = MAX_ANSWERS + 1 - MAX_LARGE_ANSWERS
    assert known == [number for number in range(1, MAX_ANSWERS + 1) if number % 2 == 0 or number >= first_large]
    assert again.answer("key 2") == "answer 2"
    again.close()


def test_an_answer_is_written_with_its_operation_or_not_at_all(store: AnnotationStore) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():  # noqa: PT012
        with store.operation("New object"):
            store.write_object(AnnotatedObject(1, "cat"))
        store.remember("key", "answer")
        raise ZeroDivisionError
    assert (store.objects(), store.history(), store.answer("key")) == ([], (None, None), None)


KILLED = """
import os, signal, sys
from masklet.server.annotation.store import AnnotatedObject, AnnotationStore

def die():
    os.kill(os.getpid(), signal.SIGKILL)

store = AnnotationStore(sys.argv[1])
with store.transaction():
    with store.operation("New object"):
        store.write_object(AnnotatedObject(1, "cat"))
    if sys.argv[2] == "before the answer":
        die()
    store.remember("key", "answer")
    if sys.argv[2] == "before the end":
        die()
die()
"""


@pytest.mark.parametrize("moment", ["before the answer", "before the end", "after the end"])
def test_a_killed_process_leaves_all_or_nothing(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "annotations.db"
    process = subprocess.run([sys.executable, "-c", KILLED, str(path), moment], check=False)
    assert process.returncode == -signal.SIGKILL
    store = AnnotationStore(path)
    is_done = moment == "after the end"
    assert [one.name for one in store.objects()] == (["cat"] if is_done else [])
    assert store.answer("key") == ("answer" if is_done else None)
    store.close()


def test_answers_in_a_file_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    store = AnnotationStore(tmp_path / "annotations.db")
    store._execute("DROP TABLE idempotency_keys")
    store._execute("CREATE TABLE answers (number INTEGER PRIMARY KEY AUTOINCREMENT, key, answer)")
    store._execute("INSERT INTO answers VALUES (NULL, 'PUT /x key', 'answer')")
    store._execute("CREATE TABLE turns (turn INTEGER PRIMARY KEY, key)")
    store.close()
    store = AnnotationStore(tmp_path / "annotations.db")
    assert store.answer("PUT /x key") == "answer"
    assert store._rows("SELECT name FROM sqlite_master WHERE name IN ('answers', 'turns')") == []
    store.close()
