"""The failures, one function each: its objects, their paths, and the motion of the camera.

Each takes the studio (materials and a random state) and a number of frames, and gives a `StressClip`. All are drawn
anew for each take, and the same for the same seed.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from benchmarks.stress.film import SIZE_HW, Actor, Film, Pose, View
from benchmarks.stress.materials import Cutout, Materials
from masklet.records import ByteArray

HEIGHT, WIDTH = SIZE_HW
OBJECT_SIDE = 92.0
"""Geometric mean of an object's sides, pixels."""
FRAMES = 40


@dataclass(frozen=True)
class StressClip:
    """A clip with exact masks, and what is asked of a tracker."""

    name: str
    """Unique: the failure and its take."""
    failure: str
    film: Film
    tracked: tuple[int, ...]
    """Objects that are prompted and judged; the others are there to be confused with."""
    prompt_frame: int = 0
    """Where all of them are prompted; frames before it are tracked backward."""

    @property
    def num_frames(self) -> int:
        return self.film.num_frames


@dataclass
class Studio:
    """Draws what a scene is made of."""

    materials: Materials
    rng: np.random.Generator

    def thing(self) -> Cutout:
        return self.materials.cutout(self.rng)

    def scenery(self, without: str = "") -> ByteArray:
        return self.materials.background(self.rng, without)

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def wobble(self) -> Callable[[float], float]:
        """A smooth wave about 0 of amplitude 1, of a period of 20 to 45 frames."""
        period, phase = self.between(20, 45), self.between(0, 2 * math.pi)
        return lambda time: math.sin(2 * math.pi * time / period + phase)

    def drift(self, reach: float = 14) -> Callable[[float], View]:
        """A camera held in the hand."""
        sideways, upwards = self.wobble(), self.wobble()
        return lambda time: View(reach * sideways(time), 0.5 * reach * upwards(time))

    def seed(self) -> int:
        return int(self.rng.integers(2**31))


def height_of(thing: Cutout, side: float = OBJECT_SIDE) -> float:
    """So that large and small cut-outs cover about the same area."""
    height, width = thing.rgba.shape[:2]
    return side * math.sqrt(height / width)


def alive(studio: Studio, path: Callable[[float], Pose], swing: float = 0.10) -> Callable[[float], Pose]:
    """The same way, with a sway, a bob and a change of light, as living things and hand-held ones have them."""
    sway, bob, breath, light = (studio.wobble() for _ in range(4))

    def pose(time: float) -> Pose:
        at = path(time)
        return replace(
            at,
            y=at.y + 4 * bob(time),
            angle=at.angle + swing * sway(time),
            height=at.height * (1 + 0.04 * breath(time)),
            light=at.light * (1 + 0.07 * light(time)),
        )

    return pose


def along(*stops: tuple[float, float, float]) -> Callable[[float], tuple[float, float]]:
    """Smoothly through (frame, x, y); at rest before the first and after the last."""
    times = [stop[0] for stop in stops]

    def at(time: float) -> tuple[float, float]:
        if time <= times[0]:
            return stops[0][1:]
        if time >= times[-1]:
            return stops[-1][1:]
        index = int(np.searchsorted(times, time, side="right")) - 1
        (start, x0, y0), (end, x1, y1) = stops[index], stops[index + 1]
        part = (time - start) / (end - start)
        return x0 + part * (x1 - x0), y0 + part * (y1 - y0)

    return at


def walker(
    way: Callable[[float], tuple[float, float]], thing: Cutout, **changes: float | bool
) -> Callable[[float], Pose]:
    """Someone on a way, at the usual size."""
    height = height_of(thing)
    return lambda time: replace(Pose(*way(time), height), **changes)  # type: ignore[arg-type]


def twins_crossing(studio: Studio, frames: int) -> Film:
    """Two of a kind pass one another, one in front of the other. Both are followed."""
    thing, end = studio.thing(), frames - 1
    y = studio.between(0.45, 0.6) * HEIGHT
    right = along((0, 0.18 * WIDTH, y + 12), (end, 0.82 * WIDTH, y + 12))
    left = along((0, 0.82 * WIDTH, y - 12), (end, 0.18 * WIDTH, y - 12))
    actors = (
        Actor(thing.rgba, alive(studio, walker(left, thing)), 2),
        Actor(thing.rgba, alive(studio, walker(right, thing)), 1),
    )
    return film_of(studio, frames, actors, thing)


def twin_at_far_side(studio: Studio, frames: int) -> Film:
    """The object comes in from the left; a twin had left at the right before. Prompted half-way, followed both ways.

    Going back from the prompt the object leaves, while the twin comes in where the object has never been.
    """
    thing, end = studio.thing(), frames - 1
    y = studio.between(0.45, 0.6) * HEIGHT
    mine = along((0, -0.30 * WIDTH, y), (frames / 2, 0.28 * WIDTH, y), (end, 0.62 * WIDTH, y - 14))
    twin = along((0.2 * frames, 0.78 * WIDTH, y - 10), (0.42 * frames, 1.25 * WIDTH, y - 10))
    actors = (
        Actor(thing.rgba, alive(studio, walker(twin, thing)), 2),
        Actor(thing.rgba, alive(studio, walker(mine, thing)), 1),
    )
    return film_of(studio, frames, actors, thing)


def full_occlusion(studio: Studio, frames: int) -> Film:
    """The object walks behind something wide and comes out on its other side: hidden for about a third of the clip."""
    thing, end = studio.thing(), frames - 1
    y = studio.between(0.45, 0.6) * HEIGHT
    way = along((0, 0.12 * WIDTH, y), (end, 0.88 * WIDTH, y))
    height = height_of(thing)
    own_width = 1.25 * height * thing.rgba.shape[1] / thing.rgba.shape[0]
    wall = _wall(studio, own_width + 0.76 * WIDTH * 0.30)
    actors = (
        Actor(thing.rgba, alive(studio, walker(way, thing)), 1),
        Actor(wall, lambda time: Pose(WIDTH / 2, HEIGHT / 2, wall.shape[0]), throws_shadow=False),
    )
    return film_of(studio, frames, actors, thing)


def leave_and_return(studio: Studio, frames: int) -> Film:
    """The object leaves at the left and comes back later, from the right at another height, while a stranger waits."""
    thing, stranger = studio.thing(), studio.thing()
    y = studio.between(0.40, 0.65) * HEIGHT
    mine = along(
        (0, 0.45 * WIDTH, y),
        (0.30 * frames, -0.25 * WIDTH, y),
        (0.31 * frames, 1.25 * WIDTH, HEIGHT - y),
        (0.58 * frames, 1.25 * WIDTH, HEIGHT - y),
        (frames - 1, 0.50 * WIDTH, HEIGHT - y),
    )
    still = along((0, 0.72 * WIDTH, 0.5 * HEIGHT), (frames, 0.30 * WIDTH, 0.5 * HEIGHT))
    actors = (
        Actor(stranger.rgba, alive(studio, walker(still, stranger)), 2),
        Actor(thing.rgba, alive(studio, walker(mine, thing)), 1),
    )
    return film_of(studio, frames, actors, thing)


def shot_cut(studio: Studio, frames: int) -> Film:
    """Three shots: the object, then another place without it, then a third with it, larger and elsewhere."""
    thing, stranger = studio.thing(), studio.thing()
    places = [studio.scenery(thing.name) for _ in range(3)]
    cuts = (0.33 * frames, 0.55 * frames)
    height, other = height_of(thing), height_of(stranger)

    def shot(time: float) -> int:
        return sum(time >= cut for cut in cuts)

    def mine(time: float) -> Pose:
        if shot(time) == 0:
            return Pose(0.30 * WIDTH + 2 * time, 0.55 * HEIGHT, height)
        late = time - cuts[1]
        return Pose(0.70 * WIDTH - 2 * late, 0.48 * HEIGHT, 1.35 * height, light=0.85, here=shot(time) == 2)

    def strange(time: float) -> Pose:
        return Pose((0.35 if shot(time) == 1 else 0.22) * WIDTH, 0.5 * HEIGHT, other, here=shot(time) > 0)

    actors = (Actor(stranger.rgba, alive(studio, strange), 2), Actor(thing.rgba, alive(studio, mine), 1))
    return Film(frames, actors, lambda time: places[shot(time)], studio.drift(), seed=studio.seed())


def zoom(studio: Studio, frames: int) -> Film:
    """The camera goes from far to near and back: the object's area grows and shrinks twentyfold."""
    thing, stranger = studio.thing(), studio.thing()
    x, y = studio.between(0.42, 0.55) * WIDTH, studio.between(0.45, 0.58) * HEIGHT
    small = height_of(thing, 44)

    def camera(time: float) -> View:
        near = 0.5 - 0.5 * math.cos(2 * math.pi * time / frames)
        return View((x - WIDTH / 2) * near, (y - HEIGHT / 2) * near, math.exp(near * math.log(4.4)))

    actors = (
        Actor(stranger.rgba, alive(studio, lambda time: Pose(x + 90, y - 10, height_of(stranger, 44))), 2),
        Actor(thing.rgba, alive(studio, lambda time: Pose(x + 0.3 * time, y, small)), 1),
    )
    return Film(frames, actors, _still(studio.scenery(thing.name)), camera, seed=studio.seed())


def depth_rotation(studio: Studio, frames: int) -> Film:
    """The object turns about its upright axis until it is seen nearly edge on, twice, and nods meanwhile."""
    thing = studio.thing()
    way = along((0, 0.38 * WIDTH, 0.52 * HEIGHT), (frames - 1, 0.62 * WIDTH, 0.48 * HEIGHT))
    height = height_of(thing, 110)
    nod = studio.wobble()

    def pose(time: float) -> Pose:
        yaw = math.radians(80) * math.sin(2 * math.pi * time / frames * 1.25)
        return Pose(*way(time), height, yaw=yaw, pitch=math.radians(22) * nod(time))

    return film_of(studio, frames, (Actor(thing.rgba, alive(studio, pose), 1),), thing)


def motion_blur(studio: Studio, frames: int) -> Film:
    """The object darts about, and the camera is shaken: both are smeared over up to half of the object's size."""
    thing, stranger = studio.thing(), studio.thing()
    period = studio.between(13, 17)
    shake = studio.between(5, 7)

    def path(time: float) -> Pose:
        swing = 2 * math.pi * time / period
        return Pose(
            WIDTH * (0.5 + 0.27 * math.sin(swing)), HEIGHT * (0.52 + 0.15 * math.sin(0.7 * swing)), height_of(thing)
        )

    def camera(time: float) -> View:
        return View(9 * math.sin(2 * math.pi * time / shake), 6 * math.sin(2 * math.pi * time / (shake * 0.8)))

    still = along((0, 0.15 * WIDTH, 0.35 * HEIGHT), (frames, 0.3 * WIDTH, 0.35 * HEIGHT))
    actors = (
        Actor(stranger.rgba, alive(studio, walker(still, stranger)), 2),
        Actor(thing.rgba, alive(studio, path), 1),
    )
    return Film(frames, actors, _still(studio.scenery(thing.name)), camera, shutter=0.6, seed=studio.seed())


def crowd(studio: Studio, frames: int, count: int = 8) -> Film:
    """Look-alikes of two kinds mill about, in front of and behind one another. Three are followed."""
    kinds = [studio.thing(), studio.thing()]
    actors = []
    # From the back: those that are followed are neither all in front nor all behind.
    for object_id in studio.rng.permutation(np.arange(1, count + 1)).tolist():
        thing = kinds[object_id % 2]
        column, row = (object_id - 1) % 4, (object_id - 1) // 4
        x, y = WIDTH * (0.14 + 0.24 * column), HEIGHT * (0.34 + 0.36 * row)
        sideways, upwards = studio.wobble(), studio.wobble()
        far, high = studio.between(0.14, 0.24) * WIDTH, studio.between(0.06, 0.14) * HEIGHT
        x0, y0 = sideways(0), upwards(0)

        def path(
            time: float,
            thing: Cutout = thing,
            at: tuple[float, float] = (x, y),
            reach: tuple[float, float] = (far, high),
            waves: tuple[Callable[[float], float], Callable[[float], float]] = (sideways, upwards),
            start: tuple[float, float] = (x0, y0),
        ) -> Pose:
            x = at[0] + reach[0] * (waves[0](time) - start[0])
            y = at[1] + reach[1] * (waves[1](time) - start[1])
            return Pose(
                min(max(x, 0.08 * WIDTH), 0.92 * WIDTH), min(max(y, 0.2 * HEIGHT), 0.8 * HEIGHT), height_of(thing, 66)
            )

        actors.append(Actor(thing.rgba, alive(studio, path), object_id))
    return film_of(studio, frames, tuple(actors), kinds[0])


def long_clip(studio: Studio, frames: int) -> Film:
    """One object for long: it wanders, a twin passes in front, it hides behind a wall, it leaves, again and again."""
    thing = studio.thing()
    y = 0.55 * HEIGHT
    lap = 120.0
    wall = _wall(studio, 0.27 * WIDTH)
    mine = along(
        (0, 0.25 * WIDTH, y),
        (22, 0.40 * WIDTH, y - 20),
        (44, 0.80 * WIDTH, y),
        (56, 0.80 * WIDTH, y),
        (76, 0.20 * WIDTH, y),
        (88, -0.25 * WIDTH, y),
        (100, -0.25 * WIDTH, y),
        (lap, 0.25 * WIDTH, y),
    )
    twin = along((4, -0.25 * WIDTH, y + 16), (30, 1.25 * WIDTH, y + 16))
    rise, fall = (
        along((0, 0, 1.6 * HEIGHT), (36, 0, 1.6 * HEIGHT), (42, 0, HEIGHT / 2)),
        along((60, 0, HEIGHT / 2), (66, 0, 1.6 * HEIGHT)),
    )

    def barrier(time: float) -> Pose:
        now = time % lap
        return Pose(0.80 * WIDTH, (rise if now < 50 else fall)(now)[1], wall.shape[0])

    actors = (
        Actor(thing.rgba, alive(studio, lambda time: walker(mine, thing)(time % lap)), 1),
        Actor(thing.rgba, alive(studio, lambda time: walker(twin, thing)(time % lap)), 2),
        Actor(wall, barrier, throws_shadow=False),
    )
    return film_of(studio, frames, actors, thing)


SCENES: Mapping[str, Callable[[Studio, int], Film]] = {
    "twins crossing": twins_crossing,
    "twin at the far side": twin_at_far_side,
    "full occlusion": full_occlusion,
    "leave and return": leave_and_return,
    "shot cut": shot_cut,
    "zoom": zoom,
    "depth rotation": depth_rotation,
    "motion blur": motion_blur,
    "crowd": crowd,
    "long": long_clip,
}
"""By the name of the failure."""

TRACKED = {"twins crossing": (1, 2), "crowd": (1, 2, 3)}
"""Objects that are followed, where it is not the first one alone."""


def make_clip(
    failure: str, take: int, materials: Materials, *, seed: int = 0, frames: int = FRAMES, crowd_size: int = 8
) -> StressClip:
    """One take of one failure, always the same for the same materials and seed.

    Raises:
        KeyError: there is no such failure.
    """
    rng = np.random.default_rng([seed, take, zlib.crc32(failure.encode())])
    studio = Studio(materials, rng)
    film = crowd(studio, frames, crowd_size) if failure == "crowd" else SCENES[failure](studio, frames)
    return StressClip(
        f"{failure.replace(' ', '_')}_{take}",
        failure,
        film,
        TRACKED.get(failure, (1,)),
        frames // 2 if failure == "twin at the far side" else 0,
    )


def film_of(studio: Studio, frames: int, actors: tuple[Actor, ...], thing: Cutout) -> Film:
    """Return a film before scenery from elsewhere than the thing, with a camera held in the hand."""
    return Film(frames, actors, _still(studio.scenery(thing.name)), studio.drift(), seed=studio.seed())


def _still(background: ByteArray) -> Callable[[float], ByteArray]:
    return lambda time: background


def _wall(studio: Studio, width: float) -> ByteArray:
    """(h, w, 4) a piece of other scenery, taller than the frame, with an uneven soft edge."""
    scenery = studio.scenery()
    size = (round(width), round(1.5 * HEIGHT))
    scale = max(size[0] / scenery.shape[1], size[1] / scenery.shape[0])
    grown = cv2.resize(
        scenery, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    wall = grown[: size[1], : size[0]]
    wave = studio.wobble()
    reach = [3 + 3 * wave(row / 4) for row in range(len(wall))]
    columns = np.arange(wall.shape[1])
    inset = np.array(reach)[:, None]
    alpha = np.clip(np.minimum(columns - inset, wall.shape[1] - 1 - columns - inset), 0, 1) * 255
    return np.dstack([wall, alpha.astype(np.uint8)])
