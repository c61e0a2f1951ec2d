"""Folders of files: `images/` + `masks/`, clips as `frames/` + `masks/`, and the layouts of the video benchmarks.

Masks are indexed PNGs (0 background, 1 to 254 objects, 255 void) or one PNG per object; see `files.masks_by_stem`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from masklet.datasets.files import Faults, MaskFile, decode_rgb, match, read_bytes, refuse, refuse_folder
from masklet.datasets.records import ClipExample, Dataset, ImageExample, Labels
from masklet.errors import DataError
from masklet.media.base import DEFAULT_FPS, FrameSource
from masklet.media.source import ArraySource
from masklet.records import ByteArray


@dataclass(frozen=True, slots=True)
class FileImage(ImageExample):
    """An image file and its mask file."""

    name: str
    source: str
    image_path: Path
    mask: MaskFile

    @property
    def where(self) -> str:
        return str(self.mask.path)

    def encoded(self) -> tuple[bytes, str] | None:
        return read_bytes(self.image_path), self.image_path.suffix.lower()

    def read_rgb(self) -> ByteArray:
        return decode_rgb(read_bytes(self.image_path), str(self.image_path))

    def read_labels(self) -> Labels:
        return self.mask.read()


@dataclass(frozen=True, slots=True)
class FolderClip(ClipExample):
    """A folder of frames and the mask files of all or some of them."""

    name: str
    source: str
    frame_paths: tuple[Path, ...]
    """Images in order of time."""
    masks: Mapping[int, MaskFile]
    """Mask files by frame index, ascending."""
    fps: float = DEFAULT_FPS

    @property
    def num_frames(self) -> int:  # type: ignore[override]
        return len(self.frame_paths)

    @property
    def labelled_frames(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(self.masks)

    @property
    def where(self) -> str:
        return str(self.frame_paths[0].parent)

    def label_where(self, frame_index: int) -> str:
        return str(self.masks[frame_index].path)

    def encoded(self, frame_index: int) -> tuple[bytes, str] | None:
        path = self.frame_paths[frame_index]
        return read_bytes(path), path.suffix.lower()

    def open_frames(self) -> FrameSource:
        return ArraySource(self.frame_paths, fps=self.fps, name=self.where)

    def read_frames(self, frame_indices: Sequence[int]) -> list[ByteArray]:
        paths = [self.frame_paths[frame_index] for frame_index in frame_indices]
        return [decode_rgb(read_bytes(path), str(path)) for path in paths]

    def read_labels(self, frame_index: int) -> Labels:
        return self.masks[frame_index].read()


def is_image_source(folder: Path) -> bool:
    """Return whether a folder holds `images/` and `masks/`."""
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def is_clip(folder: Path) -> bool:
    """Return whether a folder holds `frames/` and `masks/`."""
    return (folder / "frames").is_dir() and (folder / "masks").is_dir()


def recognise_folders(root: Path) -> bool:
    """Return whether there are image sources or clips, here or up to two folders down."""
    return any(is_image_source(folder) or is_clip(folder) for folder in _candidates(root))


def open_folders(root: Path, *, split: str | None = None, verify: bool = True, faults: Faults | None = None) -> Dataset:
    """Image sources `<source>/images` + `<source>/masks` and clips `<clip>/frames` + `<clip>/masks`.

    Each may be the root itself or lie up to two folders down. A folder with neither is skipped.

    Raises:
        DataError: nothing was found, an image without its mask or the reverse, sizes that differ.
    """
    base = root if split is None else root / split
    if not base.is_dir():
        raise DataError(f"{root} has no folder {split!r} for the split of that name")
    images: list[ImageExample] = []
    clips: list[ClipExample] = []
    for folder in _candidates(base):
        name = folder.resolve().name if folder == base else folder.relative_to(base).as_posix()
        if is_image_source(folder):
            images += _read_source(
                folder, name, prefix="" if folder == base else f"{name}/", verify=verify, faults=faults
            )
        elif is_clip(folder):
            source = folder.resolve().parent.name if folder.parent == base or folder == base else folder.parent.name
            clips += read_clip(name, source, folder / "frames", folder / "masks", verify=verify, faults=faults)
        elif (folder / "images").is_dir() or (folder / "frames").is_dir():
            images_folder = next(path for name in ("images", "frames") if (path := folder / name).is_dir())
            error = DataError(f"{folder} has images but no masks: expected {folder / 'masks'}")
            refuse_folder(error, images_folder, faults)
    if not images and not clips and not faults:
        raise DataError(f"{base} holds neither images/ and masks/, nor <clip>/frames and <clip>/masks")
    return Dataset(root, "folders", images, clips)


def read_clip(
    name: str, source: str, frames_folder: Path, masks_folder: Path, *, verify: bool, faults: Faults | None = None
) -> list[FolderClip]:
    """Pair the frames of a clip with the masks that are there.

    Returns:
        One clip; none when it cannot be used and `faults` has taken the reasons.

    Raises:
        DataError: as `files.match`.
    """
    try:
        frames, masks = match(frames_folder, masks_folder, verify=verify, faults=faults)
    except DataError as error:
        refuse_folder(error, frames_folder, faults)
        return []
    by_index = {index: masks[stem] for index, stem in enumerate(frames) if stem in masks}
    if not by_index:  # every mask is among the faults
        return []
    return [FolderClip(name, source, tuple(frames.values()), by_index)]


def _read_source(folder: Path, source: str, *, prefix: str, verify: bool, faults: Faults | None) -> list[ImageExample]:
    try:
        images, masks = match(folder / "images", folder / "masks", verify=verify, faults=faults)
    except DataError as error:
        refuse_folder(error, folder / "images", faults)
        return []
    if bare := [stem for stem in images if stem not in masks]:
        expected = folder / "masks" / f"{bare[0]}.png"
        message = f"{images[bare[0]]} has no mask: expected {expected} ({len(bare)} such images)"
        refuse(DataError(message, num_files=len(bare)), faults)
    return [FileImage(f"{prefix}{stem}", source, path, masks[stem]) for stem, path in images.items() if stem in masks]


def _candidates(base: Path) -> list[Path]:
    """Return the folder and those up to two levels down, but not the parts of a source or clip."""
    folders = [base]
    if not _has_parts(base):
        for child in _subfolders(base):
            folders.append(child)
            if not _has_parts(child):
                folders += _subfolders(child)
    return folders


def _has_parts(folder: Path) -> bool:
    return (folder / "images").is_dir() or (folder / "frames").is_dir()


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
