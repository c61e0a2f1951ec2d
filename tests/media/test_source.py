from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from masklet.errors import VideoError
from masklet.media.base import made_smaller
from masklet.media.images import read_image
from masklet.media.source import ArraySource, FolderSource, IteratorSource, VideoFileSource, open_source
from tests.media.clips import MakeClip, number_of, numbered_frame


def folder_of(path: Path, names: list[str]) -> Path:
    path.mkdir()
    for index, name in enumerate(names):
        Image.fromarray(numbered_frame(index)).save(path / name)
    return path


def video(count: int = 5) -> NDArray[np.uint8]:
    return np.stack([numbered_frame(index) for index in range(count)])


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "frames", ["f2.png", "f10.jpg", "F11.webp", "f100.bmp"])
    (folder / "notes.txt").write_text("no image")
    (folder / "._f2.png").write_bytes(b"what macOS leaves behind")
    with open_source(folder, fps=10) as source:
        assert isinstance(source, FolderSource)
        info = source.info
        assert (info.num_frames, info.fps, info.duration_s, info.size_hw) == (4, 10, 0.4, (48, 64))
        frames = list(source.frames())
        assert [number_of(frame.rgb) for frame in frames] == [0, 1, 2, 3]
        assert [frame.time_s for frame in frames] == [0, 0.1, 0.2, 0.3]
        assert [frame.index for frame in source.frames(3, None, -2)] == [3, 1]
        assert number_of(source.frame(2).rgb) == 2


def test_a_frame_of_another_size_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "frames", ["0.png", "1.png", "2.png"])
    Image.new("RGB", (10, 20)).save(folder / "1.png")
    with open_source(folder) as source:
        frames = source.frames()
        assert next(frames).index == 0
        with pytest.raises(VideoError, match=r"1\.png is 10 x 20, the first frame is 64 x 48") as caught:
            next(frames)
        assert caught.value.frame_index == 1


def test_small_pictures_of_files(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "frames", ["0.jpg", "1.png", "2.jpg", "3.jpg"])
    Image.fromarray(numbered_frame(2, (20, 10))).save(folder / "2.jpg")
    (folder / "3.jpg").write_bytes((folder / "3.jpg").read_bytes()[:400])
    paths = [folder / name for name in ("0.jpg", "1.png", "2.jpg", "3.jpg")]
    for source in (open_source(folder), open_source(paths)):
        for index in (0, 1):
            picture = source.picture(index, (12, 16))
            assert (picture.shape, number_of(picture)) == ((12, 16, 3), index)
        with pytest.raises(VideoError, match="10 x 20, the first frame is 64 x 48"):
            source.picture(2, (12, 16))
        with pytest.raises(VideoError, match=r"truncated|damaged"):
            source.picture(3, (12, 16))
        with pytest.raises(VideoError, match="does not exist"):
            source.picture(4, (12, 16))


def test_a_truncated_frame_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "frames", ["0.jpg", "1.jpg"])
    (folder / "1.jpg").write_bytes((folder / "1.jpg").read_bytes()[:400])
    with open_source(folder) as source:
        delivered = []
        with pytest.raises(VideoError, match=r"1\.jpg is (truncated|damaged)") as caught:
            delivered.extend(frame.index for frame in source.frames())
        assert delivered == [0]
        assert caught.value.frame_index == 1


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="holds no images"):
        open_source(tmp_path)


@pytest.mark.parametrize("images", [video(), list(video()), [Image.fromarray(rgb) for rgb in video()]])
def test_images_in_memory_can_be_read_in_any_order(images: object) -> None:
    with open_source(images) as source:  # type: ignore[arg-type]
        assert isinstance(source, ArraySource)
        assert source.info.num_frames == 5
        assert [number_of(frame.rgb) for frame in source.frames(4, None, -1)] == [4, 3, 2, 1, 0]
        assert number_of(source.frame(3).rgb) == 3


def test_an_iterator_runs_once_and_continues_where_it_stopped() -> None:
    with open_source(iter(video()), fps=5) as source:
        assert isinstance(source, IteratorSource)
        assert (source.info.num_frames, source.info.size_hw) == (None, (48, 64))
        assert [number_of(frame.rgb) for frame in source.frames(0, 2)] == [0, 1]
        assert [(frame.index, frame.time_s) for frame in source.frames(3)] == [(3, 0.6), (4, 0.8)]
        with pytest.raises(VideoError, match=r"frame 0 .* is gone"):
            source.frames()
        with pytest.raises(VideoError, match="cannot run backwards"):
            source.frames(5, 0, -1)
        with pytest.raises(VideoError, match="no random access"):
            source.frame(0)


def test_an_iterator_is_not_read_ahead() -> None:
    taken = []

    def images() -> object:
        for index in range(5):
            taken.append(index)
            yield numbered_frame(index)

    with open_source(images()) as source:  # type: ignore[arg-type]
        next(source.frames())
        assert taken == [0]


def test_an_iterator_whose_size_changes() -> None:
    images = [numbered_frame(0), numbered_frame(1, (32, 32))]
    with open_source(iter(images)) as source, pytest.raises(VideoError, match=r"frame 1 .* is 32 x 32") as caught:
        list(source.frames())
    assert caught.value.frame_index == 1


def test_files_and_sources(make_clip: MakeClip) -> None:
    path = make_clip()
    with open_source(str(path)) as source:
        assert isinstance(source, VideoFileSource)
        assert open_source(source) is source
    with open_source(f"file://{path}") as source:
        assert source.info.num_frames == 12


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nowhere.mp4", "no such video"),
        (np.zeros((4, 4, 3), np.uint8), r"must be \(T, H, W, 3\)"),
        ([], "empty"),
        (iter([]), "empty"),
        (["not an image.jpg"], "frame 0: no such image"),
        (3.5, "got float"),
        (None, "got NoneType"),
    ],
)
def test_invalid_sources_are_explained(source: object, reason: str) -> None:
    with pytest.raises(VideoError, match=reason):
        open_source(source)  # type: ignore[arg-type]


def grey_16(index: int) -> NDArray[np.uint16]:
    """A frame as microscopes write it: few of the values of 16 bits, and all of them needed."""
    return (800 + np.arange(48 * 64).reshape(48, 64) % 150 + index).astype(np.uint16)


def test_frames_of_16_bits_are_shown_alike_from_every_kind_of_source(tmp_path: Path) -> None:
    frames = [grey_16(index) for index in range(6)]
    (tmp_path / "frames").mkdir()
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frames/{index}.png")
    stack = [Image.fromarray(frame) for frame in frames]
    stack[0].save(tmp_path / "stack.tif", save_all=True, append_images=stack[1:])
    with open_source(tmp_path / "stack.tif") as source:
        expected = [frame.rgb for frame in source.frames()]
    assert len(np.unique(expected)) > 100
    files = sorted((tmp_path / "frames").iterdir())
    for other in (tmp_path / "frames", frames, files, stack):
        with open_source(other) as source:  # type: ignore[arg-type]
            assert all((frame.rgb == expected[frame.index]).all() for frame in source.frames())
            assert (source.frame(5).rgb == expected[5]).all()
            assert np.abs(source.picture(5, (24, 32)).astype(int) - made_smaller(expected[5], (24, 32))).max() <= 1


def test_a_window_applies_to_a_folder_as_to_a_stack(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    Image.fromarray(grey_16(0)).save(tmp_path / "frames/0.png")
    Image.fromarray(grey_16(0)).save(tmp_path / "stack.tif")
    for path in (tmp_path / "frames", tmp_path / "stack.tif", tmp_path / "frames/0.png"):
        with open_source(path, window=(850, 100)) as source:
            rgb = source.frame(0).rgb
            assert (rgb[0, 0] == 0).all()
            assert abs(int(rgb[0, 50, 0]) - 128) <= 1
            assert (rgb[1, 60] == 255).all()


def test_a_window_is_refused_where_it_has_no_meaning(tmp_path: Path, make_clip: MakeClip) -> None:
    folder = folder_of(tmp_path / "frames", ["0.png"])
    several = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    several[0].save(tmp_path / "a.webp", save_all=True, append_images=several[1:])
    several[0].save(tmp_path / "a.tif", save_all=True, append_images=several[1:])
    sources = [
        folder,
        folder / "0.png",
        tmp_path / "a.webp",
        tmp_path / "a.tif",
        make_clip("a.mp4"),
        video(),
        iter(video()),
    ]
    for source in [*sources, "rtsp://127.0.0.1:1/a", "http://127.0.0.1:1/a.mp4", 7]:
        with pytest.raises(VideoError, match=r"has 8 bits per value: a window .*leave it out"):
            open_source(source, window=(40, 400))  # type: ignore[arg-type]


def test_frames_of_two_depths_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "frames", ["0.png", "2.png"])
    Image.fromarray(grey_16(0)).save(folder / "1.png")
    with open_source(folder) as source, pytest.raises(VideoError, match=r"1\.png has 16 bits .* one depth"):
        source.frame(1)
    (folder / "0.png").unlink()
    with open_source(folder) as source, pytest.raises(VideoError, match=r"2\.png has 8 bits .* one depth"):
        source.frame(1)


@pytest.mark.parametrize(
    ("name", "reason"), [("b.jxl", "JPEG XL"), ("b.CR2", "raw file"), ("b.psd", "Photoshop"), ("b.exr", "OpenEXR")]
)
def test_no_picture_of_a_folder_is_left_out_silently(name: str, reason: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "frames", ["a.png", "c.png"])
    (folder / name).write_bytes(b"?")
    with pytest.raises(VideoError, match=rf"{name} is .*{reason}.*which is not an image in a format that is read"):
        open_source(folder)
    Image.fromarray(numbered_frame(1)).save(folder / "b.png")  # as cameras write a JPEG next to the raw file
    with open_source(folder) as source:
        assert source.info.num_frames == 3


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.bmp", "photo.mp4"])
def test_an_image_is_a_video_of_one_frame_with_the_pixels_of_the_image(name: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(numbered_frame(5)).save(tmp_path / "photo.jpg", exif=exif)
    path = (tmp_path / "photo.jpg").rename(tmp_path / name)
    with open_source(path) as source:
        assert [(frame.rgb == read_image(path)).all() for frame in source.frames()] == [True]
        assert source.info.size_hw == (64, 48)
