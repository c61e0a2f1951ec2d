"""Suggested frames: the beginnings of failures first, diverse in time."""

from __future__ import annotations

from typing import Any

from masklet.tracking.mask_store import Scores
from masklet.tracking.suggestions import suggest


def scores(*statuses: str, object_id: int = 1, sure: float = 0.9, **fields: Any) -> list[Scores]:
    values = {"prompted": False, "accepted": False} | fields
    return [Scores(index, object_id, sure, status, **values) for index, status in enumerate(statuses)]  # type: ignore[arg-type]


def test_the_beginning_of_a_failure_is_suggested_first() -> None:
    statuses = ["present"] * 30 + ["uncertain"] * 20 + ["present"] * 50
    assert suggest(scores(*statuses), 1)[0].frame_index == 30


def test_suggestions_are_diverse_in_time() -> None:
    statuses = ["present"] * 100
    for start in (20, 22, 80):
        statuses[start] = "uncertain"
    chosen = suggest(scores(*statuses), 2)
    assert chosen[1].frame_index == 80 or chosen[0].frame_index == 80
    assert len({suggestion.frame_index // 50 for suggestion in chosen}) == 2


def test_no_frame_is_suggested_without_doubt() -> None:
    assert suggest([], 5) == []
    assert suggest(scores(*["present"] * 10, sure=1.0), 5) == []
    assert suggest(scores(*["lost"] * 10, accepted=True), 5) == []
    assert suggest(scores("uncertain", "present"), 0) == []
