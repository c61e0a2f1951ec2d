"""COCO files as annotation tools write them, made here: two objects on a picture of 51 x 37."""

from __future__ import annotations

from typing import Any

import numpy as np

from masklet.masks.rle import encode_rle, run_lengths
from masklet.records import BoolArray

SIZE = (37, 51)
HEIGHT, WIDTH = SIZE


def square(left: int, top: int, side: int = 10) -> BoolArray:
    mask = np.zeros(SIZE, np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


FIRST, SECOND = square(5, 5), square(25, 20)
POLYGON = [5.0, 5.0, 15.0, 5.0, 15.0, 15.0, 5.0, 15.0]
SECOND_POLYGON = [25.0, 20.0, 35.0, 20.0, 35.0, 30.0, 25.0, 30.0]
BRUSH = {"counts": run_lengths(SECOND), "size": [HEIGHT, WIDTH]}


def cvat() -> dict[str, Any]:
    """A polygon, and a brush mask that CVAT flags as a crowd."""
    attributes = {"occluded": False, "rotation": 0.0}
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
        "categories": [{"id": 1, "name": "cat", "supercategory": ""}, {"id": 2, "name": "dog", "supercategory": ""}],
        "images": [{"id": 1, "width": WIDTH, "height": HEIGHT, "file_name": "a.jpg", "license": 0, "flickr_url": "",
                    "coco_url": "", "date_captured": 0}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [POLYGON], "area": 100.0,
             "bbox": [5, 5, 10, 10], "iscrowd": 0, "attributes": attributes},
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": BRUSH, "area": 100.0,
             "bbox": [25, 20, 10, 10], "iscrowd": 1, "attributes": attributes},
        ],
    }  # fmt: skip


def label_studio() -> dict[str, Any]:
    """Ids from 0, a renamed image, backslashes."""
    common = {"image_id": 0, "ignore": 0, "iscrowd": 0, "area": 100}
    return {
        "images": [{"width": WIDTH, "height": HEIGHT, "id": 0, "file_name": "images\\8f7e6d5c-a.jpg"}],
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
        "annotations": [
            {"id": 0, "category_id": 0, "segmentation": [POLYGON], "bbox": [5.0, 5.0, 10.0, 10.0], **common},
            {"id": 1, "category_id": 1, "segmentation": [SECOND_POLYGON], "bbox": [25, 20, 10, 10], **common},
        ],
        "info": {"year": 2026, "version": "1.0", "description": "", "contributor": "Label Studio", "url": ""},
    }


def labelme() -> dict[str, Any]:
    document = label_studio()
    document["images"][0] |= {"file_name": "JPEGImages\\a.jpg", "license": 0, "url": None, "date_captured": None}
    document["info"] = {"description": None, "url": None, "version": None, "year": 2026, "contributor": None}
    return document | {"type": "instances", "licenses": [{"url": None, "id": 0, "name": None}]}


def roboflow() -> dict[str, Any]:
    document = label_studio()
    document["info"] = {"year": "2026", "version": "1", "description": "Exported from roboflow.com"}
    document["images"][0] |= {"file_name": "a_jpg.rf.0123456789abcdef0123456789abcdef.jpg", "extra": {"name": "a.jpg"}}
    document["categories"] = [{"id": 0, "name": "pets", "supercategory": "none"}] + [
        {"id": number, "name": name, "supercategory": "pets"} for number, name in ((1, "cat"), (2, "dog"))
    ]
    for annotation in document["annotations"]:
        annotation["category_id"] += 1
        del annotation["ignore"]
    return document


def x_anylabeling() -> dict[str, Any]:
    document = label_studio()
    document["info"] = {"year": 2026, "version": "2.5", "description": "COCO Label Conversion", "contributor": "CVHub",
                        "url": "https://github.com/CVHub520/X-AnyLabeling"}  # fmt: skip
    document["images"][0] |= {"id": 1, "file_name": "a.jpg"}
    for annotation in document["annotations"]:
        annotation |= {"image_id": 1}
    return document | {"type": "instances"}


def coco_annotator() -> dict[str, Any]:
    """Flags that are booleans, names in `metadata`, an absolute path."""
    common = {"image_id": 7, "dataset_id": 1, "isbbox": False, "creator": "me", "width": WIDTH, "height": HEIGHT,
              "color": "#2080c0", "keypoints": [], "milliseconds": 0, "events": []}  # fmt: skip
    return {
        "images": [{"id": 7, "dataset_id": 1, "category_ids": [], "path": "/datasets/pets/a.jpg", "width": WIDTH,
                    "height": HEIGHT, "file_name": "a.jpg", "annotated": False, "annotating": [], "deleted": False}],
        "categories": [{"id": 1, "name": "cat", "color": "#e040a0"}, {"id": 2, "name": "dog", "color": "#00ff00"}],
        "annotations": [
            {"id": 1, "category_id": 1, "segmentation": [POLYGON], "iscrowd": False, "metadata": {"name": "Tom"},
             **common},
            {"id": 2, "category_id": 2, "segmentation": {**BRUSH}, "iscrowd": True, "metadata": {}, **common},
        ],
    }  # fmt: skip


def via() -> dict[str, Any]:
    """Ids that are texts in one place, and the numbers of a polygon without a list around it."""
    return {
        "info": {"year": 2026, "version": "1.0", "contributor": "VIA project (VGG Image Annotator)"},
        "images": [{"id": 0, "width": WIDTH, "height": HEIGHT, "file_name": "a.jpg", "license": 0}],
        "categories": [{"supercategory": "pet", "id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 0, "image_id": "0", "category_id": 1, "segmentation": POLYGON, "bbox": [5, 5, 10, 10],
             "iscrowd": 0},
            {"id": 1, "image_id": "0", "category_id": "2", "segmentation": SECOND_POLYGON, "iscrowd": 0},
        ],
    }  # fmt: skip


def supervisely() -> dict[str, Any]:
    document = cvat()
    document["info"]["description"] = "Exported from Supervisely"
    document["images"][0]["id"] = 4_812_345
    for annotation in document["annotations"]:
        annotation["image_id"] = 4_812_345
        del annotation["attributes"]
    return document


def pycocotools() -> dict[str, Any]:
    document = cvat()
    document["annotations"][1] |= {"segmentation": encode_rle(SECOND), "iscrowd": 0}
    for annotation in document["annotations"]:
        del annotation["attributes"]
    return document


def brush_only() -> dict[str, Any]:
    """Nothing but brush masks, flagged as crowds, and nothing that names a tool."""
    document = pycocotools()
    document["annotations"] = [
        {"id": number, "image_id": 1, "category_id": number, "iscrowd": 1, "segmentation": encode_rle(mask)}
        for number, mask in ((1, FIRST), (2, SECOND))
    ]
    return document


def texts_as_ids() -> dict[str, Any]:
    document = pycocotools()
    document["images"][0] = {"id": "a-17", "file_name": "/mnt/data/somewhere/a.jpg"}
    document["categories"] = [{"id": "c", "name": "cat"}, {"id": "d", "name": "dog"}]
    for annotation, category in zip(document["annotations"], "cd", strict=True):
        annotation |= {"id": "same", "image_id": "a-17", "category_id": category}
    return document


TOOLS = {
    tool.__name__: tool
    for tool in (cvat, label_studio, labelme, roboflow, x_anylabeling, coco_annotator, via, supervisely, pycocotools,
                 brush_only, texts_as_ids)
}  # fmt: skip
