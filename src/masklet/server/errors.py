"""Errors of the HTTP API: a status and a code per class, and a sentence for users.

Whatever is wrong with the storage, a disk or a database, and wherever it is noticed, is one kind of error with one
answer: 507 if there is no space left, otherwise 503. Both say when to try again. Answers never contain paths of the
server: its log has them.
"""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from sqlalchemy.exc import DataError as SQLDataError
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, NoResultFound, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from masklet.errors import (
    ConfigError,
    DataError,
    EngineError,
    ImageError,
    MaskletError,
    OutputError,
    PromptError,
    SessionError,
    TrackingError,
    VideoError,
)


class ConflictError(MaskletError, ValueError):
    """The request conflicts with the current state: a locked object, a medium that is being tracked."""


class NotFoundError(MaskletError, LookupError):
    """Something that does not exist, or that belongs to another user."""


class ApiError(MaskletError):
    """An error with its own HTTP status.

    Args:
        status: HTTP status.
        code: a stable word for programs.
        message: a sentence for users.
        field: the field of the request that caused it.
        retry_after_s: seconds after which a retry may succeed.
    """

    def __init__(
        self, status: int, code: str, message: str, field: str | None = None, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.retry_after_s = retry_after_s


STATUSES: dict[type[MaskletError], tuple[int, str]] = {
    NotFoundError: (404, "not_found"),
    ConflictError: (409, "conflict"),
    TrackingError: (409, "tracking"),
    PromptError: (422, "prompt"),
    ImageError: (422, "image"),
    VideoError: (422, "video"),
    DataError: (422, "data"),
    ConfigError: (422, "config"),
    SessionError: (422, "session"),
    EngineError: (503, "engine"),
    OutputError: (422, "output"),
}
"""Status and code by class, for errors that are not the storage's; the first match counts."""

FAULT = "internal error of the server: see its log"


def as_api_error(error: Exception, *, data: Path | None = None) -> ApiError:
    """Return the HTTP error for any error.

    Args:
        error: what went wrong.
        data: the server's folder, whose paths are left out of the message.
    """
    if isinstance(error, ApiError):
        return error
    fault = storage_fault(error)
    if fault is not None:
        return STORAGE_ERRORS[fault]()
    for kind, (status, code) in STATUSES.items():
        if isinstance(error, kind):
            return ApiError(status, code, without_paths(str(error), data))
    return ApiError(500, "fault", without_paths(str(error), data) if isinstance(error, MaskletError) else FAULT)


# Storage: disks and databases.

StorageFault = Literal["full", "away"]


def no_space() -> ApiError:
    """Return the error of a full disk, or of a full database."""
    message = (
        "the server has no space left, so nothing was changed: delete what is not needed, or ask its administrator"
    )
    return ApiError(507, "no_space", message, retry_after_s=60)


def storage_away() -> ApiError:
    """Return the error of a storage that does not answer, is locked or cannot be written."""
    message = "the server cannot reach its storage, so nothing was changed: try again, or ask its administrator"
    return ApiError(503, "storage", message, retry_after_s=5)


STORAGE_ERRORS = {"full": no_space, "away": storage_away}

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_AWAY = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "EROFS", "EACCES", "EPERM", "ENXIO", "ENODEV", "ESTALE", "ETIMEDOUT", "EBUSY", "EAGAIN"),
        *("EMFILE", "ENFILE", "ENOTCONN", "EHOSTDOWN", "ENOLCK"),
    )
    if hasattr(errno, name)
)
_AWAY_STATES = ("08", "25006", "40", "53", "55", "57", "58")
"""Beginnings of the SQLSTATE of errors that are the database's and not the statement's; 53100 is a full disk."""


def storage_fault(error: BaseException) -> StorageFault | None:
    """Return what is wrong with the storage, from an error and its causes; None if it is something else."""
    for cause in _causes(error):
        fault = _fault_of_sql(cause) if isinstance(cause, SQLAlchemyError | sqlite3.Error) else _fault_of_system(cause)
        if fault is not None:
            return fault
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and what caused it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _fault_of_system(error: BaseException) -> StorageFault | None:
    number = getattr(error, "errno", None)  # FFmpeg's errors have it, too
    return "full" if number in _FULL else "away" if number in _AWAY else None


def _fault_of_sql(error: SQLAlchemyError | sqlite3.Error) -> StorageFault | None:
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        if "full" in str(original):
            return "full"
        is_statement = isinstance(original, sqlite3.IntegrityError | sqlite3.ProgrammingError)
        return None if is_statement or "no such" in str(original) or "syntax" in str(original) else "away"
    state = getattr(original, "sqlstate", None) or ""
    if state.startswith("53100"):
        return "full"
    if state:
        return "away" if state.startswith(_AWAY_STATES) else None
    return "away" if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError) else None


def database_error(error: SQLAlchemyError) -> Exception:
    """Return the error to raise for one of the database: of the storage, of a deleted row, of two requests at once."""
    if storage_fault(error) is not None:
        return OutputError(f"the database cannot be used: {first_line(error)}")
    if isinstance(error, SQLDataError):
        return DataError(f"the database cannot hold a value of the request: {first_line(error)}")
    if isinstance(error, NoResultFound):
        return NotFoundError("it has been deleted meanwhile")
    if isinstance(error, IntegrityError):
        return ConflictError("it was changed or deleted at the same time by another request: load it again")
    return error


def first_line(error: Exception) -> str:
    """Return what the database says, without the statement and SQLAlchemy's advice."""
    text = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return text.splitlines()[0] if text else type(error).__name__


_PATH = re.compile(r"""(?<![\w.:/\\~-])(?:file:)?(?:/|[A-Za-z]:[\\/])(?:[^\s'"/\\]+[\\/])+(?=[^\s'"/\\])""")


def without_paths(text: str, data: Path | None = None) -> str:
    """Return a text in which paths of the server are reduced to the names of their files."""
    if data is not None:
        for root in (str(data.resolve()), str(data)):
            text = re.sub(rf"{re.escape(root)}[\\/](?:[^\s'\"/\\]+[\\/])*", "", text)
    return _PATH.sub("", text)
