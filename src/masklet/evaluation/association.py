"""The numbers of multi-object tracking: HOTA, DetA, AssA, OWTA, IDF1 and id switches, computed by TrackEval.

Tracks carry ids of their own, so they are matched to the true objects by mask IoU. Everything here works on
run-length encoded masks; nothing knows of engines, files or videos.

Source: Luiten et al., HOTA (2021); Liu et al., Opening up open-world tracking (2022), for OWTA; the package trackeval,
which is the evaluation code of MOTChallenge, KITTI and BURST.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.engine.open import needs_extra
from masklet.evaluation.records import Scores
from masklet.masks.rle import CocoRle, rle_ious

MATCH_IOU = 0.5
"""Mask IoU from which a track is an object, for id switches, IDF1 and the latency."""

Rows = Mapping[int, CocoRle]
"""Masks of one frame by object or track id; empty masks are left out."""


@dataclass(frozen=True, slots=True)
class AssociationCounts:
    """What TrackEval counts in one clip. Counts of several clips can be combined; scores could not."""

    hota_tp: tuple[float, ...]
    """Matches at each of the 19 IoU thresholds from 0.05 to 0.95; the next six are per threshold as well."""
    hota_fn: tuple[float, ...]
    hota_fp: tuple[float, ...]
    ass_a: tuple[float, ...]
    ass_re: tuple[float, ...]
    ass_pr: tuple[float, ...]
    loc_a: tuple[float, ...]
    id_tp: int
    id_fn: int
    id_fp: int
    id_switches: int
    """Times that an object's match changed to another track."""
    num_truth: int
    """Masks of true objects, over all frames."""


_TRACKEVAL_NAMES = {
    "hota_tp": "HOTA_TP",
    "hota_fn": "HOTA_FN",
    "hota_fp": "HOTA_FP",
    "ass_a": "AssA",
    "ass_re": "AssRe",
    "ass_pr": "AssPr",
    "loc_a": "LocA",
    "id_tp": "IDTP",
    "id_fn": "IDFN",
    "id_fp": "IDFP",
    "id_switches": "IDSW",
}
"""TrackEval's name of each field of `AssociationCounts`."""


class AssociationMeter:
    """Collects the frames of one clip, in order of time."""

    def __init__(self) -> None:
        self._objects: dict[int, int] = {}
        self._tracks: dict[int, int] = {}
        self._object_rows: list[NDArray[np.int64]] = []
        self._track_rows: list[NDArray[np.int64]] = []
        self._ious: list[NDArray[np.float64]] = []

    def add(self, truth: Rows, tracks: Rows) -> NDArray[np.float64]:
        """Add a frame.

        Args:
            truth: masks by object id.
            tracks: masks by track id.

        Returns:
            (N, M) the IoU of each object with each track, in the order of the mappings.
        """
        ious = rle_ious(list(truth.values()), list(tracks.values()))
        self._object_rows.append(_numbered(truth, self._objects))
        self._track_rows.append(_numbered(tracks, self._tracks))
        self._ious.append(ious)
        return ious

    def counts(self) -> AssociationCounts:
        """Return TrackEval's counts over the frames so far.

        Raises:
            EngineError: trackeval is not installed.
        """
        num_truth = sum(map(len, self._object_rows))
        data = {
            "num_timesteps": len(self._ious),
            "num_gt_ids": len(self._objects),
            "num_tracker_ids": len(self._tracks),
            "num_gt_dets": num_truth,
            "num_tracker_dets": sum(map(len, self._track_rows)),
            "gt_ids": self._object_rows,
            "tracker_ids": self._track_rows,
            "similarity_scores": self._ious,
        }
        results: dict[str, Any] = {}
        for metric in _metrics().values():
            results |= metric.eval_sequence(data)
        counts = {name: _plain(results[trackeval_name]) for name, trackeval_name in _TRACKEVAL_NAMES.items()}
        return AssociationCounts(**counts, num_truth=num_truth)


def association_scores(clips: Sequence[AssociationCounts]) -> Scores:
    """Return the scores of several clips as one, as benchmarks combine them: over all their masks alike.

    Args:
        clips: at least one.

    Returns:
        `hota`, `deta`, `assa`, `idf1`, `owta`, `id_switches`, and `id_switches_per_100`, which is per object and 100
        frames.

    Raises:
        EngineError: trackeval is not installed.
    """
    results = {
        str(number): {name: _counted(getattr(clip, field)) for field, name in _TRACKEVAL_NAMES.items()}
        for number, clip in enumerate(clips)
    }
    metrics = _metrics()
    hota = metrics["HOTA"].combine_sequences(results)
    identity = metrics["Identity"].combine_sequences(results)
    switches, num_truth = sum(clip.id_switches for clip in clips), sum(clip.num_truth for clip in clips)
    return {
        "hota": float(np.mean(hota["HOTA"])),
        "deta": float(np.mean(hota["DetA"])),
        "assa": float(np.mean(hota["AssA"])),
        "idf1": float(identity["IDF1"]),
        "id_switches": float(switches),
        "id_switches_per_100": 100.0 * switches / max(1, num_truth),
        "owta": float(np.mean(hota["OWTA"])),
    }


def check_trackeval() -> None:
    """Check that tracks can be evaluated, before a long run.

    Raises:
        EngineError: trackeval is not installed.
    """
    _metrics()


def _metrics() -> dict[str, Any]:
    with needs_extra("evaluate", "the evaluation of tracks"):
        from trackeval.metrics import CLEAR, HOTA, Identity
    options = {"THRESHOLD": MATCH_IOU, "PRINT_CONFIG": False}
    return {"HOTA": HOTA(), "Identity": Identity(options), "CLEAR": CLEAR(options)}


def _numbered(masks: Rows, numbers: dict[int, int]) -> NDArray[np.int64]:
    """Return the consecutive number of each id, from 0; new ids get the next ones."""
    return np.array([numbers.setdefault(mask_id, len(numbers)) for mask_id in masks], np.int64)


def _plain(value: Any) -> Any:
    return tuple(float(item) for item in value) if isinstance(value, np.ndarray) else int(value)


def _counted(value: Any) -> Any:
    return np.array(value) if isinstance(value, tuple) else value
