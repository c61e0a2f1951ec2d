"""Atomic file output: files are written next to their target and renamed when complete."""

from __future__ import annotations

import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from masklet.errors import OutputError

SPARE_BYTES = 2 * 2**20
"""Space kept free on the disk for finishing open files."""


def refuse_existing(path: str | Path, force: bool = False) -> Path:
    """Refuse to replace a file, or to write into a folder that is not empty, unless `force`.

    Raises:
        OutputError: the path exists and `force` is False.
    """
    path = Path(path)
    if force:
        return path
    if path.is_dir():
        if any(path.iterdir()):
            raise OutputError(f"{path} exists and is not empty: choose another place or use --force")
    elif path.exists() or path.is_symlink():
        raise OutputError(f"{path} exists: choose another name or use --force to replace it")
    return path


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
    temporary = path.with_name(f".{path.stem[:80]}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
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
    free = shutil.disk_usage(path if path.is_dir() else path.parent).free
    if free < SPARE_BYTES + to_finish:
        kept = "The frames so far are kept; make room" if keeps_frames else "Nothing was written; make room"
        raise OutputError(
            f"the disk is full: {free / 2**20:.1f} MB are left for {path}. {kept}, or choose another place"
        )


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
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise OutputError(f"{self.path} exists and is not an empty folder: choose another place")
            make_folder(self.path.parent)
            self._temporary = make_folder(self.path.with_name(f".{self.path.name[:80]}.{uuid.uuid4().hex[:8]}.part"))

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
