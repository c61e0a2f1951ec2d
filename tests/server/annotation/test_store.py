"""The annotation file of a medium: the masks that are shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from masklet.server.annotation.store import AnnotationStore
from tests.server.annotation.conftest import prompt, row


def test_masks_as_they_were_before_they_last_changed(store: AnnotationStore) -> None:
    def pixels(index: int) -> list[str]:
        rows = store.shown_before(index, index + 1).get(index, [])
        return [str(one.rle["counts"]) for one in rows]

    first, second, third = ({"size": [2, 3], "counts": counts} for counts in ("15", "24", "33"))
    with store.operation("Track"):
        store.write([row(0, rle=first), row(1, rle=first)])
    assert (pixels(0), pixels(1)) == ([], [])  # they were created by the last change
    with store.operation("Prompt"):
        store.write([row(1, rle=first, stale=True)])
        store.write_prompt(replace(prompt(1), rle=second))
    assert pixels(1) == ["15"]
    with store.operation("Track what has changed"):
        store.write([row(0, rle=third), row(1, rle=second, prompted=True)])
    assert (pixels(0), pixels(1)) == (["15"], ["15"])  # the prompt's frame has not changed since the prompt
    with store.operation("Accept"):
        store.write([row(0, rle=third, accepted=True)])
    assert pixels(0) == ["15"]
    store.undo()
    store.undo()
    assert (pixels(0), pixels(1)) == ([], ["15"])
    assert store.shown_before(5, 9) == {}


def test_a_prompts_answer_is_shown_on_untracked_frames(store: AnnotationStore) -> None:
    store.write([row(0), row(1, stale=True)])
    store.write_prompt(prompt(1))
    store.write_prompt(prompt(4))
    shown = store.shown(0, 10)
    assert {index: rows[0].prompted for index, rows in shown.items()} == {0: False, 1: True, 4: True}
    assert [mark.stale for mark in store.marks()] == [False, False, False]
    assert list(store.shown(0, 10, 4)) == [0, 4]
    assert store.shown(0, 10, object_ids=[2]) == {}


def test_everything_is_stored_after_closing_the_file(store: AnnotationStore, tmp_path: Path) -> None:
    with store.operation("Prompt"):
        store.write_prompt(prompt(3))
    store.close()
    again = AnnotationStore(tmp_path / "annotations.db")
    saved = again.prompts()[0]
    assert saved.prompt.points_xy.tolist() == [[1.0, 2.0]]
    assert saved.prompt.previous_logits is not None
    assert (saved.prompt.previous_logits == 1.5).all()
    assert again.history() == ("Prompt", None)
    again.undo()
    assert again.prompts() == []
    again.close()


def test_a_prompt_stores_its_confidence_and_an_older_one_uses_its_iou_prediction(store: AnnotationStore) -> None:
    answered = replace(prompt(0), iou_prediction=0.9)
    store.write_prompt(replace(answered, confidence=0.6))
    store.write_prompt(replace(answered, frame_index=1))
    assert [store.shown(index, index + 1)[index][0].confidence for index in (0, 1)] == [0.6, 0.9]
    assert [mark.confidence for mark in store.marks()] == [0.6, 0.9]
