"""The engine interface: four functions over opaque array handles, and conversions from and to numpy.

Nothing outside an engine touches a tensor. The tracker only moves handles, so GPU arrays stay on the GPU, onnxruntime
keeps its own values, and tests run the tracker with integers as handles.
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
        """Run the image encoder; once per frame, whatever the number of objects.

        Args:
            rgb: (H, W, 3) uint8, any size.
            in_video: True for a frame of a video, which official models resize by another filter than an image.
        """
        ...

    def attend(self, features: ImageFeatures[A], recalls: Sequence[Recall[A]]) -> Conditioned[A]:
        """Run memory attention for N objects. An empty recall returns the features without memory."""
        ...

    def decode(
        self, conditioned: Conditioned[A], prompts: Sequence[Prompt | None], *, multimask: bool | None = None
    ) -> list[Decoded[A]]:
        """Run the prompt encoder and the mask decoder for N objects.

        Args:
            conditioned: N embeddings, from `attend`.
            prompts: N prompts in source pixels; `None` tracks from memory alone. A prompt with a mask returns
                that mask (at the model's resolution) and a pointer for it.
            multimask: three candidates (True), one (False), or as SAM 2 does in videos (None): three for no or one
                point, else one. With three, `chosen` is the one of highest IoU prediction.

        Returns:
            N answers. Logits are those of the decoder even if `object_score` <= 0; the caller decides what an absent
            object's mask is.
        """
        ...

    def encode_memory(
        self, features: ImageFeatures[A], decoded: Sequence[Decoded[A]], prompted: Sequence[bool]
    ) -> list[FrameMemory[A]]:
        """Run the memory encoder for N objects on one frame.

        Prompted masks are encoded as binary, tracked ones as probabilities; an absent object's mask as empty.
        """
        ...

    def to_numpy(self, array: A) -> FloatArray:
        """Copy a handle to host memory as float32, the only way to read it."""
        ...

    def from_numpy(self, array: FloatArray) -> A:
        """Return a handle for an array from `to_numpy`, perhaps of another process."""
        ...
