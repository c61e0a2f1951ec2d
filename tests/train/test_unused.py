"""Broken and unlabelled data: named, left out or used as far as it goes, and never the end of a run."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from PIL import Image

from masklet.errors import DataError
from masklet.masks.rle import encode_rle
from masklet.train.clips import ClipDataConfig, ClipSamples
from masklet.train.data import ImageDataConfig, ImageSamples, open_images
from masklet.train.unused import UNUSED, UnusedData, read_unused
from tests.media.clips import MakeClip

from .tiny_data import scene, write_clips, write_data


@pytest.fixture
def unused(tmp_path: Path) -> UnusedData:
    return UnusedData(tmp_path / "run" / UNUSED)


def lines(tmp_path: Path) -> list[str]:
    return read_unused(tmp_path / "run" / UNUSED)


def cut_off(path: Path) -> Path:
    """Keep the header, so that the file breaks only when its pixels are read."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 40])
    return path


def clips_of(tmp_path: Path) -> ClipDataConfig:
    return ClipDataConfig(
        image_root=str(tmp_path / "images"),
        clip_root=str(tmp_path / "clips"),
        size=64,
        num_frames=3,
        objects_per_clip=1,
        real_probability=1.0,
        interruption_probability=0.0,
        paste_on_real_probability=0.0,
    )


def test_an_image_that_is_none_is_left_out_when_data_are_opened(tmp_path: Path, unused: UnusedData) -> None:
    write_data(tmp_path / "images", 3)
    (tmp_path / "images/one/images/001.png").write_bytes(b"not an image")
    names = [image.name for _, groups in open_images(str(tmp_path / "images"), unused) for image in groups["one"]]
    assert names == ["one/000", "one/002"]
    assert len(lines(tmp_path)) == 1
    assert lines(tmp_path)[0].startswith(f"left out: {tmp_path / 'images/one/images/001.png'} is not an image")
    with pytest.raises(DataError, match=r"001\.png"):
        open_images(str(tmp_path / "images"))


def test_an_image_that_breaks_while_it_is_read_is_left_out(tmp_path: Path, unused: UnusedData) -> None:
    write_data(tmp_path / "images", 2)
    cut_off(tmp_path / "images/two/images/001.png")
    config = ImageDataConfig(root=str(tmp_path / "images"), size=64, paste_probability=0.0)
    samples = list(itertools.islice(ImageSamples(config, unused=unused), 20))
    assert len(samples) == 20
    assert len(lines(tmp_path)) == 1
    assert "two/images/001.png cannot be read" in lines(tmp_path)[0]
    with pytest.raises(DataError, match=r"001\.png"):
        list(itertools.islice(ImageSamples(config), 20))


def test_samples_stay_a_function_of_their_number(tmp_path: Path, unused: UnusedData) -> None:
    write_data(tmp_path / "images", 2)
    cut_off(tmp_path / "images/two/images/001.png")
    config = ImageDataConfig(root=str(tmp_path / "images"), size=64)
    whole = list(itertools.islice(ImageSamples(config, unused=unused), 8))
    continued = list(itertools.islice(ImageSamples(config, unused=unused, start=5), 3))
    assert all(first.rgb.equal(second.rgb) for first, second in zip(whole[5:], continued, strict=True))


def test_data_without_a_single_good_file_are_refused(tmp_path: Path, unused: UnusedData) -> None:
    write_data(tmp_path / "images", 1)
    for path in (tmp_path / "images").glob("*/images/*"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"000\.png"):
        open_images(str(tmp_path / "images"), unused)
    for path in (tmp_path / "images").glob("*/images/*"):
        Image.new("RGB", (80, 60)).save(path)
        cut_off(path)
    with pytest.raises(DataError, match=r"000\.png cannot be read"):
        next(iter(ImageSamples(ImageDataConfig(root=str(tmp_path / "images"), size=64), unused=unused)))


def test_frames_without_masks_between_labelled_ones_are_counted(tmp_path: Path, unused: UnusedData) -> None:
    write_data(tmp_path / "images", 2)
    write_clips(tmp_path / "clips", 9)
    for number in (1, 2, 5):
        (tmp_path / f"clips/clip/masks/{number:05d}.png").unlink()
    samples = ClipSamples(clips_of(tmp_path), unused=unused)
    assert all(bool(sample.masks.flatten(2).any(2).all()) for sample in itertools.islice(samples, 5))
    assert lines(tmp_path) == [
        "clips with masks for some of their frames: 1; 6 of their 9 frames have masks and are used "
        "(the first clip, clip: 6 of 9)"
    ]


def test_a_frame_that_is_no_image_costs_no_other_frame(tmp_path: Path, unused: UnusedData) -> None:
    write_data(tmp_path / "images", 2)
    write_clips(tmp_path / "clips", 6)
    (tmp_path / "clips/clip/frames/00003.png").write_bytes(b"not an image")
    assert len(list(itertools.islice(ClipSamples(clips_of(tmp_path), unused=unused), 5))) == 5
    assert len(lines(tmp_path)) == 1
    assert "frames/00003.png is not an image" in lines(tmp_path)[0]


def test_a_clip_without_a_single_good_frame_is_left_out(tmp_path: Path, unused: UnusedData) -> None:
    write_data(tmp_path / "images", 2)
    write_clips(tmp_path / "clips", 2)
    (tmp_path / "clips/clip").rename(tmp_path / "clips/bad")
    for path in (tmp_path / "clips/bad/frames").iterdir():
        path.write_bytes(b"")
    write_clips(tmp_path / "clips", 4)
    assert len(list(itertools.islice(ClipSamples(clips_of(tmp_path), unused=unused), 5))) == 5
    assert len(lines(tmp_path)) == 2
    assert all("clips/bad/frames" in line for line in lines(tmp_path))


def write_video(root: Path, make_clip: MakeClip, name: str) -> Path:
    """A video with masks as SA-V has them."""
    path = make_clip(f"clips/{name}.mp4", 12)
    masks = [encode_rle(scene([(10, 10, 30, 30)], (48, 64))[1] > 0)]
    document = {"video_height": 48, "video_width": 64, "video_frame_count": 12.0, "masklet": [masks] * 3}
    (root / "clips" / f"{name}_manual.json").write_text(json.dumps(document))
    return path


def test_a_broken_video_is_left_out_when_data_are_opened(
    tmp_path: Path, unused: UnusedData, make_clip: MakeClip
) -> None:
    write_data(tmp_path / "images", 2)
    write_video(tmp_path, make_clip, "good")
    write_video(tmp_path, make_clip, "bad").write_bytes(b"not a video")
    assert len(list(itertools.islice(ClipSamples(clips_of(tmp_path), unused=unused), 5))) == 5
    assert [line for line in lines(tmp_path) if "bad.mp4" in line and line.startswith("left out: ")]
    assert not [line for line in lines(tmp_path) if "good" in line and line.startswith("left out: ")]


def test_a_line_is_written_once_whatever_the_number_of_processes(tmp_path: Path) -> None:
    first, second = (UnusedData(tmp_path / "run" / UNUSED) for _ in range(2))
    for unused in (first, first, second):
        unused.add("left out: a.png\nbecause")
    assert lines(tmp_path) == ["left out: a.png because"]
    first.clear()
    assert lines(tmp_path) == []
