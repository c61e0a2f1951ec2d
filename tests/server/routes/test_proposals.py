"""Proposals: found without changing anything, accepted in one step, refused where the request is wrong."""

from __future__ import annotations

from typing import Any

from tests.server.conftest import Open, Page


def proposed(page: Page, media_id: str, frame: int = 0) -> str:
    """Find proposals on a frame and return the id of the job."""
    job = page.post(f"/api/v1/media/{media_id}/proposals", json={"frame_index": frame})
    assert job.status_code == 202, job.text
    assert page.events(job.json()["id"])[-1][0] == "done"
    return str(job.json()["id"])


def listed(page: Page, job_id: str) -> dict[str, Any]:
    return dict(page.get(f"/api/v1/jobs/{job_id}/proposals").json())


def accept(page: Page, job_id: str, *numbers: int, key: str = "", **about: Any) -> Any:
    headers = {"idempotency-key": key} if key else {}
    return page.post(f"/api/v1/jobs/{job_id}/proposals/accept", json={"numbers": numbers, **about}, headers=headers)


def test_a_proposal_becomes_an_object_when_it_is_accepted_and_undo_takes_it_back(page: Page) -> None:
    clip = page.new_clip(3)
    job = proposed(page, clip, 1)
    found = listed(page, job)
    assert found["frame_index"] == 1
    assert [proposal["number"] for proposal in found["proposals"]] == list(range(len(found["proposals"])))
    confidences = [proposal["confidence"] for proposal in found["proposals"]]
    assert confidences == sorted(confidences, reverse=True)
    assert page.get(f"/api/v1/media/{clip}/objects").json() == {"objects": []}

    answer = accept(page, job, 0, class_name="cup")
    assert answer.status_code == 200, answer.text
    (created,) = answer.json()["objects"]
    assert created["class_name"] == "cup"
    assert created["prompted_frames"] == [1]
    (mask,) = answer.json()["frame"]["objects"]
    assert mask["rle"] == found["proposals"][0]["rle"]
    assert "cup" in [entry["name"] for entry in page.get("/api/v1/projects").json()["projects"][0]["classes"]]
    assert page.post(f"/api/v1/media/{clip}/undo").json()["what"] == "Accept 1 proposal"
    assert page.get(f"/api/v1/media/{clip}/objects").json() == {"objects": []}


def test_what_is_an_object_already_is_not_proposed(page: Page) -> None:
    clip = page.new_clip(2)
    first = listed(page, proposed(page, clip))
    job = proposed(page, clip)
    accept(page, job, *(proposal["number"] for proposal in first["proposals"]))
    again = listed(page, proposed(page, clip))
    masks = [proposal["rle"]["counts"] for proposal in first["proposals"]]
    assert masks
    assert not [proposal for proposal in again["proposals"] if proposal["rle"]["counts"] in masks]


def test_proposals_survive_a_restart_and_a_key_accepts_once(open_studio: Open) -> None:
    page = open_studio()
    clip = page.new_clip(2)
    job = proposed(page, clip)
    before = listed(page, job)
    page = open_studio()
    assert listed(page, job) == before
    answers = [accept(page, job, 0, key="again").json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(page.get(f"/api/v1/media/{clip}/objects").json()["objects"]) == 1


def test_a_wrong_request_is_refused(page: Page) -> None:
    clip = page.new_clip(2)
    assert page.post(f"/api/v1/media/{clip}/proposals", json={"frame_index": 9}).json()["error"]["code"] == "no_frame"
    job = proposed(page, clip)
    number = len(listed(page, job)["proposals"])
    assert accept(page, job, number).json()["error"]["message"].startswith(f"there is no proposal {number}")
    assert accept(page, job).status_code == 422
    page.click(clip, page.new_object(clip))
    tracking = page.post(f"/api/v1/media/{clip}/track", json={}).json()["id"]
    page.events(tracking)
    assert page.get(f"/api/v1/jobs/{tracking}/proposals").status_code == 404
    assert page.get("/api/v1/jobs/unknown/proposals").status_code == 404
