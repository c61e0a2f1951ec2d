"""Uploads: streamed to disk and counted on the way, then probed in a separate process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from masklet.server.database import UserRow
from masklet.server.errors import ApiError
from masklet.server.names import shown_name
from masklet.server.processes import LimitedProcesses
from masklet.server.settings import Limits
from masklet.server.studio import StudioState
from masklet.server.uploads.probe import ProbedFile, as_probed, safe_suffix

CHUNK_FLUSH = 2**20
"""Bytes that are collected before they are written, in a thread."""

MAX_FIELD_BYTES = 64 * 2**10
MAX_HEADER_BYTES = 16 * 2**10
MAX_FIELDS = 100

SECONDS_PER_FILE = 0.5
"""Extra time for the probe of each further file of an upload."""

MAX_PROCESSES = 4
"""Processes that one upload may end before its other files are rejected unread."""

PROBE = "masklet.server.uploads.probe:probe_files"


@dataclass(slots=True)
class Upload:
    """One file of an upload, on disk under a generated name."""

    name: str
    """The sender's name of the file, without control characters; it is shown and never opened."""
    path: Path
    num_bytes: int = 0


@dataclass(slots=True)
class Form:
    """The contents of a multipart request."""

    files: list[Upload] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def received(
    request: Request,
    studio: StudioState,
    user: UserRow,
    *,
    max_bytes: int | None = None,
    max_files: int | None = None,
) -> AsyncIterator[Form]:
    """Yield the files of an upload, in a folder that is removed after the block.

    Args:
        request: not yet read.
        studio: the server's state.
        user: the sender.
        max_bytes: bytes of the request, if not those of any upload.
        max_files: files of the request, likewise.

    Raises:
        ApiError: as `receive`; there is no file; or too many uploads are being checked.
    """
    limits = studio.limits
    studio.processes.check_room(user.id)
    with studio.data.scratch() as folder:
        form = await receive(
            request,
            folder,
            max_bytes=max_bytes or limits.max_bytes,
            max_files=max_files or limits.max_files,
            seconds=limits.body_seconds,
        )
        if not form.files:
            raise ApiError(422, "no_files", "send at least one file, in fields called files", "files")
        yield form


async def receive(request: Request, folder: Path, *, max_bytes: int, max_files: int, seconds: float) -> Form:
    """Write the files of a multipart request into a folder.

    Args:
        request: not yet read.
        folder: for the files, under generated names.
        max_bytes: bytes of the whole request.
        max_files: files of the request.
        seconds: time without a byte after which the upload is dropped.

    Raises:
        ApiError: it is not such a request, or too large; the caller removes the files received so far.
        OSError: they cannot be written, as on a full disk.
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if content_type != b"multipart/form-data" or not boundary:
        raise ApiError(415, "not_multipart", "send files as multipart/form-data, in fields called files", "files")
    announced = request.headers.get("content-length", "")
    if announced.isdigit():
        _check_bytes(int(announced), max_bytes)
    writer = _FormWriter(folder, max_files)
    total = 0
    try:
        parser = MultipartParser(boundary, writer.callbacks())
        pending = bytearray()
        stream = aiter(request.stream())
        while (chunk := await _next(stream, seconds)) is not None:
            total += len(chunk)
            _check_bytes(total, max_bytes)
            pending += chunk
            if len(pending) >= CHUNK_FLUSH:
                await anyio.to_thread.run_sync(parser.write, bytes(pending))
                pending.clear()
        await anyio.to_thread.run_sync(parser.write, bytes(pending))
        parser.finalize()
    except FormParserError as error:
        raise ApiError(
            400, "bad_multipart", f"the upload is not valid multipart/form-data: {error}", "files"
        ) from error
    except ClientDisconnect as error:
        raise ApiError(400, "disconnected", "the upload broke off", "files") from error
    finally:
        writer.close()
    if not writer.is_complete:
        raise ApiError(400, "bad_multipart", "the upload broke off before its end", "files")
    return writer.form


async def _next(stream: AsyncIterator[bytes], seconds: float) -> bytes | None:
    """Return the next bytes of a request; None at its end.

    Raises:
        ApiError: none came in time.
    """
    with anyio.move_on_after(seconds):
        return await anext(stream, None)
    raise ApiError(408, "slow", f"the upload stopped: nothing came for {seconds:.0f} s", "files")


def _check_bytes(count: int, max_bytes: int) -> None:
    if count > max_bytes:
        raise ApiError(
            413,
            "too_large",
            f"an upload may have {size_text(max_bytes)}, and this one is larger: send fewer or smaller files",
            "files",
        )


class _FormWriter:
    """Callbacks of the parser: files go to disk, short fields into memory."""

    def __init__(self, folder: Path, max_files: int) -> None:
        self.form = Form()
        self.is_complete = False
        self._folder = folder
        self._max_files = max_files
        self._num_fields = 0
        self._header = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._num_header_bytes = 0
        self._file: IO[bytes] | None = None
        self._field: str | None = None
        self._text = bytearray()

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finished,
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._headers, self._header, self._value = {}, b"", b""
        self._num_header_bytes = 0

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._value += data[start:end]

    def _count_header_bytes(self, count: int) -> None:
        self._num_header_bytes += count
        if self._num_header_bytes > MAX_HEADER_BYTES:
            raise ApiError(
                400, "bad_multipart", f"the header of a part is longer than {MAX_HEADER_BYTES >> 10} KiB", "files"
            )

    def _header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        filename = options.get(b"filename")
        self._field, self._text = None, bytearray()
        if filename is None:
            self._num_fields += 1
            if self._num_fields > MAX_FIELDS:
                raise ApiError(413, "too_many", f"an upload may have {MAX_FIELDS} fields without a file", "files")
            self._field = name[:100]
            return
        if len(self.form.files) >= self._max_files:
            raise ApiError(413, "too_many", f"this request may have {self._max_files:,} files", "files")
        shown = shown_name(filename.decode("utf-8", "replace"))
        path = self._folder / f"{len(self.form.files):06d}{safe_suffix(shown)}"
        self.form.files.append(Upload(shown, path))
        self._file = path.open("wb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            self.form.files[-1].num_bytes += end - start
        else:
            self._text += data[start:end]
            if len(self._text) > MAX_FIELD_BYTES:
                raise ApiError(413, "too_large", f"the field {self._field!r} is longer than 64 KiB", self._field)

    def _end(self) -> None:
        if self._file is not None:
            self.close()
        elif self._field is not None:
            self.form.values[self._field] = self._text.decode("utf-8", "replace")

    def _finished(self) -> None:
        self.is_complete = True


def size_text(count: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    raise AssertionError


def probe(
    processes: LimitedProcesses, paths: Sequence[Path], limits: Limits, thumbnails: Mapping[Path, Path]
) -> list[ProbedFile | str]:
    """Probe files of one folder in a limited process; return the result of each, or the reason why it is rejected.

    A file that ends the process is rejected, and the next ones are probed by another process, within the same time.
    """
    num_files = sum(sum(1 for _ in path.iterdir()) if path.is_dir() else 1 for path in paths)
    seconds = limits.probe_seconds + SECONDS_PER_FILE * num_files
    deadline = time.monotonic() + seconds + limits.probe_seconds  # one file may take too long, and the rest is probed
    results: list[ProbedFile | str] = []
    for _ in range(MAX_PROCESSES):
        rest = paths[len(results) :]
        document = {
            "limits": asdict(limits),
            "items": [{"path": str(path), "thumbnail": str(thumbnails.get(path, ""))} for path in rest],
        }
        left_s = min(seconds, max(1.0, deadline - time.monotonic()))
        answers = processes.run(PROBE, document, folder=paths[0].parent, seconds=left_s)
        results += [as_probed(answer, limits) for answer in answers.documents[: len(rest)]]
        if len(results) < len(paths):
            results.append(f"the file could not be checked: {answers.failure or 'there was no answer'}")
        if len(results) == len(paths) or time.monotonic() > deadline:
            break
    return results + ["not checked: too many files before it could not be"] * (len(paths) - len(results))
