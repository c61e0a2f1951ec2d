"""Objects that are found without prompts: how many of the true ones, how well they are followed, how soon and at what
cost.

The true objects are those that a data set has labelled, which is rarely everything that its clips show. Recall,
`best_track_J&F` and OWTA do not count tracks of other things as mistakes; HOTA, DetA and IDF1 do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from masklet.checks import check_choice, check_whole
from masklet.datasets import ClipExample
from masklet.discovery import DiscoveryConfig
from masklet.engine.protocol import Engine
from masklet.errors import DataError
from masklet.evaluation.association import check_trackeval
from masklet.evaluation.baselines import EverythingPerFrame, FirstFrame, Shown
from masklet.evaluation.discovery_records import ClipDiscovery, DiscoveryReport, Timing, sum_timings
from masklet.evaluation.running import RunOptions, Tick, Unit, run_units
from masklet.evaluation.track_judging import judge_tracks
from masklet.evaluation.vos import Roots, choose_clips
from masklet.media.base import FrameSource
from masklet.memory.bank import MemoryConfig
from masklet.segmentation.automatic import AutomaticConfig
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.passes import Direction
from masklet.tracking.tracker import Tracker

Method = Callable[[Engine[Any], FrameSource, MaskStore, int], Iterator[Shown]]
"""Finds and follows objects on so many frames of a source, writes their masks to a store, and yields each frame when
its masks are shown."""

METHODS = ("discover", "first-frame", "everything-per-frame")


def evaluate_discovery(
    engine: Engine[Any],
    data: Roots,
    *,
    method: str = "discover",
    config: DiscoveryConfig | None = None,
    direction: Direction = "forward",
    automatic: AutomaticConfig | None = None,
    memory: MemoryConfig | None = None,
    frames: int | None = None,
    clips: Sequence[str] | None = None,
    limit: int | None = None,
    run: RunOptions | None = None,
) -> DiscoveryReport:
    """Find and follow the objects of clips, and compare them with the true ones.

    Args:
        engine: the model.
        data: clips, as a data set or as what `masklet.datasets.open_datasets` takes.
        method: `discover` as `Tracker.discover` does, or a baseline of `masklet.evaluation.baselines`.
        config: the rules of discovery. Of a baseline, only `max_objects` counts.
        direction: of discovery, 'forward' or 'both'.
        automatic: how the baselines segment a frame; what suits the model when left out.
        memory: the tracker's rules of remembering; those of the model when left out.
        frames: only so many frames of each clip, from its first.
        clips: only these, by name.
        limit: at most so many clips, evenly spaced.
        run: how to run. Times per frame are those of one process among so many.

    Raises:
        ConfigError: the method is unknown, or a number is below 1.
        DataError: see `open_datasets`; a clip does not exist; or no clip has an object on its frames.
        EngineError: trackeval is not installed.
        VideoError: a frame cannot be read.
    """
    check_trackeval()
    check_choice("method", method, METHODS)
    check_choice("direction", direction, ("forward", "both"))
    frames = None if frames is None else check_whole("frames", frames, least=1)
    config = config or DiscoveryConfig()
    follow: Discover | FirstFrame | EverythingPerFrame
    if method == "discover":
        follow = Discover(config, direction, memory)
        about: dict[str, Any] = {"discovery": config.to_dict(), "direction": direction}
    else:
        automatic = automatic or AutomaticConfig.for_engine(engine.info)
        about = {"max_objects": config.max_objects, "automatic": asdict(automatic)}
        follow = (
            FirstFrame(automatic, config.max_objects, memory)
            if method == "first-frame"
            else EverythingPerFrame(automatic, config.max_objects)
        )
    selected = choose_clips(data, clips, limit)
    rules = (memory or MemoryConfig.for_engine(engine.info)).to_dict()
    settings = {"method": method, **about, "memory": rules, "frames": frames}
    units = [Unit(clip.name, clip.name, _length(clip, frames), clip) for clip in selected]
    work = _Measure(follow, frames)
    results = run_units(engine, work, units, ClipDiscovery, run or RunOptions(), {"task": "discovery", **settings})
    if not any(result.objects for result in results):
        raise DataError(f"none of the {len(selected)} clips has an object on its frames")
    return DiscoveryReport(engine.info.name, engine.info.backend, method, tuple(results), settings=settings)


def _length(clip: ClipExample, frames: int | None) -> int:
    return clip.num_frames if frames is None else min(clip.num_frames, frames)


@dataclass(frozen=True, slots=True)
class Discover:
    """`Tracker.discover` with the model's own grid of clicks."""

    config: DiscoveryConfig
    direction: Direction
    memory: MemoryConfig | None

    def __call__(self, engine: Engine[Any], source: FrameSource, store: MaskStore, num_frames: int) -> Iterator[Shown]:
        """Track, leave the masks of confirmed objects in the store, and yield each frame when it is done."""
        with Tracker(engine, source, memory=self.memory, store=store) as tracker:
            for masks in tracker.discover(config=self.config, direction=self.direction, stop=num_frames):
                yield masks.frame_index, masks.object_ids


@dataclass(frozen=True, slots=True)
class _Measure:
    """Finds, follows and judges the objects of one clip."""

    follow: Method
    frames: int | None

    def __call__(self, engine: Engine[Any], clip: ClipExample, tick: Tick) -> list[ClipDiscovery]:
        num_frames = _length(clip, self.frames)
        store, shown_from, timings = MaskStore(), dict[int, int](), list[Timing]()
        done: set[int] = set()
        with clip.open_frames() as source:
            started = time.perf_counter()
            for frame_index, track_ids in self.follow(engine, source, store, num_frames):
                timings.append(Timing(len(track_ids), 1, time.perf_counter() - started))
                for track_id in track_ids:
                    shown_from.setdefault(track_id, frame_index)
                if frame_index not in done:
                    done.add(frame_index)
                    tick()
                started = time.perf_counter()
        result = judge_tracks(clip, store, shown_from, num_frames=num_frames, timings=sum_timings(timings))
        store.close()
        return [result]
