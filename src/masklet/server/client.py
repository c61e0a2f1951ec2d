"""A Python client of the studio's HTTP API, with the standard library and numpy only.

studio = Studio("http://127.0.0.1:8100")
project = studio.create_project("Birds")
clip = studio.upload(project, "clip.mp4")[0]
bird = clip.create_object("bird")
clip.prompt(bird, 0, points_xy=[(210, 350)])
for frame in clip.track():
    print(frame["frame_index"], len(frame["objects"]))
clip.export("coco", "out/")
"""

from __future__ import annotations

import json
import mimetypes
import secrets
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

from masklet.errors import MaskletError
from masklet.masks.rle import decode_rle, encode_rle
from masklet.output import atomic_path
from masklet.prompts import Prompt, PromptFields
from masklet.records import BoolArray

if TYPE_CHECKING:
    from typing_extensions import Unpack

Document = dict[str, Any]

TIMEOUT_S = 120.0


class StudioError(MaskletError):
    """An error answer of the server; its message says what to do.

    Args:
        status: HTTP status; 0 if no server answered.
        code: the server's error code.
    """

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Studio:
    """A server.

    Args:
        address: as printed by `masklet serve`.
        token: the user's token, if the server needs one.
        timeout_s: time limit of an answer.
    """

    def __init__(
        self, address: str = "http://127.0.0.1:8100", *, token: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.address = address.rstrip("/")
        self.timeout_s = timeout_s
        self._headers = {"X-Masklet": "1", "Accept": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def me(self) -> Document:
        """Describe the current user, the model and the limits."""
        return self.call("GET", "/me")

    def projects(self) -> list[Document]:
        return cast("list[Document]", self.call("GET", "/projects")["projects"])

    def create_project(self, name: str, classes: Sequence[str] = ()) -> str:
        """Create a project and return its id."""
        return str(self.call("POST", "/projects", {"name": name, "classes": list(classes)})["id"])

    def delete_project(self, project_id: str) -> None:
        self.call("DELETE", f"/projects/{project_id}")

    def media(self, project_id: str) -> list[Medium]:
        """Return all media of a project, in the order in which they were added."""
        media: list[Medium] = []
        while True:
            page = self.call("GET", f"/projects/{project_id}/media?limit=500&offset={len(media)}")
            media += [Medium(self, about) for about in page["media"]]
            if len(media) >= page["total"] or not page["media"]:
                return media

    def upload(
        self, project_id: str, *paths: str | Path, as_sequence: bool = False, fps: float | None = None
    ) -> list[Medium]:
        """Send images and videos.

        Args:
            project_id: the project.
            paths: the files.
            as_sequence: make one video of many images, in natural order of their names.
            fps: frame rate of that video.

        Raises:
            StudioError: a file was rejected; the others have been added.
        """
        query = {"as": "sequence" if as_sequence else "auto"} | ({} if fps is None else {"fps": str(fps)})
        answer = self._send_files(f"/projects/{project_id}/media?{urlencode(query)}", paths)
        for file in answer["rejected"]:
            raise StudioError(f"{file['name']}: {file['message']}", 422, "rejected")
        return [Medium(self, about) for about in answer["media"]]

    def medium(self, media_id: str) -> Medium:
        return Medium(self, self.call("GET", f"/media/{media_id}"))

    def wait(self, job: Document, *, poll_s: float = 0.3) -> Document:
        """Wait for a job to end, and return it.

        Raises:
            StudioError: it failed or was cancelled.
        """
        while job["state"] in ("queued", "running"):
            time.sleep(poll_s)
            job = self.call("GET", f"/jobs/{job['id']}")
        if job["state"] != "done":
            raise StudioError(f"the {job['kind']} job {job['state']}: {job['message']}", 500, job["state"])
        return job

    def events(self, job: Document) -> Iterator[tuple[str, Document]]:
        """Yield the events of a job: (name, document)."""
        with self._open("GET", f"/jobs/{job['id']}/events") as answer:
            name = ""
            for raw in answer:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    yield name, json.loads(line[6:])

    def download(self, job: Document, path: str | Path) -> Path:
        """Download a job's file; `path` may be a folder, in which the file gets the server's name."""
        target = Path(path)
        if target.is_dir() or str(path).endswith("/"):
            target = target / Path(job["result"]["name"]).name
        with (
            self._open("GET", f"/jobs/{job['id']}/result") as answer,
            atomic_path(target) as temporary,
            Path(temporary).open("wb") as file,
        ):
            shutil.copyfileobj(answer, file)
        return target

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Document:
        """Call the API and return its JSON answer, or an empty one.

        Raises:
            StudioError: the server returns an error, or does not answer.
        """
        data = None if body is None else json.dumps(body).encode()
        with self._open(method, path, data, {"Content-Type": "application/json"}) as answer:
            text = answer.read()
        return cast(Document, json.loads(text)) if text else {}

    def read(self, path: str) -> bytes:
        """Return an answer that is not JSON: a picture, an embedding."""
        with self._open("GET", path) as answer:
            return answer.read()

    def _open(
        self, method: str, path: str, data: bytes | IO[bytes] | None = None, headers: Mapping[str, str] | None = None
    ) -> HTTPResponse:
        request = urllib.request.Request(
            f"{self.address}/api/v1{path}", data=data, method=method, headers=self._headers | dict(headers or {})
        )
        try:
            return cast(HTTPResponse, urllib.request.urlopen(request, timeout=self.timeout_s))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
            try:
                problem = json.loads(text)["error"]
                raise StudioError(problem["message"], error.code, problem["code"]) from None
            except (ValueError, KeyError, TypeError):
                raise StudioError(f"the server answered {error.code} {error.reason}", error.code) from None
        except OSError as error:
            raise StudioError(
                f"no server at {self.address}: {getattr(error, 'reason', error)}; start one with masklet serve"
            ) from error

    def _send_files(self, path: str, files: Sequence[str | Path]) -> Document:
        body = _FileBody([Path(file) for file in files])
        headers = {"Content-Type": f"multipart/form-data; boundary={body.boundary}", "Content-Length": str(body.size)}
        with self._open("POST", path, cast("IO[bytes]", body), headers) as answer:
            return cast(Document, json.loads(answer.read()))


@dataclass(frozen=True)
class Medium:
    """An image or a video on a server."""

    studio: Studio
    about: Document
    """The medium as the API describes it."""

    @property
    def id(self) -> str:
        return str(self.about["id"])

    def create_object(self, name: str | None = None, *, class_name: str | None = None) -> int:
        """Create an object and return its id."""
        body = {"name": name, "class_name": class_name}
        return int(self._call("POST", "/objects", {key: value for key, value in body.items() if value})["id"])

    def objects(self) -> list[Document]:
        return cast("list[Document]", self._call("GET", "/objects")["objects"])

    def prompt(
        self,
        object_id: int,
        frame_index: int = 0,
        prompt: Prompt | None = None,
        *,
        candidate: int | None = None,
        **fields: Unpack[PromptFields],
    ) -> list[tuple[BoolArray, float]]:
        """Set the prompt of an object on a frame, in place of an earlier one.

        Args:
            object_id: the object.
            frame_index: the frame, from 0.
            prompt: of the object; or give its fields, as in `Prompt.create`. Masks go to `draw`.
            candidate: selects one of the candidates of a single click, counted from the best.

        Returns:
            Candidates, best first: (mask, IoU prediction).
        """
        body = {**Prompt.of(prompt, fields).to_request(), "candidate": candidate}
        answer = self._call("PUT", f"/frames/{frame_index}/objects/{object_id}/prompt", body)
        return [
            (decode_rle(candidate["rle"]), float(candidate["iou_prediction"])) for candidate in answer["candidates"]
        ]

    def draw(self, object_id: int, frame_index: int, mask: BoolArray) -> None:
        """Set an object's mask on a frame; an empty mask marks the object as absent."""
        self._call("PUT", f"/frames/{frame_index}/objects/{object_id}/mask", {"rle": encode_rle(mask)})

    def masks(self, start: int = 0, stop: int | None = None) -> dict[int, dict[int, BoolArray]]:
        """Return masks, (H, W) each, by frame index and object id."""
        end = int(self.about["num_frames"]) if stop is None else stop
        masks: dict[int, dict[int, BoolArray]] = {}
        begin, count = start, 240
        while begin < end:
            try:
                answer = self._call("GET", f"/masks?start={begin}&stop={min(end, begin + count)}")
            except StudioError as error:
                if error.code != "too_many_masks" or count == 1:
                    raise
                count = max(1, count // 2)
                continue
            for frame in answer["frames"]:
                masks[frame["frame_index"]] = {mask["object_id"]: decode_rle(mask["rle"]) for mask in frame["objects"]}
            begin += count
        return masks

    def track(self, direction: str = "forward", **options: Any) -> Iterator[Document]:
        """Track, and yield the masks of each frame; see `POST /media/{mid}/track` for the options.

        Raises:
            StudioError: tracking cannot start, or failed; frames tracked so far are kept.
        """
        job = self._call("POST", "/track", {"direction": direction, **options})
        for name, data in self.studio.events(job):
            if name == "masks":
                yield data
            elif name in ("failed", "cancelled"):
                raise StudioError(f"tracking {name}: {data['message']}", 500, name)

    def accept(self, start: int, stop: int, *, object_ids: Sequence[int] | None = None, accepted: bool = True) -> None:
        """Accept masks, so that they are never changed."""
        ids = None if object_ids is None else list(object_ids)
        self._call("POST", "/accept", {"start": start, "stop": stop, "objects": ids, "accepted": accepted})

    def suggestions(self, count: int = 5) -> list[Document]:
        """Return the frames on which a click would help most."""
        return cast("list[Document]", self._call("GET", f"/suggestions?k={count}")["suggestions"])

    def undo(self) -> str | None:
        """Undo the last operation and return its title; None if there is none."""
        return cast("str | None", self._call("POST", "/undo")["what"])

    def redo(self) -> str | None:
        return cast("str | None", self._call("POST", "/redo")["what"])

    def export(self, format_id: str, path: str | Path, **options: Any) -> Path:
        """Export the masks to a file, in a format of `GET /formats`."""
        job = self._call("POST", "/export", {"format": format_id, "options": options})
        return self.studio.download(self.studio.wait(job), path)

    def render(self, composition: Mapping[str, Any], path: str | Path, *, container: str = "mp4") -> Path:
        """Render the medium with effects to a file; see `masklet.render.Composition`."""
        job = self._call("POST", "/render", {"composition": dict(composition), "container": container})
        return self.studio.download(self.studio.wait(job), path)

    def frame(self, frame_index: int, width: int | None = None) -> bytes:
        """Return a frame as JPEG."""
        query = "" if width is None else f"?width={width}"
        return self.studio.read(f"/media/{self.id}/frames/{frame_index}.jpg{query}")

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Document:
        return self.studio.call(method, f"/media/{self.id}{path}", body)


class _FileBody:
    """Files as multipart/form-data, read while they are sent: long videos need no memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.boundary = secrets.token_hex(16)
        self._parts: list[bytes | Path] = []
        for path in paths:
            if not path.is_file():
                raise StudioError(f"no such file: {path}")
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            name = quote(path.name, safe=" ()[]{}.,;-_+!@&='") if '"' in path.name else path.name
            head = f'--{self.boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
            self._parts += [f"{head}Content-Type: {kind}\r\n\r\n".encode(), path, b"\r\n"]
        self._parts.append(f"--{self.boundary}--\r\n".encode())
        self.size = sum(part.stat().st_size if isinstance(part, Path) else len(part) for part in self._parts)
        self._chunks = self._all()

    def read(self, size: int = -1) -> bytes:
        return next(self._chunks, b"")

    def _all(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
                continue
            with part.open("rb") as file:
                while chunk := file.read(2**20):
                    yield chunk
