"""The reader of sessions that are continued, with an engine that tracks nothing."""

from __future__ import annotations

from pathlib import Path

from masklet.tracking.tracker import Tracker
from tests.fake_engine import FakeEngine, pictures

FRAMES = 6


def saved_sessions(folder: Path) -> tuple[bytes, ...]:
    """Return a session with clicks and one with a box and a name, both tracked to the middle of their clip."""
    clicked = Tracker(FakeEngine(), pictures(FRAMES))
    clicked.prompt(1, 0, points_xy=[(1, 1)])
    boxed = Tracker(FakeEngine(lambda number: 4.0 - 3 * number), pictures(FRAMES))
    boxed.prompt(1, 0, box_xyxy=(0, 0, 5, 5))
    boxed.prompt(2, 2, points_xy=[(1, 1)])
    boxed.rename(2, "pump")
    files = []
    for number, tracker in enumerate((clicked, boxed)):
        for _ in tracker.run(stop=4):
            pass
        if number:
            tracker.prompt(1, 3, points_xy=[(5, 2)], labels=[0])
        files.append(tracker.save(folder / f"saved-{number}.masklet").read_bytes())
    return tuple(files)


def resume_session(path: Path) -> None:
    """Resume a session, track to the end and save it again."""
    tracker = Tracker.resume(path, FakeEngine(recording=False), pictures(FRAMES))
    for _ in tracker.run():
        pass
    tracker.suggest_frames()
    tracker.save(path.with_name("again.masklet"))
