"""Training clips: real ones, and synthetic ones made of still images, which is how a small data set teaches tracking.

A synthetic clip is a still image under a moving camera, with objects of other images moving over it on paths of their
own: they turn, grow, bend, change their light, cross and hide each other, leave the frame and come back. Copies and
kin of an object move beside it, so that only its identity, not its kind, tells which one was meant. The same objects
are pasted into real clips at times. The image's own objects can be tracked as well.

Shapes: T frames, K objects, S the model's square input; masks at half of it, as for images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from masklet.errors import DataError
from masklet.geometry import to_square_area
from masklet.records import BoolArray, ByteArray, FloatArray
from masklet.train.augment import (
    VOID,
    Cutout,
    LabelledImage,
    Window,
    apply_colour,
    object_ids,
    random_colour,
    random_degradation,
    random_window,
    resize_coverage,
    scale_cutout,
)
from masklet.train.data import (
    CUTOUT_SOURCES,
    MAX_DRAWS,
    PART_SOURCES,
    SOURCE_WEIGHTS,
    VOID_COVERAGE,
    CutoutSampler,
    ImageEntry,
    ImageIndex,
    SampleStream,
    SourceSampler,
    check_count,
    check_fraction,
    check_size,
    list_entries,
    random_cutout,
    read_entry,
)
from masklet.train.scene import Layer, Motion, Scene, between, camera_motion, object_motion

MAX_CANVAS_SCALE = 1.8
"""Largest still image under a moving camera, in sides of the frame; beyond its edges it is mirrored."""
MAX_REAL_STRIDE = 6

CLIP_WEIGHTS: Mapping[str, float] = {"cdnet_highway": 0.3}
"""Many clips of one fixed camera count for less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipDataConfig:
    """Where training clips come from and how they are made."""

    image_root: str
    """Folder of image sources, as `ImageDataConfig.root`."""
    clip_root: str | None = None
    """Folder of real clips, each with frames/ and masks/; None for synthetic clips only."""
    size: int = 256
    """Side of the square model input, pixels; even."""
    objects_per_clip: int = 3
    """K, objects a clip; repeated when a clip has fewer."""
    num_frames: int = 6
    """T."""
    real_probability: float = 0.35
    """Of a real clip, where there are any."""
    lookalike_probability: float = 0.4
    """That a pasted object gets a copy, or another object of its source, beside it."""
    occluder_probability: float = 0.3
    """That something passes by in front that is not tracked."""
    paste_on_real_probability: float = 0.35
    """That objects are pasted into a real clip."""
    degrade_probability: float = 0.12
    """Of each of blur, noise and compression, over the whole clip."""
    weights: Mapping[str, float] = field(default_factory=lambda: dict(SOURCE_WEIGHTS))
    """Multiplier by image source, as in `ImageDataConfig`."""
    part_sources: Mapping[str, float] = field(default_factory=lambda: dict(PART_SOURCES))
    """Sources whose ids are parts of one thing, and the probability of merging them."""
    cutout_sources: tuple[str, ...] = CUTOUT_SOURCES
    """Sources whose objects are pasted; those absent are passed over, all are used when none is there."""
    clip_weights: Mapping[str, float] = field(default_factory=lambda: dict(CLIP_WEIGHTS))
    """Multiplier for real clips whose name starts so, else 1; a clip is drawn by it times the root of its frames."""
    min_object_area: float = 0.006
    """Smallest object on the first frame, as a fraction of it."""
    max_object_area: float = 0.7
    """Largest object on the first frame, as a fraction of it."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_size(self.size)
        check_count("objects_per_clip", self.objects_per_clip)
        check_count("num_frames", self.num_frames)
        for name in ("real", "lookalike", "occluder", "paste_on_real", "degrade"):
            check_fraction(f"{name}_probability", getattr(self, f"{name}_probability"))
        for name in ("min_object_area", "max_object_area"):
            check_fraction(name, getattr(self, name))


class ClipSample(NamedTuple):
    """One training clip and K of its objects; a tuple, so that the default collation stacks it."""

    rgb: torch.Tensor
    """(T, S, S, 3) uint8."""
    masks: torch.Tensor
    """(K, T, S/2, S/2) bool; not empty on the first frame, maybe later."""
    void: torch.Tensor
    """(T, S/2, S/2) bool, pixels the loss ignores."""


@dataclass(frozen=True, slots=True)
class ClipIndex:
    """Real clips by name. Build it with `ClipIndex.open`."""

    clips: Mapping[str, tuple[ImageEntry, ...]]

    @classmethod
    def open(cls, root: str | Path) -> ClipIndex:
        """List a folder of clips, `<clip>/frames/*.jpg` with `<clip>/masks/*.png`, frames in order of their names.

        Raises:
            DataError: the folder is missing or holds no clip, a frame has no mask, or sizes differ.
        """
        folder = Path(root)
        if not folder.is_dir():
            raise DataError(f"clip folder {folder} does not exist: give the folder that holds the clips")
        clips = {
            path.name: list_entries(path / "frames", path / "masks")
            for path in sorted(folder.iterdir())
            if (path / "frames").is_dir()
        }
        if not clips:
            raise DataError(f"clip folder {folder} holds no clip: expected <clip>/frames/*.jpg with <clip>/masks/*.png")
        return cls(clips)


class ClipSamples(SampleStream[ClipSample]):
    """Training clips; see `SampleStream` for `rank`, `start` and `batch_size`.

    Raises:
        DataError: the data set cannot be used, here or while reading.
    """

    def __init__(
        self, config: ClipDataConfig, *, rank: int | Sequence[int] = 0, start: int = 0, batch_size: int = 1
    ) -> None:
        super().__init__(seed=config.seed, rank=rank, start=start, batch_size=batch_size)
        self.config = config
        index = ImageIndex.open(config.image_root)
        self._images = SourceSampler(index, config.weights, config.part_sources)
        self._cutouts = CutoutSampler(index, config.cutout_sources, config.weights)
        clips = {} if config.clip_root is None else ClipIndex.open(config.clip_root).clips
        weights = {name: _prefix_weight(name, config.clip_weights) for name in clips}
        self._clips = [clip for name, clip in clips.items() if weights[name] > 0]
        shares = np.array([weights[name] * len(clip) ** 0.5 for name, clip in clips.items() if weights[name] > 0])
        self._clip_probabilities: NDArray[np.float64] = shares / max(shares.sum(), 1e-9)

    def sample(self, rng: np.random.Generator) -> ClipSample:
        """Make one sample from a generator that is its own."""
        for _ in range(MAX_DRAWS):
            scene = self._draw_scene(rng)
            sample = self._finish(scene, rng)
            if sample is not None:
                return sample
        raise DataError(
            f"{self.config.image_root}: {MAX_DRAWS} clips in a row held no object of {self.config.min_object_area:.1%} "
            f"to {self.config.max_object_area:.0%} of the first frame: check that masks hold ids 1 to 254"
        )

    def _draw_scene(self, rng: np.random.Generator) -> Scene:
        if self._clips and rng.random() < self.config.real_probability:
            scene = self._real_scene(rng)
            if rng.random() < self.config.paste_on_real_probability:
                self._paste_objects(scene, rng, int(rng.integers(1, 3)), [])
            return scene
        source = self._images.draw_source(rng)
        still = self._images.draw(rng, source)
        scene = self._still_scene(still, rng)
        copies_own = source in self._cutouts.sources and rng.random() < self.config.lookalike_probability
        own = random_cutout(still, rng) if copies_own else None
        num_objects = int(rng.choice(4, p=[0.15, 0.35, 0.35, 0.15]))
        self._paste_objects(scene, rng, num_objects, [] if own is None else [own])
        return scene

    def _still_scene(self, still: LabelledImage, rng: np.random.Generator) -> Scene:
        """A still image under a moving camera, which sees only a part of it at a time."""
        config = self.config
        motion = camera_motion(rng, config.num_frames, config.size)
        canvas_size, source_xy = view_of(motion, config.size)
        if rng.random() < 0.8:
            min_area = min(1.0, 0.2 * (canvas_size / config.size) ** 2)
            still = still.crop(random_window(still.ids, rng, min_area=min_area, min_side_px=config.size // 2))
        if rng.random() < 0.5:
            still = still.flip()
        canvas = to_square_area(still.rgb, canvas_size)
        void = resize_coverage(still.ids == VOID, canvas_size) if (still.ids == VOID).any() else None
        regions = [resize_coverage(still.ids == object_id, canvas_size) for object_id in self._own_objects(still, rng)]
        pixels = np.arange(config.size, dtype=np.float32)
        scene = Scene([], [], [[] for _ in regions])
        for time in range(config.num_frames):
            maps = motion.maps(time, pixels, pixels, source_xy, 1.0)
            scene.frames.append(_remap(canvas, maps))
            scene.voids.append(np.zeros((config.size, config.size), np.uint8) if void is None else _remap(void, maps))
            for masks, region in zip(scene.objects, regions, strict=True):
                masks.append(_remap(region, maps))
        return scene

    def _own_objects(self, image: LabelledImage, rng: np.random.Generator) -> list[int]:
        """Up to K objects of the background that are large enough to be tracked."""
        present = object_ids(image.ids, self.config.min_object_area, self.config.max_object_area)
        return [present[row] for row in rng.permutation(len(present))[: self.config.objects_per_clip]]

    def _real_scene(self, rng: np.random.Generator) -> Scene:
        """A real clip at a random pace and direction, seen through one crop that drifts a little."""
        config = self.config
        entries = self._clips[rng.choice(len(self._clips), p=self._clip_probabilities)]
        images = [read_entry(entries[place]) for place in random_places(len(entries), config.num_frames, rng)]
        if rng.random() < 0.7:
            images = _crop_clip(images, rng, config.size // 2)
        if rng.random() < 0.5:
            images = [image.flip() for image in images]
        scene = Scene(
            frames=[to_square_area(image.rgb, config.size) for image in images],
            voids=[resize_coverage(image.ids == VOID, config.size) for image in images],
            objects=[],
        )
        for object_id in self._own_objects(images[0], rng):
            scene.objects.append([resize_coverage(image.ids == object_id, config.size) for image in images])
        return scene

    def _paste_objects(self, scene: Scene, rng: np.random.Generator, num_objects: int, own: list[Cutout]) -> None:
        """Paint moving objects over a scene.

        Args:
            scene: painted in place.
            num_objects: how many objects of other images.
            own: cut-outs of the scene's own objects, pasted as look-alikes of them.
        """
        config, size = self.config, self.config.size
        planned = [(cutout, size * rng.uniform(0.2, 0.5), False) for cutout in own]
        for _ in range(num_objects):
            source = self._cutouts.draw_source(rng)
            cutout = self._cutouts.draw(rng, source)
            if cutout is None:
                continue
            size_px = size * rng.uniform(0.2, 0.6)
            planned.append((cutout, size_px, True))
            if rng.random() < config.lookalike_probability:
                kin = self._cutouts.draw(rng, source) if rng.random() < 0.4 else cutout
                planned.append((kin or cutout, size_px * rng.uniform(0.75, 1.3), rng.random() < 0.5))
        planned = [planned[row] for row in rng.permutation(len(planned))]
        if rng.random() < config.occluder_probability:
            occluder = self._cutouts.draw(rng)
            if occluder is not None:
                planned.append((occluder, size * rng.uniform(0.2, 0.5), False))
        motions: list[Motion] = []
        for cutout, size_px, tracked in planned:
            layer = random_layer(cutout, size_px, tracked, motions, rng, len(scene.frames), size)
            motions.append(layer.motion)
            scene.paint(layer)

    def _finish(self, scene: Scene, rng: np.random.Generator) -> ClipSample | None:
        """Light, colour and degradation over the whole clip, and the choice of K objects."""
        config, half = self.config, self.config.size // 2
        objects = [np.stack([resize_coverage(mask, half) > 127 for mask in masks]) for masks in scene.objects]
        rows = self._choose_objects(objects, scene.num_pasted, rng)
        if not rows:
            return None
        first = random_colour(rng) if rng.random() < 0.8 else random_colour(rng, 0.0)
        drift = random_colour(rng, 0.35)
        degradation = random_degradation(rng, config.degrade_probability)
        frames = []
        for time, frame in enumerate(scene.frames):
            lit = apply_colour(apply_colour(frame, first), between(drift, time, len(scene.frames)))
            frames.append(degradation.apply(lit, rng))
        masks = np.stack([objects[row] for row in rows])
        void = np.stack([resize_coverage(void, half) > VOID_COVERAGE for void in scene.voids])
        return ClipSample(torch.from_numpy(np.stack(frames)), torch.from_numpy(masks), torch.from_numpy(void))

    def _choose_objects(self, objects: Sequence[BoolArray], num_pasted: int, rng: np.random.Generator) -> list[int]:
        """K rows of the objects that can be tracked, pasted ones first for two thirds of them.

        An object must fit on the first frame, and be seen on at least a third of all.
        """
        config = self.config

        def fits(masks: BoolArray) -> bool:
            area = float(masks[0].mean())
            seen = int(masks.any((1, 2)).sum())
            return config.min_object_area <= area <= config.max_object_area and seen * 3 >= len(masks)

        fit = [int(row) for row in rng.permutation(len(objects)) if fits(objects[row])]
        if not fit:
            return []
        pasted = [row for row in fit if row >= len(objects) - num_pasted]
        favoured = pasted[: -(-2 * config.objects_per_clip // 3)]
        ordered = favoured + [row for row in fit if row not in favoured]
        return [ordered[place % len(ordered)] for place in range(config.objects_per_clip)]


def view_of(camera: Motion, size: int) -> tuple[int, tuple[float, float]]:
    """How large a still image must be for a camera to stay on it, and which of its pixels the motion is about.

    Returns:
        Side of the square canvas, and the source_xy for `Motion.maps`, both in canvas pixels.
    """
    low, high = camera.centres_xy.min(0), camera.centres_xy.max(0)
    seen = size / float(camera.scales.min()) * (1 + float(np.abs(camera.angles).max()))
    canvas_size = round(min(MAX_CANVAS_SCALE * size, seen + float((high - low).max())))
    shift_x, shift_y = ((low + high) / 2 - (size - 1) / 2).tolist()
    return canvas_size, ((canvas_size - 1) / 2 + shift_x, (canvas_size - 1) / 2 + shift_y)


def _prefix_weight(name: str, weights: Mapping[str, float]) -> float:
    return next((weight for prefix, weight in weights.items() if name.startswith(prefix)), 1.0)


def random_layer(
    cutout: Cutout,
    size_px: float,
    tracked: bool,
    others: list[Motion],
    rng: np.random.Generator,
    num_frames: int,
    size: int,
) -> Layer:
    """Send a cut-out on its way: a path, a mirror image at times, its own light, and smear at times."""
    motion = object_motion(rng, num_frames, size, size_px, others)
    if rng.random() < 0.5:
        cutout = cutout.flip()
    # sharp enough at its largest, not much too fine at its smallest
    cutout = scale_cutout(cutout, size_px * float(np.sqrt(motion.scales.max() * motion.scales.min())))
    tint = random_colour(rng, 0.5)
    cutout = Cutout(apply_colour(cutout.rgb, tint), cutout.alpha, cutout.borders_touched)
    shutter = rng.uniform(0.2, 0.6) if rng.random() < 0.3 else 0.0
    return Layer(cutout, size_px, motion, random_colour(rng, 0.35), shutter, tracked)


def random_places(num_available: int, num_wanted: int, rng: np.random.Generator) -> list[int]:
    """Which frames of a real clip to take: a start, a stride of 1 to 6 that fits, a direction.

    A clip that is too short is run back and forth, so that every step stays one that the clip really has.
    """
    longest = max(1, (num_available - 1) // max(1, num_wanted - 1))
    stride = int(rng.integers(1, min(MAX_REAL_STRIDE, longest) + 1))
    span = stride * (num_wanted - 1) + 1
    start = int(rng.integers(0, max(1, num_available - span + 1)))
    if span > num_available:
        start = int(rng.integers(0, num_available))
    period = max(1, 2 * (num_available - 1))
    folded = [(start + stride * step) % period for step in range(num_wanted)]
    places = [place if place < num_available else period - place for place in folded]
    return places[::-1] if rng.random() < 0.5 else places


def _crop_clip(images: list[LabelledImage], rng: np.random.Generator, min_side_px: int) -> list[LabelledImage]:
    """One crop for all frames, or in a third of clips one that glides to another place."""
    ids = images[0].ids
    first = random_window(ids, rng, min_area=0.35, min_side_px=min_side_px)
    last = first
    if rng.random() < 0.3:
        room = (ids.shape[0] - first.height, ids.shape[1] - first.width)
        reach = (first.height // 5, first.width // 5)
        top = int(np.clip(first.top + rng.integers(-reach[0], reach[0] + 1), 0, room[0]))
        left = int(np.clip(first.left + rng.integers(-reach[1], reach[1] + 1), 0, room[1]))
        last = Window(top, left, first.height, first.width)
    cropped = []
    for time, image in enumerate(images):
        progress = time / max(1, len(images) - 1)
        top = round(first.top + (last.top - first.top) * progress)
        left = round(first.left + (last.left - first.left) * progress)
        cropped.append(image.crop(Window(top, left, first.height, first.width)))
    return cropped


def _remap(source: ByteArray, maps: tuple[FloatArray, FloatArray]) -> ByteArray:
    return np.asarray(cv2.remap(source, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), np.uint8)
