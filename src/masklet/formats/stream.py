"""The interface of formats that are written frame by frame, whose files are finished in every case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from masklet.output import check_space
from masklet.records import ByteArray
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.masklets import LabelledMedium


@dataclass(frozen=True, slots=True)
class FrameRows:
    """One frame of a medium with its masks, the unit of all formats."""

    medium: LabelledMedium
    frame_index: int
    time_s: float
    """Time of the frame, seconds from the beginning."""
    rows: Sequence[MaskRow]
    """One row per object with a mask, by ascending id; an absent object has an empty mask."""
    rgb: ByteArray | None = None
    """(H, W, 3) pixels, for formats that show frames; else None."""
    extras: Sequence[Mapping[str, Any]] = ()
    """Further fields of each row, for formats with free fields; may be empty. A value of None removes a field."""


class MaskStream(Protocol):
    """Writes the masks of one frame after another; a context manager that finishes its files in every case."""

    path: Path

    def write(self, frame: FrameRows) -> None:
        """Add one frame.

        Raises:
            DataError: the format cannot hold a mask.
            OutputError: the frame cannot be written.
        """
        ...

    def __enter__(self) -> MaskStream: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


class BaseStream:
    """Base of streams: an exit stack holds what must be finished, and runs in reverse when the stream is left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()
        self._num_checked = 0

    def write(self, frame: FrameRows) -> None:
        raise NotImplementedError

    def __enter__(self) -> MaskStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def check_space(self, to_finish: int = 0, *, keeps_frames: bool) -> None:
        """Raise while the files can still be finished; called before each frame. See `masklet.output.check_space`.

        Raises:
            OutputError: the disk is nearly full.
        """
        check_space(self.path, to_finish, keeps_frames=keeps_frames and self._num_checked > 0)
        self._num_checked += 1
