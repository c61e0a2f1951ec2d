from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.errors import DataError
from masklet.formats import (
    export_masks,
    open_streams,
)
from masklet.masks.indexed_png import davis_palette
from masklet.media.source import ArraySource
from masklet.records import Frame
from tests.formats.material import SIZE, medium_of
from tests.media.clips import masks_for, numbered_frame


def test_an_indexed_png_notes_overlaps_and_the_smaller_object_is_on_top(tmp_path: Path) -> None:
    large, small = np.zeros(SIZE, np.bool_), np.zeros(SIZE, np.bool_)
    large[2:30, 2:40], small[10:20, 10:20] = True, True
    written = export_masks("masks", [medium_of({0: {1: small, 7: large}})], tmp_path / "masks")
    assert "the smaller one is on top" in written.notes[0]
    ids = np.asarray(Image.open(tmp_path / "masks" / "00000.png"))
    assert (ids[small] == 1).all()
    assert (ids[large & ~small] == 7).all()


def test_masks_as_indexed_png(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    (folder / "3").mkdir(parents=True)
    (folder / "00099.png").write_bytes(b"of an earlier run")
    (folder / "3" / "00099.png").write_bytes(b"of an earlier run")
    (folder / "mine.png").write_bytes(b"someone else's")
    frame = Frame(7, numbered_frame(0), 0.28)
    masks = masks_for(frame, (1, 200))
    masks.masks[1, :, 26:] = False  # now the smaller one
    source = ArraySource([frame.rgb])
    with open_streams(tmp_path, ["masks"], source, options={"masks": {"layout": "both"}}, force=True) as streams:
        streams.write(frame, masks)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert files == ["00007.png", "1/00007.png", "200/00007.png", "mine.png", "objects.json"]
    described = json.loads((folder / "objects.json").read_text())["objects"]
    assert [known["id"] for known in described] == [1, 200]
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
    with (
        pytest.raises(DataError, match="object id 255 does not fit"),
        open_streams(tmp_path, ["masks"], ArraySource([frame.rgb])) as streams,
    ):
        streams.write(frame, masks_for(frame, (255,)))
