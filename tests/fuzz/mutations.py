"""Mutations of valid small files: of the structure of JSON, .zip and .safetensors files, of the bytes of all others."""

from __future__ import annotations

import copy
import io
import json
import math
import random
import zipfile
from collections.abc import Callable
from typing import Any

STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**70, -(2**70), 10**400, 0.5, -0.0, math.nan, math.inf, 1e308, "", "x",
    "\ud800",
    "a\0b", "../../x", "9" * 400, [], {}, [[]], [1, 2], {"a": 1}, {"size": [10**6, 10**6], "counts": [10**12]},
    {"size": {"100000": 0, "50000": 0}, "counts": [5 * 10**9]}, {"size": [4, 4], "counts": [math.inf]},
)  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return a damaged copy of a file."""
    if data[:1] in (b"{", b"["):
        return _bytes_changed(data, rng) if rng.random() < 0.2 else json_changed(data, rng)
    if data[:4] == b"PK\x03\x04":
        return _bytes_changed(data, rng) if rng.random() < 0.2 else _zip_changed(data, rng)
    if data[8:9] == b"{" and rng.random() < 0.7:
        return _header_changed(data, rng)
    return _bytes_changed(data, rng)


def _header_changed(data: bytes, rng: random.Random) -> bytes:
    """Change the JSON at the start of a .safetensors file; its length stands before it, eight bytes little endian.

    The text of masklet's configuration within it is JSON, too.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    document = json.loads(data[8:end])
    if "masklet" in document.get("__metadata__", {}) and rng.random() < 0.7:
        metadata = document["__metadata__"]
        metadata["masklet"] = json.dumps(_value_changed(json.loads(metadata["masklet"]), rng))
        header = json.dumps(document).encode()
    else:
        header = json_changed(data[8:end], rng)
    return len(header).to_bytes(8, "little") + header + data[end:]


def _bytes_changed(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        at = rng.randrange(len(changed) + 1)
        change = rng.randrange(5)
        if change == 0:
            del changed[at:]
        elif change == 1:
            changed[at:at] = rng.randbytes(rng.choice((1, 4, 100)))
        elif change == 2:
            del changed[at : at + rng.choice((1, 4, 100))]
        elif change == 3:
            changed[at : at + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
        elif at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        if not changed:
            break
    return bytes(changed)


def json_changed(data: bytes, rng: random.Random) -> bytes:
    """Return a copy of a JSON document with other values, fields, repeated names or encoding."""
    if rng.random() < 0.02:
        return rng.choice((b"[", b'{"a":')) * 100_000
    try:
        document = json.loads(data)
    except ValueError:
        return _bytes_changed(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        document = _value_changed(document, rng)
    text = json.dumps(document)
    encoding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"))
    if text.startswith('{"') and rng.random() < 0.05:  # a name twice
        text = "{" + text[1:-1] + f", {text[1:].split(':', 1)[0]}: {json.dumps(rng.choice(STRANGE))}}}"
    return text.encode(encoding)


def _value_changed(document: Any, rng: random.Random) -> Any:
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        for key, inner in pairs:
            places.append((value, key))
            if isinstance(inner, dict | list):
                collect(inner)

    if isinstance(document, dict | list):
        collect(document)
    if not places or rng.random() < 0.02:
        return copy.deepcopy(rng.choice(STRANGE))
    parent, key = rng.choice(places)
    change: Callable[[], None] = rng.choice(
        (
            lambda: parent.__setitem__(key, copy.deepcopy(rng.choice(STRANGE))),
            lambda: parent.__setitem__(key, copy.deepcopy(rng.choice(STRANGE))),
            lambda: parent.__delitem__(key),
            lambda: parent.__setitem__(key, [parent[key]]),
            lambda: parent.__setitem__(key, str(parent[key])),
            lambda: parent.append(copy.deepcopy(parent[key])) if isinstance(parent, list) else None,
            lambda: parent.update({str(rng.choice(STRANGE)): parent[key]}) if isinstance(parent, dict) else None,
        )
    )
    change()
    return document


def _zip_changed(data: bytes, rng: random.Random) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [(name, archive.read(name)) for name in archive.namelist()]
    except (zipfile.BadZipFile, ValueError, OSError):
        return _bytes_changed(data, rng)
    row = rng.randrange(len(entries))
    name, content = entries[row]
    change = rng.randrange(6)
    if change == 0:
        del entries[row]
    elif change == 1:
        entries.append((f"{name}/{rng.choice(('x.png', 'x.json', name))}", content))
    elif change == 2:
        entries[row] = (rng.choice(("../../x.png", "a" * 300 + ".png", "\u202ex.json", f"__MACOSX/{name}")), content)
    else:
        entries[row] = (name, mutated(content, rng) if content else b"x")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for entry_name, entry in entries:
            archive.writestr(entry_name, entry)
    return buffer.getvalue()
