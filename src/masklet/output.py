"""Writing files so that nobody ever finds half of one: beside the target first, renamed when complete."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from masklet.errors import OutputError


def refuse_existing(path: str | Path, force: bool = False) -> Path:
    """Refuse to write over a file, or into a folder that holds something, unless `force`.

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
    """Create the folder for a file, so that a long run does not find out at its end that it cannot be written.

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
    """A temporary name beside `path`, of the same suffix, that becomes `path` when the block ends well.

    Args:
        path: where the result goes; an existing file is replaced.
        keep_partial: when the block fails, still rename what was written. For files that the writer has closed
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


def cache_folder() -> Path:
    """Where files lie that can be had again: `masklet` in the user's cache folder. It may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "masklet"
