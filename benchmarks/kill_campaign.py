"""Kills the server and the command line at any moment: is anything lost, left behind, or done twice?

    python -m benchmarks.kill_campaign                              all three parts
    python -m benchmarks.kill_campaign points --operations upload import
    python -m benchmarks.kill_campaign server --kills 20
    python -m benchmarks.kill_campaign commands --kills 5

points:   a server is killed by SIGKILL at every single step of an operation: before each change of a file, before and
          after each commit (`tests/server/kill_points.py`); the next server must find all or nothing, no leftovers, and
          do the repeated request once.
server:   `masklet serve` is killed at random moments while a client works; whatever was answered must be there.
commands: `masklet track`, `render`, `segment` and `export-masks` are killed at random moments; every file that is
          visible must be whole, and the repeated command must finish and remove what was left.

Linux and macOS. Exit status 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.serving import CLIP, machine, server, table
from masklet.media.images import read_image
from masklet.media.source import open_source
from masklet.server.client import Studio, StudioError

PARTS = ("points", "server", "commands")
OPERATIONS = (
    *("project", "upload", "sequence", "asset", "import", "object", "prompt", "track", "export", "render"),
    *("mask", "accept", "undo", "delete-object", "delete", "delete-project"),
)
POINTS = Path(__file__).parents[1] / "tests" / "server" / "kill_points.py"
PHOTO = CLIP.with_name("cat.jpg")


# Part 1: every step of the server's operations.


def kill_at_points(operation: str) -> tuple[int, int, Counter[str]]:
    """Return the number of steps of an operation, how many were acknowledged before the kill, and what was wrong."""
    with tempfile.TemporaryDirectory() as folder:
        printed = subprocess.run(
            [sys.executable, str(POINTS), folder, operation], capture_output=True, text=True, check=True
        )
    *killed, whole = [json.loads(line) for line in printed.stdout.splitlines()]
    wrong: Counter[str] = Counter()
    # A track that is killed keeps its frames so far, and each is a change that can be seen.
    left_out = {"faults", "annotations"} if operation == "track" else {"faults"}
    old, new = facts(killed[0]["before"], left_out), facts(whole["after"], left_out)
    for step in killed:
        before, after = facts(step["before"], left_out), facts(step["after"], left_out)
        wrong["left behind"] += len(step["before"]["faults"]) + len(step["after"]["faults"])
        wrong["lost"] += "status" in step and before != new
        wrong["half done"] += before not in (old, new)
        wrong["twice"] += after != new
    return len(killed), sum("status" in step for step in killed), wrong


def facts(state: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    """Return what should be the same after a kill: a job counts, however it ended."""
    return {name: len(value) if name == "jobs" else value for name, value in state.items() if name not in left_out}


# Part 2: a server that is killed at random.


class Client(threading.Thread):
    """Works until the server is gone, and keeps what it was answered."""

    def __init__(self, studio: Studio, seed: int) -> None:
        super().__init__(daemon=True)
        self.studio = studio
        self.dice = random.Random(seed)
        self.project: str | None = None
        self.objects: dict[str, set[str]] = {}
        """Names of acknowledged objects by medium."""
        self.deleted: set[str] = set()
        self.num_answers = 0

    def run(self) -> None:
        try:
            self.project = self.studio.create_project("Kill")
            while True:
                clip = self.studio.upload(self.project, PHOTO)[0]
                self.objects[clip.id] = set()
                self.num_answers += 1
                for number in range(self.dice.randrange(1, 8)):
                    name = f"object {number}"
                    created = clip.create_object(name)
                    self.objects[clip.id].add(name)
                    place = (self.dice.uniform(1, 100), self.dice.uniform(1, 100))
                    clip.prompt(created, 0, points_xy=[place])
                    self.num_answers += 2
                if self.dice.random() < 0.3:
                    del self.objects[clip.id]  # until the answer, either is right
                    self.studio.call("DELETE", f"/media/{clip.id}")
                    self.deleted.add(clip.id)
                    self.num_answers += 1
        except (StudioError, OSError):
            return  # the server is gone

    def check(self, studio: Studio, wrong: Counter[str]) -> None:
        """Compare the answers with what the next server has."""
        if self.project is None:
            return
        present = {medium.id: medium for medium in studio.media(self.project)}
        wrong["lost"] += len(self.objects.keys() - present.keys())
        for media_id in self.objects.keys() & present.keys():
            names = {row["name"] for row in present[media_id].objects()}
            wrong["lost"] += len(self.objects[media_id] - names)
        wrong["deleted, and back"] += len(self.deleted & present.keys())


def kill_servers(kills: int, model: str, seed: int) -> tuple[int, Counter[str]]:
    """Return the number of answers, and what was wrong."""
    dice, wrong, answers = random.Random(seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        data, clients = Path(folder) / "data", list[Client]()
        for number in range(kills + 1):
            with server(data, model) as served:
                for client in clients:
                    client.check(served.studio, wrong)
                wrong["left behind"] += len(list((data / "tmp").glob("*"))) + len(list(data.rglob("*.part*")))
                if number == kills:
                    break
                client = Client(served.studio, seed + number)
                client.start()
                time.sleep(dice.uniform(0.5, 6.0))
                served.kill()
                client.join(120)
                clients.append(client)
                answers += client.num_answers
    return answers, wrong


# Part 3: the command line.


def commands(folder: Path) -> dict[str, list[str]]:
    """Return the commands that are killed, by name; `session` is made before."""
    session = str(folder / "session.masklet")
    clip, box = str(CLIP), "180,80,390,360"
    return {
        "track": ["track", clip, "--box", box, "--format", "overlay,masks,coco", "--out", "out", "--stop", "24"],
        "export-masks": ["export-masks", session, "--format", "masks", "--out", "out/masks"],
        "render": ["render", session, "--effect", "1:remove", "--out", "out/clip.mp4"],
        "segment": [
            "segment",
            str(PHOTO),
            "--box",
            "100,100,300,300",
            "--format",
            "overlay,masks,coco",
            "--out",
            "out",
        ],
    }


def masklet(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "masklet", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def whole(path: Path) -> bool:
    """Return True if a file can be read to its end."""
    try:
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".mp4":
            with open_source(path) as video:
                return sum(1 for _ in video.frames()) > 0
        else:
            read_image(path)
    except Exception:
        return False
    return True


def kill_commands(name: str, kills: int, seed: int) -> tuple[float, Counter[str]]:
    """Return the seconds that the command takes undisturbed, and what was wrong."""
    dice, wrong = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        if name in ("render", "export-masks"):
            made = ["track", str(CLIP), "--box", "180,80,390,360", "--stop", "24", "--format", "csv", "--out", "first"]
            assert masklet([*made, "--save", "session.masklet"], folder).wait() == 0
        arguments = commands(folder)[name]
        since = time.perf_counter()
        assert masklet(arguments, folder).wait() == 0
        seconds = time.perf_counter() - since
        for _ in range(kills):
            shutil.rmtree(folder / "out", ignore_errors=True)
            process = masklet(arguments, folder)
            time.sleep(dice.uniform(0.3, 1.0) * seconds)
            process.kill()
            process.communicate()
            files = [path for path in folder.rglob("out/**/*") if path.is_file() and not path.name.startswith(".")]
            wrong["half files"] += sum(not whole(path) for path in files)
            again = masklet([*arguments, "--force"], folder)
            error = again.communicate()[1]
            if again.returncode:
                wrong["not repeated"] += 1
                print(f"error: {name}: {error.strip()}", file=sys.stderr)
            wrong["left behind"] += sum(".part" in path.name or "lock" in path.name for path in folder.rglob(".*"))
    return seconds, wrong


def told(wrong: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in wrong.items() if count) or "nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--operations", nargs="+", default=OPERATIONS, choices=OPERATIONS)
    parser.add_argument("--commands", nargs="+", default=["track", "export-masks", "render", "segment"])
    parser.add_argument("--kills", type=int, default=10, help="of servers, and of each command")
    parser.add_argument("--model", default="nano", help="of the server that is killed at random; fake is faster")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faults: Counter[str] = Counter()
    if "points" in options.parts:
        rows: list[tuple[object, ...]] = []
        for operation in options.operations:
            steps, acknowledged, wrong = kill_at_points(operation)
            rows.append((operation, steps, acknowledged, told(wrong)))
            faults += wrong
        print(table(("operation", "killed at", "of these answered before", "wrong"), rows), flush=True)
    if "server" in options.parts:
        answers, wrong = kill_servers(options.kills, options.model, options.seed)
        print(f"{options.kills} random kills of the server ({options.model}): {answers} answers, {told(wrong)} wrong")
        faults += wrong
    if "commands" in options.parts:
        rows = []
        for name in options.commands:
            seconds, wrong = kill_commands(name, options.kills, options.seed)
            rows.append((name, options.kills, f"{seconds:.0f}", told(wrong)))
            faults += wrong
        print(table(("command", "kills", "seconds undisturbed", "wrong"), rows))
    print(json.dumps({"faults": dict(+faults), "machine": machine()}))
    if +faults:
        sys.exit(1)


if __name__ == "__main__":
    main()
