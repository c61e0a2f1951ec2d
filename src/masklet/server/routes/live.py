"""Live streams: frames in, masks out, over one WebSocket, in constant memory. Late frames are dropped."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Annotated, Literal
from urllib.parse import urlsplit

import anyio
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import Field, ValidationError

from masklet.errors import MaskletError, OutputError, PromptError
from masklet.media.base import made_smaller
from masklet.media.images import read_image
from masklet.media.source import FrameSource, open_source
from masklet.prompts import Prompt
from masklet.records import ByteArray, Frame, FrameMasks
from masklet.server import schemas
from masklet.server.convert import mask_info
from masklet.server.database import UserRow
from masklet.server.depends import studio_of
from masklet.server.errors import ApiError
from masklet.server.frames import to_jpeg
from masklet.server.settings import Limits
from masklet.server.shared_model import in_background
from masklet.server.studio import StudioState
from masklet.tracking.mask_rows import to_rows
from masklet.tracking.tracker import Tracker

router = APIRouter(tags=["live"])

MAX_OBJECTS = 32

ACCESS_SECONDS = 10.0
"""Time after which it is checked again that the user's token has not been revoked."""

CLOSE_SECONDS = 5.0
"""Time for the reason to reach a client before its connection is closed."""

POLICY_VIOLATION, TRY_AGAIN_LATER, UNSUPPORTED = 1008, 1013, 1003


class LiveStart(schemas.Schema):
    """The first message."""

    source: str | None = Field(
        None, max_length=500, description="An address that the server opens; or frames are sent."
    )
    max_side: Annotated[int, Field(ge=64, le=2048)] = 640
    """Longer side to which larger frames are reduced, pixels."""


class LivePrompt(schemas.PromptRequest):
    """A prompt for an object on the next frame to be processed, in pixels of the frames as they are sent."""

    object_id: Annotated[int, Field(ge=0, le=2**31)] = 1
    candidate: Literal[None] = None


class LiveMessage(schemas.Schema):
    """A text message after the first."""

    prompt: LivePrompt | None = None
    remove: Annotated[int, Field(ge=0, le=2**31)] | None = Field(default=None, description="An object to forget.")


class LiveTracker:
    """Tracks the objects of one stream.

    Args:
        studio: the server's state, with the model.
        max_side: longer side to which larger frames are reduced, pixels.
    """

    def __init__(self, studio: StudioState, max_side: int) -> None:
        self._tracker: Tracker[object] = Tracker(studio.engine)
        self._max_side = max_side
        self._began_s = time.monotonic()
        self._size_hw: tuple[int, int] | None = None
        self._count = 0
        self._times: list[float] = []
        self._object_ids: set[int] = set()
        self._waiting: dict[int, Prompt | None] = {}
        """Prompts for the next frame; None removes the object. A frame is processed in another thread."""

    @property
    def fps(self) -> float:
        """Frames per second over the last frames."""
        times = self._times
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0

    def receive(self, message: LiveMessage) -> None:
        """Note a message of the client for the next frame."""
        if message.prompt is not None:
            if len(self._object_ids | {message.prompt.object_id}) > MAX_OBJECTS:
                raise PromptError(f"a live stream may have {MAX_OBJECTS} objects")
            self._object_ids.add(message.prompt.object_id)
            self._waiting[message.prompt.object_id] = Prompt.from_request(message.prompt)
        if message.remove is not None:
            self._object_ids.discard(message.remove)
            self._waiting[message.remove] = None

    def step(self, rgb: ByteArray) -> FrameMasks:
        """Track one frame, reduced in size if necessary."""
        scale = min(1.0, self._max_side / max(rgb.shape[:2]))
        if scale < 1:
            rgb = made_smaller(rgb, (max(1, round(rgb.shape[0] * scale)), max(1, round(rgb.shape[1] * scale))))
        size_hw = (rgb.shape[0], rgb.shape[1])
        if self._size_hw not in (None, size_hw):
            raise PromptError("the frames of a live stream must have one size: open another connection for other sizes")
        self._size_hw = size_hw
        waiting, self._waiting = self._waiting, {}
        for object_id, prompt in waiting.items():
            if prompt is None and object_id in self._tracker.object_ids:
                self._tracker.remove(object_id)
        prompts = {object_id: prompt.scaled(scale) for object_id, prompt in waiting.items() if prompt is not None}
        frame = Frame(self._count, rgb, time.monotonic() - self._began_s)
        self._count += 1
        with in_background():
            masks = self._tracker.step(frame, prompts)
        self._times = [*self._times[-20:], time.monotonic()]
        return masks


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """See docs/guides/server.md: a text message to begin, then frames (binary JPEG, PNG or WebP) and prompts
    (text) in, masks (text) out."""
    studio = studio_of(socket)
    try:
        user = await anyio.to_thread.run_sync(studio.accounts.user_of, socket)
    except ApiError:
        user = None
    except MaskletError as error:  # the database is away
        await socket.close(TRY_AGAIN_LATER, str(studio.explain(error)))
        return
    if user is None:
        await socket.close(POLICY_VIOLATION, "log in first")
        return
    try:
        with studio.live_slots.slot(user.id):
            await socket.accept()
            await _serve_until_an_error(socket, studio, user)
    except ApiError as error:
        await socket.close(TRY_AGAIN_LATER, str(error))


async def _serve_until_an_error(socket: WebSocket, studio: StudioState, user: UserRow) -> None:
    try:
        with anyio.CancelScope() as scope:
            watching = asyncio.create_task(_watch_access(studio, user, scope))
            try:
                await _serve_stream(socket, studio)
            finally:
                watching.cancel()
        if scope.cancelled_caught:
            raise ApiError(401, "wrong_token", "your token has been revoked")
    except WebSocketDisconnect:
        pass
    except (MaskletError, ValidationError, OSError) as error:
        await _close_with_error(socket, studio, error)


async def _watch_access(studio: StudioState, user: UserRow, scope: anyio.CancelScope) -> None:
    """Cancel the scope when the user's token is revoked."""
    while not scope.cancel_called:
        await asyncio.sleep(ACCESS_SECONDS)
        with suppress(OutputError):  # a database that is away for a moment ends no stream
            if not await anyio.to_thread.run_sync(studio.accounts.has_access, user.id):
                scope.cancel()


async def _close_with_error(socket: WebSocket, studio: StudioState, error: Exception) -> None:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        answer = ApiError(422, "invalid", f"{'.'.join(map(str, first['loc'])) or 'the message'}: {first['msg']}")
    else:
        answer = studio.explain(error)
    with suppress(RuntimeError, WebSocketDisconnect), anyio.move_on_after(CLOSE_SECONDS):
        body = schemas.ErrorBody(code=answer.code, message=str(answer), field=answer.field)
        await socket.send_text(schemas.ErrorAnswer(error=body).model_dump_json())
        await socket.close(UNSUPPORTED)


async def _receive(socket: WebSocket, limits: Limits) -> str | bytes:
    """Return the next message.

    Raises:
        WebSocketDisconnect: the client has left.
        ApiError: the message is too large.
    """
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    data: str | bytes = message["text"] if message.get("text") is not None else message.get("bytes") or b""
    most = limits.max_json_bytes if isinstance(data, str) else limits.live_message_bytes
    if len(data) > most:
        raise ApiError(413, "too_large", f"a message may have {most:,} bytes, got {len(data):,}")
    return data


async def _receive_text(socket: WebSocket, limits: Limits) -> str:
    data = await _receive(socket, limits)
    if isinstance(data, bytes):
        raise ApiError(
            400, "not_text", 'the first message must be text, such as {"source": null}; it was binary, as frames are'
        )
    return data


@contextmanager
def _within(seconds: float, what: str) -> Iterator[None]:
    """Cancel what the block waits for after a while.

    Raises:
        ApiError: it took too long.
    """
    with anyio.move_on_after(seconds) as waiting:
        yield
    if waiting.cancelled_caught:
        raise ApiError(408, "idle", f"{what} within {seconds:.0f} s")


async def _serve_stream(socket: WebSocket, studio: StudioState) -> None:
    limits = studio.limits
    with _within(limits.live_idle_seconds, "no first message came"):
        start = LiveStart.model_validate_json(await _receive_text(socket, limits))
    tracker = LiveTracker(studio, start.max_side)
    source = None if start.source is None else await _open(studio, start.source)
    newest = _Newest()
    listening = asyncio.create_task(_listen(socket, tracker, newest, limits, is_sending=source is None))
    try:
        if source is not None:
            await _show(socket, studio, tracker, source, listening)
        else:
            await _answer(socket, studio, tracker, newest, listening)
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await listening
        if source is not None:
            await anyio.to_thread.run_sync(source.close)


class _Newest:
    """Holds the newest frame; an older one that was not read is dropped and counted."""

    def __init__(self) -> None:
        self._data: bytes | None = None
        self._came = asyncio.Event()
        self.dropped = 0

    def put(self, data: bytes) -> None:
        self.dropped += self._data is not None
        self._data = data
        self._came.set()

    async def take(self) -> bytes:
        await self._came.wait()
        self._came.clear()
        data, self._data = self._data, None
        assert data is not None
        return data


async def _listen(
    socket: WebSocket, tracker: LiveTracker, newest: _Newest, limits: Limits, *, is_sending: bool
) -> None:
    """Receive frames and messages; from a client that sends frames, one must come from time to time."""
    while True:
        with _within(limits.live_idle_seconds if is_sending else math.inf, "no frame came"):
            while isinstance(data := await _receive(socket, limits), str):
                tracker.receive(LiveMessage.model_validate_json(data))
            newest.put(data)


async def _answer(
    socket: WebSocket, studio: StudioState, tracker: LiveTracker, newest: _Newest, listening: asyncio.Task[None]
) -> None:
    """Track the frames that the client sends, and send their masks."""
    limits = studio.limits

    def work(data: bytes) -> str:
        return _text(tracker.step(read_image(data, max_pixels=limits.live_pixels)), newest.dropped, tracker.fps)

    while not studio.is_stopping:
        taking = asyncio.create_task(newest.take())
        done, _ = await asyncio.wait({taking, listening}, return_when=asyncio.FIRST_COMPLETED)
        if listening in done:
            taking.cancel()
            listening.result()
            return
        text = await anyio.to_thread.run_sync(work, taking.result())
        with _within(limits.live_idle_seconds, "the masks were not taken"):
            await socket.send_text(text)


async def _show(
    socket: WebSocket, studio: StudioState, tracker: LiveTracker, source: FrameSource, listening: asyncio.Task[None]
) -> None:
    """Track a stream that the server opened, and send each frame as JPEG, followed by its masks."""
    frames: Iterator[Frame] = source.frames()
    last_s = 0.0
    dropped = 0
    idle_seconds = studio.limits.live_idle_seconds
    while not (studio.is_stopping or listening.done()):
        with _within(idle_seconds, "the stream gave no frame"):
            frame = await anyio.to_thread.run_sync(next, frames, None, abandon_on_cancel=True)
        if frame is None:
            return
        masks = await anyio.to_thread.run_sync(tracker.step, frame.rgb)
        dropped += max(0, round((frame.time_s - last_s) * source.info.fps) - 1)
        last_s = frame.time_s
        picture = await anyio.to_thread.run_sync(partial(to_jpeg, frame.rgb, width=1280))
        with _within(idle_seconds, "the masks were not taken"):
            await socket.send_bytes(picture)
            await socket.send_text(_text(masks, dropped, tracker.fps))
    if listening.done():
        listening.result()


async def _open(studio: StudioState, address: str) -> FrameSource:
    try:
        parts = urlsplit(address)
        is_allowed = parts.scheme in ("rtsp", "rtsps") and (parts.hostname or "") in studio.settings.stream_hosts
    except ValueError:
        is_allowed = False
    if not is_allowed:
        raise ApiError(
            403,
            "stream",
            "this server opens no such address: it is started with --allow-stream HOST for rtsp://HOST/...",
        )
    return await anyio.to_thread.run_sync(open_source, address)


def _text(masks: FrameMasks, dropped: int, fps: float) -> str:
    rows = [mask_info(row) for row in to_rows(masks)]
    return LiveFrame(
        frame_index=masks.frame_index, time_s=round(masks.time_s, 4), objects=rows, dropped=dropped, fps=round(fps, 2)
    ).model_dump_json()


class LiveFrame(schemas.Schema):
    """The masks of one frame, as sent to the client."""

    frame_index: int
    time_s: float
    objects: list[schemas.ObjectMask]
    dropped: int
    fps: float
