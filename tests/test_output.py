from __future__ import annotations

from pathlib import Path

import pytest

from masklet.errors import OutputError
from masklet.output import atomic_path, check_writable, refuse_existing


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new" / "result.json"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".json"
        temporary.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"
    assert list(target.parent.iterdir()) == [target]


def fail_in_the_middle(target: Path, *, keep_partial: bool) -> None:
    with atomic_path(target, keep_partial=keep_partial) as temporary:
        temporary.write_text("partial")
        raise KeyboardInterrupt


def test_a_failure_keeps_the_existing_file(tmp_path: Path) -> None:
    target = tmp_path / "result.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fail_in_the_middle(target, keep_partial=False)
    assert target.read_text() == "old"
    with pytest.raises(KeyboardInterrupt):
        fail_in_the_middle(target, keep_partial=True)
    assert target.read_text() == "partial"
    assert list(tmp_path.iterdir()) == [target]


def test_existing_outputs_are_refused_without_force(tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    assert refuse_existing(file) == file
    assert refuse_existing(tmp_path) == tmp_path  # an empty folder is welcome
    file.write_text("")
    for path in (file, tmp_path):
        with pytest.raises(OutputError, match="use --force"):
            refuse_existing(path)
        assert refuse_existing(path, force=True) == path


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot create the folder"):
        check_writable(tmp_path / "file" / "inside.png")
    with pytest.raises(OutputError, match="it is a folder"), atomic_path(tmp_path):
        pass
