"""Training clips: real ones, and synthetic ones made of still images, which is how a small data set teaches tracking.

A synthetic clip is a still image under a moving camera, with objects of other images moving over it on paths of their
own: they turn, grow, bend, change their light, cross and hide each other, leave the frame and come back. Copies and
kin of an object move next to it, so that only its identity, not its kind, tells which one was meant. Others, and bars
of any texture, pass in front. Light falls unevenly and wanders. The same objects are pasted into real clips at times.
The image's own objects can be tracked as well. Some clips are cut to another scene for a while, full of other things:
from that a model learns to say that its object is not there.

Shapes: T frames, K objects, S the model's square input; masks at half of it, as for images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import torch

from masklet.checks import check_fraction, check_whole, set_checked
from masklet.datasets.files import Faults
from masklet.datasets.mixture import mixture_clips, open_mixture, shares
from masklet.datasets.records import ClipExample, flatten_alike
from masklet.masks.geometry import to_square_area
from masklet.records import BoolArray, ByteArray, FloatArray
from masklet.train.augment import (
    CUTOUT_MARGIN_PX,
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
    VOID_COVERAGE,
    CutoutSampler,
    SampleStream,
    SourceSampler,
    check_size,
    open_images,
    random_cutout,
)
from masklet.train.scene import (
    Layer,
    Motion,
    Scene,
    camera_motion,
    colour_course,
    compose,
    object_motion,
    passing_motion,
    random_shade,
    smear,
    smear_steps,
)
from masklet.train.unused import UnusedData

MAX_CANVAS_SCALE = 1.8
"""Largest still image under a moving camera, in sides of the frame; beyond its edges it is mirrored."""
MAX_REAL_STRIDE = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipDataConfig:
    """Source of the training clips and the way they are made."""

    image_root: str | Sequence[str]
    """Images to make clips of, as `ImageDataConfig.root`."""
    clip_root: str | Sequence[str] | None = None
    """Real clips, written the same way; None for synthetic clips only."""
    size: int = 256
    """Side of the square model input, pixels; even."""
    objects_per_clip: int = 3
    """K, objects per clip; repeated when a clip has fewer."""
    num_frames: int = 6
    """T."""
    real_probability: float = 0.35
    """Probability of a real clip, if there are any."""
    lookalike_probability: float = 0.4
    """Probability that a pasted object gets a copy, or another object of its source, next to it."""
    occluder_probability: float = 0.35
    """Probability that something that is not tracked passes in front."""
    shade_probability: float = 0.25
    """Probability that light falls unevenly on the scene and moves."""
    camera_blur_probability: float = 0.3
    """Probability of motion blur by a moving camera."""
    union_probability: float = 0.0
    """Probability that two objects that touch are, together, one more object: what is shown is followed."""
    min_paste_side: float = 0.08
    """Longest side of the smallest pasted object, as a fraction of the frame's; the largest has 0.6."""
    paste_on_real_probability: float = 0.35
    """Probability that objects are pasted into a real clip."""
    interruption_probability: float = 0.2
    """Probability that the clip is cut to another scene, without its objects, for some frames, and at times back."""
    degrade_probability: float = 0.12
    """Probability of each of blur, noise and compression, over the whole clip."""
    weights: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Multiplier by image source, as in `ImageDataConfig`."""
    part_sources: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Sources whose ids are parts of one thing, and the probability of merging them."""
    cutout_sources: tuple[str, ...] = ()
    """Sources whose objects are pasted, where they are there; all sources if none is."""
    clip_weights: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Multiplier for real clips whose name starts so, else 1; a clip is drawn by it times the root of its frames."""
    min_object_area: float = 0.0015
    """Smallest object on the first frame, as a fraction of it."""
    max_object_area: float = 0.7
    """Largest object on the first frame, as a fraction of it."""

    def __post_init__(self) -> None:
        set_checked(self, ["size", "objects_per_clip", "num_frames"], check_whole, least=1)
        check_size(self.size)
        probabilities = (
            "real",
            "lookalike",
            "occluder",
            "shade",
            "camera_blur",
            "paste_on_real",
            "union",
            "interruption",
            "degrade",
        )
        set_checked(self, [f"{name}_probability" for name in probabilities], check_fraction)
        set_checked(self, ("min_paste_side", "min_object_area", "max_object_area"), check_fraction)


class ClipSample(NamedTuple):
    """One training clip and K of its objects; a tuple, so that the default collation stacks it."""

    rgb: torch.Tensor
    """(T, S, S, 3) uint8."""
    masks: torch.Tensor
    """(K, T, S/2, S/2) bool; not empty on the first frame, maybe later."""
    void: torch.Tensor
    """(T, S/2, S/2) bool, pixels the loss ignores."""


class ClipSamples(SampleStream[ClipSample]):
    """Training clips; see `SampleStream` for `seed`, `rank`, `start`, `batch_size` and `unused`.

    Of a clip that has masks for some frames only, those frames are used.

    Raises:
        DataError: the data set cannot be used, here or while reading.
    """

    def __init__(
        self,
        config: ClipDataConfig,
        *,
        seed: int = 0,
        rank: int | Sequence[int] = 0,
        start: int = 0,
        batch_size: int = 1,
        unused: UnusedData | None = None,
    ) -> None:
        super().__init__(seed=seed, rank=rank, start=start, batch_size=batch_size, unused=unused)
        self.config = config
        images = open_images(config.image_root, unused)
        self._images = SourceSampler(images, config.weights, config.part_sources)
        self._cutouts = CutoutSampler(images, config.cutout_sources, config.weights, config.part_sources)
        groups = [] if config.clip_root is None else open_clips(config.clip_root, unused)
        self._clips = [clip for _, clips in groups for clip in clips]
        weights = [(weight, [self._clip_weight(clip) for clip in clips]) for weight, clips in groups]
        has_clips = any(sum(members) for _, members in weights)
        self._clip_probabilities = shares(weights) if has_clips else None

    def _clip_weight(self, clip: ClipExample) -> float:
        by_prefix = (weight for prefix, weight in self.config.clip_weights.items() if clip.name.startswith(prefix))
        return next(by_prefix, 1.0) * float(np.sqrt(len(clip.labelled_frames)))

    def go_to(self, stream: tuple[int, int], number: int) -> None:
        self._images.sample_place = self._cutouts.images.sample_place = (stream, number)

    def describe_want(self) -> str:
        config = self.config
        return (
            f"object of {config.min_object_area:.2%} to {config.max_object_area:.0%} of the first frame in "
            f"{config.image_root}"
        )

    def attempt(self, rng: np.random.Generator) -> ClipSample | None:
        scene = self._draw_scene(rng)
        if self.config.union_probability and rng.random() < self.config.union_probability:
            pairs = scene.touching_pairs()
            if pairs:
                scene.unite(pairs[rng.integers(len(pairs))])
        if self.config.num_frames > 1 and rng.random() < self.config.interruption_probability:
            first = int(rng.integers(1, self.config.num_frames))
            last = min(self.config.num_frames, first + int(rng.integers(1, self.config.num_frames // 2 + 1)))
            scene.cut_to(self._draw_scene(rng), first, last)
        return self._finish(scene, rng)

    def _draw_scene(self, rng: np.random.Generator) -> Scene:
        if self._clip_probabilities is not None and rng.random() < self.config.real_probability:
            scene = self._real_scene(rng)
            if rng.random() < self.config.paste_on_real_probability:
                self._paste_objects(scene, rng, int(rng.integers(1, 3)), [])
            return scene
        source = self._images.draw_source(rng)
        still = self._images.draw(rng, source)
        scene = self._still_scene(still, rng)
        copies_background_object = (
            self._images.name_of(source) in self._cutouts.sources and rng.random() < self.config.lookalike_probability
        )
        lookalike = random_cutout(still, rng) if copies_background_object else None
        num_objects = int(rng.choice(4, p=[0.15, 0.35, 0.35, 0.15]))
        self._paste_objects(scene, rng, num_objects, [] if lookalike is None else [lookalike])
        return scene

    def _still_scene(self, still: LabelledImage, rng: np.random.Generator) -> Scene:
        """Return a still image under a moving camera, which sees only a part of it at a time."""
        config = self.config
        motion = camera_motion(rng, config.num_frames, config.size)
        canvas_size, source_xy = view_of(motion, config.size)
        if rng.random() < 0.8:
            min_area = min(1.0, 0.2 * (canvas_size / config.size) ** 2)
            still = still.crop(random_window(still.ids, rng, min_area=min_area, min_side_px=config.size // 2))
        if rng.random() < 0.5:
            still = still.flip()
        canvas = to_square_area(still.rgb, canvas_size)
        regions = [still.ids == VOID, *(still.ids == object_id for object_id in self._own_objects(still, rng))]
        covered = np.dstack([resize_coverage(region, canvas_size) for region in regions])
        pixels = np.arange(config.size, dtype=np.float32)
        shutter = rng.uniform(0.15, 0.5) if rng.random() < config.camera_blur_probability else 0.0
        scene = Scene([], [], [[] for _ in regions[1:]])
        for time in range(config.num_frames):
            maps = motion.maps(time, pixels, pixels, source_xy, 1.0)
            steps = smear_steps(shutter * motion.step_xy(time))
            scene.frames.append(smear(_remap(canvas, maps), steps, cv2.BORDER_REPLICATE))
            void, *shown = np.moveaxis(_remap(covered, maps), 2, 0)
            scene.voids.append(np.ascontiguousarray(void))
            for masks, mask in zip(scene.objects, shown, strict=True):
                masks.append(np.ascontiguousarray(mask))
        return scene

    def _own_objects(self, image: LabelledImage, rng: np.random.Generator) -> list[int]:
        """Draw up to K objects of the background that are large enough to be tracked."""
        present = object_ids(image.ids, self.config.min_object_area, self.config.max_object_area)
        return [present[row] for row in rng.permutation(len(present))[: self.config.objects_per_clip]]

    def _real_scene(self, rng: np.random.Generator) -> Scene:
        """Return a real clip at a random stride and direction, in a crop that may drift a little."""
        config = self.config
        clip = self._clips[rng.choice(len(self._clips), p=self._clip_probabilities)]
        images = read_clip_frames(clip, random_rows(len(clip.labelled_frames), config.num_frames, rng), rng)
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

    def _paste_objects(
        self, scene: Scene, rng: np.random.Generator, num_objects: int, lookalikes: list[Cutout]
    ) -> None:
        """Paint moving objects over a scene.

        Args:
            scene: painted in place.
            num_objects: number of objects of other images.
            lookalikes: cut-outs of the scene's objects, pasted as look-alikes of them.
        """
        config, size = self.config, self.config.size
        planned = [(cutout, size * rng.uniform(0.2, 0.5), False) for cutout in lookalikes]
        for _ in range(num_objects):
            source = self._cutouts.draw_source(rng)
            cutout = self._cutouts.draw(rng, source)
            if cutout is None:
                continue
            size_px = size * self._random_side(rng)
            planned.append((cutout, size_px, True))
            if rng.random() < config.lookalike_probability:
                kin = self._cutouts.draw(rng, source) if rng.random() < 0.4 else cutout
                planned.append((kin or cutout, size_px * rng.uniform(0.75, 1.3), rng.random() < 0.5))
        motions: list[Motion] = []
        num_frames = len(scene.frames)
        for row in rng.permutation(len(planned)):
            cutout, size_px, tracked = planned[row]
            motion = object_motion(rng, num_frames, size, size_px, motions)
            motions.append(motion)
            scene.paint(random_layer(cutout, size_px, motion, rng, tracked=tracked))
        if rng.random() < config.occluder_probability:
            occluder = self._random_occluder(scene, rng)
            if occluder is not None:
                size_px = size * (rng.uniform(0.2, 0.55) if occluder.borders_touched < 4 else rng.uniform(0.5, 1.3))
                passes = rng.random() < 0.6
                motion = (passing_motion if passes else object_motion)(rng, num_frames, size, size_px, motions)
                scene.paint(random_layer(occluder, size_px, motion, rng, tracked=False))

    def _random_side(self, rng: np.random.Generator) -> float:
        """Draw a pasted object's longest side over the frame's, log-uniformly."""
        low, high = np.log(self.config.min_paste_side), np.log(0.6)
        return float(np.exp(rng.uniform(low, high))) if rng.random() < 0.5 else float(rng.uniform(0.2, 0.6))

    def _random_occluder(self, scene: Scene, rng: np.random.Generator) -> Cutout | None:
        """Draw an object of another image, or a bar cut from the scene's texture, as a post or a wall."""
        return random_bar(scene.frames[0], rng) if rng.random() < 0.35 else self._cutouts.draw(rng)

    def _finish(self, scene: Scene, rng: np.random.Generator) -> ClipSample | None:
        """Apply light, colour and degradation to the whole clip, and choose K objects."""
        config, half = self.config, self.config.size // 2
        objects = [np.stack([resize_coverage(mask, half) > 127 for mask in masks]) for masks in scene.objects]
        rows = self._choose_objects(objects, scene.num_pasted, rng)
        if not rows:
            return None
        first = random_colour(rng) if rng.random() < 0.8 else random_colour(rng, 0.0)
        drift = colour_course(rng, random_colour(rng, 0.35), len(scene.frames))
        shade = random_shade(rng, len(scene.frames)) if rng.random() < config.shade_probability else None
        degradation = random_degradation(rng, config.degrade_probability)
        frames = []
        for time, frame in enumerate(scene.frames):
            lit = apply_colour(frame, compose(first, drift[time]))
            frames.append(degradation.apply(lit if shade is None else shade.apply(lit, time), rng))
        masks = np.stack([objects[row] for row in rows])
        void = np.stack([resize_coverage(void, half) > VOID_COVERAGE for void in scene.voids])
        return ClipSample(torch.from_numpy(np.stack(frames)), torch.from_numpy(masks), torch.from_numpy(void))

    def _choose_objects(self, objects: Sequence[BoolArray], num_pasted: int, rng: np.random.Generator) -> list[int]:
        """Choose K rows of the objects that can be tracked, with pasted ones in up to two thirds of the rows.

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
        return [ordered[number % len(ordered)] for number in range(config.objects_per_clip)]


def open_clips(
    specs: str | Sequence[str], unused: UnusedData | None = None
) -> list[tuple[float, Sequence[ClipExample]]]:
    """Open the clips of a mixture that have masks.

    Args:
        specs: as `masklet.datasets.mixture.DataSpec.parse` reads them.
        unused: names single files that cannot be used, which are then left out, and counts frames without masks.

    Raises:
        DataError: a data set cannot be used, or there are no clips.
    """
    faults: Faults | None = None if unused is None else []
    groups: list[tuple[float, Sequence[ClipExample]]] = [
        (weight, [clip for clip in clips if clip.labelled_frames])
        for weight, clips in mixture_clips(open_mixture(specs, faults))
    ]
    if unused is not None:
        unused.add_faults(faults or [])
        partial = [clip for _, clips in groups for clip in clips if len(clip.labelled_frames) < clip.num_frames]
        if partial:
            used, all_frames = (
                sum(len(clip.labelled_frames) for clip in partial),
                sum(clip.num_frames for clip in partial),
            )
            first = partial[0]
            unused.add(
                f"clips with masks for some of their frames: {len(partial)}; {used} of their {all_frames} frames have "
                f"masks and are used (the first clip, {first.name}: {len(first.labelled_frames)} of {first.num_frames})"
            )
    return groups


def view_of(camera: Motion, size: int) -> tuple[int, tuple[float, float]]:
    """Return the size of a still image on which a camera stays, and the pixel about which it moves.

    Returns:
        Side of the square canvas, and the source_xy for `Motion.maps`, both in canvas pixels.
    """
    low, high = camera.centres_xy.min(0), camera.centres_xy.max(0)
    seen = size / float(camera.scales.min()) * (1 + float(np.abs(camera.angles).max()))
    canvas_size = round(min(MAX_CANVAS_SCALE * size, seen + float((high - low).max())))
    shift_x, shift_y = ((low + high) / 2 - (size - 1) / 2).tolist()
    return canvas_size, ((canvas_size - 1) / 2 + shift_x, (canvas_size - 1) / 2 + shift_y)


def read_clip_frames(clip: ClipExample, rows: Sequence[int], rng: np.random.Generator) -> list[LabelledImage]:
    """Read labelled frames of a real clip, with one id per object throughout.

    Where objects overlap, a choice is made on the first frame read and holds for all.

    Args:
        clip: clip with at least one labelled frame.
        rows: rows of its list of labelled frames; a row may be repeated.
        rng: generator of the choice between objects that overlap.

    Raises:
        DataError: a frame cannot be read, or sizes differ.
    """
    indices = [clip.labelled_frames[row] for row in rows]
    distinct = sorted(set(indices))
    pairs = dict(zip(distinct, clip.read(distinct), strict=True))
    flat = flatten_alike([pairs[index][1] for index in indices], rng)
    return [LabelledImage(pairs[index][0], ids) for index, ids in zip(indices, flat, strict=True)]


def random_bar(rgb: ByteArray, rng: np.random.Generator) -> Cutout:
    """Cut a straight bar from a random part of an image, to serve as a post, a wall or a window frame."""
    height, width = rgb.shape[:2]
    long, thin = int(rng.integers(height // 3, height)), int(rng.integers(max(4, height // 20), max(5, height // 5)))
    top, left = int(rng.integers(height - long + 1)), int(rng.integers(max(1, width - thin + 1)))
    part = rgb[top : top + long, left : left + thin]
    if rng.random() < 0.5:
        part = part.transpose(1, 0, 2)
    margin = (CUTOUT_MARGIN_PX, CUTOUT_MARGIN_PX)
    alpha = np.pad(np.full(part.shape[:2], 255, np.uint8), (margin, margin))
    return Cutout(np.pad(part, (margin, margin, (0, 0)), mode="edge"), alpha, borders_touched=4)


def random_layer(cutout: Cutout, size_px: float, motion: Motion, rng: np.random.Generator, *, tracked: bool) -> Layer:
    """Make a moving layer of a cut-out: mirrored at times, with light of its own, and motion blur at times."""
    if rng.random() < 0.5:
        cutout = cutout.flip()
    # The geometric mean of the sizes: sharp enough at the largest, and not much too fine at the smallest.
    cutout = scale_cutout(cutout, size_px * float(np.sqrt(motion.scales.max() * motion.scales.min())))
    tint = random_colour(rng, 0.5)
    colours = colour_course(rng, random_colour(rng, 0.8 if rng.random() < 0.2 else 0.35), len(motion.scales))
    shutter = rng.uniform(0.2, 0.6) if rng.random() < 0.3 else 0.0
    return Layer(cutout, size_px, motion, np.stack([compose(tint, colour) for colour in colours]), shutter, tracked)


def random_rows(num_available: int, num_wanted: int, rng: np.random.Generator) -> list[int]:
    """Draw the frames taken from a real clip: a start, a stride of 1 to 6 that fits, a direction.

    A clip that is too short is run back and forth, so that all steps between frames are steps of the real clip.
    """
    longest = max(1, (num_available - 1) // max(1, num_wanted - 1))
    stride = int(rng.integers(1, min(MAX_REAL_STRIDE, longest) + 1))
    span = stride * (num_wanted - 1) + 1
    start = int(rng.integers(0, max(1, num_available - span + 1)))
    if span > num_available:
        start = int(rng.integers(0, num_available))
    period = max(1, 2 * (num_available - 1))
    folded = [(start + stride * step) % period for step in range(num_wanted)]
    rows = [row if row < num_available else period - row for row in folded]
    return rows[::-1] if rng.random() < 0.5 else rows


def _crop_clip(images: list[LabelledImage], rng: np.random.Generator, min_side_px: int) -> list[LabelledImage]:
    """Crop all frames alike or, in a third of clips, with a crop that moves to another position."""
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
    """Resample an (H, W, C) picture to (h, w, C)."""
    groups: list[ByteArray] = []
    for first in range(0, source.shape[2], 4):  # OpenCV takes four channels at a time
        part = np.ascontiguousarray(source[:, :, first : first + 4])
        warped = cv2.remap(part, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        groups.append(np.asarray(warped, np.uint8).reshape(*warped.shape[:2], -1))
    return groups[0] if len(groups) == 1 else np.concatenate(groups, axis=2)
