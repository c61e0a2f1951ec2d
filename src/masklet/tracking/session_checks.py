"""Checks of what a session file says of its tracker: kinds of values that would fail only while tracking."""

from __future__ import annotations

from typing import get_args

from masklet.foreign.documents import Json
from masklet.memory.bank import Kind
from masklet.records import ObjectStatus

MAX_INDEX = 2**31
"""Largest frame number or object id."""


def check_state(document: Json) -> None:
    """Check kinds and ranges of the numbers, flags and choices of a state; other fields are checked by their readers.

    Raises:
        MaskletError: names the first that is wrong.
    """
    _check_optional_index(document, "position")
    _check_direction(document)
    _check_flag(document, "non_overlap")
    for planned in document.field("legs").entries():
        _check_direction(planned)
        planned.field("start").whole(-1, MAX_INDEX)
        for name in ("stop", "shown_below"):
            _check_optional_index(planned, name)
        if planned.get("discovers") is not None:
            _check_flag(planned, "discovers")
        if (object_ids := planned.get("object_ids")) is not None:
            _check_indices(object_ids)
    for pair in document.field("collisions").entries():
        _check_indices(pair)
    _check_numbers(document.field("cuts").field("recent"))
    for track in document.field("tracks").entries():
        _check_track(track)


def _check_track(track: Json) -> None:
    track.field("object_id").whole(0, MAX_INDEX)
    track.field("name").text()
    if (class_name := track.get("class_name")) is not None:
        class_name.text()
    _check_flag(track, "hidden")
    _check_direction(track)
    _check_indices(track.field("tracked"))
    watch = track.field("watch")
    for name in ("areas", "reliabilities", "scores"):
        _check_numbers(watch.field(name))
    for name in ("absent", "refusals"):
        watch.field(name).whole(0, MAX_INDEX)
    _check_choice(watch, "status", get_args(ObjectStatus))
    if (latest := track.get("latest")) is not None:
        latest.field("frame_index").whole(0, MAX_INDEX)
        _check_answer(latest.field("answer"))
    for prompt in track.field("given").entries():
        prompt.field("frame_index").whole(0, MAX_INDEX)
        for name in ("initial", "is_answered", "is_remembered"):
            _check_flag(prompt, name)
        if (answer := prompt.get("answer")) is not None:
            _check_answer(answer)
    for hypothesis in track.field("hypotheses").entries():
        hypothesis.field("score").number()
        _check_direction(hypothesis)
        for entry in hypothesis.field("entries").entries():
            entry.field("frame_index").whole(0, MAX_INDEX)
            _check_choice(entry, "kind", get_args(Kind))
            entry.field("reliability").number()


def _check_answer(answer: Json) -> None:
    count = _check_numbers(answer.field("iou_predictions"))
    answer.field("chosen").whole(0, max(0, count - 1))
    answer.field("object_score").number()


def _check_numbers(values: Json) -> int:
    """Check a list of numbers, and return how many they are."""
    return len([value.number() for value in values.entries()])


def _check_indices(values: Json) -> None:
    for value in values.entries():
        value.whole(-1, MAX_INDEX)


def _check_optional_index(parent: Json, name: str) -> None:
    if (value := parent.get(name)) is not None:
        value.whole(-1, MAX_INDEX)


def _check_direction(parent: Json) -> None:
    value = parent.field("direction")
    if value.value not in (-1, 1) or isinstance(value.value, bool):
        value.refuse("1 or -1")


def _check_flag(parent: Json, name: str) -> None:
    value = parent.field(name)
    if not isinstance(value.value, bool):
        value.refuse("true or false")


def _check_choice(parent: Json, name: str, choices: tuple[str, ...]) -> None:
    value = parent.field(name)
    if value.value not in choices:
        value.refuse(f"one of {', '.join(choices)}")
