"""The answer to browsers if the page has not been built."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.conftest import Open


def test_without_a_built_page_the_server_explains_how_to_build_it(
    open_studio: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masklet.server.app.STATIC", tmp_path / "static")
    page = open_studio()
    for path in ("/", "/projects/abc"):
        answer = page.get(path)
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["cache-control"] == "no-store"
        assert "make studio" in answer.text
        assert "pip install" in answer.text
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "index.html").write_text("<title>studio</title>")
    assert page.get("/").text == "<title>studio</title>"  # built meanwhile: a reload is enough
