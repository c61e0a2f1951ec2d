"""The interface of the official `sam2` package on masklet: put `masklet.compat.sam2` where `sam2` was imported from.

    from masklet.compat.sam2.build_sam import build_sam2_video_predictor
    from masklet.compat.sam2.sam2_image_predictor import SAM2ImagePredictor

Names, arguments, defaults, shapes and types of results are the official ones. Underneath are `Segmenter`, `Tracker` and
`segment_everything` with `MemoryConfig.official()`: no hydra, no compiled extension, no decord, and videos from any
file, folder or array. What differs on purpose is in docs/guides/migrating-from-sam2.md. Results that are torch
tensors there are so here, so this part of masklet needs the torch extra.
"""

from masklet.engine.open import needs_extra

with needs_extra("torch", "masklet.compat.sam2"):
    from masklet.compat.sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
    from masklet.compat.sam2.build_sam import (
        build_sam2,
        build_sam2_hf,
        build_sam2_video_predictor,
        build_sam2_video_predictor_hf,
    )
    from masklet.compat.sam2.sam2_image_predictor import SAM2ImagePredictor
    from masklet.compat.sam2.sam2_video_predictor import SAM2VideoPredictor

__all__ = [
    "SAM2AutomaticMaskGenerator",
    "SAM2ImagePredictor",
    "SAM2VideoPredictor",
    "build_sam2",
    "build_sam2_hf",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]
