"""Masks to files and back: the formats that other tools read.

    export_masks("coco", [medium], "coco.json")
    import_masks("coco.json", size_hw=(480, 854), num_frames=90).masklets

`FORMATS` says what there is; the server and the command line offer exactly these.
"""

from masklet.formats.base import Cancelled, Exported, Format
from masklet.formats.exporting import FORMATS, export_masks, find_format
from masklet.formats.importing import IMPORT_FORMATS, Imported, import_masks
from masklet.formats.opening import open_labelled, open_session

__all__ = [
    "FORMATS",
    "IMPORT_FORMATS",
    "Cancelled",
    "Exported",
    "Format",
    "Imported",
    "export_masks",
    "find_format",
    "import_masks",
    "open_labelled",
    "open_session",
]
