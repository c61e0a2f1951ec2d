"""Adds uploaded files to a project: probes them, moves them into the data folder and writes their database rows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.orm import Session

from masklet.media.images import natural_key
from masklet.server import result_schemas, schemas
from masklet.server.convert import asset_info, medium_info
from masklet.server.database import AnswerRow, AssetRow, MediumRow, ProjectRow, SummaryRow, new_id, now
from masklet.server.errors import ApiError, NotFoundError, without_paths
from masklet.server.studio import StudioState
from masklet.server.uploads.ingest import Upload, probe
from masklet.server.uploads.probe import ProbedFile, safe_suffix

FIRST_THUMBNAIL = "0-480.jpg"
"""Name, in the picture cache, of the thumbnail in lists of media."""


@dataclass(frozen=True, slots=True)
class IncomingMedium:
    """A file, or a folder of numbered images, to be added as a medium."""

    path: Path
    name: str
    num_bytes: int

    @property
    def thumbnail(self) -> Path:
        """Path that the probe writes a thumbnail to."""
        return self.path.with_name(self.path.name + ".thumbnail.jpg")

    @property
    def is_sequence(self) -> bool:
        return self.path.is_dir()


def add_media(
    studio: StudioState,
    project: ProjectRow,
    files: Sequence[Upload],
    *,
    as_sequence: bool = False,
    fps: float = 24.0,
    key: str | None = None,
) -> schemas.UploadReport:
    """Add images and videos to a project: all that can be read, in one transaction.

    Args:
        studio: the server's state.
        project: the project that they are added to.
        files: at least one.
        as_sequence: make one video of many images, in natural order of their names.
        fps: frame rate of that video.
        key: names the request; the report is stored under it.

    Returns:
        The new media, and the name and reason of each file that was rejected.

    Raises:
        ApiError: all files were rejected.
        NotFoundError: the project has been deleted.
        OutputError: they cannot be stored; nothing was added.
    """
    kept = studio.database.answer(project.user_id, key)
    if kept is not None:
        return schemas.UploadReport.model_validate_json(kept)
    if as_sequence:
        incoming = [_sequence_of(files)]
    else:
        incoming = [IncomingMedium(upload.path, upload.name, upload.num_bytes) for upload in files]
    thumbnails = {medium.path: medium.thumbnail for medium in incoming}
    probed = probe(studio.processes, [medium.path for medium in incoming], studio.limits, thumbnails)
    rejected = [
        schemas.RejectedFile(name=medium.name, message=without_paths(file, studio.settings.data))
        for medium, file in zip(incoming, probed, strict=True)
        if isinstance(file, str)
    ]
    rows = [
        (_row_of(medium, project, file, fps), medium)
        for medium, file in zip(incoming, probed, strict=True)
        if isinstance(file, ProbedFile)
    ]
    if not rows:
        more = f", nor could {len(rejected) - 1} others" if len(rejected) > 1 else ""
        message = f"{rejected[0].name} could not be added{more}: {rejected[0].message}"
        raise ApiError(422, "rejected", message, "files")
    folders = [studio.data.medium(row.id) for row, _ in rows]
    with studio.data.filling(studio.database, folders) as take_off:
        for (row, medium), folder in zip(rows, folders, strict=True):
            shutil.move(medium.path, folder / row.file)
        with studio.database.session() as session:
            _check_project(session, project)
            take_off(session)
            session.add_all(row for row, _ in rows)
            session.flush()
            report = schemas.UploadReport(media=[medium_info(row) for row, _ in rows], rejected=rejected)
            if key is not None:
                session.add(AnswerRow(user_id=project.user_id, key=key, answer=report.model_dump_json()))
    for row, medium in rows:
        with suppress(OSError):
            studio.pictures.keep(row.id, FIRST_THUMBNAIL, medium.thumbnail.read_bytes())
    return report


def _check_project(session: Session, project: ProjectRow) -> None:
    """Lock a project's row until the end of the transaction, so that the project is not deleted meanwhile.

    Raises:
        NotFoundError: it has been deleted.
    """
    changed = session.execute(update(ProjectRow).where(ProjectRow.id == project.id).values(updated_at=now()))
    if not changed.rowcount:  # type: ignore[attr-defined]
        raise NotFoundError("the project has been deleted meanwhile")


def _sequence_of(files: Sequence[Upload]) -> IncomingMedium:
    """Move images into a folder, numbered in natural order of their names."""
    folder = files[0].path.parent / "frames"
    folder.mkdir()
    ordered = sorted(files, key=lambda upload: natural_key(upload.name))
    for index, upload in enumerate(ordered):
        upload.path.rename(folder / f"{index:06d}{upload.path.suffix}")
    first = Path(ordered[0].name)
    return IncomingMedium(folder, first.parent.name or first.stem, sum(upload.num_bytes for upload in files))


def _row_of(incoming: IncomingMedium, project: ProjectRow, file: ProbedFile, fps: float) -> MediumRow:
    """Return the row of a probed file; `fps` is that of an image sequence."""
    is_sequence = incoming.is_sequence
    return MediumRow(
        id=new_id(),
        project_id=project.id,
        kind=file.kind,
        name=incoming.name,
        file="frames" if is_sequence else f"source{''.join(incoming.path.suffixes)}",
        width=file.width,
        height=file.height,
        num_frames=file.num_frames,
        fps=fps if is_sequence else file.fps,
        duration_s=file.num_frames / fps if is_sequence else file.duration_s,
        has_audio=file.has_audio,
        num_bytes=incoming.num_bytes,
        summary=SummaryRow.named(incoming.name),
    )


def add_asset_file(
    studio: StudioState, project: ProjectRow, upload: Upload, key: str | None = None
) -> result_schemas.AssetInfo:
    """Add a background image or video to a project.

    Raises:
        ApiError: the file was rejected.
        NotFoundError: the project has been deleted.
        OutputError: it cannot be stored; nothing was added.
    """
    kept = studio.database.answer(project.user_id, key)
    if kept is not None:
        return result_schemas.AssetInfo.model_validate_json(kept)
    file = probe(studio.processes, [upload.path], studio.limits, {})[0]
    if isinstance(file, str):
        reason = without_paths(file, studio.settings.data)
        raise ApiError(422, "rejected", f"{upload.name} could not be added: {reason}", "files")
    suffix = safe_suffix(upload.name)
    asset = AssetRow(id=new_id(), project_id=project.id, kind=file.kind, name=upload.name, file=f"source{suffix}")
    folder = studio.data.asset(asset.id)
    with studio.data.filling(studio.database, [folder]) as take_off:
        shutil.move(upload.path, folder / asset.file)
        with studio.database.session() as session:
            _check_project(session, project)
            take_off(session)
            session.add(asset)
            session.flush()
            info = asset_info(asset)
            if key is not None:
                session.add(AnswerRow(user_id=project.user_id, key=key, answer=info.model_dump_json()))
    return info
