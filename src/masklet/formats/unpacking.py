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

from masklet.datasets.files import MASK_SUFFIXES
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

MAX_PARTS = 33
"""Parts of a file's name: 32 folders and the file."""

MAX_PART_BYTES = 240
"""Bytes of a folder's or file's name: file systems take 255."""


@contextmanager
def unpacked(files: Files, limits: ImportLimits) -> Iterator[Path]:
    """Yield a folder with the files; names of uploads cannot lead out of it.

    Raises:
        DataError: a file does not exist, a .zip is damaged, they are too many or too large, or two have one name.
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
        self._names: dict[Path, str] = {}  # as the user knows them

    def add(self, name: str, content: str | Path | bytes) -> None:
        if name.lower().endswith(".zip"):
            self._unzip(content, name)
            return
        self._count(1, len(content) if isinstance(content, bytes) else Path(content).stat().st_size)
        if not _is_read(name):
            return
        target = self._target(name, name)
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
                entries = [entry for entry in archive.infolist() if _is_read(entry.filename)]
                self._count(len(archive.infolist()), sum(entry.file_size for entry in entries))
                for entry in entries:
                    target = self._target(entry.filename, f"{entry.filename} in {name}")
                    with archive.open(entry) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file)
        except DataError:  # a ValueError too
            raise
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
            raise DataError(f"{name} is not a .zip, or is damaged: {error}") from error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise DataError(f"{name} is not a .zip, or is damaged: {error.strerror or error}") from error

    def _target(self, name: str, shown_name: str) -> Path:
        """Return a path for this file name, without parts that would lead out of the folder.

        Raises:
            DataError: another file has the path, or it is too deep.
        """
        parts = [_safe_part(part) for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        if len(parts) > MAX_PARTS:
            raise DataError(f"{shown_name} lies {len(parts) - 1} folders deep: at most {MAX_PARTS - 1} are read")
        target = self.folder.joinpath(*(parts or ["_"]))
        for path in (target, *target.parents):
            # A file that is met again, or that lies where this one needs a folder.
            if path in self._names:
                raise DataError(
                    f"{self._names[path]} and {shown_name} come to the same place when their names are made safe and "
                    "all files lie in one folder: rename one of them, or import them apart"
                )
        if target.is_dir():
            raise DataError(f"{shown_name} has the name of a folder in the same import: rename one of them")
        self._names[target] = shown_name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def _is_read(name: str) -> bool:
    """Return True for masks and documents; False for what macOS adds to archives."""
    *folders, file_name = name.replace("\\", "/").split("/")
    is_of_macos = "__MACOSX" in folders or file_name.startswith("._")
    return not is_of_macos and Path(file_name).suffix.lower() in (".json", *MASK_SUFFIXES)


def _safe_part(part: str) -> str:
    """Return a folder's or file's name of at most `MAX_PART_BYTES`; its end is kept, which has number and suffix."""
    safe = re.sub(r"[^\w .()@+-]", "_", part).lstrip(".")
    return safe.encode()[-MAX_PART_BYTES:].decode(errors="ignore") or "_"
