"""Masks to files and back: the formats that other tools read.

    export_masks("coco", [medium], "coco.json")
    import_masks("coco.json", size_hw=(480, 854), num_frames=90).masklets

`FORMATS` says what there is; the server and the command line offer exactly these.
"""

from masklet.formats.base import Cancelled, Exported, Format
from masklet.formats.exporting import FORMATS, export_masks, find_format

__all__ = ["FORMATS", "Cancelled", "Exported", "Format", "export_masks", "find_format"]
