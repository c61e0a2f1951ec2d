"""The state that all requests share: the model, the database, open media, the queue; and checks of ownership."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select, update

from masklet.api import Model
from masklet.media.source import FrameSource, open_source
from masklet.server.annotation.open_media import Workspaces
from masklet.server.annotation.store import AnnotationStore
from masklet.server.annotation.workspace import Workspace
from masklet.server.database import (
    AssetRow,
    Database,
    JobRow,
    MediumRow,
    ProjectRow,
    SummaryRow,
    UserRow,
    media_folder,
    now,
)
from masklet.server.errors import ApiError, NotFoundError
from masklet.server.frames import FrameCache, FrameReader, PictureCache, SharedFrames
from masklet.server.jobs import Jobs
from masklet.server.live_slots import LiveSlots
from masklet.server.metrics import Metrics
from masklet.server.processes import LimitedProcesses
from masklet.server.security import Accounts
from masklet.server.settings import Settings
from masklet.server.shared_model import SharedEngine

logger = logging.getLogger("masklet.server")

SWEEP_SECONDS = 30.0


class StudioState:
    """The server's state; routes are a thin layer over it.

    Args:
        settings: the server's settings.
        model: the model for all users.
    """

    def __init__(self, settings: Settings, model: Model) -> None:
        self.settings = settings
        self.limits = settings.limits
        settings.data.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(settings.data / "tmp", ignore_errors=True)  # unfinished uploads of an earlier process
        self.model = model
        self.engine = SharedEngine(model.engine)
        self.database = Database(settings.database_url)
        self.accounts = Accounts(self.database, settings)
        self.workspaces = Workspaces(limit=self.limits.open_media, idle_seconds=self.limits.idle_seconds)
        self.pictures = PictureCache(settings.data / "cache", max_bytes=self.limits.jpeg_cache_bytes)
        self.frame_cache = FrameCache(self.limits.frame_cache_bytes)
        self.jobs = Jobs(self.database, self.limits)
        self.processes = LimitedProcesses(self.limits)
        self.metrics = Metrics(self)
        self.live_slots = LiveSlots(self.limits)
        self.is_ready = True
        self.summary_lock = threading.Lock()
        self._readers: OrderedDict[str, FrameReader] = OrderedDict()
        self._reader_lock = threading.Lock()
        self._stopping = threading.Event()
        self._looked_for_results = 0.0
        self._sweeper = threading.Thread(target=self._sweep, name="masklet-sweep", daemon=True)
        self._sweeper.start()

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Tell streams and jobs to end, without waiting for them."""
        self.is_ready = False
        self._stopping.set()

    def close(self) -> None:
        """Finish the current frames, and close everything."""
        self.stop()
        self.processes.close()
        self.jobs.close()
        self.workspaces.close()
        with self._reader_lock:
            for reader in self._readers.values():
                reader.close()
            self._readers.clear()
        self.database.close()

    # Ownership checks.

    def project(self, user: UserRow, project_id: str) -> ProjectRow:
        """Return a project of a user.

        Raises:
            NotFoundError: it does not exist, or belongs to another user; the error does not say which.
        """
        with self.database.session() as session:
            project = session.get(ProjectRow, project_id)
            if project is None or project.user_id != user.id:
                raise NotFoundError("there is no such project")
            return project

    def medium(self, user: UserRow, media_id: str) -> MediumRow:
        """Return a medium in a project of a user."""
        with self.database.session() as session:
            medium = session.get(MediumRow, media_id)
            if medium is None or medium.project.user_id != user.id:
                raise NotFoundError("there is no such image or video")
            if medium.summary.trashed_at is not None:
                raise NotFoundError(f"{medium.name} is in the trash: restore it to open it")
            return medium

    def asset(self, user: UserRow, asset_id: str) -> AssetRow:
        with self.database.session() as session:
            asset = session.get(AssetRow, asset_id)
            project = None if asset is None else session.get(ProjectRow, asset.project_id)
            if asset is None or project is None or project.user_id != user.id:
                raise NotFoundError("there is no such asset")
            return asset

    # Paths.

    def folder(self, media_id: str) -> Path:
        return media_folder(self.settings.data, media_id)

    def asset_path(self, asset: AssetRow) -> Path:
        return self.settings.data / "assets" / asset.id / asset.file

    def result_folder(self, job_id: str) -> Path:
        return self.settings.data / "results" / job_id

    def open_frames(self, medium: MediumRow) -> Callable[[], FrameSource]:
        """Return a function that opens a source of a medium's frames."""
        path, fps = self.folder(medium.id) / medium.file, medium.fps
        if path.is_dir():
            return lambda: open_source(path, fps=fps)
        if medium.kind == "image":
            return lambda: open_source([path], fps=1.0)
        return lambda: open_source(path, fps=fps)

    # Open media.

    @contextmanager
    def workspace(self, medium: MediumRow) -> Iterator[Workspace]:
        """Yield the workspace of a medium, which stays open during the block."""

        def make() -> Workspace:
            return Workspace(
                self.engine,
                AnnotationStore(self.folder(medium.id) / "annotations.db"),
                lambda: SharedFrames(lambda: self.reader(medium), self.open_frames(medium)),
                size_hw=(medium.height, medium.width),
                num_frames=medium.num_frames,
                max_objects=self.limits.max_objects,
            )

        with self.workspaces.using(medium.id, make) as workspace:
            yield workspace

    def reader(self, medium: MediumRow) -> FrameReader:
        """Return the cached reader of a medium's frames."""
        with self._reader_lock:
            reader = self._readers.get(medium.id)
            if reader is None:
                reader = FrameReader(medium.id, self.open_frames(medium), self.frame_cache)
                self._readers[medium.id] = reader
            self._readers.move_to_end(medium.id)
            surplus = [self._readers.pop(key) for key in list(self._readers)[: -self.limits.open_media]]
        for old in surplus:
            old.close()
        return reader

    def note_change(self, medium: MediumRow, workspace: Workspace) -> int:
        """Copy the facts shown in lists of media to the database.

        Returns:
            The medium's revision.
        """
        revision = workspace.store.revision
        with self.database.session() as session:
            session.execute(
                update(MediumRow)
                .where(MediumRow.id == medium.id)
                .values(revision=revision, num_objects=len(workspace.store.objects()), updated_at=now())
            )
            session.execute(update(ProjectRow).where(ProjectRow.id == medium.project_id).values(updated_at=now()))
        return revision

    @property
    def graph_folder(self) -> Path | None:
        """Folder of the server's exported model; None for a model without graphs."""
        folder = getattr(self.model.engine, "folder", None)
        return None if folder is None else Path(folder)

    def check_has_no_jobs(self, medium: MediumRow) -> None:
        """Check that no job works on a medium.

        Raises:
            ApiError: a job works on it.
        """
        if self.jobs.is_busy(medium.id):
            raise ApiError(409, "busy", f"{medium.name} is being worked on: cancel its jobs first")

    def delete_medium(self, medium: MediumRow) -> None:
        """Delete a medium with its masks and pictures.

        Raises:
            ConflictError: it is in use.
        """
        self.workspaces.discard(medium.id)
        with self._reader_lock:
            reader = self._readers.pop(medium.id, None)
        if reader is not None:
            reader.close()
        with self.database.session() as session:
            stored = session.get(MediumRow, medium.id)
            if stored is not None:
                session.delete(stored)
        shutil.rmtree(self.folder(medium.id), ignore_errors=True)
        shutil.rmtree(self.pictures.folder / medium.id, ignore_errors=True)

    def _sweep(self) -> None:
        """Close unused media, and remove old results."""
        while not self._stopping.wait(SWEEP_SECONDS):
            self._tidy()

    def _tidy(self) -> None:
        try:
            self.workspaces.close_idle()
            self._close_idle_readers()
            if time.monotonic() - self._looked_for_results > 3600:
                self._looked_for_results = time.monotonic()
                self._remove_old_results()
                self._empty_old_trash()
        except Exception:  # the next sweep tries again
            logger.exception("could not close unused media or remove old results")

    def _close_idle_readers(self) -> None:
        oldest = time.monotonic() - self.limits.idle_seconds
        with self._reader_lock:
            idle = [reader for reader in self._readers.values() if reader.used_at < oldest]
        for reader in idle:
            reader.close()

    def _empty_old_trash(self) -> None:
        oldest = now() - timedelta(days=self.limits.trash_days)
        with self.database.session() as session:
            old = select(MediumRow).join(MediumRow.summary).where(SummaryRow.trashed_at < oldest)
            media = session.scalars(old).all()
        for medium in media:
            self.delete_medium(medium)

    def _remove_old_results(self) -> None:
        oldest = now() - timedelta(days=self.limits.result_days)
        with self.database.session() as session:
            for record in session.query(JobRow).filter(JobRow.ended_at < oldest, JobRow.result_name.is_not(None)):
                shutil.rmtree(self.result_folder(record.id), ignore_errors=True)
                record.result_name = None
