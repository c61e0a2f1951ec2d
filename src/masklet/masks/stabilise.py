"""Steady masks: a filter over time against flicker and against pieces that pop in and out.

It takes the masks that a tracker yields and hands them on a few frames later, so it works on live video and its memory
does not grow. It looks at masks and pictures only; what the tracker remembers is not touched.

For each object, with the frames around it brought to its place by optical flow:
a) vote: each pixel takes the weighted mean of the masks of `reach` frames before and after, moved with the picture;
b) hysteresis: what was outside on the last frame (moved along) needs a mean above `enter` to come in, what was inside
   one below `leave` to go out, so that an outline between two pixels stays where it is;
c) life: a piece or a hole that touches no piece or hole of the frames around it (moved along) is removed.

A frame whose picture cannot be followed from its neighbour (a cut, a fast move) is not mixed with it: a pixel counts
only where the flow there and back comes home. Prompted frames are passed on as they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from masklet.checks import check_fraction, check_positive, check_whole, set_checked
from masklet.errors import ConfigError
from masklet.records import BoolArray, ByteArray, FloatArray, Frame, FrameMasks

FLOW_SIDE = 384
"""Optical flow is computed on pictures whose longer side has at most so many pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StabiliseConfig:
    """Settings of temporal stabilisation."""

    reach: int = 2
    """Frames before and after that vote: the delay, in frames."""
    neighbour_weight: float = 0.5
    """Weight of a frame next to the one in question, which has 1; of one two frames away its square, and so on."""
    enter: float = 0.62
    """Share of the vote above which a pixel that was outside comes in."""
    leave: float = 0.38
    """Share of the vote below which a pixel that was inside goes out."""
    return_error: float = 1.5
    """Pixels of the small picture by which the flow there and back may miss its origin."""

    def __post_init__(self) -> None:
        set_checked(self, ["reach"], check_whole, least=1)
        set_checked(self, ["return_error"], check_positive)
        set_checked(self, ["neighbour_weight", "enter", "leave"], check_fraction)
        if not self.neighbour_weight:
            raise ConfigError(f"neighbour_weight must be in (0, 1], got {self.neighbour_weight}")
        if not 0 < self.leave <= self.enter < 1:
            raise ConfigError(f"leave and enter must be in (0, 1), leave first, got {self.leave} and {self.enter}")


def stabilised(
    way: Iterable[tuple[Frame, FrameMasks]], config: StabiliseConfig | None = None
) -> Iterator[tuple[Frame, FrameMasks]]:
    """Steady the masks of a tracker.

    Args:
        way: frames with their masks, in the order of tracking, such as
            `((tracker.frame, masks) for masks in tracker.run())`.
        config: see `StabiliseConfig`.

    Yields:
        The same frames in the same order, each after the `reach` frames that follow it. If `way` raises, the frames
        before are handed on first.
    """
    config = config or StabiliseConfig()
    window: deque[_Held] = deque()
    steady: dict[int, BoolArray] = {}  # by object, for the frame returned last
    position = 0  # index in the window of the next frame to return
    error: Exception | None = None
    items = iter(way)
    while True:
        try:
            item = next(items, None)
        except Exception as caught:
            item, error = None, caught
        if item is not None:
            window.append(_Held.after(window[-1] if window else None, *item))
        while position < len(window) and (item is None or len(window) - position > config.reach):
            frame, masks = window[position].frame, window[position].masks
            rows = [
                _steady_row(window, position, row, steady.get(object_id), config)
                for row, object_id in enumerate(masks.object_ids)
            ]
            steady = dict(zip(masks.object_ids, rows, strict=True))
            yield frame, replace(masks, masks=np.stack(rows) if rows else masks.masks)
            if position == config.reach:
                window.popleft()
            else:
                position += 1
        if item is None:
            break
    if error is not None:
        raise error


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A frame of the window: not yet returned, or still needed by later frames."""

    frame: Frame
    masks: FrameMasks
    small: ByteArray
    """(h, w) small grey picture for the optical flow."""
    to_before: _Map | None
    """Position of each pixel on the previous frame; None on the first frame."""
    from_before: _Map | None
    """Position of each pixel of the previous frame on this one."""

    @classmethod
    def after(cls, before: _Held | None, frame: Frame, masks: FrameMasks) -> _Held:
        height, width = frame.size_hw
        scale = min(1.0, FLOW_SIDE / max(height, width))
        size = (max(16, round(width * scale)), max(16, round(height * scale)))
        small = np.asarray(
            cv2.resize(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA), np.uint8
        )
        follows = before is not None and abs(frame.index - before.frame.index) == 1
        if before is None or not follows or before.small.shape != small.shape or not masks.masks.any():
            return cls(frame, masks, small, None, None)
        back, forth = _flow(small, before.small), _flow(before.small, small)
        return cls(
            frame,
            masks,
            small,
            _Map.of(back, forth, frame.size_hw),
            _Map.of(forth, back, frame.size_hw),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Map:
    """Map for looking up a neighbouring frame from this one."""

    x: FloatArray
    y: FloatArray
    """(H, W) position of each pixel of this frame in the neighbouring one."""
    miss: FloatArray
    """(H, W) forward-backward error of the flow, in pixels of the small picture."""

    @classmethod
    def of(cls, forward: FloatArray, back: FloatArray, size_hw: tuple[int, int]) -> _Map:
        height, width = forward.shape[:2]
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        returned = cv2.remap(back, columns + forward[..., 0], rows + forward[..., 1], cv2.INTER_LINEAR)
        miss = np.linalg.norm(forward + returned, axis=-1).astype(np.float32)
        full = (size_hw[1], size_hw[0])
        flow = cv2.resize(forward, full, interpolation=cv2.INTER_LINEAR)
        columns, rows = np.meshgrid(np.arange(full[0], dtype=np.float32), np.arange(full[1], dtype=np.float32))
        return cls(
            columns + flow[..., 0] * np.float32(full[0] / width),
            rows + flow[..., 1] * np.float32(full[1] / height),
            np.asarray(cv2.resize(miss, full, interpolation=cv2.INTER_LINEAR), np.float32),
        )

    def look_up(self, plane: FloatArray) -> FloatArray:
        return np.asarray(
            cv2.remap(plane, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0),
            np.float32,
        )


def _flow(first: ByteArray, second: ByteArray) -> FloatArray:
    """(h, w, 2) x and y from each pixel of the first picture to the same thing in the second."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.asarray(search.calc(first, second, None), np.float32)  # type: ignore[call-overload]


def _steady_row(
    window: deque[_Held], position: int, row: int, before: BoolArray | None, config: StabiliseConfig
) -> BoolArray:
    """One object's mask on one frame of the window. `before`: its steady mask on the frame before."""
    held = window[position]
    object_id, mask = held.masks.object_ids[row], held.masks.masks[row]
    if held.masks.prompted[row] or held.masks.object_scores[row] <= 0 or not mask.any():
        return np.asarray(mask, np.bool_)
    votes, weights = mask.astype(np.float32), np.ones(mask.shape, np.float32)
    support = mask.astype(np.float32) * 0
    seen = np.zeros(mask.shape, np.float32)
    for step in (-1, 1):
        for distance, (moved, trust) in enumerate(_neighbours(window, position, object_id, step, config), start=1):
            weight = trust * np.float32(config.neighbour_weight**distance)
            votes += weight * moved
            weights += weight
            np.maximum(support, moved * trust, out=support)
            np.maximum(seen, trust, out=seen)
    share = votes / weights
    inside = mask if before is None or held.to_before is None else _moved(before, held.to_before, mask, config)
    steady: BoolArray = np.where(inside, share >= config.leave, share > config.enter)
    steady &= ~_without_support(steady, support > 0.5, seen > 0.5)
    steady |= _without_support(~steady, support <= 0.5, seen > 0.5)
    return steady


def _neighbours(
    window: deque[_Held], position: int, object_id: int, step: int, config: StabiliseConfig
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """The object's masks on the frames before or after, nearest first, brought to this frame, and how far to trust each
    pixel of them, in [0, 1]."""
    x_y: _Map | None = None
    for distance in range(1, config.reach + 1):
        other = position + step * distance
        if not 0 <= other < len(window):
            return
        link = window[other + 1].to_before if step < 0 else window[other].from_before
        masks = window[other].masks
        if link is None or object_id not in masks.object_ids:
            return
        row = masks.object_ids.index(object_id)
        if masks.object_scores[row] <= 0:
            return  # absent: the tracker decides that, not a vote
        x_y = link if x_y is None else _chained(x_y, link)
        trust = (x_y.miss < config.return_error).astype(np.float32)
        yield x_y.look_up(masks.masks[row].astype(np.float32)), trust


def _chained(first: _Map, second: _Map) -> _Map:
    return _Map(first.look_up(second.x), first.look_up(second.y), first.miss + first.look_up(second.miss))


def _moved(before: BoolArray, link: _Map, mask: BoolArray, config: StabiliseConfig) -> BoolArray:
    """Return the stabilised mask of the frame before, warped to this frame; this frame's mask where that fails."""
    moved: BoolArray = np.where(link.miss < config.return_error, link.look_up(before.astype(np.float32)) > 0.5, mask)
    return moved


def _without_support(pieces: BoolArray, support: BoolArray, seen: BoolArray) -> BoolArray:
    """Return the 8-connected pieces that no neighbouring frame has, where neighbouring frames can be compared."""
    count, labels = cv2.connectedComponents(pieces.astype(np.uint8), connectivity=8)
    area = np.bincount(labels.ravel(), minlength=count)
    supported = np.bincount(labels[support & seen].ravel(), minlength=count)
    visible = np.bincount(labels[seen].ravel(), minlength=count)
    alone: NDArray[np.bool_] = (supported == 0) & (visible > area / 2)
    alone[0] = False  # background
    result: BoolArray = alone[labels]
    return result
