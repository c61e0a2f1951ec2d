"""An image or a video with its masklets, out of files: a session, or masks that any tool wrote. No model is needed."""

from __future__ import annotations

from pathlib import Path

from masklet.errors import DataError
from masklet.formats.importing import import_masks
from masklet.media.images import IMAGE_SUFFIXES, read_image
from masklet.media.source import ArraySource, VideoSource, open_source
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo
from masklet.tracking.session import session_about, session_masks

SESSION_SUFFIX = ".masklet"


def open_labelled(path: str | Path, masks: str | Path | None = None) -> tuple[LabelledMedium, tuple[str, ...]]:
    """A session, or an image or a video with masks beside it; close its `source` when done.

    Args:
        path: a .masklet file; or an image, a video, or a folder of frames, for which `masks` are needed.
        masks: what `import_masks` reads. With a session: the video, when it does not lie where the session says.

    Returns:
        The medium, and what of the masks could not be used.

    Raises:
        As `open_session` and `import_masks`; ImageError: the image cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() == SESSION_SUFFIX:
        return open_session(path, None if masks is None else str(masks)), ()
    if masks is None:
        raise DataError(f"{path} is no session ({SESSION_SUFFIX}): give the masks that belong to it, too")
    is_image = path.suffix.lower() in IMAGE_SUFFIXES - {".gif"} and not path.is_dir()
    source = ArraySource([read_image(path)], name=str(path)) if is_image else open_source(path)
    info = source.info
    if info.num_frames is None:
        raise DataError(f"{path} has no end, so no masks can belong to it")
    found = import_masks(masks, size_hw=info.size_hw, num_frames=info.num_frames, file_name=path.name)
    name = path.resolve().name if path.is_dir() else path.stem
    return LabelledMedium(name, source, found.masklets, is_image, path.name), found.skipped


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
