"""The demo of the README: cut objects out of a photo, follow one through a clip, and say how long each step took.

It runs the commands that a user would type, and prints them.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, default=Path("examples/media"))
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    arguments = parser.parse_args()
    media, out = arguments.media, arguments.out
    results = ["--out", str(out), "--force"]
    steps: list[tuple[str, list[str]]] = [
        ("What is installed, and what will run", ["doctor"]),
        (
            "A photo: one click on the cat",
            ["segment", f"{media}/cat.jpg", "--point", "220,170", "--format", "overlay,masks,cutout", *results],
        ),
        (
            "A photo with two objects: a box and a click",
            [
                "segment",
                f"{media}/coffee.jpg",
                "--box",
                "172,12,412,318",
                "--object",
                "2",
                "--point",
                "365,285",
                *results,
            ],
        ),
        (
            "A clip: one box on the first frame",
            ["track", f"{media}/bunny.mp4", "--box", "75,90,390,410", "--out", f"{out}/bunny.mp4", "--force"],
        ),
    ]
    for title, command in steps:
        status = run(title, command)
        if status:
            return status
    print(f"\nLook at the results in {out.resolve()}:")
    for path in sorted(out.iterdir()):
        print(f"  {path}")
    return 0


def run(title: str, command: Sequence[str]) -> int:
    print(f"\n{title}\n$ {shlex.join(['masklet', *command])}", flush=True)
    start = time.perf_counter()
    status = subprocess.run([sys.executable, "-m", "masklet", *command], check=False).returncode
    print(f"{time.perf_counter() - start:.1f} s from start to finish", flush=True)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
