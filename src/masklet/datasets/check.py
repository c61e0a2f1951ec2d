"""Inventory and faults of a data set: every file is read, and the check continues after a fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from masklet.datasets.records import MAX_OBJECT_ID, ClipExample, Dataset, ImageExample, Labels
from masklet.errors import DataError, MaskletError
from masklet.records import Progress

SMALL_OBJECT = 0.0015
"""Objects below this fraction of the image are counted as small."""
TINY_OBJECT_PX = 16
"""Objects of fewer pixels are reported."""
MANY_OBJECTS = 255
ID_JUMP = 20
"""An id this far above the number of objects looks like a grey value that was meant as something else."""

"""Called with (examples done, examples in all, name)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one file or clip."""

    severity: str
    """`error`: it cannot be used. `warning`: it can, and is worth a look."""
    kind: str
    """Kind of fault, in a few words."""
    where: str
    message: str


@dataclass(slots=True)
class SourceCounts:
    """Counts of one source."""

    images: int = 0
    clips: int = 0
    frames: int = 0
    """Labelled frames of clips."""
    objects: int = 0
    """Objects of the images, and objects seen in the clips."""
    small_objects: int = 0
    empty: int = 0
    """Images or labelled frames without an object."""
    most_objects: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Images or clips by (H, W)."""
    areas: list[float] = field(default_factory=list)
    """Area of each object in each image, as a fraction of the image."""
    void_shares: list[float] = field(default_factory=list)
    """Void fraction of each image or labelled frame."""

    def to_dict(self) -> dict[str, Any]:
        """Return the counts for JSON, with areas as quantiles."""
        low, middle, high = np.quantile(self.areas, (0.05, 0.5, 0.95)).tolist() if self.areas else (0.0, 0.0, 0.0)
        sizes = [{"height": h, "width": w, "count": count} for (h, w), count in self.sizes.most_common()]
        return {
            "images": self.images,
            "clips": self.clips,
            "labelled_frames": self.frames,
            "objects": self.objects,
            "small_objects": self.small_objects,
            "without_objects": self.empty,
            "most_objects": self.most_objects,
            "area_5_percent": low,
            "area_median": middle,
            "area_95_percent": high,
            "void_share": float(np.mean(self.void_shares)) if self.void_shares else 0.0,
            "sizes": sizes[:20],
        }


@dataclass(frozen=True, slots=True)
class DataReport:
    """The result of `check_dataset`."""

    root: str
    layout: str
    sources: dict[str, SourceCounts]
    faults: tuple[Fault, ...]

    @property
    def has_errors(self) -> bool:
        return any(fault.severity == "error" for fault in self.faults)

    def to_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            "root": self.root,
            "layout": self.layout,
            "ok": not self.has_errors,
            "sources": {name: counts.to_dict() for name, counts in self.sources.items()},
            "faults": [asdict(fault) for fault in self.faults],
        }


def check_dataset(
    data: Dataset, opening_faults: Sequence[DataError] = (), *, progress: Progress | None = None
) -> DataReport:
    """Read everything in a data set.

    Args:
        data: opened with `verify=False`, so that a file that does not fit becomes a line of the report
            instead of ending the check.
        opening_faults: what `open_dataset` has collected.
        progress: called after each image and clip.
    """
    sources: dict[str, SourceCounts] = {}
    faults = [Fault("error", "does not pair", str(data.root), str(error)) for error in opening_faults]
    total = len(data.images) + len(data.clips)
    done = 0
    for examples in (data.images, data.clips):
        for index in range(len(examples)):
            try:
                example = examples[index]
            except MaskletError as error:  # a truncated shard, for example
                faults.append(Fault("error", "cannot be read", str(data.root), str(error)))
                continue
            counts = sources.setdefault(example.source, SourceCounts())
            if isinstance(example, ImageExample):
                faults.extend(_check_image(example, counts))
            else:
                faults.extend(_check_clip(example, counts))
            done += 1
            if progress is not None:
                progress(done, total, example.name)
    if not total:
        faults.append(Fault("error", "empty", str(data.root), "neither images nor clips"))
    return DataReport(str(data.root), data.layout, sources, tuple(faults))


def _check_image(image: ImageExample, counts: SourceCounts) -> Iterator[Fault]:
    counts.images += 1
    try:
        rgb, labels = image.read()
    except MaskletError as error:
        yield Fault("error", _kind_of(error), image.where, str(error))
        return
    counts.sizes[(rgb.shape[0], rgb.shape[1])] += 1
    areas = _count(labels, counts)
    counts.objects += len(areas)
    yield from _check_labels(labels, areas, image.where)
    yield from _check_ids(list(areas), image.where)


def _check_clip(clip: ClipExample, counts: SourceCounts) -> Iterator[Fault]:
    counts.clips += 1
    if not clip.labelled_frames:
        yield Fault("error", "no labelled frame", clip.where, "the clip has no masks")
        return
    if clip.num_frames < 2:
        yield Fault("warning", "a single frame", clip.where, "the clip has one frame: nothing moves")
    seen: set[int] = set()
    first_size: tuple[int, int] | None = None
    faults: list[Fault] = []
    for frame_index, labels in _read_frames(clip, faults):
        yield from faults
        faults.clear()
        if first_size is None:
            first_size = labels.size_hw
            counts.sizes[first_size] += 1
        elif labels.size_hw != first_size:
            where = clip.label_where(frame_index)
            yield Fault("error", "sizes differ within a clip", where, f"{labels.size_hw} after {first_size}")
        counts.frames += 1
        areas = _count(labels, counts)
        yield from _check_labels(labels, areas, clip.label_where(frame_index))
        seen |= areas.keys()
    yield from faults
    counts.objects += len(seen)
    yield from _check_ids(sorted(seen), clip.where)
    if not seen and first_size is not None:
        yield Fault("error", "no object", clip.where, "no labelled frame of the clip has an object")


def _read_frames(clip: ClipExample, faults: list[Fault]) -> Iterator[tuple[int, Labels]]:
    """Yield the labelled frames that can be read, a few at a time; add a fault for each of the others."""
    for start in range(0, len(clip.labelled_frames), 8):
        part = clip.labelled_frames[start : start + 8]
        try:
            pairs = [(index, labels) for index, (_, labels) in zip(part, clip.read(part), strict=True)]
        except MaskletError:
            pairs = [pair for index in part if (pair := _read_frame(clip, index, faults)) is not None]
        yield from pairs


def _read_frame(clip: ClipExample, index: int, faults: list[Fault]) -> tuple[int, Labels] | None:
    try:
        return index, clip.read([index])[0][1]
    except MaskletError as error:
        faults.append(Fault("error", _kind_of(error), clip.label_where(index), str(error)))
        return None


def _count(labels: Labels, counts: SourceCounts) -> dict[int, int]:
    areas = labels.areas()
    pixels = labels.size_hw[0] * labels.size_hw[1]
    fractions = [area / pixels for area in areas.values()]
    counts.areas += fractions
    counts.small_objects += sum(fraction < SMALL_OBJECT for fraction in fractions)
    counts.most_objects = max(counts.most_objects, len(areas))
    counts.empty += not areas
    void = labels.void
    counts.void_shares.append(0.0 if void is None else float(void.mean()))
    return areas


def _check_labels(labels: Labels, areas: dict[int, int], where: str) -> Iterator[Fault]:
    if not areas:
        void = labels.void
        if void is None:
            yield Fault("warning", "no object", where, "nothing is labelled")
        else:
            yield Fault("warning", "only void", where, f"{void.mean():.0%} void and no object")
        return
    if len(areas) > MANY_OBJECTS:
        message = f"{len(areas)} objects: an indexed mask holds {MAX_OBJECT_ID}"
        yield Fault("warning", "more than 255 objects", where, message)
    tiny = [object_id for object_id, area in areas.items() if area < TINY_OBJECT_PX]
    if tiny:
        listed = _list(tiny)
        yield Fault("warning", "tiny objects", where, f"fewer than {TINY_OBJECT_PX} pixels: object {listed}")


def _check_ids(ids: Sequence[int], where: str) -> Iterator[Fault]:
    """Return warnings about the object ids of an image or a clip."""
    if len(ids) + ID_JUMP < max(ids, default=0) <= MAX_OBJECT_ID:
        message = f"ids {_list(sorted(ids))}: is this an indexed mask, or a grey picture?"
        yield Fault("warning", "ids jump", where, message)


def _list(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:8])) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")


def _kind_of(error: MaskletError) -> str:
    return error.fault if isinstance(error, DataError) else "cannot be read"
