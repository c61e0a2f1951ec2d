"""Clicks in the studio while it tracks: clicks per second and latency, on loopback, with real requests.

    python -m benchmarks.studio_load                    alone, and again while a track runs
    python -m benchmarks.studio_load --users 4 --seconds 20

Users click in turns at random places of their own frame of one clip, each as soon as the last answer has come.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.serving import CLIP, machine, server
from masklet.server.client import Medium, Studio, StudioError


def clicking(address: str, media_id: str, user: int, seconds: float, latencies: list[float]) -> None:
    """Click as one user for some time."""
    clip = Studio(address).medium(media_id)
    own, dice = clip.create_object(f"user {user}"), random.Random(user)
    frame = user * 7 % int(clip.about["num_frames"])
    width, height = clip.about["width"], clip.about["height"]
    clip.prompt(own, frame, points_xy=[(width / 2, height / 2)])  # encodes the frame; not counted
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        place = (dice.uniform(1, width - 1), dice.uniform(1, height - 1))
        began = time.perf_counter()
        clip.prompt(own, frame, points_xy=[place])
        latencies.append(time.perf_counter() - began)


def measure(address: str, media_id: str, users: int, seconds: float) -> dict[str, Any]:
    latencies: list[float] = []
    threads = [
        threading.Thread(target=clicking, args=(address, media_id, user, seconds, latencies)) for user in range(users)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ordered = sorted(latencies)
    if not ordered:
        return {"clicks": 0}
    return {
        "clicks": len(ordered),
        "clicks_per_s": round(len(ordered) / (time.perf_counter() - began), 2),
        **{
            f"p{share}_ms": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * share // 100)])
            for share in (50, 95, 99)
        },
    }


def tracking(clip: Medium, stop: threading.Event, frames: list[int]) -> None:
    """Track over and over until told to stop."""
    job = ""
    while not stop.is_set():
        job = clip.studio.call("POST", f"/media/{clip.id}/track", {"direction": "forward"})["id"]
        for name, _ in clip.studio.events({"id": job}):
            frames[0] += name == "masks"
            if stop.is_set():
                try:
                    clip.studio.call("POST", f"/jobs/{job}/cancel")
                except StudioError:
                    return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--users", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each of the two measurements")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data, server(Path(data), options.model) as served:
        studio = served.studio
        project = studio.create_project("Load")
        clicked, tracked = studio.upload(project, options.clip)[0], studio.upload(project, options.clip)[0]
        one = tracked.create_object("tracked")
        tracked.prompt(one, 0, points_xy=[(tracked.about["width"] / 2, tracked.about["height"] / 2)])
        alone = measure(studio.address, clicked.id, options.users, options.seconds)
        stop, frames = threading.Event(), [0]
        thread = threading.Thread(target=tracking, args=(tracked, stop, frames))
        thread.start()
        began = time.perf_counter()
        meanwhile = measure(studio.address, clicked.id, options.users, options.seconds)
        rate = frames[0] / (time.perf_counter() - began)
        stop.set()
        thread.join(60)
        info = studio.me()["model"]
    print(f"{info['name']} on {info['backend']}, {machine()} at the end")
    print(f"{options.users} users clicking for {options.seconds:g} s each, {options.clip.name}")
    print(f"{'':24}{'clicks/s':>10}{'p50 ms':>8}{'p95 ms':>8}{'p99 ms':>8}")
    for title, found in (("nobody tracks", alone), (f"tracking at {rate:.1f} fps", meanwhile)):
        cells = (found.get("clicks_per_s"), found.get("p50_ms"), found.get("p95_ms"), found.get("p99_ms"))
        print(f"{title:24}{cells[0]!s:>10}{cells[1]!s:>8}{cells[2]!s:>8}{cells[3]!s:>8}")
    about = {"benchmark": "studio_load", "python": platform.python_version(), "users": options.users}
    print(json.dumps(about | {"model": info, "alone": alone, "while_tracking": meanwhile, "track_fps": round(rate, 2)}))


if __name__ == "__main__":
    main()
