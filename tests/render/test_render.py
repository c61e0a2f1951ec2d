"""Effects change what they should and nothing else; files hold what was asked of them."""

from __future__ import annotations

import shutil
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from masklet.errors import ConfigError, DataError, MaskletError, OutputError, VideoError
from masklet.media.source import ArraySource, open_source
from masklet.records import BoolArray, ByteArray
from masklet.render import EFFECTS, Composition, render_frame, render_preview, render_video
from masklet.render.backdrop import fitted
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo
from tests.media.clips import write_tone

SIZE = (90, 120)
INSIDE = (slice(38, 52), slice(38, 52))
OUTSIDE = (slice(0, 20), slice(80, 120))


def square(left: int = 30, top: int = 30, side: int = 30, size: tuple[int, int] = SIZE) -> BoolArray:
    mask = np.zeros(size, np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def picture(mask: BoolArray | None = None, seed: int = 0) -> ByteArray:
    """A red object on blue noise."""
    rgb = np.random.default_rng(seed).integers(0, 60, (*SIZE, 3), dtype=np.uint8)
    rgb[..., 2] += 150
    rgb[square() if mask is None else mask] = (220, 30, 20)
    return rgb


def look(background: dict[str, Any] | str = "none", *effects: str | dict[str, Any], **more: Any) -> Composition:
    def full(one: str | dict[str, Any]) -> dict[str, Any]:
        return {"effect": one} if isinstance(one, str) else one

    return Composition.from_dict({"background": full(background), "objects": {"*": [full(e) for e in effects]}, **more})


def moving_clip(count: int = 6, *, size: tuple[int, int] = SIZE) -> LabelledMedium:
    """The object moves over a background that stands still."""
    masks = {index: {1: square(10 + 12 * index, size=size)} for index in range(count)}
    rng = np.random.default_rng(3)
    behind = np.kron(rng.integers(40, 200, (size[0] // 6 + 1, size[1] // 6 + 1, 3), dtype=np.uint8), np.ones((6, 6, 1)))
    behind = behind[: size[0], : size[1]].astype(np.uint8)
    frames = np.stack([behind] * count)
    for index in range(count):
        frames[index][masks[index][1]] = (250, 0, 0)
    return LabelledMedium("clip", ArraySource(frames, fps=10), Masklets.of_masks(masks))


def test_nothing_asked_is_nothing_done() -> None:
    rgb = picture()
    assert np.array_equal(render_frame(rgb, {1: square()}, Composition()), rgb)


@pytest.mark.parametrize("background", ["blur", "color", "gray", "pixelate"])
def test_a_background_leaves_the_object_alone(background: str) -> None:
    rgb = picture()
    before = rgb.copy()
    done = render_frame(rgb, {1: square()}, look(background))
    assert np.array_equal(done[INSIDE], rgb[INSIDE])
    assert np.abs(done[OUTSIDE].astype(int) - rgb[OUTSIDE]).mean() > 3
    assert np.array_equal(rgb, before)


@pytest.mark.parametrize("effect", ["blur", "pixelate", "gray", "color", "highlight"])
def test_an_effect_leaves_the_background_alone(effect: str) -> None:
    rgb = picture()
    rgb[40:50, 40:50] = (30, 200, 30)  # so that there is something to blur
    done = render_frame(rgb, {1: square()}, look("none", effect))
    assert np.array_equal(done[OUTSIDE], rgb[OUTSIDE])
    assert np.abs(done[INSIDE].astype(int) - rgb[INSIDE]).mean() > 3


def test_a_blurred_background_has_no_halo_of_the_object() -> None:
    done = render_frame(picture(), {1: square()}, look({"effect": "blur", "strength": 1}))
    beside = done[30:60, 66:76].astype(int)
    assert beside[..., 0].mean() < 45  # the object is red


def test_edges_are_soft_and_without_the_old_background() -> None:
    soft = render_frame(picture(), {1: square()}, look("transparent"))
    alpha = soft[45, 20:45, 3]
    assert len(set(alpha.tolist())) > 3
    assert (np.diff(alpha.astype(int)) >= -2).all()
    partly = (soft[..., 3] > 30) & (soft[..., 3] < 225)
    assert partly.any()
    assert soft[partly][:, 0].mean() > 180  # red, as the object is
    assert soft[partly][:, 2].mean() < 60  # the background was blue
    assert (soft[soft[..., 3] == 0] == 0).all()


def test_feathering_widens_the_edge() -> None:
    def ramp(feather: float) -> int:
        done = render_frame(picture(), {1: square()}, look("transparent", edges={"feather": feather}))
        return int(np.count_nonzero((done[45, :, 3] > 5) & (done[45, :, 3] < 250)))

    assert ramp(6) > ramp(0) + 2


def test_only_the_cut_out_objects_stay() -> None:
    masks = {1: square(10), 2: square(70)}
    done = render_frame(picture(masks[1] | masks[2]), masks, look({"effect": "color", "color": "#00ff00"}, cutout=[2]))
    assert (done[45, 25] == (0, 255, 0)).all()
    assert (done[45, 85] == (220, 30, 20)).all()


def test_own_effects_come_in_place_of_those_for_all() -> None:
    masks = {1: square(10), 2: square(70)}
    composition = Composition.from_dict({"objects": {"*": [{"effect": "color", "color": "#00ff00"}], "2": []}})
    done = render_frame(picture(masks[1] | masks[2]), masks, composition)
    assert (done[45, 25] == (0, 255, 0)).all()
    assert (done[45, 85] == (220, 30, 20)).all()


def test_an_outline_has_the_objects_colour_and_the_width_asked_for() -> None:
    composition = look("none", {"effect": "outline", "width": 16})
    done = render_frame(picture(), {5: square()}, composition, objects=[ObjectInfo(5, color=(0, 255, 0))])
    painted = (done == (0, 255, 0)).all(axis=-1)
    unit = 104 / 640  # of this small picture, but not less than a half
    assert painted[45, 25:36].sum() == pytest.approx(16 * max(0.5, unit), abs=2)
    assert not painted[INSIDE].any()


def test_a_spotlight_darkens_the_rest() -> None:
    rgb = picture()
    done = render_frame(rgb, {1: square()}, look("none", {"effect": "spotlight", "dim": 0.5}))
    assert np.abs(done[INSIDE].astype(int) - rgb[INSIDE]).max() <= 1
    assert done[OUTSIDE].mean() == pytest.approx(rgb[OUTSIDE].mean() / 2, abs=1.5)


def test_a_trail_goes_where_the_object_was() -> None:
    medium = moving_clip()
    composition = look("none", {"effect": "trail", "color": "#ffffff", "width": 8})
    done = render_preview(medium, 4, composition)
    plain = medium.source.frame(4).rgb
    changed = np.abs(done.astype(int) - plain).max(axis=-1) > 20
    assert changed[44:47, 40:60].any()
    assert not changed[:30].any()
    assert np.array_equal(render_preview(medium, 0, composition), medium.source.frame(0).rgb)


def test_what_is_said_of_an_object_goes_with_it() -> None:
    masks = {1: square(), 2: square(80, 10, 20)}
    trails = {2: np.array([(85.0, 80.0), (110.0, 80.0)], np.float32)}
    green = {"effect": "color", "color": "#00ff00"}
    for background, is_seen in ((green, False), ("blur", True)):
        wanted = look(background, "outline", "highlight", {"effect": "trail", "width": 6.0}, cutout=[1])
        without = look(background, cutout=[1])
        changed = (
            render_frame(picture(), masks, wanted, trails=trails) != render_frame(picture(), masks, without)
        ).any(2)
        assert changed[30:60, 30:60].any()
        assert changed[:, 78:].any() == is_seen


def test_a_removed_object_shows_what_other_frames_show(tmp_path: Path) -> None:
    medium = moving_clip(8)
    composition = look("none", {"effect": "remove"})
    render_video(medium, composition, tmp_path / "out", container="png")
    clean = np.median([medium.source.frame(index).rgb for index in range(8)], axis=0)
    for index in range(1, 7):
        done = np.asarray(Image.open(tmp_path / "out" / f"{index:05d}.png")).astype(int)
        hole = medium.masklets.masks_at(index)[1]
        assert np.abs(done - clean)[hole].mean() < 12, index


def test_an_image_is_filled_from_what_is_around() -> None:
    rgb = np.full((*SIZE, 3), 90, np.uint8)
    rgb[square()] = (250, 0, 0)
    done = render_frame(rgb, {1: square()}, look("none", "remove"))
    assert np.abs(done.astype(int) - 90).max() < 8


def test_who_fills_the_whole_picture_can_be_removed_too() -> None:
    done = render_frame(picture(), {1: np.ones(SIZE, np.bool_)}, look("color", "remove"))
    assert done.shape == (*SIZE, 3)


@pytest.mark.parametrize("effect", [one for one in EFFECTS if one.id not in ("image", "video")])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (31, 33)])
def test_every_effect_works_on_every_size(effect: type[Any], size: tuple[int, int]) -> None:
    rgb = np.full((*size, 3), 100, np.uint8)
    background, *effects = (effect.id,) if effect.target == "background" else ("transparent", effect.id)
    for mask in (np.ones(size, np.bool_), np.zeros(size, np.bool_)):
        done = render_frame(rgb, {1: mask}, look(background, *effects))
        assert done.shape[:2] == size
    assert render_frame(rgb, {}, look(background, *effects)).shape[:2] == size


def test_a_background_image_covers_or_is_contained() -> None:
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 20:] = 255
    assert fitted(wide, (20, 20), "cover").mean() == pytest.approx(127, abs=8)
    contained = fitted(wide, (20, 20), "contain", (9, 9, 9))
    assert (contained[0] == 9).all()
    assert contained[10, 19, 0] == 255
    composition = look({"effect": "image", "asset_id": "a", "fit": "stretch"})
    done = render_frame(picture(), {1: square()}, composition, assets={"a": np.full((5, 5, 3), 77, np.uint8)})
    assert (done[OUTSIDE] == 77).all()


def test_a_shorter_background_video_begins_again(tmp_path: Path) -> None:
    frames = [np.full((20, 20, 3), 60 * index + 20, np.uint8) for index in range(3)]
    short = LabelledMedium("short", ArraySource(frames, fps=10), Masklets.of_masks({}))
    render_video(short, Composition(), tmp_path / "short.mkv")
    composition = look({"effect": "video", "asset_id": "a"})
    render_video(moving_clip(6), composition, tmp_path / "out", assets={"a": tmp_path / "short.mkv"}, container="png")
    corners = [np.asarray(Image.open(tmp_path / "out" / f"{index:05d}.png"))[80, 5, 0] for index in range(6)]
    assert corners == pytest.approx([20, 80, 140] * 2, abs=6)


# Files


def opened(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


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


def test_a_range_and_a_stop_on_the_way(tmp_path: Path) -> None:
    medium = moving_clip(6)
    assert render_video(medium, look("gray"), tmp_path / "a.mp4", start=2, stop=5).num_frames == 3
    asked = iter([False, False, True])
    done = render_video(medium, look("gray"), tmp_path / "b.mp4", cancelled=lambda: next(asked))
    assert not done.is_complete
    assert len(opened(tmp_path / "b.mp4")) == 2


def test_a_full_disk_leaves_what_can_be_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


# Compositions


def test_a_composition_survives_json() -> None:
    document = {
        "background": {"effect": "image", "asset_id": "a", "fit": "contain", "color": "#102030"},
        "objects": {"1": [{"effect": "outline", "width": 4.0, "color": None}], "*": []},
        "cutout": [1, 2],
        "edges": {"refine": False, "feather": 3.0, "decontaminate": True},
    }
    assert Composition.from_dict(document).to_dict() == document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"background": {"effect": "blurr"}}, "choose from none, blur"),
        ({"background": {"effect": "outline"}}, "unknown background effect 'outline'"),
        ({"background": {"effect": "blur", "strength": 2}}, "strength must be from 0 to 1, got 2"),
        ({"background": {"effect": "blur", "strength": float("nan")}}, "must be from 0 to 1"),
        ({"background": {"effect": "color", "color": "red"}}, 'must be "#rrggbb"'),
        ({"background": {"effect": "image", "path": "/etc/passwd"}}, "unknown 'path'"),
        ({"background": "blur"}, "an effect must be"),
        ({"objects": {"one": []}}, "must be an object id"),
        ({"objects": {"1": {"effect": "outline"}}}, "expected a list"),
        ({"objects": [1]}, "objects must be"),
        ({"cutout": "1"}, "cutout must be a list"),
        ({"nothing": 1}, "unknown 'nothing'"),
    ],
)
def test_a_composition_that_cannot_be(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Composition.from_dict(document)


def test_a_preview_is_the_frame_made_smaller() -> None:
    done = render_preview(moving_clip(3), 1, look("gray", "outline"), width=60)
    assert done.shape == (45, 60, 3)
