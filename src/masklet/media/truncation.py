"""Finds out from a container's own lengths whether a video file was cut off: frames that it announces are not there.

A duration proves nothing: it may be the sound's, and frames may be unevenly spaced. Containers without lengths
(MPEG-TS, MPEG-PS, bare streams) and files that a recorder did not finish, whose lengths are blank, can end anywhere.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

MAX_ELEMENTS = 200_000
"""Of one file; a longer walk is given up."""

EBML, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
INDEX_ELEMENTS = frozenset({0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770, 0xEC})
"""Elements of Matroska after the frames: Cues, Tags, Attachments, Chapters, Void."""

ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def is_cut_off(path: Path) -> bool:
    """Return True if frames are missing at the end of a file; False if nothing says so."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(16)
            for starts, is_cut in _CONTAINERS:
                if starts(head):
                    return is_cut(file, size)
    except (OSError, struct.error):
        pass
    return False


def has_fragments(path: Path) -> bool:
    """Return True for a fragmented MP4, whose index at the beginning lists only some of the frames."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return any(kind == b"moof" for kind, _, _ in _boxes(file, size))


def _read_at(file: BinaryIO, at: int, count: int) -> bytes:
    """Return up to `count` bytes; none if the place, of which a damaged file can say anything, is behind its end."""
    if at >= os.fstat(file.fileno()).st_size:
        return b""
    file.seek(at)
    return file.read(count)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the boxes of an MP4 at the top level."""
    at = 0
    for _ in range(MAX_ELEMENTS):
        head = _read_at(file, at, 16)
        if len(head) < 8 or not head[4:8].isalnum():
            return
        length = struct.unpack(">I", head[:4])[0]
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:  # 0: up to the end of the file
            return
        yield head[4:8], at, at + length
        at += length


def _is_mp4_cut(file: BinaryIO, size: int) -> bool:
    return any(kind in (b"mdat", b"moof") and end > size for kind, _, end in _boxes(file, size))


def _is_matroska_cut(file: BinaryIO, size: int) -> bool:
    elements = list(_matroska_elements(file))
    if not elements or elements[0][1] is None or elements[0][1] <= size:
        return False
    return all(end is not None for _, end in elements) and elements[-1][0] not in INDEX_ELEMENTS


def matroska_frames_end(path: Path) -> int | None:
    """Return where the last frames of a Matroska or WebM file end; None for other files, or if it does not say so."""
    with path.open("rb") as file:
        if file.read(4) != EBML.to_bytes(4, "big"):
            return None
        ends = [end for kind, end in _matroska_elements(file) if kind == CLUSTER]
    return ends[-1] if ends else None


def _matroska_elements(file: BinaryIO) -> Iterator[tuple[int, int | None]]:
    """Yield id and end of the segment and of what it holds; the end is None, and the last one, if it is blank."""
    at = 0
    for _ in range(MAX_ELEMENTS):
        element = _ebml_element(_read_at(file, at, 12))
        if element is None:
            return
        kind, header, length = element
        end = None if length is None else at + header + length
        if kind != EBML:
            yield kind, end
        if kind == SEGMENT:
            at += header
        elif end is None:
            return
        else:
            at = end


def _ebml_element(head: bytes) -> tuple[int, int, int | None] | None:
    """Return id, length of the header, and length of the content (None if blank) of an EBML element."""
    if not head or head[0] < 0x10:
        return None
    id_length = 9 - head[0].bit_length()
    if len(head) <= id_length or head[id_length] == 0:
        return None
    size_length = 9 - head[id_length].bit_length()
    field = head[id_length : id_length + size_length]
    if len(field) < size_length:
        return None
    length = int.from_bytes(field, "big") & ((1 << 7 * size_length) - 1)
    is_blank = length == (1 << 7 * size_length) - 1
    return int.from_bytes(head[:id_length], "big"), id_length + size_length, None if is_blank else length


def _is_avi_cut(file: BinaryIO, size: int) -> bool:
    at = 0
    for _ in range(MAX_ELEMENTS):
        head = _read_at(file, at, 12)
        if len(head) < 12:
            return False
        kind, length, content = head[:4], struct.unpack("<I", head[4:8])[0], head[8:]
        if kind == b"RIFF":
            if length == 0 or at + 8 + length <= size:
                at += 8 + length + length % 2
                if length == 0:
                    return False
            else:
                at += 12  # into the chunk that the end of the file is in
        elif at + 8 + length > size:
            return kind == b"LIST" and content == b"movi"
        else:
            at += 8 + length + length % 2
    return False


def _is_asf_cut(file: BinaryIO, size: int) -> bool:
    file.seek(0)
    head = file.read(64 * 1024)
    at = head.find(ASF_FILE)
    if at < 0 or len(head) < at + 92:
        return False
    announced, flags = struct.unpack("<Q", head[at + 40 : at + 48])[0], struct.unpack("<I", head[at + 88 : at + 92])[0]
    is_broadcast = flags & 1
    return not is_broadcast and announced > size


def _is_flv_cut(file: BinaryIO, size: int) -> bool:
    file.seek(0)
    match = re.search(rb"\x00\x08filesize\x00(.{8})", file.read(64 * 1024), re.DOTALL)
    return match is not None and struct.unpack(">d", match[1])[0] > size


_CONTAINERS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, int], bool]], ...] = (
    (lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"), _is_mp4_cut),
    (lambda head: head[:4] == EBML.to_bytes(4, "big"), _is_matroska_cut),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"AVI ", _is_avi_cut),
    (lambda head: head == ASF_HEADER, _is_asf_cut),
    (lambda head: head[:3] == b"FLV", _is_flv_cut),
)
