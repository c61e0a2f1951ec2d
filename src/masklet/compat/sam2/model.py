"""The model of the official predictors: here a handle on an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from masklet.engine.staged import StagedEngine
from masklet.errors import EngineError, PromptError
from masklet.prompts import Prompt
from masklet.records import FloatArray

if TYPE_CHECKING:
    from typing_extensions import Self


class SAM2Base:
    """A loaded model. Anything that takes one also takes a `masklet.Model` or an engine: see `engine_of`."""

    def __init__(self, engine: StagedEngine[Any]) -> None:
        self.engine = engine

    @property
    def image_size(self) -> int:
        """Side of the model's square input, pixels."""
        return self.engine.info.image_size

    @property
    def device(self) -> torch.device:
        """Device of the model, and of the tensors that it returns."""
        return torch.device(self.engine.info.device)

    def eval(self) -> Self:
        """Return the model unchanged: there is no other mode."""
        return self

    def to(self, device: str | torch.device) -> Self:
        """Move the model.

        Raises:
            EngineError: there is no such device, or the model is an exported one, which runs on the CPU.
        """
        from masklet.engine.torch_engine import TorchEngine

        if torch.device(device) == self.device:
            return self
        if not isinstance(self.engine, TorchEngine):
            raise EngineError(f"{self.engine.info.name} is an exported model: it stays on the CPU, got {device!r}")
        info = self.engine.info
        moved = TorchEngine(self.engine.model, device=str(device), precision=info.precision, speed=info.speed)
        moved.spec = self.engine.spec
        self.engine = moved
        return self

    def cuda(self) -> Self:
        """Call `to("cuda")`."""
        return self.to("cuda")

    def cpu(self) -> Self:
        """Call `to("cpu")`."""
        return self.to("cpu")


def engine_of(model: Any) -> StagedEngine[Any]:
    """Return the engine behind a model of this module, a `masklet.Model`, or an engine itself.

    Raises:
        EngineError: it is none of these.
    """
    engine = getattr(model, "engine", model)
    if not isinstance(engine, StagedEngine):
        raise EngineError(
            f"a model must come from build_sam2(...) or masklet.load(...), got {type(model).__name__}: models of the "
            f"sam2 package itself cannot be used, load their checkpoint instead"
        )
    return engine


def to_array(values: Any, name: str) -> FloatArray:
    """Numbers as float32 on the host, from arrays, lists and tensors.

    Raises:
        PromptError: they are not numbers.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().float().cpu().numpy()
    try:
        return np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{name} must be numbers, got {values!r:.80}") from error


def to_pixels(
    coordinates: FloatArray, size_hw: tuple[int, int], *, normalize: bool, are_corners: bool = False
) -> FloatArray:
    """(..., 2) x and y in pixels, inside the image.

    Coordinates outside are moved to the edge: detectors give boxes that reach over it by a pixel, and the official code
    takes them as they are.

    Args:
        coordinates: in pixels where `normalize`, else in fractions of the width and height.
        size_hw: of the image.
        normalize: the official argument of that name (`normalize_coords`).
        are_corners: of boxes, which end at the edge, where a point is in the last pixel at most.
    """
    sides = np.array(size_hw[::-1], np.float32)
    pixels = coordinates if normalize else coordinates * sides
    return np.asarray(np.clip(pixels, 0, sides if are_corners else np.nextafter(sides, np.float32(0))), np.float32)


def make_prompt(
    points_xy: FloatArray | None,
    labels: NDArray[Any] | None,
    box_xyxy: FloatArray | None,
    previous_logits: FloatArray | None,
    size_hw: tuple[int, int],
) -> Prompt:
    """A checked prompt, as a call has given it; logits alone will do.

    Raises:
        PromptError: see `Prompt.create`.
    """
    if points_xy is None and box_xyxy is None and previous_logits is not None:
        return Prompt.of_logits(previous_logits)
    return Prompt.create(
        points_xy=points_xy, labels=labels, box_xyxy=box_xyxy, previous_logits=previous_logits, size_hw=size_hw
    )
