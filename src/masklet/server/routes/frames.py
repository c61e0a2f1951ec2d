"""Routes of frames: pictures, and the embeddings and graphs for a decoder in the browser."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import anyio
import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from masklet.engine.onnx_engine import SPEC_FILE
from masklet.engine.staged import STAGE_OUTPUTS
from masklet.server import schemas
from masklet.server.database import MediumRow
from masklet.server.depends import CurrentMedium, CurrentStudio, CurrentUser, FrameIndex, check_frame
from masklet.server.errors import ApiError
from masklet.server.frames import QUALITY, THUMBNAIL_QUALITY, WIDTHS, size_at, spread, strip_of, to_jpeg
from masklet.server.routes.responses import BYTES, JPEG
from masklet.server.settings import API_BASE
from masklet.server.studio import StudioState

router = APIRouter(tags=["frames"])

FOR_EVER = "private, max-age=31536000, immutable"
"""Cache header: the frames of a medium never change; another upload is another medium."""

MAX_STRIP = 240


async def _picture(
    studio: StudioState, medium: MediumRow, request: Request, name: str, make: Callable[[], bytes]
) -> Response:
    """Return a picture from the cache, or make it; one picture of a medium is made at a time."""
    etag = f'"{medium.id}-{name}"'
    headers = {"cache-control": FOR_EVER, "etag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    data = await anyio.to_thread.run_sync(studio.pictures.find, medium.id, name)
    if data is None:
        async with studio.reader(medium).turn:
            if await request.is_disconnected():  # a client that scrubs abandons many requests
                return Response(status_code=499)
            data = await anyio.to_thread.run_sync(studio.pictures.find, medium.id, name)
            if data is None:
                data = await anyio.to_thread.run_sync(make)
                await anyio.to_thread.run_sync(studio.pictures.keep, medium.id, name, data)
    return Response(data, media_type="image/jpeg", headers=headers)


@router.get("/media/{mid}/frames/{i}.jpg", response_class=Response, responses=JPEG)
async def get_frame(
    medium: CurrentMedium,
    i: FrameIndex,
    request: Request,
    studio: CurrentStudio,
    width: Annotated[
        int | None,
        Query(ge=16, le=65535, description=f"One of {WIDTHS}, rounded up; the medium's own when left out."),
    ] = None,
) -> Response:
    """Return a frame as an upright JPEG. It never changes, so it can be cached for ever."""
    check_frame(medium, i)
    served = next((served_width for served_width in WIDTHS if served_width >= (width or 10**9)), None)
    if served is not None and served >= medium.width:
        served = None

    def make() -> bytes:
        reader = studio.reader(medium)
        if served is None:
            return to_jpeg(reader.frame(i).rgb)
        rgb = reader.picture(i, size_at(served, (medium.height, medium.width)))
        return to_jpeg(rgb, quality=QUALITY if served > 480 else THUMBNAIL_QUALITY)

    return await _picture(studio, medium, request, f"{i}-{served or 'full'}.jpg", make)


@router.get("/media/{mid}/strip.jpg", response_class=Response, responses=JPEG)
async def get_strip(
    medium: CurrentMedium,
    request: Request,
    studio: CurrentStudio,
    count: Annotated[int, Query(ge=1, le=MAX_STRIP)] = 20,
    height: Annotated[int, Query(ge=16, le=160)] = 48,
    start: Annotated[int, Query(ge=0, le=2**31)] = 0,
    stop: Annotated[int | None, Query(ge=1, le=2**31)] = None,
) -> Response:
    """Return a film strip: `count` pictures of equal width, evenly spread over the frames [start, stop)."""
    end = min(medium.num_frames, medium.num_frames if stop is None else stop)
    if start >= end:
        raise ApiError(
            422, "range", f"start must be below stop and {medium.num_frames}, got {start} and {stop}", "start"
        )

    def make() -> bytes:
        return strip_of(studio.reader(medium).thumbnails(spread(count, start, end), height))

    return await _picture(studio, medium, request, f"strip-{count}-{height}-{start}-{end}.jpg", make)


@router.get("/media/{mid}/frames/{i}/embedding", response_class=Response, responses=BYTES)
def get_embedding(medium: CurrentMedium, i: FrameIndex, studio: CurrentStudio) -> Response:
    """Return `embedding`, `high_res_4` and `high_res_8` of a frame for the mask decoder, float32, as safetensors.

    With these and points in the model's square, `decode` of `GET /graphs` gives the masks.
    """
    check_frame(medium, i)
    rgb = studio.reader(medium).frame(i).rgb
    arrays = studio.engine.encode_image(rgb, in_video=True).arrays
    names = {"embedding": "unconditioned", "high_res_4": "high_res_4", "high_res_8": "high_res_8"}
    if not arrays.keys() >= set(names.values()):
        raise _no_graphs(studio)
    data = safetensors({name: studio.engine.to_numpy(arrays[array_name]) for name, array_name in names.items()})
    return Response(data, media_type="application/octet-stream", headers={"cache-control": "private, max-age=86400"})


def safetensors(arrays: dict[str, np.ndarray]) -> bytes:
    """Return arrays in the safetensors format: the header's length, the header, and the numbers, little endian."""
    header, parts, offset = {}, [], 0
    for name, array in arrays.items():
        part = np.ascontiguousarray(array, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + len(part)]}
        parts.append(part)
        offset += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


@router.get("/graphs", tags=["model"])
def get_graphs(user: CurrentUser, studio: CurrentStudio) -> schemas.Graphs:
    """Describe the exported model that this server runs, for onnxruntime-web. Equal files give equal masks."""
    folder = _graph_folder(studio)
    manifest = json.loads((folder / SPEC_FILE).read_text(encoding="utf-8"))
    info = studio.engine.info
    return schemas.Graphs(
        model=info.name,
        image_size=info.image_size,
        low_res_size=info.low_res_size,
        input=(
            "encode_image takes pixels (1, S, S, 3), uint8 RGB of 0 to 255, the whole image squeezed to the square "
            "with an area filter; decode takes embedding (N, D, h, w), high_res_4, high_res_8, points_xy (N, P, 2) "
            "float32 in the square (x * S / width), labels (N, P) int64 (1 on, 0 off, 2 and 3 a box's top left and "
            "bottom right, which come first, -1 padding: one such point at (0, 0) comes last), mask_logits "
            "(N, 1, S/4, S/4) float32 and has_mask (N,) bool, and answers low_res_logits (N, 4, S/4, S/4): mask 0 for "
            "several points, 1 to 3 the candidates for a single click; iou_predictions (N, 4), object_score (N,), "
            "stability (N,)"
        ),
        graphs=schemas.GraphUrls.model_validate(
            {
                stage: f"{API_BASE}/graphs/{stage}.onnx" if (folder / f"{stage}.onnx").is_file() else None
                for stage in STAGE_OUTPUTS
            }
        ),
        manifest=manifest,
    )


@router.get("/graphs/{file}", tags=["model"], response_class=FileResponse, responses=BYTES)
def get_graph(file: str, user: CurrentUser, studio: CurrentStudio) -> FileResponse:
    """Download one file of the exported model."""
    folder = _graph_folder(studio)
    files = (*(f"{stage}.onnx" for stage in STAGE_OUTPUTS), SPEC_FILE)
    allowed = {name for name in files if (folder / name).is_file()}
    if file not in allowed:
        raise ApiError(404, "no_file", f"there is no such file: {', '.join(sorted(allowed))} are there")
    path = folder / file
    kind = "application/json" if file == SPEC_FILE else "application/octet-stream"
    return FileResponse(path, media_type=kind, headers={"cache-control": "private, max-age=3600"})


def _graph_folder(studio: StudioState) -> Path:
    folder = studio.graph_folder
    if folder is None:
        raise _no_graphs(studio)
    return folder


def _no_graphs(studio: StudioState) -> ApiError:
    info = studio.engine.info
    return ApiError(404, "no_graphs", f"{info.name} runs on {info.backend} here, which has no graphs for the page")
