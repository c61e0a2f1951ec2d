"""`masklet.load` opens a model by name; `masklet.resume` continues a session from its file.

Everything here delegates to other modules.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from masklet.checks import check_path
from masklet.engine.protocol import Engine
from masklet.errors import CheckpointError, SessionError
from masklet.masks.edges import EdgeConfig
from masklet.media.source import VideoSource
from masklet.memory.bank import MemoryConfig
from masklet.records import EngineInfo
from masklet.segmentation.segmenter import Segmenter
from masklet.tracking.tracker import Tracker

DEFAULT_MODEL = "nano"


def load(
    name: str | PathLike[str] = DEFAULT_MODEL,
    *,
    device: Any = "auto",
    precision: Any = "auto",
    image_size: int | None = None,
    speed: str | None = "auto",
) -> Model:
    """Load a model.

    Args:
        name: "nano", which comes with the package; an official name such as "sam2.1-tiny"; a path to a checkpoint
            or to an exported folder; or "user/repository" on the Hugging Face hub, followed by ":file.pt" if
            it holds several.
        device: "auto" takes the best one available; else "cpu", "cuda", ..., a `torch.device`, or the index of a CUDA
            device.
        precision: "auto" takes what suits the device; else "fp32", "bf16", ..., or a torch type.
        image_size: side of the square input in pixels, a multiple of 32, for a checkpoint that was trained at
            another size than 1024: official weights do not store it.
        speed: "exact"; "fast", which tracks videos in less time, with masks that differ a little; or "auto" for the one
            that suits the model: "fast" for nano, "exact" for all others (docs/guides/speed.md).

    Raises:
        CheckpointError: the model is unknown, its files do not fit, or they cannot be downloaded.
        ConfigError: `image_size` is not a multiple of 32.
        EngineError: the device, precision or speed is unknown, or an extra is missing; the text says which.
    """
    from masklet.engine.open import open_engine

    return Model(open_engine(name, device=device, precision=precision, image_size=image_size, speed=speed))


def resume(
    path: str | PathLike[str], *, model: Model | str | PathLike[str] | None = None, video: VideoSource | None = None
) -> Tracker[Any]:
    """Continue a session that `Tracker.save` wrote, on this machine or another.

    Args:
        path: the file.
        model: the model that the session was made with; by default loaded from its former path, or by its name.
        video: the video; by default its former path. Give both for files from others: the paths in a file are not
            to be trusted.

    Raises:
        SessionError: the file is damaged, not a session, or of another model or video; or its model is missing.
        VideoError: the video cannot be opened.
    """
    from masklet.tracking.session import model_of, session_about
    from masklet.tracking.tracker import Tracker

    path = Path(check_path("path", path, error=SessionError))
    if model is None:
        about = session_about(path)["model"]
        try:
            model = load(model_of(about), precision=about["precision"], speed=about.get("speed", "exact"))
        except CheckpointError as error:
            raise SessionError(
                f"{path} was made with the model {about['name']}, which is missing: give it as model=... ({error})"
            ) from error
    loaded = model if isinstance(model, Model) else load(model)
    return Tracker.resume(path, loaded.engine, video)


class Model:
    """A loaded model. It keeps no images or videos, so one model can serve many segmenters and trackers.

    Args:
        engine: runs it.
    """

    def __init__(self, engine: Engine[Any]) -> None:
        self.engine = engine

    @property
    def info(self) -> EngineInfo:
        """The model's name, sizes, device and precision."""
        return self.engine.info

    def segmenter(self, *, edges: EdgeConfig | None = None) -> Segmenter[Any]:
        """Return a segmenter for images; see `Segmenter` for the arguments."""
        return Segmenter(self.engine, edges=edges)

    def tracker(
        self,
        source: VideoSource | None = None,
        *,
        memory: MemoryConfig | None = None,
        non_overlap: bool = False,
        edges: EdgeConfig | None = None,
    ) -> Tracker[Any]:
        """Return a tracker for one video; see `Tracker` for the arguments.

        Raises:
            EngineError: the model has no memory.
            VideoError: the source cannot be opened.
        """
        return Tracker(self.engine, source, memory=memory, non_overlap=non_overlap, edges=edges)

    def __repr__(self) -> str:
        info = self.info
        return f"Model({info.name!r}, {info.backend}, device={info.device!r}, precision={info.precision!r})"
