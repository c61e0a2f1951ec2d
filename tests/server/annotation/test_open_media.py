"""Media are opened once, and closed when unused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from masklet.media.source import open_source
from masklet.server.annotation.open_media import Workspaces
from masklet.server.annotation.store import AnnotationStore
from masklet.server.annotation.workspace import Workspace
from masklet.server.shared_model import SharedEngine
from tests.fake_engine import FakeEngine, picture
from tests.waiting import PATIENCE_S


def maker(folder: Path) -> Callable[[], Workspace]:
    def make() -> Workspace:
        store = AnnotationStore(folder / "annotations.db")
        frames = [picture(0)]
        return Workspace(
            SharedEngine(FakeEngine()), store, lambda: open_source(iter(frames)), size_hw=(6, 8), num_frames=1
        )

    return make


def test_a_medium_can_be_opened_again_while_its_former_workspace_is_closing(tmp_path: Path) -> None:
    workspaces = Workspaces(limit=2, idle_seconds=-1.0)
    is_closing, go_on = threading.Event(), threading.Event()
    with workspaces.using("clip", maker(tmp_path)) as former:
        former.create_object(name="duck")
    close = former.close

    def slow_close() -> None:
        is_closing.set()
        assert go_on.wait(PATIENCE_S)
        close()

    former.close = slow_close  # type: ignore[method-assign]
    sweeper = threading.Thread(target=workspaces.close_idle)
    sweeper.start()
    assert is_closing.wait(PATIENCE_S)
    with workspaces.using("clip", maker(tmp_path)) as workspace:
        assert workspace is not former
        workspace.create_object(name="goose")
        go_on.set()
        sweeper.join()
        workspace.create_object(name="swan")
        assert [one.name for one in workspace.store.objects()] == ["duck", "goose", "swan"]
        assert workspace.undo() is not None
    workspaces.close()
    store = AnnotationStore(tmp_path / "annotations.db")
    assert [one.name for one in store.objects()] == ["duck", "goose"]
    store.close()


def test_a_workspace_that_cannot_be_closed_does_not_keep_the_others_open(tmp_path: Path) -> None:
    workspaces = Workspaces(limit=9, idle_seconds=-1.0)
    closed: list[str] = []

    def fail() -> None:
        raise OSError("no space left")

    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        with workspaces.using(name, maker(tmp_path / name)) as workspace:
            workspace.store.close()
            workspace.close = fail if name == "b" else lambda name=name: closed.append(name)  # type: ignore
    with pytest.raises(OSError, match="no space left"):
        workspaces.close_idle()
    assert sorted(closed) == ["a", "c"]
    assert len(workspaces) == 0
