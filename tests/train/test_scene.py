from __future__ import annotations

import cv2
import numpy as np
import pytest

from masklet.records import ByteArray
from masklet.train.augment import Cutout
from masklet.train.scene import (
    MAX_BLUR_PX,
    MAX_GROWTH,
    NO_COLOUR_CHANGE,
    Bend,
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
    smooth_curve,
)

SIZE = 64


def motion(centres_xy: list[tuple[float, float]], scale: float = 1.0, angle: float = 0.0) -> Motion:
    """At these places, frame by frame, else unchanged."""
    ones = np.ones(len(centres_xy))
    return Motion(np.array(centres_xy, float), scale * ones, angle * ones, ones)


def layer(path: Motion, *, colour: int = 200, tracked: bool = True, shutter: float = 0.0) -> Layer:
    """A solid square of 20 pixels, one colour."""
    cutout = Cutout(np.full((20, 20, 3), colour, np.uint8), np.full((20, 20), 255, np.uint8), 0)
    colours = np.stack([NO_COLOUR_CHANGE] * len(path.scales))
    return Layer(cutout, 20.0, path, colours, shutter, tracked)


def empty_scene(num_frames: int) -> Scene:
    frames = [np.zeros((SIZE, SIZE, 3), np.uint8) for _ in range(num_frames)]
    return Scene(frames, [np.full((SIZE, SIZE), 255, np.uint8) for _ in range(num_frames)], [])


def centre_xy(mask: ByteArray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask > 127)
    return float(columns.mean()), float(rows.mean())


def test_a_layer_and_its_mask_are_painted_at_the_position_of_its_path() -> None:
    scene = empty_scene(3)
    places = [(20.3, 20.7), (30.7, 25.2), (44.2, 40.4)]
    scene.paint(layer(motion(places)))
    (masks,) = scene.objects
    for frame, mask, expected in zip(scene.frames, masks, places, strict=True):
        assert centre_xy(mask) == pytest.approx(expected, abs=0.51)
        assert np.array_equal(frame[:, :, 0] > 100, mask > 127)
        assert (mask > 127).sum() == pytest.approx(400, rel=0.06)
    assert scene.num_pasted == 1


@pytest.mark.parametrize("angle", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("scale", [0.6, 1.6])
def test_scale_changes_the_area_and_turning_does_not(scale: float, angle: float) -> None:
    scene = empty_scene(1)
    scene.paint(layer(motion([(32.3, 32.3)], scale, angle)))
    assert (scene.objects[0][0] > 127).sum() == pytest.approx(400 * scale**2, rel=0.08)


def test_layers_painted_later_hide_objects_and_void() -> None:
    scene = empty_scene(1)
    scene.paint(layer(motion([(26, 32)]), colour=100))
    scene.paint(layer(motion([(36, 32)]), colour=200))
    behind, front = scene.objects[0][0] > 127, scene.objects[1][0] > 127
    assert not (behind & front).any()
    assert behind.sum() == pytest.approx(front.sum() / 2, rel=0.15)
    assert not ((scene.voids[0] > 127) & (behind | front)).any()


def test_occluders_hide_without_becoming_objects() -> None:
    scene = empty_scene(1)
    scene.paint(layer(motion([(32, 32)])))
    scene.paint(layer(motion([(32, 32)]), tracked=False))
    assert len(scene.objects) == 1
    assert not (scene.objects[0][0] > 127).any()


@pytest.mark.parametrize("place", [(-30.0, 32.0), (32.0, 200.0), (1e4, -1e4)])
def test_an_object_outside_the_frame_is_absent_and_can_return(place: tuple[float, float]) -> None:
    scene = empty_scene(3)
    scene.paint(layer(motion([(32, 32), place, (32, 32)])))
    present = [bool((mask > 127).any()) for mask in scene.objects[0]]
    assert present == [True, False, True]
    assert not scene.frames[1].any()


def test_fast_things_smear_along_their_path() -> None:
    sharp, smeared = empty_scene(2), empty_scene(2)
    path = motion([(20, 32), (44, 32)])
    sharp.paint(layer(path))
    smeared.paint(layer(path, shutter=0.5))
    edge = [np.unique(scene.frames[1][32, :, 0]).size for scene in (sharp, smeared)]
    assert edge[1] > edge[0] + 5
    column = [np.unique(scene.frames[1][:, 44, 0]).size for scene in (sharp, smeared)]
    assert column[1] <= column[0] + 2


def pulled(pulls_xy: dict[int, tuple[float, float]], side_px: float = 20.0) -> Bend:
    """One frame in which some of the nine control points, counted row by row, are pulled away."""
    pulls = np.zeros((1, 9, 2), np.float32)
    for point, pull in pulls_xy.items():
        pulls[0, point] = pull
    return Bend(side_px, pulls)


def test_a_deformation_moves_its_control_points_as_told_and_is_smooth() -> None:
    bend = pulled({4: (3.0, -2.0), 8: (1.0, 0.0)})
    places, as_told = np.arange(-10, 11, dtype=np.float32), np.eye(2, dtype=np.float32)
    shift = np.dstack(bend.shift(0, places, places, as_told))
    assert shift[10, 10] == pytest.approx((3, -2), abs=0.05)
    assert shift[20, 20] == pytest.approx((1, 0), abs=0.05)
    assert shift[0, 0] == pytest.approx((0, 0), abs=0.05)
    assert np.abs(np.diff(shift, axis=0)).max() < 0.8
    assert np.abs(shift).max() <= bend.reach_px
    part = np.dstack(bend.shift(0, places[5:11], places[10:14], as_told))
    assert np.allclose(part, shift[10:14, 5:11], atol=0.02)


def test_equal_pulls_shift_without_bending_and_rotate_with_the_object() -> None:
    bend, places = pulled(dict.fromkeys(range(9), (2.0, 1.0))), np.arange(-30, 31, dtype=np.float32)
    quarter = np.array([[0, 1], [-1, 0]], np.float32)
    assert np.allclose(np.dstack(bend.shift(0, places, places, quarter)), (1.0, -2.0), atol=1e-3)


def test_a_deformation_bends_an_object_but_keeps_it_in_place() -> None:
    straight = motion([(32, 32)])
    bent = Motion(
        straight.centres_xy, straight.scales, straight.angles, straight.aspects, pulled({1: (0, 4.0), 7: (0, 4.0)})
    )
    scene = empty_scene(1)
    scene.paint(layer(straight))
    scene.paint(layer(bent))
    assert (scene.objects[0][0] > 127).any()  # not covered everywhere
    assert centre_xy(scene.objects[1][0]) == pytest.approx((32, 32), abs=4)


def test_light_starts_unchanged_and_ends_at_its_target() -> None:
    late = NO_COLOUR_CHANGE * np.float32(2)
    ends = []
    for seed in range(40):
        course = colour_course(np.random.default_rng(seed), late, 5)
        assert course.shape == (5, 3, 4)
        assert np.array_equal(course[0], NO_COLOUR_CHANGE)
        ends.append(np.allclose(course[-1], late))
        assert np.array_equal(colour_course(np.random.default_rng(seed), late, 1)[0], NO_COLOUR_CHANGE)
    assert 20 < sum(ends) < 40  # the others come back


def test_colours_compose() -> None:
    rng = np.random.default_rng(0)
    first, later = rng.random((2, 3, 4)).astype(np.float32)
    pixel = rng.random(3)
    in_turn = later[:, :3] @ (first[:, :3] @ pixel + first[:, 3]) + later[:, 3]
    both = compose(first, later)
    assert both[:, :3] @ pixel + both[:, 3] == pytest.approx(in_turn, rel=1e-5)


def test_shade_falls_unevenly_and_wanders() -> None:
    shade = random_shade(np.random.default_rng(0), 4)
    grey = np.full((SIZE, SIZE, 3), 100, np.uint8)
    first, last = shade.apply(grey, 0), shade.apply(grey, 3)
    assert first.dtype == np.uint8
    assert first.std() > 5
    assert 40 <= first.min() < first.max() <= 160
    assert not np.array_equal(first, last)


def test_a_passing_object_comes_from_outside_and_crosses_another() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        path = passing_motion(rng, 5, SIZE, 20.0, [motion([(30, 30)] * 5)]).centres_xy
        assert path[2] == pytest.approx((30, 30))
        steps = np.diff(path, axis=0)
        assert np.allclose(steps, steps[0])
        assert np.linalg.norm(path[4] - path[0]) > SIZE * 0.9


def test_smears_are_lines_with_a_longest_and_keep_the_light() -> None:
    assert smear_steps(np.array([1.0, 0.5])) == [(0, 0)]
    for step_xy in ([5.0, 0.0], [-7.0, 9.0], [300.0, -200.0]):
        steps = smear_steps(np.array(step_xy))
        assert len(set(steps)) == len(steps) > 3
        assert sorted(steps) == sorted((-x, -y) for x, y in steps)
        assert np.ptp(steps, axis=0).max() < MAX_BLUR_PX
        dot = np.zeros((41, 41), np.uint8)
        dot[20, 20] = 255
        smeared = smear(dot, steps, cv2.BORDER_CONSTANT)
        assert int(smeared.sum()) == pytest.approx(255, abs=len(steps))
        assert np.count_nonzero(smeared) == len(steps)


@pytest.mark.parametrize("num_frames", [1, 2, 8])
def test_motions_start_unchanged_and_stay_in_their_bounds(num_frames: int) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        assert smooth_curve(rng, num_frames, 1.0, 1.0)[0] == 0
        camera = camera_motion(rng, num_frames, SIZE)
        first = object_motion(rng, num_frames, SIZE, 20.0, [])
        second = object_motion(rng, num_frames, SIZE, 20.0, [first])
        assert camera.centres_xy.shape == (num_frames, 2)
        for thing in (first, second):
            assert thing.scales[0] == 1
            assert (thing.scales >= 0.999 / MAX_GROWTH).all()
            assert (thing.scales <= 1.001 * MAX_GROWTH).all()
            assert (thing.centres_xy[0] > 0).all()
            assert (thing.centres_xy[0] < SIZE).all()


def test_objects_start_apart() -> None:
    distances = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        first = object_motion(rng, 4, SIZE, 20.0, [])
        second = object_motion(rng, 4, SIZE, 20.0, [first])
        distances.append(np.linalg.norm(first.centres_xy[0] - second.centres_xy[0]))
    assert np.median(distances) > SIZE * 0.4


def test_a_cut_shows_another_scene_and_hides_what_was_there() -> None:
    scene, other = empty_scene(4), empty_scene(4)
    scene.paint(layer(motion([(20.0, 20.0)] * 4)))
    other.paint(layer(motion([(40.0, 40.0)] * 4), colour=90))
    scene.cut_to(other, 1, 3)
    assert [bool(mask.any()) for mask in scene.objects[0]] == [True, False, False, True]
    assert [int(frame.max()) for frame in scene.frames] == [200, 90, 90, 200]


def test_two_objects_that_touch_are_followed_as_one() -> None:
    scene = empty_scene(2)
    for places in ([(12.0, 20.0), (14.0, 20.0)], [(32.0, 20.0), (34.0, 24.0)], [(12.0, 52.0), (12.0, 52.0)]):
        scene.paint(layer(motion(places)))
    assert scene.touching_pairs() == [(0, 1)]
    horse, rider, _ = (np.stack(masks) for masks in scene.objects)
    scene.unite((0, 1))
    assert (scene.num_pasted, len(scene.objects)) == (3, 4)
    together = np.stack(scene.objects[0]) > 127
    assert (together != ((horse > 127) | (rider > 127))).mean() < 0.02  # half-covered pixels of the seam add up
    assert together.sum() > 1.9 * (rider > 127).sum()
