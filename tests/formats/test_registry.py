from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import get_args

import pytest

from masklet.cli.images import IMAGE_FORMATS
from masklet.cli.track_options import TrackResults
from masklet.errors import ConfigError
from masklet.formats import (
    FORMATS,
    ExportJob,
    Format,
    export_masks,
    live_formats,
    register_format,
)
from masklet.formats.registry import FormatRegistry
from masklet.render import EFFECTS, Edges
from masklet.schema import Options
from tests.formats.material import clip_masks, medium_of


def test_every_format_describes_itself() -> None:
    for one in FORMATS.values():
        described = json.loads(json.dumps(one.to_dict()))
        assert set(described["for"]) <= {"image", "video"}
        for option in described["options"]["properties"].values():
            assert {"title", "type", "default"} <= set(option)


@pytest.mark.parametrize("options", [*(one.options for one in FORMATS.values()), *EFFECTS, Edges])
def test_hints_for_forms_name_options_and_values_that_exist(options: type[Options]) -> None:
    properties = options.schema()["properties"]
    for option in properties.values():
        for other, values in option.get("x-only-if", {}).items():
            assert set(values) <= set(properties[other]["enum"])
        assert set(option.get("x-names", {})) == set(option.get("enum", ()))
        assert option.get("x-only-for", "video") in ("image", "video")


def my_format(format_id: str = "my-format") -> Format[Options]:
    def write(job: ExportJob[Options]) -> None:
        job.path.write_text("".join(f"{frame.frame_index}:{len(frame.rows)} " for frame in job.frames()))

    return Format(
        id=format_id,
        name="Mine",
        description="Counts.",
        kinds=("video",),
        suffixes=(".txt",),
        options=Options,
        write=write,
    )


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> FormatRegistry:
    """A registry for one test only."""
    own = FormatRegistry((FORMATS["coco"],))
    monkeypatch.setattr("masklet.formats.registry.FORMATS", own)
    return own


@pytest.mark.usefixtures("registry")
def test_a_custom_format(tmp_path: Path) -> None:
    mine = my_format()
    assert register_format(mine) is mine
    export_masks("my-format", [medium_of(clip_masks(overlap=True))], tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "0:2 1:2 2:2 3:2 5:2 "
    assert live_formats() == ("coco",)
    with pytest.raises(ConfigError, match="id 'my-format' is taken"):
        register_format(my_format())
    with pytest.raises(ConfigError, match=r"must be a masklet\.formats\.Format, got str"):
        register_format("coco")  # type: ignore[arg-type]


def test_formats_of_other_packages(registry: FormatRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def points(*, group: str) -> list[EntryPoint]:
        asked.append(group)
        return [
            EntryPoint("theirs", "tests.formats.test_registry:THEIRS", group),
            EntryPoint("broken", "no_such_package:FORMAT", group),
        ]

    monkeypatch.setattr("masklet.formats.registry.entry_points", points)
    with pytest.warns(UserWarning, match="the format broken .* is left out: No module named 'no_such_package'"):
        assert list(registry) == ["coco", "theirs"]
    assert registry["theirs"] is THEIRS
    assert asked == ["masklet.formats"]


def test_a_format_that_writes_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither open_stream nor write"):
        Format(id="empty", name="", description="", kinds=(), options=Options)


THEIRS = my_format("theirs")


def test_the_command_line_names_what_can_be_written_while_tracking() -> None:
    (option,) = [option for option in TrackResults.options() if option.name == "formats"]
    for format_id in live_formats():
        assert format_id in get_args(option.annotation)[1].help, format_id
    assert set(IMAGE_FORMATS) <= {one.id for one in FORMATS.values() if "image" in one.kinds}
