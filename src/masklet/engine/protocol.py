"""The narrow waist: four functions over opaque array handles, one way out of them and one in.

Nothing outside an engine touches a tensor. The tracker moves handles, so GPU arrays stay on the GPU, ONNX keeps its
own values, and tests drive the tracker with integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from masklet.prompts import Prompt
from masklet.records import ByteArray, Conditioned, Decoded, EngineInfo, FloatArray, FrameMemory, ImageFeatures, Recall

A = TypeVar("A")


class Engine(Protocol[A]):
    """Runs one SAM 2-family model. Every function but the first takes a batch of N objects."""

    @property
    def info(self) -> EngineInfo: ...

    def encode_image(self, rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[A]:
        """Image encoder; once per frame, whatever the number of objects.

        Args:
            rgb: (H, W, 3) uint8, any size.
            in_video: a frame of a video, which the official models see through another filter than an image.
        """
        ...

    def attend(self, features: ImageFeatures[A], recalls: Sequence[Recall[A]]) -> Conditioned[A]:
        """Memory attention for N objects. An empty recall gives the features as they are without memory."""
        ...

    def decode(
        self, conditioned: Conditioned[A], prompts: Sequence[Prompt | None], *, multimask: bool | None = None
    ) -> list[Decoded[A]]:
        """Prompt encoder and mask decoder for N objects.

        Args:
            conditioned: N embeddings, from `attend`.
            prompts: N prompts in source pixels; `None` tracks from memory alone. A prompt with a mask answers with
                that mask (at the model's resolution) and a pointer for it.
            multimask: three candidates (True), one (False), or as SAM 2 does in videos (None): three for no or one
                point, else one. With three, `chosen` is the one of highest IoU prediction.

        Returns:
            N answers. Logits are as the decoder gives them also where `object_score` <= 0; whoever shows masks
            decides what absence means.
        """
        ...

    def encode_memory(
        self, features: ImageFeatures[A], decoded: Sequence[Decoded[A]], prompted: Sequence[bool]
    ) -> list[FrameMemory[A]]:
        """Memory encoder for N objects on one frame.

        Prompted masks are remembered as binary, tracked ones as probabilities; an absent object's mask as empty.
        """
        ...

    def to_numpy(self, array: A) -> FloatArray:
        """Copy a handle to host memory as float32. The one way out."""
        ...

    def from_numpy(self, array: FloatArray) -> A:
        """A handle of what `to_numpy` gave, perhaps in another process. The one way in."""
        ...
