"""Atomic file output: files are written next to their target and renamed when complete.

A process that is killed leaves its unfinished files. Their names say which process wrote them, so that the next one
that writes in the folder removes them.

A path that only one process may use at a time has a lock of the operating system, which vanishes with the process. A
lock is a file in the folder (`.masklet-lock`), or next to the file, that names the process for the message to others.
What counts is the lock that the system holds on it: a lock file that a killed process has left is no obstacle. File
systems without locks (some FUSE and SMB mounts, Lustre without `flock`, NFS whose lock service is off) are checked by
that note alone: a process of the same machine is found, one of another machine is not.
"""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import re
import shutil
import socket
import sys
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from io import FileIO
from pathlib import Path
from types import TracebackType

from masklet.errors import OutputError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

logger = logging.getLogger("masklet")

SPARE_BYTES = 2 * 2**20
"""Space kept free on the disk for finishing open files."""

LOCK_FILE = ".masklet-lock"
"""Name of the file by which a process keeps others out of a folder, see `PathLock`."""

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})
"""Errors of file systems that have no locks."""

LOCKED_BYTE = 2**30
"""Windows locks bytes, and a locked byte cannot be read: this one is beyond the note."""

_TOKEN = uuid.uuid4().hex[:6]
"""Tells the unfinished files of this process from those of an earlier one with the same number, as in a container."""

_numbers = itertools.count()
_swept: set[Path] = set()
"""Folders from which this process has removed the unfinished files of others."""


def refuse_existing(path: str | Path, force: bool = False) -> Path:
    """Refuse to replace a file, or to write into a folder that is not empty, unless `force`.

    Raises:
        OutputError: the path exists and `force` is False.
    """
    path = Path(path)
    if force:
        return path
    if path.is_dir():
        if holds_files(path):
            raise OutputError(f"{path} exists and is not empty: choose another place or use --force")
    elif path.exists() or path.is_symlink():
        raise OutputError(f"{path} exists: choose another name or use --force to replace it")
    return path


def holds_files(folder: Path) -> bool:
    """Return True if a folder is not empty; its lock, and what a killed process has left in it, do not count."""
    remove_unfinished(folder)
    return any(not path.name.endswith(LOCK_FILE) for path in folder.iterdir())


def make_folder(path: str | Path) -> Path:
    """Create a folder with its parents.

    Raises:
        OutputError: it cannot be created, or a file has its name.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the folder {path}: {error.strerror or error}") from error
    return path


def check_writable(path: str | Path) -> Path:
    """Create the folder of a file and check that the file can be written; call it before a long run.

    Raises:
        OutputError: the folder cannot be created or written to, or a folder has the file's name.
    """
    path = Path(path)
    make_folder(path.parent)
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"cannot write {path}: no permission to write in {path.parent}")
    return path


@contextmanager
def atomic_path(path: str | Path, *, keep_partial: bool = False) -> Iterator[Path]:
    """Yield a temporary path next to `path`, with the same suffix; rename it to `path` when the block succeeds.

    Args:
        path: of the result; an existing file is replaced.
        keep_partial: also rename the file when the block fails. For files that the writer has closed
            properly on the way out, such as a video that ends early.

    Raises:
        OutputError: the folder cannot be created or written to.
    """
    path = check_writable(path)
    temporary = unfinished_path(path)
    try:
        yield temporary
    except BaseException:
        if keep_partial and temporary.exists():
            os.replace(temporary, path)
        else:
            temporary.unlink(missing_ok=True)
        raise
    try:
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def unfinished_path(path: Path) -> Path:
    """Return a new path next to `path`, with the same suffix, for writing what will be renamed to it.

    The name has the machine's and the process's number. The unfinished files of processes that have ended are removed
    from the folder, the first time that this process writes there.
    """
    if path.parent not in _swept:
        _swept.add(path.parent)
        remove_unfinished(path.parent)
    stem = path.stem.encode()[:80].decode(errors="ignore")
    return path.with_name(f".{stem}.{_machine()}-{os.getpid()}-{_TOKEN}-{next(_numbers)}.part{path.suffix}")


_UNFINISHED = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-([0-9a-f]{6})-\d+\.part(\.[^.]*)?", re.DOTALL)


def remove_unfinished(folder: Path) -> None:
    """Remove the files and folders that killed processes of this machine have left unfinished in a folder."""
    with suppress(OSError):
        for path in folder.iterdir():
            unfinished = _UNFINISHED.fullmatch(path.name)
            if unfinished is None or not _is_abandoned(*unfinished.groups()[:3]):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


def _is_abandoned(machine: str, process_id: str, token: str) -> bool:
    if machine != _machine():
        return False
    return token != _TOKEN if int(process_id) == os.getpid() else not is_running(int(process_id))


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def is_running(process_id: object) -> bool:
    """Return True if a process of this machine runs, or if that cannot be told."""
    if not isinstance(process_id, int) or sys.platform == "win32":  # there, `os.kill` would end it
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True


@contextmanager
def naming_errors(path: str | Path) -> Iterator[None]:
    """Turn the operating system's errors within the block into an OutputError that names the file.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def spreadsheet_text(text: str) -> str:
    """Return the text of a CSV's cell, escaped so that spreadsheets do not treat it as a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def cache_folder() -> Path:
    """Return the folder for files that can be made or downloaded again, `masklet` in the user's cache folder.

    It may not exist yet.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "masklet"


def check_space(path: Path, to_finish: int = 0, *, keeps_frames: bool = True) -> None:
    """Raise before the disk is full, so that the file can still be finished: an unfinished video cannot be played.

    Args:
        path: the file, or a folder of files.
        to_finish: bytes needed for finishing, beyond `SPARE_BYTES`.
        keeps_frames: the frames so far stay in the file; the message then says so.

    Raises:
        OutputError: the disk is nearly full.
    """
    free = free_bytes(next(folder for folder in (path, *path.absolute().parents) if folder.is_dir()))
    if free < SPARE_BYTES + to_finish:
        kept = "The frames so far are kept; make room" if keeps_frames else "Nothing was written; make room"
        raise full_disk(f"the disk is full: {free / 2**20:.1f} MB are left for {path}. {kept}, or choose another place")


def free_bytes(folder: Path) -> int:
    """Return the space that is left for files in a folder, bytes."""
    return shutil.disk_usage(folder).free


def full_disk(message: str) -> OutputError:
    """Return the error of a full disk, which has the system's number for it."""
    error = OutputError(message)
    error.errno = errno.ENOSPC
    return error


_COMPRESSED_SUFFIXES = (".png", ".jpg", ".jpeg", ".mp4")
"""Suffixes of files that a .zip stores without compression."""


class OutputFolder:
    """Writes files by name into a folder or a .zip; a context manager. After an error, nothing is left behind."""

    def __init__(self, path: str | Path, *, is_live: bool = False) -> None:
        """Open the output.

        Args:
            path: a .zip, which is replaced when complete; or a folder that is empty or does not exist.
            is_live: write into the folder itself, which may hold other files, one complete file after another. Files
                written before an error stay.

        Raises:
            OutputError: the folder is not empty, or the path cannot be written.
        """
        self.path = Path(path)
        self._stack = ExitStack()
        self._zip: zipfile.ZipFile | None = None
        self._temporary: Path | None = None
        if self.path.suffix.lower() == ".zip":
            temporary = self._stack.enter_context(atomic_path(self.path))
            self._zip = self._stack.enter_context(
                zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=4)
            )
        elif is_live:
            make_folder(self.path)
        else:
            if self.path.exists() and (not self.path.is_dir() or holds_files(self.path)):
                raise OutputError(f"{self.path} exists and is not an empty folder: choose another place")
            make_folder(self.path.parent)
            self._temporary = make_folder(unfinished_path(self.path))

    def write(self, name: str, data: bytes) -> None:
        """Add a file; folders in its name are created.

        Raises:
            OutputError: it cannot be written.
        """
        with naming_errors(self.path):
            if self._zip is not None:
                is_compressed = name.lower().endswith(_COMPRESSED_SUFFIXES)
                kind = zipfile.ZIP_STORED if is_compressed else zipfile.ZIP_DEFLATED
                self._zip.writestr(name, data, compress_type=kind)
            elif self._temporary is not None:
                path = self._temporary / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            else:
                with atomic_path(self.path / name) as temporary:
                    temporary.write_bytes(data)

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with naming_errors(self.path):
                self._stack.__exit__(kind, error, trace)
                if self._temporary is not None and error is None:
                    if self.path.is_dir():
                        self.path.rmdir()  # it was empty before
                    self._temporary.rename(self.path)
        finally:
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)


@contextmanager
def only_user(path: str | Path, *, is_file: bool = False) -> Iterator[None]:
    """Keep other processes of masklet from using a folder or a file during the block; arguments as of `PathLock`.

    Raises:
        OutputError: another process uses it, or its folder cannot be written.
    """
    lock = PathLock(path, is_file=is_file)
    try:
        yield
    finally:
        lock.release()


class PathLock:
    """A lock on a folder or a file, held until `release` or the end of the process."""

    def __init__(self, path: str | Path, *, is_file: bool = False) -> None:
        """Acquire the lock.

        Args:
            path: of a folder, which is created if necessary, or of a file, which need not exist.
            is_file: True for a file.

        Raises:
            OutputError: another process uses it, or its folder cannot be written.
        """
        self.path = Path(path)
        self._folder = self.path.parent if is_file else self.path
        self._is_new = not self._folder.exists()
        self._lock_file = make_folder(self._folder) / (f".{self.path.name}{LOCK_FILE}" if is_file else LOCK_FILE)
        self._file = self._acquire()

    def release(self) -> None:
        """Let other processes use the path. A folder that the lock created is removed if nothing has been written."""
        if self._file.closed:
            return
        with suppress(OSError):  # while it is locked, so that nobody else's new file is removed
            if sys.platform != "win32":
                self._lock_file.unlink()
        self._file.close()
        with suppress(OSError):
            if sys.platform == "win32":
                self._lock_file.unlink()
            if self._is_new:
                self._folder.rmdir()

    def _acquire(self) -> FileIO:
        while True:
            try:
                file = FileIO(self._lock_file, "a+")  # unbuffered: closing it cannot fail on a full disk
            except OSError as error:
                raise OutputError(f"cannot write in {self._folder}: {error.strerror or error}") from error
            try:
                if not self._lock(file):
                    raise OutputError(self._refusal(file))
                if not self._is_current(file):  # its owner has removed it meanwhile
                    file.close()
                    continue
            except BaseException:
                file.close()
                raise
            self._sign(file)
            return file

    def _lock(self, file: FileIO) -> bool:
        """Lock the file; False if another process holds the lock."""
        try:
            if sys.platform == "win32":
                file.seek(LOCKED_BYTE)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                return False
            logger.warning("the file system of %s has no locks: take care that no other machine uses it", self.path)
            note = _read_note(file)
            return note.get("host") != socket.gethostname() or not is_running(note.get("process"))
        return True

    def _is_current(self, file: FileIO) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(self._lock_file))
        except OSError:
            return False

    def _sign(self, file: FileIO) -> None:
        since = datetime.now().astimezone().isoformat(" ", "minutes")
        note = {"process": os.getpid(), "host": socket.gethostname(), "since": since}
        with suppress(OSError):  # a full disk: the lock holds without its note
            file.seek(0)
            file.truncate()
            file.write(json.dumps(note).encode())

    def _refusal(self, file: FileIO) -> str:
        note = _read_note(file)
        by = "another process"
        if note:
            by = f"process {note.get('process')} on {note.get('host')} since {note.get('since')}"
        return f"{self.path} is in use by {by}: stop that process first, or choose another place"


def _read_note(file: FileIO) -> dict[str, object]:
    try:
        file.seek(0)
        note = json.loads(file.read(1000))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
