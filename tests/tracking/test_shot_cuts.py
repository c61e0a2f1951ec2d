"""Shot cuts: found between scenes, and not in motion, flashes and restless videos."""

from __future__ import annotations

import numpy as np

from masklet.records import ByteArray
from masklet.tracking.shot_cuts import ShotCutDetector


def scene(seed: int, shift: int = 0, gain: float = 1.0) -> ByteArray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (4, 6, 3))
    pixels = np.kron(coarse, np.ones((32, 32, 1), int))
    return np.clip(np.roll(pixels, shift, axis=1) * gain, 0, 255).astype(np.uint8)


def cuts(*frames: ByteArray) -> list[int]:
    detector = ShotCutDetector()
    return [index for index, rgb in enumerate(frames) if detector.is_cut(rgb)]


def test_cuts_are_found_but_not_in_motion_or_flashes() -> None:
    assert cuts(*[scene(1)] * 4, *[scene(2)] * 4, scene(1)) == [4, 8]
    assert cuts(*(scene(1, shift) for shift in range(0, 40, 4))) == []
    assert cuts(scene(1), scene(1), scene(1, gain=1.6), scene(1)) == []
    black = np.zeros((20, 30, 3), np.uint8)
    assert cuts(black, black, np.full_like(black, 3)) == []


def test_a_restless_video_is_not_cut_on_every_frame() -> None:
    assert len(cuts(*(scene(seed) for seed in range(12)))) <= 2  # every frame is another scene, so none stands out


def test_a_detector_is_restored_from_its_state() -> None:
    detector = ShotCutDetector()
    for rgb in (scene(1), scene(1, 4)):
        detector.is_cut(rgb)
    other = ShotCutDetector()
    other.restore(detector.state())
    assert other.state() == detector.state()
    assert other.is_cut(scene(2))
    other.reset()
    assert not other.is_cut(scene(1))
