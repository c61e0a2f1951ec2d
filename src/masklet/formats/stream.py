"""A format that is written frame by frame: what it takes, and how its files are finished in every case."""

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
    """One frame of a medium with its masks: the unit that every format writes."""

    medium: LabelledMedium
    frame_index: int
    time_s: float
    """Seconds from the beginning."""
    rows: Sequence[MaskRow]
    """One row per known object, by ascending id; an absent object has an empty mask."""
    rgb: ByteArray | None = None
    """(H, W, 3), for formats that show frames; else None."""
    extras: Sequence[Mapping[str, Any]] = ()
    """Further fields of each row, for formats with free fields; or none. A value of None removes a field."""


class MaskStream(Protocol):
    """Takes the masks of one frame after another; a context manager that finishes its files in every case."""

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
    """Base of streams: what has to be finished lies in a stack, which runs in reverse when the stream is left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()

    def write(self, frame: FrameRows) -> None:
        raise NotImplementedError

    def __enter__(self) -> MaskStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def check_space(self, to_finish: int = 0, *, keeps_frames: bool) -> None:
        """Stop while the files can still be finished; see `masklet.output.check_space`.

        Raises:
            OutputError: the disk is nearly full.
        """
        check_space(self.path, to_finish, keeps_frames=keeps_frames)
