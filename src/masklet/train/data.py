"""Training samples from the images of any data set that `masklet.datasets` reads, or of a weighted mixture of them.

Sampling is a function of (seed, rank, sample number) alone. A run that stops after n samples continues exactly with
`start=n`, whatever the number of workers. Masks come at half of the input's size.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import cv2
import numpy as np
import torch

from masklet.checks import check_fraction, check_whole, set_checked
from masklet.datasets.files import Faults
from masklet.datasets.mixture import mixture_images, open_mixture, shares
from masklet.datasets.records import ImageExample, by_source
from masklet.datasets.shards import ShardImages
from masklet.errors import ConfigError, DataError
from masklet.masks.geometry import to_square_area
from masklet.records import BoolArray, ByteArray
from masklet.train.augment import (
    VOID,
    Cutout,
    LabelledImage,
    apply_colour,
    cut_out,
    object_ids,
    paste,
    random_colour,
    random_degradation,
    random_window,
    resize_coverage,
    scale_cutout,
)
from masklet.train.unused import UnusedData

T = TypeVar("T")

MAX_DRAWS = 200
"""Images tried for one sample before the data set is called unusable."""
VOID_COVERAGE = 63
"""A pixel more than a quarter void is void (in units of 255)."""

Groups = Sequence[tuple[float, Mapping[str, Sequence[ImageExample]]]]
"""The weight of each data set of a mixture, and its images by source."""


def open_images(specs: str | Sequence[str], unused: UnusedData | None = None) -> Groups:
    """Open the images of a mixture, by source.

    Args:
        specs: as `masklet.datasets.mixture.DataSpec.parse` reads them.
        unused: names single files that cannot be used, which are then left out.

    Raises:
        DataError: a data set cannot be used, or there are no images.
    """
    faults: Faults | None = None if unused is None else []
    groups = [(weight, by_source(images)) for weight, images in mixture_images(open_mixture(specs, faults))]
    if unused is not None:
        unused.add_faults(faults or [])
    return groups


def read_labelled(example: ImageExample, rng: np.random.Generator) -> LabelledImage:
    """Read an image and one id per pixel; where objects overlap, a random choice of whole ones.

    Raises:
        DataError: a file cannot be read or sizes differ.
    """
    rgb, labels = example.read()
    return LabelledImage(rgb, labels.apart(rng))


def weight_of(source: str, weights: Mapping[str, float]) -> float:
    """Return the weight of a source by its name or, with folders in folders, by the last part of it; else 1."""
    return weights.get(source, weights.get(source.rsplit("/", 1)[-1], 1.0))


class SourceSampler:
    """Draws labelled images: a data set by its weight, a source by weight times the root of its size, then evenly."""

    def __init__(self, groups: Groups, weights: Mapping[str, float], part_sources: Mapping[str, float]) -> None:
        self._sources = [(name, images) for _, sources in groups for name, images in sources.items()]
        self._probabilities = shares(
            [
                (weight, [weight_of(name, weights) * len(images) ** 0.5 for name, images in sources.items()])
                for weight, sources in groups
            ]
        )
        self._part_sources = part_sources
        self.sample_place: tuple[tuple[int, int], int] = ((0, 0), 0)
        """Stream (seed, rank) and number of the sample that is being made: shards are drawn from a few at a time."""

    @property
    def names(self) -> list[str]:
        """Names of the sources, without repetition."""
        return list(dict.fromkeys(name for name, _ in self._sources))

    @property
    def probabilities(self) -> dict[str, float]:
        """Probability of each source that is drawn at all."""
        drawn: dict[str, float] = {}
        for (name, _), probability in zip(self._sources, self._probabilities.tolist(), strict=True):
            if probability:
                drawn[name] = drawn.get(name, 0.0) + probability
        return drawn

    def draw_source(self, rng: np.random.Generator) -> int:
        """Draw the number of a source."""
        return int(rng.choice(len(self._sources), p=self._probabilities))

    def name_of(self, source: int) -> str:
        """Return the name of a source."""
        return self._sources[source][0]

    def draw(self, rng: np.random.Generator, source: int | None = None) -> LabelledImage:
        """Read one random image, of a given source or of any; parts are at times merged into their whole."""
        name, images = self._sources[self.draw_source(rng) if source is None else source]
        if isinstance(images, ShardImages):
            row = images.pick(rng, *self.sample_place)
        else:
            row = int(rng.integers(len(images)))
        image = read_labelled(images[row], rng)
        merged = self._part_sources.get(name, self._part_sources.get(name.rsplit("/", 1)[-1], 0.0))
        return image.merge_objects() if rng.random() < merged else image


class CutoutSampler:
    """Draws whole objects to be pasted elsewhere."""

    def __init__(
        self,
        groups: Groups,
        sources: Iterable[str],
        weights: Mapping[str, float],
        part_sources: Iterable[str] = (),
    ) -> None:
        names = set(sources)
        clean = [(weight, _select_sources(images, names)) for weight, images in groups]
        if not any(images for _, images in clean):
            clean = [(weight, dict(images)) for weight, images in groups]
        self.images = SourceSampler(clean, weights, dict.fromkeys(part_sources, 1.0))
        self.sources = self.images.names
        """Names of the sources."""

    def draw_source(self, rng: np.random.Generator) -> int:
        """Draw the number of a source of cut-outs."""
        return self.images.draw_source(rng)

    def draw(self, rng: np.random.Generator, source: int | None = None) -> Cutout | None:
        """Draw one object, preferably not cut off by its image's border; None when several images held none."""
        best: Cutout | None = None
        for _ in range(4):
            cutout = random_cutout(self.images.draw(rng, source), rng)
            if cutout is not None and (best is None or cutout.borders_touched < best.borders_touched):
                best = cutout
            if best is not None and best.borders_touched <= 1:
                break
        return best


def _select_sources(images: Mapping[str, Sequence[ImageExample]], names: set[str]) -> dict[str, Sequence[ImageExample]]:
    return {
        source: examples for source, examples in images.items() if source in names or source.rsplit("/", 1)[-1] in names
    }


def random_cutout(image: LabelledImage, rng: np.random.Generator) -> Cutout | None:
    """Draw one of the image's larger objects, among those that its border cuts off least; None without such."""
    present = object_ids(image.ids, 0.02, 0.6)
    if not present:
        return None
    cutouts = [cut_out(image, int(object_id)) for object_id in rng.permutation(present)[:3]]
    cutouts = [cutout for cutout in cutouts if min(cutout.alpha.shape) >= 24]
    return min(cutouts, key=lambda cutout: max(1, cutout.borders_touched), default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageDataConfig:
    """Source of the training images and their augmentation."""

    root: str | Sequence[str]
    """A data set, or several: `ROOT[?layout=NAME&split=NAME&only=A,B][:WEIGHT]` each."""
    size: int = 256
    """Side of the square model input, pixels; even."""
    objects_per_image: int = 3
    """K, masks per sample; repeated when an image has fewer objects."""
    weights: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Multiplier by source, 1 when not named; a source is drawn in proportion to it times the root of its images."""
    part_sources: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Sources whose ids are parts of one thing, and the probability of merging them."""
    cutout_sources: tuple[str, ...] = ()
    """Sources whose objects are pasted, where they are there; all sources if none is."""
    paste_probability: float = 0.35
    """An object of another image is pasted in: it occludes, and may be one of the K."""
    crop_probability: float = 0.8
    """Probability of a random crop; else the whole image is used."""
    min_crop_area: float = 0.2
    """Smallest crop, as a fraction of the image's area."""
    flip_probability: float = 0.5
    colour_probability: float = 0.8
    degrade_probability: float = 0.07
    """Probability of each of blur, noise and compression."""
    min_object_area: float = 0.004
    """Smallest object, as a fraction of the crop."""
    max_object_area: float = 0.85
    """Largest object, as a fraction of the crop."""

    def __post_init__(self) -> None:
        set_checked(self, ["size", "objects_per_image"], check_whole, least=1)
        check_size(self.size)
        probabilities = [f"{name}_probability" for name in ("paste", "crop", "flip", "colour", "degrade")]
        set_checked(self, [*probabilities, "min_crop_area", "min_object_area", "max_object_area"], check_fraction)


def check_size(size: int) -> None:
    """Raises ConfigError for a side that cannot be halved."""
    if size < 16 or size % 2:
        raise ConfigError(f"size must be an even number of pixels, at least 16, got {size}")


class ImageSample(NamedTuple):
    """One training image and K of its objects; a tuple, so that the default collation stacks it."""

    rgb: torch.Tensor
    """(S, S, 3) uint8."""
    masks: torch.Tensor
    """(K, S/2, S/2) bool."""
    void: torch.Tensor
    """(S/2, S/2) bool, pixels the loss ignores."""


class SampleStream(torch.utils.data.IterableDataset[T], ABC, Generic[T]):
    """An endless, exactly repeatable stream: sample i depends on (seed, rank, i) and nothing else.

    Args:
        seed: seed of the run.
        rank: rank of this process among those that train together; each sees other samples. Several: the batches of
            those ranks in turn, for a process that does the work of more than one.
        start: samples each rank has consumed already, to resume.
        batch_size: of the loader. Workers then take whole batches in turn, and samples come in one order whatever
            the number of workers.
        unused: names files that cannot be read, and another sample is drawn; without it they are errors.
    """

    def __init__(
        self,
        *,
        seed: int,
        rank: int | Sequence[int] = 0,
        start: int = 0,
        batch_size: int = 1,
        unused: UnusedData | None = None,
    ) -> None:
        check_whole("batch_size", batch_size, least=1)
        self._unused = unused
        self._seed, self._start, self._batch_size = seed, start, batch_size
        self._ranks = (rank,) if isinstance(rank, int) else tuple(rank)

    @abstractmethod
    def go_to(self, stream: tuple[int, int], number: int) -> None:
        """Tell the samplers which sample comes next: stream (seed, rank) and number."""

    @abstractmethod
    def attempt(self, rng: np.random.Generator) -> T | None:
        """Try to make one sample; None when the draw has no object within the size limits."""

    @abstractmethod
    def describe_want(self) -> str:
        """Return what `attempt` looks for and where, for a message."""

    def sample(self, rng: np.random.Generator) -> T:
        """Make one sample from a generator of its own.

        Raises:
            DataError: the data set has hardly any fitting objects, or cannot be read.
        """
        for draw in range(MAX_DRAWS):
            try:
                sample = self.attempt(rng)
            except DataError as error:
                if self._unused is None or draw == MAX_DRAWS - 1:
                    raise
                self._unused.add(f"left out: {error}")
                continue
            if sample is not None:
                return sample
        raise DataError(f"{MAX_DRAWS} draws in a row held no {self.describe_want()}: run `masklet data check` on it")

    def __iter__(self) -> Iterator[T]:
        worker = torch.utils.data.get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        if worker is not None:
            cv2.setNumThreads(0)  # workers are the parallelism; OpenCV's own threads would fight over the cores
        for batch in itertools.count(first, step):
            turn, row = divmod(batch, len(self._ranks))
            for offset in range(self._batch_size):
                number = self._start + turn * self._batch_size + offset
                stream = (self._seed, self._ranks[row])
                self.go_to(stream, number)
                yield self.sample(np.random.default_rng([*stream, number]))


class ImageSamples(SampleStream[ImageSample]):
    """Training images; see `SampleStream` for `seed`, `rank`, `start`, `batch_size` and `unused`.

    Raises:
        DataError: the data set cannot be used, here or while reading.
    """

    def __init__(
        self,
        config: ImageDataConfig,
        *,
        seed: int = 0,
        rank: int | Sequence[int] = 0,
        start: int = 0,
        batch_size: int = 1,
        unused: UnusedData | None = None,
    ) -> None:
        super().__init__(seed=seed, rank=rank, start=start, batch_size=batch_size, unused=unused)
        self.config = config
        groups = open_images(config.root, unused)
        self._images = SourceSampler(groups, config.weights, config.part_sources)
        self._cutouts = CutoutSampler(groups, config.cutout_sources, config.weights, config.part_sources)

    def go_to(self, stream: tuple[int, int], number: int) -> None:
        self._images.sample_place = self._cutouts.images.sample_place = (stream, number)

    def describe_want(self) -> str:
        config = self.config
        return f"object of {config.min_object_area:.1%} to {config.max_object_area:.0%} of the crop in {config.root}"

    def attempt(self, rng: np.random.Generator) -> ImageSample | None:
        config = self.config
        image = augment_geometry(self._images.draw(rng), rng, config)
        rgb = to_square_area(image.rgb, config.size)
        pasted = np.zeros((config.size, config.size), np.uint8)
        if rng.random() < config.paste_probability:
            cutout = self._cutouts.draw(rng)
            if cutout is not None:
                rgb, pasted = _paste_at_random(rgb, cutout, rng)
        visible = visible_objects(image.ids, pasted, config)
        if not visible:
            return None
        if rng.random() < config.colour_probability:
            rgb = apply_colour(rgb, random_colour(rng))
        rgb = random_degradation(rng, config.degrade_probability).apply(rgb, rng)
        rows = choose(len(visible), config.objects_per_image, rng)
        half = config.size // 2
        void = (resize_coverage(image.ids == VOID, half) > VOID_COVERAGE) & (resize_coverage(pasted, half) <= 127)
        masks = np.stack([visible[row] for row in rows])
        return ImageSample(torch.from_numpy(rgb), torch.from_numpy(masks), torch.from_numpy(void))


def augment_geometry(image: LabelledImage, rng: np.random.Generator, config: ImageDataConfig) -> LabelledImage:
    """Crop and mirror at random, at source resolution."""
    if rng.random() < config.crop_probability:
        window = random_window(image.ids, rng, min_area=config.min_crop_area, min_side_px=config.size // 3)
        image = image.crop(window)
    return image.flip() if rng.random() < config.flip_probability else image


def visible_objects(ids: ByteArray, pasted: ByteArray, config: ImageDataConfig) -> list[BoolArray]:
    """Return the masks (S/2, S/2) of all objects within the size limits: those of the image and the pasted one.

    Masks are made at source resolution and reduced once: reducing a mask of the input's size by two would leave
    pixels half covered, and rounding all of them the same way shifts every outline.
    """
    half = config.size // 2
    pasted_mask = resize_coverage(pasted, half) > 127
    present = object_ids(ids, config.min_object_area, config.max_object_area)
    masks = [(resize_coverage(ids == object_id, half) > 127) & ~pasted_mask for object_id in present]
    limits = (config.min_object_area * half * half, config.max_object_area * half * half)
    return [mask for mask in [*masks, pasted_mask] if max(1.0, limits[0]) <= mask.sum() <= limits[1]]


def choose(num_available: int, num_wanted: int, rng: np.random.Generator) -> list[int]:
    """Draw `num_wanted` rows of `num_available` in random order; none repeats before all were drawn."""
    rows: list[int] = []
    while len(rows) < num_wanted:
        rows.extend(int(row) for row in rng.permutation(num_available))
    return rows[:num_wanted]


def _paste_at_random(rgb: ByteArray, cutout: Cutout, rng: np.random.Generator) -> tuple[ByteArray, ByteArray]:
    size = rgb.shape[0]
    if rng.random() < 0.5:
        cutout = cutout.flip()
    cutout = scale_cutout(cutout, size * rng.uniform(0.25, 0.7))
    if rng.random() < 0.8:
        cutout = Cutout(apply_colour(cutout.rgb, random_colour(rng, 0.7)), cutout.alpha, cutout.borders_touched)
    centre_x, centre_y = rng.integers(0, size, 2)
    return paste(rgb, cutout, (int(centre_x), int(centre_y)))
