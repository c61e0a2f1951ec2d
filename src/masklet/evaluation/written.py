"""Scores masks that are already written: those of another program, of an earlier run, or of an annotator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from masklet.datasets import ClipExample, Dataset, Labels, open_dataset
from masklet.datasets.files import IndexedMask, MaskFile, masks_by_stem
from masklet.datasets.folders import FolderClip
from masklet.errors import DataError
from masklet.evaluation.judging import ClipJudge
from masklet.evaluation.records import ObjectTrack
from masklet.evaluation.report import VosReport
from masklet.evaluation.rules import RULES, VosRules
from masklet.evaluation.running import RunOptions, Tick, choose, run_units
from masklet.evaluation.vos import clip_units, vos_report


def evaluate_masks(
    results: str | Path,
    truth: Dataset | str | Path,
    *,
    rules: VosRules = RULES["masklet"],
    skip_last: bool = False,
    mask_given: bool = True,
    clips: Sequence[str] | None = None,
    limit: int | None = None,
    run: RunOptions | None = None,
) -> VosReport:
    """Measure J, F and J&F of written masks.

    Args:
        results: `<clip>/<frame>.png` indexed, or one PNG per object, `<clip>/<object>/<frame>.png`.
        truth: what `open_truth` takes or gives: clips, or masks alone.
        rules: of a benchmark.
        skip_last: leave out each clip's last labelled frame, also where the rules do not.
        mask_given: the results were made from exact masks, so `RULES["masklet"]` leaves those frames out.
        clips: only these, by name.
        limit: at most so many, evenly spaced.
        run: how to run.

    Raises:
        DataError: a clip or frame that is judged has no result, sizes differ, or a file cannot be read.
    """
    results = Path(results)
    if not results.is_dir():
        raise DataError(f"results {results} is not a folder: expected <clip>/<frame>.png in it")
    rules = replace(rules, skip_last=rules.skip_last or skip_last)
    dataset = truth if isinstance(truth, Dataset) else open_truth(truth)
    selected = choose(dataset.need_clips(), lambda clip: clip.name, clips, limit)
    if missing := [clip.name for clip in selected if not (results / clip.name).is_dir()]:
        raise DataError(
            f"{results} has no folder {missing[0]!r}, a clip of {dataset.root} ({len(missing)} of {len(selected)} "
            "missing): choose others with clips"
        )
    settings = {"rules": asdict(rules), "mask_given": mask_given, "results": str(results)}
    options = replace(run or RunOptions(), open_engine=_no_engine)
    tracks = run_units(
        None,
        _Judge(results, rules, mask_given),
        clip_units(selected),
        ObjectTrack,
        options,
        {"task": "masks", **settings},
    )
    if not tracks:
        raise DataError(f"none of the {len(selected)} clips of {dataset.root} has an object with a frame to judge")
    return vos_report(str(results), "none", "masks", selected, tracks, rules, settings)


def open_truth(
    root: str | Path, layout: str | None = None, *, split: str | None = None, resolution: str | None = None
) -> Dataset:
    """Open a data set with clips, or a folder of masks without frames: `<clip>/<frame>.png`, or one PNG per object.

    Args:
        root: the folder.
        layout, split, resolution: of a data set; see `open_dataset`.

    Raises:
        DataError: neither is there.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: give a data set, or a folder of masks")
    if layout is None and split is None and resolution is None and (clips := _masks_alone(root)):
        return Dataset(root, "masks", clips=clips)
    return open_dataset(root, layout, split=split, resolution=resolution)


def _no_engine() -> None:
    """Written masks need no model."""


def _masks_alone(root: Path) -> list[ClipExample]:
    """Return whether a folder holds `<clip>/<frame>.png` or `<clip>/<object>/<frame>.png`, and nothing else."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders or any(path.name in ("frames", "masks", "images", "Annotations") for path in folders):
        return []
    clips: list[ClipExample] = []
    for folder in folders:
        children = [path for path in folder.iterdir() if not path.name.startswith(".")]
        per_object = bool(children) and all(path.is_dir() and path.name.isdigit() for path in children)
        if not per_object and not any(path.suffix.lower() == ".png" for path in children):
            return []
        masks = masks_by_stem(folder, ())
        stems = sorted(masks)
        frames = tuple(folder / f"{stem}.png" for stem in stems)  # the masks stand in for the frames' names
        clips.append(FolderClip(folder.name, root.name, frames, {row: masks[stem] for row, stem in enumerate(stems)}))
    return clips


@dataclass(frozen=True, slots=True)
class _Judge:
    """Reads and judges one clip's results."""

    results: Path
    rules: VosRules
    mask_given: bool

    def __call__(self, engine: None, clip: ClipExample, tick: Tick) -> list[ObjectTrack]:
        judge = ClipJudge(clip, self.rules, mask_given=self.mask_given)
        folder = self.results / clip.name
        masks = masks_by_stem(folder, ())
        for frame_index in range(clip.num_frames):
            if frame_index in judge.frames:
                labels = _read_result(masks, folder, clip, frame_index)
                judge.judge(frame_index, {object_id: labels.mask(object_id) for object_id in labels.object_ids})
            tick()
        return judge.tracks()


def _read_result(masks: dict[str, MaskFile], folder: Path, clip: ClipExample, frame_index: int) -> Labels:
    stem = clip.frame_paths[frame_index].stem if isinstance(clip, FolderClip) else f"{frame_index:05d}"
    if stem not in masks:
        raise DataError(f"{folder} has no mask for frame {stem}, which is judged: write one for every frame")
    file = masks[stem]
    labels = file.read()
    size_hw = clip.read_labels(frame_index).size_hw
    if labels.size_hw != size_hw:
        where = file.path if isinstance(file, IndexedMask) else folder
        raise DataError(
            f"{where}, frame {stem}, is {labels.size_hw[1]} x {labels.size_hw[0]} (width x height) and the truth is "
            f"{size_hw[1]} x {size_hw[0]}: results must have the size of the truth"
        )
    return labels
