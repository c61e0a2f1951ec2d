from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from masklet.datasets import MaskLabels, open_dataset
from masklet.datasets.convert import convert_dataset
from masklet.datasets.records import flatten_alike
from masklet.errors import ConfigError, DataError
from masklet.train.augment import VOID
from masklet.train.clips import (
    MAX_REAL_STRIDE,
    ClipDataConfig,
    ClipSample,
    ClipSamples,
    random_bar,
    random_rows,
    read_clip_frames,
    view_of,
)
from masklet.train.scene import camera_motion

from .tiny_data import scene, write_clips, write_data, write_pair


def config(tmp_path: Path, **changes: object) -> ClipDataConfig:
    values = {"size": 64, "num_frames": 4, "objects_per_clip": 2, **changes}
    return ClipDataConfig(image_root=str(tmp_path / "images"), **values)  # type: ignore[arg-type]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_data(tmp_path / "images")
    write_clips(tmp_path / "clips")
    return tmp_path


def take(samples: ClipSamples, count: int) -> list[ClipSample]:
    return list(itertools.islice(samples, count))


def same(first: ClipSample, second: ClipSample) -> bool:
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("real_probability", [0.0, 1.0])
@pytest.mark.parametrize("num_frames", [1, 4, 8])
def test_a_clip_has_the_promised_shapes_and_its_objects_on_the_first_frame(
    data: Path, real_probability: float, num_frames: int
) -> None:
    clip_root = str(data / "clips")
    settings = config(data, real_probability=real_probability, num_frames=num_frames, clip_root=clip_root)
    for sample in take(ClipSamples(settings), 6):
        assert (tuple(sample.rgb.shape), sample.rgb.dtype) == ((num_frames, 64, 64, 3), torch.uint8)
        assert (tuple(sample.masks.shape), sample.masks.dtype) == ((2, num_frames, 32, 32), torch.bool)
        assert (tuple(sample.void.shape), sample.void.dtype) == ((num_frames, 32, 32), torch.bool)
        areas = sample.masks[:, 0].float().mean((1, 2))
        assert ((areas >= 0.0015) & (areas <= 0.7)).all()


def test_objects_share_no_more_than_a_rim(data: Path) -> None:
    for sample in take(ClipSamples(config(data, objects_per_clip=4)), 15):
        shared = torch.unique(sample.masks, dim=0).sum(0) > 1
        assert shared.float().mean() < 0.005  # pixels half of the one and half of the other


def test_synthetic_objects_move(data: Path) -> None:
    moved = [not torch.equal(sample.masks[:, 0], sample.masks[:, -1]) for sample in take(ClipSamples(config(data)), 10)]
    assert sum(moved) >= 8


def test_clips_are_cut_to_scenes_without_their_objects(data: Path) -> None:
    def absent(probability: float) -> float:
        samples = take(ClipSamples(config(data, num_frames=6, interruption_probability=probability)), 20)
        return sum(1 - sample.masks.any(-1).any(-1).float().mean().item() for sample in samples) / len(samples)

    assert absent(1.0) > absent(0.0) + 0.1


def test_every_object_is_seen_on_a_third_of_the_frames(data: Path) -> None:
    for sample in take(ClipSamples(config(data, num_frames=6)), 20):
        assert (sample.masks.any(-1).any(-1).sum(1) >= 2).all()


def test_real_masks_follow_their_object(data: Path) -> None:
    settings = config(
        data,
        real_probability=1.0,
        clip_root=str(data / "clips"),
        paste_on_real_probability=0.0,
        degrade_probability=0.0,
    )
    for sample in take(ClipSamples(settings), 10):
        pixels = sample.rgb.reshape(4, 32, 2, 32, 2, 3).float().mean((2, 4))
        for frame, mask in zip(pixels, sample.masks[0], strict=True):
            if not mask.any():
                continue
            inside, outside = frame[mask].mean(0), frame[~mask].mean(0)
            assert inside[0] - inside[1:].max() > 20  # red, whatever the light
            assert inside[0] > outside[0] + 40


def test_real_clips_bring_their_void(data: Path) -> None:
    for number in range(4):
        rgb, ids = scene([(10, 20, 30, 40)])
        ids[45:] = VOID
        write_pair(data / "void" / "clip", f"{number:05d}", rgb, ids, images="frames")
    settings = config(data, real_probability=1.0, clip_root=str(data / "void"), paste_on_real_probability=0.0)
    samples = take(ClipSamples(settings), 10)
    assert any(sample.void.any() for sample in samples)
    assert not any((sample.masks & sample.void).any() for sample in samples)


def test_clips_depend_on_seed_rank_and_number_only(data: Path) -> None:
    settings = config(data, clip_root=str(data / "clips"), real_probability=0.5)
    samples = take(ClipSamples(settings), 6)
    assert all(map(same, samples[3:], take(ClipSamples(settings, start=3), 3)))
    assert not same(samples[0], take(ClipSamples(settings, rank=1), 1)[0])


def test_a_loader_stacks_clips(data: Path) -> None:
    batch = next(iter(torch.utils.data.DataLoader(ClipSamples(config(data)), batch_size=2)))
    assert tuple(batch.masks.shape) == (2, 2, 4, 32, 32)


def test_lookalikes_add_objects_of_the_same_kind(data: Path) -> None:
    without = take(ClipSamples(config(data, lookalike_probability=0.0, occluder_probability=0.0)), 1)[0]
    with_them = take(ClipSamples(config(data, lookalike_probability=1.0, occluder_probability=1.0)), 1)[0]
    assert not same(without, with_them)


def test_only_wanted_clips_are_drawn(data: Path) -> None:
    settings = config(data, clip_root=str(data / "clips"), real_probability=1.0, clip_weights={"cl": 0.0})
    synthetic = config(data, real_probability=0.0)
    assert same(take(ClipSamples(settings), 1)[0], take(ClipSamples(synthetic), 1)[0])


def test_clips_that_do_not_fit_are_named(data: Path) -> None:
    (data / "clips" / "clip" / "masks" / "00003.png").unlink()
    take(ClipSamples(config(data, clip_root=str(data / "clips"), real_probability=1.0)), 3)  # an unlabelled frame
    (data / "clips" / "clip" / "frames" / "00002.png").unlink()
    with pytest.raises(DataError, match=r"00002\.png has no image"):
        ClipSamples(config(data, clip_root=str(data / "clips")))
    with pytest.raises(DataError, match="holds no clips"):
        ClipSamples(config(data, clip_root=str(data / "images")))


def test_frames_without_labels_are_passed_over_and_overlapping_objects_keep_their_ids(data: Path) -> None:
    rng = np.random.default_rng(0)
    clip = open_dataset(data / "clips").clips[0]
    pictures = read_clip_frames(clip, [4, 0, 4], rng)
    assert [int(np.flatnonzero((image.ids == 1).any(0))[0]) for image in pictures] == [26, 10, 26]
    frames = [MaskLabels((4, 4), {5: np.eye(4) > 0, 9: np.tri(4) == 0}), MaskLabels((4, 4), {9: np.tri(4) == 0})]
    first, second = flatten_alike(frames, rng)
    number = first[0, 3]
    assert number in (1, 2)
    assert ((second == number) == (np.tri(4) == 0)).all()


def test_a_bar_is_long_and_thin(data: Path) -> None:
    rgb = np.zeros((64, 64, 3), np.uint8)
    for seed in range(20):
        bar = random_bar(rgb, np.random.default_rng(seed))
        sides = sorted(np.ptp(np.nonzero(bar.alpha), axis=1) + 1)
        assert sides[1] >= 64 // 3 > sides[0]


@pytest.mark.parametrize(("available", "wanted"), [(1, 4), (2, 5), (5, 6), (5, 5), (6, 5), (40, 6), (40, 1)])
def test_places_are_inside_and_evenly_spaced(available: int, wanted: int) -> None:
    for seed in range(50):
        places = random_rows(available, wanted, np.random.default_rng(seed))
        assert len(places) == wanted
        assert min(places) >= 0
        assert max(places) < available
        steps = set(np.abs(np.diff(places)).tolist())
        assert len(steps) <= 1
        assert all(step <= MAX_REAL_STRIDE for step in steps)
        if wanted <= available:
            assert len(set(places)) == wanted


def test_the_camera_hardly_ever_leaves_its_still_image() -> None:
    pixels, outside = np.arange(64, dtype=np.float32), []
    for seed in range(100):
        camera = camera_motion(np.random.default_rng(seed), 6, 64)
        canvas_size, source_xy = view_of(camera, 64)
        assert 64 <= canvas_size <= 1.8 * 64
        for time in range(6):
            x, y = camera.maps(time, pixels, pixels, source_xy, 1.0)
            outside.append((np.minimum(x, y) < -1).mean() + (np.maximum(x, y) > canvas_size).mean())
    assert np.mean(outside) < 0.005
    assert np.max(outside) < 0.2


def test_places_vary_in_stride_and_direction() -> None:
    steps = {int(np.diff(random_rows(40, 6, np.random.default_rng(seed)))[0]) for seed in range(200)}
    assert steps == {-6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    ("field", "value"), [("size", 31), ("num_frames", 0), ("objects_per_clip", 0), ("real_probability", 2.0)]
)
def test_bad_settings_are_named(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be .*{value}"):
        ClipDataConfig(image_root="data", **{field: value})  # type: ignore[arg-type]


def test_clips_train_from_shards_and_videos_as_from_folders(data: Path) -> None:
    for layout in ("shards", "sa-v"):
        convert_dataset(open_dataset(data / "clips"), data / layout, layout)
    convert_dataset(open_dataset(data / "images"), data / "packed", "shards")
    for clip_root in ("shards", "sa-v"):
        settings = ClipDataConfig(
            image_root=f"{data / 'packed'}?verify=no",
            clip_root=str(data / clip_root),
            size=64,
            num_frames=3,
            real_probability=0.7,
        )
        samples = take(ClipSamples(settings), 5)
        assert all(map(same, samples[2:], take(ClipSamples(settings, start=2), 3)))
        assert all(sample.masks[:, 0].any(-1).any(-1).all() for sample in samples)
