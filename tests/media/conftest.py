"""Fixtures of video files and of servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.media.live_servers import LiveServer, RtspServer, live_server, rtsp_server
from tests.media.recordings import Recordings


@pytest.fixture(scope="session")
def recordings(ffmpeg: str, tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    return Recordings(ffmpeg, tmp_path_factory.mktemp("recordings"))


@pytest.fixture
def web() -> Iterator[LiveServer]:
    with live_server() as server:
        yield server


@pytest.fixture
def rtsp() -> Iterator[RtspServer]:
    with rtsp_server() as server:
        yield server
