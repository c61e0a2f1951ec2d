"""Live streams from servers on loopback: what they deliver, how they break, and what is said about it."""

from __future__ import annotations

import signal
import threading
import traceback
from itertools import pairwise

import pytest

from masklet.errors import VideoError
from masklet.media import containers, stream
from masklet.media.address import without_secrets
from masklet.media.source import open_source
from masklet.media.stream import StreamSource
from masklet.media.video_file import VideoFileSource
from tests.media.clips import number_of
from tests.media.live_servers import FRAME_SECONDS, PASSWORD, LiveServer, RtspServer, open_descriptors
from tests.media.recordings import NUM_FRAMES, Recordings
from tests.waiting import wait_until


def live_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "masklet-live"]


def test_a_camera_over_http_is_read_through_one_connection(web: LiveServer) -> None:
    with open_source(web.address("/mjpeg")) as source:
        assert isinstance(source, StreamSource)
        assert (source.info.is_live, source.info.num_frames, source.info.size_hw) == (True, None, (48, 64))
        assert 5 < source.info.fps <= 1.1 / FRAME_SECONDS  # measured: a busy server sends fewer
        frames = list(source.frames(0, 5))
        assert [frame.index for frame in frames] == list(range(5))
        assert all(a.time_s < b.time_s for a, b in pairwise(frames))
        assert web.num_connections == 1
    assert not live_threads()


def test_a_slow_reader_gets_the_newest_frame_of_a_stream(web: LiveServer) -> None:
    with open_source(web.address("/mjpeg")) as source:
        frames = source.frames()
        first = number_of(next(frames).rgb)
        wait_until(lambda: web.number > first + 20, "20 more frames")
        next(frames)
        assert number_of(next(frames).rgb) - first > 15


def test_frames_that_wait_for_a_prompt_are_not_kept(web: LiveServer) -> None:
    with open_source(web.address("/mjpeg")) as source:
        wait_until(lambda: web.number > 30, "frames that nobody reads")
        assert number_of(next(source.frames()).rgb) > 20


def test_a_camera_that_is_silent_for_a_while_goes_on(web: LiveServer) -> None:
    with open_source(web.address("/mjpeg")) as source:
        frames = source.frames()
        next(frames)
        web.is_flowing.clear()
        threading.Timer(0.2, web.is_flowing.set).start()
        before = next(frames)
        assert [next(frames).index for _ in range(3)] == [before.index + 1 + number for number in range(3)]


def test_a_size_that_changes_keeps_that_of_the_first_frame(web: LiveServer) -> None:
    with open_source(web.address("/mjpeg")) as source:
        frames = source.frames()
        next(frames)
        web.size_hw = (96, 128)
        changed = web.number + 2
        frame = next(frame for frame in frames if number_of(frame.rgb) > changed)
        assert frame.size_hw == source.info.size_hw == (48, 64)


def test_a_camera_that_is_switched_off_delivers_its_last_frame(
    web: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RECONNECT_SECONDS", 0.3)
    web.last = 20
    numbers: list[int] = []
    with open_source(web.address("/mjpeg")) as source:
        frames = (numbers.append(number_of(frame.rgb)) for frame in source.frames())
        with pytest.raises(VideoError, match="broke off: the connection was closed"):
            list(frames)
    assert numbers[-1] >= 19  # a JPEG ends where the next one begins
    assert numbers == sorted(set(numbers))


def test_a_stream_of_webm_tells_its_own_rate(web: LiveServer, recordings: Recordings) -> None:
    web.stream = recordings["live.webm"].read_bytes()
    with open_source(web.address("/live")) as source:
        assert source.info.is_live
        assert source.info.fps == pytest.approx(24, abs=1)
        assert next(source.frames()).size_hw == (48, 64)


def test_a_file_on_a_server_is_no_stream(web: LiveServer, recordings: Recordings) -> None:
    web.stream = recordings["live.webm"].read_bytes()  # without a duration, but it has a length
    with open_source(web.address("/file")) as source:
        assert isinstance(source, VideoFileSource)
        assert [number_of(frame.rgb) for frame in source.frames()] == list(range(NUM_FRAMES))


@pytest.mark.parametrize(
    ("path", "credentials", "reason"),
    [
        ("/secret", "", "asks for a user name and password: write http://USER:PASSWORD@127.0.0.1"),
        ("/secret", f"ann:{PASSWORD}-not@", "refused the user name and password in the address"),
        ("/page", f"ann:{PASSWORD}@", "not a video"),
        ("/none", f"ann:{PASSWORD}@", "404"),
        (f"/none?token={PASSWORD}&camera=2", "", "camera=2.*404"),
    ],
)
def test_what_is_wrong_with_an_address_is_said_without_its_password(
    web: LiveServer, path: str, credentials: str, reason: str
) -> None:
    with pytest.raises(VideoError, match=reason) as caught:
        open_source(web.address(path, credentials))
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert PASSWORD not in everything.replace(f'"{PASSWORD}', "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("rtsp://ann:dont-show-this@127.0.0.1:9/x", "connection refused: nothing listens at 127.0.0.1:9"),
        ("http://127.0.0.1:9/x", "connection refused"),
        ("rtsp://ann:dont-show-this@no-such-host.invalid/x", "there is no host no-such-host.invalid"),
        ("gopherish://ann:dont-show-this@host/x", "knows no addresses with gopherish://"),
        ("rtsp://ann:dont-show-this@[evil", "not valid"),
    ],
)
def test_addresses_that_lead_nowhere(address: str, reason: str) -> None:
    with pytest.raises(VideoError, match=reason) as caught:
        open_source(address)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_password_that_works_is_not_shown(web: LiveServer) -> None:
    with open_source(web.address("/secret", f"ann:{PASSWORD}@")) as source:
        assert next(source.frames()).size_hw == (48, 64)
        assert PASSWORD not in repr(source.info) + repr(source)
        assert source.info.name == web.address("/secret")


def test_keys_in_a_query_are_not_shown() -> None:
    address = "https://cdn.example/clip.mp4?X-Amz-Signature=abc&start=3&access_token=def"
    assert without_secrets(address) == "https://cdn.example/clip.mp4?X-Amz-Signature=...&start=3&access_token=..."


def test_a_reader_that_waits_is_woken_by_close(web: LiveServer) -> None:
    source = open_source(web.address("/mjpeg"))
    frames = source.frames()
    next(frames)
    web.is_flowing.clear()
    read = threading.Thread(target=lambda: list(frames))
    read.start()
    closed = threading.Thread(target=source.close)
    closed.start()
    read.join()
    web.is_flowing.set()
    closed.join()
    wait_until(lambda: not live_threads(), "the end of the stream's thread")


def test_streams_leave_no_threads_and_descriptors(web: LiveServer) -> None:
    def cycle() -> None:
        with open_source(web.address("/mjpeg")) as source:
            next(source.frames())

    threads = threading.active_count()  # of the server here, and of libraries that earlier tests have used
    cycle()
    wait_until(lambda: threading.active_count() <= threads, "the end of the first connection")
    before = open_descriptors()
    for _ in range(10):
        cycle()
    wait_until(lambda: open_descriptors() <= before and threading.active_count() <= threads, "closed connections")


def test_rtsp(rtsp: RtspServer) -> None:
    with open_source(rtsp.address()) as source:
        assert (source.info.fps, source.info.codec, source.info.is_live) == (25, "h264", True)
        assert [frame.index for frame in source.frames(0, 3)] == [0, 1, 2]
    with pytest.raises(VideoError, match="asks for a user name and password"):
        open_source(rtsp.address("/secret"))
    with pytest.raises(VideoError, match="refused the user name and password") as caught:
        open_source(rtsp.address("/secret", f"ann:{PASSWORD}-not@"))
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(VideoError, match="404"):
        open_source(rtsp.address("/nothing"))
    with open_source(rtsp.address("/secret", f"ann:{PASSWORD}@")) as source:
        assert next(source.frames()).index == 0


def test_an_rtsp_server_that_starts_again_with_another_size(rtsp: RtspServer) -> None:
    with open_source(rtsp.address()) as source:
        frames = source.frames()
        next(frames)
        rtsp.stop()
        rtsp.start(width=128, pattern="white")
        frame = next(frame for frame in frames if frame.rgb.min() > 200)
        assert frame.size_hw == (48, 64)


def test_an_rtsp_server_that_hangs_and_wakes_up(rtsp: RtspServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SILENCE_SECONDS", 0.5)
    with open_source(rtsp.address()) as source:
        frames = source.frames()
        last = next(frames).time_s
        rtsp.send(signal.SIGSTOP)
        threading.Timer(1.5, rtsp.send, [signal.SIGCONT]).start()
        assert next(frame for frame in frames if frame.time_s > last + 1).size_hw == (48, 64)


def test_an_rtsp_server_that_does_not_come_back(rtsp: RtspServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "RECONNECT_SECONDS", 0.5)
    with open_source(rtsp.address("/secret", f"ann:{PASSWORD}@")) as source:
        frames = source.frames()
        next(frames)
        rtsp.stop()
        with pytest.raises(VideoError, match=r"/secret broke off: .*no new connection within") as caught:
            list(frames)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert not live_threads()


def test_a_camera_that_grows_to_a_huge_size_is_refused(web: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_GROWN_PIXELS", 30_000)
    with open_source(web.address("/mjpeg")) as source:
        frames = source.frames()
        next(frames)
        web.size_hw = (240, 320)
        with pytest.raises(VideoError, match=r"/mjpeg is too large: its frames are larger, and the limit is 0\.0 mill"):
            list(frames)
    assert not live_threads()


def test_a_stream_that_declares_a_huge_size_is_refused(web: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_FRAME_PIXELS", 3000)
    with pytest.raises(VideoError, match="/mjpeg is too large: its frames are"):
        open_source(web.address("/mjpeg"))
    assert not live_threads()
