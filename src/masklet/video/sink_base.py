"""What every sink of masks is: the contract, and finishing files in every case."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol

from masklet.errors import OutputError
from masklet.records import Frame, FrameMasks

SPARE_BYTES = 2 * 2**20
"""Left on the disk for finishing what has been begun."""


def check_space(path: Path, to_finish: int = 0) -> None:
    """Stop while the file can still be finished: one that ends with a full disk cannot be played.

    Args:
        path: the file, or a folder of files.
        to_finish: bytes that finishing takes beyond `SPARE_BYTES`.

    Raises:
        OutputError: the disk is nearly full.
    """
    free = shutil.disk_usage(path if path.is_dir() else path.parent).free
    if free < SPARE_BYTES + to_finish:
        raise OutputError(
            f"the disk is full: {free / 2**20:.1f} MB are left for {path}. The frames so far are kept; make room, or "
            "choose another place"
        )


class Sink(Protocol):
    """Takes the masks of one frame after the other."""

    path: Path

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        """Add one frame.

        Raises:
            OutputError: it cannot be written.
        """
        ...

    def __enter__(self) -> Sink: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


class BaseSink:
    """Keeps what has to be finished in a stack, which runs it in reverse when the sink is left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        raise NotImplementedError

    def __enter__(self) -> Sink:
        return self

    def check_space(self, to_finish: int = 0) -> None:
        """See `check_space`.

        Raises:
            OutputError: the disk is nearly full.
        """
        check_space(self.path, to_finish)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)
