"""DICOM series. Needs pydicom: the extra `dicom`."""

from __future__ import annotations

import itertools
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.errors import ImageError, VideoError
from masklet.media.base import DEFAULT_FPS, VolumeInfo
from masklet.media.images import check_size
from masklet.media.values import Window
from masklet.media.volume import VolumeSource, needed

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")

MAX_FRAMES = 100_000
"""Most frames in one file."""

_DEFLATED = "1.2.840.10008.1.2.1.99"
"""Transfer syntax of files that are compressed as a whole: reading only the header would unpack all of them."""


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    path: Path
    frame: int
    """Number of the frame within its file."""
    header: Any
    orientation: NDArray[np.float64] | None
    """(6,) directions of increasing column and row, in the patient's coordinates (LPS)."""
    position: NDArray[np.float64] | None
    """(3,) mm, position of the first pixel."""
    spacing: tuple[float, float] | None
    """mm between rows and between columns."""

    @property
    def height(self) -> float | None:
        """Position along the direction in which slices are stacked, mm."""
        if self.orientation is None or self.position is None:
            return None
        return float(np.cross(self.orientation[:3], self.orientation[3:]) @ self.position)


class DicomSource(VolumeSource):
    """A DICOM series: the slices of a folder in their order in space, or the frames of one file.

    A folder is searched with its subfolders, and must hold one series (single images next to it, such as scouts, are
    ignored). A file with a single slice represents its series.
    """

    def __init__(self, path: str | Path, *, fps: float = DEFAULT_FPS, window: Window | None = None) -> None:
        """Read all headers, sort the slices, and read the first.

        Raises:
            VideoError: there are no DICOM images, several series, or several slices at one position.
            EngineError: pydicom is not installed.
        """
        needed("pydicom", "dicom")
        path = Path(path)
        slices = _dicom_series(path)
        self._slices = slices
        _check_sizes(slices, path)
        middle = slices[len(slices) // 2].header
        frame_ms = _numbers(middle, "FrameTime")
        if frame_ms and frame_ms[0] > 0 and fps == DEFAULT_FPS:
            fps = 1000 / frame_ms[0]
        center, width = _numbers(middle, "WindowCenter"), _numbers(middle, "WindowWidth")
        # Source: DICOM PS3.3 C.11.2.1.2.1, the linear function; the first of several windows is the default.
        self._window = (
            (center[0] - 0.5 - (width[0] - 1) / 2, center[0] - 0.5 + (width[0] - 1) / 2)
            if center and width and width[0] > 1
            else None
        )
        self._is_inverted = middle.get("PhotometricInterpretation") == "MONOCHROME1"
        super().__init__(str(path), len(slices), fps, window, "dicom", _dicom_volume(slices))

    def _own_range(self) -> tuple[float, float] | None:
        return self._window

    def _values(self, index: int) -> NDArray[Any]:
        pixels = import_module("pydicom.pixels")
        slice_ = self._slices[index]
        try:
            dataset = import_module("pydicom").dcmread(slice_.path)
            count = _num_frames(dataset)
            values = np.asarray(pixels.pixel_array(dataset, index=slice_.frame if count > 1 else None))
            if dataset.PhotometricInterpretation == "PALETTE COLOR":
                values = pixels.apply_color_lut(values, dataset)
            if values.ndim == 3:  # colour; YBR is RGB already
                shift = 8 * (values.dtype.itemsize - 1)
                return (values >> shift).astype(np.uint8)
            return np.asarray(pixels.apply_modality_lut(values, dataset), np.float32)
        except Exception as error:  # pydicom and its decoders raise exceptions of all kinds
            hint = "" if "plugin" not in str(error) else '; pip install "pylibjpeg[all]" reads more of them'
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise VideoError(f"{self._label(index)} cannot be read: {reason}{hint}", frame_index=index) from error

    def _label(self, index: int) -> str:
        slice_ = self._slices[index]
        is_one_file = len({other.path for other in self._slices}) == 1
        return f"frame {slice_.frame} of {slice_.path}" if is_one_file else str(slice_.path)


def _check_sizes(slices: list[_Slice], path: Path) -> None:
    """Refuse slices that are too large, before any is decoded."""
    rows, columns = (max(int(slice_.header.get(name)) for slice_ in slices) for name in ("Rows", "Columns"))
    try:
        check_size(rows, columns, f"a slice of {path}")
    except ImageError as error:
        raise VideoError(str(error)) from error


def is_dicom(path: Path) -> bool:
    """Return True if a file begins like a DICOM file, whatever its name."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
    return False


def holds_dicom(folder: Path) -> bool:
    """Return True if one of the first files in a folder or its subfolders is DICOM."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return any(is_dicom(path) for path in itertools.islice(files, 30))


_HEADER_TAGS = (
    "SOPClassUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "Modality",
    "InstanceNumber",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "SliceThickness",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "FrameTime",
    "WindowCenter",
    "WindowWidth",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


def _dicom_series(path: Path) -> list[_Slice]:
    """Return the slices of one series, in order."""
    if not path.exists():
        raise VideoError(f"no such DICOM file or folder: {path}")
    selected = None if path.is_dir() else _dicom_header(path)
    if path.is_file() and selected is None:
        raise VideoError(
            f"{path} is not a DICOM image that is read: it has no pixels, is deflated as a whole, or is damaged"
        )
    if selected is not None and _num_frames(selected) > 1:
        return _in_space(path, _dicom_frames(path, selected))
    series: dict[str, list[_Slice]] = defaultdict(list)
    for file in sorted(path.rglob("*") if path.is_dir() else path.parent.iterdir()):
        header = _dicom_header(file) if file.is_file() else None
        if header is not None:
            series[str(header.get("SeriesInstanceUID", ""))] += _dicom_frames(file, header)
    if selected is not None:
        return _in_space(path, series[str(selected.get("SeriesInstanceUID", ""))])
    if not series:
        raise VideoError(f"{path} holds no DICOM images")
    large = {uid: slices for uid, slices in series.items() if len(slices) > 1} or series
    if len(large) > 1:
        listed = "; ".join(
            f"{stack[0].path.relative_to(path)} ({stack[0].header.get('SeriesDescription', '')}, {len(stack)} slices)"
            for stack in itertools.islice(large.values(), 6)
        )
        raise VideoError(f"{path} holds {len(large)} series: pass one file of the series you mean: {listed}")
    return _in_space(path, next(iter(large.values())))


def _dicom_header(path: Path) -> Any | None:
    """Return the header of a DICOM image; None if the file is not one."""
    pydicom = import_module("pydicom")
    with suppress(Exception):  # a folder may hold files of any kind
        if pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID") == _DEFLATED:
            return None
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER_TAGS), force=False)
        if header.get("Rows") and header.get("Columns"):
            return header
    return None


def _dicom_frames(path: Path, header: Any) -> list[_Slice]:
    count = _num_frames(header)
    shared = _first_item(header, "SharedFunctionalGroupsSequence")
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    slices = []
    for frame in range(count):
        groups = per_frame[frame] if frame < len(per_frame) else None
        measures = _group(groups, shared, "PixelMeasuresSequence", header)
        orientation = _numbers(_group(groups, shared, "PlaneOrientationSequence", header), "ImageOrientationPatient")
        position = _numbers(_group(groups, shared, "PlanePositionSequence", header), "ImagePositionPatient")
        spacing = _numbers(measures, "PixelSpacing")
        slices.append(
            _Slice(
                path,
                frame,
                header,
                np.array(orientation) if len(orientation) == 6 else None,
                np.array(position) if len(position) == 3 else None,
                (spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else None,
            )
        )
    return slices


def _num_frames(header: Any) -> int:
    """Return the number of frames that a header declares, at least 1.

    Raises:
        VideoError: it is beyond `MAX_FRAMES`, for which a few bytes suffice.
    """
    count = (_numbers(header, "NumberOfFrames") or [1.0])[0]
    if not 0 <= count <= MAX_FRAMES:
        raise VideoError(
            f"a DICOM file declares {count:g} frames, the limit is {MAX_FRAMES:,}: it is damaged, or split it"
        )
    return int(count) or 1


def _first_item(dataset: Any, name: str) -> Any | None:
    sequence = dataset.get(name) if dataset is not None else None
    return sequence[0] if sequence else None


def _group(of_frame: Any | None, shared: Any | None, name: str, header: Any) -> Any:
    """Return the dataset with a group of tags: the frame's, that of all frames, or the header of plain files."""
    return _first_item(of_frame, name) or _first_item(shared, name) or header


def _numbers(dataset: Any, name: str) -> list[float]:
    """Return the values of a tag; none if it is missing or not numeric."""
    try:
        value = dataset.get(name)
        if value is None or value == "":
            return []
        is_single = isinstance(value, str) or not hasattr(value, "__iter__")
        return [float(number) for number in ([value] if is_single else value)]
    except (TypeError, ValueError):  # pydicom converts values only on access
        return []


def _in_space(path: Path, slices: list[_Slice]) -> list[_Slice]:
    """Sort slices by position along the stack; by number if they share one position or have none."""
    heights = [slice_.height for slice_ in slices if slice_.height is not None]
    positions = {round(height, 2) for height in heights}
    if len(heights) == len(slices) and len(positions) == len(slices):
        order = np.argsort(heights, kind="stable")
        return [slices[row] for row in order]
    if 1 < len(positions) < len(slices):
        raise VideoError(
            f"{path} holds {len(slices)} slices at {len(positions)} positions, which means several volumes in one "
            "series (times, echoes): put one of them into its own folder"
        )
    return sorted(
        slices,
        key=lambda slice_: (_numbers(slice_.header, "InstanceNumber") or [0.0], str(slice_.path), slice_.frame),
    )


def _dicom_volume(slices: list[_Slice]) -> VolumeInfo | None:
    """Return the geometry of the slices; None if they have no position, as in an ultrasound film."""
    first, last = slices[0], slices[-1]
    if first.orientation is None or first.position is None or last.position is None or first.spacing is None:
        return None
    row_mm, column_mm = first.spacing
    across, down = first.orientation[:3], first.orientation[3:]
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 3] = across * column_mm, down * row_mm, first.position
    step = (last.position - first.position) / max(1, len(slices) - 1)
    if not step.any():
        thickness = _numbers(first.header, "SliceThickness") or [1.0]
        step = np.cross(across, down) * (thickness[0] or 1.0)
    lps[:3, 2] = step
    rows, columns = int(first.header.Rows), int(first.header.Columns)
    return VolumeInfo(
        shape=(columns, rows, len(slices)),
        axes=(2, 1, 0),
        flips=(False, False, False),
        affine=np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps,
    )
