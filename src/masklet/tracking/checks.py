"""Checks of what a user asks of a tracker, against its state: engines, frames, prompts and runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from masklet.checks import check_whole
from masklet.engine.protocol import Engine
from masklet.errors import EngineError, PromptError, TrackingError
from masklet.media.source import FrameSource
from masklet.tracking.state import TrackerState
from masklet.tracking.track import Track


def check_has_memory(engine: Engine[Any]) -> None:
    """Refuse an engine whose model has no memory.

    Raises:
        EngineError: it has none.
    """
    if engine.info.images_only:
        raise EngineError(
            f"{engine.info.name} cannot track: its weights are those of an image model (transformers' Sam2Model), "
            f"without a memory. Give weights of a video model (Sam2VideoModel, or an official .pt)"
        )


def check_source(state: TrackerState[Any]) -> FrameSource:
    """Return the source.

    Raises:
        TrackingError: there is none.
    """
    if state.source is None:
        raise TrackingError("there is no source to run through: give one to Tracker(...), or call step(frame)")
    return state.source


def check_object_id(object_id: Any, name: str = "object_id") -> int:
    """Return an object's id as an int, from an int of any library; text and booleans are not ids.

    Raises:
        PromptError: it is not a whole number.
    """
    return check_whole(name, object_id, error=PromptError)


def check_frame_number(frame_index: Any, name: str = "frame_index") -> int:
    """Return a frame's index as an int, from an int of any library, whether or not the frame exists.

    Raises:
        PromptError: it is not a whole number.
    """
    return check_whole(name, frame_index, error=PromptError)


def check_frame_index(state: TrackerState[Any], frame_index: int) -> int:
    """Return the index of a frame that can be prompted or tracked, as an int.

    Raises:
        PromptError: it is not a whole number.
        TrackingError: the frame does not exist, or a source that runs once has passed it.
    """
    frame_index = check_frame_number(frame_index)
    count, last = state.num_frames, state.position
    if frame_index < 0 or (count is not None and frame_index >= count):
        limit = "" if count is None else f", and the video has {count}: the last is {count - 1}"
        raise TrackingError(f"frame {frame_index} does not exist: frames count from 0{limit}")
    if state.source is not None and count is None and last is not None and frame_index < last:
        raise TrackingError(f"frame {frame_index} has passed, and this source cannot go back: the last is {last}")
    return frame_index


def check_not_accepted(state: TrackerState[Any], object_id: int, frame_index: int) -> None:
    """Refuse to change an accepted mask.

    Raises:
        TrackingError: the object has been accepted on this frame.
    """
    if state.is_accepted(object_id, frame_index):
        raise TrackingError(
            f"object {object_id} has been accepted on frame {frame_index}, and accepted masks do not change: "
            f"withdraw that first, with accept({frame_index}, {object_id}, accepted=False)"
        )


def check_discovery(state: TrackerState[Any], direction: str, start: int | None, stop: int | None) -> FrameSource:
    """Return the source of a discovery whose arguments fit the state; see `Tracker.discover`.

    Raises:
        TrackingError: they do not fit.
    """
    source = check_source(state)
    if direction not in ("forward", "both"):
        raise TrackingError(
            f"direction must be 'forward' or 'both', got {direction!r}: objects are discovered going forward"
        )
    if state.is_forward_only and (direction != "forward" or start is not None):
        raise TrackingError("this source cannot go back or seek: leave out direction and start")
    if start is not None:
        start = check_frame_index(state, start)
    if stop is not None and stop <= (start or 0):
        raise TrackingError(f"stop must be above start, {start or 0}, got {stop}: there is no frame in between")
    return source


def check_run(
    state: TrackerState[Any], direction: str, start: int | None, stop: int | None, tracks: Mapping[int, Track[Any]]
) -> FrameSource:
    """Return the source of a run whose arguments fit the state and one another; see `Tracker.run`.

    Raises:
        TrackingError: they do not fit.
    """
    source = check_source(state)
    if direction not in ("forward", "backward", "both"):
        raise TrackingError(f"direction must be one of 'forward', 'backward', 'both', got {direction!r}")
    if not state.tracks:
        raise TrackingError("nothing to track yet: say what the objects are with prompt(...) first")
    if not tracks:
        raise TrackingError("object_ids is empty: there is nothing to track")
    for object_id, track in tracks.items():
        if not track.can_be_tracked:
            raise TrackingError(f"object {object_id} has no prompts left: prompt it again or remove it")
    if state.is_forward_only and direction != "forward":
        raise TrackingError(f"this source cannot go back, so direction must be 'forward', got {direction!r}")
    if state.is_forward_only and start is not None:
        raise TrackingError(f"this source cannot seek, so start must be left out, got {start}")
    if start is not None:
        start = check_frame_index(state, start)
    if direction == "both":
        firsts = [track.first_trackable for track in tracks.values()]
        if (start or 0) > min(firsts) or (stop is not None and stop <= max(firsts)):
            raise TrackingError(
                f"in both directions, start and stop must enclose the objects' first prompts, on frames "
                f"{min(firsts)} to {max(firsts)}: got start {start} and stop {stop}"
            )
    return source
