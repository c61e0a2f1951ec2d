"""Golden numbers: what the embedded nano scores on two small clips that are drawn here.

They change when nano's weights, the tracker's rules or the measures do. A change that is meant is written down by

    MASKLET_UPDATE_GOLDEN=1 python -m pytest tests/evaluation/test_golden.py

and shows in the diff of `tests/golden/vos_nano.txt`. The tolerance is for other versions of onnxruntime, OpenCV and
processors: rounding moves outlines by single pixels, of masks that are 40 wide.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from masklet.engine.open import embedded_folder, open_engine
from masklet.evaluation.vos import evaluate_vos

from .oracle import write_pair

GOLDEN = Path(__file__).parent.parent / "golden" / "vos_nano.txt"
TOLERANCE = 0.02
SIZE_HW = (120, 160)
NUM_FRAMES = 5

Array = np.ndarray


def draw_clip(kind: str) -> list[tuple[Array, Array]]:
    """Frames and labels: a disc that moves over noise, or a disc and a box of other colours that pass each other."""
    noise = np.random.default_rng(7).integers(60, 110, (*SIZE_HW, 3)).astype(np.uint8)
    background = cv2.GaussianBlur(noise, (0, 0), 3)
    frames = []
    for index in range(NUM_FRAMES):
        rgb, labels = background.copy(), np.zeros(SIZE_HW, np.uint8)
        disc = (40 + 12 * index, 62 - 3 * index)
        cv2.circle(rgb, disc, 22, (220, 120, 40), -1, cv2.LINE_AA)
        cv2.circle(labels, disc, 22, 1, -1)
        if kind == "two":
            corner = (100 - 10 * index, 70 + 2 * index)
            cv2.rectangle(rgb, corner, (corner[0] + 40, corner[1] + 30), (40, 90, 210), -1)
            cv2.rectangle(labels, corner, (corner[0] + 40, corner[1] + 30), 2, -1)
        frames.append((rgb, labels))
    return frames


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for kind in ("one", "two"):
        for index, (rgb, labels) in enumerate(draw_clip(kind)):
            image = tmp_path / kind / f"frames/{index}.png"
            write_pair(image, tmp_path / kind / f"masks/{index}.png", labels)
            cv2.imwrite(str(image), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return tmp_path


@pytest.mark.skipif(not embedded_folder("nano").is_dir(), reason="this checkout has no embedded model")
def test_nano_scores_equal_the_golden_ones(clips: Path) -> None:
    engine = open_engine("nano", num_threads=1)
    rows = {}
    for prompt in ("mask", "box"):
        report = evaluate_vos(engine, clips, prompt=prompt)  # type: ignore[arg-type]
        rows |= {f"{prompt} {name}": scores for name, scores in {**report.rows, "overall": report.overall}.items()}
    lines = [f"{name:<12} J {row['J']:.4f}  F {row['F']:.4f}  J&F {row['J&F']:.4f}" for name, row in rows.items()]
    if os.environ.get("MASKLET_UPDATE_GOLDEN"):
        GOLDEN.write_text("\n".join(lines) + "\n", encoding="utf-8")
    golden = GOLDEN.read_text(encoding="utf-8").splitlines()
    assert len(golden) == len(lines)
    for expected, got in zip(golden, lines, strict=True):
        assert _numbers(got) == pytest.approx(_numbers(expected), abs=TOLERANCE), (
            f"{GOLDEN.name} has {expected!r}, got {got!r}"
        )


def _numbers(line: str) -> list[float]:
    return [float(word) for word in line.split() if word.replace(".", "").isdigit()]
