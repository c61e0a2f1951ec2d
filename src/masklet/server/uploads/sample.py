"""Creates a sample project for new users."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy import select

from masklet.errors import ConfigError
from masklet.server import database
from masklet.server.security import LOCAL_USER
from masklet.server.studio import StudioState
from masklet.server.uploads.add import add_media
from masklet.server.uploads.ingest import Upload
from masklet.server.uploads.probe import safe_suffix

NAME = "Sample project"


def add_sample(studio: StudioState, folder: Path) -> None:
    """Create a project from the images and videos in a folder, unless it was created before.

    Raises:
        ConfigError: the folder does not exist.
    """
    if not folder.is_dir():
        raise ConfigError(f"sample must be a folder of images and videos, got {folder}")
    user = studio.database.user_named("admin" if studio.settings.needs_login else LOCAL_USER)
    with studio.database.session() as session:
        if session.scalar(select(database.ProjectRow).where(database.ProjectRow.user_id == user.id).limit(1)):
            return
        project = database.ProjectRow(user_id=user.id, name=NAME)
        session.add(project)
    with studio.data.scratch() as tmp:
        files = []
        for number, path in enumerate(sorted(folder.iterdir())):
            if path.is_file() and safe_suffix(path.name):
                copy = tmp / f"{number:06d}{safe_suffix(path.name)}"
                shutil.copyfile(path, copy)
                files.append(Upload(path.name, copy, path.stat().st_size))
        add_media(studio, project, files)
