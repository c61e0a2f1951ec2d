"""The server as a reader: requests with damaged bodies, sent to a server in this process with a fake engine.

A file is one request as HTTP writes it: a line with method and address, the headers, an empty line, the body. Names in
braces, `{mid}`, stand for what the server has at that moment, so a kept file can be sent again.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from masklet.api import Model
from masklet.masks.rle import encode_rle
from masklet.render import Composition
from masklet.server.app import create_app
from masklet.server.errors import FAULT
from masklet.server.openapi import api_document
from masklet.server.processes import LimitedProcesses
from masklet.server.settings import Limits, Settings
from tests.fake_engine import SIZE_HW, FakeEngine
from tests.fuzz.mutations import json_changed, mutated
from tests.server.conftest import HOST, OWN_PAGE, Page, png, run_here

JSON = "application/json"
BOUNDARY = "fuzz"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
API = "/api/v1"

_MASK = encode_rle(np.eye(*SIZE_HW, dtype=bool))
_COMPOSITION = Composition().to_dict()

BODIES: Mapping[str, Any] = {
    "POST /login": {"token": "0123456789abcdef"},
    "POST /projects": {"name": "Birds", "classes": ["duck", "swan"]},
    "PATCH /projects/{pid}": {"name": "Ducks"},
    "POST /projects/{pid}/classes": {"name": "goose", "color": "#4f8cff", "key": "7"},
    "PATCH /projects/{pid}/classes/{cid}": {"name": "gull", "color": "#4f8cff", "key": "2", "position": 0},
    "POST /projects/{pid}/classes/{cid}/merge": {"into": "{cid2}"},
    "PATCH /media/{mid}": {"name": "a.mp4"},
    "POST /projects/{pid}/media/accept": {"media": ["{mid}"], "accepted": True},
    "POST /projects/{pid}/media/undo": {"media": [{"id": "{mid}", "revision": 1}]},
    "POST /projects/{pid}/media/trash": {"media": ["{mid}"]},
    "POST /projects/{pid}/media/restore": {"media": ["{mid}"]},
    "POST /projects/{pid}/media/delete": {"media": ["{mid}"]},
    "POST /projects/{pid}/media/move": {"media": ["{mid}"], "project": "{pid}"},
    "POST /media/{mid}/objects": {"name": "Anna", "class_name": "duck", "color": "#4f8cff"},
    "PATCH /media/{mid}/objects": {"ids": [1], "class_name": "duck", "color": "#4f8cff", "locked": False,
                                   "hidden": True},
    "PATCH /media/{mid}/objects/{oid}": {"name": "Ann", "class_name": "", "color": "#4f8cff", "locked": True,
                                         "hidden": False},
    "POST /media/{mid}/objects/delete": {"ids": [1]},
    "PUT /media/{mid}/frames/{i}/objects/{oid}/prompt": {
        "points": [[1, 1], [5, 2.5]], "labels": [1, 0], "box": [0, 0, 5, 5], "candidate": 0},
    "PUT /media/{mid}/frames/{i}/objects/{oid}/mask": {"rle": _MASK},
    "POST /media/{mid}/accept": {"start": 0, "stop": 2, "accepted": True, "objects": [1]},
    "POST /media/{mid}/track": {"direction": "both", "start": 0, "stop": 3, "objects": [1], "only_changed": False,
                                "only_missing": False},
    "POST /media/{mid}/discover": {"direction": "forward", "start": 0, "stop": 2, "level": "both", "every": 2,
                                   "max_objects": 3, "min_score": 0.5},
    "POST /media/{mid}/proposals": {"frame_index": 0},
    "POST /jobs/{jid}/proposals/accept": {"numbers": [0], "class_name": "duck"},
    "POST /media/{mid}/count": {"lines": [{"name": "gate", "start_xy": [1, 1], "end_xy": [5, 2.5]}],
                                "regions": [{"name": "pond", "points_xy": [[0, 0], [5, 0], [5, 5]]}],
                                "anchor": "bottom", "margin": 1.5, "level": 0.9},
    "POST /media/{mid}/export": {"format": "coco", "options": {}, "objects": [1], "only_accepted": False},
    "POST /projects/{pid}/export": {"format": "masks", "options": {}, "media": ["{mid}"], "only_accepted": False},
    "POST /media/{mid}/render": {"composition": _COMPOSITION, "container": "gif", "start": 0, "stop": 2},
    "POST /media/{mid}/frames/{i}/preview": {"composition": _COMPOSITION, "width": 16},
}  # fmt: skip
"""A valid body for each request that takes JSON."""

_COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "0.png", "height": SIZE_HW[0], "width": SIZE_HW[1]}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": _MASK, "bbox": [0, 0, 4, 6]}],
        "categories": [{"id": 1, "name": "duck"}],
    }
).encode()

UPLOADS: Mapping[str, tuple[str, tuple[tuple[str, bytes], ...]]] = {
    "POST /projects/{pid}/media": ("?as=sequence&fps=10", (("clip/0.png", png(0)), ("clip/1.png", png(1)))),
    "POST /projects/{pid}/assets": ("", (("a.png", png(1)),)),
    "POST /media/{mid}/import": ("?mode=add", (("masks.json", _COCO),)),
}
"""Query and files of each request that takes a form."""


def requests() -> tuple[bytes, ...]:
    """Return a valid request for each address that takes a body."""
    with_json = [_request(name, "", JSON, json.dumps(body).encode()) for name, body in BODIES.items()]
    with_form = [_request(name, query, MULTIPART, _form(files)) for name, (query, files) in UPLOADS.items()]
    return (*with_json, *with_form)


def takes_body() -> list[str]:
    """Return method and address of each operation of the API that takes a body."""
    return [
        f"{method.upper()} {path.removeprefix(API)}"
        for path, operations in api_document()["paths"].items()
        for method, about in operations.items()
        if "requestBody" in about
    ]


def _request(name: str, query: str, content_type: str, body: bytes) -> bytes:
    method, path = name.split()
    return f"{method} {API}{path}{query}\r\ncontent-type: {content_type}\r\n\r\n".encode() + body


def _form(files: tuple[tuple[str, bytes], ...]) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'.encode()
        + b"Content-Type: application/octet-stream\r\n\r\n"
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join((*parts, f"--{BOUNDARY}--\r\n".encode()))


_TYPES = (JSON, MULTIPART, "text/plain", "application/json; charset=utf-16", "multipart/form-data", "image/png", "",
          "multipart/form-data; boundary=", f"multipart/form-data; boundary={'x' * 500}")  # fmt: skip
_QUERIES = ("as=x", "as=sequence&fps=nan", "as=sequence&fps=1e308", "as=sequence&fps=-1", "mode=x", "format=x",
            "format=coco", "mode=merge", "mode=replace", "as=a&as=b", "%00", "fps=" + "9" * 400, "=&&=")  # fmt: skip


def damaged_request(data: bytes, rng: random.Random) -> bytes:
    """Return a copy of a request with a damaged body; sometimes with another type or query."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, _, header = head.partition(b"\r\n")
    if rng.random() < 0.05:
        header = b"content-type: " + rng.choice(_TYPES).encode()
    if rng.random() < 0.1:
        line = line.partition(b"?")[0] + b"?" + rng.choice(_QUERIES).encode()
    if body.startswith(b"{") and rng.random() < 0.8:
        body = json_changed(body, rng)
    elif rng.random() < 0.5 or not body.startswith(b"--"):
        body = mutated(body, rng)
    else:
        parts = body.split(b"\r\n\r\n")
        row = rng.randrange(len(parts))
        parts[row] = mutated(parts[row], rng)
        body = b"\r\n\r\n".join(parts)
    return line + b"\r\n" + header + b"\r\n\r\n" + body


class Server:
    """A server in this process, with a project that is made again whenever a request may have changed it.

    Args:
        folder: for its data.
    """

    def __init__(self, folder: Path) -> None:
        for name in ("masklet.server", "python_multipart"):  # they log what is damaged
            logging.getLogger(name).setLevel(logging.CRITICAL)
        settings = Settings(data=folder / "data", limits=Limits(jobs_per_user=1000, max_objects=20))
        self._page = Page(create_app(settings, Model(FakeEngine(recording=False))), base_url=HOST, headers=OWN_PAGE)
        self._page.__enter__()
        self._names: dict[str, str] = {}

    def close(self) -> None:
        """Stop the server."""
        self._page.__exit__(None, None, None)

    def send(self, path: Path) -> None:
        """Send the request in a file.

        Raises:
            AssertionError: the server or a job of it failed by a fault of its own.
        """
        head, _, body = path.read_bytes().partition(b"\r\n\r\n")
        line, _, header = head.decode().partition("\r\n")
        method, address = line.split(" ", 1)
        run_limited = LimitedProcesses.run
        LimitedProcesses.run = run_here  # type: ignore[method-assign, assignment]
        try:
            if not self._names:
                self._names = self._new_project()
            for name, value in self._names.items():
                address = address.replace(f"{{{name}}}", value)
                body = body.replace(f"{{{name}}}".encode(), value.encode())
            answer = self._page.request(
                method, address, content=body, headers={"content-type": header.partition(": ")[2]}
            )
        finally:
            LimitedProcesses.run = run_limited  # type: ignore[method-assign]
        assert answer.status_code < 500, f"{answer.status_code} {answer.text[:500]}"
        if answer.status_code < 300:
            self._names = {}
        elif answer.status_code >= 400:
            assert answer.json()["error"]["message"], answer.text
        if answer.status_code == 202:
            (*_, (_, job)) = self._page.events(answer.json()["id"])
            assert job.get("message") != FAULT, job

    def _new_project(self) -> dict[str, str]:
        page = self._page
        project = page.new_project()
        clip = page.new_clip(3, project)
        number = page.new_object(clip)
        page.click(clip, number)
        classes = [
            page.post(f"{API}/projects/{project}/classes", json={"name": name}).json()["id"] for name in ("duck", "hen")
        ]
        job = page.post(f"{API}/media/{clip}/proposals", json={"frame_index": 0}).json()["id"]
        page.events(job)
        return {
            "pid": project,
            "mid": clip,
            "oid": str(number),
            "i": "1",
            "cid": classes[0],
            "cid2": classes[1],
            "jid": job,
        }
