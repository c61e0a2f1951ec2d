"""File formats for masks: export, live output and import.

    export_masks("coco", [medium], "coco.json")                      # all at once
    with open_streams("out/", ["overlay", "coco"], source) as out:   # live, while tracking
        out.write(tracker.frame, masks)
    import_masks("coco.json", size_hw=(480, 854), num_frames=90).masklets

`FORMATS` lists all formats; the server and the command line offer exactly these. Other packages add formats by entry
points; see `masklet.formats.registry`.
"""

from masklet.formats.base import Exported, ExportJob, Format
from masklet.formats.export import export_masks
from masklet.formats.importing import IMPORT_FORMATS, Imported, import_masks
from masklet.formats.live import (
    MaskStreams,
    check_streams,
    image_medium,
    open_image_stream,
    open_streams,
    video_medium,
)
from masklet.formats.opening import open_labelled, open_session
from masklet.formats.registry import FORMATS, find_format, live_formats, register_format
from masklet.formats.stream import BaseStream, FrameRows, MaskStream

__all__ = [
    "FORMATS",
    "IMPORT_FORMATS",
    "BaseStream",
    "ExportJob",
    "Exported",
    "Format",
    "FrameRows",
    "Imported",
    "MaskStream",
    "MaskStreams",
    "check_streams",
    "export_masks",
    "find_format",
    "image_medium",
    "import_masks",
    "live_formats",
    "open_image_stream",
    "open_labelled",
    "open_session",
    "open_streams",
    "register_format",
    "video_medium",
]
