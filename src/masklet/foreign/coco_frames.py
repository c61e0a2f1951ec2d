"""Which images of a COCO file are a medium's frames: matched by their paths, and by the numbers in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from masklet.errors import DataError
from masklet.foreign.coco_document import CocoImageRecord
from masklet.foreign.file_names import best_matches


class NamedMedium(Protocol):
    """An image or a video that a file may be about."""

    @property
    def num_frames(self) -> int:
        """1 for an image."""
        ...

    @property
    def file_name(self) -> str:
        """With as many folders as are known."""
        ...

    @property
    def name_parts(self) -> tuple[str, ...]:
        """Folders and file name."""
        ...

    @property
    def stem(self) -> str:
        """The file name without its suffix."""
        ...

    def note(self, how: str) -> None:
        """Note how something was matched."""
        ...


def image_of(images: Sequence[CocoImageRecord], name: str, medium: NamedMedium) -> CocoImageRecord:
    """Return the image of a file that is the medium.

    Args:
        images: of the file.
        name: of the file, for messages.
        medium: an image.

    Raises:
        DataError: none is the medium, or several may be.
    """
    matches = best_matches(medium.name_parts, images, lambda image: image.names)
    if len(matches) > 1:
        listed = ", ".join(image.name for image in matches[:5])
        raise DataError(
            f"{name} has {len(matches)} images that may be {medium.file_name!r}: {listed}; open the image by a path "
            "that ends like one of these, or keep one of them in the file"
        )
    if not matches and len(images) == 1:
        matches = list(images)
        medium.note(f"{name} lists one image, {matches[0].name}: taken for {medium.file_name or 'the image'}")
    if not matches:
        raise DataError(
            f"{name} lists {len(images)} images, and none is called {medium.file_name!r}"
            + (f": {', '.join(image.name for image in images[:3])}, ..." if images else "")
        )
    return matches[0]


def frames_of(
    images: Sequence[CocoImageRecord], name: str, medium: NamedMedium, *, first_frame: int | None = None
) -> list[tuple[CocoImageRecord, int]]:
    """Return the images of a file that are frames of the medium, with their frame indices.

    Args:
        images: of the file.
        name: of the file, for messages.
        medium: a video.
        first_frame: number that the first frame has in file names; None lets `frame_indices` decide.

    Raises:
        DataError: the file does not say which frames they are, or has several videos that may be the medium.
    """
    images = _images_of_video(images, name, medium)
    if images and all(image.frame_index is not None for image in images):
        return [(image, image.frame_index or 0) for image in images]
    indices = frame_indices([number_at_end(image) for image in images], medium.num_frames, first_frame)
    if indices is not None:
        return list(zip(images, indices, strict=True))
    if len(images) != medium.num_frames:
        raise DataError(
            f"{name} does not say which frames its {len(images)} images are, and the medium has {medium.num_frames}: "
            "number their file_name, as in frame_000042.jpg, or give each image a frame_index"
        )
    medium.note(f"{name}: the images have no numbers; there are as many as frames, so they were matched in order")
    return [(image, index) for index, image in enumerate(images)]


def _images_of_video(images: Sequence[CocoImageRecord], name: str, medium: NamedMedium) -> list[CocoImageRecord]:
    """Return the images of the medium, where the file has several videos: by video, folder, or prefix of the names."""
    for key_of in (_video_of, _folder_of, _prefix_of):
        groups: dict[tuple[str, ...], list[CocoImageRecord]] = {}
        for image in images:
            groups.setdefault(key_of(image), []).append(image)
        numbers = [number for number in map(number_at_end, images) if number is not None]
        repeats = len(set(numbers)) < len(numbers)
        if len(groups) == 1 or (key_of is not _video_of and not repeats):
            continue
        wanted = medium.name_parts
        matches = best_matches(wanted, groups, lambda key: [key])
        if not matches:  # frames in a folder of the medium's name: clip/images/00001.jpg
            matches = [key for key in groups if any(part.casefold() == medium.stem.casefold() for part in key)]
        if len(matches) != 1:
            listed = ", ".join("/".join(key) or "no folder" for key in list(groups)[:5])
            raise DataError(
                f"{name} has images of {len(groups)} videos ({listed}), and which one is {medium.file_name!r} is not "
                "clear: name the medium like one of these, or keep one of them in the file"
            )
        images = groups[matches[0]]
    return list(images)


def _video_of(image: CocoImageRecord) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[/\\]", image.video) if part)


def _folder_of(image: CocoImageRecord) -> tuple[str, ...]:
    return image.names[0][:-1] if image.names else ()


def _prefix_of(image: CocoImageRecord) -> tuple[str, ...]:
    stem = image.names[-1][-1].rpartition(".")[0] if image.names else ""
    return (re.sub(r"[-_ .]*(frame)?[-_ .]*\d*$", "", stem, flags=re.IGNORECASE),)


def number_at_end(image: CocoImageRecord) -> int | None:
    """Return the number at the end of an image's name; its name before a tool renamed it comes first."""
    for parts in reversed(image.names):
        if digits := re.search(r"(\d{1,15})$", parts[-1].rpartition(".")[0] or parts[-1]):
            return int(digits[1])
    return None


def frame_indices(numbers: Sequence[int | None], num_frames: int, first_frame: int | None = None) -> list[int] | None:
    """Return frame indices for the numbers in file names; None if some are missing or repeated.

    Some tools count from 1: then the first number is at least 1 and the last one is not a frame index.

    Args:
        numbers: of the files, which are all frames or nearly all.
        num_frames: of the video.
        first_frame: number of the first frame, where it is clear.
    """
    present = [number for number in numbers if number is not None]
    if not present or len(set(present)) < len(numbers):
        return None
    if first_frame is None:
        first_frame = 1 if min(present) > 0 and max(present) >= num_frames else 0
    return [number - first_frame for number in present]
