"""Settings of discovery: when to look, what becomes a track, and when a track ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any, Literal, get_args

from masklet.checks import check_choice, check_fraction, check_whole, set_checked
from masklet.errors import ConfigError
from masklet.records import changes_text

Level = Literal["objects", "parts", "both"]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class DiscoveryConfig:
    """Settings of discovery. A key frame is a frame on which the detector is asked.

    Sources of the numbers, as far as they are not ours: SAM 3's tracker glue (sam3 99d02f2, model_builder.py), SAM2MOT
    (arXiv 2504.04519), SAM-Track (model_args.py), DEVA.
    """

    every: int = 10
    """Frames from one key frame to the next, at most."""
    growth: float = 0.1
    """A key frame comes early when the uncovered fraction of the frame has grown by this much: something has come in,
    or the scene has changed."""
    level: Level = "objects"
    """`objects`: a mask within a larger one is left out; `parts`: a mask that smaller ones make up is left out;
    `both`: all masks."""
    max_objects: int = 64
    """Most objects that are tracked or, while they are absent, remembered; prompted ones count unless they have been
    absent for `max_absence` frames. A new one takes the place of the one that has been absent longest; while all are
    tracked, it finds no place."""
    min_score: float = 0.3
    """Detections of lower scores are ignored, 0 to 1."""
    birth_score: float = 0.5
    """A detection starts a track only with this score, 0 to 1. A lower one still confirms a track that exists."""
    min_area: float = 0.001
    """Smaller detections start no track; fraction of the frame."""
    max_area: float = 0.5
    """Larger masks without a label start no track at the level of objects: they are background; fraction of the
    frame."""
    match_iou: float = 0.5
    """A detection is the same object as a tracked mask from this IoU on; of boxes where it has no mask."""
    min_uncovered: float = 0.5
    """A detection starts a track only if this fraction of its area belongs to no track."""
    confirm_hits: int = 3
    """A track is confirmed once it was detected on this many of `confirm_window` key frames in a row."""
    confirm_window: int = 5
    duplicate_iou: float = 0.95
    """Of two tracks that overlap this much on a key frame, the younger is a double. A tentative one is removed; a
    confirmed one becomes absent, and keeps its masks."""
    overlap_iou: float = 0.7
    """Of two tracks that overlap this much on `confirm_hits` key frames in a row, the younger is a duplicate. One key
    frame is enough for a tentative track that overlaps a confirmed one."""
    max_absence: int = 25
    """Frames of absence after which a confirmed object is looked for on key frames only."""
    max_misses: int = 5
    """Key frames in a row on which a track in doubt may be missed by the detector before it counts as absent."""
    forget_after: int = 1500
    """Frames of absence after which an object ends for good, unless `max_objects` has ended it before; its id is never
    used again."""
    reprompt_score: float = 0.7
    """A track in doubt is prompted again with its detection of at least this score."""

    def __repr__(self) -> str:
        return changes_text(self)

    def __post_init__(self) -> None:
        set_checked(self, ["level"], partial(check_choice, choices=get_args(Level)))
        set_checked(self, _FRACTIONS, check_fraction)
        set_checked(self, _COUNTS, check_whole, least=1)
        if self.confirm_hits > self.confirm_window:
            raise ConfigError(
                f"confirm_hits must be at most confirm_window, {self.confirm_window}, got {self.confirm_hits}"
            )

    @classmethod
    def from_options(
        cls,
        *,
        base: DiscoveryConfig | None = None,
        level: str | None = None,
        every: int | None = None,
        max_objects: int | None = None,
        min_score: float | None = None,
    ) -> DiscoveryConfig:
        """Return the settings for the options of the command line and the API; None leaves a setting as it is.

        Args:
            base: the settings that the options change; the defaults when left out.
            level: `objects`, `parts` or `both`.
            every: frames from one key frame to the next.
            max_objects: most objects at a time.
            min_score: least score of detections that start tracks. Lower ones are used down to the default of
                `DiscoveryConfig.min_score`, to confirm tracks.

        Raises:
            ConfigError: an option is out of range.
        """
        options: dict[str, Any] = {"level": level, "every": every, "max_objects": max_objects}
        if min_score is not None:
            options |= {"birth_score": min_score, "min_score": min(min_score, cls().min_score)}
        changes = {name: value for name, value in options.items() if value is not None}
        return replace(base or cls(), **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DiscoveryConfig:
        """Return the settings of `to_dict`.

        Raises:
            ConfigError: a setting is unknown or out of range.
        """
        if unknown := set(values) - {field.name for field in fields(cls)}:
            raise ConfigError(f"discovery has no setting {min(unknown)!r}")
        return cls(**values)


_FRACTIONS = (
    "growth",
    "min_score",
    "birth_score",
    "min_area",
    "max_area",
    "match_iou",
    "min_uncovered",
    "duplicate_iou",
    "overlap_iou",
    "reprompt_score",
)
_COUNTS = (
    "every",
    "max_objects",
    "confirm_hits",
    "confirm_window",
    "max_absence",
    "max_misses",
    "forget_after",
)
