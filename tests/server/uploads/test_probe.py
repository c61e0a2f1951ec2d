"""Uploaded files are probed in limited processes, and what these answer is checked."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from masklet.server.processes import LimitedProcesses
from masklet.server.settings import Limits
from masklet.server.uploads.ingest import probe
from masklet.server.uploads.probe import ProbedFile, as_probed
from tests.media.clips import MakeClip
from tests.server.conftest import png

GOOD = ProbedFile("image", 8, 6, 1, 1.0, 0.0, False)


@pytest.mark.usefixtures("limited_processes")
def test_playlists_are_rejected(tmp_path: Path) -> None:
    """Playlists open other files: their demuxers are not allowed."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(1))
    playlists = {
        "list.m3u8": f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile '{secret}'\n",
        "list.mp4": f"ffconcat version 1.0\nfile '{secret}'\n",
    }
    paths = [tmp_path / "good.png", *(tmp_path / name for name in playlists)]
    paths[0].write_bytes(png(2))
    for name, text in playlists.items():
        (tmp_path / name).write_text(text)
    probed = probe(LimitedProcesses(Limits()), paths, Limits(), {paths[0]: tmp_path / "small.jpg"})
    assert probed[0] == GOOD
    assert (tmp_path / "small.jpg").stat().st_size > 0
    assert all(isinstance(answer, str) for answer in probed[1:]), probed


@pytest.mark.usefixtures("limited_processes")
def test_a_file_that_takes_too_long_is_rejected_and_the_next_is_accepted(tmp_path: Path) -> None:
    endless = tmp_path / "endless.mp4"
    os.mkfifo(endless)  # reading it blocks for ever
    (tmp_path / "good.png").write_bytes(png(2))
    limits = Limits(probe_seconds=8.0)
    probed = probe(LimitedProcesses(limits), [endless, tmp_path / "good.png"], limits, {})
    assert isinstance(probed[0], str)
    assert "longer than" in probed[0]
    assert probed[1] == GOOD


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 30_000_000, "height": 70_000},
        {"num_frames": 2_000_000_000},
        {"duration_s": float("nan")},
        {"duration_s": 1e9},
        {"fps": -1.0},
        {"width": "8"},
        {"width": 0},
        {"kind": "program"},
        {"unknown": 1},
    ],
)
def test_impossible_answers_are_rejected(changes: dict[str, Any]) -> None:
    assert as_probed(asdict(GOOD), Limits()) == GOOD
    assert "impossible" in str(as_probed(asdict(GOOD) | changes, Limits()))


@pytest.mark.usefixtures("limited_processes")
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(max_video_pixels=3000), "64 x 48 = 3,072 pixels"),
        (Limits(max_video_bytes=1), "of memory"),
        (Limits(max_frames=23), "24 frames"),
        (Limits(max_seconds=0.5), "1 seconds"),
    ],
)
def test_a_video_beyond_a_budget_is_rejected(make_clip: MakeClip, limits: Limits, words: str) -> None:
    clip = make_clip("a.mp4", 24)
    (rejected,) = probe(LimitedProcesses(limits), [clip], limits, {})
    assert isinstance(rejected, str), rejected
    assert words in rejected
    (accepted,) = probe(LimitedProcesses(Limits()), [clip], Limits(), {})
    assert not isinstance(accepted, str), accepted
