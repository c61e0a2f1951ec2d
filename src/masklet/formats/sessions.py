"""Masks out of a session file, for which no model is needed."""

from __future__ import annotations

from pathlib import Path

from masklet.errors import DataError
from masklet.masklets import LabelledMedium, Masklets, ObjectInfo
from masklet.session import session_about, session_masks
from masklet.video.source import VideoSource, open_source


def open_session(path: str | Path, video: VideoSource | None = None) -> LabelledMedium:
    """A session file's video and its masklets; close its `source` when done.

    Args:
        path: what `masklet track --save` wrote.
        video: where it lies now; None means where the session says.

    Raises:
        SessionError: the file is damaged, or none.
        DataError: it has no masks, or belongs to another video.
        VideoError: the video cannot be read.
    """
    about = session_about(path)
    known = about["video"]
    if video is None:
        if known is None or known["path"] is None:
            raise DataError(f"{path} does not say where its video lies: give it as well")
        video = str(known["path"])
    objects = tuple(ObjectInfo(one["object_id"], one["name"]) for one in about["objects"])
    store = session_masks(path)
    if store.frames() is None:
        raise DataError(f"{path} has no masks: track first")
    source = open_source(video)
    info = source.info
    if known is not None and list(info.size_hw) != list(known["size_hw"]):
        height, width = known["size_hw"]
        raise DataError(
            f"{path} belongs to another video: its masks are {width} x {height} (width x height), {info.name} is "
            f"{info.size_hw[1]} x {info.size_hw[0]}"
        )
    name = Path(info.name).stem
    return LabelledMedium(name or "video", source, Masklets(store, objects), file_name=Path(info.name).name)
