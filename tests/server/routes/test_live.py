"""Live streams: frames in, masks out, late frames dropped."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError
from starlette.websockets import WebSocketDisconnect

from masklet.masks.rle import decode_rle
from masklet.records import ByteArray, ImageFeatures
from masklet.server.routes import live
from masklet.server.settings import Limits
from tests.fake_engine import FakeEngine
from tests.server.conftest import LIVE, Open, Page, png
from tests.waiting import PATIENCE_S

PHOTO = Path(__file__).parents[3] / "examples" / "media" / "cat.jpg"
CLICK = {"points": [[1, 1]], "labels": [1]}


class SeeingEngine(FakeEngine):
    """Processes no frame until it is allowed to, and records which frames it processed."""

    def __init__(self) -> None:
        super().__init__()
        self.may_look = threading.Event()
        self.looking = threading.Event()
        self.seen: list[int] = []

    def encode_image(self, rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[int]:
        self.looking.set()
        assert self.may_look.wait(PATIENCE_S)
        features = super().encode_image(rgb, in_video=in_video)
        self.seen.append(features.arrays["number"])
        return features


def test_frames_in_masks_out(page: Page) -> None:
    left = np.zeros((6, 8), bool)
    left[:, :4] = True
    with page.websocket_connect(LIVE) as line:
        line.send_json({"source": None, "max_side": 64})
        line.send_json({"prompt": {"object_id": 3, **CLICK}})
        for number in range(3):
            line.send_bytes(png(number))
            answer = line.receive_json()
            assert answer["frame_index"] == number
            assert [one["object_id"] for one in answer["objects"]] == [3]
            assert (decode_rle(answer["objects"][0]["rle"]) == left).all()
        line.send_text("{}}")
        assert line.receive_json()["error"]["code"] == "invalid"


def test_objects_are_added_and_removed(page: Page) -> None:
    with page.websocket_connect(LIVE) as line:
        line.send_json({"source": None})
        shown = []
        for number, message in enumerate(
            [{"prompt": {"object_id": 1, **CLICK}}, {"prompt": {"object_id": 2, **CLICK}}, {"remove": 1}, {"remove": 7}]
        ):
            line.send_json(message)
            line.send_bytes(png(number))
            shown.append([one["object_id"] for one in line.receive_json()["objects"]])
        assert shown == [[1], [1, 2], [2], [2]]


def test_newer_frames_replace_waiting_ones(open_studio: Open) -> None:
    engine = SeeingEngine()
    page = open_studio(engine=engine)
    with page.websocket_connect(LIVE) as line:
        line.send_json({"source": None})
        line.send_json({"prompt": {"object_id": 1, **CLICK}})
        line.send_bytes(png(0))
        assert engine.looking.wait(PATIENCE_S)
        for number in range(1, 6):
            line.send_bytes(png(number))
        engine.may_look.set()
        first = line.receive_json()
        last = line.receive_json()
        # The number of frames that the server reads before it processes the next depends on the threads; in the end
        # each of the six has been processed or dropped.
        while last["frame_index"] + 1 + last["dropped"] < 6:
            last = line.receive_json()
        assert first["frame_index"] == 0
        assert (engine.seen[0], engine.seen[-1]) == (0, 5)
        assert last["dropped"] == 6 - len(engine.seen)


def test_frames_of_another_size_end_the_stream(page: Page) -> None:
    with page.websocket_connect(LIVE) as line:
        line.send_json({"source": None, "max_side": 64})
        line.send_bytes(png(0))
        line.receive_json()
        line.send_bytes(PHOTO.read_bytes())
        assert "one size" in line.receive_json()["error"]["message"]


def test_the_number_of_streams_is_limited(open_studio: Open) -> None:
    page = open_studio(limits=Limits(live_streams=1))
    with page.websocket_connect(LIVE) as line:
        line.send_json({"source": None})
        with pytest.raises(WebSocketDisconnect), page.websocket_connect(LIVE) as second:
            second.receive_json()
    with page.websocket_connect(LIVE) as line:  # the first has ended
        line.send_json({"source": None})
        line.send_bytes(png(0))
        assert line.receive_json()["frame_index"] == 0


def test_one_user_does_not_take_all_streams(open_studio: Open) -> None:
    page = open_studio(needs_login=True, limits=Limits(live_streams=3, live_streams_per_user=2))
    for name in ("ann", "bob"):
        page.app.state.studio.accounts.set_token(name, f"{name} correct horse")  # type: ignore[attr-defined]
    ann, bob = ({"authorization": f"Bearer {name} correct horse"} for name in ("ann", "bob"))
    with page.websocket_connect(LIVE, headers=ann), page.websocket_connect(LIVE, headers=ann):
        with pytest.raises(WebSocketDisconnect) as refusal, page.websocket_connect(LIVE, headers=ann):
            pass
        assert "of yours" in refusal.value.reason
        with page.websocket_connect(LIVE, headers=bob) as line:
            line.send_json({"source": None})
            line.send_bytes(png(0))
            assert line.receive_json()["frame_index"] == 0
            with pytest.raises(WebSocketDisconnect) as refusal, page.websocket_connect(LIVE, headers=bob):
                pass
            assert "try again later" in refusal.value.reason


@pytest.mark.parametrize("messages", [[], [{"source": None}], [{"source": None}, {"remove": 1}]])
def test_a_stream_without_frames_is_closed(open_studio: Open, messages: list[dict[str, Any]]) -> None:
    page = open_studio(limits=Limits(live_idle_seconds=0.2))
    with page.websocket_connect(LIVE) as line:
        for message in messages:
            line.send_json(message)
        assert line.receive_json()["error"]["code"] == "idle"
    assert not page.app.state.studio.live_slots._running.total()  # type: ignore[attr-defined]


def test_other_messages_do_not_keep_a_stream_open(open_studio: Open) -> None:
    page = open_studio(limits=Limits(live_idle_seconds=0.3))
    ended = threading.Event()
    with page.websocket_connect(LIVE) as line:
        line.send_json({"source": None})

        def chatter() -> None:
            while not ended.wait(0.05):
                line.send_json({"remove": 1})

        thread = threading.Thread(target=chatter)
        thread.start()
        try:
            assert line.receive_json()["error"]["code"] == "idle"
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (b"a frame", "not_text"),
        (b"", "not_text"),
        ("", "invalid"),
        ("{", "invalid"),
        ("[" * 20_000, "invalid"),
        ('{"source": 5}', "invalid"),
        ('{"source": null, "max_side": 1e400}', "invalid"),
        ('{"source": "rtsp://[evil/"}', "stream"),
        ('{"source": "rtsp://host:port/"}', "stream"),
        ('{"source": "file:///etc/passwd"}', "stream"),
        ('{"source": null}' + " " * 300_000, "too_large"),
    ],
)
def test_a_wrong_first_message_is_answered(page: Page, first: str | bytes, code: str) -> None:
    with page.websocket_connect(LIVE) as line:
        if isinstance(first, bytes):
            line.send_bytes(first)
        else:
            line.send_text(first)
        assert line.receive_json()["error"]["code"] == code


def test_large_frames_are_refused_before_they_are_decoded(open_studio: Open) -> None:
    page = open_studio(limits=Limits(live_message_bytes=1000, live_pixels=40))
    with page.websocket_connect(LIVE) as line:
        line.send_json({"source": None})
        line.send_bytes(b"0" * 1001)
        assert line.receive_json()["error"]["code"] == "too_large"
    with page.websocket_connect(LIVE) as line:
        line.send_json({"source": None})
        line.send_bytes(png(0))  # 8 x 6
        assert "8 x 6" in line.receive_json()["error"]["message"]


def test_addresses_are_not_opened_unless_allowed(page: Page) -> None:
    with page.websocket_connect(LIVE) as line:
        line.send_json({"source": "rtsp://10.0.0.1/secret"})
        assert "--allow-stream" in line.receive_json()["error"]["message"]


def test_an_invalid_frame_ends_the_stream_with_a_reason(page: Page) -> None:
    with page.websocket_connect(LIVE) as line:
        line.send_json({"source": None})
        line.send_bytes(b"no picture")
        assert line.receive_json()["error"]["code"] == "image"


def test_the_stream_of_a_revoked_user_ends(open_studio: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ACCESS_SECONDS", 0.01)
    page = open_studio(needs_login=True)
    accounts = page.app.state.studio.accounts  # type: ignore[attr-defined]
    accounts.set_token("ann", "ann correct horse")
    with page.websocket_connect(LIVE, headers={"authorization": "Bearer ann correct horse"}) as socket:
        socket.send_json({"source": None})
        accounts.revoke("ann")
        assert socket.receive_json()["error"]["code"] == "wrong_token"


def test_a_stream_without_a_database_is_to_try_again(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("select", {}, Exception("connection refused"))

    monkeypatch.setattr(page.app.state.studio.database, "_session", away)  # type: ignore[attr-defined]
    with pytest.raises(WebSocketDisconnect) as closed, page.websocket_connect(LIVE):
        pass
    assert closed.value.code == live.TRY_AGAIN_LATER
