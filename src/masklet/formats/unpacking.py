"""Puts the files of an import into one folder: .zip files are unpacked, within limits for all of them together."""

from __future__ import annotations

import errno
import io
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from masklet.errors import DataError

Files = str | Path | Mapping[str, str | Path | bytes]
"""A file, a folder or a .zip; or uploads: paths or bytes by file name, which may include folders."""


@dataclass(frozen=True, slots=True)
class ImportLimits:
    """Limits of one import: of all its files together, with .zip files unpacked."""

    max_files: int = 200_000
    max_bytes: int = 4 * 2**30
    max_masks: int = 1_000_000


DEFAULT_LIMITS = ImportLimits()


@contextmanager
def unpacked(files: Files, limits: ImportLimits) -> Iterator[Path]:
    """Yield a folder with the files; names of uploads cannot lead out of it.

    Raises:
        DataError: a file does not exist, a .zip is damaged, or they are too many or too large.
    """
    if isinstance(files, str | Path):
        path = Path(files)
        if not path.exists():
            raise DataError(f"{path} does not exist")
        if path.is_dir():
            yield path
            return
        files = {path.name: path}
    if not files:
        raise DataError("nothing to import: no file was given")
    with tempfile.TemporaryDirectory(prefix="masklet-import-") as name:
        unpacking = _Unpacking(Path(name), limits)
        for file_name, content in files.items():
            unpacking.add(str(file_name), content)
        yield unpacking.folder


class _Unpacking:
    """Writes files into a folder, and counts them.

    Args:
        folder: exists.
        limits: of all files together.
    """

    def __init__(self, folder: Path, limits: ImportLimits) -> None:
        self.folder = folder
        self._limits = limits
        self._num_files = 0
        self._num_bytes = 0

    def add(self, name: str, content: str | Path | bytes) -> None:
        if name.lower().endswith(".zip"):
            self._unzip(content, name)
            return
        self._count(1, len(content) if isinstance(content, bytes) else Path(content).stat().st_size)
        target = self._target(name)
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            shutil.copyfile(content, target)

    def _count(self, num_files: int, num_bytes: int) -> None:
        self._num_files += num_files
        self._num_bytes += num_bytes
        limits = self._limits
        if self._num_files > limits.max_files or self._num_bytes > limits.max_bytes:
            raise DataError(
                f"the import is too large: at most {limits.max_files:,} files and {limits.max_bytes / 2**30:g} GB "
                "unpacked, all .zip files together; import it in parts"
            )

    def _unzip(self, content: str | Path | bytes, name: str) -> None:
        try:
            with zipfile.ZipFile(io.BytesIO(content) if isinstance(content, bytes) else content) as archive:
                entries = [entry for entry in archive.infolist() if entry.filename.lower().endswith((".png", ".json"))]
                self._count(len(archive.infolist()), sum(entry.file_size for entry in entries))
                for entry in entries:
                    if "__MACOSX" not in entry.filename:
                        with archive.open(entry) as source, self._target(entry.filename).open("wb") as target:
                            shutil.copyfileobj(source, target)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise DataError(f"{name} holds a file and a folder of one name") from error
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
            raise DataError(f"{name} is not a .zip, or is damaged: {error}") from error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise DataError(f"{name} is not a .zip, or is damaged: {error.strerror or error}") from error

    def _target(self, name: str) -> Path:
        """Return a path for this file name, without parts that would lead out of the folder."""
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        safe = [re.sub(r"[^\w .()@+-]", "_", part).lstrip(".")[-100:] or "_" for part in parts[-6:]] or ["_"]
        target = self.folder.joinpath(*safe)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
