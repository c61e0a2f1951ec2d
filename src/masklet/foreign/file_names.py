"""Names of files as other computers wrote them, and the files that they mean: the longest equal end of paths counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

Parts = tuple[str, ...]
"""Folders and file name of a path."""

T = TypeVar("T")

_ROBOFLOW = re.compile(r"(?P<stem>.+)_(?P<suffix>jpe?g|png|webp|bmp|tiff?|gif|avif)\.rf\.[0-9A-Za-z]+\.\w+", re.I)
_LABEL_STUDIO = re.compile(r"[0-9a-f]{8}-(?P<name>.+)")


def name_parts(name: str) -> list[Parts]:
    """Return the paths that a name in a foreign file may mean, the literal one first.

    Backslashes, drives, URLs and percent signs are understood, `..` is dropped. Roboflow renames `a.jpg` to
    `a_jpg.rf.<hash>.jpg`, Label Studio to `<8 digits>-a.jpg`: the name before that is the second one.
    """
    paths: list[Parts] = []
    for text in dict.fromkeys((name, unquote(name))):
        parts = _split(text)
        if not parts:
            continue
        paths.append(parts)
        if match := _ROBOFLOW.fullmatch(parts[-1]):
            paths.append((*parts[:-1], f"{match['stem']}.{match['suffix']}"))
        elif match := _LABEL_STUDIO.fullmatch(parts[-1]):
            paths.append((*parts[:-1], match["name"]))
    return list(dict.fromkeys(paths))


def _split(text: str) -> Parts:
    if "://" in text or "?" in text:
        try:
            address = urlsplit(text)
            local = parse_qs(address.query).get("d")  # Label Studio: /data/local-files/?d=folder/a.jpg
        except ValueError:
            return ()
        if local:
            text = local[0]
        elif "://" in text:
            text = unquote(address.path)
    parts = text.replace("\\", "/").replace("\0", "").split("/")
    return tuple(part for part in parts if part not in ("", ".", "..") and not re.fullmatch(r"[A-Za-z]:", part))


def shared_end(wanted: Sequence[str], parts: Sequence[str]) -> tuple[int, bool]:
    """Return how many parts at the end of two paths are equal, and whether the suffix of the file name is, too.

    Upper and lower case count as equal; the file names are compared without their suffixes, because a tool may have
    saved the image as another type.
    """
    if not wanted or not parts or casefolded_stem(wanted[-1]) != casefolded_stem(parts[-1]):
        return 0, False
    count = 1
    for first, second in zip(reversed(wanted[:-1]), reversed(parts[:-1]), strict=False):
        if first.casefold() != second.casefold():
            break
        count += 1
    return count, wanted[-1].casefold() == parts[-1].casefold()


def best_matches(wanted: Sequence[str], candidates: Iterable[T], names_of: Callable[[T], Sequence[Parts]]) -> list[T]:
    """Return the candidates whose path shares the longest end with a wanted one: none, one, or several that tie.

    Args:
        wanted: parts of the path.
        candidates: whatever has names.
        names_of: the names of a candidate, in order of trust: a later one counts only if no earlier one of any
            candidate fits.
    """
    listed = [(candidate, names_of(candidate)) for candidate in candidates]
    for trust in range(max((len(names) for _, names in listed), default=0)):
        ranked = [(shared_end(wanted, names[trust]), candidate) for candidate, names in listed if trust < len(names)]
        best = max((rank for rank, _ in ranked), default=(0, False))
        if best[0]:
            return [candidate for rank, candidate in ranked if rank == best]
    return []


def casefolded_stem(name: str) -> str:
    """Return a file name without its suffix, by which names of the same file are equal."""
    return PurePosixPath(name).stem.casefold()
