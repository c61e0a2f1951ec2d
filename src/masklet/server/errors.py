"""Errors of the HTTP API: a status and a code per class, and a sentence for users."""

from __future__ import annotations

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
    OutputError: (507, "disk"),
}
"""Status and code by class; the first match counts."""


def as_api_error(error: MaskletError) -> ApiError:
    """Return the HTTP error for an error of masklet."""
    if isinstance(error, ApiError):
        return error
    for kind, (status, code) in STATUSES.items():
        if isinstance(error, kind):
            return ApiError(status, code, str(error))
    return ApiError(500, "fault", str(error))
