"""Servers of live video on loopback: MJPEG and MPEG-TS over HTTP by Python, RTSP by GStreamer from Debian."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.media.clips import numbered_frame

PASSWORD = "dont-show-this"
SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_SERVER = Path(__file__).parent / "rtsp_server.py"
FRAME_SECONDS = 0.02


class LiveServer(ThreadingHTTPServer):
    """Sends numbered frames to every client until it is told to stop.

    `/mjpeg` is a camera, `/secret` one that asks for a password, `/live` a stream of the bytes in `stream`, `/file` the
    same bytes as a file, `/page` a web page.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.number = -1
        """Of the frame sent last."""
        self.last = 10**9
        """Number after which the camera ends."""
        self.num_connections = 0
        self.size_hw = (48, 64)
        self.is_flowing = threading.Event()
        self.is_flowing.set()
        self.is_closed = threading.Event()
        self.hang_up = threading.Event()
        """Set, the next frame is not sent: the connection is cut instead."""
        self.stream = b""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up whenever they like."""

    def address(self, path: str, credentials: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LiveServer

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.num_connections += 1
        self.close_connection = True
        path = self.path.partition("?")[0]
        if path == "/secret" and not self._is_allowed():
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path in ("/mjpeg", "/secret"):
            self._send_camera()
        elif path == "/live":
            self._send_stream()
        elif path in ("/file", "/page"):
            body = self.server.stream if path == "/file" else b"<html><body>Log in</body></html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            self.send_error(404)

    def _is_allowed(self) -> bool:
        expected = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {expected}"

    def _send_camera(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        server = self.server
        while not server.is_closed.wait(FRAME_SECONDS) and server.number < server.last:
            server.is_flowing.wait()
            if server.hang_up.is_set():
                server.hang_up.clear()
                return
            server.number += 1
            _, jpeg = cv2.imencode(".jpg", numbered_frame(server.number % 256, server.size_hw)[..., ::-1])
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")

    def _send_stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        data = self.server.stream
        for at in range(0, len(data), 1880):
            chunk = data[at : at + 1880]
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")


@contextmanager
def live_server() -> Iterator[LiveServer]:
    server = LiveServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.is_closed.set()
        server.is_flowing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class RtspServer:
    """GStreamer's RTSP server in a process of its own, which can be stopped, continued and killed.

    `/plain` needs no password.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self, *, width: int = 64, fps: int = 25, pattern: str = "ball") -> None:
        """Start on a free port, or on the same one again."""
        command = [SYSTEM_PYTHON, str(RTSP_SERVER), str(self.port), str(width), str(fps), PASSWORD, pattern]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("port "), f"the RTSP server did not start: {line!r}"
        self.port = int(line.split()[1])

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def address(self, path: str = "/plain", credentials: str = "") -> str:
        return f"rtsp://{credentials}127.0.0.1:{self.port}{path}"


@contextmanager
def rtsp_server() -> Iterator[RtspServer]:
    """Run a server; the test is skipped where GStreamer's is not installed."""
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    is_missing = shutil.which(SYSTEM_PYTHON) is None
    if is_missing or subprocess.run([SYSTEM_PYTHON, "-c", check], check=False, capture_output=True).returncode != 0:
        pytest.skip("needs Debian's python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-{base,good,ugly}")
    server = RtspServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
