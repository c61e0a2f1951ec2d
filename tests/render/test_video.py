from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from masklet.errors import ConfigError, DataError, MaskletError, OutputError, VideoError
from masklet.media.images import read_image
from masklet.media.source import ArraySource, open_source
from masklet.render import Composition, render_frame, render_preview, render_video
from masklet.render.steady import frames_with_masks
from masklet.tracking.mask_rows import given_row
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo
from tests.media.clips import write_tone
from tests.render.material import look, moving_clip, opened, picture, square


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "h264"), ("a.webm", "vp9"), ("a.mov", "prores")])
def test_videos_keep_times_and_sound(tmp_path: Path, name: str, codec: str) -> None:
    times = [0.0, 0.1, 0.4, 0.5]
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("aac", rate=48000, layout="stereo")
        for time_s in times:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        write_tone(container, audio, 0.6)
    with open_source(tmp_path / "in.mp4") as source:
        medium = LabelledMedium("in", source, Masklets.of_masks({0: {1: square(5, 5, 20, (48, 64))}}))
        seen: list[tuple[int, int | None]] = []
        done = render_video(
            medium, look("gray"), tmp_path / name, progress=lambda frames, total, _: seen.append((frames, total))
        )
    assert (done.num_frames, seen[-1]) == (4, (4, 4))
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].codec_context.name == codec
        assert len(container.streams.audio) == 1
    assert [round(frame.time or 0, 2) for frame in opened(tmp_path / name)] == times


def test_alpha_comes_through_webm_prores_and_png(tmp_path: Path) -> None:
    medium, composition = moving_clip(2), look("transparent")
    for name in ("a.webm", "a.mov", "a.zip"):
        render_video(medium, composition, tmp_path / name)
    expected = render_preview(medium, 1, composition)[..., 3]
    with av.open(str(tmp_path / "a.webm")) as container:
        stream = container.streams.video[0]
        assert stream.metadata.get("ALPHA_MODE", stream.metadata.get("alpha_mode")) == "1"
        decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own decoder leaves alpha out
        assert isinstance(decoder, av.VideoCodecContext)
        frames = [frame for packet in container.demux(stream) if packet.size for frame in decoder.decode(packet)]
    assert np.abs(frames[1].to_ndarray(format="rgba")[..., 3].astype(int) - expected).mean() < 4
    prores = opened(tmp_path / "a.mov")[1].to_ndarray(format="rgba")[..., 3]
    assert np.abs(prores.astype(int) - expected).mean() < 2
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("00001.png") as file:
        assert np.array_equal(np.asarray(Image.open(file))[..., 3], expected)


def test_a_gif_has_a_size_a_rate_and_holes(tmp_path: Path) -> None:
    render_video(moving_clip(6), look("transparent"), tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as gif:
        assert getattr(gif, "n_frames", 1) == 6
        assert gif.info["duration"] == 100
        gif.seek(2)
        alpha = np.asarray(gif.convert("RGBA"))[..., 3]
    assert alpha[45, 45] == 255
    assert alpha[5, 5] == 0


def test_odd_sides_and_one_frame(tmp_path: Path) -> None:
    medium = moving_clip(1, size=(45, 61))
    for name, size in (("a.mp4", (62, 46)), ("a.webm", (61, 45)), ("a.mov", (61, 45))):
        render_video(medium, look("blur"), tmp_path / name)
        (frame,) = opened(tmp_path / name)
        assert (frame.width, frame.height) == size


def test_a_range_and_a_cancelled_render(tmp_path: Path) -> None:
    medium = moving_clip(6)
    assert render_video(medium, look("gray"), tmp_path / "a.mp4", start=2, stop=5).num_frames == 3
    asked = iter([False, False, True])
    done = render_video(medium, look("gray"), tmp_path / "b.mp4", cancelled=lambda: next(asked))
    assert not done.is_complete
    assert len(opened(tmp_path / "b.mp4")) == 2


def test_a_full_disk_leaves_a_playable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage(tmp_path))
    free = iter([2**30] * 3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 0, next(free, 0)))
    with pytest.raises(OutputError, match="the disk is full"):
        render_video(moving_clip(6), look("gray"), tmp_path / "a.mp4")
    assert len(opened(tmp_path / "a.mp4")) == 3


@pytest.mark.parametrize(
    ("name", "composition", "options", "error", "message"),
    [
        ("a.mp4", look("transparent"), {}, OutputError, "MP4 has no transparency: choose WebM"),
        ("a.avi", look("gray"), {}, OutputError, "cannot tell from"),
        ("a.mp4", look("gray"), {"container": "webm"}, OutputError, "WebM is written to .webm"),
        ("a.mp4", look("gray"), {"container": "ogg"}, ConfigError, "choose from mp4"),
        ("a.mp4", look("gray"), {"start": 9}, VideoError, "there are no frames from 9"),
        ("a.mp4", look({"effect": "image", "asset_id": "x"}), {}, ConfigError, "no asset 'x'"),
        ("a.mp4", look("video"), {}, ConfigError, "asset_id must name the video"),
    ],
)
def test_what_cannot_be_rendered(
    tmp_path: Path,
    name: str,
    composition: Composition,
    options: dict[str, Any],
    error: type[MaskletError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        render_video(moving_clip(2), composition, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_a_mask_of_another_size_is_an_error() -> None:
    with pytest.raises(DataError, match="the mask of object 1 is 5 x 5, its frame 120 x 90"):
        render_frame(picture(), {1: np.ones((5, 5), np.bool_)}, look("gray"))


def test_a_preview_is_the_frame_made_smaller() -> None:
    done = render_preview(moving_clip(3), 1, look("gray", "outline"), width=60)
    assert done.shape == (45, 60, 3)


def test_effects_on_objects_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    for composition in (
        Composition.from_dict({"objects": {"9": [{"effect": "remove"}]}}),
        Composition.from_dict({"background": {"effect": "blur"}, "cutout": [1, 9]}),
    ):
        with pytest.raises(ConfigError, match="object 9 does not exist: the objects are 1"):
            render_video(moving_clip(), composition, tmp_path / "out.mp4")
        with pytest.raises(ConfigError, match="object 9"):
            render_preview(moving_clip(), 0, composition)
    assert not (tmp_path / "out.mp4").exists()


def flickering_clip() -> LabelledMedium:
    """An object that stands still; on the fourth of eight frames a third of its tracked mask is missing."""
    masks = {index: {1: square()} for index in range(8)}
    masks[3] = {1: square(side=20)}
    store = MaskStore()
    store.write(given_row(index, 1, by_object[1], prompted=False) for index, by_object in masks.items())
    frames = np.stack([picture()] * 8)
    return LabelledMedium("clip", ArraySource(frames, fps=10), Masklets(store, (ObjectInfo(1),)))


@pytest.mark.parametrize(
    ("background", "stabilise", "is_steady"),
    [
        ("color", "auto", True),
        ("color", "off", False),
        ("none", "auto", False),
        ("none", "on", True),
    ],
)
def test_cut_outs_are_steady_unless_told_otherwise(
    tmp_path: Path, background: str, stabilise: str, is_steady: bool
) -> None:
    effects = ("color",) if background == "none" else ()
    composition = look(background, *effects, edges={"refine": False, "decontaminate": False, "stabilise": stabilise})
    render_video(flickering_clip(), composition, tmp_path / "pngs")
    pictures = [read_image(path).astype(int) for path in sorted((tmp_path / "pngs").iterdir())]
    assert len(pictures) == 8
    changed = np.abs(pictures[3] - pictures[2]).max(axis=2) > 30
    assert changed.any() == (not is_steady)
    preview = render_preview(flickering_clip(), 3, composition).astype(int)
    assert (np.abs(preview - pictures[3]).max(axis=2) > 30).sum() == 0


def test_masks_that_a_user_accepted_are_not_steadied(tmp_path: Path) -> None:
    medium = flickering_clip()
    store = medium.masklets.rows
    assert isinstance(store, MaskStore)
    store.write([replace(store.frame(3)[0], accepted=True)])
    pairs = frames_with_masks(medium.source.frames(), medium.masklets, stabilise=True)
    shown = {frame.index: masks[1] for frame, masks in pairs}
    np.testing.assert_array_equal(shown[3], square(side=20))
    np.testing.assert_array_equal(shown[4], square())


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG"])
def test_one_picture_is_written_as_jpeg(tmp_path: Path, name: str) -> None:
    photo = replace(moving_clip(1), is_image=True)
    done = render_video(photo, look({"effect": "gray"}), tmp_path / name)
    assert (done.container, done.num_frames) == ("jpeg", 1)
    with Image.open(tmp_path / name) as image:
        assert (image.format, image.size) == ("JPEG", (picture().shape[1], picture().shape[0]))
    with pytest.raises(OutputError, match="no transparency"):
        render_video(photo, look({"effect": "transparent"}), tmp_path / name)


def test_a_jpeg_holds_one_frame(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds one frame"):
        render_video(moving_clip(2), look({"effect": "gray"}), tmp_path / "a.jpg")
