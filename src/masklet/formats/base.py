"""What every format is: a name, options, and a function that writes media with their masklets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from masklet.errors import DataError
from masklet.schema import Options
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.masklets import LabelledMedium

Kind = Literal["image", "video"]
Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all)."""

O = TypeVar("O", bound=Options)  # noqa: E741


class Cancelled(Exception):  # noqa: N818 (it is no error)
    """An export was stopped, and has left nothing behind."""


@dataclass(slots=True)
class Job(Generic[O]):
    """One export: what goes where, and what is to be said of it."""

    media: Sequence[LabelledMedium]
    out: Path
    options: O
    classes: tuple[str, ...]
    """In order; the first has number 0 in YOLO and 1 in COCO."""
    progress: Progress | None = None
    cancelled: Callable[[], bool] | None = None
    num_frames: int = 0
    num_masks: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    """What the format could not hold, and how often."""

    def note(self, text: str, times: int = 1) -> None:
        self.notes[text] = self.notes.get(text, 0) + times

    def check_cancelled(self) -> None:
        """Raises Cancelled: the caller wants no more."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled

    def class_number(self, medium: LabelledMedium, object_id: int) -> int:
        """From 0."""
        return self.classes.index(medium.masklets.info(object_id).category)

    def frames(self) -> Iterator[tuple[LabelledMedium, int, list[MaskRow]]]:
        """The frames of which something is known, with what is known; absent objects have empty masks.

        Raises:
            Cancelled: the caller wants no more.
            DataError: a mask has not the size of its medium.
        """
        total = sum(len(medium.masklets.span()) for medium in self.media)
        done = 0
        for medium in self.media:
            height, width = medium.source.info.size_hw
            for frame_index in medium.masklets.span():
                self.check_cancelled()
                rows = medium.masklets.at(frame_index)
                for row in rows:
                    if row.rle["size"] != [height, width]:
                        raise DataError(
                            f"{medium.name}, frame {frame_index}: the mask of object {row.object_id} is "
                            f"{row.rle['size'][1]} x {row.rle['size'][0]}, the medium {width} x {height} (width x "
                            "height): masks must have the size of their medium"
                        )
                if rows:
                    self.num_frames += 1
                    yield medium, frame_index, rows
                done += 1
                if self.progress is not None:
                    self.progress(done, total)


@dataclass(frozen=True, slots=True)
class Format(Generic[O]):
    """One way to write masks to files."""

    id: str
    name: str
    description: str
    """What comes out, and what it cannot hold, for users."""
    kinds: tuple[Kind, ...]
    suffix: str
    """Of the one file that is written; "" for many, which go to a folder or a .zip."""
    options: type[O]
    write: Callable[[Job[O]], None]
    many_media: bool = True
    """Whether several media can be written at once."""

    def to_dict(self) -> dict[str, Any]:
        """For `GET /formats`."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "for": list(self.kinds),
            "suffix": self.suffix or ".zip",
            "many_media": self.many_media,
            "options": self.options.schema(),
        }


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    path: Path
    num_media: int
    num_frames: int
    num_masks: int
    """Not counting empty ones."""
    notes: tuple[str, ...]
    """What the format could not hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoOptions(Options):
    """A format without choices."""


def frame_name(medium: LabelledMedium, frame_index: int) -> str:
    """The stem of a frame's file: that of the medium for an image, with the frame's number for a video."""
    return medium.name if medium.is_image else f"{medium.name}_{frame_index:06d}"


def frame_time(medium: LabelledMedium, row: MaskRow) -> float:
    """Seconds from the beginning: the row's own, or by the medium's rate."""
    return row.time_s or row.frame_index / medium.source.info.fps
