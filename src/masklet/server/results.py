"""Masks for exports and renders, and the jobs that write files from them. Knows nothing of HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masklet.errors import Cancelled
from masklet.formats import export_masks, find_format
from masklet.media.base import Frames
from masklet.output import make_folder
from masklet.render import CONTAINERS, Composition, render_video
from masklet.server.annotation.store import AnnotationStore
from masklet.server.database import MediumRow
from masklet.server.exported_media import LazyRows, LazySource, OpenMedia, shown_span
from masklet.server.jobs import Job
from masklet.server.names import file_stem, unique_names
from masklet.server.studio import StudioState
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo, parse_color


class ShownRows:
    """Masks as shown on the page: tracked ones, and answers to prompts on frames that have not been tracked."""

    def __init__(self, store: AnnotationStore) -> None:
        self._store = store
        self._span = shown_span(store)

    def frame(self, frame_index: int) -> Sequence[MaskRow]:
        return self._store.shown(frame_index, frame_index + 1).get(frame_index, [])

    def frames(self) -> tuple[int, int] | None:
        return self._span


@dataclass(frozen=True, slots=True)
class LabelledFrames:
    """A medium for previews: single frames and their masklets."""

    source: Frames
    masklets: Masklets
    is_image: bool


def shown_masklets(store: AnnotationStore, *, only_visible: bool) -> Masklets:
    """Return the masks that the page shows; `only_visible` leaves out hidden objects."""
    return Masklets(ShownRows(store), object_infos(store, only_visible=only_visible))


def object_infos(store: AnnotationStore, *, only_visible: bool = False) -> tuple[ObjectInfo, ...]:
    """Return the objects of a medium; `only_visible` leaves out hidden ones."""
    return tuple(
        ObjectInfo(row.object_id, row.name, row.class_name, parse_color(row.color))
        for row in store.objects()
        if not (only_visible and row.hidden)
    )


@contextmanager
def labelled(studio: StudioState, medium: MediumRow) -> Iterator[LabelledMedium]:
    """Open a medium with the masks of visible objects for a render, with its own frame source."""
    with studio.workspace(medium) as workspace, closing(studio.open_frames(medium)()) as source:
        masklets = shown_masklets(workspace.store, only_visible=True)
        yield LabelledMedium(file_stem(medium.name), source, masklets, is_image=medium.kind == "image")


@contextmanager
def result_file(studio: StudioState, job: Job, name: str) -> Iterator[Path]:
    """Yield the path for a job's result; if the job fails, the file is removed."""
    out = result_path(studio, job.id, name)
    make_folder(out.parent)
    try:
        yield out
        job.result_bytes = out.stat().st_size
    except BaseException:
        shutil.rmtree(out.parent, ignore_errors=True)
        raise
    job.result_name = name


def result_path(studio: StudioState, job_id: str, name: str) -> Path:
    """Return the path of a job's result, which users see under `name`."""
    return studio.data.result(job_id) / f"result{Path(name).suffix}"


@dataclass(frozen=True, slots=True)
class ExportWork:
    """The work of an export job: masks of one medium, or of all media of a project, in one file."""

    studio: StudioState
    media: Sequence[MediumRow]
    format_id: str
    options: Mapping[str, Any]
    stem: str
    """The file's name without its suffix."""
    class_colors: Mapping[str, str]
    """The project's classes in order, with their colours as "#rrggbb"."""
    is_project: bool
    object_ids: Sequence[int] | None = None
    only_accepted: bool = False

    def __call__(self, job: Job) -> None:
        is_image = bool(self.media) and self.media[0].kind == "image"
        suffix = find_format(self.format_id).usual_suffix(is_image=is_image)
        with (
            closing(OpenMedia(self.studio)) as opened,
            result_file(self.studio, job, f"{self.stem}-{self.format_id}{suffix}") as out,
        ):
            report = export_masks(
                self.format_id,
                list(self._labelled_media(opened)),
                out,
                self.options,
                classes=list(self.class_colors),
                class_colors=self.class_colors,
                progress=job.progress,
                cancelled=job.cancelled.is_set,
            )
        notes = "".join(f"; {note}" for note in report.notes)
        job.message = f"{report.num_masks} masks on {report.num_frames} frames{notes}"

    def _labelled_media(self, opened: OpenMedia) -> Iterator[LabelledMedium]:
        names = unique_names([file_stem(medium.name) for medium in self.media])
        for medium, name in zip(self.media, names, strict=True):
            objects = object_infos(opened.of(medium).store)
            if self.is_project and not objects:
                continue  # a medium without annotations
            masklets = Masklets(LazyRows(opened, medium), objects)
            yield LabelledMedium(
                name,
                LazySource(opened, medium),
                masklets.only(self.object_ids, accepted=self.only_accepted),
                is_image=medium.kind == "image",
                file_name=medium.name.split("/")[-1],
            )


@dataclass(frozen=True, slots=True)
class RenderWork:
    """The work of a render job: frames [start, stop) of a medium with effects, as a file."""

    studio: StudioState
    medium: MediumRow
    composition: Composition
    assets: Mapping[str, Path]
    """Files of the composition's backgrounds, by asset id."""
    container: str
    start: int
    stop: int

    def __call__(self, job: Job) -> None:
        is_single_image = self.container == "png" and self.stop - self.start == 1
        suffix = ".png" if is_single_image else CONTAINERS[self.container].suffixes[0]
        job.total = self.stop - self.start
        with (
            result_file(self.studio, job, f"{file_stem(self.medium.name)}-masklet{suffix}") as out,
            labelled(self.studio, self.medium) as medium,
        ):
            report = render_video(
                medium,
                self.composition.only(info.object_id for info in medium.masklets.objects),
                out,
                container=self.container,
                start=self.start,
                stop=self.stop,
                assets=self.assets,
                progress=job.progress,
                cancelled=job.cancelled.is_set,
            )
            if not report.is_complete:
                raise Cancelled
