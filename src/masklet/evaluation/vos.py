"""Video object segmentation: each object is prompted once, where it first appears, and followed to the end.

Which frames are judged: all annotated ones from the prompted frame on. The prompted frame itself is left out when the
prompt was its exact mask, since that is given, and stays in for a click or a box, since its mask is the model's own.
DAVIS's toolkit also leaves out the last frame of each clip: `skip_last=True`. The default keeps it, which is how
YouTube-VOS is scored, and matters for clips with five annotated frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from masklet.engine.protocol import Engine
from masklet.errors import ConfigError, DataError
from masklet.evaluation.data import Clip, LabelMap, open_clips
from masklet.evaluation.metrics import boundary_measure, next_click, region_similarity
from masklet.evaluation.report import ObjectTrack, VosReport, WorstFrame
from masklet.masks import encode_rle, mask_box_xyxy
from masklet.memory_bank import MemoryConfig
from masklet.records import BoolArray, FrameMasks
from masklet.tracker import Tracker
from masklet.video.source import ArraySource

PromptKind = Literal["mask", "click", "box"]

Progress = Callable[[int, int, str], None]
"""Called with (frames done, frames in all, clip name)."""


def evaluate_vos(
    engine: Engine[Any],
    root: str | Path,
    *,
    prompt: PromptKind = "mask",
    memory: MemoryConfig | None = None,
    non_overlap: bool = True,
    skip_last: bool = False,
    split: str | None = None,
    resolution: str | None = None,
    progress: Progress | None = None,
) -> VosReport:
    """Measure J, F and J&F on a folder of clips.

    Args:
        engine: the model.
        root: a folder of clips; see `open_clips` for the layouts, `split` and `resolution`.
        prompt: what each object is prompted with: its exact mask, one click at its innermost point, or its tight box.
        memory: the tracker's rules of remembering; those of the model when left out.
        non_overlap: each pixel goes to one object, as in the indexed masks that benchmarks take.
        skip_last: leave out each clip's last annotated frame, as the DAVIS toolkit does.
        split: a list of clips in `ImageSets`.
        resolution: `480p` or `Full-Resolution`, for DAVIS.
        progress: called after each frame.

    Raises:
        ConfigError: `prompt` is none of the three.
        DataError: see `open_clips`; or no clip has an object with a frame to judge.
        VideoError: a frame cannot be read.
    """
    if prompt not in get_args(PromptKind):
        raise ConfigError(f"prompt must be one of {', '.join(get_args(PromptKind))}, got {prompt!r}")
    clips = open_clips(root, split=split, resolution=resolution)
    num_frames = sum(len(clip.frame_paths) for clip in clips)
    frames_before = 0
    tracks: list[ObjectTrack] = []
    for clip in clips:

        def report_frame(frame_index: int, before: int = frames_before, name: str = clip.name) -> None:
            if progress is not None:
                progress(before + frame_index + 1, num_frames, name)

        tracks += evaluate_clip(
            engine,
            clip,
            prompt=prompt,
            memory=memory,
            non_overlap=non_overlap,
            skip_last=skip_last,
            on_frame=report_frame,
        )
        frames_before += len(clip.frame_paths)
    if not tracks:
        raise DataError(f"{root}: none of its {len(clips)} clips has an object with a frame to judge after its prompt")
    judged = {track.clip for track in tracks}
    return VosReport(
        model=engine.info.name,
        backend=engine.info.backend,
        prompt=prompt,
        tracks=tuple(tracks),
        settings={
            "memory": None if memory is None else asdict(memory),
            "non_overlap": non_overlap,
            "skip_last": skip_last,
            "split": split,
            "resolution": resolution,
            "clips_without_objects": [clip.name for clip in clips if clip.name not in judged],
        },
    )


def evaluate_clip(
    engine: Engine[Any],
    clip: Clip,
    *,
    prompt: PromptKind = "mask",
    memory: MemoryConfig | None = None,
    non_overlap: bool = True,
    skip_last: bool = False,
    on_frame: Callable[[int], None] | None = None,
) -> list[ObjectTrack]:
    """Follow all objects of one clip; arguments as in `evaluate_vos`.

    Returns:
        One track an object; objects without a frame to judge, and clips without objects, have none.
    """
    first_seen = _first_seen(clip)
    if not first_seen:
        return []
    judges = {
        object_id: _Judge(clip, object_id, prompted_frame, skip_prompted=prompt == "mask", skip_last=skip_last)
        for object_id, prompted_frame in first_seen.items()
    }
    source = ArraySource(clip.frame_paths, name=str(clip.frames_folder))
    tracker = Tracker(engine, source, memory=memory, non_overlap=non_overlap)
    for object_id, prompted_frame in first_seen.items():
        labels = clip.read_labels(prompted_frame)
        tracker.prompt(object_id, prompted_frame, **_prompt_for(labels, object_id, prompt))
    for frame_masks in tracker.run():
        if frame_masks.frame_index in clip.mask_paths:
            _judge_frame(clip, frame_masks, judges)
        if on_frame is not None:
            on_frame(frame_masks.frame_index)
    return [judge.track() for judge in judges.values() if judge.frame_indices]


def _first_seen(clip: Clip) -> dict[int, int]:
    """The first annotated frame of each object, by object id."""
    first_seen: dict[int, int] = {}
    for frame_index in clip.mask_paths:
        for object_id in clip.read_labels(frame_index).object_ids:
            first_seen.setdefault(object_id, frame_index)
    return first_seen


def _prompt_for(labels: LabelMap, object_id: int, kind: PromptKind) -> dict[str, Any]:
    truth = labels.mask(object_id)
    if kind == "mask":
        return {"mask": truth}
    if kind == "box":
        return {"box_xyxy": mask_box_xyxy(truth)}
    click = next_click(np.zeros_like(truth), truth)
    assert click is not None  # the object is on this frame
    return {"points_xy": [(click.x, click.y)], "labels": [click.label]}


def _judge_frame(clip: Clip, frame_masks: FrameMasks, judges: dict[int, _Judge]) -> None:
    index = frame_masks.frame_index
    waiting = [object_id for object_id in frame_masks.object_ids if judges[object_id].judges(index)]
    if not waiting:
        return
    labels = clip.read_labels(index)
    void = labels.void
    for object_id in waiting:
        judges[object_id].judge(index, frame_masks.mask(object_id), labels.mask(object_id), void)


class _Judge:
    """Scores one object frame by frame, and keeps the worst frame."""

    def __init__(
        self, clip: Clip, object_id: int, prompted_frame: int, *, skip_prompted: bool, skip_last: bool
    ) -> None:
        self.clip, self.object_id, self.prompted_frame = clip, object_id, prompted_frame
        self.skipped = {prompted_frame} if skip_prompted else set()
        if skip_last:
            self.skipped.add(max(clip.mask_paths))
        self.frame_indices: list[int] = []
        self.region: list[float] = []
        self.boundary: list[float] = []
        self.worst: WorstFrame | None = None

    def judges(self, frame_index: int) -> bool:
        return frame_index >= self.prompted_frame and frame_index not in self.skipped

    def judge(self, frame_index: int, predicted: BoolArray, truth: BoolArray, void: BoolArray | None) -> None:
        region, boundary = region_similarity(predicted, truth, void), boundary_measure(predicted, truth, void)
        self.frame_indices.append(frame_index)
        self.region.append(region)
        self.boundary.append(boundary)
        score = (region + boundary) / 2
        if self.worst is None or score < self.worst.score:
            self.worst = WorstFrame(
                frame_index=frame_index,
                image_path=str(self.clip.frame_paths[frame_index]),
                mask_path=str(self.clip.mask_paths[frame_index]),
                score=score,
                predicted=encode_rle(predicted),
            )

    def track(self) -> ObjectTrack:
        assert self.worst is not None  # asked for only where a frame was judged
        return ObjectTrack(
            clip=self.clip.name,
            object_id=self.object_id,
            prompted_frame=self.prompted_frame,
            frame_indices=tuple(self.frame_indices),
            region=tuple(self.region),
            boundary=tuple(self.boundary),
            worst=self.worst,
        )
