"""Small inputs for the code of README.md and docs/, under the names that the documents use.

================  ======================================================================
photo.jpg, ...    the bundled photos, under their names and as photo.jpg and beach.jpg
clip.mp4, ...     the first frames of the bundled clip, as clip.mp4 and bunny.mp4
frames/           the same frames as images
masks/            indexed PNGs of objects 1 and 2 in these frames; first.png is object 1 on frame 0
photo-mask.png    a mask for photo.jpg
slices.tif        a stack of slices
prompts.json      prompts for two objects
boxes.csv         two boxes on every frame of clip.mp4, as a detector finds them
photo-boxes.json  COCO results of a detector: one box on photo.jpg, of class 17
mine/             a data set for training: train and val, each with images/ and masks/
clips/            a data set of one labelled clip
================  ======================================================================
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import numpy as np
from PIL import Image

from masklet.media.images import read_image
from masklet.media.source import open_source

MEDIA = Path(__file__).parent.parent / "examples" / "media"
NUM_FRAMES = 5
OBJECT_BOX = (75, 90, 390, 410)


def prepare_inputs(folder: Path) -> None:
    """Write all inputs into a folder."""
    for photo in MEDIA.glob("*.jpg"):
        shutil.copy(photo, folder)
    shutil.copy(MEDIA / "cat.jpg", folder / "photo.jpg")
    shutil.copy(MEDIA / "rocket.jpg", folder / "beach.jpg")
    write_clip(folder / "bunny.mp4", NUM_FRAMES)
    shutil.copy(folder / "bunny.mp4", folder / "clip.mp4")
    _write_frames_and_masks(folder)
    _write_prompts(folder / "prompts.json")
    _write_detections(folder)
    _write_data_sets(folder)


def write_clip(path: Path, num_frames: int) -> None:
    """Write the first frames of the bundled clip as H.264."""
    with open_source(MEDIA / "bunny.mp4") as source, av.open(str(path), "w") as container:
        height, width = source.info.size_hw
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in source.frames(stop=num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.rgb)))
        container.mux(stream.encode())


def _write_frames_and_masks(folder: Path) -> None:
    frames, masks = folder / "frames", folder / "masks"
    frames.mkdir()
    masks.mkdir()
    with open_source(folder / "clip.mp4") as source:
        for frame in source.frames():
            name = f"{frame.index:05d}"
            Image.fromarray(frame.rgb).save(frames / f"{name}.jpg")
            labels = _labels(frame.rgb.shape[:2])
            _indexed(labels).save(masks / f"{name}.png")
    Image.fromarray((labels == 1).astype(np.uint8) * 255).save(folder / "first.png")
    photo = np.zeros(read_image(folder / "photo.jpg").shape[:2], np.uint8)
    photo[60:280, 120:400] = 255
    Image.fromarray(photo).save(folder / "photo-mask.png")
    slices = [Image.fromarray(np.full((60, 80), 50 * index, np.uint8)) for index in range(4)]
    slices[0].save(folder / "slices.tif", save_all=True, append_images=slices[1:])


def _labels(size_hw: tuple[int, int]) -> np.ndarray:
    labels = np.zeros(size_hw, np.uint8)
    labels[90:200, 75:300] = 1
    labels[10:60, 20:120] = 2
    return labels


def _indexed(labels: np.ndarray) -> Image.Image:
    image = Image.fromarray(labels, mode="P")
    image.putpalette([0, 0, 0, 220, 50, 50, 50, 220, 50])
    return image


def _write_prompts(path: Path) -> None:
    prompts = [
        {"object_id": 1, "frame_index": 0, "box_xyxy": list(OBJECT_BOX)},
        {"object_id": 2, "frame_index": 2, "points_xy": [[40, 40]], "labels": [1]},
    ]
    path.write_text(json.dumps(prompts))


def _write_detections(folder: Path) -> None:
    left, top, right, bottom = OBJECT_BOX
    lines = ["frame_index,left,top,right,bottom,score,label"]
    for index in range(NUM_FRAMES):
        lines += [f"{index},{left},{top},{right},{bottom},0.9,rabbit", f"{index},20,10,120,60,0.4,tree"]
    (folder / "boxes.csv").write_text("\n".join(lines))
    results = [{"image_id": "photo", "category_id": 17, "bbox": [10, 5, 430, 290], "score": 0.93}]
    (folder / "photo-boxes.json").write_text(json.dumps(results))


def _write_data_sets(folder: Path) -> None:
    random = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 2)):
        images, masks = folder / "mine" / part / "images", folder / "mine" / part / "masks"
        images.mkdir(parents=True)
        masks.mkdir()
        for number in range(count):
            _write_example(images / f"{number:04d}.png", masks / f"{number:04d}.png", random)
    frames, masks = folder / "clips" / "square" / "frames", folder / "clips" / "square" / "masks"
    frames.mkdir(parents=True)
    masks.mkdir()
    for number in range(3):
        _write_example(frames / f"{number:05d}.png", masks / f"{number:05d}.png", random)


def _write_example(image: Path, mask: Path, random: np.random.Generator) -> None:
    rgb = random.integers(0, 60, (96, 128, 3), np.uint8)
    labels = np.zeros((96, 128), np.uint8)
    labels[30:70, 40:90] = 1
    rgb[labels == 1] += 150
    Image.fromarray(rgb).save(image)
    _indexed(labels).save(mask)
