"""The description of a format: its name, its options, and the functions that write it.

A format is written at once, from media whose masks are complete (`export_masks`), or live, frame by frame while a
tracker runs (`open_streams`). A format with `open_stream` supports both: an export at once is a loop over `write`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from masklet.errors import Cancelled, ConfigError, DataError
from masklet.formats.stream import FrameRows, MaskStream
from masklet.masks.rle import rle_area
from masklet.media.base import closing_frames
from masklet.records import Progress
from masklet.schema import Options
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.masklets import LabelledMedium

MediumKind = Literal["image", "video", "volume"]

O = TypeVar("O", bound=Options)  # noqa: E741


@dataclass(slots=True)
class ExportJob(Generic[O]):
    """One output to be written: its media, path and options; and its counts and notes."""

    media: Sequence[LabelledMedium]
    """The media with their masks. A live output has one medium without masks: these come frame by frame."""
    path: Path
    options: O
    classes: list[str] = field(default_factory=list)
    """Class names; the first has number 0 in YOLO and 1 in COCO. Classes that appear later are appended."""
    class_colors: Mapping[str, str] = field(default_factory=dict)
    """Colours of classes as "#rrggbb", by name; some or all may be missing."""
    is_live: bool = False
    """True while tracking: frames come one by one, and after an error the frames so far are kept."""
    progress: Progress | None = None
    cancelled: Callable[[], bool] | None = None
    num_frames: int = 0
    num_masks: int = 0
    """Number of masks, without empty ones."""
    notes: dict[str, int] = field(default_factory=dict)
    """Losses: notes about content that the format cannot hold, with their counts."""

    def note(self, text: str) -> None:
        """Record something that the format cannot hold; equal texts are counted."""
        self.notes[text] = self.notes.get(text, 0) + 1

    def noted(self) -> tuple[str, ...]:
        """Return the notes as lines, with their counts."""
        return tuple(f"{text} ({count})" if count > 1 else text for text, count in self.notes.items())

    def check_cancelled(self) -> None:
        """Raise Cancelled if the caller has cancelled the export."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled

    def class_number(self, medium: LabelledMedium, object_id: int) -> int:
        """Return the number of an object's class, from 0."""
        category = medium.masklets.info(object_id).category
        if category not in self.classes:
            self.classes.append(category)
        return self.classes.index(category)

    def folder_of(self, medium: LabelledMedium) -> str:
        """Return the folder of a medium within the output, with a slash; "" if there is only one medium."""
        return "" if len(self.media) == 1 else f"{medium.name}/"

    def frames(self, *, with_pixels: bool = False) -> Iterator[FrameRows]:
        """Yield the frames with a mask of at least one object; absent objects have empty masks.

        Args:
            with_pixels: also yield the frames between them, and set `rgb` of each frame.

        Raises:
            Cancelled: the caller has cancelled the export.
            DataError: a mask does not have the size of its medium.
        """
        total = sum(len(medium.masklets.span()) for medium in self.media)
        done = 0
        for medium in self.media:
            for frame in _frames_of(medium, with_pixels=with_pixels):
                self.check_cancelled()
                check_sizes(frame)
                if frame.rows or with_pixels:
                    self.num_frames += 1
                    yield frame
                done += 1
                if self.progress is not None:
                    self.progress(done, total, medium.name)


def _frames_of(medium: LabelledMedium, *, with_pixels: bool) -> Iterator[FrameRows]:
    span = medium.masklets.span()
    if with_pixels:
        with closing_frames(medium.source.frames(span.start, span.stop)) as frames:
            for frame in frames:
                yield FrameRows(medium, frame.index, frame.time_s, medium.masklets.at(frame.index), frame.rgb)
        return
    for frame_index in span:
        rows = medium.masklets.at(frame_index)
        # Imported and drawn masks have no time.
        time_s = (rows[0].time_s if rows else 0.0) or frame_index / medium.source.info.fps
        yield FrameRows(medium, frame_index, time_s, rows)


def check_sizes(frame: FrameRows) -> None:
    """Check that every mask has the size of its medium.

    Raises:
        DataError: a mask is smaller or larger.
    """
    height, width = frame.medium.source.info.size_hw
    for row in frame.rows:
        if row.rle["size"] != [height, width]:
            raise DataError(
                f"{frame.medium.name}, frame {frame.frame_index}: the mask of object {row.object_id} is "
                f"{row.rle['size'][1]} x {row.rle['size'][0]}, the medium {width} x {height} (width x height): masks "
                "must have the size of their medium"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Format(Generic[O]):
    """A file format for masks. Set `open_stream`, or `write` if all masks must be complete first."""

    id: str
    name: str
    description: str
    """Text for users: the content of the files, and what they cannot hold."""
    kinds: tuple[MediumKind, ...]
    """Kinds of media that it supports. A volume is a video whose frames are the slices of a stack."""
    options: type[O]
    suffixes: tuple[str, ...] = ()
    """Allowed suffixes of its single file, the usual one first; none if it writes many files, to a folder or a .zip."""
    image_suffixes: tuple[str, ...] = ()
    """Suffixes for images, if these differ."""
    open_stream: Callable[[ExportJob[O]], MaskStream] | None = None
    """Open an output that takes frames one after another."""
    write: Callable[[ExportJob[O]], None] | None = None
    """Write everything at once."""
    many_media: bool = True
    """True if several media can be written to one output."""
    file_name: str = ""
    """Name of its file or folder next to other outputs; by default its id with the usual suffix."""
    shows_frames: bool = False
    """True if it needs the pixels of all frames, also of frames without masks."""
    any_order: bool = False
    """True if its stream takes frames in any order; of two masks for one frame the later is used."""

    def __post_init__(self) -> None:
        if self.write is None and self.open_stream is None:
            raise ConfigError(f"format {self.id!r} has neither open_stream nor write: give one of them")
        if not self.file_name:
            object.__setattr__(self, "file_name", self.id + self.suffix)

    @property
    def suffix(self) -> str:
        """The usual suffix of its single file; "" for many files."""
        return self.suffixes[0] if self.suffixes else ""

    def suffixes_for(self, *, is_image: bool) -> tuple[str, ...]:
        """Return the allowed suffixes of its single file, the usual one first; none for many files."""
        return self.image_suffixes if is_image and self.image_suffixes else self.suffixes

    def usual_suffix(self, *, is_image: bool) -> str:
        """Return the suffix of an export: that of its single file, or .zip for many files."""
        return (*self.suffixes_for(is_image=is_image), ".zip")[0]

    @property
    def is_live(self) -> bool:
        """True if it can be written while tracking."""
        return self.open_stream is not None

    def check_medium(self, medium: LabelledMedium) -> None:
        """Check that the format supports this kind of medium.

        Raises:
            DataError: it does not.
        """
        if medium.is_image:
            kinds = {"image"}
        else:
            kinds = {"video"} if medium.source.info.volume is None else {"video", "volume"}
        if not kinds.isdisjoint(self.kinds):
            return
        if "volume" in self.kinds:
            raise DataError(
                f"{medium.name} is not a volume, so its masks cannot be one: choose another format, such as tiff"
            )
        raise DataError(
            f"{medium.name} is {'an image' if medium.is_image else 'a video'}, and {self.name} is not for those"
        )

    def run(self, job: ExportJob[O]) -> None:
        """Write everything at once.

        Raises:
            Cancelled: the caller has cancelled the export; nothing is left behind.
            DataError: the format cannot hold a mask.
            OutputError: a file cannot be written.
        """
        if self.write is not None:
            self.write(job)
            return
        assert self.open_stream is not None
        with self.open_stream(job) as stream:
            for frame in job.frames(with_pixels=self.shows_frames):
                stream.write(frame)

    def to_dict(self) -> dict[str, Any]:
        """Return the description for `GET /formats`."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "for": [kind for kind in self.kinds if kind != "volume"],
            "suffix": self.suffix or ".zip",
            "many_media": self.many_media,
            "options": self.options.schema(),
        }


@dataclass(frozen=True, slots=True)
class Exported:
    """Counts of an export, and what the format could not hold."""

    path: Path
    num_media: int
    num_frames: int
    num_masks: int
    """Number of masks, without empty ones."""
    notes: tuple[str, ...]


def frame_name(medium: LabelledMedium, frame_index: int) -> str:
    """Return the stem of a frame's file: the medium's name, for a video with the frame's number."""
    return medium.name if medium.is_image else f"{medium.name}_{frame_index:06d}"


def is_seen(row: MaskRow) -> bool:
    """Return True if a mask has a foreground pixel, from its run lengths."""
    return rle_area(row.rle) > 0
