from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from masklet.errors import DataError, PromptError, SessionError
from masklet.foreign.documents import Json, parse_json, read_json, reading


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_every_encoding_that_editors_write_is_read(encoding: str) -> None:
    document = parse_json('{"name": "Käfer"}'.encode(encoding), "a.json")
    assert document.field("name").text() == "Käfer"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"{", r"is not JSON: .* in line 1, column 2; is it cut off\?"),
        (b'{"a": 1', r"is it cut off\?"),
        (gzip.compress(b"{}"), "compressed with gzip: unpack it"),
        (b"PK\x03\x04rest", "is a .zip: unpack it"),
        (b"<!doctype html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"9" * 5000, "is not JSON, or is damaged"),
        (b'"\xff\xfe\xfd"', "is not JSON"),
        (b"\x00\x01\x02\x03", "is not JSON"),
    ],
)
def test_what_is_not_json_is_one_line_that_names_the_file(data: bytes, problem: str) -> None:
    with pytest.raises(PromptError, match=rf"^a\.json .*{problem}") as caught:
        parse_json(data, "a.json", PromptError)
    assert "\n" not in str(caught.value)


DOCUMENT = parse_json(
    b'{"list": [{"id": 5, "bad id": [1]}, 2.5, NaN, "7", true, null, Infinity, 1e400, 3.0, "\\ud800x"], '
    b'"big": 99999999999999999999}',
    "a.json",
)


def entry(index: int) -> Json:
    return list(DOCUMENT.field("list").entries())[index]


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        (lambda: DOCUMENT.field("none"), "a.json has no field 'none'"),
        (lambda: entry(0).field("x"), r"a.json: list\[0\] has no field 'x'"),
        (lambda: entry(0).field("bad id").whole(), r"a.json: list\[0\].'bad id' must be a whole number .* got a list"),
        (lambda: entry(1).whole(), r"list\[1\] must be a whole number from 0, got 2.5"),
        (lambda: entry(2).number(), r"list\[2\] must be a finite number, got nan"),
        (lambda: entry(3).whole(), r"list\[3\] must be a whole number from 0, got '7'"),
        (lambda: entry(4).number(), "must be a finite number, got True"),
        (lambda: entry(5).text(), "must be a text, got None"),
        (lambda: entry(6).whole(), "must be a whole number"),
        (lambda: entry(7).number(), "must be a finite number"),
        (lambda: entry(0).whole(), r"list\[0\] must be a whole number from 0, got an object"),
        (lambda: list(DOCUMENT.entries()), "a.json must be a list, got an object"),
        (lambda: list(entry(0).field("id").items()), r"list\[0\].id must be an object, got 5"),
        (lambda: entry(3).get("x"), "must be an object, got '7'"),
        (lambda: DOCUMENT.field("big").whole(), "big must be a whole number from 0, got 9999"),
        (lambda: entry(0).field("id").whole(6, 9), "must be a whole number from 6 to 9, got 5"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(read: Callable[[], Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read()


def test_right_values() -> None:
    assert entry(8).whole() == 3
    assert entry(1).number() == 2.5
    assert DOCUMENT.get("none") is None
    text = entry(9).text()
    assert text == "\ufffdx"
    text.encode()  # can be written


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none\.json: No such file"):
        read_json(tmp_path / "none.json")
    with pytest.raises(DataError, match=r"cannot read .*: Is a directory"):
        read_json(tmp_path)
    with pytest.raises(DataError, match="cannot read"):
        read_json(Path("a\0b"))


@pytest.mark.parametrize(
    "cause",
    [KeyError("x"), IndexError("x"), TypeError("x"), ValueError(""), RecursionError(), MemoryError(), OverflowError(),
     OSError(5, "broken"), zipfile.BadZipFile("x"), EOFError(), RuntimeError("encrypted"), DataError("x"),
     json.JSONDecodeError("x", "y", 0), UnicodeDecodeError("utf-8", b"", 0, 1, "x")],
)  # fmt: skip
def test_the_guard_makes_one_error_of_every_damage(cause: Exception) -> None:
    with pytest.raises(SessionError, match="the session a") as caught, reading("the session a", SessionError):
        raise cause
    assert "\n" not in str(caught.value)


def test_the_guard_lets_other_errors_of_masklet_and_interrupts_pass() -> None:
    with pytest.raises(PromptError, match=r"^mine$"), reading("a", SessionError):
        raise PromptError("mine")
    with pytest.raises(KeyboardInterrupt), reading("a"):
        raise KeyboardInterrupt
