"""A studio whose engine answers at once, for campaigns about everything but the model: `--data FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.constant_memory import engine_of
from masklet.api import Model
from masklet.server.app import create_app
from masklet.server.run import listen, serve
from masklet.server.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    sock = listen("127.0.0.1", 0)
    app = create_app(Settings(data=options.data), Model(engine_of("fake", 1)))
    address = f"http://127.0.0.1:{sock.getsockname()[1]}"
    serve(app, sock, on_start=lambda: print(address, flush=True), log_level="error")


if __name__ == "__main__":
    main()
