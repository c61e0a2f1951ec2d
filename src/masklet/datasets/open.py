"""One door to all layouts: recognised from the folder, or named."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from masklet.datasets.davis import open_davis, recognise_davis
from masklet.datasets.folders import open_folders, recognise_folders
from masklet.datasets.records import ClipExample, Dataset, ImageExample
from masklet.errors import DataError

LAYOUTS = {
    "davis": "JPEGImages/<clip> + Annotations/<clip>: DAVIS 2016 and 2017, YouTube-VOS, MOSE, LVOS, SA-V val and test",
    "folders": "<source>/images + masks, <clip>/frames + masks: indexed PNGs, or one PNG an object",
}
"""Name and what it looks like."""

ALIASES = {
    "davis2016": "davis",
    "davis2017": "davis",
    "youtube-vos": "davis",
    "mose": "davis",
    "lvos": "davis",
}
"""Other names for layouts."""

Example = TypeVar("Example", ImageExample, ClipExample)


def open_dataset(
    root: str | Path,
    layout: str | None = None,
    *,
    split: str | None = None,
    resolution: str | None = None,
    verify: bool = True,
) -> Dataset:
    """Open a folder of labelled images or clips; nothing is decoded yet.

    Args:
        root: the folder.
        layout: one of `LAYOUTS` or `ALIASES`; None recognises it.
        split: a list of examples that the data set has, or a folder for it.
        resolution: `480p` or `Full-Resolution`, for DAVIS.
        verify: compare the sizes of all images and masks now, from the files' headers, so that nothing that does not
            fit stops a long run later. Costs about a second for ten thousand files.

    Raises:
        DataError: the folder is missing, of an unknown or another layout, empty, or its files do not fit.
    """
    root = Path(root)
    if not root.exists():
        raise DataError(f"data set {root} does not exist")
    if not root.is_dir():
        raise DataError(f"data set {root} is a file: give its folder")
    layout = recognise(root) if layout is None else ALIASES.get(layout, layout)
    if layout == "davis":
        return open_davis(root, split=split, resolution=resolution, verify=verify)
    if layout == "folders":
        return open_folders(root, split=split, verify=verify)
    raise DataError(f"there is no layout {layout!r}: choose {', '.join([*LAYOUTS, *ALIASES])}")


def recognise(root: Path) -> str:
    """The layout of a folder.

    Raises:
        DataError: it is none that is known.
    """
    for layout, matches in (("davis", recognise_davis), ("folders", recognise_folders)):
        if matches(root):
            return layout
    expected = "; ".join(f"{name}: {look}" for name, look in LAYOUTS.items())
    raise DataError(f"{root} is no data set that masklet knows. Expected one of: {expected}")


def open_datasets(
    roots: str | Path | Iterable[str | Path], layout: str | None = None, *, verify: bool = True
) -> Dataset:
    """Several roots as one data set; a folder given twice counts once, and equal source names get their parents'.

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
    """The example, with its root's name before its own where another root has a source of that name."""
    prefix = root.parent.name if example.source == root.name else root.name
    name = f"{prefix}/{example.name}"
    source = f"{prefix}/{example.source}" if example.source in others else example.source
    renamed: Example = dataclasses.replace(example, name=name, source=source)  # type: ignore[type-var]
    return renamed
