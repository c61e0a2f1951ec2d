from __future__ import annotations

import json
from pathlib import Path

from masklet.formats import (
    export_masks,
)
from tests.formats.material import clip_masks, medium_of


def test_sav_has_every_fourth_frame_and_notes_untracked_ones(tmp_path: Path) -> None:
    written = export_masks("sa-v", [medium_of(clip_masks(overlap=True))], tmp_path / "clip_manual.json")
    document = json.loads((tmp_path / "clip_manual.json").read_text())
    assert len(document["masklet"]) == 2  # frames 0 and 4
    assert "not tracked" in written.notes[0]
    assert document["masklet_id"] == [0, 6]
    assert document["masklet_status"] == [["present", "present"], [None, None]]
    assert document["masklet_review"] == []
