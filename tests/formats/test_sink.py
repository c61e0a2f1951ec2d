from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from masklet.errors import OutputError
from masklet.formats.sink import WAITING_FRAMES, CocoSink, InOrder, MaskPngSink, OverlaySink, Sinks, open_sinks
from masklet.formats.sink_base import BaseSink
from masklet.masks.indexed_png import davis_palette
from masklet.masks.operations import decode_rle
from masklet.media.source import open_source
from masklet.records import Frame, FrameMasks
from tests.media.clips import MakeClip, is_upright, masks_for, number_of, numbered_frame
from tests.waiting import PATIENCE_S


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
    with open_source(source_path) as source, open_sinks(out, [], source.info) as sinks:
        for frame in source.frames(start, stop):
            sinks.write(frame, masks(frame))


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


def test_an_interrupt_leaves_files_that_can_be_used(make_clip: MakeClip, tmp_path: Path) -> None:
    path, out = make_clip(count=30, audio="aac"), tmp_path / "out"

    def interrupted() -> None:
        with open_source(path) as source, open_sinks(out, ["overlay", "masks", "coco"], source.info) as sinks:
            for frame in source.frames():
                if frame.index == 20:
                    raise KeyboardInterrupt
                sinks.write(frame, masks_for(frame))

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with open_source(out / "overlay.mp4") as overlay:
        assert len(list(overlay.frames())) == 20
    coco = json.loads((out / "coco.json").read_text())
    assert (len(coco["images"]), len(coco["annotations"])) == (20, 40)
    assert len(list((out / "masks").iterdir())) == 20
    assert sorted(entry.name for entry in out.iterdir()) == ["coco.json", "masks", "overlay.mp4"]


def test_frames_out_of_order_are_refused_or_put_in_order(make_clip: MakeClip, tmp_path: Path) -> None:
    with open_source(make_clip()) as source:
        with OverlaySink(tmp_path / "a.mp4", source.info) as sink:
            sink.write(source.frame(5), no_masks(source.frame(5)))
            with pytest.raises(OutputError, match="in order, got 4 after 5"):
                sink.write(source.frame(4), no_masks(source.frame(4)))
        with InOrder(OverlaySink(tmp_path / "b.mp4", source.info), source) as sink:
            for index in (5, 6, 7, 4, 3, 2, 6):  # the second 6 corrects the first
                frame = source.frame(index)
                sink.write(frame, masks_for(frame) if index != 6 else no_masks(frame))
    with open_source(tmp_path / "b.mp4") as overlay:
        frames = list(overlay.frames())
        assert len(frames) == 6
        assert is_upright(frames[4].rgb)
        assert number_of(frames[4].rgb) == 6


def test_masks_as_indexed_png(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    (folder / "3").mkdir(parents=True)
    (folder / "00099.png").write_bytes(b"of an earlier run")
    (folder / "3" / "00099.png").write_bytes(b"of an earlier run")
    (folder / "mine.png").write_bytes(b"someone else's")
    frame = Frame(7, numbered_frame(0), 0.28)
    masks = masks_for(frame, (1, 200))
    masks.masks[1, :, 26:] = False  # now the smaller one
    with MaskPngSink(folder, per_object=True) as sink:
        sink.write(frame, masks)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    assert files == ["00007.png", "1/00007.png", "200/00007.png", "mine.png"]
    with Image.open(folder / "00007.png") as image:
        indexed = np.asarray(image)
        assert image.mode == "P"
        assert bytes(image.getpalette() or [])[:6] == davis_palette()[:6] == bytes([0, 0, 0, 128, 0, 0])
    assert np.unique(indexed).tolist() == [0, 1, 200]
    assert (indexed[masks.masks[1]] == 200).all()  # the smaller one is on top
    with Image.open(folder / "1" / "00007.png") as image:
        assert ((np.asarray(image) == 255) == masks.masks[0]).all()


def test_ids_that_do_not_fit_a_png(tmp_path: Path) -> None:
    frame = Frame(0, numbered_frame(0), 0.0)
    with MaskPngSink(tmp_path) as sink, pytest.raises(OutputError, match="object id 255 does not fit"):
        sink.write(frame, masks_for(frame, (255,)))


def test_coco(make_clip: MakeClip, tmp_path: Path) -> None:
    with open_source(make_clip()) as source, CocoSink(tmp_path / "coco.json", source.info) as sink:
        for frame in source.frames(0, 3):
            masks = masks_for(frame, (3, 9))
            masks.masks[1] &= frame.index != 1  # absent from one frame
            sink.write(frame, masks)
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert [image["id"] for image in coco["images"]] == [1, 2, 3]
    assert coco["images"][2] | {"id": 0} == {
        "id": 0,
        "file_name": "00002.jpg",
        "width": 64,
        "height": 48,
        "frame_index": 2,
        "time_s": 0.08,
    }
    annotations = coco["annotations"]
    assert [(a["id"], a["image_id"], a["object_id"]) for a in annotations] == [
        (1, 1, 3),
        (2, 1, 9),
        (3, 2, 3),
        (4, 3, 3),
        (5, 3, 9),
    ]
    last = annotations[-1]
    assert (last["area"], last["bbox"], last["score"], last["frame_index"]) == (256, [14, 4, 16, 16], 0.8, 2)
    assert (decode_rle(last["segmentation"]) == masks_for(Frame(2, numbered_frame(2), 0.08)).masks[1]).all()
    assert coco["categories"] == [{"id": 1, "name": "object"}]


@pytest.mark.parametrize(
    ("out", "formats", "reason"),
    [
        ("out", ["masks", "video"], "unknown format 'video'"),
        ("clip.mp4", ["masks"], "give a folder"),
        ("clip.webm", [], "an overlay is H.264"),
        ("there.mp4", [], "--force"),
        ("full", ["masks"], "--force"),
        ("there.mp4/inside.mp4", [], "cannot create the folder"),
    ],
)
def test_outputs_that_cannot_be(make_clip: MakeClip, tmp_path: Path, out: str, formats: list[str], reason: str) -> None:
    (tmp_path / "there.mp4").write_bytes(b"x")
    (tmp_path / "full" / "masks").mkdir(parents=True)
    (tmp_path / "full" / "masks" / "00000.png").write_bytes(b"x")
    with open_source(make_clip("in.mp4")) as source, pytest.raises(OutputError, match=reason):
        open_sinks(tmp_path / out, formats, source.info)


def test_force_replaces_but_never_the_source(make_clip: MakeClip, tmp_path: Path) -> None:
    path = make_clip("in.mp4")
    (tmp_path / "out.mp4").write_bytes(b"x")
    with open_source(path) as source:
        with open_sinks(tmp_path / "out.mp4", [], source.info, force=True) as sinks:
            sinks.write(source.frame(0), no_masks(source.frame(0)))
        with pytest.raises(OutputError, match="is the source itself"):
            open_sinks(path, [], source.info, force=True)
    with open_source(tmp_path / "out.mp4") as overlay:
        assert overlay.info.num_frames == 1


def test_nothing_written_leaves_nothing(make_clip: MakeClip, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_source(make_clip()) as source, open_sinks(out, ["overlay", "coco"], source.info):
        pass
    assert list(out.iterdir()) == []


def test_a_full_disk_stops_in_time_to_finish_what_there_is(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = make_clip(count=30, audio="aac"), tmp_path / "out"
    free = iter([2**30] * 36)  # three sinks ask once a frame each: the disk is full at the thirteenth
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30, next(free, 2**20)))
    with pytest.raises(OutputError, match=r"the disk is full: 1\.0 MB are left"):  # noqa: SIM117, PT012
        with open_source(path) as source, open_sinks(out, ["overlay", "masks", "coco"], source.info) as sinks:
            for frame in source.frames():
                sinks.write(frame, masks_for(frame))
    with open_source(out / "overlay.mp4") as overlay:
        assert len(list(overlay.frames())) == 12
    assert len(list((out / "masks").glob("*.png"))) == 12
    assert len(json.loads((out / "coco.json").read_text())["images"]) == 12
    assert not list(tmp_path.rglob("*.part*"))


class SlowSink(BaseSink):
    """Writes nothing until it may, and fails at one frame."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__(Path("slow"))
        self.may_write = threading.Event()
        self.written: list[int] = []
        self.fails_at = fails_at
        self.is_finished = False
        self._stack.callback(self._finish)

    def _finish(self) -> None:
        self.is_finished = True

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        assert self.may_write.wait(PATIENCE_S)
        if frame.index == self.fails_at:
            raise OutputError("no more ink")
        self.written.append(frame.index)


def blank_frames(count: int) -> list[Frame]:
    return [Frame(index, np.zeros((4, 4, 3), np.uint8), index / 24) for index in range(count)]


def test_sinks_write_beside_the_tracker_and_everything_before_they_are_left() -> None:
    slow = SlowSink()
    with Sinks(Path("all"), [slow]) as sinks:
        for frame in blank_frames(WAITING_FRAMES):
            sinks.write(frame, no_masks(frame))
        assert slow.written == []
        slow.may_write.set()
    assert slow.written == list(range(WAITING_FRAMES))
    assert slow.is_finished
    assert not any(thread.name == "masklet-sinks" for thread in threading.enumerate())


@pytest.mark.parametrize("count", [4, 40])
def test_what_goes_wrong_while_writing_is_raised_once_and_hangs_nothing(count: int) -> None:
    slow = SlowSink(fails_at=2)
    slow.may_write.set()
    with pytest.raises(OutputError, match="no more ink"):  # noqa: SIM117, PT012
        with Sinks(Path("all"), [slow]) as sinks:
            for frame in blank_frames(count):
                sinks.write(frame, no_masks(frame))
    assert slow.written == [0, 1]
    assert slow.is_finished
