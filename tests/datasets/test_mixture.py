from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from masklet.datasets.mixture import DataSpec, mixture_clips, open_mixture, shares
from masklet.errors import ConfigError, DataError

from .tiny import ids, save, write_clip, write_images


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data", DataSpec(root="data")),
        ("data:2.5", DataSpec(root="data", weight=2.5)),
        ("D?split=val&layout=davis:3", DataSpec(root="D", weight=3, split="val", layout="davis")),
        ("D?only=cats,dogs&verify=no", DataSpec(root="D", only=("cats", "dogs"), verify=False)),
        ("C:\\data", DataSpec(root="C:\\data")),
    ],
)
def test_a_data_set_of_a_mixture_is_parsed_from_one_argument(text: str, expected: DataSpec) -> None:
    assert DataSpec.parse(text) == expected


def test_a_path_that_exists_is_taken_as_it_is(tmp_path: Path) -> None:
    odd = tmp_path / "what?:2"
    odd.mkdir()
    assert DataSpec.parse(str(odd)) == DataSpec(root=str(odd))


@pytest.mark.parametrize("text", ["data:0", "data:-1", "data:inf", "data:nan", "data?colour=red"])
def test_invalid_specs_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="data"):
        DataSpec.parse(text)


def test_only_some_sources(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        write_images(tmp_path / name)
    ((weight, data),) = open_mixture(f"{tmp_path}?only=dogs:2")
    assert (weight, {image.source for image in data.images}) == (2.0, {"dogs"})
    with pytest.raises(DataError, match="no source or clip 'cows': it has cats, dogs"):
        open_mixture(f"{tmp_path}?only=cows")
    with pytest.raises(DataError, match="holds no clips"):
        mixture_clips(open_mixture(str(tmp_path)))


def test_shares_spread_the_weight_of_a_group() -> None:
    assert shares([(3, [1, 2]), (1, [5])]).tolist() == pytest.approx([0.25, 0.5, 0.25])
    assert shares([(3, [0, 0]), (1, [5])]).tolist() == pytest.approx([0, 0, 1])
    with pytest.raises(DataError, match="weight 0"):
        shares([(1, [0, 0])])


def named(count: int) -> list[str]:
    return [f"{number:03d}" for number in range(count)]


def test_single_files_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    write_images(tmp_path / "cats", named(60))
    (tmp_path / "cats/masks/007.png").rename(tmp_path / "cats/masks/seven.png")
    faults: list[DataError] = []
    ((_, data),) = open_mixture(str(tmp_path), faults)
    assert len(data.images) == 59
    assert len(faults) == 2  # a mask without its image, and an image without its mask


def test_a_data_set_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "cats", named(12))
    for name in named(9):
        (tmp_path / f"cats/masks/{name}.png").rename(tmp_path / f"cats/masks/mask_{name}.png")
    with pytest.raises(DataError, match=r"18 of 21 files do not fit; at most 5% are left out.*mask_000\.png has no"):
        open_mixture(str(tmp_path), [])


def test_a_data_set_of_other_sizes_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "cats", named(6))
    for name in named(3):
        save(tmp_path / f"cats/masks/{name}.png", ids({1: (1, 1, 5, 5)}, (20, 30)))
    with pytest.raises(DataError, match="3 of 6 files do not fit"):
        open_mixture(str(tmp_path), [])


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "cats", named(30))
    write_images(tmp_path / "dogs", named(20))
    shutil.rmtree(tmp_path / "dogs/masks")
    with pytest.raises(DataError, match=r"20 of 50 files do not fit.*dogs has images but no masks"):
        open_mixture(str(tmp_path), [])


def test_clips_whose_masks_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "walk/frames", tmp_path / "walk/masks", 12)
    for number in range(3):
        (tmp_path / f"walk/masks/{number:05d}.png").rename(tmp_path / f"walk/masks/x{number:05d}.png")
    with pytest.raises(DataError, match="3 of 12 files do not fit"):
        open_mixture(str(tmp_path), [])


def test_files_that_cannot_be_decoded_are_left_out_however_many_they_are(tmp_path: Path) -> None:
    write_images(tmp_path / "cats", named(8))
    for name in named(6):
        (tmp_path / f"cats/images/{name}.jpg").write_bytes(b"no image")
    faults: list[DataError] = []
    ((_, data),) = open_mixture(str(tmp_path), faults)
    assert (len(data.images), len(faults)) == (2, 6)
