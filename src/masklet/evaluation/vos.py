"""Video object segmentation: each object is prompted once, where it first appears, and followed to the end.

`rules` says what is judged. By default all labelled frames from the prompted one on: that one itself is left out when
the prompt was its exact mask, since that is given, and stays in for a click or a box, where the mask is the model's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from masklet.checks import check_choice, check_whole
from masklet.datasets import ClipExample, Dataset, open_datasets
from masklet.datasets.folders import FolderClip
from masklet.datasets.records import MAX_OBJECT_ID
from masklet.engine.protocol import Engine
from masklet.errors import DataError, OutputError
from masklet.evaluation.judging import ClipJudge
from masklet.evaluation.metrics import next_click
from masklet.evaluation.records import ObjectTrack
from masklet.evaluation.report import VosReport
from masklet.evaluation.rules import RULES, VosRules, read_groups
from masklet.evaluation.running import RunOptions, Tick, Unit, choose, run_units
from masklet.masks.drawing import color_of
from masklet.masks.operations import mask_box_xyxy
from masklet.media.images import write_label_map
from masklet.memory.bank import MemoryConfig
from masklet.records import BoolArray, FrameMasks
from masklet.tracking.tracker import Tracker

PromptKind = Literal["mask", "click", "box"]
Roots = Dataset | str | Path | Iterable[str | Path]


def evaluate_vos(
    engine: Engine[Any],
    data: Roots,
    *,
    prompt: PromptKind = "mask",
    rules: VosRules = RULES["masklet"],
    skip_last: bool = False,
    memory: MemoryConfig | None = None,
    non_overlap: bool = True,
    save_masks: Path | None = None,
    clips: Sequence[str] | None = None,
    limit: int | None = None,
    run: RunOptions | None = None,
) -> VosReport:
    """Measure J, F and J&F on clips.

    Args:
        engine: the model.
        data: clips, as a data set or as what `masklet.datasets.open_datasets` takes.
        prompt: what each object is prompted with: its exact mask, one click at its innermost point, or its tight box.
        rules: of a benchmark: which frames are judged, and what the means go over.
        skip_last: leave out each clip's last labelled frame, also where the rules do not.
        memory: the tracker's rules of remembering; those of the model when left out.
        non_overlap: each pixel goes to one object, as in the indexed masks that benchmarks take.
        save_masks: also write every frame's masks, `<clip>/00000.png`, as the benchmarks' servers take them.
        clips: only these, by name.
        limit: at most so many, evenly spaced.
        run: how to run: in parallel, with a journal, with progress.

    Raises:
        ConfigError: `prompt` is none of the three.
        DataError: see `open_datasets`; a clip does not exist; or no clip has an object with a frame to judge.
        VideoError: a frame cannot be read.
    """
    check_choice("prompt", prompt, get_args(PromptKind))
    rules = replace(rules, skip_last=rules.skip_last or skip_last)
    selected = choose_clips(data, clips, limit)
    settings = {
        "prompt": prompt,
        "rules": asdict(rules),
        "memory": (memory or MemoryConfig.for_engine(engine.info)).to_dict(),
        "non_overlap": non_overlap,
    }
    work = _Track(prompt, rules, memory, non_overlap, save_masks)
    about = {"task": f"vos {prompt}", **settings, "saves_masks": save_masks is not None}
    tracks = run_units(engine, work, clip_units(selected), ObjectTrack, run or RunOptions(), about)
    if not tracks:
        raise DataError(f"none of the {len(selected)} clips has an object with a frame to judge after its prompt")
    return vos_report(engine.info.name, engine.info.backend, f"vos {prompt}", selected, tracks, rules, settings)


def choose_clips(data: Roots, names: Sequence[str] | None, limit: int | None) -> list[ClipExample]:
    """Return the clips of a data set that are to be evaluated.

    Raises:
        ConfigError: limit is below 1.
        DataError: see `open_datasets`; or a clip does not exist.
    """
    if limit is not None:
        limit = check_whole("limit", limit, least=1)
    dataset = data if isinstance(data, Dataset) else open_datasets(data)
    return choose(dataset.need_clips(), lambda clip: clip.name, names, limit)


def clip_units(clips: Sequence[ClipExample], passes: int = 1) -> list[Unit[ClipExample]]:
    """Return one unit per clip, whose steps are frames."""
    return [Unit(clip.name, clip.name, clip.num_frames * passes, clip) for clip in clips]


def vos_report(
    model: str,
    backend: str,
    task: str,
    clips: Sequence[ClipExample],
    tracks: Sequence[ObjectTrack],
    rules: VosRules,
    settings: dict[str, Any],
) -> VosReport:
    """Return the report, with the objects of kinds unseen in training where the rules ask for them."""
    judged = {track.clip for track in tracks}
    group_of = read_groups(clips) if rules.groups else None
    groups = {
        (track.clip, track.object_id): group
        for track in tracks
        if group_of is not None and (group := group_of(track.clip, track.object_id)) is not None
    }
    return VosReport(
        model=model,
        backend=backend,
        task_name=task,
        tracks=tuple(tracks),
        mean_over=rules.mean,
        groups=groups,
        settings={**settings, "clips_without_objects": [clip.name for clip in clips if clip.name not in judged]},
    )


@dataclass(frozen=True, slots=True)
class _Track:
    """Follows all objects of one clip."""

    prompt: PromptKind
    rules: VosRules
    memory: MemoryConfig | None
    non_overlap: bool
    save_masks: Path | None

    def __call__(self, engine: Engine[Any], clip: ClipExample, tick: Tick) -> list[ObjectTrack]:
        judge = ClipJudge(clip, self.rules, mask_given=self.prompt == "mask")
        if not judge.first_seen:
            return []
        with clip.open_frames() as source:
            tracker = Tracker(engine, source, memory=self.memory, non_overlap=self.non_overlap)
            for object_id, frame_index in judge.first_seen.items():
                truth = judge.truth(clip.read_labels(frame_index), object_id)
                tracker.prompt(object_id, frame_index, **prompt_for(truth, self.prompt))
            for frame_index in range(min(judge.first_seen.values())):
                judge.judge(frame_index, {})  # before all prompts nothing is predicted
                tick()
            for masks in tracker.run():
                judge.judge(masks.frame_index, masks_by_id(masks))
                if self.save_masks is not None:
                    save_masks(self.save_masks, clip, masks)
                tick()
        return judge.tracks()


def masks_by_id(masks: FrameMasks) -> dict[int, BoolArray]:
    """Return the (H, W) masks of a frame by object id."""
    return dict(zip(masks.object_ids, masks.masks, strict=True))


def save_masks(folder: Path, clip: ClipExample, masks: FrameMasks) -> Path:
    """Write one frame's masks as one indexed PNG named like the frame; of objects that overlap the smaller is on top.

    Raises:
        OutputError: an object's id is above 254, or the file cannot be written.
    """
    if max(masks.object_ids, default=0) > MAX_OBJECT_ID:
        raise OutputError(
            f"{clip.name}: object {max(masks.object_ids)} does not fit an indexed PNG, which has 1 to {MAX_OBJECT_ID}"
        )
    labels = np.zeros(masks.masks.shape[1:], np.int32)
    for row in np.argsort(-masks.masks.sum(axis=(1, 2)), kind="stable"):
        labels[masks.masks[row]] = masks.object_ids[row]
    index = masks.frame_index
    stem = clip.frame_paths[index].stem if isinstance(clip, FolderClip) else f"{index:05d}"
    return write_label_map(folder / clip.name / f"{stem}.png", labels, [color_of(i) for i in range(1, 255)])


def prompt_for(truth: BoolArray, kind: PromptKind) -> dict[str, Any]:
    """Return arguments of `Tracker.prompt` for an object: its mask, tight box, or a click at its innermost point."""
    if kind == "mask":
        return {"mask": truth}
    if kind == "box":
        return {"box_xyxy": mask_box_xyxy(truth)}
    click = next_click(np.zeros_like(truth), truth)
    assert click is not None  # the object is on this frame
    return {"points_xy": [(click.x, click.y)], "labels": [click.label]}
