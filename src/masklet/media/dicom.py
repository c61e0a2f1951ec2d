"""DICOM series, as clinics keep them. Needs pydicom: the extra `dicom`."""

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

from masklet.errors import VideoError
from masklet.media.base import DEFAULT_FPS, VolumeInfo
from masklet.media.volume import VolumeSource, Window, needed

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    path: Path
    frame: int
    """Within the file."""
    header: Any
    orientation: NDArray[np.float64] | None
    """(6,) directions in which columns and rows grow, in the patient's coordinates (LPS)."""
    position: NDArray[np.float64] | None
    """(3,) mm, of the first pixel."""
    spacing: tuple[float, float] | None
    """mm between rows and between columns."""

    @property
    def height(self) -> float | None:
        """mm along the direction in which slices are stacked."""
        if self.orientation is None or self.position is None:
            return None
        return float(np.cross(self.orientation[:3], self.orientation[3:]) @ self.position)


class DicomSource(VolumeSource):
    """A DICOM series: the slices of a folder in their order in space, or the frames of one file.

    A folder is searched with all that is in it, and must hold one series (single images beside it, such as scouts,
    are passed over). A file with one slice stands for the series that it belongs to.
    """

    def __init__(self, path: str | Path, *, fps: float = DEFAULT_FPS, window: Window | None = None) -> None:
        """Read all headers, sort the slices, and read the first.

        Raises:
            VideoError: there are no DICOM images, several series, or several slices in one place.
            EngineError: pydicom is not installed.
        """
        needed("pydicom", "dicom")
        path = Path(path)
        slices = _dicom_series(path)
        self._slices = slices
        middle = slices[len(slices) // 2].header
        frame_ms = _numbers(middle, "FrameTime")
        if frame_ms and frame_ms[0] > 0 and fps == DEFAULT_FPS:
            fps = 1000 / frame_ms[0]
        center, width = _numbers(middle, "WindowCenter"), _numbers(middle, "WindowWidth")
        # Source: DICOM PS3.3 C.11.2.1.2.1, the linear function; of several windows the first is the default one.
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
        one = self._slices[index]
        try:
            dataset = import_module("pydicom").dcmread(one.path)
            count = _num_frames(dataset)
            values = np.asarray(pixels.pixel_array(dataset, index=one.frame if count > 1 else None))
            if dataset.PhotometricInterpretation == "PALETTE COLOR":
                values = pixels.apply_color_lut(values, dataset)
            if values.ndim == 3:  # colour; YBR is RGB already
                shift = 8 * (values.dtype.itemsize - 1)
                return (values >> shift).astype(np.uint8)
            return np.asarray(pixels.apply_modality_lut(values, dataset), np.float32)
        except Exception as error:  # pydicom and its decoders raise all kinds
            hint = "" if "plugin" not in str(error) else '; pip install "pylibjpeg[all]" reads more of them'
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise VideoError(f"{self._label(index)} cannot be read: {reason}{hint}", frame_index=index) from error

    def _label(self, index: int) -> str:
        one = self._slices[index]
        return str(one.path) if len({other.path for other in self._slices}) > 1 else f"frame {one.frame} of {one.path}"


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, whatever its name."""
    with suppress(OSError), path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
    return False


def holds_dicom(folder: Path) -> bool:
    """Whether one of the first files in a folder, or below it, is DICOM."""
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
    """The slices of one series, in order."""
    if not path.exists():
        raise VideoError(f"no such DICOM file or folder: {path}")
    chosen = None if path.is_dir() else _dicom_header(path)
    if path.is_file() and chosen is None:
        raise VideoError(f"{path} is not a DICOM image: it has no pixels, or is damaged")
    if chosen is not None and _num_frames(chosen) > 1:
        return _in_space(path, _dicom_frames(path, chosen))
    series: dict[str, list[_Slice]] = defaultdict(list)
    for file in sorted(path.rglob("*") if path.is_dir() else path.parent.iterdir()):
        header = _dicom_header(file) if file.is_file() else None
        if header is not None:
            series[str(header.get("SeriesInstanceUID", ""))] += _dicom_frames(file, header)
    if chosen is not None:
        return _in_space(path, series[str(chosen.get("SeriesInstanceUID", ""))])
    if not series:
        raise VideoError(f"{path} holds no DICOM images")
    large = {uid: slices for uid, slices in series.items() if len(slices) > 1} or series
    if len(large) > 1:
        listed = "; ".join(
            f"{found[0].path.relative_to(path)} ({found[0].header.get('SeriesDescription', '')}, {len(found)} slices)"
            for found in itertools.islice(large.values(), 6)
        )
        raise VideoError(f"{path} holds {len(large)} series: give one file of the one you mean: {listed}")
    return _in_space(path, next(iter(large.values())))


def _dicom_header(path: Path) -> Any | None:
    """None for what is no DICOM image."""
    pydicom = import_module("pydicom")
    with suppress(Exception):  # whatever lies in a folder of a clinic
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
        own = per_frame[frame] if frame < len(per_frame) else None
        measures = _group(own, shared, "PixelMeasuresSequence", header)
        orientation = _numbers(_group(own, shared, "PlaneOrientationSequence", header), "ImageOrientationPatient")
        position = _numbers(_group(own, shared, "PlanePositionSequence", header), "ImagePositionPatient")
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
    return int((_numbers(header, "NumberOfFrames") or [1])[0]) or 1


def _first_item(dataset: Any, name: str) -> Any | None:
    sequence = dataset.get(name) if dataset is not None else None
    return sequence[0] if sequence else None


def _group(own: Any | None, shared: Any | None, name: str, header: Any) -> Any:
    """Where an enhanced file keeps something: with the frame, with all frames, or as plain files do."""
    return _first_item(own, name) or _first_item(shared, name) or header


def _numbers(dataset: Any, name: str) -> list[float]:
    """One or several values of a tag; empty where it is missing or no number."""
    try:
        value = dataset.get(name)
        if value is None or value == "":
            return []
        return [float(one) for one in ([value] if isinstance(value, str) or not hasattr(value, "__iter__") else value)]
    except (TypeError, ValueError):  # read when it is asked for
        return []


def _in_space(path: Path, slices: list[_Slice]) -> list[_Slice]:
    """By their place along the stack; all in one place, or nowhere, by their number."""
    heights = [one.height for one in slices]
    known = [height for height in heights if height is not None]
    places = {round(height, 2) for height in known}
    if len(known) == len(slices) and len(places) == len(slices):
        order = np.argsort(known, kind="stable")
        return [slices[row] for row in order]
    if 1 < len(places) < len(slices):
        raise VideoError(
            f"{path} holds {len(slices)} slices in {len(places)} places, so several volumes in one series (times, "
            "echoes): put one of them into a folder of its own"
        )
    return sorted(slices, key=lambda one: (_numbers(one.header, "InstanceNumber") or [0.0], str(one.path), one.frame))


def _dicom_volume(slices: list[_Slice]) -> VolumeInfo | None:
    """None for what has no place in space, as an ultrasound film."""
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
