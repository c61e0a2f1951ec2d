"""The errors that masklet raises. Each names the field, what was expected, what came, and what to do.

Every class is also the built-in error a caller would expect (`PromptError` is a `ValueError`), so that code
that knows nothing of masklet can still catch it. The CLI prints one line for them; a server maps each class to
one HTTP status.
"""

from __future__ import annotations

from typing import Literal


class MaskletError(Exception):
    """Base of every error that masklet raises on purpose."""


class Cancelled(Exception):  # noqa: N818 (it is not an error)
    """Raised in a run that a user or a program has stopped. The message says what is kept, if anything."""


class PromptError(MaskletError, ValueError):
    """A click, box or mask that cannot be used: wrong shape, outside the frame, empty."""


class ImageError(MaskletError, OSError):
    """An image that cannot be read: missing, empty, truncated, too large, not an image."""


class VideoError(MaskletError, OSError):
    """A video that cannot be read or that broke off; `frame_index` is the frame, if known."""

    def __init__(self, message: str, frame_index: int | None = None) -> None:
        super().__init__(message)
        self.frame_index = frame_index


class OutputError(MaskletError, OSError):
    """A result that cannot be written: it exists already, its folder is not writable or in use, or the disk is full.

    `errno` is that of the system's error, if known; the error itself is the cause.
    """


DataFault = Literal["bad labels", "cannot be read", "sizes differ", "more than 255 objects"]
"""The kind under which reports on data sets count an error."""


class DataError(MaskletError, ValueError):
    """A data set that cannot be used: a missing folder, a mask without its image, sizes that differ; `fault` is
    the kind under which reports count it, and `num_files` the number of files that it is about."""

    def __init__(self, message: str, fault: DataFault = "bad labels", *, num_files: int = 1) -> None:
        super().__init__(message)
        self.fault = fault
        self.num_files = num_files


class CheckpointError(MaskletError, RuntimeError):
    """Weights or an exported model that do not fit: unknown layout, missing or wrongly shaped keys."""


class EngineError(MaskletError, RuntimeError):
    """An engine that cannot run: a missing extra, an unknown device or precision."""


class ConfigError(MaskletError, ValueError):
    """A configuration value out of range, named with the value passed."""


class SessionError(MaskletError, ValueError):
    """A session file that cannot be used: not a session, damaged, of a newer version, or of another model or video."""


class TrackingError(MaskletError, ValueError):
    """A request the tracker cannot fulfil: an unknown object, a frame that does not exist, no prompts."""
