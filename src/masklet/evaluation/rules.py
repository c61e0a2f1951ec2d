"""Rules of each video benchmark: the frames and objects that are judged, and the mean that is reported.

The measures J and F are the same everywhere; benchmarks differ in what they leave out and in what the mean goes over.
`docs/guides/evaluation.md` has the table, and where the benchmarks' own servers differ from what is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from masklet.checks import check_choice
from masklet.datasets import ClipExample
from masklet.errors import DataError
from masklet.foreign.documents import read_json

Since = Literal["clip", "object", "seen"]
Group = Literal["seen", "unseen"]
GroupOf = Callable[[str, int], Group | None]
"""(clip, object id) to whether its kind was in the benchmark's training data; None where no file says."""

MAX_PARENTS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class VosRules:
    """Rules for judging and averaging. Frames are labelled frames throughout."""

    since: Since = "object"
    """Start of judging. `clip`: at the clip's first frame, so before an object appears nothing may be predicted;
    `object`: at the object's own first frame; `seen`: as `clip`, but not before the object is in the truth or in the
    prediction, as vos-benchmark has it."""
    skip_first: bool | None = None
    """Leave out that first frame, whose mask is given; None: where the prompt was the mask."""
    skip_last: bool = False
    """Leave out the clip's last frame."""
    ends_with_object: bool = False
    """The last frame is the last one that shows the object."""
    merge: bool = False
    """Merge all objects of a clip into one."""
    mean: Literal["clips", "objects"] = "clips"
    """The rows that the overall mean is taken over."""
    groups: bool = False
    """Average seen and unseen objects apart, and then the two, where a file says which they are."""

    def frames(self, labelled: Sequence[int], first: int, last: int, *, mask_given: bool) -> tuple[int, ...]:
        """Return the frames on which an object is judged.

        Args:
            labelled: the clip's labelled frames, ascending.
            first: the first of them that shows the object.
            last: the last one that does.
            mask_given: the prompt was the exact mask on the first frame.
        """
        start = first if self.since == "object" else labelled[0]
        stop = last if self.ends_with_object else labelled[-1]
        skipped = set()
        if mask_given if self.skip_first is None else self.skip_first:
            skipped.add(start)
        if self.skip_last:
            skipped.add(stop)
        return tuple(index for index in labelled if start <= index <= stop and index not in skipped)


RULES = {
    "masklet": VosRules(),
    "davis2016": VosRules(since="clip", skip_first=True, skip_last=True, merge=True, mean="objects"),
    "davis2017": VosRules(since="clip", skip_first=True, skip_last=True, mean="objects"),
    "youtube-vos": VosRules(since="object", skip_first=True, mean="objects", groups=True),
    "mose": VosRules(since="seen", skip_first=True, skip_last=True, mean="objects"),
    "lvos": VosRules(
        since="object", skip_first=True, skip_last=True, ends_with_object=True, mean="objects", groups=True
    ),
    "sa-v": VosRules(since="seen", skip_first=True, skip_last=True, mean="objects"),
}
"""Rules by the name of the benchmark. `masklet` judges all frames but a given one, and averages over clips."""


def rules_named(name: str) -> VosRules:
    """Return the rules of a benchmark.

    Raises:
        ConfigError: no benchmark has that name.
    """
    return RULES[check_choice("benchmark", name, RULES)]


def read_groups(clips: Sequence[ClipExample]) -> GroupOf:
    """Return a function that tells objects of classes unseen in training, from the benchmark's files next to the clips.

    a) LVOS: `unseen_videos.txt` lists clips.
    b) YouTube-VOS: `meta.json` has each object's category; unseen are those that no object of `../train/meta.json` has.

    Raises:
        DataError: such a file is there and cannot be read.
    """
    start = Path(clips[0].where)
    if (listed := _find_above(start, "unseen_videos.txt")) is not None:
        unseen = set(listed.read_text(encoding="utf-8").split())
        return lambda clip, object_id: "unseen" if clip in unseen else "seen"
    meta = _find_above(start, "meta.json")
    train = None if meta is None else meta.parent.parent / "train" / "meta.json"
    if meta is None or train is None or not train.is_file() or train == meta:
        return lambda clip, object_id: None
    categories = _categories(meta)
    train_categories = set(_categories(train).values())

    def group_of(clip: str, object_id: int) -> Group | None:
        category = categories.get((clip, object_id))
        return None if category is None else "seen" if category in train_categories else "unseen"

    return group_of


def _find_above(start: Path, name: str) -> Path | None:
    for folder in list(start.parents)[:MAX_PARENTS]:
        if (folder / name).is_file():
            return folder / name
    return None


def _categories(path: Path) -> dict[tuple[str, int], str]:
    try:
        videos = read_json(path).field("videos").value
        return {
            (clip, int(object_id)): entry["category"]
            for clip, video in videos.items()
            for object_id, entry in video["objects"].items()
            if "category" in entry
        }
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{path} is not a meta.json of YouTube-VOS: expected videos, objects and their category ({error!r})"
        ) from error
