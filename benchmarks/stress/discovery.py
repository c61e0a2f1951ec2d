"""Clips in which objects come and go, with exact masks of all of them, for `masklet evaluate discovery`.

    python -m benchmarks.stress.discovery --out out/discovery
    masklet evaluate discovery out/discovery --json discovery.json

Objects and scenery are those of the other failures (`materials`); nothing is prompted, so every object is judged.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.stress.film import Actor, Film, Pose
from benchmarks.stress.materials import Materials
from benchmarks.stress.scenes import FRAMES, HEIGHT, WIDTH, Studio, alive, along, film_of, height_of
from masklet.masks.drawing import color_of
from masklet.media.images import write_image, write_label_map

CROWD_SIZE = 40
CROWD_START = 4
"""Members of the crowd that are there on the first frame."""
CROWD_COLUMNS = 8
CROWD_SIDE = 30.0
"""Geometric mean of the sides of a member, pixels."""

app = typer.Typer(add_completion=False)


def entering(studio: Studio, frames: int, count: int = 6) -> Film:
    """Different objects come in one by one and stay; the last one comes after two thirds of the clip."""
    actors = []
    for number in range(count):
        thing = studio.thing()
        start = 2 / 3 * frames * number / (count - 1)
        x, y = WIDTH * (0.18 + 0.32 * (number % 3)), HEIGHT * (0.3 + 0.42 * (number // 3))
        way = along((start, _outside(x), y), (start + 0.15 * frames, x, y)) if number else along((0, x, y))
        path = alive(studio, _sized(way, height_of(thing, 64)))
        actors.append(Actor(thing.rgba, path, number + 1))
    return film_of(studio, frames, tuple(actors), thing)


def growing_crowd(studio: Studio, frames: int, count: int = CROWD_SIZE) -> Film:
    """Small look-alikes of four kinds: four at first, then more and more, until there are forty."""
    kinds = [studio.thing() for _ in range(4)]
    stations = studio.rng.permutation(count).tolist()
    rows = -(-count // CROWD_COLUMNS)
    actors = []
    for number, station in enumerate(stations):
        thing = kinds[number % len(kinds)]
        x = WIDTH * (station % CROWD_COLUMNS + 0.5) / CROWD_COLUMNS
        y = HEIGHT * (station // CROWD_COLUMNS + 0.5) / rows
        start = 0.8 * frames * (number - CROWD_START + 1) / (count - CROWD_START)
        is_late = number >= CROWD_START
        way = along((start, _outside(x), y), (start + 0.15 * frames, x, y)) if is_late else along((0, x, y))
        actors.append(Actor(thing.rgba, alive(studio, _sized(way, height_of(thing, CROWD_SIDE))), number + 1))
    return film_of(studio, frames, tuple(actors), kinds[0])


def returning_twins(studio: Studio, frames: int) -> Film:
    """Three look-alikes leave one after the other, each to its own side, and come back where they left."""
    thing, stranger = studio.thing(), studio.thing()
    places = ((0.2, 0.5, -0.3, 0.5), (0.5, 0.35, 0.5, -0.5), (0.8, 0.5, 1.3, 0.5))
    actors = [
        Actor(stranger.rgba, alive(studio, _sized(along((0, 0.5 * WIDTH, 0.8 * HEIGHT)), height_of(stranger, 60))), 4)
    ]
    for number, (x, y, away_x, away_y) in enumerate(places):
        left, back = (0.12 + 0.12 * number) * frames, (0.55 + 0.1 * number) * frames
        home, away = (x * WIDTH, y * HEIGHT), (away_x * WIDTH, away_y * HEIGHT)
        way = along((left, *home), (left + 0.12 * frames, *away), (back, *away), (back + 0.12 * frames, *home))
        actors.append(Actor(thing.rgba, alive(studio, _sized(way, height_of(thing, 70))), number + 1))
    return film_of(studio, frames, tuple(actors), thing)


SCENES: Mapping[str, Callable[[Studio, int], Film]] = {
    "entering": entering,
    "growing crowd": growing_crowd,
    "returning twins": returning_twins,
}
"""By name."""


def make_film(scene: str, take: int, materials: Materials, *, seed: int = 0, frames: int = FRAMES) -> Film:
    """Return one take of one scene, always the same for the same materials and seed.

    Raises:
        KeyError: there is no such scene.
    """
    rng = np.random.default_rng([seed, take, zlib.crc32(scene.encode())])
    return SCENES[scene](Studio(materials, rng), frames)


def write_clip(folder: Path, film: Film) -> None:
    """Write a clip as `masklet.datasets` reads it: `frames/00000.png` and indexed `masks/00000.png`."""
    colors = [color_of(object_id) for object_id in range(1, 255)]
    for index in range(film.num_frames):
        rgb, owners = film.frame(index)
        write_image(folder / "frames" / f"{index:05d}.png", rgb)
        write_label_map(folder / "masks" / f"{index:05d}.png", owners.astype(np.int32), colors)


@app.command()
def discovery(
    out: Annotated[Path, typer.Option(help="The folder of clips.")] = Path("out/discovery"),
    data: Annotated[
        list[Path] | None, typer.Option(help="Images with masks to cut objects from; without: examples/media alone.")
    ] = None,
    takes: Annotated[int, typer.Option(min=1, help="Clips per scene.")] = 2,
    seed: Annotated[int, typer.Option(help="Other clips of the same kind.")] = 0,
    frames: Annotated[int, typer.Option(min=12, help="Frames per clip.")] = FRAMES,
) -> None:
    """Write the clips."""
    materials = Materials(data or ())
    for scene in SCENES:
        for take in range(takes):
            folder = out / f"{scene.replace(' ', '_')}_{take}"
            write_clip(folder, make_film(scene, take, materials, seed=seed, frames=frames))
            print(folder)


def _outside(x: float) -> float:
    """Return a place out of sight, on the nearer side."""
    return (-0.2 if x < WIDTH / 2 else 1.2) * WIDTH


def _sized(way: Callable[[float], tuple[float, float]], height: float) -> Callable[[float], Pose]:
    return lambda time: Pose(*way(time), height)


if __name__ == "__main__":
    app()
