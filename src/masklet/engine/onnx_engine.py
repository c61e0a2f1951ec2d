"""Runs an exported model with onnxruntime: a folder of graphs and `model.json`. Handles are numpy arrays.

On the CPU, onnxruntime reads and writes numpy memory in place, so wrapping it would gain nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from masklet.engine.staged import STAGE_OUTPUTS, WITH_KEYS, ModelSpec, StagedEngine, StageName
from masklet.errors import CheckpointError, EngineError
from masklet.foreign.documents import read_json, reading
from masklet.records import EngineInfo, FloatArray

SPEC_FILE = "model.json"
INT8_SUFFIX = ".int8.onnx"
FORMAT_VERSION = 3
"""Raised when graphs change their inputs or a graph is added; folders of other versions are to be exported again."""

Array = NDArray[Any]


class OnnxEngine(StagedEngine[Array]):
    """An engine for an exported folder.

    Args:
        folder: holds `model.json` and `<stage>.onnx` for each stage of the model, and for some `<stage>.int8.onnx`.
        num_threads: CPU threads; 0 leaves the choice to onnxruntime (one per core).
        precision: "fp32", or "int8" for the graphs in 8 bits where there are some.
        speed: "exact", "fast", or "auto" for the one that suits the model, see docs/guides/speed.md.

    Raises:
        CheckpointError: a file is missing, damaged or of another version.
        EngineError: unknown speed, or a precision that the folder does not have.
    """

    def __init__(
        self, folder: str | Path, *, num_threads: int = 0, precision: str = "fp32", speed: str = "auto"
    ) -> None:
        self.folder, self._num_threads = Path(folder), num_threads
        spec = read_spec(self.folder)
        if precision not in ("fp32", "int8"):
            raise EngineError(f"precision of an exported model must be fp32 or int8, got {precision!r}")
        if precision == "int8" and not any(self.folder.glob(f"*{INT8_SUFFIX}")):
            raise EngineError(f"exported model {self.folder} has no graphs in int8: masklet export --precision int8")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        stages = (stage for stage in STAGE_OUTPUTS if spec.has_keys or stage not in WITH_KEYS)
        self._sessions = {stage: self._open(self._path(stage, precision), options) for stage in stages}
        super().__init__(
            spec, backend=f"onnxruntime {onnxruntime.__version__}", device="cpu", precision=precision, speed=speed
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the folder and settings: the graphs are opened again, in another process, too."""
        return _opened_again, (self.folder.absolute(), self._num_threads, self.spec, self.info)

    def run_stage(self, stage: StageName, inputs: Mapping[str, Array]) -> dict[str, Array]:
        session = self._sessions[stage]
        names = [output.name for output in session.get_outputs()]
        try:
            values = session.run(names, dict(inputs))
        except onnxruntime.capi.onnxruntime_pybind11_state.OnnxRuntimeException as error:
            shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in inputs.items())
            raise EngineError(f"stage {stage} of {self.folder} failed on {shapes}: {error}") from error
        return dict(zip(names, values, strict=True))

    def stack(self, handles: Sequence[Array]) -> Array:
        return handles[0][None] if len(handles) == 1 else np.stack(handles)

    def take(self, handle: Array, *index: int | slice) -> Array:
        return np.asarray(handle[index])

    def pool(self, handle: Array) -> Array:
        rows = handle[..., ::2, :] + handle[..., 1::2, :]
        return np.asarray((rows[..., ::2] + rows[..., 1::2]) / 4)

    def from_numpy(self, array: FloatArray) -> Array:
        return array

    def to_numpy(self, array: Array) -> FloatArray:
        return np.asarray(array, np.float32)

    def _path(self, stage: StageName, precision: str) -> Path:
        """Return the graph of a stage; those that have none in int8 run in fp32."""
        in_int8 = self.folder / f"{stage}{INT8_SUFFIX}"
        return in_int8 if precision == "int8" and in_int8.is_file() else self.folder / f"{stage}.onnx"

    def _open(self, path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
        if not path.is_file():
            raise CheckpointError(f"exported model {self.folder} lacks {path.name}: export it again")
        try:
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no base class but this one
            raise CheckpointError(f"{path} is not a graph that onnxruntime can load: {error}") from error


def _opened_again(folder: Path, num_threads: int, spec: ModelSpec, info: EngineInfo) -> OnnxEngine:
    engine = OnnxEngine(folder, num_threads=num_threads, precision=info.precision, speed=info.speed)
    engine.spec, engine.info = spec, info
    return engine


def read_spec(folder: Path) -> ModelSpec:
    """Read the description stored next to exported graphs.

    Raises:
        CheckpointError: missing, not JSON, or written by a newer version.
    """
    path = folder / SPEC_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} is not an exported model: it has no {SPEC_FILE} (make one: masklet export)")
    document = read_json(path, CheckpointError).value
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path}: format_version must be {FORMAT_VERSION}, got {version!r}: export it again")
    with reading(str(path), CheckpointError):
        return ModelSpec.from_dict(document.get("spec") or {})
