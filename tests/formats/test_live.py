from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.errors import MaskletError, OutputError
from masklet.formats import (
    BaseStream,
    ExportJob,
    Format,
    FrameRows,
    MaskStream,
    open_streams,
)
from masklet.formats.live import WAITING_FRAMES, MaskStreams, Outlet, video_medium
from masklet.media.source import ArraySource, open_source
from masklet.records import Frame, FrameMasks
from masklet.schema import Options
from tests.media.clips import MakeClip, is_upright, masks_for, number_of
from tests.waiting import PATIENCE_S


def no_masks(frame: Frame) -> FrameMasks:
    return masks_for(frame, ())


def test_an_interrupt_leaves_files_that_can_be_used(make_clip: MakeClip, tmp_path: Path) -> None:
    path, out = make_clip(count=30, audio="aac"), tmp_path / "out"

    def interrupted() -> None:
        with open_source(path) as source, open_streams(out, ["overlay", "masks", "coco"], source) as streams:
            for frame in source.frames():
                if frame.index == 20:
                    raise KeyboardInterrupt
                streams.write(frame, masks_for(frame))

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with open_source(out / "overlay.mp4") as overlay:
        assert len(list(overlay.frames())) == 20
    coco = json.loads((out / "coco.json").read_text())
    assert (len(coco["images"]), len(coco["annotations"])) == (20, 40)
    pngs = [f"{index:05d}.png" for index in range(20)]
    assert sorted(path.name for path in (out / "masks").iterdir()) == [*pngs, "objects.json"]
    assert sorted(entry.name for entry in out.iterdir()) == ["coco.json", "masks", "overlay.mp4"]


def test_frames_out_of_order_are_refused_or_put_in_order(make_clip: MakeClip, tmp_path: Path) -> None:
    with open_source(make_clip()) as source:
        streams = open_streams(tmp_path / "a.mp4", [], source)
        for index in (5, 4):
            streams.write(source.frame(index), no_masks(source.frame(index)))
        with pytest.raises(OutputError, match="in order, got 4 after 5"), streams:
            pass
        with open_streams(tmp_path / "b", ["overlay", "coco", "masks"], source, in_order=False) as streams:
            for index in (5, 6, 7, 4, 3, 2, 7, 6):  # the second 7 and 6 correct the first
                frame = source.frame(index)
                streams.write(frame, {7: masks_for(frame, (3,)), 6: no_masks(frame)}.get(index, masks_for(frame)))
    with open_source(tmp_path / "b" / "overlay.mp4") as overlay:
        frames = list(overlay.frames())
        assert len(frames) == 6
        assert is_upright(frames[4].rgb)
        assert number_of(frames[4].rgb) == 6
    coco = json.loads((tmp_path / "b" / "coco.json").read_text())
    assert [image["frame_index"] for image in coco["images"]] == [2, 3, 4, 5, 7]
    assert [one["object_id"] for one in coco["annotations"] if one["frame_index"] == 7] == [3]
    with Image.open(tmp_path / "b" / "masks" / "00007.png") as picture:
        assert np.unique(np.asarray(picture)).tolist() == [0, 3]


def test_masks_out_of_order_need_no_second_look_at_the_video(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_source(make_clip()) as source:
        frames = [source.frame(index) for index in (3, 2, 1)]
        monkeypatch.setattr(type(source), "frames", lambda *_: pytest.fail("read again"))
        with open_streams(tmp_path / "coco.json", [], source, in_order=False) as streams:
            for frame in frames:
                streams.write(frame, masks_for(frame))
    images = json.loads((tmp_path / "coco.json").read_text())["images"]
    assert [image["frame_index"] for image in images] == [1, 2, 3]


@pytest.mark.parametrize(
    ("out", "formats", "reason"),
    [
        ("out", ["masks", "video"], "unknown format 'video'"),
        ("out", ["davis"], "davis cannot be written while tracking"),
        ("out.nii", [], "is not a volume"),
        ("clip.mp4", ["masks"], "give a folder"),
        ("clip.webm", [], "an overlay is H.264"),
        ("there.mp4", [], "--force"),
        ("full", ["masks"], "--force"),
        ("there.mp4/inside.mp4", [], "cannot create the folder"),
    ],
)
def test_impossible_outputs(make_clip: MakeClip, tmp_path: Path, out: str, formats: list[str], reason: str) -> None:
    (tmp_path / "there.mp4").write_bytes(b"x")
    (tmp_path / "full" / "masks").mkdir(parents=True)
    (tmp_path / "full" / "masks" / "00000.png").write_bytes(b"x")
    with open_source(make_clip("in.mp4")) as source, pytest.raises(MaskletError, match=reason):
        open_streams(tmp_path / out, formats, source)


def test_force_replaces_but_never_the_source(make_clip: MakeClip, tmp_path: Path) -> None:
    path = make_clip("in.mp4")
    (tmp_path / "out.mp4").write_bytes(b"x")
    with open_source(path) as source:
        with open_streams(tmp_path / "out.mp4", [], source, force=True) as streams:
            streams.write(source.frame(0), no_masks(source.frame(0)))
        with pytest.raises(OutputError, match="is the source itself"):
            open_streams(path, [], source, force=True)
    with open_source(tmp_path / "out.mp4") as overlay:
        assert overlay.info.num_frames == 1


def test_nothing_written_leaves_nothing(make_clip: MakeClip, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_source(make_clip()) as source, open_streams(out, ["overlay", "coco"], source):
        pass
    assert not out.exists()


def test_a_folder_has_one_writer(make_clip: MakeClip, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_source(make_clip()) as source:
        with open_streams(out, ["masks"], source), pytest.raises(OutputError, match="in use by process"):
            open_streams(out, ["coco"], source, force=True)
        with open_streams(out, ["coco"], source) as streams:
            streams.write(source.frame(0), no_masks(source.frame(0)))
    assert not list(out.glob("*lock*"))


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("format_id", ["overlay", "masks", "coco", "csv", "tiff"])
def test_a_disk_that_is_full_at_the_start_keeps_nothing_and_says_so(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_id: str, in_order: bool
) -> None:
    path, out = make_clip(count=3), tmp_path / "out"
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30, 2**20))
    with pytest.raises(OutputError, match="Nothing was written"):  # noqa: SIM117, PT012
        with open_source(path) as source, open_streams(out, [format_id], source, in_order=in_order) as streams:
            for frame in source.frames():
                streams.write(frame, masks_for(frame))
    kept = [file.name for file in tmp_path.rglob("*") if file.is_file() and file != path]
    assert kept in ([], ["objects.json"])


def test_a_full_disk_stops_in_time_to_finish_the_file(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = make_clip(count=30, audio="aac"), tmp_path / "out"
    free = iter([2**30] * 36)  # three outputs ask once per frame each: the disk is full at the thirteenth
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30, next(free, 2**20)))
    with pytest.raises(OutputError, match=r"the disk is full: 1\.0 MB are left"):  # noqa: SIM117, PT012
        with open_source(path) as source, open_streams(out, ["overlay", "masks", "coco"], source) as streams:
            for frame in source.frames():
                streams.write(frame, masks_for(frame))
    with open_source(out / "overlay.mp4") as overlay:
        assert len(list(overlay.frames())) == 12
    assert len(list((out / "masks").glob("*.png"))) == 12
    assert len(json.loads((out / "coco.json").read_text())["images"]) == 12
    assert not list(tmp_path.rglob("*.part*"))


class SlowStream(BaseStream):
    """Writes nothing until it is allowed to, and fails at one frame."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__(Path("slow"))
        self.may_write = threading.Event()
        self.written: list[int] = []
        self.fails_at = fails_at
        self.is_finished = False
        self._stack.callback(self._finish)

    def _finish(self) -> None:
        self.is_finished = True

    def write(self, frame: FrameRows) -> None:
        assert self.may_write.wait(PATIENCE_S)
        if frame.frame_index == self.fails_at:
            raise OutputError("no more ink")
        self.written.append(frame.frame_index)


def streams_of(stream: MaskStream, count: int) -> MaskStreams:
    """Return the stream as the only output, for a clip of this number of frames."""
    slow = Format(
        id="slow",
        name="Slow",
        description="",
        kinds=("video",),
        options=Options,
        open_stream=lambda job: stream,
        shows_frames=True,
    )
    medium = video_medium(ArraySource([frame.rgb for frame in blank_frames(count)]))
    job: ExportJob[Options] = ExportJob([medium], stream.path, Options(), is_live=True)
    return MaskStreams(medium, [Outlet(slow, job, stream)])


def blank_frames(count: int) -> list[Frame]:
    return [Frame(index, np.zeros((4, 4, 3), np.uint8), index / 24) for index in range(count)]


def test_outputs_are_written_next_to_the_tracker_and_whole_before_they_are_left() -> None:
    slow = SlowStream()
    with streams_of(slow, WAITING_FRAMES) as streams:
        for frame in blank_frames(WAITING_FRAMES):
            streams.write(frame, no_masks(frame))
        assert slow.written == []
        slow.may_write.set()
    assert slow.written == list(range(WAITING_FRAMES))
    assert slow.is_finished
    assert not any(thread.name == "masklet-streams" for thread in threading.enumerate())


@pytest.mark.parametrize("count", [4, 40])
def test_an_error_while_writing_is_raised_once_and_blocks_nothing(count: int) -> None:
    slow = SlowStream(fails_at=2)
    slow.may_write.set()
    with pytest.raises(OutputError, match="no more ink"):  # noqa: SIM117, PT012
        with streams_of(slow, count) as streams:
            for frame in blank_frames(count):
                streams.write(frame, no_masks(frame))
    assert slow.written == [0, 1]
    assert slow.is_finished


def test_frames_that_could_not_be_ordered_are_not_counted(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(tmp_path))
    free = iter([2**30] * 3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30, next(free, 2**20)))
    with open_source(make_clip()) as source:
        streams = open_streams(tmp_path / "coco.json", [], source, in_order=False)
        for index in (5, 4, 3, 2, 1):
            streams.write(source.frame(index), masks_for(source.frame(index)))
        with pytest.raises(OutputError, match="The frames so far are kept"), streams:
            pass
    assert streams.num_written == 3
    images = json.loads((tmp_path / "coco.json").read_text())["images"]
    assert [image["frame_index"] for image in images] == [1, 2, 3]
