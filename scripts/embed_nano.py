"""Put a trained nano into the package: its weights for PyTorch under weights/, its graphs under src/masklet/models/.

Both hold the same numbers: everything is rounded to fp16 first, and the graphs are exported from what was rounded.

    python scripts/embed_nano.py runs/clips/ema.pt --calibrate data/train data/train/videos

Of several weights the mean is taken: runs that began at the same weights lie in one basin, and their mean is often
better than each (Wortsman et al. 2022, Model soups).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from masklet.engine.export import export_model
from masklet.evaluation.int8 import calibration_run
from masklet.model.checkpoint import load_model, read_checkpoint, save_checkpoint
from masklet.model.config import NANO_CONFIG


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+", help="ema.pt of a finished training, or of several")
    parser.add_argument("--size", type=int, default=384, help="side of the square input, pixels")
    parser.add_argument("--calibrate", nargs="+", required=True, help="images and clips for the ranges of int8")
    arguments = parser.parse_args()
    repository = Path(__file__).resolve().parent.parent
    checkpoints = [read_checkpoint(path) for path in arguments.weights]
    config = replace(NANO_CONFIG, image_size=arguments.size)
    halved = {
        name: torch.stack([one.weights[name].float() for one in checkpoints]).mean(0).half()
        for name in checkpoints[-1].weights
    }
    target = repository / "weights" / "nano.safetensors"
    target.parent.mkdir(exist_ok=True)
    save_checkpoint(replace(checkpoints[-1], config=config, weights=halved), target)
    folder = repository / "src" / "masklet" / "models" / "nano"
    export_model(load_model(target), folder, precision="fp16", calibrate=calibration_run(arguments.calibrate))
    for path in (target, *sorted(folder.iterdir())):
        print(f"{path.stat().st_size / 1e6:7.2f} MB  {path.relative_to(repository)}")


if __name__ == "__main__":
    main()
