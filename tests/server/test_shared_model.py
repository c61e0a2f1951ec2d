"""One model for many users: clicks come first, and no frame is encoded twice."""

from __future__ import annotations

import threading

from masklet.server.shared_model import SharedEngine, TurnLock, in_background
from tests.fake_engine import FakeEngine, picture
from tests.waiting import PATIENCE_S, wait_until


def waiting(lock: TurnLock, count: int) -> None:
    """Wait until this number of threads wait for a lock."""
    wait_until(lambda: len(lock._condition._waiters) >= count, f"{count} waiting threads")  # type: ignore[attr-defined]


def test_a_click_is_served_before_jobs_that_have_waited_longer() -> None:
    lock, order = TurnLock(), []
    lock.__enter__()

    def job(name: str) -> None:
        with in_background(), lock:
            order.append(name)

    def click() -> None:
        with lock:
            order.append("click")

    threads = [threading.Thread(target=job, args=(name,)) for name in ("job 1", "job 2")]
    for thread in threads:
        thread.start()
    waiting(lock, 2)
    threads.append(threading.Thread(target=click))
    threads[-1].start()
    waiting(lock, 3)
    lock.__exit__()
    for thread in threads:
        thread.join()
    assert order[0] == "click"
    assert sorted(order[1:]) == ["job 1", "job 2"]


def test_the_lock_is_reentrant() -> None:
    lock = TurnLock()
    with lock, lock:
        pass
    taken = []
    thread = threading.Thread(daemon=True, target=lambda: (lock.__enter__(), taken.append(True), lock.__exit__()))
    thread.start()
    thread.join(PATIENCE_S)
    assert taken


def test_a_frame_is_encoded_once_for_all_who_click_on_it() -> None:
    engine = FakeEngine()
    shared = SharedEngine(engine)
    first = shared.encode_image(picture(3), in_video=True)
    assert shared.encode_image(picture(3).copy(), in_video=True) is first
    shared.encode_image(picture(3), in_video=False)  # another filter, other features
    shared.encode_image(picture(4), in_video=True)
    assert engine.encoded == [3, 3, 4]
    with in_background():
        shared.encode_image(picture(4), in_video=True)
    assert engine.encoded == [3, 3, 4, 4]
