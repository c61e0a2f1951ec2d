"""The server's database, for everything but masks: users, projects, media, assets and jobs (through SQLAlchemy)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    String,
    Text,
    UniqueConstraint,
    create_engine,
    delete,
    event,
    select,
    update,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker
from sqlalchemy.types import DateTime, TypeDecorator

from masklet.errors import ConfigError, OutputError
from masklet.server.errors import ConflictError, database_error, first_line
from masklet.server.migrations import upgrade

ID_LENGTH = 16


def new_id() -> str:
    """Return a short random id of letters, digits, - and _, which cannot be guessed."""
    return secrets.token_urlsafe(9)


def now() -> datetime:
    return datetime.now(timezone.utc)


class UtcTime(TypeDecorator[datetime]):
    """Aware datetimes in UTC, also from SQLite, which does not store the zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.replace(tzinfo=timezone.utc)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: UtcTime, dict[str, Any]: JSON}  # noqa: RUF012 (SQLAlchemy's form)


class UserRow(Base):
    """A user, who owns projects."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    token_hash: Mapped[str | None] = mapped_column(String(128))
    """None: login is not possible, as for the local user."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class LoginRow(Base):
    """A login of a browser, by a token."""

    __tablename__ = "logins"

    cookie_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]


class SecretRow(Base):
    """A random value that the server generated once: the salt of tokens."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(String(200))


class ProjectRow(Base):
    """A project: a group of media."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    media: Mapped[list[MediumRow]] = relationship(
        back_populates="project", cascade="all, delete-orphan", order_by="MediumRow.position"
    )
    classes: Mapped[list[ClassRow]] = relationship(
        cascade="all, delete-orphan", order_by="ClassRow.position", passive_deletes=True, lazy="selectin"
    )


class ClassRow(Base):
    """A class of a project's objects, which refer to it by its name."""

    __tablename__ = "classes"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
    """Place in the list, from 0; exports number the classes in this order."""
    name: Mapped[str] = mapped_column(String(200))
    color: Mapped[str] = mapped_column(String(7))
    """#rrggbb"""
    key: Mapped[str | None] = mapped_column(String(1))
    """The hot key that gives an object this class."""


class ClassChangeRow(Base):
    """A class that has been renamed, merged or deleted while objects of some media still have its old name.

    The row is written together with the change of the list, and removed when all media have been changed: a server that
    was stopped in between finishes at its next start.
    """

    __tablename__ = "class_changes"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    old_name: Mapped[str] = mapped_column(String(200))
    new_name: Mapped[str] = mapped_column(String(200))
    """Empty if the class has been deleted."""


class MediumRow(Base):
    """An image or a video; its files are in the data folder under its id."""

    __tablename__ = "media"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    position: Mapped[int] = mapped_column(BigInteger, default=lambda: int(now().timestamp() * 1e6))
    kind: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(200))
    file: Mapped[str] = mapped_column(String(40))
    """Name of the file, or of the folder of images, to open in the medium's folder."""
    width: Mapped[int]
    height: Mapped[int]
    num_frames: Mapped[int]
    fps: Mapped[float]
    duration_s: Mapped[float]
    has_audio: Mapped[bool]
    num_bytes: Mapped[int] = mapped_column(BigInteger)
    num_objects: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    project: Mapped[ProjectRow] = relationship(back_populates="media")
    summary: Mapped[SummaryRow] = relationship(cascade="all, delete-orphan", passive_deletes=True, lazy="joined")

    def rename(self, name: str) -> None:
        """Change the name, also as it is searched and sorted."""
        self.name = name
        self.summary.name_folded, self.summary.name_key = _folded(name), _sort_key(name)


class SummaryRow(Base):
    """What a list shows of a medium's annotations, so that it need not open them; and whether it is in the trash.

    The counts belong to the medium's revision `revision`; `masklet.server.listing` counts again where that is not the
    current one.
    """

    __tablename__ = "summaries"

    media_id: Mapped[str] = mapped_column(ForeignKey("media.id", ondelete="CASCADE"), primary_key=True)
    name_folded: Mapped[str] = mapped_column(String(600))
    """The name without differences of case, for the search."""
    name_key: Mapped[str] = mapped_column(String(3000))
    """Sorts names as people do: image2 before image10."""
    revision: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(8), default="new")
    """One of `masklet.server.schemas.MediumState`."""
    num_marked: Mapped[int] = mapped_column(default=0)
    """Frames with a mask."""
    num_accepted: Mapped[int] = mapped_column(default=0)
    """Frames with masks, all of which are accepted."""
    num_to_review: Mapped[int] = mapped_column(default=0)
    """Frames with a mask that a user should review."""
    trashed_at: Mapped[datetime | None] = mapped_column(default=None, index=True)

    @classmethod
    def named(cls, name: str) -> SummaryRow:
        """Return the summary of a medium that nobody has worked on yet."""
        return cls(name_folded=_folded(name), name_key=_sort_key(name))


class ClassCountRow(Base):
    """How many objects of a class a medium has; the class "" has those without one."""

    __tablename__ = "class_counts"

    media_id: Mapped[str] = mapped_column(ForeignKey("media.id", ondelete="CASCADE"), primary_key=True)
    class_name: Mapped[str] = mapped_column(String(200), primary_key=True)
    num_objects: Mapped[int]


def _folded(name: str) -> str:
    return name.casefold()[:600]


def _sort_key(name: str) -> str:
    return re.sub("[0-9]+", lambda digits: digits[0].zfill(12), name.casefold())[:3000]


class AssetRow(Base):
    """An image or a video for backgrounds."""

    __tablename__ = "assets"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(200))
    file: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=now)


class JobRow(Base):
    """The final state of a job, or its state when the server stopped."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(12))
    project_id: Mapped[str] = mapped_column(String(ID_LENGTH), index=True)
    media_id: Mapped[str | None] = mapped_column(String(ID_LENGTH), index=True)
    state: Mapped[str] = mapped_column(String(10))
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    message: Mapped[str | None] = mapped_column(String(2000))
    result_name: Mapped[str | None] = mapped_column(String(300))
    result_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]


class RemovalRow(Base):
    """A folder of the data folder that is to be removed, see `data_folder`."""

    __tablename__ = "removals"

    path: Mapped[str] = mapped_column(String(60), primary_key=True)


class AnswerRow(Base):
    """The answer to an idempotent request, written in the transaction of its change."""

    __tablename__ = "answers"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    answer: Mapped[str] = mapped_column(Text)
    """A job's id for requests that start one, otherwise JSON."""
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)


class Database:
    """Opens a database, creates missing tables, and brings those of earlier versions up to date.

    Raises:
        ConfigError: the address is not valid, or its driver is not installed.
        OutputError: it cannot be opened. `session` may raise it, too, if the database is away, locked or full.
    """

    def __init__(self, url: str) -> None:
        is_sqlite = url.startswith("sqlite")
        try:
            self._engine = create_engine(
                url,
                pool_pre_ping=not is_sqlite,
                connect_args={"check_same_thread": False, "timeout": 30} if is_sqlite else {},
            )
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise ConfigError(
                f"database must be an SQLAlchemy address whose driver is installed, "
                f"such as postgresql+psycopg://user@host/name; got {_without_password(url)!r}: {first_line(error)}"
            ) from error
        if is_sqlite:
            event.listen(self._engine, "connect", _prepare_sqlite)
        try:
            Base.metadata.create_all(self._engine)
            upgrade(self._engine)
        except SQLAlchemyError as error:
            raise OutputError(f"cannot open the database {_without_password(url)}: {first_line(error)}") from error
        self._session = sessionmaker(self._engine, expire_on_commit=False)
        self._add_missing_summaries()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a transaction: committed at the end of the block, rolled back on an error.

        Raises:
            OutputError: the database is away, locked, read-only or full.
            NotFoundError: a row that must exist has been deleted.
            ConflictError: another request has made the same change, or removed what this one needs.
        """
        try:
            with self._session() as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            translated = database_error(error)
            if translated is error:
                raise
            raise translated from error

    def check_writable(self) -> None:
        """Change a row and take the change back.

        Raises:
            OutputError: the database is away, locked or read-only.
        """
        with self.session() as session:
            session.execute(update(SecretRow).values(value=SecretRow.value))
            session.rollback()

    def user_named(self, name: str) -> UserRow:
        """Return the user of this name, created if missing."""
        for _ in range(2):
            with suppress(ConflictError), self.session() as session:  # two requests may create it at once
                user = session.scalar(select(UserRow).where(UserRow.name == name))
                if user is None:
                    user = UserRow(name=name)
                    session.add(user)
                return user
        raise ConflictError(f"the user {name} was created and deleted at the same time: try again")

    def answer(self, user_id: str, key: str | None) -> str | None:
        """Return the stored answer to the request with this key; None for a new one, or without a key."""
        if key is None:
            return None
        with self.session() as session:
            row = session.get(AnswerRow, (user_id, key))
            return None if row is None else row.answer

    def forget_answers(self, before: datetime) -> None:
        with self.session() as session:
            session.execute(delete(AnswerRow).where(AnswerRow.created_at < before))

    def close(self) -> None:
        self._engine.dispose()

    def _add_missing_summaries(self) -> None:
        """Add the summaries of media that an earlier version stored."""
        with self.session() as session:
            without = select(MediumRow.id, MediumRow.name).where(~MediumRow.id.in_(select(SummaryRow.media_id)))
            for media_id, name in session.execute(without).all():
                summary = SummaryRow.named(name)
                summary.media_id = media_id
                session.add(summary)


def _without_password(url: str) -> str:
    return re.sub(r"(?<=:)[^:@/]*(?=@)", "***", url, count=1)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    for command in ("foreign_keys = ON", "journal_mode = WAL", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {command}")
