"""The memories of one object, and the choice of those that are read for the next frame.

The bank works on integers: it knows frame numbers, scores and opaque handles, but no arrays, no engine and no video.
One bank belongs to one object; to forget the object is to drop its bank.

Its policy (`masklet.memory.policies`) chooses the tracked frames that are read. Memories that would not be read again
are dropped as soon as a frame is written, so a bank does not grow with the video.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Generic, Literal, TypeVar, get_args

from masklet.checks import check_choice, check_flag, check_whole, set_checked
from masklet.errors import ConfigError
from masklet.memory.policies import (
    CombinedPolicy,
    PolicyConfig,
    Reads,
    View,
    check_policy,
    default_settings,
    make_policy,
    reliability,
)
from masklet.records import EngineInfo, FrameMemory, Recall, changes_text

A = TypeVar("A")

Retention = Literal["streaming", "editing", "all"]
Kind = Literal["prompted", "resolved", "tracked"]
"""Prompted by the user; as reliable as a prompted one, according to the policy; or neither."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class MemoryConfig:
    """Rules of remembering. The defaults are masklet's; `MemoryConfig.official()` has SAM 2's own rules."""

    policy: str = "reliable"
    """Name of a policy (`masklet.memory.policies.policy_names`), or several joined by '+'. `reliable`: tracked frames
    are read when the object was present; `official`: the last ones, whatever they show."""
    settings: Mapping[str, PolicyConfig] = field(default_factory=dict, hash=False)
    """Settings of policies by their names, as `{"motion": MotionConfig(weight=0.15)}`; defaults where left out."""
    spatial_slots: int = 7
    """Kinds of memory that the model tells apart: prompted frames share the first, tracked frames have one each.
    The tracker lowers it to what the model was trained for."""
    max_pointers: int = 16
    """Object pointers span this many frames: one prompted or present, and up to `max_pointers - 1` tracked ones."""
    max_prompted: int | None = 4
    """Prompted frames read at once, the closest in time; None reads all, and time per frame grows with their number."""
    max_prompted_kept: int | None = 32
    """Prompted frames kept; beyond it the one farthest in time goes. None keeps all: memory then grows with the
    prompts, though never with the video."""
    max_resolved: int = 3
    """Frames read in addition to the prompted ones because the policy wrote them as resolved, within `max_prompted`."""
    prompts_ahead: bool = False
    """Also read prompted frames that lie ahead in the direction of tracking."""
    corrections_stay: bool = True
    """Treat a tracked frame that is corrected by a click as a prompted frame. Otherwise it stays an ordinary frame,
    which is forgotten a few frames later."""
    absent_as_empty: bool = False
    """Let a click on a frame where the object was judged absent correct an empty mask. Otherwise it corrects the logits
    that the decoder computed all the same."""
    safeguards: bool = True
    """Drop the tracked frames but the last on a shot cut, refuse a mask that explodes over the frame, leave out pieces
    of it that are out of the object's reach, and mark an object that collapses onto another one as uncertain."""
    withhold_collapsed: bool = False
    """Remember nothing of an object while it is collapsed onto another one; needs `safeguards`. It costs nano two
    points where look-alikes cross, even if the right one of them wins (docs/benchmarks/memory-policies.md)."""
    retention: Retention = "streaming"
    """`streaming` keeps what the last and the next frame read; `editing` keeps every frame until a correction outdates
    it; `all` keeps every frame whatever is corrected, and no masks to go back to, as the official code does."""

    def __repr__(self) -> str:
        return changes_text(self)

    def __post_init__(self) -> None:
        check_policy(self.policy)
        check_choice("retention", self.retention, get_args(Retention))
        least = {"spatial_slots": 1, "max_pointers": 2, "max_resolved": 0}
        optional = {"max_prompted": 2, "max_prompted_kept": self.max_prompted or 1}
        for name, lowest in (least | optional).items():
            if name in least or getattr(self, name) is not None:
                object.__setattr__(self, name, check_whole(name, getattr(self, name), least=lowest))
        flags = ("prompts_ahead", "corrections_stay", "absent_as_empty", "safeguards", "withhold_collapsed")
        set_checked(self, flags, check_flag)
        for name, settings in self.settings.items():
            _check_settings(self.policy, name, settings)

    @classmethod
    def official(cls, **changes: Any) -> MemoryConfig:
        """Return SAM 2's own rules, with fields or settings of policies changed as in `for_engine`.

        Source: sam2 2b90b9f, sam2_base.py `_prepare_memory_conditioned_features`, and the released configurations.
        """
        return cls(**{**_OFFICIAL_RULES, **_fields_of(changes)})

    @classmethod
    def for_engine(cls, info: EngineInfo, *, policy: str | None = None, **changes: Any) -> MemoryConfig:
        """Return the rules that suit a model: its sizes, and the settings that its makers chose.

        Args:
            info: of the engine.
            policy: name of another policy; "official" selects all of SAM 2's rules, as `official` does.
            changes: fields to set otherwise, and settings of a policy by its name: `motion=MotionConfig(weight=0.15)`.

        Raises:
            ConfigError: there is no such policy or field, or a value is out of range.
        """
        sizes = {"spatial_slots": info.spatial_slots, "max_pointers": info.max_pointers}
        if policy == "official":
            return cls.official(**(sizes | changes))
        suited = cls.from_dict(sizes | dict(info.defaults))
        if policy is not None:  # what the makers set for their own policy does not concern this one
            used = _used_policies(policy)
            settings = {name: settings for name, settings in suited.settings.items() if name in used}
            suited = replace(suited, policy=policy, settings=settings)
        return replace(suited, **_fields_of(changes))

    def settings_of(self, policy: str) -> PolicyConfig:
        """Return the settings of one policy: those in `settings`, or its defaults."""
        return self.settings[policy] if policy in self.settings else default_settings(policy)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with all settings of the policies in use; `from_dict` reads them."""
        used = {name: asdict(self.settings_of(name)) for name in _used_policies(self.policy)}
        return asdict(self) | {"settings": used}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MemoryConfig:
        """Inverse of `to_dict`. Reads flat settings of policies, too, as they were written before version 0.2.

        Raises:
            ConfigError: an unknown field or policy, or a value out of range.
        """
        changes = dict(values)
        stored = {name: dict(settings) for name, settings in changes.pop("settings", {}).items()}
        used = _used_policies(changes.get("policy", "reliable"))
        for flat_name, (policy, name) in _FLAT_SETTINGS.items():
            if flat_name in changes:
                value = changes.pop(flat_name)
                if policy in used:
                    stored.setdefault(policy, {})[name] = value
        if unknown := sorted(changes.keys() - {each.name for each in fields(cls)}):
            raise ConfigError(f"unknown memory settings: {', '.join(unknown)}")
        settings = {}
        try:
            for policy, policy_values in stored.items():
                defaults = default_settings(policy)
                if (policy_settings := replace(defaults, **policy_values)) != defaults:
                    settings[policy] = policy_settings
            return cls(**changes, settings=settings)
        except TypeError as error:
            raise ConfigError(f"memory settings do not fit this version of masklet: {error}") from error

    def fitted_to(self, info: EngineInfo) -> MemoryConfig:
        """Return these rules with no more memory slots than the model has temporal encodings for."""
        return replace(self, spatial_slots=min(self.spatial_slots, info.spatial_slots))


_OFFICIAL_RULES: Mapping[str, Any] = {
    "policy": "official",
    "max_prompted": None,
    "max_prompted_kept": None,
    "prompts_ahead": True,
    "corrections_stay": False,
    "safeguards": False,
    "absent_as_empty": True,
}

_FLAT_SETTINGS: Mapping[str, tuple[str, str]] = {
    "memory_stride": ("official", "stride"),
    "reliability_threshold": ("reliable", "threshold"),
}
"""Former fields of `MemoryConfig`, in sessions and model folders written before 0.2: policy and its setting."""


def _used_policies(policy: str) -> tuple[str, ...]:
    """Return the names of a policy's members, and `reliable`, which reads where no member has an opinion."""
    return tuple(dict.fromkeys((*check_policy(policy), "reliable")))


def _fields_of(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes as fields: those named after a policy are its settings."""
    names = {each.name for each in fields(MemoryConfig)}
    settings = {name: value for name, value in changes.items() if name not in names and isinstance(value, PolicyConfig)}
    changed = {name: value for name, value in changes.items() if name not in settings}
    if unknown := sorted(changed.keys() - names):
        raise ConfigError(f"unknown memory setting {unknown[0]!r}: expected one of {', '.join(sorted(names))}")
    if settings:
        changed["settings"] = {**changed.get("settings", {}), **settings}
    return changed


def _check_settings(policy: str, name: str, settings: PolicyConfig) -> None:
    expected = type(default_settings(name))
    if name not in _used_policies(policy):
        raise ConfigError(f"settings has {name!r}, which policy {policy!r} does not use: remove it, or add the policy")
    if not isinstance(settings, expected):
        raise ConfigError(f"settings of {name!r} must be a {expected.__name__}, got {settings!r}")


@dataclass(slots=True)
class _Entry(Generic[A]):
    """One remembered frame. The spatial memory is the large part; it may be dropped before the pointer."""

    spatial: A | None
    pointer: A
    kind: Kind
    reliability: float

    @property
    def prompted(self) -> bool:
        return self.kind == "prompted"


class MemoryBank(Generic[A]):
    """The memory of one object: `write` after each frame, `recall` before the next.

    Args:
        config: the rules; masklet's defaults when left out.
        policy: chooses what is read; made from `config.policy` when left out.
    """

    def __init__(self, config: MemoryConfig | None = None, policy: CombinedPolicy | None = None) -> None:
        self.config = config or MemoryConfig()
        self.policy = make_policy(self.config) if policy is None else policy
        self.inherited: tuple[FrameMemory[A], ...] = ()
        """Memories from another video, read in slot 0 as far as `max_prompted` leaves room."""
        self._entries: dict[int, _Entry[A]] = {}
        self._direction = 1

    @property
    def prompted_frames(self) -> tuple[int, ...]:
        """Remembered prompted frames, ascending."""
        return self._frames_of("prompted")

    @property
    def resolved_frames(self) -> tuple[int, ...]:
        """Remembered frames that the policy treats like prompted ones, ascending."""
        return self._frames_of("resolved")

    @property
    def tracked_frames(self) -> tuple[int, ...]:
        """Remembered tracked frames, ascending."""
        return self._frames_of("tracked")

    @property
    def num_spatial(self) -> int:
        """Number of spatial memories held, the large part; see `FrameMemory.spatial`."""
        return sum(entry.spatial is not None for entry in self._entries.values())

    @property
    def direction(self) -> int:
        """Tracking direction of the last `write`: 1 forward, -1 backward."""
        return self._direction

    @property
    def prompted_memories(self) -> tuple[FrameMemory[A], ...]:
        """Memories that a tracker of another video can inherit: inherited ones, and those of prompted frames."""
        prompted = [self._entries[index] for index in self.prompted_frames]
        memories = [FrameMemory(entry.spatial, entry.pointer) for entry in prompted if entry.spatial is not None]
        return (*self.inherited, *memories)

    def __len__(self) -> int:
        """Return the number of frames remembered, at least by their pointer."""
        return len(self._entries)

    def __contains__(self, frame_index: int) -> bool:
        return frame_index in self._entries

    def write(
        self,
        frame_index: int,
        memory: FrameMemory[A],
        *,
        prompted: bool,
        iou_prediction: float,
        object_score: float,
        direction: int = 1,
        resolved: bool = False,
        reliable: float | None = None,
    ) -> None:
        """Remember one frame in place of its earlier memory, and drop memories that will not be read again.

        Args:
            frame_index: the frame, from 0.
            memory: handles from `Engine.encode_memory`.
            prompted: whether it is read as a prompted frame: in slot 0, until there are more than `max_prompted_kept`.
            iou_prediction: IoU prediction of the chosen mask, in [0, 1].
            object_score: logit, present where > 0.
            direction: tracking direction, 1 forward or -1 backward. A change of direction forgets the tracked frames
                when retention is `streaming`: they lie ahead of every frame to come.
            resolved: whether a tracked frame is read in slot 0, too: see `masklet.memory.policies.Write`.
            reliable: how certain it is that the mask shows the object, 0 to 1; from the two scores when left out.
        """
        streaming = self.config.retention == "streaming"
        if streaming and direction != self._direction:
            self.forget_tracked()
        self._direction = direction
        score = reliability(object_score, iou_prediction) if reliable is None else reliable
        kind: Kind = "prompted" if prompted else "resolved" if resolved else "tracked"
        self._entries[frame_index] = _Entry(memory.spatial, memory.pointer, kind, score)
        if streaming:
            self._drop_unread(frame_index, direction)
        self._drop_prompted(frame_index)

    def recall(self, frame_index: int, *, direction: int = 1, num_frames: int | None = None) -> Recall[A]:
        """Return what is read for one frame. A frame never reads itself, so a frame can be decoded again.

        a) Prompted frames, the closest `max_prompted`, in slot 0; those ahead only with `prompts_ahead`. If they are
           fewer, up to `max_resolved` resolved frames behind, the closest, but not the previous frame.
           Memories inherited from another video fill up what is left of `max_prompted`.
        b) Tracked frames that the policy chooses; prompted frames that a) left out are among its candidates.
        c) The pointers of all of these that lie behind in the direction of tracking.

        Args:
            frame_index: the frame to be decoded.
            direction: tracking direction, 1 forward or -1 backward.
            num_frames: frames of the video, where known: a short video has a shorter pointer span.

        Returns:
            Handles by slot and distance; empty if there is nothing to read in slot 0: then the object is not known
            yet on this frame, in the direction of tracking.
        """
        span = self.config.max_pointers if num_frames is None else min(num_frames, self.config.max_pointers)
        first, reads = self._reads(frame_index, direction, span)
        limit = self.config.max_prompted
        inherited = self.inherited if limit is None else self.inherited[: max(0, limit - len(first))]
        if not first and not inherited:
            return Recall(pointer_span=span)
        read = [(0, index, self._entries[index].spatial) for index in first]
        read += [(slot, index, self._entries[index].spatial) for slot, index in reads.spatial]
        spatial = [(slot, index, memory) for slot, index, memory in read if memory is not None]
        ages = [(age, index) for index in first if (age := (frame_index - index) * direction) > 0]
        ages += reads.pointers
        # Inherited pointers get the largest age that a tracked frame can have.
        return Recall(
            spatial=(
                *((0, memory.spatial) for memory in inherited),
                *((slot, memory) for slot, _, memory in spatial),
            ),
            pointers=(
                *((max(1, span - 1), memory.pointer) for memory in inherited),
                *((age, self._entries[index].pointer) for age, index in ages),
            ),
            pointer_span=span,
            frames=(*(None for _ in inherited), *(index for _, index, _ in spatial)),
        )

    def missing_for(self, frame_index: int, reliabilities: Mapping[int, float], direction: int) -> list[int]:
        """Return the frames the bank would read for `frame_index` but does not hold, nearest last; none if it holds
        all of them. It is used to rebuild memories of which only the masks are left.

        Args:
            frame_index: the frame to be decoded.
            reliabilities: of the frames behind it that could be rebuilt, by frame index.
            direction: 1 forward, -1 backward.
        """
        first = self._first(frame_index, direction)
        unread = {index: reliable for index, reliable in reliabilities.items() if index not in first}
        view = View(frame_index, direction, self.config.max_pointers, unread, len(first))
        needed = [index for _, index in self.policy.read(view).spatial if index in unread]
        turned = direction != self._direction
        held = {index for index, entry in self._entries.items() if entry.spatial is not None}
        # After a turn the tracked frames lie ahead, and are about to be forgotten.
        held = {index for index in held if self._entries[index].prompted or not turned}
        if held.issuperset(needed):
            return []
        return sorted(needed, key=lambda index: index * direction)

    def forget(self, frame_index: int) -> None:
        """Forget one frame, if it is remembered at all."""
        self._entries.pop(frame_index, None)

    def count_as_tracked(self, frame_index: int) -> None:
        """Read one frame as a tracked one from now on, if it is remembered at all."""
        if frame_index in self._entries:
            self._entries[frame_index].kind = "tracked"

    def forget_tracked(self) -> None:
        """Forget all but the prompted frames."""
        self._entries = {index: entry for index, entry in self._entries.items() if entry.prompted}

    def clear(self) -> None:
        """Forget all frames, and what was inherited."""
        self._entries.clear()
        self.inherited = ()
        self.policy.reset()

    def keep_last_tracked(self) -> None:
        """Forget the tracked frames but for the last one; prompted and resolved ones stay."""
        for index in sorted(self.tracked_frames, key=lambda index: index * self._direction)[:-1]:
            self.forget(index)

    def fork(self) -> MemoryBank[A]:
        """Return an independent bank with the same memories; handles are shared."""
        other: MemoryBank[A] = MemoryBank(self.config, self.policy.fork())
        other._entries = {index: replace(entry) for index, entry in self._entries.items()}
        other._direction = self._direction
        other.inherited = self.inherited
        return other

    def export(self) -> list[tuple[int, Kind, float, A | None, A]]:
        """Return frame index, kind, reliability, spatial memory and pointer of each remembered frame."""
        return [
            (index, entry.kind, entry.reliability, entry.spatial, entry.pointer)
            for index, entry in self._entries.items()
        ]

    def restore(self, entries: Iterable[tuple[int, Kind, float, A | None, A]], direction: int) -> None:
        """Set the memories to a result of `export`."""
        self._entries = {
            index: _Entry(spatial, pointer, kind, reliable) for index, kind, reliable, spatial, pointer in entries
        }
        self._direction = direction

    def _frames_of(self, kind: Kind) -> tuple[int, ...]:
        return tuple(sorted(index for index, entry in self._entries.items() if entry.kind == kind))

    def _reads(self, frame_index: int, direction: int, span: int) -> tuple[list[int], Reads]:
        """Return the frames read in slot 0, and the tracked frames to be read; all of them are remembered."""
        first = self._first(frame_index, direction)
        if not first and not self.inherited:
            return [], Reads([], [])
        # Seen in the other direction, the tracked frames of a streaming bank lie ahead: the next `write` forgets them,
        # and they must not be read before. Prompted frames that slot 0 had no room for remain candidates.
        turned = direction != self._direction and self.config.retention == "streaming"
        candidates = {
            index: entry.reliability
            for index, entry in self._entries.items()
            if index not in first and (frame_index - index) * direction > 0 and not (turned and not entry.prompted)
        }
        reads = self.policy.read(View(frame_index, direction, span, candidates, len(first)))
        # A policy may name any frame; what is not held cannot be read.
        return first, Reads(*([(key, index) for key, index in part if index in candidates] for part in reads))

    def _first(self, frame_index: int, direction: int) -> list[int]:
        """Return the frames read in slot 0: prompted ones, then resolved ones."""
        eligible = [
            index
            for index in self.prompted_frames
            if index != frame_index and (self.config.prompts_ahead or (frame_index - index) * direction > 0)
        ]
        first = closest_frames(frame_index, eligible, self.config.max_prompted)
        return first + self._resolved(frame_index, direction, len(first)) if first or self.inherited else []

    def _resolved(self, frame_index: int, direction: int, num_prompted: int) -> list[int]:
        """Return the resolved frames read in slot 0, in the order of tracking."""
        room = self.config.max_resolved
        if self.config.max_prompted is not None:
            room = min(room, self.config.max_prompted - num_prompted)
        behind = [index for index in self.resolved_frames if (frame_index - index) * direction > 1]
        return sorted(behind, key=lambda index: index * direction)[-room:] if room > 0 else []

    def _drop_unread(self, frame_index: int, direction: int) -> None:
        """Drop memories that neither this frame reads, should it be corrected, nor the next one.

        A memory that the next frame does not read is not read by any later frame, because every policy reads the
        nearest frames that qualify, and those only move on. The pointer is kept longer than the spatial memory, as more
        pointers are read and a pointer is small.
        """
        nearby = (frame_index, frame_index + direction)
        spatial, pointers = {frame_index}, {frame_index}
        for reader in nearby:
            first, reads = self._reads(reader, direction, self.config.max_pointers)
            spatial |= {*first, *(index for _, index in reads.spatial)}
            pointers |= {index for _, index in reads.pointers}
        for index, entry in list(self._entries.items()):
            if entry.prompted:
                continue
            if index not in spatial:
                entry.spatial = None
            if index not in spatial and index not in pointers:
                del self._entries[index]

    def _drop_prompted(self, frame_index: int) -> None:
        limit = self.config.max_prompted_kept
        prompted = sorted(self.prompted_frames, key=lambda index: abs(frame_index - index))
        if limit is not None:
            for index in prompted[limit:]:
                del self._entries[index]


def closest_frames(frame_index: int, frames: Iterable[int], count: int | None) -> list[int]:
    """Choose the frames closest in time to one frame.

    a) the closest before it,
    b) the closest at or after it,
    c) others by distance, until there are `count`; of two that are equally far, the earlier one.

    Args:
        frame_index: the frame that they are compared with.
        frames: frames to choose from, in any order.
        count: the largest number of frames, at least 2; None chooses all.

    Returns:
        The chosen frames, ascending.

    Source: sam2 2b90b9f, sam2_utils.py `select_closest_cond_frames`.
    """
    remaining = sorted(frames, key=lambda index: (abs(frame_index - index), index))
    if count is None or len(remaining) <= count:
        return sorted(remaining)
    before = [index for index in remaining if index < frame_index][:1]
    after = [index for index in remaining if index >= frame_index][:1]
    others = [index for index in remaining if index not in before + after]
    return sorted((before + after + others)[:count])
