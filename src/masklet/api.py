"""`masklet.load`: a model by name, and what can be done with it; `masklet.resume`: a session from its file.

Everything here is a door to another part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    name: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    precision: str = "auto",
    image_size: int | None = None,
    speed: str = "auto",
) -> Model:
    """Load a model.

    Args:
        name: "nano", which comes with the package; an official name such as "sam2.1-tiny"; a path to a checkpoint
            or to an exported folder; or "user/repository" on the Hugging Face hub, with ":file.pt" behind it where
            that holds several.
        device: "auto" takes the best there is; else "cpu", "cuda", ...
        precision: "auto" takes what suits the device; else "fp32", "bf16", ...
        image_size: side of the square input in pixels, a multiple of 32, for a checkpoint that was trained at
            another size than 1024: official weights do not tell.
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
    path: str | Path, *, model: Model | str | Path | None = None, video: VideoSource | None = None
) -> Tracker[Any]:
    """Go on with a session that `Tracker.save` has written, here or elsewhere.

    Args:
        path: the file.
        model: the model that it was made with; when left out, loaded from where it was then, or by its name.
        video: where the video lies now; where it was then, when left out. Give both for files that others have made:
            the paths in a file could be any.

    Raises:
        SessionError: the file is damaged, no session, or of another model or video; or its model is not there.
        VideoError: the video cannot be opened.
    """
    from masklet.tracking.session import model_of, session_about
    from masklet.tracking.tracker import Tracker

    if model is None:
        about = session_about(path)["model"]
        try:
            model = load(model_of(about), precision=about["precision"], speed=about.get("speed", "exact"))
        except CheckpointError as error:
            raise SessionError(
                f"{path} was made with the model {about['name']}, which is not there: give it as model=... ({error})"
            ) from error
    loaded = model if isinstance(model, Model) else load(model)
    return Tracker.resume(path, loaded.engine, video)


class Model:
    """A loaded model. It holds no images and no videos, so one can serve many segmenters and trackers.

    Args:
        engine: runs it.
    """

    def __init__(self, engine: Engine[Any]) -> None:
        self.engine = engine

    @property
    def info(self) -> EngineInfo:
        """Name, sizes, device and precision."""
        return self.engine.info

    def segmenter(self, *, edges: EdgeConfig | None = None) -> Segmenter[Any]:
        """A segmenter for images; see `Segmenter` for the arguments."""
        return Segmenter(self.engine, edges=edges)

    def tracker(
        self,
        source: VideoSource | None = None,
        *,
        memory: MemoryConfig | None = None,
        non_overlap: bool = False,
        edges: EdgeConfig | None = None,
    ) -> Tracker[Any]:
        """A tracker for one video; see `Tracker` for the arguments.

        Raises:
            EngineError: the model has no memory.
            VideoError: the source cannot be opened.
        """
        return Tracker(self.engine, source, memory=memory, non_overlap=non_overlap, edges=edges)

    def __repr__(self) -> str:
        info = self.info
        return f"Model({info.name!r}, {info.backend}, device={info.device!r}, precision={info.precision!r})"
