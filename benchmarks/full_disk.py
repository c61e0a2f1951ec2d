"""Server and command line on a disk that is full: is everything explained, nothing lost, and all well afterwards?

    python -m benchmarks.full_disk                      on a tmpfs of its own (Linux, needs root)
    python -m benchmarks.full_disk --folder /mnt/small  on a small file system that is mounted there and empty

server:   work is done, then a file takes all the space. Every kind of request must answer 2xx, 4xx or 507, never 500;
          reading goes on, `/readyz` says 503. A restart on the full disk starts, or says why in a line. With the space
          back, everything that was acknowledged is there and work goes on.
commands: `masklet track`, `render`, `segment` and `export-masks` run into the full disk: exit status 2 with one line,
          no half file, nothing left behind.

Exit status 1 if anything went wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.kill_campaign import commands, masklet, whole
from benchmarks.serving import CLIP, Served, machine, server, table
from masklet.server.client import Medium, StudioError

MEGABYTES = 48


@contextmanager
def small_disk(folder: Path | None) -> Iterator[Path]:
    """Yield a folder on a small file system."""
    if folder is not None:
        yield folder
        return
    if sys.platform != "linux" or os.geteuid() != 0:
        sys.exit("error: mounting a tmpfs needs Linux and root: mount a small file system, and give it as --folder")
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def filled(folder: Path, free_kb: int = 0) -> Iterator[None]:
    """Take all space but some for the block."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(2**16))
        except OSError:
            pass
        size = file.tell()
        file.truncate(max(0, size - free_kb * 1024))
    try:
        yield
    finally:
        filler.unlink()


def status_of(served: Served, method: str, path: str, body: object = None) -> int:
    """Return the status of an answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "x-masklet": "1"}
    request = urllib.request.Request(f"{served.studio.address}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def try_everything(served: Served, project: str, clip: Medium) -> list[tuple[str, int]]:
    """Send every kind of request to a server whose disk is full."""
    medium, base = f"/api/v1/media/{clip.id}", "/api/v1"
    prompt = {"points": [[50, 50]], "labels": [1]}
    requests: list[tuple[str, str, str, object]] = [
        ("list projects", "GET", f"{base}/projects", None),
        ("open a medium", "GET", medium, None),
        ("a frame, not cached", "GET", f"{medium}/frames/7.jpg", None),
        ("masks", "GET", f"{medium}/masks", None),
        ("new project", "POST", f"{base}/projects", {"name": "more" * 40}),
        ("new object", "POST", f"{medium}/objects", {"name": "goose" * 30}),
        ("prompt", "PUT", f"{medium}/frames/3/objects/1/prompt", prompt),
        ("track", "POST", f"{medium}/track", {}),
        ("export", "POST", f"{medium}/export", {"format": "masks"}),
        ("render", "POST", f"{medium}/render", {"container": "mp4", "composition": {}}),
        ("undo", "POST", f"{medium}/undo", None),
        ("readiness", "GET", "/readyz", None),
    ]
    statuses = [(name, status_of(served, method, path, body)) for name, method, path, body in requests]
    try:
        served.studio.upload(project, CLIP)
        statuses.append(("upload", 201))
    except StudioError as error:
        statuses.append(("upload", error.status))
    for job in served.studio.call("GET", "/jobs")["jobs"]:
        ended = served.studio.wait(job)
        if ended["message"] and "internal error" in ended["message"]:
            statuses.append((f"job {ended['kind']}", 500))
    return statuses


def fill_servers_disk(disk: Path, model: str) -> tuple[list[tuple[str, int]], Counter[str]]:
    wrong: Counter[str] = Counter()
    data = disk / "data"
    with server(data, model) as served:
        project = served.studio.create_project("Full")
        clip = served.studio.upload(project, CLIP)[0]
        bird = clip.create_object("bird")
        clip.prompt(bird, 0, points_xy=[(250, 200)])
        before = clip.masks().keys()
        with filled(disk):
            statuses = try_everything(served, project, clip)
            served.kill()
            try:
                with server(data, model) as again:
                    statuses.append(("a start on the full disk", status_of(again, "GET", "/healthz")))
            except RuntimeError as error:
                is_line = len(str(error).splitlines()) == 1 and "Traceback" not in str(error)
                statuses.append((f"a start on the full disk: {str(error)[:120]}", 507 if is_line else 500))
    wrong["answers 500"] += sum(status == 500 for _, status in statuses)
    with server(data, model) as served:
        clip = served.studio.medium(clip.id)
        wrong["lost"] += not clip.masks().keys() >= before
        for _ in clip.track():
            pass
        with tempfile.TemporaryDirectory() as out:
            clip.export("coco", Path(out) / "masks.json")
        wrong["left behind"] += len(list((data / "tmp").glob("*"))) + len(list(data.rglob("*.part*")))
        wrong["not ready"] += status_of(served, "GET", "/readyz") not in (200, 503)  # 503: the tmpfs is small
    return statuses, wrong


def fill_commands_disk(disk: Path, name: str, free_kb: int) -> tuple[int, str, Counter[str]]:
    """Return the exit status, the last line, and what was wrong."""
    wrong: Counter[str] = Counter()
    made = ["track", str(CLIP), "--box", "180,80,390,360", "--stop", "24", "--format", "csv", "--out", "first"]
    if not (disk / "session.masklet").exists():
        assert masklet([*made, "--save", "session.masklet"], disk).wait() == 0
    with filled(disk, free_kb):
        process = masklet(commands(disk)[name], disk)
        lines = process.communicate()[1].strip().splitlines()
        files = [path for path in disk.glob("out/**/*") if path.is_file()]
        wrong["half files"] += sum(not whole(path) for path in files if not path.name.startswith("."))
        wrong["left behind"] += sum(path.name.startswith(".") for path in files)
        wrong["exit status"] += process.returncode != 2
        wrong["traceback"] += any("Traceback" in line for line in lines)
        wrong["a wrong promise"] += "frames so far are kept" in " ".join(lines) and not files
    subprocess.run(["rm", "-rf", str(disk / "out")], check=True)
    return process.returncode, lines[-1] if lines else "", wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["server", "commands"], metavar="PART", help="server, commands")
    parser.add_argument("--folder", type=Path, help="a small, empty file system, instead of a new tmpfs")
    parser.add_argument("--model", default="nano", help="of the server; fake is faster")
    options = parser.parse_args()
    faults: Counter[str] = Counter()
    if "server" in options.parts:
        with small_disk(options.folder) as disk:
            statuses, wrong = fill_servers_disk(disk, options.model)
        print(table(("on a full disk", "status"), list(statuses)))
        faults += wrong
    if "commands" in options.parts:
        rows: list[tuple[object, ...]] = []
        with small_disk(options.folder) as disk:
            for name, enough_to_begin_kb in (("track", 2200), ("segment", 40), ("render", 2200), ("export-masks", 60)):
                for free_kb in (0, enough_to_begin_kb):
                    status, line, wrong = fill_commands_disk(disk, name, free_kb)
                    rows.append((name, f"{free_kb} KB", status, line.replace(str(disk), "DISK")[:160]))
                    faults += wrong
        print(table(("command", "left", "exit status", "last line"), rows))
    print(json.dumps({"faults": dict(+faults), "machine": machine()}))
    if +faults:
        sys.exit(1)


if __name__ == "__main__":
    main()
