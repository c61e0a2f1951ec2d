"""Segment and track anything in images and videos, by click, box or mask.

Names are loaded when they are first used, so that `import masklet` takes no time and loads no runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from masklet._version import __version__

if TYPE_CHECKING:
    from masklet.api import Model, load, resume
    from masklet.errors import (
        CheckpointError,
        ConfigError,
        DataError,
        EngineError,
        ImageError,
        MaskletError,
        OutputError,
        PromptError,
        SessionError,
        TrackingError,
        VideoError,
    )
    from masklet.memory.bank import MemoryConfig
    from masklet.prompts import PointLabel, Prompt
    from masklet.records import Frame, FrameMasks, SegmentResult
    from masklet.segmentation.automatic import AutomaticConfig, AutomaticMask
    from masklet.segmentation.segmenter import EncodedImage, Segmenter
    from masklet.tracking.tracker import Tracker

__all__ = [
    "AutomaticConfig",
    "AutomaticMask",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "EncodedImage",
    "EngineError",
    "Frame",
    "FrameMasks",
    "ImageError",
    "MaskletError",
    "MemoryConfig",
    "Model",
    "OutputError",
    "PointLabel",
    "Prompt",
    "PromptError",
    "SegmentResult",
    "Segmenter",
    "SessionError",
    "Tracker",
    "TrackingError",
    "VideoError",
    "__version__",
    "load",
    "resume",
]

_HOMES = {
    "AutomaticConfig": "segmentation.automatic",
    "AutomaticMask": "segmentation.automatic",
    "EncodedImage": "segmentation.segmenter",
    "Frame": "records",
    "FrameMasks": "records",
    "MemoryConfig": "memory.bank",
    "Model": "api",
    "PointLabel": "prompts",
    "Prompt": "prompts",
    "SegmentResult": "records",
    "Segmenter": "segmentation.segmenter",
    "Tracker": "tracking.tracker",
    "load": "api",
    "resume": "api",
}
"""The module of each public name; errors, which all end in Error, are in `errors`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'masklet' has no attribute {name!r}")
    value = getattr(import_module(f"masklet.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
