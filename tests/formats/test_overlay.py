from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from masklet.formats import (
    export_masks,
    open_streams,
)
from masklet.media.images import read_image
from masklet.media.source import ArraySource, open_source
from masklet.records import Frame, FrameMasks
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo
from tests.formats.material import SIZE
from tests.media.clips import MakeClip, is_upright, masks_for, number_of


def no_masks(frame: Frame) -> FrameMasks:
    return masks_for(frame, ())


def track(
    source_path: Path,
    out: Path,
    *,
    start: int = 0,
    stop: int | None = None,
    masks: Callable[[Frame], FrameMasks] = no_masks,
) -> None:
    with open_source(source_path) as source, open_streams(out, [], source) as streams:
        for frame in source.frames(start, stop):
            streams.write(frame, masks(frame))


def sound_of(path: Path) -> NDArray[np.float32]:
    """Mono samples at 48 kHz, from time 0."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=48000)
        parts = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate(parts)


def test_the_overlay_has_size_rate_and_length_of_its_source(make_clip: MakeClip, tmp_path: Path) -> None:
    out = tmp_path / "out" / "clip.mp4"
    track(make_clip(fps=Fraction(30000, 1001)), out)
    with open_source(out) as overlay:
        info = overlay.info
        assert (info.size_hw, info.num_frames, info.codec, info.has_audio) == ((48, 64), 12, "h264", False)
        assert info.fps == pytest.approx(29.97, abs=0.001)
        assert info.duration_s == pytest.approx(12 * 1001 / 30000, abs=1e-3)
        assert [number_of(frame.rgb) for frame in overlay.frames()] == list(range(12))
        assert np.abs(overlay.frame(0).rgb[12, 16].astype(int) - (255, 0, 0)).max() < 16
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.pix_fmt == "yuv420p"  # what every player shows


def test_objects_are_drawn(make_clip: MakeClip, tmp_path: Path) -> None:
    path = make_clip(size_hw=(96, 128))
    track(path, tmp_path / "with.mp4", masks=masks_for)
    track(path, tmp_path / "without.mp4")
    with open_source(tmp_path / "with.mp4") as with_masks, open_source(tmp_path / "without.mp4") as without:
        difference = np.abs(with_masks.frame(3).rgb.astype(int) - without.frame(3).rgb).sum(axis=2)
    assert (difference[6:18, 8:28] > 60).mean() > 0.9
    assert difference[60:, 60:].max() < 60


def test_turned_video_is_written_upright(make_clip: MakeClip, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    track(make_clip("in.mp4", turn=90, size_hw=(64, 96)), out)
    with open_source(out) as overlay:
        assert (overlay.info.size_hw, overlay.info.rotation_degrees) == ((64, 96), 0)
        assert is_upright(overlay.frame(0).rgb)


def test_uneven_time_stamps_are_kept(make_clip: MakeClip, tmp_path: Path) -> None:
    stamps = [0, 10, 50, 60, 100, 200, 210, 400, 410, 420, 500, 900]
    out = tmp_path / "out.mp4"
    track(make_clip("in.mp4", pts=stamps), out, start=2)
    with open_source(out) as overlay:
        times = [frame.time_s for frame in overlay.frames()]
    assert times == pytest.approx([(stamp - 50) / 1000 for stamp in stamps[2:]])


def test_an_odd_size_gets_one_more_pixel(make_clip: MakeClip, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    track(make_clip("in.mov", size_hw=(47, 63), pixel_format="yuv444p"), out)
    with open_source(out) as overlay:
        assert overlay.info.size_hw == (48, 64)
        assert [number_of(frame.rgb) for frame in overlay.frames()] == list(range(12))


@pytest.mark.parametrize(("name", "codec"), [("in.mp4", "aac"), ("in.mkv", "libmp3lame"), ("in.mov", "pcm_s16le")])
@pytest.mark.parametrize(("start", "stop"), [(0, None), (15, 35)])
def test_sound_stays_with_its_pictures(
    make_clip: MakeClip, tmp_path: Path, name: str, codec: str, start: int, stop: int | None
) -> None:
    path, out = make_clip(name, 40, audio=codec, b_frames=0), tmp_path / "out.mp4"
    track(path, out, start=start, stop=stop)
    heard, original = sound_of(out), sound_of(path)
    seconds = ((stop or 40) - start) / 25
    assert len(heard) / 48000 == pytest.approx(seconds, abs=0.07)
    # The pitch rises, so only the right stretch of sound correlates.
    window = slice(4800, round(seconds * 48000) - 4800)
    wanted = original[start * 48000 // 25 :][window]
    assert np.corrcoef(heard[window], wanted)[0, 1] > 0.98


def drawn(size_hw: tuple[int, int], status: str, tmp_path: Path, **options: object) -> NDArray[np.uint8]:
    """One frame with an object that is not seen."""
    frame = Frame(0, np.full((*size_hw, 3), 128, np.uint8), 0.0)
    masks = FrameMasks(
        0,
        0.0,
        (1,),
        np.zeros((1, *size_hw), np.bool_),
        np.array([0.4], np.float32),
        np.array([-3], np.float32),
        np.zeros(1, np.bool_),
        (status,),  # type: ignore[arg-type]
        np.zeros(1, np.bool_),
    )
    path = tmp_path / "o.mp4"
    with open_streams(path, [], ArraySource([frame.rgb]), options={"overlay": options}, force=True) as streams:
        streams.write(frame, masks)
    with open_source(path) as overlay:
        return overlay.frame(0).rgb


def test_a_lost_object_is_named(tmp_path: Path) -> None:
    pictures = {status: drawn((240, 320), status, tmp_path) for status in ("present", "occluded", "lost")}
    plain = pictures["present"].astype(int)
    assert np.abs(plain - 128).max() < 8
    for status in ("occluded", "lost"):
        assert np.abs(pictures[status] - plain).max() > 60, status
    assert np.abs(pictures["lost"].astype(int) - pictures["occluded"]).max() > 60  # another word
    assert np.abs(drawn((240, 320), "lost", tmp_path, labels=False).astype(int) - 128).max() < 8


def test_objects_have_their_own_colours(tmp_path: Path) -> None:
    masklets = Masklets.of_masks({0: {1: np.ones(SIZE, np.bool_)}}, [ObjectInfo(1, color=(255, 0, 0))])
    source = ArraySource([np.zeros((*SIZE, 3), np.uint8)])
    export_masks("overlay", [LabelledMedium("photo", source, masklets, is_image=True)], tmp_path / "o.png")
    red, green, blue = read_image(tmp_path / "o.png")[SIZE[0] // 2, SIZE[1] // 2].tolist()
    assert red > 80
    assert max(green, blue) < 30
