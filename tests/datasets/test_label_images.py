"""Label images as other programs write them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from masklet.cli.prompts import ObjectPrompt
from masklet.datasets import open_dataset
from masklet.datasets.check import check_dataset
from masklet.datasets.label_images import decode_ids, read_object_mask
from masklet.errors import DataError, PromptError
from masklet.evaluation.written import evaluate_masks
from masklet.formats import import_masks
from masklet.masks.indexed_png import indexed_png
from masklet.masks.operations import mask_iou
from masklet.records import BoolArray
from tests.formats.material import read_back

SIZE = (48, 64)
ROWS, COLUMNS = np.mgrid[: SIZE[0], : SIZE[1]]
DISC: BoolArray = np.hypot(ROWS - 22, COLUMNS - 30) < 14
LABELS = np.zeros(SIZE, np.uint8)
LABELS[5:20, 5:25], LABELS[25:40, 30:55], LABELS[30:35, 5:9] = 1, 2, 3


def grey(mask: BoolArray) -> Image.Image:
    return Image.fromarray(mask.astype(np.uint8) * 255)


def large_disc() -> Image.Image:
    rows, columns = np.mgrid[: 4 * SIZE[0], : 4 * SIZE[1]]
    return grey(np.hypot(rows - 90, columns - 122) < 56)


def small_disc() -> Image.Image:
    rows, columns = np.mgrid[: SIZE[0] // 4, : SIZE[1] // 4]
    return grey(np.hypot(rows - 5.5, columns - 7.5) < 3.5)


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return a picture as JPEG keeps it; its bytes are in `info`."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    compressed = Image.open(io.BytesIO(buffer.getvalue()))
    compressed.load()
    compressed.info["bytes"] = buffer.getvalue()
    return compressed


WIDTH_HEIGHT = SIZE[::-1]
SOFT = {
    "smaller": large_disc().resize(WIDTH_HEIGHT, Image.Resampling.LANCZOS),
    "half": grey(np.kron(DISC, np.ones((2, 2), np.bool_))).resize(WIDTH_HEIGHT, Image.Resampling.BOX),
    "larger": small_disc().resize(WIDTH_HEIGHT, Image.Resampling.BICUBIC),
    "smoothed": grey(DISC).filter(ImageFilter.GaussianBlur(1)),
    "compressed": jpeg(grey(DISC), 75),
    "well compressed": jpeg(grey(DISC), 95),
    "compressed in colour": jpeg(grey(DISC).convert("RGB"), 80),
    "16 bits": Image.fromarray(np.asarray(grey(DISC).filter(ImageFilter.GaussianBlur(1))).astype(np.uint16) * 257),
    "three channels": grey(DISC).filter(ImageFilter.GaussianBlur(1)).convert("RGB"),
    "alpha": Image.merge("RGBA", [*[grey(~DISC)] * 3, grey(DISC).filter(ImageFilter.GaussianBlur(1))]),
}
SHARP = {
    "0 and 255": grey(DISC),
    "0 and 1": Image.fromarray(DISC.astype(np.uint8)),
    "one bit": Image.fromarray(DISC),
    "0 and 65535": Image.fromarray(DISC.astype(np.uint16) * 65535),
    "palette": Image.open(io.BytesIO(indexed_png(DISC.astype(np.uint8)))),
    "colour of the palette": Image.open(io.BytesIO(indexed_png(DISC.astype(np.uint8)))).convert("RGB"),
    "float": Image.fromarray(DISC.astype(np.float32)),
}


def image_source(root: Path, mask: Image.Image, suffix: str) -> Path:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(root / "images" / "a.jpg")
    save(mask, root / "masks" / f"a{suffix}")
    return root


def save(image: Image.Image, path: Path) -> Path:
    """Save a picture; one that is a JPEG already keeps its bytes."""
    if path.suffix == ".jpg":
        path.write_bytes(image.info["bytes"])
    else:
        image.save(path)
    return path


@pytest.mark.parametrize("kind", [*SOFT, *SHARP])
def test_a_mask_is_one_object_at_every_door(kind: str, tmp_path: Path) -> None:
    image = (SOFT | SHARP)[kind]
    suffix = ".tif" if kind == "float" else ".png"
    root = image_source(tmp_path / "set", image, suffix)
    labels = open_dataset(root).images[0].read()[1]
    assert labels.object_ids == (1,)
    assert labels.void is None
    report = check_dataset(open_dataset(root, verify=False))
    assert sum(counts.objects for counts in report.sources.values()) == 1
    path = root / "masks" / f"a{suffix}"
    imported = import_masks(path, size_hw=SIZE, file_name="a.jpg").masklets
    prompt = ObjectPrompt(values={"mask": path}).to_prompt(SIZE).mask
    assert prompt is not None
    channel = image.getchannel("A") if kind == "alpha" else image.convert("RGB").getchannel(0)
    expected = np.asarray(channel) > 127 if kind in SOFT and kind != "16 bits" else DISC
    for mask in (labels.mask(1), read_back(imported)[0, 1], read_object_mask(path), prompt):
        assert mask_iou(mask, expected) > (0.95 if kind in SOFT else 0.9999)


@pytest.mark.parametrize("kind", ["compressed", "well compressed", "compressed in colour"])
def test_masks_in_jpeg_files(kind: str, tmp_path: Path) -> None:
    root = image_source(tmp_path, SOFT[kind], ".jpg")
    assert mask_iou(open_dataset(root).images[0].read_labels().mask(1), DISC) > 0.95


@pytest.mark.parametrize(
    ("image", "suffix"),
    [
        (Image.fromarray(LABELS), ".png"),
        (Image.fromarray(LABELS), ".tif"),
        (Image.fromarray(LABELS), ".bmp"),
        (Image.fromarray(LABELS.astype(np.uint16)), ".png"),
        (Image.fromarray(LABELS.astype(np.uint16)), ".tif"),
        (Image.fromarray(LABELS.astype(np.int32)), ".tif"),
        (Image.open(io.BytesIO(indexed_png(LABELS))), ".png"),
        (Image.open(io.BytesIO(indexed_png(LABELS))).convert("RGB"), ".png"),
        (Image.fromarray(LABELS).convert("LA"), ".png"),
    ],
)
def test_labels_of_every_kind_of_file(image: Image.Image, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    image.save(path)
    assert (decode_ids(path, "a") == LABELS).all()
    labels = open_dataset(image_source(tmp_path / "set", image, suffix)).images[0].read()[1]
    assert labels.areas() == {1: 300, 2: 375, 3: 20}
    with pytest.raises(PromptError, match=r"several values besides 0 \(1, 2, 3\), so it holds several objects"):
        ObjectPrompt(values={"mask": path}).to_prompt(SIZE)


@pytest.mark.parametrize("scale", [1, 40, 80])
def test_spread_ids_and_void_stay_labels(scale: int, tmp_path: Path) -> None:
    ids = LABELS * np.uint8(scale)
    ids[44:] = 255
    path = tmp_path / "a.png"
    Image.fromarray(ids).save(path)
    assert (decode_ids(path, "a") == ids).all()


def test_sixteen_bits_hold_more_than_254_objects(tmp_path: Path) -> None:
    ids = np.kron(np.arange(1, 301, dtype=np.uint16).reshape(15, 20), np.ones((3, 3), np.uint16))
    wide = np.zeros(SIZE, np.uint16)
    wide[:45, :60] = ids
    labels = open_dataset(image_source(tmp_path, Image.fromarray(wide), ".png")).images[0].read()[1]
    assert len(labels.object_ids) == 300
    assert (labels.mask(300) == (wide == 300)).all()


def test_void_of_sixteen_bits(tmp_path: Path) -> None:
    ids = LABELS.astype(np.uint16)
    ids[44:] = 65535
    labels = open_dataset(image_source(tmp_path, Image.fromarray(ids), ".png")).images[0].read()[1]
    assert labels.object_ids == (1, 2, 3)
    assert labels.void is not None
    assert labels.void.sum() == 4 * SIZE[1]


NOISE = np.random.default_rng(0).integers(0, 255, SIZE, np.uint8)


@pytest.mark.parametrize(
    ("image", "suffix", "problem"),
    [
        (Image.fromarray(NOISE), ".png", r"a\.png has .* greys and is neither labels nor one mask"),
        (jpeg(Image.fromarray(LABELS * np.uint8(60)), 60), ".jpg", "resized or compressed"),
        (Image.fromarray(LABELS * np.uint8(60)).resize((50, 40), Image.Resampling.BICUBIC), ".png", "resized"),
        (Image.fromarray(np.dstack([NOISE, NOISE.T.reshape(SIZE), NOISE])), ".png", "a colour picture"),
        (Image.fromarray(LABELS / np.float32(2)), ".tif", "has fractions or NaN"),
        (Image.fromarray(LABELS.astype(np.int32) - 1), ".tif", "has labels from -1 to 2"),
    ],
)
def test_what_is_no_label_image_is_refused(image: Image.Image, suffix: str, problem: str, tmp_path: Path) -> None:
    path = save(image, tmp_path / f"a{suffix}")
    with pytest.raises(DataError, match=problem):
        decode_ids(path, path.name)


def test_a_stack_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(LABELS).save(path, save_all=True, append_images=[Image.fromarray(LABELS)])
    with pytest.raises(DataError, match=r"a\.tif cannot be read as a mask: it has 2 pages: save one file per frame"):
        decode_ids(path, path.name)


def test_objects_in_files_of_their_own_are_never_numbered_by_order(tmp_path: Path) -> None:
    root = image_source(tmp_path, grey(DISC), ".png")
    (root / "masks" / "a.png").unlink()
    folder = root / "masks" / "a"
    folder.mkdir()
    for name in ("object_3", "object_12"):
        SOFT["smoothed"].save(folder / f"{name}.png")
    labels = open_dataset(root).images[0].read()[1]
    assert labels.object_ids == (3, 12)
    assert mask_iou(labels.mask(12), DISC) > 0.9
    (folder / "object_12.png").rename(folder / "dog.png")
    with pytest.raises(DataError, match=r"dog\.png does not say which object it is: name it by a number"):
        open_dataset(root)
    (folder / "dog.png").rename(folder / "cat_3.png")
    with pytest.raises(DataError, match="are both object 3"):
        open_dataset(root)


def test_masks_with_soft_edges_are_scored(tmp_path: Path) -> None:
    for folder, image in (("results", SOFT["smoothed"]), ("truth", grey(DISC))):
        for index in range(3):
            path = tmp_path / folder / "clip" / f"{index:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    report = evaluate_masks(tmp_path / "results", tmp_path / "truth")
    assert [track.object_id for track in report.tracks] == [1]
    assert report.overall["J"] > 0.95
