"""Nothing is computed twice: how often masks are rendered, encoded, decoded and read, per click and tracked frame."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet.media.source import open_source
from masklet.server.annotation.store import AnnotationStore
from masklet.server.annotation.workspace import Workspace
from masklet.server.shared_model import SharedEngine
from tests.fake_engine import FakeEngine, pictures

FRAMES = 10
COUNTED = ("shown_logits", "encode_rle", "decode_rle")


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Calls of `COUNTED` from any module of masklet, and reads of mask rows from the file as "rows"."""
    found: Counter[str] = Counter()

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def count(*args: Any, **options: Any) -> Any:
            found[name] += 1
            return function(*args, **options)

        return count

    for module in [module for name, module in sys.modules.items() if name.startswith("masklet.")]:
        for name in COUNTED:
            if callable(getattr(module, name, None)):
                monkeypatch.setattr(module, name, counting(name, getattr(module, name)))
    return found


@pytest.fixture
def workspace(tmp_path: Path, counts: Counter[str]) -> Iterator[Workspace]:
    """A clip with three objects, each clicked on frame 0."""
    store = AnnotationStore(tmp_path / "annotations.db")
    opened = Workspace(
        SharedEngine(FakeEngine()), store, lambda: open_source(pictures(FRAMES)), size_hw=(6, 8), num_frames=FRAMES
    )
    for _ in range(3):
        opened.set_prompt(opened.create_object().object_id, 0, points_xy=[(1, 1)])

    def note(statement: str) -> None:
        if statement.startswith("SELECT") and "counts" in statement.split("FROM")[0]:
            counts["rows"] += 1

    store._database.set_trace_callback(note)
    counts.clear()
    yield opened
    opened.close()


def test_a_click_renders_and_encodes_each_candidate_once(workspace: Workspace, counts: Counter[str]) -> None:
    assert len(workspace.set_prompt(1, 0, points_xy=[(2, 1)])) == 3
    assert {name: counts[name] for name in COUNTED} == {"shown_logits": 3, "encode_rle": 3, "decode_rle": 0}


def test_further_points_and_candidates_render_and_encode_no_more(workspace: Workspace, counts: Counter[str]) -> None:
    assert len(workspace.set_prompt(1, 0, points_xy=[(1, 1), (2, 1)], labels=[1, 1])) == 1
    assert {name: counts[name] for name in COUNTED} == {"shown_logits": 1, "encode_rle": 1, "decode_rle": 0}
    counts.clear()
    workspace.set_prompt(1, 0, points_xy=[(1, 1)], candidate=1)
    assert {name: counts[name] for name in COUNTED} == {"shown_logits": 3, "encode_rle": 3, "decode_rle": 0}


def test_a_tracked_frame_encodes_each_tracked_object_once_and_decodes_none(
    workspace: Workspace, counts: Counter[str]
) -> None:
    list(workspace.track(object_ids=[1]))
    counts.clear()
    shown = dict(workspace.track(object_ids=[2, 3]))
    assert [len(rows) for rows in shown.values()] == [3] * FRAMES
    assert (counts["encode_rle"], counts["decode_rle"]) == (2 * FRAMES, 0)
    # The rows of a frame are read once before it is tracked, for those that are accepted, and never afterwards.
    assert counts["rows"] <= FRAMES
    assert shown == workspace.store.shown(0, FRAMES)


def test_masks_unknown_to_the_tracker_are_also_shown(workspace: Workspace) -> None:
    absent = workspace.create_object().object_id
    workspace.draw_mask(absent, 2, np.zeros((6, 8), np.bool_))
    late = workspace.create_object().object_id
    workspace.set_prompt(late, 3, points_xy=[(1, 1)])
    shown = dict(workspace.track(object_ids=[1], stop=5))
    assert shown == workspace.store.shown(0, 5)
    assert [row.object_id for row in shown[2]] == [1, absent]
    assert [row.object_id for row in shown[3]] == [1, late]
