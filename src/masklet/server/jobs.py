"""Jobs: work that takes longer than a request, in a bounded queue and a few threads, with listeners of progress."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from sqlalchemy import select, update

from masklet.errors import Cancelled, MaskletError
from masklet.server import job_schemas
from masklet.server.database import AnswerRow, Database, JobRow, new_id, now
from masklet.server.errors import ApiError, ConflictError, NotFoundError
from masklet.server.settings import API_BASE, Limits
from masklet.server.shared_model import in_background

logger = logging.getLogger("masklet.server")

Kind = job_schemas.JobKind
State = job_schemas.JobState

ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})
TRACKING: frozenset[Kind] = frozenset({"track", "discover"})
"""Jobs that write the masks of a medium frame by frame: one at a time."""
WORKERS = 2
"""Number of threads. Jobs share one model, so more are not faster; with two, an export need not wait for tracking."""
END_SECONDS = 60.0
"""Time within which a job must end when what it works on is deleted."""
MAX_ENDED = 200
"""Ended jobs that are kept in memory; the database has all."""
WAITING_EVENTS = 256
"""Events waiting for one listener. A slower listener misses masks, and fetches them with the frame."""
STOPPED_START = "the server was stopped;"
"""Beginning of the error text of interrupted jobs, by which they are recognised; earlier versions wrote it, too."""

STOPPED = f"{STOPPED_START} results so far are kept: start again to continue from there"


@dataclass(frozen=True, slots=True)
class Event:
    """A message to listeners: a name and a document."""

    number: int
    name: str
    data: Mapping[str, Any]


class Listener:
    """One event stream, which any thread can feed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Event] = asyncio.Queue(WAITING_EVENTS)

    def tell(self, event: Event) -> None:
        with suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._put, event)

    def _put(self, event: Event) -> None:
        if self._queue.full():
            if event.name == "masks":
                return
            self._queue.get_nowait()
        self._queue.put_nowait(event)

    async def next(self, timeout_s: float) -> Event | None:
        """Return the next event; None if there is none within the time limit."""
        try:
            return await asyncio.wait_for(self._queue.get(), timeout_s)
        except asyncio.TimeoutError:
            return None


@dataclass(eq=False)
class Job:
    """One job. Only the job's thread changes its fields; any thread may read them."""

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
    _times: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=60))
    _listeners: list[Listener] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _number: int = 0

    @property
    def fps(self) -> float | None:
        """Frames per second, over the last reports of progress; None before the second report."""
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

    # For the job's work.

    def progress(self, done: int, total: int | None = None, name: str = "") -> None:
        """Report progress, and raise if the job has been cancelled.

        Raises:
            Cancelled: the job has been cancelled.
        """
        self.done = done
        self.total = total if total is not None else self.total
        self._times.append((time.monotonic(), done))
        self.tell("progress", self.document())
        self.check()

    def check(self) -> None:
        """Raise if the job has been cancelled.

        Raises:
            Cancelled: the job has been cancelled.
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

    # For listeners.

    def listen(self) -> Listener:
        """Return a listener that receives the current state first, and then all events."""
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
        """Return the job as the API describes it, `job_schemas.JobInfo` in JSON."""
        return job_info(self).model_dump(mode="json")


def job_info(job: Job | JobRow) -> job_schemas.JobInfo:
    """Describe a job, or the row of a job that ended before the server started."""
    result = None
    if job.state == "done" and job.result_name is not None:
        url = f"{API_BASE}/jobs/{job.id}/result"
        result = job_schemas.JobResult(url=url, name=job.result_name, bytes=job.result_bytes or 0)
    return job_schemas.JobInfo(
        id=job.id,
        kind=cast(Kind, job.kind),
        project_id=job.project_id,
        media_id=job.media_id,
        state=cast(State, job.state),
        done=job.done,
        total=job.total,
        fps=job.fps if isinstance(job, Job) else None,
        eta_s=job.eta_s if isinstance(job, Job) else None,
        message=job.message,
        interrupted=job.state in ENDED and (job.message or "").startswith(STOPPED_START),
        result=result,
        created_at=job.created_at,
    )


class Jobs:
    """The queue of jobs.

    Args:
        database: stores the state of each job.
        limits: numbers of jobs that are allowed.
        explain: returns the error for users of what a job has raised.

    Raises:
        OutputError: the database cannot be used.
    """

    def __init__(self, database: Database, limits: Limits, explain: Callable[[Exception], ApiError]) -> None:
        self._database = database
        self._limits = limits
        self._explain = explain
        self.gone: set[str] = set()
        """Ids of media and projects that are deleted, or are being deleted: they get no new jobs."""
        self._unstored: dict[str, Job] = {}
        """Jobs whose state could not be stored."""
        self._jobs: dict[str, Job] = {}
        self._queue: deque[Job] = deque()
        self._condition = threading.Condition()
        self._ended = threading.Condition()
        self._is_closing = False
        self.num_ended: dict[tuple[str, str], int] = {}
        """Number of ended jobs by kind and state."""
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

    def submit(self, job: Job, key: str | None = None) -> Job | JobRow:
        """Queue a job.

        Args:
            job: what to do.
            key: names the request; if it has been answered before, nothing is queued.

        Returns:
            The job, or the earlier one of the same key.

        Raises:
            ApiError: the user or the server has too many jobs, or the medium is being tracked already.
            NotFoundError: the medium or the project has been deleted.
        """
        with self._condition:
            earlier = self.answered(job.user_id, key)
            if earlier is not None:
                return earlier
            if self.gone & {job.media_id, job.project_id}:
                raise NotFoundError("it has been deleted meanwhile")
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
                if key is not None:
                    session.add(AnswerRow(user_id=job.user_id, key=key, answer=job.id))
            self._jobs[job.id] = job
            ended = [other.id for other in self._jobs.values() if other.has_ended]
            for job_id in ended[: max(0, len(ended) - MAX_ENDED)]:
                del self._jobs[job_id]
            self._queue.append(job)
            self._condition.notify()
        return job

    def answered(self, user_id: str, key: str | None) -> Job | JobRow | None:
        """Return the job that an earlier request with this key started; None for a new key, or without one.

        Raises:
            NotFoundError: it has been deleted.
        """
        job_id = self._database.answer(user_id, key)
        if job_id is None:
            return None
        job = self.find(job_id) or self.record(job_id)
        if job is None:
            raise NotFoundError("the job of this request has been deleted")
        return job

    def check(self, kind: Kind, user_id: str, media_id: str | None) -> None:
        """Check that a job could be submitted, before waiting for anything.

        Raises:
            ApiError: as `submit`.
        """
        with self._condition:
            self._check(kind, user_id, media_id)

    def _check(self, kind: Kind, user_id: str, media_id: str | None) -> None:
        if self._is_closing:
            raise ApiError(503, "stopping", "the server is stopping", retry_after_s=30)
        active = self.active()
        if kind in TRACKING and any(other.media_id == media_id and other.kind in TRACKING for other in active):
            raise ApiError(409, "tracking", "this video is being tracked already: wait, or stop that first")
        if sum(other.user_id == user_id for other in active) >= self._limits.jobs_per_user:
            raise ApiError(
                429, "too_many_jobs", f"you have {self._limits.jobs_per_user} jobs already: wait", retry_after_s=10
            )
        if len(self._queue) >= self._limits.queued_jobs:
            raise ApiError(503, "queue_full", "the server is busy: try again later", retry_after_s=30)

    def active(self) -> list[Job]:
        """Return the jobs that wait or run."""
        return [job for job in list(self._jobs.values()) if not job.has_ended]

    def find(self, job_id: str) -> Job | None:
        """Return a job that is in memory; None if it is not."""
        return self._jobs.get(job_id)

    def of_user(self, user_id: str, media_id: str | None = None) -> list[Job]:
        """Return a user's jobs in memory, newest first."""
        return [
            job
            for job in reversed(list(self._jobs.values()))
            if job.user_id == user_id and media_id in (None, job.media_id)
        ]

    def records(self, user_id: str, media_id: str | None = None, limit: int = 100) -> list[JobRow]:
        """Return a user's jobs in the database, newest first."""
        query = select(JobRow).where(JobRow.user_id == user_id)
        if media_id is not None:
            query = query.where(JobRow.media_id == media_id)
        with self._database.session() as session:
            return list(session.scalars(query.order_by(JobRow.created_at.desc()).limit(limit)))

    def record(self, job_id: str) -> JobRow | None:
        with self._database.session() as session:
            return session.get(JobRow, job_id)

    def cancel(self, job: Job) -> None:
        """Cancel a job: at once if it waits, after the current frame if it runs."""
        job.cancelled.set()
        with self._condition:
            if job in self._queue:
                self._queue.remove(job)
                waiting = True
            else:
                waiting = False
        if waiting:
            self._end(job, "cancelled", None)

    def cancel_all(self, concerns: Callable[[Job], bool]) -> list[Job]:
        """Cancel the jobs that `concerns` selects, and return them; running ones finish their current frame."""
        concerned = [job for job in self.active() if concerns(job)]
        for job in concerned:
            self.cancel(job)
        return concerned

    @contextmanager
    def ending(self, deleted: Collection[str], concerns: Callable[[Job], bool]) -> Iterator[None]:
        """End jobs and forget them, before what they work on is deleted in the block.

        Args:
            deleted: ids of media and projects that get no new jobs, unless the block fails.
            concerns: selects the jobs.

        Raises:
            ConflictError: a job does not end.
        """
        with self._condition:
            self.gone.update(deleted)
        try:
            concerned = self.cancel_all(concerns)
            with self._ended:
                if not self._ended.wait_for(lambda: all(job.has_ended for job in concerned), END_SECONDS):
                    raise ConflictError("one of its jobs does not end: try again later")
            yield
        except BaseException:
            with self._condition:
                self.gone.difference_update(deleted)
            raise
        with self._condition:
            for job in [job for job in self._jobs.values() if concerns(job)]:
                del self._jobs[job.id]

    @property
    def num_queued(self) -> int:
        return len(self._queue)

    @property
    def num_running(self) -> int:
        return sum(job.state == "running" for job in list(self._jobs.values()))

    def close(self, timeout_s: float = 20.0) -> None:
        """Close the queue; running jobs finish their current frame."""
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
            try:
                self._run(job)
            except Exception:  # the thread must not end with the job
                logger.exception("job %s (%s) failed", job.id, job.kind)

    def _run(self, job: Job) -> None:
        self._record(job)
        job.tell("progress", job.document())
        try:
            with in_background():
                job.work(job)
        except Cancelled:
            self._end(job, "failed" if job.message == STOPPED else "cancelled", job.message)
        except Exception as error:
            answer = self._explain(error)
            if answer.status == 500:
                logger.exception("job %s (%s) failed", job.id, job.kind)
            elif answer.status > 500:
                logger.error("job %s (%s): %s", job.id, job.kind, error)
            self._end(job, "failed", str(answer))
        else:
            self._end(job, "done", job.message)

    def _end(self, job: Job, state: State, message: str | None) -> None:
        with self._ended:
            job.state, job.message = state, message
            self._ended.notify_all()
        self.num_ended[job.kind, state] = self.num_ended.get((job.kind, state), 0) + 1
        self._record(job)
        job.tell(state, job.document())

    def _record(self, job: Job) -> None:
        """Write a job's state to the database. If that fails, as on a full disk, listeners are still told, the queue
        continues, and `store_states` tries again."""
        try:
            with self._database.session() as session:
                session.execute(
                    update(JobRow)
                    .where(JobRow.id == job.id)
                    .values(
                        state=job.state,
                        done=job.done,
                        total=job.total,
                        message=None if job.message is None else job.message[:2000],
                        result_name=job.result_name,
                        result_bytes=job.result_bytes,
                        ended_at=now() if job.has_ended else None,
                    )
                )
        except MaskletError as error:
            logger.warning("job %s (%s) is %s, which is not stored yet: %s", job.id, job.kind, job.state, error)
            self._unstored[job.id] = job

    def store_states(self) -> None:
        """Write the states that could not be written before."""
        for job in [self._unstored.pop(key) for key in list(self._unstored)]:
            self._record(job)

    @property
    def is_alive(self) -> bool:
        """True if all threads work."""
        return all(thread.is_alive() for thread in self._threads)
