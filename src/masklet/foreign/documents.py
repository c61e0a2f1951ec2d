"""Files that other programs wrote: JSON read with checks at every step, and one guard for what else can be wrong.

`Json` is a value with its place in its file, so that an error names the file and the entry, what was expected and what
came. `reading` is for formats whose readers (zip, arrays, pickles) raise their own kinds of errors.
"""

from __future__ import annotations

import json
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from masklet.errors import DataError, MaskletError

_STARTS = {
    b"\x1f\x8b": "it is compressed with gzip: unpack it first",
    b"PK\x03\x04": "it is a .zip: unpack it first",
    b"version https://git-lfs": "it is a pointer of git-lfs and not the file: run `git lfs pull`",
    b"<": "it is a web page or XML",
}
"""Reason why a file is not JSON, by its first bytes."""

_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}


class Json:
    """A value of a JSON document, with its place in the file.

    Args:
        value: as `json.loads` returns it.
        file: name of the file, for messages.
        error: class of the errors.
    """

    __slots__ = ("_error", "_key", "_parent", "file", "value")

    def __init__(
        self,
        value: Any,
        file: str,
        error: type[MaskletError] = DataError,
        parent: Json | None = None,
        key: str | int | None = None,
    ) -> None:
        self.value = value
        self.file = file
        self._error = error
        self._parent = parent
        self._key = key

    @property
    def where(self) -> str:
        """File and place, such as `coco.json: annotations[3].image_id`."""
        path = self._path()
        return f"{self.file}: {path}" if path else self.file

    def _path(self) -> str:
        if self._parent is None:
            return ""
        before = self._parent._path()
        if isinstance(self._key, int):
            return f"{before}[{self._key}]"
        key = str(self._key)
        key = key if key.isidentifier() else _shown(key, 40)
        return f"{before}.{key}" if before else key

    def refuse(self, expected: str) -> NoReturn:
        """Raise the error for a value that is not what was expected."""
        raise self._error(f"{self.where} must be {expected}, got {shown(self.value)}")

    def fail(self, problem: str) -> NoReturn:
        """Raise an error about this place."""
        raise self._error(f"{self.where}: {problem}")

    def get(self, name: str) -> Json | None:
        """Return a field of an object; None if it is missing or null.

        Raises:
            MaskletError: this is not an object.
        """
        if not isinstance(self.value, dict):
            self.refuse("an object")
        value = self.value.get(name)
        return None if value is None else Json(value, self.file, self._error, self, name)

    def field(self, name: str) -> Json:
        """Return a field of an object.

        Raises:
            MaskletError: this is not an object, or the field is missing or null.
        """
        child = self.get(name)
        if child is None:
            raise self._error(f"{self.where} has no field {name!r}")
        return child

    def entries(self) -> Iterator[Json]:
        """Yield the entries of a list.

        Raises:
            MaskletError: this is not a list.
        """
        if not isinstance(self.value, list):
            self.refuse("a list")
        for index, value in enumerate(self.value):
            yield Json(value, self.file, self._error, self, index)

    def items(self) -> Iterator[tuple[str, Json]]:
        """Yield names and fields of an object.

        Raises:
            MaskletError: this is not an object.
        """
        if not isinstance(self.value, dict):
            self.refuse("an object")
        for name, value in self.value.items():
            yield name, Json(value, self.file, self._error, self, name)

    def whole(self, least: int = 0, most: int = 2**53) -> int:
        """Return a whole number; 3.0 counts as one.

        Raises:
            MaskletError: this is not one, or outside the limits.
        """
        value = self.value
        if isinstance(value, float) and math.isfinite(value) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.refuse(f"a whole number from {least}" + (f" to {most}" if most < 2**53 else ""))
        return value

    def number(self) -> float:
        """Return a finite number.

        Raises:
            MaskletError: this is not one.
        """
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not -1e300 < value < 1e300:
            self.refuse("a finite number")
        return float(value)

    def boolean(self) -> bool:
        """Return True or False.

        Raises:
            MaskletError: this is neither.
        """
        if not isinstance(self.value, bool):
            self.refuse("true or false")
        return self.value

    def text(self) -> str:
        """Return a text; half of a surrogate pair, which no file can hold, becomes U+FFFD.

        Raises:
            MaskletError: this is not a text.
        """
        if not isinstance(self.value, str):
            self.refuse("a text")
        return clean_text(self.value)


def clean_text(text: str) -> str:
    """Return a text that can be written to any file: half of a surrogate pair becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def shown(value: Any) -> str:
    """Return a value for a message: its kind for what is large or unreadable, else the value itself."""
    if isinstance(value, bool | int | float | type(None)) or (isinstance(value, str) and len(value) <= 60):
        return _shown(value, 60)
    kind = _KINDS.get(type(value), type(value).__name__)
    return f"{kind}, {_shown(value, 60)}" if isinstance(value, str) else kind


def _shown(value: Any, most: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**most:
        return "a number beyond all limits"
    text = repr(value[: most + 1] if isinstance(value, str) else value)
    return text if len(text) <= most + 2 else f"{text[:most]}..."


def read_json(path: Path, error: type[MaskletError] = DataError, name: str | None = None) -> Json:
    """Return the JSON document of a file.

    Args:
        path: of the file.
        error: class of the errors.
        name: of the file in messages; its path when left out.

    Raises:
        MaskletError: of the class `error`, when the file cannot be read or is not JSON.
    """
    where = str(path) if name is None else name
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as exception:  # a ValueError: the name holds a NUL
        raise error(f"cannot read {where}: {getattr(exception, 'strerror', None) or exception}") from exception
    return parse_json(data, where, error)


def parse_json(data: bytes | str, where: str, error: type[MaskletError] = DataError) -> Json:
    """Return the JSON document in `data`: UTF-8, -16 or -32, with or without a byte order mark.

    Raises:
        MaskletError: of the class `error`, when it is not JSON.
    """
    if not data.strip():
        raise error(f"{where} is empty: expected JSON")
    start = data[:32] if isinstance(data, bytes) else data[:32].encode("utf-8", "replace")
    reason = next((reason for mark, reason in _STARTS.items() if start.startswith(mark)), None)
    if reason is not None:
        raise error(f"{where} is not JSON: {reason}")
    try:
        return Json(json.loads(data), where, error)
    except json.JSONDecodeError as exception:
        at = f"line {exception.lineno}, column {exception.colno}"
        raise error(f"{where} is not JSON: {exception.msg} in {at}; is it cut off?") from exception
    except RecursionError as exception:
        raise error(f"{where} is not usable: its lists and objects are nested too deeply") from exception
    except MemoryError as exception:
        raise error(f"{where} needs more memory than there is") from exception
    except ValueError as exception:  # a UnicodeDecodeError, or a number of thousands of digits
        raise error(f"{where} is not JSON, or is damaged: {exception}") from exception


@contextmanager
def reading(where: str, error: type[MaskletError] = DataError) -> Iterator[None]:
    """Turn whatever a damaged file causes in the block into one error that names the file.

    The last guard around a reader, behind checks with better messages. Errors of masklet pass, except `DataError` where
    another class is asked for.

    Args:
        where: the file.
        error: class of the errors.

    Raises:
        MaskletError: of the class `error`.
    """
    try:
        yield
    except MaskletError as exception:
        if not isinstance(exception, DataError) or issubclass(error, DataError):
            raise
        raise error(f"{where} is damaged: {exception}") from exception
    except OSError as exception:
        raise error(f"cannot read {where}: {exception.strerror or exception}") from exception
    except MemoryError as exception:
        raise error(f"{where} needs more memory than there is, or is damaged") from exception
    except RecursionError as exception:
        raise error(f"{where} is not usable: it is nested too deeply") from exception
    except zipfile.BadZipFile as exception:
        raise error(f"{where} is not a .zip, or is damaged: {exception}") from exception
    except DAMAGE as exception:
        reason = str(exception).split("\n")[0]
        raise error(f"{where} is damaged: {type(exception).__name__}: {reason}") from exception


DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What readers of Python's and numpy's own formats raise for damaged input."""
