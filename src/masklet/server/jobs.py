"""What takes longer than a request: a bounded queue, a few threads, and everyone who wants to be told."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from masklet.errors import Cancelled, MaskletError
from masklet.server.database import Database, JobRow, new_id, now
from masklet.server.errors import ApiError
from masklet.server.settings import Limits
from masklet.server.shared_model import in_background

logger = logging.getLogger("masklet.server")

Kind = Literal["track", "export", "render", "everything"]
State = Literal["queued", "running", "done", "failed", "cancelled"]

ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})
WORKERS = 2
"""The model is one, so more would not be faster; two, so that an export need not wait for an hour of tracking."""
MAX_ENDED = 200
"""Ended jobs in memory; all are in the database."""
WAITING_EVENTS = 256
"""For one listener; one that is slower misses masks, and sees them when it asks for the frame."""
STOPPED = "the server was stopped; what had been done by then is kept: start again to go on from there"


@dataclass(frozen=True, slots=True)
class Event:
    """What listeners are told: a name and a document."""

    number: int
    name: str
    data: Mapping[str, Any]


class Listener:
    """One event stream, fed from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Event] = asyncio.Queue(WAITING_EVENTS)

    def tell(self, event: Event) -> None:
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._put, event)

    def _put(self, event: Event) -> None:
        if self._queue.full():
            if event.name == "masks":
                return
            self._queue.get_nowait()
        self._queue.put_nowait(event)

    async def next(self, timeout_s: float) -> Event | None:
        """The next event; None when there is none for so long."""
        try:
            return await asyncio.wait_for(self._queue.get(), timeout_s)
        except asyncio.TimeoutError:
            return None


@dataclass(eq=False)
class Job:
    """One job. Fields change in its own thread; who reads them sees one moment or the next."""

    kind: Kind
    user_id: str
    project_id: str
    media_id: str | None
    work: Callable[[Job], None]
    id: str = field(default_factory=new_id)
    state: State = "queued"
    done: int = 0
    total: int | None = None
    message: str | None = None
    result_name: str | None = None
    result_bytes: int | None = None
    created_at: datetime = field(default_factory=now)
    cancelled: threading.Event = field(default_factory=threading.Event)
    started_s: float | None = None
    _times: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=60))
    _listeners: list[Listener] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _number: int = 0

    @property
    def fps(self) -> float | None:
        """Lately."""
        if len(self._times) < 2:
            return None
        (first_s, first), (last_s, last) = self._times[0], self._times[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else None

    @property
    def eta_s(self) -> float | None:
        fps = self.fps
        return (self.total - self.done) / fps if fps and self.total is not None and self.state == "running" else None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    # For the work.

    def progress(self, done: int, total: int | None = None, name: str = "") -> None:
        """Say how far it is; and stop here, if somebody wants that.

        Raises:
            Cancelled: somebody does.
        """
        self.done = done
        self.total = total if total is not None else self.total
        self._times.append((time.monotonic(), done))
        self.tell("progress", self.document())
        self.check()

    def check(self) -> None:
        """Stop here, if somebody wants that.

        Raises:
            Cancelled: somebody does.
        """
        if self.cancelled.is_set():
            raise Cancelled

    def tell(self, name: str, data: Mapping[str, Any]) -> None:
        with self._lock:
            self._number += 1
            event = Event(self._number, name, data)
            listeners = list(self._listeners)
        for listener in listeners:
            listener.tell(event)

    # For the one who listens.

    def listen(self) -> Listener:
        """Begin with how it stands; what comes then is told."""
        listener = Listener()
        with self._lock:
            self._listeners.append(listener)
            name = self.state if self.has_ended else "progress"
            first = Event(self._number, name, self.document())
        listener.tell(first)
        return listener

    def leave(self, listener: Listener) -> None:
        with self._lock, suppress(ValueError):
            self._listeners.remove(listener)

    def document(self) -> dict[str, Any]:
        """As `schemas.JobInfo` has it."""
        result = None
        if self.state == "done" and self.result_name is not None:
            result = {"url": f"/api/v1/jobs/{self.id}/result", "name": self.result_name, "bytes": self.result_bytes}
        return {
            "id": self.id,
            "kind": self.kind,
            "project_id": self.project_id,
            "media_id": self.media_id,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "fps": self.fps,
            "eta_s": self.eta_s,
            "message": self.message,
            "interrupted": self.has_ended and self.message == STOPPED,
            "result": result,
            "created_at": self.created_at.isoformat(),
        }


class Jobs:
    """The queue.

    Args:
        database: keeps what became of each.
        limits: how many may wait.
    """

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._jobs: dict[str, Job] = {}
        self._queue: deque[Job] = deque()
        self._condition = threading.Condition()
        self._is_closing = False
        self.num_ended: dict[tuple[str, str], int] = {}
        """By kind and state."""
        with database.session() as session:
            session.execute(
                update(JobRow)
                .where(JobRow.state.in_(("queued", "running")))
                .values(state="failed", message=STOPPED, ended_at=now())
            )
        self._threads = [
            threading.Thread(target=self._work, name=f"masklet-job-{number}", daemon=True) for number in range(WORKERS)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> Job:
        """Queue a job.

        Raises:
            ApiError: too many are waiting, of this user or altogether; or the medium is being tracked already.
        """
        with self._condition:
            self._check(job.kind, job.user_id, job.media_id)
            with self._database.session() as session:
                session.add(
                    JobRow(
                        id=job.id,
                        user_id=job.user_id,
                        kind=job.kind,
                        project_id=job.project_id,
                        media_id=job.media_id,
                        state=job.state,
                        created_at=job.created_at,
                    )
                )
            self._jobs[job.id] = job
            ended = [key for key, other in self._jobs.items() if other.has_ended]
            for key in ended[: max(0, len(ended) - MAX_ENDED)]:
                del self._jobs[key]
            self._queue.append(job)
            self._condition.notify()
        return job

    def check(self, kind: Kind, user_id: str, media_id: str | None) -> None:
        """Whether there is room for a job, before anything is waited for.

        Raises:
            ApiError: as `submit`.
        """
        with self._condition:
            self._check(kind, user_id, media_id)

    def _check(self, kind: Kind, user_id: str, media_id: str | None) -> None:
        if self._is_closing:
            raise ApiError(503, "stopping", "the server is stopping", retry_after_s=30)
        alive = [other for other in self._jobs.values() if not other.has_ended]
        if kind in ("track", "everything") and any(
            other.media_id == media_id and other.kind in ("track", "everything") for other in alive
        ):
            raise ApiError(409, "tracking", "this medium is being tracked already: wait, or cancel that first")
        if sum(other.user_id == user_id for other in alive) >= self._limits.jobs_per_user:
            raise ApiError(
                429, "too_many_jobs", f"you have {self._limits.jobs_per_user} jobs already: wait", retry_after_s=10
            )
        if len(self._queue) >= self._limits.queued_jobs:
            raise ApiError(503, "queue_full", "the server has too much to do: try again later", retry_after_s=30)

    def find(self, job_id: str) -> Job | None:
        """A job that is in memory."""
        return self._jobs.get(job_id)

    def of_user(self, user_id: str, media_id: str | None = None) -> list[Job]:
        """Newest first."""
        return [
            job
            for job in reversed(list(self._jobs.values()))
            if job.user_id == user_id and media_id in (None, job.media_id)
        ]

    def records(self, user_id: str, media_id: str | None = None, limit: int = 100) -> list[JobRow]:
        """Those of the database, newest first."""
        chosen = select(JobRow).where(JobRow.user_id == user_id)
        if media_id is not None:
            chosen = chosen.where(JobRow.media_id == media_id)
        with self._database.session() as session:
            return list(session.scalars(chosen.order_by(JobRow.created_at.desc()).limit(limit)))

    def record(self, job_id: str) -> JobRow | None:
        with self._database.session() as session:
            return session.get(JobRow, job_id)

    def cancel(self, job: Job) -> None:
        """After the frame at hand."""
        job.cancelled.set()
        with self._condition:
            if job in self._queue:
                self._queue.remove(job)
                waiting = True
            else:
                waiting = False
        if waiting:
            self._end(job, "cancelled", None)

    def is_busy(self, media_id: str) -> bool:
        """Whether some job is about this medium."""
        return any(job.media_id == media_id and not job.has_ended for job in list(self._jobs.values()))

    @property
    def num_queued(self) -> int:
        return len(self._queue)

    @property
    def num_running(self) -> int:
        return sum(job.state == "running" for job in list(self._jobs.values()))

    def close(self, timeout_s: float = 20.0) -> None:
        """Let running jobs finish the frame at hand, and end."""
        with self._condition:
            self._is_closing = True
            waiting, self._queue = list(self._queue), deque()
            running = [job for job in self._jobs.values() if job.state == "running"]
            self._condition.notify_all()
        for job in waiting:
            self._end(job, "failed", STOPPED)
        for job in running:
            job.message = STOPPED
            job.cancelled.set()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._queue or self._is_closing)
                if self._is_closing:
                    return
                job = self._queue.popleft()
                job.state = "running"
            job.started_s = time.monotonic()
            self._record(job)
            job.tell("progress", job.document())
            try:
                with in_background():
                    job.work(job)
            except Cancelled:
                self._end(job, "failed" if job.message == STOPPED else "cancelled", job.message)
            except MaskletError as error:
                self._end(job, "failed", str(error))
            except Exception:
                logger.exception("job %s (%s) failed", job.id, job.kind)
                self._end(job, "failed", "a fault of the server: its log says more")
            else:
                self._end(job, "done", job.message)

    def _end(self, job: Job, state: State, message: str | None) -> None:
        job.state, job.message = state, message
        self.num_ended[job.kind, state] = self.num_ended.get((job.kind, state), 0) + 1
        self._record(job)
        job.tell(state, job.document())

    def _record(self, job: Job) -> None:
        """Keep how a job stands. Where that fails, as on a full disk, who listens is told all the same, and the next
        job is done."""
        stands = update(JobRow).where(JobRow.id == job.id)
        try:
            with self._database.session() as session:
                session.execute(
                    stands.values(
                        state=job.state,
                        done=job.done,
                        total=job.total,
                        message=job.message,
                        result_name=job.result_name,
                        result_bytes=job.result_bytes,
                        ended_at=now() if job.has_ended else None,
                    )
                )
        except SQLAlchemyError:
            logger.exception("job %s (%s) is %s, which could not be kept", job.id, job.kind, job.state)
