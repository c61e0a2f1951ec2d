"""The readers that the fuzzer tries, each with valid small files and what is done with a damaged copy."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from masklet.cli.prompts import read_prompt_file
from masklet.datasets import open_dataset
from masklet.datasets.check import check_dataset
from masklet.datasets.label_images import read_object_mask
from masklet.datasets.sa1b import labels_from_json
from masklet.discovery.files import open_detections
from masklet.errors import MaskletError
from masklet.foreign.documents import parse_json, read_json
from masklet.formats import import_masks
from masklet.formats.export import export_masks
from masklet.masks.indexed_png import indexed_png
from masklet.masks.rle import check_rle, decode_rle, encode_rle, rle_box_xyxy, run_lengths
from masklet.media.images import read_image
from masklet.render import Composition
from masklet.tracking.session import session_about, session_masks, session_prompts
from tests.formats.coco_tools import FIRST, SIZE, TOOLS
from tests.formats.material import clip_masks, medium_of
from tests.fuzz.models import GRAPH, MODEL_JSON, checkpoints, open_exported_model, open_graph, read_weights
from tests.fuzz.mutations import mutated
from tests.fuzz.requests import Server, damaged_request, requests
from tests.fuzz.sessions import resume_session, saved_sessions
from tests.fuzz.videos import read_video, videos

FRAMES = 6


@dataclass(frozen=True, slots=True)
class Door:
    """A reader, and files that it reads."""

    seeds: tuple[bytes, ...]
    read: Callable[[Path], object]
    suffix: str
    damage: Callable[[bytes, random.Random], bytes] = mutated
    """Returns a damaged copy of a file."""


def doors(folder: Path, stack: ExitStack) -> dict[str, Door]:
    """Return all readers by name.

    Args:
        folder: a place to make valid files.
        stack: stops the server that reads the requests.
    """
    server = Server(folder)
    stack.callback(server.close)
    return {
        "rle": Door(_rles(), _read_rle, ".json"),
        "coco": Door(tuple(json.dumps(tool()).encode() for tool in TOOLS.values()), _import_both, ".json"),
        "sa-v": Door((_exported(folder, "sa-v", "v.json"),), _import_clip, ".json"),
        "masklet coco": Door((_exported(folder, "coco", "c.json"),), _import_clip, ".json"),
        "zip": Door((_exported(folder, "masks", "m.zip"), _exported(folder, "davis", "d.zip")), _import_clip, ".zip"),
        "label image": Door(_label_images(), _read_label_image, ".png"),
        "image": Door(_pictures(), read_image, ".jpg"),
        "data set": Door(tuple(json.dumps(tool()).encode() for tool in TOOLS.values()), _check_data_set, ".json"),
        "sa-1b": Door((_sa1b(),), lambda path: labels_from_json(read_json(path)).areas(), ".json"),
        "detections": Door(_detections(), _read_detections, ".txt"),
        "prompts": Door(_prompt_files(), _read_prompts, ".json"),
        "composition": Door(_compositions(), _read_composition, ".json"),
        "session": Door((_session(),), _read_session, ".masklet"),
        "resumed session": Door(saved_sessions(folder), resume_session, ".masklet"),
        **{name: Door(seeds, read_video, f".{name}") for name, seeds in videos(folder).items()},
        "safetensors": Door(checkpoints(folder, ".safetensors"), read_weights, ".safetensors"),
        "pt": Door(checkpoints(folder, ".pt"), read_weights, ".pt"),
        "model.json": Door((MODEL_JSON.read_bytes(),), open_exported_model, ".json"),
        "graph": Door((GRAPH.read_bytes(),), open_graph, ".onnx"),
        "request": Door(requests(), server.send, ".http", damaged_request),
    }


def _rles() -> tuple[bytes, ...]:
    return tuple(
        json.dumps(rle).encode() for rle in (encode_rle(FIRST), {"size": list(SIZE), "counts": run_lengths(FIRST)})
    )


def _read_rle(path: Path) -> None:
    rle = parse_json(path.read_bytes(), "rle").value
    check_rle(rle, SIZE)
    decode_rle(rle, SIZE)
    rle_box_xyxy(rle)


def _exported(folder: Path, form: str, name: str) -> bytes:
    path = folder / name
    if not path.exists():
        export_masks(form, [medium_of(clip_masks(overlap=False))], path)
    return path.read_bytes()


def _import_both(path: Path) -> None:
    import_masks(path, size_hw=SIZE, file_name="pets/a.jpg")


def _import_clip(path: Path) -> None:
    import_masks(path, size_hw=SIZE, num_frames=FRAMES, file_name="clip.mp4")


def _encoded(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def _label_images() -> tuple[bytes, ...]:
    labels = FIRST.astype(np.uint8)
    wide = Image.fromarray(FIRST.astype(np.uint16) * 700)
    return (indexed_png(labels), _encoded(Image.fromarray(labels * 255), "PNG"), _encoded(wide, "TIFF"))


def _read_label_image(path: Path) -> None:
    read_object_mask(path)
    import_masks(path, size_hw=SIZE, file_name="a.jpg")


def _pictures() -> tuple[bytes, ...]:
    rgb = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    return tuple(_encoded(Image.fromarray(rgb), form) for form in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"))


def _check_data_set(path: Path) -> None:
    image = path.with_name("a.jpg")
    if not image.exists():
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(image)
    check_dataset(open_dataset(path, "coco", verify=False))


def _sa1b() -> bytes:
    about = {"image_id": 1, "width": SIZE[1], "height": SIZE[0], "file_name": "a.jpg"}
    annotations = [{"id": 1, "segmentation": encode_rle(FIRST), "area": 100}]
    return json.dumps({"image": about, "annotations": annotations}).encode()


def _prompt_files() -> tuple[bytes, ...]:
    entries = [
        {"object_id": 1, "frame_index": 0, "points_xy": [[5, 6], [7, 8]], "labels": [1, 0]},
        {"object_id": 2, "box_xyxy": [1, 2, 30, 31]},
        {"object_id": 3, "mask": encode_rle(FIRST)},
    ]
    return json.dumps(entries).encode(), json.dumps({"a.jpg": entries[:1], "b.jpg": entries[1:]}).encode()


def _read_prompts(path: Path) -> None:
    for prompts in (lambda file: [file.common, *file.by_file.values()])(read_prompt_file(path)):
        for prompt in prompts:
            prompt.to_prompt(SIZE)


def _detections() -> tuple[bytes, ...]:
    """Return a file of each format."""
    results = [
        {"image_id": 2, "category_id": 1, "bbox": [5, 6, 10, 10], "score": 0.9},
        {"image_id": 3, "category_id": 1, "segmentation": encode_rle(FIRST), "score": 0.5},
        {"image_id": 4, "category_id": 2, "segmentation": [[5, 5, 15, 5, 15, 15]], "score": 0.4},
    ]
    texts = (
        "1,-1,5,6,10,10,0.9,-1,-1,-1\n6,-1,7,6,10,10,0.4,-1,-1,-1\n",
        f"1 1001 1 {SIZE[0]} {SIZE[1]} {encode_rle(FIRST)['counts']}\n",
        "frame_index,left,top,right,bottom,score,label\n0,5,6,15,16,0.9,dog\n3,7,6,15,16,0.4,cat\n",
        "0 0.5 0.5 0.2 0.2 0.9\n1 0.1 0.1 0.4 0.1 0.4 0.6 0.1 0.6\n",
    )
    documents = [json.dumps(document).encode() for document in (results, *(tool() for tool in TOOLS.values()))]
    return (*documents, *(text.encode() for text in texts))


def _read_detections(path: Path) -> None:
    media = ((1, "pets/a.jpg"), (FRAMES, "clip.mp4"), (None, ""))
    refusals = []
    for num_frames, name in media:
        try:
            file = open_detections(path, size_hw=SIZE, num_frames=num_frames, file_name=name)
        except MaskletError as error:
            refusals.append(error)
            continue
        for frame_index in file.frame_indices[:FRAMES]:
            for detection in file.at(frame_index):
                assert detection.mask(SIZE).shape == SIZE
                assert 0 <= detection.score <= 1
        lines = (*file.problems, *file.notes, *file.labels)
        assert all(len(line.encode()) < 2000 and "\n" not in line for line in lines)
    assert all("\n" not in str(error).encode().decode() for error in refusals)
    if len(refusals) == len(media):
        raise refusals[0]


def _compositions() -> tuple[bytes, ...]:
    return (json.dumps(Composition().to_dict()).encode(),)


def _read_composition(path: Path) -> None:
    from masklet.cli.render import _composition_file

    _composition_file(path)


def _session() -> bytes:
    """Return a session without memories: document and masks."""
    document = {
        "format": "masklet session", "version": 1, "masklet": "0.1.0",
        "model": {"name": "nano", "precision": "fp32", "speed": "exact", "path": None},
        "video": {"name": "a.mp4", "path": "a.mp4", "size_hw": list(SIZE), "num_frames": FRAMES},
        "notes": [],
        "tracks": [{"object_id": 1, "name": "Anna", "given": [
            {"frame_index": 0, "points_xy": [[5, 6]], "labels": [1], "box_xyxy": None, "mask": encode_rle(FIRST),
             "previous_logits": None}]}],
    }  # fmt: skip
    row = {"object_id": 1, "frame_index": 2, "time_s": 0.5, "rle": encode_rle(FIRST), "iou_prediction": 0.9,
           "object_score": 5.0, "confidence": 0.8, "reliability": 0.9, "direction": 1, "prompted": True,
           "status": "present"}  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("masks.jsonl", json.dumps(row) + "\n")
        archive.writestr("session.json", json.dumps(document))
    return buffer.getvalue()


def _read_session(path: Path) -> None:
    session_about(path)
    for row in session_masks(path).all():
        assert row.mask.shape == SIZE
    session_prompts(path)
