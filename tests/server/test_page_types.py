"""The page's types belong to this code's API: its schemas are compared here, the types with them in `npm run check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from masklet.server.openapi import api_document

DOCUMENT = Path(__file__).parents[2] / "web" / "schema" / "openapi.json"


@pytest.mark.skipif(not DOCUMENT.is_file(), reason="the page's sources are not here (web/)")
def test_the_types_of_the_page_are_up_to_date() -> None:
    committed = json.loads(DOCUMENT.read_text(encoding="utf-8"))["components"]["schemas"]
    current = api_document()["components"]["schemas"]
    stale = sorted(name for name in {*committed, *current} if committed.get(name) != current.get(name))
    assert not stale, f"the API's schemas have changed ({', '.join(stale)}): run `npm run types` in web/"
