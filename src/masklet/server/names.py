"""Names that people and other programs give: of projects, media, objects and classes. They are shown, never opened."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

_HIDDEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters
    "\u00ad\u200b\u2060-\u2064\ufeff"  # invisible: two equal names would differ
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of text: "exe.gpj" would be shown as "jpg.exe"
    "\u2028\u2029\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff"  # line separators, annotations, no characters
    "\ud800-\udfff"  # halves of characters, which UTF-8 does not have
    "\U000e0000-\U000e007f"  # tags
    "]+"
)
"""Characters that are removed from names. The joiners of Persian, Hindi and emoji stay."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=$|[. ])", re.IGNORECASE)
"""Names that Windows has for devices, with any suffix."""

MAX_STEM_BYTES = 120
"""Bytes of a file's name without suffix: file systems allow 255, to which exports add."""


def clean_name(name: str) -> str:
    """Return a name without characters that hide something or that cannot be stored; it may be empty."""
    text = re.sub(r"[\t\n\r\v\f\x85\u2028\u2029]+", " ", name)
    return unicodedata.normalize("NFC", _HIDDEN.sub("", text)).strip()


def visible_name(name: str) -> str:
    """Return a name as `clean_name` does.

    Raises:
        ValueError: nothing visible is left.
    """
    cleaned = clean_name(name)
    if not cleaned:
        raise ValueError("a name must have a visible character")
    return cleaned


def shown_name(path: str) -> str:
    """Return the name of an uploaded file: the last parts of its path, at most 200 letters, cleaned."""
    parts = [part for part in re.split(r"[\\/]+", path) if part not in ("", ".", "..")][-4:]
    return clean_name("/".join(parts))[-200:].strip() or "unnamed"


def file_stem(name: str) -> str:
    """Return a medium's name without its suffix, safe in shells, .zip files and every file system."""
    stem = PurePosixPath(clean_name(name).split("/")[-1]).stem
    stem = re.sub(r"[^\w .()+-]+", "_", stem).strip(" .").encode()[:MAX_STEM_BYTES].decode(errors="ignore").strip(" .")
    return f"_{stem}" if _RESERVED.match(stem) else stem or "medium"


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names, with a number appended to each that repeats an earlier one, apart from upper and lower case."""
    unique: list[str] = []
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    """The last number that was tried for a name."""
    for name in names:
        candidate = name
        while candidate.casefold() in taken:
            numbers[name] = numbers.get(name, 1) + 1
            candidate = f"{name} {numbers[name]}"
        taken.add(candidate.casefold())
        unique.append(candidate)
    return unique
