"""Adds uploaded files to a project: probes them, moves them into the data folder and writes their database rows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from masklet.media.images import natural_key
from masklet.server.database import AssetRow, MediumRow, ProjectRow, SummaryRow, new_id, now
from masklet.server.errors import ApiError
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
    studio: StudioState, project: ProjectRow, files: Sequence[Upload], *, as_sequence: bool = False, fps: float = 24.0
) -> tuple[list[MediumRow], list[tuple[str, str]]]:
    """Add images and videos to a project.

    Args:
        studio: the server's state.
        project: the project that they are added to.
        files: at least one.
        as_sequence: make one video of many images, in natural order of their names.
        fps: frame rate of that video.

    Returns:
        The new media, and the name and reason of each file that was rejected.

    Raises:
        ApiError: all files were rejected.
    """
    if as_sequence:
        incoming = [_sequence_of(files)]
    else:
        incoming = [IncomingMedium(upload.path, upload.name, upload.num_bytes) for upload in files]
    thumbnails = {medium.path: medium.thumbnail for medium in incoming}
    probed = probe(studio.processes, [medium.path for medium in incoming], studio.limits, thumbnails)
    added: list[MediumRow] = []
    rejected: list[tuple[str, str]] = []
    for medium, file in zip(incoming, probed, strict=True):
        if isinstance(file, str):
            rejected.append((medium.name, file))
        else:
            added.append(_add_medium(studio, project, medium, file, fps))
    if not added and rejected:
        name, reason = rejected[0]
        more = f", nor could {len(rejected) - 1} others" if len(rejected) > 1 else ""
        raise ApiError(422, "rejected", f"{name} could not be added{more}: {reason}", "files")
    return added, rejected


def _sequence_of(files: Sequence[Upload]) -> IncomingMedium:
    """Move images into a folder, numbered in natural order of their names."""
    folder = files[0].path.parent / "frames"
    folder.mkdir()
    ordered = sorted(files, key=lambda upload: natural_key(upload.name))
    for index, upload in enumerate(ordered):
        upload.path.rename(folder / f"{index:06d}{upload.path.suffix}")
    first = Path(ordered[0].name)
    return IncomingMedium(folder, first.parent.name or first.stem, sum(upload.num_bytes for upload in files))


def _add_medium(
    studio: StudioState, project: ProjectRow, incoming: IncomingMedium, file: ProbedFile, fps: float
) -> MediumRow:
    """Move a probed file into the data folder and write its row; `fps` is that of an image sequence."""
    media_id = new_id()
    folder = studio.folder(media_id)
    folder.mkdir(parents=True)
    is_sequence = incoming.is_sequence
    file_name = "frames" if is_sequence else f"source{''.join(incoming.path.suffixes)}"
    shutil.move(incoming.path, folder / file_name)
    medium = MediumRow(
        id=media_id,
        project_id=project.id,
        kind=file.kind,
        name=incoming.name,
        file=file_name,
        width=file.width,
        height=file.height,
        num_frames=file.num_frames,
        fps=fps if is_sequence else file.fps,
        duration_s=file.num_frames / fps if is_sequence else file.duration_s,
        has_audio=file.has_audio,
        num_bytes=incoming.num_bytes,
        summary=SummaryRow.named(incoming.name),
    )
    with studio.database.session() as session:
        session.add(medium)
        session.get_one(ProjectRow, project.id).updated_at = now()
    if incoming.thumbnail.exists():
        studio.pictures.keep(media_id, FIRST_THUMBNAIL, incoming.thumbnail.read_bytes())
    return medium


def add_asset_file(studio: StudioState, project: ProjectRow, upload: Upload) -> AssetRow:
    """Add a background image or video to a project.

    Raises:
        ApiError: the file was rejected.
    """
    file = probe(studio.processes, [upload.path], studio.limits, {})[0]
    if isinstance(file, str):
        raise ApiError(422, "rejected", f"{upload.name} could not be added: {file}", "files")
    asset = AssetRow(
        id=new_id(),
        project_id=project.id,
        kind=file.kind,
        name=upload.name,
        file=f"source{safe_suffix(upload.name)}",
    )
    path = studio.asset_path(asset)
    path.parent.mkdir(parents=True)
    shutil.move(upload.path, path)
    with studio.database.session() as session:
        session.add(asset)
    return asset
