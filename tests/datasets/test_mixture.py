from __future__ import annotations

from pathlib import Path

import pytest

from masklet.datasets.mixture import DataSpec, mixture_clips, open_mixture, shares
from masklet.errors import ConfigError, DataError

from .tiny import write_images


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
