"""JSON annotation files: read whole, with errors that name the file and the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from masklet.datasets.files import read_bytes
from masklet.errors import DataError
from masklet.masks.operations import polygons_mask
from masklet.masks.rle import CocoRle, decode_rle, rle_size
from masklet.records import BoolArray


def read_json(path: Path) -> Any:
    """Return the JSON document of a file.

    Raises:
        DataError: the file cannot be read or is cut off.
    """
    return parse_json(read_bytes(path), str(path))


def parse_json(data: bytes, where: str) -> Any:
    """Return the JSON document in `data`.

    Raises:
        DataError: it is not JSON.
    """
    try:
        return json.loads(data)
    except ValueError as error:
        raise DataError(f"{where} is not JSON, or is cut off: {error}") from error


def field_of(record: Any, name: str, kind: type | tuple[type, ...], where: str) -> Any:
    """Return a field of a JSON object.

    Raises:
        DataError: it is missing or of another type.
    """
    if not isinstance(record, dict) or name not in record:
        raise DataError(f"{where} has no field {name!r}")
    if not isinstance(record[name], kind) or isinstance(record[name], bool):
        raise DataError(f"{where}: the field {name!r} has the wrong type, {type(record[name]).__name__}")
    return record[name]


def segmentation_mask(segmentation: Any, size_hw: tuple[int, int], where: str) -> BoolArray | CocoRle:
    """Return the mask of a `segmentation` as COCO writes it: polygons are drawn, an RLE is left as it is.

    Raises:
        DataError: it is neither, or a polygon does not have x and y for three points or more.
    """
    if isinstance(segmentation, Mapping):
        try:
            rle_size(segmentation, size_hw)
            if isinstance(segmentation["counts"], str):
                return CocoRle(size=list(size_hw), counts=segmentation["counts"])  # decoded and checked when asked for
            return decode_rle(segmentation, size_hw)
        except DataError as error:
            raise DataError(f"{where}: {error}", error.fault) from error
    try:
        return polygons_mask(segmentation, size_hw)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
