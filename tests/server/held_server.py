"""A server to be killed in the middle of tracking: `python held_server.py DATA [FRAME]` never encodes that frame."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from masklet.api import Model
from masklet.records import ByteArray, ImageFeatures
from masklet.server.app import create_app
from masklet.server.run import listen, serve
from masklet.server.settings import Settings
from tests.fake_engine import FakeEngine


class HeldEngine(FakeEngine):
    """Encodes every frame immediately except the held one, whose number is its picture's first value."""

    held_at: int | None = None

    def encode_image(self, rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[int]:
        if int(rgb[0, 0, 0]) == self.held_at:
            threading.Event().wait()
        return super().encode_image(rgb, in_video=in_video)


if __name__ == "__main__":
    data, *frame = sys.argv[1:]
    engine = HeldEngine()
    engine.held_at = int(frame[0]) if frame else None
    sock = listen("127.0.0.1", 0)
    app = create_app(Settings(data=Path(data)), Model(engine))
    address = f"http://127.0.0.1:{sock.getsockname()[1]}"
    serve(app, sock, on_start=lambda: print(address, flush=True), log_level="error")  # noqa: T201
