"""Media of a project for an export: opened when they are read, a few at a time, however many there are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from masklet.media.base import FrameSource, VideoInfo
from masklet.records import ByteArray, Frame
from masklet.server.annotation.store import AnnotationStore
from masklet.server.database import MediumRow
from masklet.server.studio import StudioState
from masklet.tracking.mask_rows import MaskRow

MAX_OPEN = 4
"""Media of one export that are open at the same time. Formats read one after the other."""


def shown_span(store: AnnotationStore) -> tuple[int, int] | None:
    """Return the first and the last frame with a shown mask; None if there is none."""
    shown = store.shown_frames()
    return (shown[0], shown[-1]) if shown else None


@dataclass(slots=True)
class _OpenMedium:
    store: AnnotationStore
    source: FrameSource
    stack: ExitStack


@dataclass(slots=True)
class OpenMedia:
    """Opens media with their annotations and closes those that have not been read for longest.

    Args:
        studio: the server's state.
    """

    studio: StudioState
    _open: OrderedDict[str, _OpenMedium] = field(default_factory=OrderedDict)

    def of(self, medium: MediumRow) -> _OpenMedium:
        if medium.id not in self._open:
            with ExitStack() as stack:
                workspace = stack.enter_context(self.studio.workspace(medium))
                source = stack.enter_context(closing(self.studio.open_frames(medium)()))
                self._open[medium.id] = _OpenMedium(workspace.store, source, stack.pop_all())
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)[1].stack.close()
        self._open.move_to_end(medium.id)
        return self._open[medium.id]

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].stack.close()


@dataclass(slots=True)
class LazyRows:
    """Masks of a medium as the page shows them, read from its annotations when they are asked for."""

    media: OpenMedia
    medium: MediumRow
    _span: tuple[tuple[int, int] | None] | None = None
    """What `frames` returned; None before."""

    def frame(self, frame_index: int) -> Sequence[MaskRow]:
        return self.media.of(self.medium).store.shown(frame_index, frame_index + 1).get(frame_index, [])

    def frames(self) -> tuple[int, int] | None:
        if self._span is None:
            self._span = (shown_span(self.media.of(self.medium).store),)
        return self._span[0]


@dataclass(slots=True)
class LazySource:
    """Frames of a medium, opened when they are asked for."""

    media: OpenMedia
    medium: MediumRow
    _info: VideoInfo | None = None

    @property
    def info(self) -> VideoInfo:
        if self._info is None:
            self._info = self.media.of(self.medium).source.info
        return self._info

    def frame(self, index: int) -> Frame:
        return self.media.of(self.medium).source.frame(index)

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[Frame]:
        return self.media.of(self.medium).source.frames(start, stop, step)

    def picture(self, index: int, size_hw: tuple[int, int]) -> ByteArray:
        return self.media.of(self.medium).source.picture(index, size_hw)

    def close(self) -> None:
        """Do nothing: `OpenMedia` closes."""

    def __enter__(self) -> LazySource:
        return self

    def __exit__(self, *exception: object) -> None:
        pass
