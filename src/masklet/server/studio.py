"""The state that all requests share: the model, the database, open media, the queue; and checks of ownership."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from masklet.api import Model
from masklet.errors import MaskletError
from masklet.media.source import FrameSource, open_source
from masklet.server.annotation.open_media import Workspaces
from masklet.server.annotation.store import AnnotationStore
from masklet.server.annotation.work_counts import revision_of_file
from masklet.server.annotation.workspace import Workspace
from masklet.server.counted_media import TrajectoryCache
from masklet.server.data_folder import DataFolder
from masklet.server.database import (
    AssetRow,
    Database,
    JobRow,
    MediumRow,
    ProjectRow,
    SummaryRow,
    UserRow,
    now,
)
from masklet.server.errors import ApiError, NotFoundError, as_api_error
from masklet.server.frames import FrameCache, FrameReader, PictureCache, SharedFrames
from masklet.server.jobs import Jobs
from masklet.server.live_slots import LiveSlots
from masklet.server.metrics import Metrics
from masklet.server.processes import LimitedProcesses
from masklet.server.readiness import Readiness
from masklet.server.security import Accounts
from masklet.server.settings import Settings
from masklet.server.shared_model import SharedEngine

logger = logging.getLogger("masklet.server")

SWEEP_SECONDS = 30.0

ANSWER_DAYS = 2.0
"""Days for which answers to idempotent requests are kept."""

NO_MEDIUM = "there is no such image or video"


class StudioState:
    """The server's state; routes are a thin layer over it.

    Args:
        settings: the server's settings.
        model: the model for all users.

    Raises:
        OutputError: another server uses the data folder, or the folder or the database cannot be used.
        ConfigError: the database's address is not valid.
    """

    def __init__(self, settings: Settings, model: Model) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.model = model
        self.engine = SharedEngine(model.engine)
        with ExitStack() as undo:
            self.data = DataFolder(settings.data)
            undo.callback(self.data.close)
            self.database = Database(settings.database_url)
            undo.callback(self.database.close)
            self.accounts = Accounts(self.database, settings)
            self.jobs = Jobs(self.database, self.limits, self.explain)
            undo.callback(self.jobs.close)
            self.data.sweep(self.database)
            undo.pop_all()
        self.workspaces = Workspaces(limit=self.limits.open_media, idle_seconds=self.limits.idle_seconds)
        self.pictures = PictureCache(
            self.data.cache, max_bytes=self.limits.jpeg_cache_bytes, is_gone=self.jobs.gone.__contains__
        )
        self.trajectories = TrajectoryCache()
        self.frame_cache = FrameCache(self.limits.frame_cache_bytes)
        self.processes = LimitedProcesses(self.limits)
        self.metrics = Metrics(self)
        self.readiness = Readiness(self)
        self.live_slots = LiveSlots(self.limits)
        self.summary_lock = threading.Lock()
        self._readers: OrderedDict[str, FrameReader] = OrderedDict()
        self._reader_lock = threading.Lock()
        self._outdated: dict[str, MediumRow] = {}
        """Media whose facts in lists could not be stored, by id."""
        self._stopping = threading.Event()
        self._removed_old_at = 0.0
        self._sweeper = threading.Thread(target=self._sweep, name="masklet-sweep", daemon=True)
        self._sweeper.start()

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    @property
    def is_swept(self) -> bool:
        """True if the thread for the upkeep works."""
        return self._sweeper.is_alive()

    def stop(self) -> None:
        """Tell streams and jobs to end, without waiting for them."""
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
        self.data.close()

    def explain(self, error: Exception) -> ApiError:
        """Return the error of the API for any error, without paths of this machine."""
        return as_api_error(error, data=self.settings.data)

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
                raise NotFoundError(NO_MEDIUM)
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

    def asset_path(self, asset: AssetRow) -> Path:
        return self.data.asset(asset.id) / asset.file

    def open_frames(self, medium: MediumRow) -> Callable[[], FrameSource]:
        """Return a function that opens a source of a medium's frames. It raises NotFoundError for a deleted one."""
        path, fps = self.data.medium(medium.id) / medium.file, medium.fps

        def open_() -> FrameSource:
            self._check_exists(medium)
            if medium.kind == "image" and path.is_file():
                return open_source([path], fps=1.0)
            return open_source(path, fps=fps)

        return open_

    def _check_exists(self, medium: MediumRow) -> None:
        """Raise NotFoundError for a medium that has been deleted since its row was read."""
        if medium.id in self.jobs.gone or not self.data.medium(medium.id).is_dir():
            raise NotFoundError(NO_MEDIUM)

    # Open media.

    @contextmanager
    def workspace(self, medium: MediumRow) -> Iterator[Workspace]:
        """Yield the workspace of a medium, which stays open during the block."""

        def make() -> Workspace:
            self._check_exists(medium)
            return Workspace(
                self.engine,
                AnnotationStore(self.data.medium(medium.id) / "annotations.db"),
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
            self._check_exists(medium)
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
        """Copy the facts shown in lists of media to the database. If that fails, it is tried again later: the change
        itself has been stored.

        Returns:
            The medium's revision.
        """
        revision, num_objects = workspace.store.revision, workspace.store.num_objects()
        try:
            with self.database.session() as session:
                facts = {"revision": revision, "num_objects": num_objects, "updated_at": now()}
                session.execute(update(MediumRow).where(MediumRow.id == medium.id).values(**facts))
                session.execute(update(ProjectRow).where(ProjectRow.id == medium.project_id).values(updated_at=now()))
        except MaskletError as error:
            logger.warning("the lists do not show the last change of %s yet: %s", medium.id, error)
            self._outdated[medium.id] = medium
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
        if any(job.media_id == medium.id for job in self.jobs.active()):
            raise ApiError(409, "busy", f"{medium.name} is being worked on: cancel its jobs first")

    # Deletion. What is deleted is gone: its jobs, their results, its files, and requests that began before.

    def delete_medium(self, medium: MediumRow) -> None:
        """Delete a medium with its masks, pictures, jobs and results; also results of the whole project, which show it.

        Raises:
            ConflictError: a job does not end.
        """
        of_medium = or_(
            JobRow.media_id == medium.id, (JobRow.project_id == medium.project_id) & JobRow.media_id.is_(None)
        )
        with self._deleting(medium.project_id, [medium.id]), self.database.session() as session:
            folders = self._delete_rows(session, MediumRow.id == medium.id, of_medium)
        self.data.remove_listed(self.database, folders)

    def delete_project(self, project: ProjectRow) -> None:
        """Delete a project with all that belongs to it.

        Raises:
            ConflictError: a job does not end.
        """
        with self.database.session() as session:
            media = list(session.scalars(select(MediumRow.id).where(MediumRow.project_id == project.id)))
        with self._deleting(project.id, media, with_project=True), self.database.session() as session:
            # Locked first (SQLite locks by writing), so that uploads wait for the end and find the project gone.
            session.execute(select(ProjectRow.id).where(ProjectRow.id == project.id).with_for_update())
            session.execute(update(ProjectRow).where(ProjectRow.id == project.id).values(updated_at=now()))
            assets = list(session.scalars(select(AssetRow.id).where(AssetRow.project_id == project.id)))
            folders = self._delete_rows(session, MediumRow.project_id == project.id, JobRow.project_id == project.id)
            folders += self.data.list_for_removal(session, map(self.data.asset, assets))
            session.execute(delete(AssetRow).where(AssetRow.project_id == project.id))
            session.execute(delete(ProjectRow).where(ProjectRow.id == project.id))
        self.data.remove_listed(self.database, folders)

    @contextmanager
    def _deleting(self, project_id: str, media_ids: Sequence[str], *, with_project: bool = False) -> Iterator[None]:
        """End jobs and requests that use media; until the block has failed, new ones are refused."""
        deleted = {*media_ids, *([project_id] if with_project else [])}
        with self.jobs.ending(deleted, lambda job: job.project_id == project_id and job.media_id in {None, *media_ids}):
            for media_id in media_ids:
                self.workspaces.discard(media_id)
                with self._reader_lock:
                    reader = self._readers.pop(media_id, None)
                if reader is not None:
                    reader.close()
            yield

    def _delete_rows(self, session: Session, of_media: ColumnElement[bool], of_jobs: ColumnElement[bool]) -> list[str]:
        """Delete rows of media and of jobs, and list their folders for removal."""
        media, jobs = (
            list(session.scalars(select(table.id).where(condition)))
            for table, condition in ((MediumRow, of_media), (JobRow, of_jobs))
        )
        folders = [self.data.medium(media_id) for media_id in media]
        folders += [self.data.cache / media_id for media_id in media]
        folders += [self.data.result(job_id) for job_id in jobs]
        session.execute(delete(JobRow).where(of_jobs))
        session.execute(delete(MediumRow).where(of_media))
        return self.data.list_for_removal(session, folders)

    # Upkeep.

    def _sweep(self) -> None:
        """Close unused media, and remove old results."""
        self._attempt(self._find_outdated)
        while not self._stopping.wait(SWEEP_SECONDS):
            self._tidy()

    def _tidy(self) -> None:
        for task in (
            self.workspaces.close_idle,
            self._close_idle_readers,
            self._note_outdated,
            self.jobs.store_states,
            self._cancel_jobs_of_revoked_users,
            self._remove_old,
        ):
            self._attempt(task)

    def _attempt(self, task: Callable[[], object]) -> None:
        try:
            task()
        except MaskletError as error:
            logger.warning("%s, to be tried again: %s", task.__name__.strip("_").replace("_", " "), error)
        except Exception:
            logger.exception("%s failed, and will be tried again", task.__name__)

    def _find_outdated(self) -> None:
        """Find media that an earlier process changed just before it was killed: the lists do not show it yet."""
        with self.database.session() as session:
            media = list(session.scalars(select(MediumRow)))
        for medium in media:
            file = self.data.medium(medium.id) / "annotations.db"
            times = [path.stat().st_mtime for path in (file, file.with_name(f"{file.name}-wal")) if path.exists()]
            if max(times, default=0) > medium.updated_at.timestamp() and revision_of_file(file) != medium.revision:
                self._outdated[medium.id] = medium

    def _note_outdated(self) -> None:
        for medium in [self._outdated.pop(key) for key in list(self._outdated)]:
            if medium.id not in self.jobs.gone:
                with self.workspace(medium) as workspace:
                    self.note_change(medium, workspace)

    def _cancel_jobs_of_revoked_users(self) -> None:
        user_ids = {job.user_id for job in self.jobs.active()}
        revoked = {user_id for user_id in user_ids if not self.accounts.has_access(user_id)}
        self.jobs.cancel_all(lambda job: job.user_id in revoked)

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

    def _remove_old(self) -> None:
        """Remove old results, answers and trash, and what could not be removed before; once an hour."""
        if time.monotonic() - self._removed_old_at < 3600:
            return
        self._removed_old_at = time.monotonic()
        self.data.remove_listed(self.database)
        self.database.forget_answers(now() - timedelta(days=ANSWER_DAYS))
        self._empty_old_trash()
        oldest = now() - timedelta(days=self.limits.result_days)
        with self.database.session() as session:
            for record in session.query(JobRow).filter(JobRow.ended_at < oldest, JobRow.result_name.is_not(None)):
                shutil.rmtree(self.data.result(record.id), ignore_errors=True)
                record.result_name = None
