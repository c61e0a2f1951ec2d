"""Route of counts: visible objects over time, crossings of lines, entries into regions."""

from __future__ import annotations

from fastapi import APIRouter

from masklet.counting import CountConfig, count_objects
from masklet.server.counting_schemas import CountAnswer, CountRequest
from masklet.server.depends import CurrentMedium, CurrentStudio
from masklet.server.results import shown_masklets

router = APIRouter(tags=["results"])


@router.post("/media/{mid}/count")
def count(body: CountRequest, medium: CurrentMedium, studio: CurrentStudio) -> CountAnswer:
    """Count the visible objects of a medium over time, over lines and in regions; changes nothing."""
    zones = body.zones()
    config = CountConfig(anchor=body.anchor, margin=body.margin, level=body.level)
    with studio.workspace(medium) as workspace:
        masklets = shown_masklets(workspace.store, only_visible=True)
        trajectories = studio.trajectories.of(medium, workspace, masklets)
    return CountAnswer.of(count_objects(trajectories, zones, config=config))
