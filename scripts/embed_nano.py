"""Put a trained nano into the package: its weights for PyTorch under weights/, its graphs under src/masklet/models/.

Both hold the same numbers: everything is rounded to fp16 first, and the graphs are exported from what was rounded.

    python scripts/embed_nano.py runs/clips/ema.pt
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from masklet.engine.export import export_model
from masklet.model.checkpoint import load_model, read_checkpoint, save_checkpoint
from masklet.model.config import NANO_CONFIG


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="ema.pt of a finished training")
    parser.add_argument("--size", type=int, default=384, help="side of the square input, pixels")
    arguments = parser.parse_args()
    repository = Path(__file__).resolve().parent.parent
    checkpoint = read_checkpoint(arguments.weights)
    config = replace(NANO_CONFIG, image_size=arguments.size)
    halved = {name: value.half() for name, value in checkpoint.weights.items()}
    target = repository / "weights" / "nano.safetensors"
    target.parent.mkdir(exist_ok=True)
    save_checkpoint(replace(checkpoint, config=config, weights=halved), target)
    folder = repository / "src" / "masklet" / "models" / "nano"
    export_model(load_model(target), folder, precision="fp16")
    for path in (target, *sorted(folder.iterdir())):
        print(f"{path.stat().st_size / 1e6:7.2f} MB  {path.relative_to(repository)}")


if __name__ == "__main__":
    main()
