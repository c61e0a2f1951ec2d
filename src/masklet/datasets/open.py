"""Opening of data sets in any layout, recognised from the folder or named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from masklet.datasets.coco import open_coco, recognise_coco
from masklet.datasets.davis import open_davis, recognise_davis
from masklet.datasets.files import Faults
from masklet.datasets.folders import open_folders, recognise_folders
from masklet.datasets.records import ClipExample, Dataset, ImageExample
from masklet.datasets.sa1b import open_sa1b, recognise_sa1b
from masklet.datasets.sav import open_sav, recognise_sav
from masklet.datasets.shards import open_shards, recognise_shards
from masklet.errors import DataError

LAYOUTS = {
    "davis": "JPEGImages/<clip> + Annotations/<clip>: DAVIS 2016 and 2017, YouTube-VOS, MOSE, LVOS, SA-V val and test",
    "sa-v": "<video>.mp4 + <video>_manual.json or <video>_auto.json",
    "sa-1b": "<image>.jpg + <image>.json of RLE masks",
    "coco": "annotations/instances_<split>.json + images: polygons or RLE, crowds are void",
    "shards": "WebDataset: <shard>.tar of <key>.jpg + <key>.png or .json",
    "folders": "<source>/images + masks, <clip>/frames + masks: indexed PNGs, or one PNG per object",
}
"""Description of each layout by name, in the order in which they are recognised."""

ALIASES = {
    "davis2016": "davis",
    "davis2017": "davis",
    "youtube-vos": "davis",
    "mose": "davis",
    "lvos": "davis",
    "sav": "sa-v",
    "sa1b": "sa-1b",
    "webdataset": "shards",
}
"""Other names for layouts."""

_RECOGNISED: dict[str, Callable[[Path], bool]] = {
    "davis": recognise_davis,
    "sa-v": recognise_sav,
    "shards": recognise_shards,
    "folders": recognise_folders,
    "coco": recognise_coco,
    "sa-1b": recognise_sa1b,
}

Example = TypeVar("Example", ImageExample, ClipExample)


def open_dataset(
    root: str | Path,
    layout: str | None = None,
    *,
    split: str | None = None,
    resolution: str | None = None,
    masklets: str = "manual",
    verify: bool = True,
    faults: Faults | None = None,
) -> Dataset:
    """Open a folder of labelled images or clips; nothing is decoded yet.

    Args:
        root: the folder.
        layout: one of `LAYOUTS` or `ALIASES`; None recognises it.
        split: a list of examples that the data set has, or a folder for it.
        resolution: `480p` or `Full-Resolution`, for DAVIS.
        masklets: `manual`, `auto` or `both`, for SA-V; videos without manual ones have their automatic ones.
        verify: compare the sizes of all images and masks now, from the files' headers, so that nothing that does not
            fit stops a long run later. Costs about a second for ten thousand files.
        faults: collects what is wrong with single files, which are then left out, instead of raising the first.

    Raises:
        DataError: the folder is missing, of an unknown or another layout, empty, or its files do not fit.
    """
    root = Path(root)
    if not root.exists():
        raise DataError(f"data set {root} does not exist")
    layout = recognise(root) if layout is None else ALIASES.get(layout, layout)
    if layout == "coco":
        return open_coco(root, split=split, verify=verify, faults=faults)
    if layout == "shards":
        return open_shards(root, split=split)
    if layout not in LAYOUTS:
        raise DataError(f"unknown layout {layout!r}: choose {', '.join([*LAYOUTS, *ALIASES])}")
    if not root.is_dir():
        raise DataError(f"{root} is a file, and a data set of the layout {layout} is a folder")
    if layout == "davis":
        return open_davis(root, split=split, resolution=resolution, verify=verify, faults=faults)
    if layout == "sa-v":
        return open_sav(root, split=split, masklets=masklets, verify=verify, faults=faults)
    if layout == "sa-1b":
        return open_sa1b(root, split=split, verify=verify, faults=faults)
    return open_folders(root, split=split, verify=verify, faults=faults)


def recognise(root: Path) -> str:
    """Return the layout of a folder; a file may be COCO's JSON or one shard.

    Raises:
        DataError: no known layout fits.
    """
    if root.is_file() and root.suffix in (".json", ".tar"):
        return "coco" if root.suffix == ".json" else "shards"
    if root.is_dir():
        for layout, matches in _RECOGNISED.items():
            if matches(root):
                return layout
    expected = "; ".join(f"{name}: {look}" for name, look in LAYOUTS.items())
    raise DataError(f"{root} is not a data set that masklet knows. Expected one of: {expected}")


def open_datasets(
    roots: str | Path | Iterable[str | Path], layout: str | None = None, *, verify: bool = True
) -> Dataset:
    """Open several roots as one data set; a folder given twice counts once, and equal source names get their parents'.

    Raises:
        DataError: as `open_dataset`, or no root was given.
    """
    paths = [Path(roots)] if isinstance(roots, str | Path) else [Path(root) for root in roots]
    if not paths:
        raise DataError("no data set was given")
    opened = [open_dataset(path, layout, verify=verify) for path in dict.fromkeys(path.resolve() for path in paths)]
    if len(opened) == 1:
        return opened[0]
    images: dict[str, ImageExample] = {}
    clips: dict[str, ClipExample] = {}
    for data in opened:
        others = {source for other in opened if other is not data for source in other.sources()}
        for image in data.images:
            images.setdefault(image.where, _told_apart(image, data.root, others))
        for clip in data.clips:
            clips.setdefault(clip.where, _told_apart(clip, data.root, others))
    layouts = {data.layout for data in opened}
    layout = layouts.pop() if len(layouts) == 1 else "mixed"
    return Dataset(paths[0], layout, list(images.values()), list(clips.values()))


def _told_apart(example: Example, root: Path, others: set[str]) -> Example:
    """Return the example with its root's name as a prefix, and its source too where another root has that source."""
    prefix = root.parent.name if example.source == root.name else root.name
    name = f"{prefix}/{example.name}"
    source = f"{prefix}/{example.source}" if example.source in others else example.source
    renamed: Example = dataclasses.replace(example, name=name, source=source)  # type: ignore[type-var]
    return renamed
