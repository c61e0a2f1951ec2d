"""Compare masklet with transformers on every released SAM 2 and SAM 2.1 checkpoint, and print the table for the README.

    python scripts/check_released_checkpoints.py                        # downloads eight models, about 2.5 GB
    python scripts/check_released_checkpoints.py --only sam2.1-tiny
    python scripts/check_released_checkpoints.py --folder ~/checkpoints   # sam2.1_hiera_tiny.pt, ...: no network

Needs `pip install "masklet[hub]" transformers`. masklet loads the `.pt` of the release; transformers loads its own copy
of the weights from the hub, which its authors converted. With --folder it takes the transformers folder
FOLDER/sam2.1-hiera-tiny if it is there. Otherwise it is given masklet's weights: the arithmetic is then compared, but
not the reading of the file, and the table says "masklet's".

Both see the same square of pixels, so filters that shrink a picture are not compared, and both compute in fp32 on the
CPU. The inputs are those in examples/media: three photos, each with clicks or a box, and the first frames of a video
with a box on the first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import masklet
from masklet.api import Model
from masklet.engine.hub import OFFICIAL
from masklet.errors import MaskletError
from masklet.masks.operations import mask_iou, upsample_logits
from masklet.media.images import read_image
from masklet.media.source import open_source
from masklet.prompts import Prompt
from masklet.records import ByteArray, FloatArray

MEDIA = Path(__file__).parent.parent / "examples/media"

PHOTOS: Sequence[tuple[str, dict[str, Any]]] = (
    ("cat.jpg", {"points_xy": [(220, 170)]}),
    ("coffee.jpg", {"box_xyxy": (172, 12, 412, 318)}),
    ("astronaut.jpg", {"points_xy": [(220, 150), (20, 20)], "labels": [1, 0]}),
)
ABSENT_LOGIT = -1024.0
"""transformers' logits of an object that is not on a frame. Source: sam2 2b90b9f, sam2_base.py `NO_OBJ_SCORE`."""
VIDEO, BOX = "bunny.mp4", (75, 90, 390, 410)


@dataclass(frozen=True)
class Comparison:
    """Differences between masklet and transformers on one checkpoint."""

    name: str
    weights: str
    """Origin of the weights that transformers uses."""
    photo_difference: float
    """Largest absolute difference of low-res logits, over all candidates and photos."""
    photo_iou: float
    """Smallest IoU of full-size masks of both, over all candidates and photos."""
    video_difference: float
    """Largest absolute difference of low-res logits on the first frame of the video."""
    video_iou: float
    """Smallest IoU of full-size masks of both, over the frames of the video."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="NAME", action="append", choices=list(OFFICIAL), help="repeat for more")
    parser.add_argument("--folder", type=Path, help="folder of the official .pt files; nothing is downloaded")
    parser.add_argument("--frames", type=int, default=10, help="frames of the video (default 10)")
    options = parser.parse_args(arguments)
    print("| checkpoint | transformers' weights | photos: logits | photos: IoU | video: logits | video: IoU |")
    print("|---|---|---|---|---|---|")
    failed = 0
    for name in options.only or OFFICIAL:
        try:
            result = check(name, options.folder, options.frames)
        except (MaskletError, OSError, ValueError) as error:  # noqa: PERF203 - one that is missing stops no other
            failed += 1
            print(f"error: {name}: {error}", file=sys.stderr)
        else:
            print(row(result), flush=True)
    print("\nLogits: largest absolute difference. IoU: smallest of all masks; 1 means equal to the pixel.")
    return 1 if failed else 0


def row(result: Comparison) -> str:
    """Return a line of the table, in Markdown."""
    figures = (
        f"{result.photo_difference:.1e}",
        f"{result.photo_iou:.5f}",
        f"{result.video_difference:.1e}",
        f"{result.video_iou:.5f}",
    )
    return f"| {result.name} | {result.weights} | {' | '.join(figures)} |"


def check(name: str, folder: Path | None, num_frames: int) -> Comparison:
    """Load one checkpoint in both and compare them.

    Args:
        name: a key of `OFFICIAL`.
        folder: of local files; None downloads what is missing.
        num_frames: of the video.

    Raises:
        MaskletError: the checkpoint is missing or damaged.
        OSError: transformers cannot load its own.
    """
    import torch

    source: str | Path = name if folder is None else folder / OFFICIAL[name].name
    model = masklet.load(source, device="cpu", precision="fp32", speed="exact")
    theirs, weights = load_transformers(model, OFFICIAL[name].repository, folder)
    with torch.no_grad():
        photos = list(compare_photos(model, theirs))
        video = list(compare_video(model, theirs, num_frames))
    return Comparison(
        name,
        weights,
        max(difference for difference, _ in photos),
        min(iou for _, iou in photos),
        video[0][0],
        min(iou for _, iou in video),
    )


def load_transformers(model: Model, repository: str, folder: Path | None) -> tuple[Any, str]:
    """Return transformers' video model, and the words by which the table names its weights."""
    import torch
    import transformers

    from masklet.model.checkpoint import Checkpoint, to_transformers
    from masklet.model.foreign import config_to_transformers

    local = None if folder is None else folder / repository.partition("/")[2]
    if local is None or (local / "config.json").is_file():
        theirs = transformers.Sam2VideoModel.from_pretrained(str(local or repository), dtype=torch.float32)
        return theirs.eval(), "its own"
    ours = model.engine.model  # type: ignore[attr-defined]  # a TorchEngine, as every checkpoint has
    theirs = transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**config_to_transformers(ours.config)))
    theirs.load_state_dict(to_transformers(Checkpoint(ours.config, ours.state_dict())))
    return theirs.eval(), "masklet's"


def compare_photos(model: Model, theirs: Any) -> Iterator[tuple[float, float]]:
    """Yield, for each photo, the largest difference of logits and the smallest IoU of three candidates."""
    for file, fields in PHOTOS:
        rgb = read_image(MEDIA / file)
        prompt = Prompt.create(**fields)
        result = model.segmenter().set_image(rgb).predict(prompt, multimask=True)
        logits, scores = their_photo(model, theirs, rgb, prompt)
        logits = logits[np.argsort(-scores, kind="stable")]
        masks = upsample_logits(logits, result.size_hw) > 0
        # What the engine answers, before small holes and pieces are removed for display.
        our_logits = upsample_logits(result.low_res_logits, result.size_hw) > 0
        yield (
            float(np.abs(result.low_res_logits - logits).max()),
            min(mask_iou(a, b) for a, b in zip(our_logits, masks, strict=True)),
        )


def their_photo(model: Model, theirs: Any, rgb: ByteArray, prompt: Prompt) -> tuple[FloatArray, FloatArray]:
    """Return transformers' three candidates for a prompt: (3, h, w) logits and (3,) IoU predictions."""
    import torch

    pixels = normalised_square(model, rgb, in_video=False)
    points, labels, box = scaled(prompt, model.info.image_size, rgb.shape[:2])
    embeddings = theirs.get_image_embeddings(pixels)
    sparse, dense = theirs.prompt_encoder(
        input_points=torch.tensor([[points]]) if len(points) else None,
        input_labels=torch.tensor([[labels]]) if len(points) else None,
        input_boxes=None if box is None else torch.tensor([[box]]),
        input_masks=None,
    )
    masks, scores, *_ = theirs.mask_decoder(
        image_embeddings=embeddings[-1],
        image_positional_embeddings=theirs.get_image_wide_positional_embeddings(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
        high_resolution_features=embeddings[:-1],
    )
    return masks[0, 0].numpy(), scores[0, 0].numpy()


def compare_video(model: Model, theirs: Any, num_frames: int) -> Iterator[tuple[float, float]]:
    """Yield, for each frame of the video, the difference of logits and the IoU; logits are compared on the first only.

    Later frames read memories, which transformers keeps in bfloat16 and masklet does not.
    """
    import torch
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    frames = [frame.rgb for frame in islice(open_source(MEDIA / VIDEO).frames(), num_frames)]
    tracker = model.tracker(frames, memory=masklet.MemoryConfig.official())
    tracker.prompt(1, 0, box_xyxy=BOX)

    pixels = torch.cat([normalised_square(model, rgb, in_video=True) for rgb in frames])
    session = Sam2VideoInferenceSession(pixels, *pixels.shape[2:], dtype=torch.float32)
    _, _, box = scaled(Prompt.create(box_xyxy=BOX), model.info.image_size, frames[0].shape[:2])
    corners = torch.tensor([[[box[:2], box[2:]]]]), torch.tensor([[[2, 3]]])
    session.obj_id_to_idx(1)
    session.add_point_inputs(0, 0, {"point_coords": corners[0], "point_labels": corners[1]})
    session.obj_with_new_inputs = [1]
    for frame in tracker.run():
        logits = theirs(session, frame_idx=frame.frame_index).pred_masks[0, 0].numpy()
        answer = tracker.answers[1]
        our_logits = model.engine.to_numpy(answer.low_res_logits)[answer.chosen]
        our_logits = our_logits if answer.is_present else np.full_like(our_logits, ABSENT_LOGIT)
        size_hw = frame.size_hw
        yield (
            float(np.abs(our_logits - logits).max()),
            mask_iou(upsample_logits(our_logits, size_hw) > 0, upsample_logits(logits, size_hw) > 0),
        )


def normalised_square(model: Model, rgb: ByteArray, *, in_video: bool) -> Any:
    """Return the (1, 3, S, S) tensor that both models see."""
    import torch

    engine: Any = model.engine
    pixels = torch.from_numpy(np.array(engine.squared(rgb, in_video)[None]))
    return engine.model.image_encoder.normalise(pixels).contiguous()


def scaled(
    prompt: Prompt, side: int, size_hw: tuple[int, ...]
) -> tuple[list[list[float]], list[int], list[float] | None]:
    """Return a prompt's points, labels and box in pixels of the model's square, as transformers takes them."""
    scale = np.array([side / size_hw[1], side / size_hw[0]], np.float32)
    box = None if prompt.box_xyxy is None else (prompt.box_xyxy * np.tile(scale, 2)).tolist()
    return (prompt.points_xy * scale).tolist(), prompt.labels.tolist(), box


if __name__ == "__main__":
    raise SystemExit(main())
