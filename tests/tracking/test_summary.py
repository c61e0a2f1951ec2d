from __future__ import annotations

import numpy as np

from masklet.records import FrameMasks
from masklet.tracking.summary import ObjectSummary


def masks(frame_index: int, score: float, iou: float, *, prompted: bool = False) -> FrameMasks:
    return FrameMasks(
        frame_index=frame_index,
        time_s=0.0,
        object_ids=(1,),
        masks=np.zeros((1, 2, 2), np.bool_),
        iou_predictions=np.array([iou], np.float32),
        object_scores=np.array([score], np.float32),
        prompted=np.array([prompted]),
    )


def test_a_summary_counts_the_frames_on_which_an_object_was_present() -> None:
    summary = ObjectSummary()
    assert summary.mean_confidence is None
    for frame in (masks(5, 3.0, 0.5, prompted=True), masks(6, -3.0, 0.9), masks(4, 2.0, 1.0)):
        summary.add(frame, 0)
    assert (summary.num_frames, summary.num_present, summary.first, summary.last) == (3, 2, 4, 5)
    assert summary.prompted == [5]
    assert summary.mean_confidence == 0.75
