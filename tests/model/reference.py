"""transformers' SAM 2 with the weights of ours, and what it takes to compare the two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from masklet.model.checkpoint import Checkpoint, to_transformers
from masklet.model.config import ModelConfig
from masklet.model.foreign import config_to_transformers
from masklet.model.sam2 import SAM2

from .tiny import SIZE, random_model

TOLERANCE = 1e-4


class Pair(NamedTuple):
    """One model twice."""

    ours: SAM2
    theirs: Any


@contextmanager
def open_pair(config: ModelConfig) -> Iterator[Pair]:
    """The same random weights in both, and transformers' SAM 2 made to follow the official code where it departs."""
    transformers = pytest.importorskip(
        "transformers", reason="conformance needs transformers: pip install transformers"
    )
    from transformers.models.sam2_video import modeling_sam2_video as modeling

    class Official(transformers.Sam2VideoModel):  # type: ignore[misc, name-defined]
        """Source: sam2 2b90b9f, sam2_base.py and sam2_video_predictor.py."""

        def _run_single_frame_inference(self, **arguments: Any) -> Any:
            # A click on a tracked frame corrects its mask: the decoder is shown the mask as logits, limited to 32.
            session, frame_index = arguments["inference_session"], arguments["frame_idx"]
            if arguments["point_inputs"] is not None and not arguments["is_init_cond_frame"]:
                tracked = session.get_output(
                    arguments["obj_idx"], frame_index, "pred_masks", is_conditioning_frame=False
                )
                arguments["prev_sam_mask_logits"] = tracked.clamp(-32, 32)
            return super()._run_single_frame_inference(**arguments)

        def _single_frame_forward(self, *, multimask_output: bool = False, **arguments: Any) -> Any:
            # `_use_mask_as_output` leaves multimask out, and means by it the pointer of the single mask.
            return super()._single_frame_forward(multimask_output=multimask_output, **arguments)

    class TorchWithoutBfloat16:
        """Both keep memories in bf16; here the arithmetic is to be compared."""

        bfloat16 = torch.float32

        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

    ours = random_model(config)
    theirs = Official(transformers.Sam2VideoConfig(**config_to_transformers(config)))
    theirs.load_state_dict(to_transformers(Checkpoint(config, ours.state_dict())))
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(modeling, "torch", TorchWithoutBfloat16())
        yield Pair(ours, theirs.eval())


class DoublePrecision(TorchFunctionMode):
    """Every operation in float64, also where code asks for float32: what is then left is no rounding.

    Tables that transformers makes in float32 when a model is built stay as exact as that, 6e-8.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        asked = torch.Tensor.double if func is torch.Tensor.float else func
        with torch._C.DisableTorchFunction():
            return _doubled(asked(*_doubled(args), **_doubled(kwargs or {})))


def _doubled(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.double() if value.dtype == torch.float32 else value
    if value is torch.float32 or value is torch.bfloat16:
        return torch.float64
    if type(value) in (list, tuple):
        return type(value)(_doubled(one) for one in value)
    if type(value) is dict:
        return {name: _doubled(one) for name, one in value.items()}
    return value


def assert_close(
    ours: Tensor, theirs: Tensor, *, inside: Tensor | None = None, size: float = 0.0, tolerance: float = TOLERANCE
) -> None:
    """Equal up to a fraction of the reference's size, over all of it and, with `inside`, over that part alone.

    `size` is what the reference has at least, for scalars that may be next to zero.
    """
    assert ours.shape == theirs.shape
    assert theirs.abs().max() > 0, "nothing to compare"
    for part in (torch.ones_like(theirs, dtype=torch.bool), inside):
        if part is not None:
            assert part.any(), "the object is empty"
            error = (ours - theirs)[part].abs().max() / theirs[part].abs().max().clamp(min=size)
            assert error <= tolerance, f"relative error {error:.2e}"


def pictures(count: int, random: torch.Generator, size: int = SIZE) -> Tensor:
    """(B, size, size, 3) of 0 to 255, smooth enough to be looked at, rough enough to matter."""
    coarse = torch.rand(count, 3, 12, 12, generator=random)
    smooth = F.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    return (smooth * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def normalised(pixels: Tensor) -> Tensor:
    """What transformers' processor makes of them."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2)
