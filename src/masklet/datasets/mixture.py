"""Mixtures for training: several data sets, each with its weight, split and choice of sources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from masklet.datasets.files import Faults
from masklet.datasets.open import open_dataset
from masklet.datasets.records import ClipExample, Concatenated, Dataset, ImageExample, by_source
from masklet.errors import ConfigError, DataError

MAX_MISFITS = 0.05
"""Share of a data set's files that may be left out because they do not fit: no partner, another size, bad labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSpec:
    """One data set of a mixture."""

    root: str
    weight: float = 1.0
    """Its share of the samples is its weight over the sum of all weights."""
    layout: str | None = None
    """See `masklet.datasets.LAYOUTS`; None recognises it."""
    split: str | None = None
    only: tuple[str, ...] = ()
    """Names of the sources or clips to take; all when empty."""
    verify: bool = True
    """Compare images and masks now; `verify=no` for what is too large to look at each time."""

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise ConfigError(f"the weight of {self.root} must be a number above 0, got {self.weight}")

    @classmethod
    def parse(cls, text: str) -> DataSpec:
        """`ROOT[?layout=NAME&split=NAME&only=A,B&verify=no][:WEIGHT]`, as in `DAVIS?split=train:2`.

        A path that exists as it is written is taken as it is.

        Raises:
            ConfigError: an unknown option, or a weight that is not above 0.
        """
        weight = 1.0
        if not Path(text).exists():
            head, colon, tail = text.rpartition(":")
            if colon and _is_number(tail):
                text, weight = head, float(tail)
        root, _, query = (text, "", "") if Path(text).exists() else text.partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        if unknown := options.keys() - {"layout", "split", "only", "verify"}:
            raise ConfigError(f"{text}: unknown option {min(unknown)!r}: choose layout, split, only or verify")
        return cls(
            root=root,
            weight=weight,
            layout=options.get("layout"),
            split=options.get("split"),
            only=tuple(name for name in options.get("only", "").split(",") if name),
            verify=options.get("verify", "yes") != "no",
        )

    def open(self, faults: Faults | None = None) -> Dataset:
        """Open the data set and keep the sources and clips that `only` names.

        Args:
            faults: collects what is wrong with single files, as for `open_dataset`; with `verify=no` nothing is looked
                at, and the first file without its partner is an error.

        Raises:
            DataError: as `open_dataset`, no file can be used, more than `MAX_MISFITS` of the files do not fit, or a
                name that the data set does not have.
        """
        faults_here: Faults | None = None if faults is None or not self.verify else []
        data = open_dataset(self.root, self.layout, split=self.split, verify=self.verify, faults=faults_here)
        if faults_here and not data.images and not data.clips:
            raise faults_here[0]
        _check_misfits(data, faults_here or [])
        if faults is not None:
            faults += faults_here or []
        if not self.only:
            return data
        names_to_keep = set(self.only)
        images = Concatenated(
            {name: examples for name, examples in by_source(data.images).items() if name in names_to_keep}
        )
        clips = [clip for clip in data.clips if clip.source in names_to_keep or clip.name in names_to_keep]
        names = images.groups.keys() | {name for clip in clips for name in (clip.source, clip.name)}
        if missing := names_to_keep - names:
            raise DataError(f"{self.root} has no source or clip {min(missing)!r}: it has {', '.join(data.sources())}")
        return Dataset(data.root, data.layout, images, clips)


def _check_misfits(data: Dataset, faults: Faults) -> None:
    """Check that the data set fits together, but for single files: one that does not is hardly the one that is meant.

    Raises:
        DataError: more than `MAX_MISFITS` of the files have no partner, another size, or labels that cannot be used.
    """
    misfits = [fault for fault in faults if fault.fault != "cannot be read"]
    num_misfits = sum(fault.num_files for fault in misfits)
    # A fault of SA-V is about a video, one of other clips about a frame.
    num_clips = sum(1 if data.layout == "sa-v" else len(clip.labelled_frames) for clip in data.clips)
    num_used = len(data.images) + num_clips
    if num_misfits > MAX_MISFITS * (num_misfits + num_used):
        raise DataError(
            f"{data.root}: {num_misfits} of {num_misfits + num_used} files do not fit; at most {MAX_MISFITS:.0%} are "
            f"left out. The first: {misfits[0]}. `masklet data check {data.root}` lists them all"
        )


Mixture = Sequence[tuple[float, Dataset]]
"""Weights and data sets."""


def open_mixture(specs: str | Iterable[str], faults: Faults | None = None) -> Mixture:
    """Open the data sets of a mixture; see `DataSpec.parse` for how each is written.

    Args:
        specs: one or several.
        faults: see `DataSpec.open`.

    Raises:
        ConfigError: a text that cannot be understood.
        DataError: a data set that cannot be opened, or none given.
    """
    parsed = [DataSpec.parse(text) for text in ([specs] if isinstance(specs, str) else specs)]
    if not parsed:
        raise DataError("no data set was given")
    return [(spec.weight, spec.open(faults)) for spec in parsed]


def mixture_images(mixture: Mixture) -> list[tuple[float, Sequence[ImageExample]]]:
    """The images of each data set that has some.

    Raises:
        DataError: none has.
    """
    images = [(weight, data.images) for weight, data in mixture if data.images]
    return images or [(1.0, mixture[0][1].need_images())]


def mixture_clips(mixture: Mixture) -> list[tuple[float, Sequence[ClipExample]]]:
    """The clips of each data set that has some.

    Raises:
        DataError: none has.
    """
    clips = [(weight, data.clips) for weight, data in mixture if data.clips]
    return clips or [(1.0, mixture[0][1].need_clips())]


def shares(groups: Sequence[tuple[float, Sequence[float]]]) -> NDArray[np.float64]:
    """The probability of each member: its group's weight is spread over the group by the members' own weights.

    Args:
        groups: the weight of each, and the weights of its members; a group whose members have none is left out.

    Raises:
        DataError: no member has a weight.
    """
    spread = [
        weight * np.asarray(members, float) / sum(members) if sum(members) else np.zeros(len(members))
        for weight, members in groups
    ]
    together = np.concatenate(spread) if spread else np.zeros(0)
    if not together.sum():
        raise DataError("every source has weight 0: nothing is left to draw from")
    return np.asarray(together / together.sum())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
