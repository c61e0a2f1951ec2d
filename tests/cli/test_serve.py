"""`masklet serve`: stopping it is not an error."""

from __future__ import annotations

import signal
from pathlib import Path

from masklet.server.app import has_page
from tests.serving import Server
from tests.waiting import PATIENCE_S


def test_ctrl_c_stops_it_cleanly(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    server.start()
    process = server.process
    assert process is not None
    assert process.stdout is not None
    try:
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        server.stop()
    assert f"stopped; everything is kept in {tmp_path / 'data'}" in said
    assert "interrupted" not in said
    assert ("the page is not built" in said) == (not has_page())
