"""SA-1B: images with a JSON of the same name next to each, one RLE per object; hundreds of objects, which overlap.

sa_000000/sa_1.jpg   sa_000000/sa_1.json     {"image": {...}, "annotations": [{"id", "segmentation", ...}]}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from masklet.datasets.files import Faults, decode_rgb, natural_order, read_bytes, refuse
from masklet.datasets.records import Concatenated, Dataset, ImageExample, Labels, LazySequence, MaskLabels
from masklet.errors import DataError
from masklet.foreign.documents import Json, read_json
from masklet.masks.convert import decoded, is_empty, segmentation_mask
from masklet.records import ByteArray

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True)
class Sa1bImage(ImageExample):
    """An image and the JSON next to it."""

    name: str
    source: str
    image_path: Path

    @property
    def where(self) -> str:
        return str(self.image_path.with_suffix(".json"))

    def encoded(self) -> tuple[bytes, str] | None:
        return read_bytes(self.image_path), self.image_path.suffix.lower()

    def read_rgb(self) -> ByteArray:
        return decode_rgb(read_bytes(self.image_path), str(self.image_path))

    def read_labels(self) -> Labels:
        return labels_from_json(read_json(Path(self.where)))


class Sa1bFolder(LazySequence[ImageExample]):
    """The images of one folder, made when asked for: there are eleven million in all."""

    def __init__(self, source: str, prefix: str, folder: Path, names: Sequence[str]) -> None:
        self._source, self._prefix, self._folder, self._names = source, prefix, folder, tuple(names)

    def __len__(self) -> int:
        return len(self._names)

    def _at(self, index: int) -> ImageExample:
        path = self._folder / self._names[index]
        return Sa1bImage(f"{self._prefix}{path.stem}", self._source, path)


def recognise_sa1b(root: Path) -> bool:
    """Return whether an image has a JSON of its name with annotations next to it, here or one folder down."""
    for folder in [root, *_subfolders(root)][:4]:
        for path in sorted(folder.glob("*.json"))[:3]:
            if _image_of(path) is not None:
                return True
    return False


def open_sa1b(root: Path, *, split: str | None = None, verify: bool = True, faults: Faults | None = None) -> Dataset:
    """Open a folder of images with a JSON each, or a folder of such folders.

    Args:
        root: the folder.
        split: a folder of it.
        verify: raise at once for an image without its JSON or a JSON without its image.

    Raises:
        DataError: there are no such images, or files do not pair.
    """
    base = root if split is None else root / split
    if not base.is_dir():
        raise DataError(f"{root} has no folder {split!r} for the split of that name")
    folders: dict[str, Sequence[ImageExample]] = {}
    for folder in [base, *_subfolders(base)]:
        jsons = {path.stem: path for path in folder.glob("*.json")}
        images = {path.stem: path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
        if not jsons or not images:
            continue
        if verify or faults is not None:
            _check_pairs(images, jsons, faults)
        names = sorted((path for stem, path in images.items() if stem in jsons), key=natural_order)
        source = folder.resolve().name
        prefix = "" if folder == base else f"{source}/"
        folders[source] = Sa1bFolder(source, prefix, folder, [path.name for path in names])
    if not folders:
        raise DataError(f"{base} holds no images with a JSON of their name next to them, as SA-1B has")
    return Dataset(root, "sa-1b", Concatenated(folders))


def labels_from_json(document: Json) -> MaskLabels:
    """Return the objects of one image, numbered from 1 in the file's order; empty masks are left out.

    Raises:
        DataError: fields are missing, or a segmentation is not a mask.
    """
    image = document.field("image")
    size = (image.field("height").whole(1, 10**6), image.field("width").whole(1, 10**6))
    masks = {}
    for number, annotation in enumerate(document.field("annotations").entries(), start=1):
        segmentation = annotation.field("segmentation")
        try:
            mask = segmentation_mask(segmentation.value, size)
        except DataError as error:
            raise DataError(f"{document.where}, object {number}: {error}", error.fault) from error
        area = annotation.get("area")
        if not is_empty(mask) if area is None else area.number() > 0:
            masks[number] = mask
    void = None
    if (
        region := document.get("void")
    ) is not None:  # an extension of masklet, for data converted from layouts with void
        try:
            void = decoded(segmentation_mask(region.value, size))
        except DataError as error:
            raise DataError(f"{region.where}: {error}", error.fault) from error
    return MaskLabels(size, masks, void, where=document.where)


def _check_pairs(images: dict[str, Path], jsons: dict[str, Path], faults: Faults | None) -> None:
    if bare := sorted(images.keys() - jsons.keys()):
        message = f"{images[bare[0]]} has no JSON of the same name next to it ({len(bare)} such images)"
        refuse(DataError(message, num_files=len(bare)), faults)
    if bare := sorted(jsons.keys() - images.keys()):
        message = f"{jsons[bare[0]]} has no image of the same name next to it ({len(bare)} such files)"
        refuse(DataError(message, num_files=len(bare)), faults)


def _image_of(path: Path) -> Path | None:
    return next((image for suffix in IMAGE_SUFFIXES if (image := path.with_suffix(suffix)).is_file()), None)


def _subfolders(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if path.is_dir()), key=natural_order)
