"""Opens images and videos with their masklets: from a session, or from mask files of any tool.

No model is needed.
"""

from __future__ import annotations

from pathlib import Path

from masklet.errors import DataError
from masklet.formats.importing import import_masks
from masklet.media.images import is_still
from masklet.media.source import VideoSource, open_source
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo, medium_name
from masklet.tracking.session import session_about, session_masks, session_prompts

SESSION_SUFFIX = ".masklet"


def open_labelled(path: str | Path, masks: str | Path | None = None) -> tuple[LabelledMedium, tuple[str, ...]]:
    """Open a session, or an image or a video together with a file of masks; close its `source` when done.

    Args:
        path: a .masklet file; or an image, a video, or a folder of frames, for which `masks` are needed.
        masks: a file or folder for `import_masks`. With a session: the video, if it has been moved.

    Returns:
        The medium, and one line for each mask that could not be used.

    Raises:
        As `open_session` and `import_masks`; ImageError: the image cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() == SESSION_SUFFIX:
        return open_session(path, None if masks is None else str(masks)), ()
    if masks is None:
        raise DataError(f"{path} is not a session ({SESSION_SUFFIX}): also pass a file with its masks")
    is_image = path.is_file() and is_still(path)
    source = open_source(path)
    info = source.info
    if info.num_frames is None:
        raise DataError(f"{path} has no end: masks can only belong to a file or a folder")
    imported = import_masks(masks, size_hw=info.size_hw, num_frames=info.num_frames, file_name=str(path.resolve()))
    name = path.resolve().name if path.is_dir() else path.stem
    return LabelledMedium(name, source, imported.masklets, is_image, path.name), (*imported.notes, *imported.skipped)


def open_session(path: str | Path, video: VideoSource | None = None) -> LabelledMedium:
    """Open the video and the masklets of a session file; close its `source` when done.

    Args:
        path: a file of `masklet track --save`.
        video: the video, if it has been moved; None uses the path in the session.

    Raises:
        SessionError: the file is damaged, or not a session.
        DataError: it has no masks, or belongs to another video.
        VideoError: the video cannot be read.
    """
    about = session_about(path)
    expected = about["video"]
    if video is None:
        if expected is None or expected["path"] is None:
            raise DataError(f"{path} does not contain the path of its video: also pass the video")
        video = str(expected["path"])
    masklets = session_masklets(path)
    source = open_source(video)
    info = source.info
    if expected is not None and list(info.size_hw) != list(expected["size_hw"]):
        height, width = expected["size_hw"]
        source.close()
        raise DataError(
            f"{path} belongs to another video: its masks are {width} x {height} (width x height), {info.name} is "
            f"{info.size_hw[1]} x {info.size_hw[0]}"
        )
    return LabelledMedium(
        medium_name(info.name),
        source,
        masklets,
        file_name=Path(info.name).name,
        prompts=session_prompts(path),
    )


def session_masklets(path: str | Path) -> Masklets:
    """Read the masklets of a session file; its video is not needed. Hidden objects, as those that a discovery has not
    confirmed, are left out.

    Raises:
        SessionError: the file is damaged, or not a session.
        DataError: it has no masks.
    """
    objects = tuple(
        ObjectInfo(record["object_id"], record["name"], record["class_name"])
        for record in session_about(path)["objects"]
        if not record["hidden"]
    )
    store = session_masks(path)
    if store.frames() is None:
        raise DataError(f"{path} has no masks: track first")
    return Masklets(store, objects)
