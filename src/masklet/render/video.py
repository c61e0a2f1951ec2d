"""Renders a whole medium with its effects, frame by frame in constant memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from masklet.checks import check_whole
from masklet.errors import ConfigError, OutputError, VideoError
from masklet.media.base import Frames, FrameSource, closing_frames
from masklet.media.gif import GifOptions, GifWriter
from masklet.media.images import write_image
from masklet.media.writer import VideoWriter, h264, prores, vp9
from masklet.output import OutputFolder, check_space, check_writable
from masklet.records import BoolArray, ByteArray, Frame, Progress
from masklet.render.backdrop import Asset
from masklet.render.composition import Composition, Remove
from masklet.render.frame import Renderer
from masklet.render.plate import CleanPlate
from masklet.render.steady import REACH, FrameWithMasks, frames_with_masks, steadies
from masklet.render.trails import Trails
from masklet.tracking.masklets import LabelledMedium, Masklets


@dataclass(frozen=True, slots=True)
class Container:
    """A file format for renders."""

    id: str
    name: str
    description: str
    suffixes: tuple[str, ...]
    has_alpha: bool
    kinds: tuple[str, ...] = ("video",)
    """Kinds of media that it makes sense for."""


_BOTH = ("image", "video")

CONTAINERS: dict[str, Container] = {
    container.id: container
    for container in (
        Container("mp4", "MP4", "H.264 with sound, as every player and browser shows it.", (".mp4", ".mkv"), False),
        Container("webm", "WebM", "VP9 with sound; with alpha for web pages.", (".webm",), True),
        Container("mov", "MOV", "ProRes 4444 with sound and alpha, for editing. Large.", (".mov",), True),
        Container(
            "png", "PNG", "Exact pixels, with alpha; of a video one PNG per frame.", (".zip", ".png", ""), True, _BOTH
        ),
        Container("jpeg", "JPEG", "One picture: a small file, without alpha.", (".jpg", ".jpeg"), False, ("image",)),
        Container("gif", "GIF", "An animation of 256 colours, without sound; alpha is yes or no.", (".gif",), True),
    )
}
"""All containers by id."""

AHEAD_FRAMES, AHEAD_STRIDE = 300, 5
"""Number of frames searched ahead for the background behind a removed object, and their step."""
_AROUND_STRIDE, _AROUND_COUNT = 8, 5
"""The same for a preview, on either side."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The result of a render."""

    path: Path
    container: str
    num_frames: int
    is_complete: bool
    """False if it was cancelled; the file then has the frames before."""


class _RenderWriter(Protocol):
    def write(self, picture: ByteArray, time_s: float) -> None: ...

    def to_finish(self) -> int: ...

    def __enter__(self) -> _RenderWriter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


def render_video(
    medium: LabelledMedium,
    composition: Composition,
    out: str | Path,
    *,
    container: str | None = None,
    start: int = 0,
    stop: int | None = None,
    assets: Mapping[str, Asset] | None = None,
    gif: GifOptions | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Rendered:
    """Write a medium with effects. Time stamps and sound are those of the source.

    Args:
        medium: an image or a video, with its masklets; frames without masks are background.
        composition: the effects.
        out: see `CONTAINERS` for suffixes; for "png" a .zip, or a folder that is empty or does not exist, or for one
            frame a .png.
        container: one of `CONTAINERS`; None chooses by the suffix.
        start: first frame.
        stop: the frame after the last one; None runs to the end.
        assets: backgrounds by the composition's `asset_id`: files, or (h, w, 3) images.
        gif: size and rate of a GIF.
        progress: called after each frame.
        cancelled: called before each frame; if it returns True, the file is finished with the frames so far.

    Returns:
        The result. After an error the frames before it are in the file, except for PNGs and GIFs.

    Raises:
        ConfigError: the container is unknown, an asset is missing, or an effect is for an object that does not exist.
        DataError: a mask does not have the size of its frame.
        ImageError: a background cannot be read.
        OutputError: the container has no alpha but needs it, the path cannot be written, or the disk is full.
        VideoError: `start` does not exist, or the source or the background broke off.
    """
    kind = choose_container(out, container)
    path = Path(out)
    _check_alpha(kind, composition)
    composition.check_objects(info.object_id for info in medium.masklets.objects)
    source = medium.source
    last = _last_frame(source, start, stop)
    done, is_complete = 0, True
    with (
        Renderer(
            composition,
            source.info.size_hw,
            objects=medium.masklets.objects,
            assets=assets,
            plate=_plate(medium, composition, start, last),
        ) as renderer,
        _open_writer(path, kind, medium, composition, gif or GifOptions()) as writer,
        closing_frames(source.frames(start, last)) as frames,
    ):
        steady = steadies(composition) and not medium.is_image
        trails = Trails(medium.masklets, composition, source.info.fps)
        first_s: float | None = None
        for frame, masks in frames_with_masks(frames, medium.masklets, stabilise=steady):
            if cancelled is not None and cancelled():
                is_complete = False
                break
            first_s = frame.time_s if first_s is None else first_s
            picture = renderer.render(
                frame.rgb, masks, time_s=frame.time_s - first_s, trails=trails.at(frame.index, masks)
            )
            keeps_frames = done > 0 and kind.id not in ("png", "jpeg", "gif")
            check_space(path, picture.nbytes + writer.to_finish(), keeps_frames=keeps_frames)
            writer.write(picture, frame.time_s)
            done += 1
            if progress is not None:
                progress(done, None if last is None else last - start, "")
    return Rendered(path, kind.id, done, is_complete)


def _check_alpha(kind: Container, composition: Composition) -> None:
    """Refuse a transparent picture in a container without alpha."""
    if composition.is_transparent and not kind.has_alpha:
        others = ", ".join(other.name for other in CONTAINERS.values() if other.has_alpha)
        raise OutputError(f"{kind.name} has no transparency: choose {others}, or another background than transparent")


def _last_frame(source: FrameSource, start: int, stop: int | None) -> int | None:
    """Return the frame after the last one that is rendered; None for a source without an end."""
    start = check_whole("start", start, error=VideoError)
    stop = None if stop is None else check_whole("stop", stop, error=VideoError)
    count = source.info.num_frames
    last = count if stop is None else stop if count is None else min(stop, count)
    if start < 0 or (last is not None and start >= last):
        raise VideoError(f"there are no frames from {start} to {stop}: {source.info.name} has {count}")
    return last


class PreviewedMedium(Protocol):
    """An image or a video with random access, and its masklets; a `LabelledMedium` is one."""

    @property
    def source(self) -> Frames: ...

    @property
    def masklets(self) -> Masklets: ...

    @property
    def is_image(self) -> bool: ...


def render_preview(
    medium: PreviewedMedium,
    frame_index: int,
    composition: Composition,
    *,
    width: int | None = None,
    assets: Mapping[str, Asset] | None = None,
    start: int = 0,
) -> ByteArray:
    """Render one frame as `render_video` shows it.

    Args:
        medium: as in `render_video`.
        frame_index: number of the frame.
        composition: the effects.
        width: of a smaller result, which is also faster; None means full size.
        assets: as in `render_video`.
        start: the first frame of the render, where a background video begins.

    Returns:
        (h, w, 3), or (h, w, 4) with straight alpha where the background is transparent.

    Raises:
        As `render_video`.
    """
    composition.check_objects(info.object_id for info in medium.masklets.objects)
    frame_index = check_whole("frame_index", frame_index, error=VideoError)
    frame, full = _previewed(medium, frame_index, composition)
    full_width = frame.rgb.shape[1]
    scale = 1.0 if width is None or width >= full_width else width / full_width
    rgb, masks = _smaller(frame.rgb, full, scale)
    plate = None
    if not medium.is_image and any(_is_removed(composition, object_id, fill="auto") for object_id in masks):
        plate = CleanPlate((rgb.shape[0], rgb.shape[1]))
        for stride in (_AROUND_STRIDE, -_AROUND_STRIDE):
            plate.look_ahead(_around(medium, frame_index, stride, scale), stride)
    time_s = frame.time_s - (medium.source.frame(start).time_s if 0 < start < frame_index else 0.0)
    trails = Trails(medium.masklets, composition, medium.source.info.fps).at(frame_index, full, scale)
    size_hw = (rgb.shape[0], rgb.shape[1])
    with Renderer(composition, size_hw, objects=medium.masklets.objects, assets=assets, plate=plate) as renderer:
        return renderer.render(rgb, masks, time_s=max(0.0, time_s), trails=trails)


def _previewed(medium: PreviewedMedium, frame_index: int, composition: Composition) -> FrameWithMasks:
    """Return a frame and its masks, steadied with the frames around it where the render does so."""
    first = max(0, frame_index - REACH)
    stop = min(medium.source.info.num_frames or frame_index + 1, frame_index + REACH + 1)
    if medium.is_image or not steadies(composition):
        first, stop = frame_index, frame_index + 1
    around = (medium.source.frame(index) for index in range(first, stop))
    pairs = frames_with_masks(around, medium.masklets, stabilise=stop - first > 1)
    return next((frame, masks) for frame, masks in pairs if frame.index == frame_index)


def choose_container(out: str | Path, container: str | None = None) -> Container:
    """Return the container of this name, or that of a file's suffix.

    Raises:
        ConfigError: the name is unknown.
        OutputError: the suffix is unknown, or belongs to another container.
    """
    suffix = Path(out).suffix.lower()
    if container is None:
        by_suffix = next((kind for kind in CONTAINERS.values() if suffix in kind.suffixes), None)
        if by_suffix is None:
            endings = ", ".join(ending for kind in CONTAINERS.values() for ending in kind.suffixes if ending)
            raise OutputError(f"cannot tell from {out} what to write: end it in {endings}, or give a folder for PNGs")
        return by_suffix
    if container not in CONTAINERS:
        raise ConfigError(f"unknown container {container!r}: choose from {', '.join(CONTAINERS)}")
    kind = CONTAINERS[container]
    if suffix not in kind.suffixes:
        raise OutputError(f"{kind.name} is written to {' or '.join(filter(None, kind.suffixes))}, got {out}")
    return kind


def _open_writer(
    path: Path, kind: Container, medium: LabelledMedium, composition: Composition, gif: GifOptions
) -> _RenderWriter:
    info = medium.source.info
    check_writable(path) if path.suffix else path.parent.mkdir(parents=True, exist_ok=True)
    if kind.id == "gif":
        return GifWriter(path, gif)
    if kind.id == "png":
        return _OnePicture(path) if path.suffix.lower() == ".png" else _Pngs(path)
    if kind.id == "jpeg":
        return _OnePicture(path)
    if kind.id == "webm":
        return VideoWriter(path, info, vp9(alpha=composition.is_transparent))
    return VideoWriter(path, info, h264() if kind.id == "mp4" else prores())


class _Pngs:
    """Writes one PNG per frame, in a folder or a .zip."""

    def __init__(self, path: Path) -> None:
        self._folder = OutputFolder(path)
        self._count = 0

    def write(self, picture: ByteArray, time_s: float) -> None:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG", compress_level=3)
        self._folder.write(f"{self._count:05d}.png", buffer.getvalue())
        self._count += 1

    def to_finish(self) -> int:
        return 256 * self._count

    def __enter__(self) -> _RenderWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.__exit__(kind, error, trace)


class _OnePicture:
    """Writes a single PNG or JPEG."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_written = False

    def write(self, picture: ByteArray, time_s: float) -> None:
        if self._is_written:
            raise OutputError(f"{self._path} holds one frame: give a folder or a .zip for more")
        write_image(self._path, picture)
        self._is_written = True

    def to_finish(self) -> int:
        return 0

    def __enter__(self) -> _RenderWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def _is_removed(composition: Composition, object_id: int, *, fill: str) -> bool:
    effect = composition.effect_of(object_id, Remove)
    return effect is not None and effect.fill == fill


def _plate(medium: LabelledMedium, composition: Composition, start: int, stop: int | None) -> CleanPlate | None:
    """Collect the background behind removed objects from the frames ahead; None if no object is removed."""
    removed = [info for info in medium.masklets.objects if _is_removed(composition, info.object_id, fill="auto")]
    if not removed or medium.is_image:
        return None
    plate = CleanPlate(medium.source.info.size_hw)
    if not medium.source.info.is_live:
        end = start + AHEAD_FRAMES if stop is None else min(stop, start + AHEAD_FRAMES)
        with closing_frames(medium.source.frames(start, end, AHEAD_STRIDE)) as frames:
            plate.look_ahead(((frame, medium.masklets.masks_at(frame.index)) for frame in frames), AHEAD_STRIDE)
    return plate


def _around(
    medium: PreviewedMedium, frame_index: int, stride: int, scale: float
) -> Iterator[tuple[Frame, Mapping[int, BoolArray]]]:
    count = medium.source.info.num_frames or 0
    for step in range(_AROUND_COUNT + 1):
        index = frame_index + step * stride
        if 0 <= index < count:
            frame = medium.source.frame(index)
            rgb, masks = _smaller(frame.rgb, medium.masklets.masks_at(index), scale)
            yield Frame(index, rgb, frame.time_s), masks


def _smaller(rgb: ByteArray, masks: Mapping[int, BoolArray], scale: float) -> tuple[ByteArray, dict[int, BoolArray]]:
    if scale == 1:
        return rgb, dict(masks)
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    small: dict[int, BoolArray] = {
        object_id: cv2.resize(mask.astype(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA) > 127
        for object_id, mask in masks.items()
    }
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8), small
