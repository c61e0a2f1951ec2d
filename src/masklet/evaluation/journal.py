"""Results as they come, one JSON line per sequence, so that a run that was killed continues where it was.

The first line says what the run is. A run of other settings, another model or other data does not take it up.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from masklet.errors import ConfigError, OutputError
from masklet.output import check_writable

R = TypeVar("R")

VERSION = 1


class Journal(Generic[R]):
    """A file of finished sequences.

    Args:
        path: of the file; None keeps nothing.
        record_type: a dataclass of plain values, tuples and others like it.
        about: what the run is: it must be equal, as JSON, for the file to be taken up.
    """

    def __init__(self, path: Path | None, record_type: type[R], about: Mapping[str, Any]) -> None:
        self.path = path
        self._record_type = record_type
        self._about = json.loads(json.dumps({"version": VERSION, **about}))

    def load(self) -> dict[str, list[R]]:
        """Return the finished results by sequence; create the file if it does not exist.

        Raises:
            ConfigError: the file is of another run.
            OutputError: it cannot be read or written.
        """
        if self.path is None:
            return {}
        check_writable(self.path)
        lines = _read_lines(self.path)
        if not lines:
            self._write(self._about, mode="w")
            return {}
        self._check_same(lines[0])
        done = {
            line["unit"]: [_restored(self._record_type, record) for record in line["records"]] for line in lines[1:]
        }
        if not self.path.read_bytes().endswith(b"\n"):  # killed in the middle of a line
            self._rewrite(lines)
        return done

    def add(self, unit: str, records: Sequence[R]) -> None:
        """Add a finished sequence.

        Raises:
            OutputError: the file cannot be written.
        """
        if self.path is not None:
            self._write({"unit": unit, "records": [asdict(record) for record in records]}, mode="a")  # type: ignore[call-overload]

    def _check_same(self, about: Mapping[str, Any]) -> None:
        for name in {**about, **self._about}:
            if about.get(name) != self._about.get(name):
                raise ConfigError(
                    f"{self.path} is of another run: its {name} was {about.get(name)!r}, and is "
                    f"{self._about.get(name)!r} now; choose another name, or --force to start again"
                )

    def _rewrite(self, lines: Sequence[Mapping[str, Any]]) -> None:
        for number, line in enumerate(lines):
            self._write(line, mode="a" if number else "w")

    def _write(self, line: Mapping[str, Any], *, mode: str) -> None:
        assert self.path is not None
        try:
            with self.path.open(mode, encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error


def count_finished(path: Path) -> int:
    """Return the number of sequences in a journal; 0 without a file."""
    return max(0, len(_read_lines(path)) - 1)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Return all complete lines; a truncated last line is left out."""
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"cannot read {path}: {error}") from error
    rows = text.splitlines()
    if rows and not _is_json(rows[-1]):
        rows.pop()
    try:
        return [json.loads(row) for row in rows]
    except ValueError as error:
        raise ConfigError(f"{path} is not a file of JSON lines: remove it to start again ({error})") from error


def _is_json(row: str) -> bool:
    try:
        json.loads(row)
    except ValueError:
        return False
    return True


def _restored(kind: Any, value: Any) -> Any:
    """Convert a JSON value to the annotated type `kind`: records, tuples and plain types."""
    if value is None or kind is Any:
        return value
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _restored(next(option for option in arguments if option is not types.NoneType), value)
    if origin is tuple:
        return tuple(_restored(arguments[0], item) for item in value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{item.name: _restored(hints[item.name], value[item.name]) for item in fields(kind)})  # type: ignore[operator]
    if is_typeddict(kind) or origin is not None:
        return value
    if isinstance(kind, type) and issubclass(kind, tuple):  # a named tuple
        return kind(*value)
    return value
