"""The video benchmarks: DAVIS 2016 and 2017, YouTube-VOS, MOSE, LVOS, and SA-V's validation and test sets.

All have a folder of frames and a folder of annotations per clip:

    JPEGImages[/<resolution>]/<clip>/00000.jpg     Annotations[/<resolution>]/<clip>/00000.png
    JPEGImages_24fps/<clip>/00000.jpg              Annotations_6fps/<clip>/<object>/00000.png      SA-V

with lists of clips in `ImageSets/`, or the splits in folders `train`, `valid`, `test` of the root. Frames without
annotation are tracked but not judged. Masks of 0 and 255 alone, as those of DAVIS 2016, mean object 1.
"""

from __future__ import annotations

from pathlib import Path

from masklet.datasets.files import Faults
from masklet.datasets.folders import read_clip
from masklet.datasets.records import Dataset
from masklet.errors import DataError

SPLIT_FOLDERS = ("train", "valid", "val", "test", "valid_all_frames", "test_all_frames")
_RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
_FOLDERS = (("JPEGImages", "Annotations"), ("JPEGImages_24fps", "Annotations_6fps"))


def recognise_davis(root: Path) -> bool:
    """Return whether JPEGImages and Annotations are in the folder or in the folder of a split."""
    return any(_parts(folder) is not None for folder in [root, *(root / split for split in SPLIT_FOLDERS)])


def open_davis(
    root: Path,
    *,
    split: str | None = None,
    resolution: str | None = None,
    verify: bool = True,
    faults: Faults | None = None,
) -> Dataset:
    """Open a benchmark's folder.

    Args:
        root: the folder with JPEGImages and Annotations, or one with such a folder for each split.
        split: a list in `ImageSets` (2017 before 2016), `<split>.txt` next to the folders, or a folder of the root.
        resolution: the folder between `JPEGImages` and the clips, for DAVIS; 480p when there is a choice.
        verify: compare the sizes of frames and masks.
        faults: see `open_dataset`.

    Raises:
        DataError: no annotated clip, an unknown split or resolution, a mask without its frame, sizes that differ.
    """
    base = root
    if _parts(root) is None:
        splits = [name for name in SPLIT_FOLDERS if _parts(root / name) is not None]
        if not splits:
            raise DataError(f"{root} has no JPEGImages and Annotations (nor JPEGImages_24fps and Annotations_6fps)")
        if split is None:
            raise DataError(f"{root} has a folder for each split: choose split {' or '.join(splits)}")
        if split not in splits:
            raise DataError(f"{root} has no split {split!r}: it has {', '.join(splits)}")
        base, split = root / split, None
    parts = _parts(base)
    assert parts is not None
    frames_root, masks_root = _at_resolution(base, *parts, resolution)
    annotated = {
        folder.name: (frames_root / folder.name, folder)
        for folder in sorted(masks_root.iterdir())
        if folder.is_dir() and (frames_root / folder.name).is_dir()
    }
    if split is not None:
        names = _split_names(base, split)
        if missing := [name for name in names if name not in annotated]:
            raise DataError(f"{base} has no annotated clip {missing[0]!r}, which the split {split!r} lists")
        annotated = {name: annotated[name] for name in names}
    if not annotated:
        raise DataError(f"{base} holds no clips that have both frames and annotations")
    source = base.resolve().name
    clips = [
        clip
        for name, (frames, masks) in annotated.items()
        for clip in read_clip(name, source, frames, masks, verify=verify, faults=faults)
    ]
    return Dataset(root, "davis", clips=clips)


def _parts(folder: Path) -> tuple[Path, Path] | None:
    for frames, masks in _FOLDERS:
        if (folder / frames).is_dir() and (folder / masks).is_dir():
            return folder / frames, folder / masks
    return None


def _at_resolution(base: Path, frames_root: Path, masks_root: Path, resolution: str | None) -> tuple[Path, Path]:
    """Insert the folder for the resolution, if there is one."""
    if resolution is None:
        shared = [name for name in _RESOLUTIONS if (masks_root / name).is_dir() and (frames_root / name).is_dir()]
        resolution = shared[0] if shared else ""
    frames, masks = frames_root / resolution, masks_root / resolution
    if not frames.is_dir() or not masks.is_dir():
        raise DataError(f"{base} has no resolution {resolution!r} in both {frames_root.name} and {masks_root.name}")
    return frames, masks


def _split_names(base: Path, split: str) -> list[str]:
    """The clips of a list; DAVIS 2016 lists pairs of files, `/JPEGImages/480p/bear/00000.jpg /Annotations/...`."""
    sets = base / "ImageSets"
    lists = [sets / name / f"{split}.txt" for name in ("2017", "2016", "480p", "1080p", "")]
    for path in [*lists, base / f"{split}.txt", base / f"sav_{split}.txt"]:
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            first_words = [line.split()[0] for line in lines if line.strip()]
            names = [word if "/" not in word else Path(word).parent.name for word in first_words]
            return list(dict.fromkeys(names))
    splits = sorted({path.stem for path in sets.rglob("*.txt")}) if sets.is_dir() else []
    raise DataError(f"{base} has no list for the split {split!r}: it has {', '.join(splits) or 'none'} in {sets}")
