"""The file of one medium: what is shown, and the history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from masklet.errors import OutputError
from masklet.masks.operations import encode_rle
from masklet.prompts import Prompt
from masklet.server.annotation.store import MAX_ANSWERS, MAX_TURNS, AnnotatedObject, AnnotationStore, SavedPrompt, Step
from masklet.tracking.mask_rows import MaskRow

MASK = np.zeros((6, 8), bool)
MASK[1:3, 2:5] = True


def row(frame_index: int, object_id: int = 1, **about: object) -> MaskRow:
    about = {"reliability": 0.5, "direction": 1, "rle": encode_rle(MASK), "time_s": 0.0} | about
    scores = {"iou_prediction": 0.5, "object_score": 3.0}
    return MaskRow(frame_index=frame_index, object_id=object_id, **scores, **about)  # type: ignore[arg-type]


def prompt(frame_index: int, object_id: int = 1) -> SavedPrompt:
    logits = np.full((4, 4), 1.5, np.float32)
    said = Prompt.create(points_xy=[(1, 2)], previous_logits=logits)
    return SavedPrompt.of(object_id, frame_index, said, rle=encode_rle(MASK), object_score=2.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnnotationStore]:
    opened = AnnotationStore(tmp_path / "annotations.db")
    yield opened
    opened.close()


def test_undo_and_redo_cover_whatever_changed(store: AnnotationStore) -> None:
    store.begin("New object")
    store.write_object(AnnotatedObject(1, "cat"))
    store.end()
    store.begin("Track")
    for index in range(3):
        store.write([row(index)])
    store.write([row(2, accepted=True)])
    store.end()
    store.begin("Prompt")
    store.outdate(1, 0)
    store.write_prompt(prompt(0))
    store.end()
    after = (store.marks(), store.prompts(), store.stale_ranges())
    assert store.history() == ("Prompt", None)
    assert [step.title for step in iter(store.undo, None)] == ["Prompt", "Track", "New object"]
    assert (store.marks(), store.prompts(), store.objects()) == ([], [], [])
    assert store.history() == (None, "New object")
    assert store.new_object_id() == 2  # an undone object may come back
    assert [step.title for step in iter(store.redo, None)] == ["New object", "Track", "Prompt"]
    again = (store.marks(), store.prompts(), store.stale_ranges())
    assert str(again) == str(after)


def test_the_same_wish_twice_is_done_once(store: AnnotationStore, tmp_path: Path) -> None:
    for name in ("ape", "bear", "cat", "dog"):
        store.begin(name)
        store.write_object(AnnotatedObject(1, name))
        store.end()

    def asked(how: Callable[[str], Step | None], key: str) -> tuple[str | None, str]:
        step = how(key)
        return step and step.title, store.objects()[0].name

    assert [asked(store.undo, "a"), asked(store.undo, "a")] == [("dog", "cat")] * 2
    revision = store.revision
    store.close()  # the answer was lost since the server ended
    store = AnnotationStore(tmp_path / "annotations.db")
    assert (asked(store.undo, "a"), store.revision) == (("dog", "cat"), revision)
    assert asked(store.undo, "b") == ("cat", "bear")
    assert [asked(store.redo, "a"), asked(store.redo, "a")] == [("cat", "cat")] * 2  # a redo is another wish
    store.begin("eel")
    store.write_object(AnnotatedObject(1, "eel"))
    store.end()
    assert asked(store.undo, "b") == ("cat", "eel")  # late, but answered, and nothing is done
    for index in range(MAX_TURNS):
        store.undo(f"undo {index}")
        store.redo(f"redo {index}")
    assert len(store._rows("SELECT turn FROM turns")) == MAX_TURNS
    store.close()


def test_answers_are_remembered_for_a_while_and_in_the_file(store: AnnotationStore, tmp_path: Path) -> None:
    for number in range(MAX_ANSWERS + 1):
        assert store.answer(f"wish {number}") is None
        store.remember(f"wish {number}", f"answer {number}")
    store.close()
    again = AnnotationStore(tmp_path / "annotations.db")
    assert [again.answer(f"wish {number}") for number in (0, 1, MAX_ANSWERS)] == [
        None,
        "answer 1",
        f"answer {MAX_ANSWERS}",
    ]
    again.close()


def test_an_undo_that_fails_midway_leaves_all_as_it_was(store: AnnotationStore) -> None:
    store.begin("New object")
    store.write_object(AnnotatedObject(1, "cat"))
    store.end()
    store._execute("CREATE TRIGGER full BEFORE UPDATE OF undone ON steps BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(OutputError, match="full"):
        store.undo("a")
    assert ([one.name for one in store.objects()], store.history()) == (["cat"], ("New object", None))
    store._execute("DROP TRIGGER full")
    assert store.undo("a") is not None
    assert (store.objects(), store.history()) == ([], (None, "New object"))


def test_a_new_operation_ends_what_could_be_redone(store: AnnotationStore) -> None:
    for name in ("cat", "dog"):
        store.begin(name)
        store.write_object(AnnotatedObject(1, name))
        store.end()
    store.undo()
    store.begin("bird")
    store.write_object(AnnotatedObject(1, "bird"))
    store.end()
    assert store.history() == ("bird", None)
    store.undo()
    assert [one.name for one in store.objects()] == ["cat"]


def test_an_operation_that_fails_leaves_nothing(store: AnnotationStore) -> None:
    store.write([row(0)])
    step = store.begin("fails")
    store.write([row(0, accepted=True), row(1)])
    store.abandon(step)
    store.end()
    assert [(mark.frame_index, mark.accepted) for mark in store.marks()] == [(0, False)]
    assert store.history() == (None, None)


def test_a_long_operation_is_parted_by_another_one(store: AnnotationStore) -> None:
    track = store.begin("Track")
    store.write([row(0)])
    store.end()
    store.begin("Prompt")
    store.write_prompt(prompt(5))
    store.end()
    assert store.proceed(track) != track
    store.write([row(1)])
    store.end()
    assert [step.title for step in iter(store.undo, None)] == ["Track", "Prompt", "Track"]


def test_masks_as_they_were_before_they_last_changed(store: AnnotationStore) -> None:
    def pixels(index: int) -> list[str]:
        rows = store.shown_before(index, index + 1).get(index, [])
        return [str(one.rle["counts"]) for one in rows]

    first, second, third = ({"size": [2, 3], "counts": counts} for counts in ("15", "24", "33"))
    store.begin("Track")
    store.write([row(0, rle=first), row(1, rle=first)])
    store.end()
    assert (pixels(0), pixels(1)) == ([], [])  # they have come with the last change
    store.begin("Prompt")
    store.write([row(1, rle=first, stale=True)])
    store.write_prompt(replace(prompt(1), rle=second))
    store.end()
    assert pixels(1) == ["15"]
    store.begin("Track what has changed")
    store.write([row(0, rle=third), row(1, rle=second, prompted=True)])
    store.end()
    assert (pixels(0), pixels(1)) == (["15"], ["15"])  # the prompt's frame has not changed since the prompt
    store.begin("Accept")
    store.write([row(0, rle=third, accepted=True)])
    store.end()
    assert pixels(0) == ["15"]
    store.undo()
    store.undo()
    assert (pixels(0), pixels(1)) == ([], ["15"])
    assert store.shown_before(5, 9) == {}


def test_a_prompt_is_shown_where_nothing_else_is(store: AnnotationStore) -> None:
    store.write([row(0), row(1, stale=True)])
    store.write_prompt(prompt(1))
    store.write_prompt(prompt(4))
    shown = store.shown(0, 10)
    assert {index: rows[0].prompted for index, rows in shown.items()} == {0: False, 1: True, 4: True}
    assert [mark.stale for mark in store.marks()] == [False, False, False]
    assert list(store.shown(0, 10, 4)) == [0, 4]
    assert store.shown(0, 10, object_ids=[2]) == {}


def test_everything_is_there_after_the_file_was_closed(store: AnnotationStore, tmp_path: Path) -> None:
    store.begin("Prompt")
    store.write_prompt(prompt(3))  # and the process ends before the operation does
    store.close()
    again = AnnotationStore(tmp_path / "annotations.db")
    said = again.prompts()[0]
    assert said.prompt.points_xy.tolist() == [[1.0, 2.0]]
    assert said.prompt.previous_logits is not None
    assert (said.prompt.previous_logits == 1.5).all()
    assert again.history() == ("Prompt", None)
    again.undo()
    assert again.prompts() == []
    again.close()


def test_a_prompt_keeps_its_own_confidence_and_an_older_one_counts_its_iou_prediction(store: AnnotationStore) -> None:
    answered = replace(prompt(0), iou_prediction=0.9)
    store.write_prompt(replace(answered, confidence=0.6))
    store.write_prompt(replace(answered, frame_index=1))
    assert [store.shown(index, index + 1)[index][0].confidence for index in (0, 1)] == [0.6, 0.9]
    assert [mark.confidence for mark in store.marks()] == [0.6, 0.9]
