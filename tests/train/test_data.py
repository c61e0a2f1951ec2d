from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from masklet.errors import ConfigError, DataError
from masklet.train.augment import VOID
from masklet.train.data import (
    CutoutSampler,
    Groups,
    ImageDataConfig,
    ImageSample,
    ImageSamples,
    SourceSampler,
    choose,
    open_images,
)

from .tiny_data import COLOURS, scene, write_data, write_pair


def plain(root: Path | str, **changes: object) -> ImageDataConfig:
    """A configuration without any augmentation."""
    off = dict.fromkeys(("paste", "crop", "flip", "colour", "degrade"), 0.0)
    values = {"size": 64, **{f"{name}_probability": value for name, value in off.items()}, **changes}
    return ImageDataConfig(root=str(root), **values)  # type: ignore[arg-type]


def take(samples: ImageSamples, count: int) -> list[ImageSample]:
    return list(itertools.islice(samples, count))


def same(first: ImageSample, second: ImageSample) -> bool:
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def open_one(root: Path) -> Groups:
    return open_images(str(root))


def test_a_photo_stored_on_its_side_fits_its_upright_mask(tmp_path: Path) -> None:
    rgb, ids = scene([(5, 5, 35, 35)])
    write_pair(tmp_path / "one", "000", rgb, ids)
    (tmp_path / "one" / "images" / "000.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter, clockwise, to show it
    Image.fromarray(np.ascontiguousarray(np.rot90(rgb))).save(
        tmp_path / "one" / "images" / "000.jpg", exif=exif, quality=95
    )
    sample = next(iter(ImageSamples(plain(tmp_path))))
    inside = sample.rgb[1::2, 1::2][sample.masks[0]].float().mean(0)
    assert np.allclose(inside, COLOURS[0], atol=15)


def test_sources_are_drawn_by_weight_and_root_of_their_size(tmp_path: Path) -> None:
    write_data(tmp_path, num_images=4)
    write_pair(tmp_path / "three", "000", *scene([(5, 5, 20, 20)]))
    index = open_one(tmp_path)
    halved = SourceSampler(index, {"two": 0.5}, {}).probabilities
    assert halved == pytest.approx({"one": 0.5, "three": 0.25, "two": 0.25})
    assert SourceSampler(index, {"two": 0.0, "one": 0.0}, {}).probabilities == {"three": 1.0}
    with pytest.raises(DataError, match="weight 0"):
        SourceSampler(index, {"one": 0, "two": 0, "three": 0}, {})


def test_data_sets_of_a_mixture_are_drawn_by_their_weights(tmp_path: Path) -> None:
    first, second = write_data(tmp_path / "first"), write_data(tmp_path / "second")
    groups = open_images([f"{first}:3", f"{second}?only=two"])
    drawn = SourceSampler(groups, {}, {}).probabilities
    assert drawn == pytest.approx({"one": 3 / 8, "two": 3 / 8 + 1 / 4})
    samples = ImageSamples(plain(f"{first}:3"))
    assert same(next(iter(samples)), next(iter(ImageSamples(plain(first)))))


def test_parts_are_merged_into_the_whole(tmp_path: Path) -> None:
    write_data(tmp_path)
    rng = np.random.default_rng(0)
    image = SourceSampler(open_one(tmp_path / "one"), {}, {"one": 1.0}).draw(rng)
    assert np.unique(image.ids).tolist() == [0, 1]


def test_cutouts_come_from_named_sources_or_from_any(tmp_path: Path) -> None:
    index = open_one(write_data(tmp_path))
    assert CutoutSampler(index, ("two", "elsewhere"), {}).sources == ["two"]
    assert CutoutSampler(index, ("elsewhere",), {}).sources == ["one", "two"]
    cutout = CutoutSampler(index, ("two",), {}).draw(np.random.default_rng(0))
    assert cutout is not None
    assert (cutout.alpha == 255).sum() == 40 * 40


def test_no_cutout_is_drawn_where_no_object_is_large_enough(tmp_path: Path) -> None:
    write_pair(tmp_path / "one", "000", *scene([(5, 5, 8, 8)]))
    assert CutoutSampler(open_one(tmp_path), ("one",), {}).draw(np.random.default_rng(0)) is None


def test_a_sample_has_the_promised_shapes_and_types(tmp_path: Path) -> None:
    write_data(tmp_path)
    for sample in take(ImageSamples(ImageDataConfig(root=str(tmp_path), size=64, objects_per_image=3)), 20):
        assert (tuple(sample.rgb.shape), sample.rgb.dtype) == ((64, 64, 3), torch.uint8)
        assert (tuple(sample.masks.shape), sample.masks.dtype) == ((3, 32, 32), torch.bool)
        assert (tuple(sample.void.shape), sample.void.dtype) == ((32, 32), torch.bool)
        areas = sample.masks.float().mean((1, 2))
        assert ((areas >= 0.004) & (areas <= 0.85)).all()


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_masks_lie_on_their_objects(tmp_path: Path, flip: float) -> None:
    write_data(tmp_path)
    config = plain(tmp_path, flip_probability=flip, crop_probability=1.0, weights={"two": 0.0}, objects_per_image=2)
    for sample in take(ImageSamples(config), 20):
        centre = sample.rgb.reshape(32, 2, 32, 2, 3).float().mean((1, 3))
        for mask in sample.masks:
            inside = centre[mask].mean(0)
            distances = [float((inside - torch.tensor(colour)).abs().max()) for colour in COLOURS[:2]]
            assert min(distances) < 30


def test_objects_differ_while_there_are_enough(tmp_path: Path) -> None:
    write_data(tmp_path)
    for sample in take(ImageSamples(plain(tmp_path, objects_per_image=2, weights={"two": 0.0})), 5):
        assert not torch.equal(sample.masks[0], sample.masks[1])
    for sample in take(ImageSamples(plain(tmp_path, objects_per_image=2, weights={"one": 0.0})), 2):
        assert torch.equal(sample.masks[0], sample.masks[1])


def test_void_is_returned_and_never_an_object(tmp_path: Path) -> None:
    rgb, ids = scene([(5, 5, 35, 35)])
    ids[40:50, 40:70] = VOID
    write_pair(tmp_path / "one", "000", rgb, ids)
    sample = next(iter(ImageSamples(plain(tmp_path))))
    assert float(sample.void.float().mean()) == pytest.approx(300 / 4800, rel=0.2)
    assert not (sample.masks & sample.void).any()


def test_pasted_objects_hide_what_is_below_and_may_be_chosen(tmp_path: Path) -> None:
    write_data(tmp_path)
    chosen_pasted = 0
    for sample in take(ImageSamples(plain(tmp_path, paste_probability=1.0, weights={"two": 0.0})), 20):
        masks = torch.unique(sample.masks, dim=0)
        assert (masks.sum(0) <= 1).all()
        chosen_pasted += len(masks) == 3
    assert chosen_pasted > 5


def test_samples_depend_on_seed_rank_and_number_only(tmp_path: Path) -> None:
    write_data(tmp_path)
    config = ImageDataConfig(root=str(tmp_path), size=32)
    samples = take(ImageSamples(config), 6)
    assert all(map(same, samples, take(ImageSamples(config), 6)))
    assert all(map(same, samples[4:], take(ImageSamples(config, start=4), 2)))
    assert not same(samples[0], take(ImageSamples(config, rank=1), 1)[0])
    assert not same(samples[0], take(ImageSamples(ImageDataConfig(root=str(tmp_path), size=32), seed=1), 1)[0])


def test_workers_share_the_batches_of_one_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path)
    config = ImageDataConfig(root=str(tmp_path), size=32)
    alone = take(ImageSamples(config, start=3, batch_size=2), 8)
    by_worker = []
    for worker in range(2):
        info = SimpleNamespace(id=worker, num_workers=2)
        monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda info=info: info)
        monkeypatch.setattr("cv2.setNumThreads", lambda threads: None)
        by_worker.append(take(ImageSamples(config, start=3, batch_size=2), 4))
    together = by_worker[0][:2] + by_worker[1][:2] + by_worker[0][2:] + by_worker[1][2:]
    assert all(map(same, alone, together))


def test_a_loader_stacks_samples(tmp_path: Path) -> None:
    write_data(tmp_path)
    loader = torch.utils.data.DataLoader(ImageSamples(plain(tmp_path)), batch_size=4)
    batch = next(iter(loader))
    assert tuple(batch.rgb.shape) == (4, 64, 64, 3)
    assert tuple(batch.masks.shape) == (4, 3, 32, 32)


def test_a_data_set_without_objects_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masklet.train.data.MAX_DRAWS", 3)
    write_pair(tmp_path / "one", "000", *scene([]))
    with pytest.raises(DataError, match=r"held no object of 0\.4% to 85%"):
        next(iter(ImageSamples(plain(tmp_path))))


@pytest.mark.parametrize(
    ("field", "value"),
    [("size", 33), ("size", 0), ("objects_per_image", 0), ("paste_probability", 1.5), ("min_crop_area", -0.1)],
)
def test_bad_settings_are_named(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be .*{value}"):
        ImageDataConfig(root="data", **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("available", "wanted"), [(1, 3), (2, 5), (3, 3), (7, 2)])
def test_rows_repeat_only_when_there_are_too_few(available: int, wanted: int) -> None:
    rows = choose(available, wanted, np.random.default_rng(0))
    assert len(rows) == wanted
    assert len(set(rows)) == min(available, wanted)
