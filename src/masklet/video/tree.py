"""Results of many files: a folder, or the same as a zip."""

from __future__ import annotations

import shutil
import uuid
import zipfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from masklet.errors import OutputError
from masklet.output import atomic_path, make_folder

_STORED = (".png", ".jpg", ".jpeg", ".mp4")
"""Compressed already."""


class Tree:
    """Takes files by their names; a context manager. What failed leaves nothing behind."""

    def __init__(self, path: str | Path) -> None:
        """Begin.

        Args:
            path: ends in .zip, and is replaced when complete; or a folder that is empty or does not exist.

        Raises:
            OutputError: the place is taken or cannot be written.
        """
        self.path = Path(path)
        self._stack = ExitStack()
        self._zip: zipfile.ZipFile | None = None
        self._folder: Path | None = None
        if self.path.suffix.lower() == ".zip":
            temporary = self._stack.enter_context(atomic_path(self.path))
            self._zip = self._stack.enter_context(
                zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=4)
            )
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise OutputError(f"{self.path} exists and is not an empty folder: choose another place")
        make_folder(self.path.parent)
        self._folder = make_folder(self.path.with_name(f".{self.path.name[:80]}.{uuid.uuid4().hex[:8]}.part"))

    def write(self, name: str, data: bytes) -> None:
        """Add a file; folders in its name are made.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            if self._zip is not None:
                stored = name.lower().endswith(_STORED)
                kind = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
                self._zip.writestr(name, data, compress_type=kind)
            else:
                assert self._folder is not None
                path = self._folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stack.__exit__(kind, error, trace)
            if self._folder is not None and error is None:
                if self.path.is_dir():
                    self.path.rmdir()  # it is empty
                self._folder.rename(self.path)
        except OSError as failed:
            raise OutputError(f"cannot write {self.path}: {failed.strerror or failed}") from failed
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
