"""Latency of live streams on loopback: from a frame that enters the sender to its mask in the reader.

    python -m benchmarks.live_latency                  MJPEG and MPEG-TS over HTTP, RTSP where GStreamer is installed
    python -m benchmarks.live_latency --seconds 20 --fps 15 --model nano

Each frame carries the time at which it was sent, as a barcode in its last rows, and the reader subtracts it. The first
column ends when the reader has the picture, the second when it has the mask; both include encoding by the sender.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import imageio_ffmpeg  # of the group `dev`
import numpy as np

import masklet
from masklet import Prompt
from masklet.media.source import open_source
from masklet.records import ByteArray, Frame

CLIP = Path(__file__).parents[1] / "examples" / "media" / "bunny.mp4"
SIZE_HW, BAND, BITS = (360, 640), 16, 20
BOX = (80, 60, 300, 300)
WARM_UP = 10
"""Frames that are not counted."""

SYSTEM_PYTHON = "/usr/bin/python3"
RTSP_SERVER = """
import socket, sys, threading
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
height, width, fps = map(int, sys.argv[1:4])
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = str(probe.getsockname()[1])
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1"); server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( appsrc name=camera is-live=true do-timestamp=true format=time "
    f"caps=video/x-raw,format=RGB,width={width},height={height},framerate={fps}/1 ! videoconvert ! "
    "x264enc tune=zerolatency speed-preset=veryfast key-int-max=25 ! rtph264pay name=pay0 config-interval=1 )")
factory.set_shared(True)
cameras = []
factory.connect("media-configure", lambda _, media: cameras.append(media.get_element().get_by_name("camera")))
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
def pump():
    while data := sys.stdin.buffer.read(height * width * 3):
        if cameras:
            cameras[-1].emit("push-buffer", Gst.Buffer.new_wrapped(data))
threading.Thread(target=pump, daemon=True).start()
print(port, flush=True)
GLib.MainLoop().run()
"""


def stamped(picture: ByteArray) -> ByteArray:
    """Return a copy whose last rows say when it was made, in milliseconds."""
    now_ms = int(time.monotonic() * 1000) % 2**BITS
    picture = picture.copy()
    columns = np.arange(SIZE_HW[1]) * BITS // SIZE_HW[1]
    picture[-BAND:] = (255 * (now_ms >> columns & 1)).astype(np.uint8)[None, :, None]
    return picture


def age_ms(picture: ByteArray, now_s: float) -> int:
    """Return how long ago a picture was stamped."""
    row = picture[-BAND // 2].mean(axis=1)
    centers = (2 * np.arange(BITS) + 1) * SIZE_HW[1] // (2 * BITS)
    stamp = sum(int(row[center] > 127) << bit for bit, center in enumerate(centers))
    return (int(now_s * 1000) - stamp) % 2**BITS


class Camera(threading.Thread):
    """Calls a function with a new stamped picture `fps` times a second."""

    def __init__(self, fps: float, send: Callable[[ByteArray], None]) -> None:
        super().__init__(daemon=True)
        with open_source(CLIP) as source:
            small = (frame.rgb for frame in source.frames(0, 100))
            self._pictures = [cv2.resize(rgb, SIZE_HW[::-1], interpolation=cv2.INTER_AREA) for rgb in small]
        self._fps = fps
        self._send = send
        self.is_stopped = threading.Event()

    def run(self) -> None:
        begin_s = time.monotonic()
        # Forwards and backwards, so that nothing jumps.
        for count, picture in enumerate(itertools.cycle(self._pictures + self._pictures[::-1])):
            if self.is_stopped.wait(max(0.0, begin_s + count / self._fps - time.monotonic())):
                return
            try:
                self._send(stamped(picture))
            except OSError:
                return


class _Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    serve: Callable[[Any], None]

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.close_connection = True
        self.send_response(200)
        type(self).serve(self)


@contextmanager
def _site(serve: Callable[[Any], None]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Site", (_Site,), {"serve": serve}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/live"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def mjpeg(fps: float) -> Iterator[str]:
    cameras: list[Camera] = []

    def serve(client: BaseHTTPRequestHandler) -> None:
        def send(picture: ByteArray) -> None:
            _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
            client.wfile.write(b"--f\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg))
            client.wfile.write(jpeg.tobytes() + b"\r\n")

        client.send_header("Content-Type", "multipart/x-mixed-replace; boundary=f")
        client.end_headers()
        cameras.append(Camera(fps, send))
        cameras[-1].run()

    with _site(serve) as address:
        yield address
        for camera in cameras:
            camera.is_stopped.set()


@contextmanager
def mpegts(fps: float) -> Iterator[str]:
    processes: list[subprocess.Popen[bytes]] = []

    def serve(client: BaseHTTPRequestHandler) -> None:
        client.send_header("Content-Type", "video/mp2t")
        client.end_headers()
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{SIZE_HW[1]}x{SIZE_HW[0]}", "-framerate", str(fps)]
        x264 = ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-g", "25", "-pix_fmt", "yuv420p"]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *raw, "-i", "-", *x264]
        process = subprocess.Popen(
            [*command, "-flush_packets", "1", "-muxdelay", "0", "-f", "mpegts", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        processes.append(process)
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None
        Camera(fps, lambda picture: stdin.write(picture.tobytes()) and None).start()
        while data := stdout.read(65536):
            client.wfile.write(data)

    with _site(serve) as address:
        yield address
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def rtsp(fps: float) -> Iterator[str]:
    command = [SYSTEM_PYTHON, "-c", RTSP_SERVER, str(SIZE_HW[0]), str(SIZE_HW[1]), str(int(fps))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    try:
        port = int(stdout.readline())
        camera = Camera(fps, lambda picture: _write_all(stdin.fileno(), picture.tobytes()))
        camera.start()
        yield f"rtsp://127.0.0.1:{port}/live"
        camera.is_stopped.set()
    finally:
        process.kill()
        process.wait()


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def measure(address: str, model: masklet.Model, seconds: float) -> dict[str, float]:
    """Track a stream and return the latencies, milliseconds."""
    to_reader: list[int] = []
    to_mask: list[int] = []
    times: list[float] = []
    with open_source(address) as source:
        tracker = model.tracker()
        prompts: dict[int, Prompt] | None = {1: Prompt.create(box_xyxy=BOX)}
        for frame in source.frames():
            came_s = time.monotonic()
            tracker.step(Frame(index=frame.index, rgb=frame.rgb, time_s=frame.time_s), prompts)
            prompts = None
            if frame.index >= WARM_UP:
                to_reader.append(age_ms(frame.rgb, came_s))
                to_mask.append(age_ms(frame.rgb, time.monotonic()))
                times.append(came_s)
                if came_s - times[0] > seconds:
                    break
        declared = source.info.fps
    result = {"fps of the stream": declared, "frames tracked per second": (len(times) - 1) / (times[-1] - times[0])}
    for name, values in (("to reader", to_reader), ("to mask", to_mask)):
        result[f"{name}, p50"], result[f"{name}, p95"] = np.percentile(values, [50, 95]).tolist()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=15, help="time for each transport")
    parser.add_argument("--fps", type=float, default=15, help="frames that the camera sends per second")
    parser.add_argument("--model", default="nano")
    arguments = parser.parse_args()
    model = masklet.load(arguments.model)
    transports = {"MJPEG over HTTP": mjpeg, "H.264 in MPEG-TS over HTTP": mpegts, "H.264 over RTSP (TCP)": rtsp}
    if (
        shutil.which(SYSTEM_PYTHON) is None
        or subprocess.run(
            [SYSTEM_PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"],
            check=False,
            capture_output=True,
        ).returncode
    ):
        print("RTSP is left out: it needs Debian's python3-gi and gir1.2-gst-rtsp-server-1.0")
        del transports["H.264 over RTSP (TCP)"]
    for row, (name, serve) in enumerate(transports.items()):
        with serve(arguments.fps) as address:
            result = measure(address, model, arguments.seconds)
        if row == 0:
            print("| transport |", " | ".join(result), "|\n|---|" + "---|" * len(result))
        print(f"| {name} |", " | ".join(f"{value:.1f}" for value in result.values()), "|", flush=True)


if __name__ == "__main__":
    main()
