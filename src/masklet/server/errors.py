"""Errors as HTTP has them: one status and one code a class, one sentence for a person."""

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
    """What is asked does not go with the state of things: a locked object, a medium that is being tracked."""


class NotFoundError(MaskletError, LookupError):
    """There is no such thing, or it is another user's."""


class ApiError(MaskletError):
    """A refusal with a status of its own.

    Args:
        status: of HTTP.
        code: a word for programs.
        message: a sentence for people.
        field: of the request that it is about.
        retry_after_s: when it may go better.
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
"""First match counts."""


def as_api_error(error: MaskletError) -> ApiError:
    """What to answer with."""
    if isinstance(error, ApiError):
        return error
    for kind, (status, code) in STATUSES.items():
        if isinstance(error, kind):
            return ApiError(status, code, str(error))
    return ApiError(500, "fault", str(error))
