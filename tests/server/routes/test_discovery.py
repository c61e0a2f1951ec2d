"""Discovery through the API: confirmed objects become objects of the medium, with all their masks, in one step."""

from __future__ import annotations

from typing import Any

from masklet.discovery import DiscoveryConfig
from masklet.server.job_schemas import DiscoverRequest
from tests.server.conftest import HeldEngine, Open, Page
from tests.waiting import wait_until


def discover(page: Page, media_id: str, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    job = page.post(f"/api/v1/media/{media_id}/discover", json={"every": 2, "level": "both", **body})
    assert job.status_code == 202, job.text
    return page.events(job.json()["id"])


def test_what_is_found_has_masks_from_its_first_frame_on_and_one_undo_takes_it_back(page: Page) -> None:
    clip = page.new_clip(12)
    events = discover(page, clip)
    name, job = events[-1]
    assert (name, job["message"], job["done"]) == ("done", "1 object found", 12)
    (found,) = page.get(f"/api/v1/media/{clip}/objects").json()["objects"]
    assert found["name"] == "Object 1"
    assert found["prompted_frames"][0] == 0
    (lane,) = page.timeline(clip)["objects"]
    assert "." not in lane["status"]
    # It was not shown before it was confirmed.
    shown = {data["frame_index"]: data["objects"] for name, data in events if name == "masks"}
    assert not shown[0]
    assert [mask["object_id"] for mask in shown[11]] == [1]
    assert page.post(f"/api/v1/media/{clip}/undo").json()["what"] == "Find everything"
    assert page.get(f"/api/v1/media/{clip}/objects").json() == {"objects": []}
    assert page.timeline(clip)["objects"] == []


def test_an_object_that_is_there_is_followed_and_not_found_again(page: Page) -> None:
    clip = page.new_clip(8)
    mine = page.new_object(clip, name="mine")
    page.click(clip, mine)
    assert discover(page, clip)[-1][1]["message"] == "nothing was found"
    (lane,) = page.timeline(clip)["objects"]
    assert lane["object_id"] == mine
    assert "." not in lane["status"]


def test_a_discovered_object_is_corrected_and_tracked_like_any_other(page: Page) -> None:
    clip = page.new_clip(12)
    discover(page, clip)
    page.click(clip, 1, frame=6)
    assert page.timeline(clip)["objects"][0]["stale"]
    assert page.track(clip, only_changed=True)[-1][0] == "done"
    assert not page.timeline(clip)["objects"][0]["stale"]


def test_a_run_that_is_stopped_keeps_what_it_has_found(open_studio: Open) -> None:
    engine = HeldEngine(held_at=9)
    page = open_studio(engine=engine)
    clip = page.new_clip(12)
    job = page.post(f"/api/v1/media/{clip}/discover", json={"every": 1, "level": "both"}).json()["id"]
    assert engine.is_waiting.wait(60)
    assert page.post(f"/api/v1/media/{clip}/track", json={}).status_code == 409
    page.post(f"/api/v1/jobs/{job}/cancel")
    engine.go_on.set()
    assert page.events(job)[-1][0] == "cancelled"
    (found,) = page.get(f"/api/v1/media/{clip}/objects").json()["objects"]
    wait_until(lambda: not page.app.state.studio.jobs.active())  # type: ignore[attr-defined]
    assert page.track(clip, only_missing=True)[-1][0] == "done"
    (lane,) = page.timeline(clip)["objects"]
    assert lane["object_id"] == found["id"]
    assert "." not in lane["status"]


def test_a_wrong_range_is_refused(page: Page) -> None:
    clip = page.new_clip(3)
    answer = page.post(f"/api/v1/media/{clip}/discover", json={"start": 2, "stop": 2})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "start"


def test_the_defaults_of_a_request_are_those_of_discovery() -> None:
    options = DiscoverRequest().model_dump(include={"level", "every", "max_objects", "min_score"})
    assert DiscoveryConfig.from_options(**options) == DiscoveryConfig()
