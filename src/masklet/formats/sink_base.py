"""What every sink of masks is: the contract, and finishing files in every case."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol

from masklet.output import check_space
from masklet.records import Frame, FrameMasks


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
