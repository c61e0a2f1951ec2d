from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from masklet.errors import ConfigError, DataError, EngineError
from masklet.evaluation.clicks import evaluate_clicks
from masklet.evaluation.journal import Journal, count_finished
from masklet.evaluation.running import RunOptions, Unit, choose, run_units, spread
from masklet.evaluation.vos import evaluate_vos

from .oracle import OracleEngine, rectangle, write_pair


@dataclass(frozen=True)
class Square:
    number: int
    square: int


@dataclass(frozen=True)
class Squares:
    """Two records a unit; unlucky numbers go wrong in a way of their own."""

    fails_on: int | None = None
    interrupt_on: int | None = None
    dies_on: int | None = None

    def __call__(self, engine: OracleEngine, number: int, tick: Callable[[], None]) -> list[Square]:
        tick()
        if number == self.fails_on:
            raise DataError(f"{number} is unlucky")
        if number == self.interrupt_on:
            raise KeyboardInterrupt
        if number == self.dies_on:
            import os

            os._exit(9)
        return [Square(number, number**2), Square(-number, number**2)]


def units(count: int = 6) -> list[Unit[int]]:
    return [Unit(f"unit {number}", "squares", 1, number) for number in range(count)]


def run(work: Squares, count: int = 6, **options: object) -> list[Square]:
    return run_units(OracleEngine(), work, units(count), Square, RunOptions(**options), {"task": "squares"})  # type: ignore[arg-type]


EXPECTED = [Square(sign * number, number**2) for number in range(6) for sign in (1, -1)]


def test_processes_give_the_same_in_the_same_order() -> None:
    calls: list[tuple[int, int, str]] = []
    assert run(Squares()) == EXPECTED
    assert run(Squares(), processes=2, open_engine=OracleEngine, progress=lambda *call: calls.append(call)) == EXPECTED
    assert calls[-1] == (6, 6, "squares")


def test_processes_need_to_know_the_engine() -> None:
    with pytest.raises(ConfigError, match="2 processes need open_engine"):
        run(Squares(), processes=2)
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        RunOptions(processes=0)


def test_errors_of_a_process_are_raised_unchanged(tmp_path: Path) -> None:
    journal = tmp_path / "a.jsonl"
    with pytest.raises(DataError, match="5 is unlucky"):
        run(Squares(fails_on=5), processes=2, open_engine=OracleEngine, journal=journal)
    assert run(Squares(), journal=journal) == EXPECTED


def test_a_killed_process_raises_an_error() -> None:
    with pytest.raises(EngineError, match="a process of the evaluation died"):
        run(Squares(dies_on=1), processes=2, open_engine=OracleEngine)


def test_an_interrupted_run_continues_where_it_stopped(tmp_path: Path) -> None:
    journal = tmp_path / "a.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(Squares(interrupt_on=4), journal=journal)
    assert count_finished(journal) == 4
    calls: list[tuple[int, int, str]] = []
    assert run(Squares(), journal=journal, progress=lambda *call: calls.append(call)) == EXPECTED
    assert calls == [(1, 2, "squares"), (2, 2, "squares")]


def test_a_truncated_journal_line_is_computed_again(tmp_path: Path) -> None:
    journal = tmp_path / "a.jsonl"
    run(Squares(), journal=journal)
    journal.write_text(journal.read_text()[:-20])
    assert run(Squares(), journal=journal) == EXPECTED
    assert count_finished(journal) == 6


def test_a_selection_may_grow(tmp_path: Path) -> None:
    journal = tmp_path / "a.jsonl"
    run(Squares(), 3, journal=journal)
    assert run(Squares(fails_on=1), journal=journal) == EXPECTED  # 1 is not asked again


def test_another_run_does_not_take_up_the_file(tmp_path: Path) -> None:
    journal = tmp_path / "a.jsonl"
    run(Squares(), journal=journal, identity="weights of Monday")
    with pytest.raises(ConfigError, match=r"a\.jsonl is of another run: its identity was 'weights of Monday'"):
        run(Squares(), journal=journal, identity="weights of Tuesday")
    journal.write_text("no\njournal\n")
    with pytest.raises(ConfigError, match="not a file of JSON lines"):
        run(Squares(), journal=journal)


def test_records_round_trip(tmp_path: Path) -> None:
    """Reports made from a journal equal those made at once, to the last bit."""
    for index in range(3):
        write_pair(
            tmp_path / f"clip/frames/{index}.png",
            tmp_path / f"clip/masks/{index}.png",
            rectangle(4, 4 + index, 37, 31),
            seen=rectangle(4, 4 + index, 30 + index, 31),
        )
        write_pair(
            tmp_path / f"pets/images/{index}.png",
            tmp_path / f"pets/masks/{index}.png",
            rectangle(4, 4, 37, 31),
            seen=rectangle(4, 4, 30 + index, 31),
        )
    for evaluate in (evaluate_vos, evaluate_clicks):
        options = RunOptions(journal=tmp_path / f"{evaluate.__name__}.jsonl")
        first = evaluate(OracleEngine(), tmp_path, run=options)
        again = OracleEngine()
        assert evaluate(again, tmp_path, run=options) == first
        assert again.images_encoded == 0


def test_the_journal_begins_with_its_task(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.jsonl", Square, {"task": "squares"})
    assert journal.load() == {}
    journal.add("one", [Square(1, 1)])
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines == [{"version": 1, "task": "squares"}, {"unit": "one", "records": [{"number": 1, "square": 1}]}]
    assert journal.load() == {"one": [Square(1, 1)]}


def test_choice_by_name_and_even_spacing() -> None:
    names = list("abcdef")
    assert choose(names, str, ["e", "b", "e"], None) == ["e", "b"]
    assert choose(names, str, None, 3) == spread(names, 3) == ["a", "c", "e"]
    assert spread(names, 9) == names
