"""The server's data folder: one process uses it, and a killed process leaves nothing behind in it.

A folder of files belongs to a row of the database. Neither can be written in one step with the other, so the table
`removals` lists folders that have no row yet, or no more: before a folder is filled, its path is added, and it is taken
off in the transaction that adds the row; in the transaction that deletes a row, the path is added, and it is taken off
when the files are gone. What the table lists when a server starts is removed. Other folders without a row are only
reported: another `--database` than the folder's own must not cost anybody's files.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from masklet.errors import MaskletError
from masklet.output import PathLock, free_bytes, make_folder
from masklet.server.database import AssetRow, Database, JobRow, MediumRow, RemovalRow

logger = logging.getLogger("masklet.server")

SCRATCH = "tmp"
"""Folder for files of running requests."""


class DataFolder:
    """The folder of a running server.

    Args:
        root: its path; it is created if necessary.

    Raises:
        OutputError: another server uses it, or it cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = PathLock(root)
        self._filling: set[str] = set()

    def close(self) -> None:
        """Let another server use the folder."""
        self._lock.release()

    # Paths.

    def medium(self, media_id: str) -> Path:
        return self.root / "media" / media_id

    def asset(self, asset_id: str) -> Path:
        return self.root / "assets" / asset_id

    def result(self, job_id: str) -> Path:
        return self.root / "results" / job_id

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a folder for the files of a request, removed after the block.

        Raises:
            OutputError: it cannot be created.
        """
        folder = Path(tempfile.mkdtemp(dir=make_folder(self.root / SCRATCH)))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def free_bytes(self) -> int:
        return free_bytes(self.root)

    # Folders and rows.

    @contextmanager
    def filling(self, database: Database, folders: Iterable[Path]) -> Iterator[Callable[[Session], None]]:
        """Create folders for rows that are not in the database yet.

        Yields:
            A function to call in the transaction that adds the rows. The folders are removed if that transaction is
            not committed, whatever ends it.
        """
        paths = [self._name(folder) for folder in folders]
        self._filling.update(paths)
        try:
            with database.session() as session:
                session.add_all([RemovalRow(path=path) for path in paths])
            try:
                for path in paths:
                    make_folder(self.root / path)
                yield lambda session: _take_off(session, paths)
            except BaseException:
                self.remove_listed(database, paths)  # those only that are still listed: a commit may have succeeded
                raise
        finally:
            self._filling.difference_update(paths)

    def list_for_removal(self, session: Session, folders: Iterable[Path]) -> list[str]:
        """List folders whose rows are deleted in this transaction; pass the result to `remove_listed` after it."""
        paths = [self._name(folder) for folder in folders]
        for path in paths:
            session.merge(RemovalRow(path=path))
        return paths

    def remove_listed(self, database: Database, paths: Iterable[str] | None = None) -> None:
        """Remove folders that are listed for removal, by default all; what fails is tried again later."""
        try:
            with database.session() as session:
                listed = set(session.scalars(select(RemovalRow.path)))
            listed -= self._filling if paths is None else set()
            gone = [path for path in (listed if paths is None else listed & set(paths)) if self._remove(path)]
            if gone:
                with database.session() as session:
                    _take_off(session, gone)
        except MaskletError as error:  # the next sweep tries again
            logger.warning("folders of deleted media could not be removed: %s", error)

    def sweep(self, database: Database) -> None:
        """Remove what an earlier process has left: scratch files, listed folders, unfinished results, old pictures.

        Raises:
            OutputError: the database cannot be used.
        """
        shutil.rmtree(self.root / SCRATCH, ignore_errors=True)
        self.remove_listed(database)
        with database.session() as session:
            media = set(session.scalars(select(MediumRow.id)))
            assets = set(session.scalars(select(AssetRow.id)))
            has_result = JobRow.state == "done", JobRow.result_name.is_not(None)
            results = set(session.scalars(select(JobRow.id).where(*has_result)))
        for folder, owners in ((self.root / "results", results), (self.cache, media)):  # they can be made again
            for path in _inside(folder):
                if path.name not in owners:
                    shutil.rmtree(path, ignore_errors=True)
        for folder, owners in ((self.root / "media", media), (self.root / "assets", assets)):
            unknown = [path.name for path in _inside(folder) if path.name not in owners]
            if unknown:
                names = ", ".join(sorted(unknown)[:3]) + (", ..." if len(unknown) > 3 else "")
                logger.warning("%s has %d folders that the database does not know: %s", folder, len(unknown), names)

    def _name(self, folder: Path) -> str:
        return folder.relative_to(self.root).as_posix()

    def _remove(self, path: str) -> bool:
        """Remove a folder; True if it is gone."""
        folder = self.root / path
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()


def _take_off(session: Session, paths: Iterable[str]) -> None:
    for path in paths:  # one by one: the number of values in a statement is limited
        session.execute(delete(RemovalRow).where(RemovalRow.path == path))


def _inside(folder: Path) -> list[Path]:
    with suppress(OSError):
        return list(folder.iterdir())
    return []
