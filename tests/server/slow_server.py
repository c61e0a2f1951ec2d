"""A server whose engine takes its time over a frame, to be killed in the middle: `python slow_server.py DATA`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from masklet.api import Model
from masklet.records import ByteArray, ImageFeatures
from masklet.server.app import create_app
from masklet.server.run import listen, serve
from masklet.server.settings import Settings
from tests.fake_engine import FakeEngine


class SlowEngine(FakeEngine):
    def encode_image(self, rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[int]:
        time.sleep(0.05)
        return super().encode_image(rgb, in_video=in_video)


if __name__ == "__main__":
    sock = listen("127.0.0.1", 0)
    app = create_app(Settings(data=Path(sys.argv[1])), Model(SlowEngine()))
    address = f"http://127.0.0.1:{sock.getsockname()[1]}"
    serve(app, sock, on_start=lambda: print(address, flush=True), log_level="error")  # noqa: T201
