"""What the page does, from the first upload to the last undo."""

from __future__ import annotations

import base64
import io
import json
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from masklet.api import Model
from masklet.errors import EngineError
from masklet.masks.rle import decode_rle, encode_rle
from masklet.records import EngineInfo
from masklet.server.app import create_app
from masklet.server.settings import Limits, Settings
from tests.fake_engine import FakeEngine
from tests.server.conftest import HeldEngine, Open, Page, png
from tests.waiting import PATIENCE_S, wait_until

LEFT = np.zeros((6, 8), bool)
LEFT[:, :4] = True


def masks(page: Page, clip: str, **query: Any) -> dict[int, dict[int, np.ndarray]]:
    answer = page.get(f"/api/v1/media/{clip}/masks", params=query).json()
    return {
        frame["frame_index"]: {one["object_id"]: decode_rle(one["rle"]) for one in frame["objects"]}
        for frame in answer["frames"]
    }


def history(page: Page, clip: str) -> tuple[str | None, str | None]:
    answer = page.get(f"/api/v1/media/{clip}/history").json()
    return answer["undo"], answer["redo"]


# Projects and media.


def test_projects_and_media_are_created_and_deleted(page: Page) -> None:
    project = page.new_project("Birds")
    clip = page.new_clip(5, project)
    image = page.post(f"/api/v1/projects/{project}/media", files={"files": ("a b.png", png(3))}).json()["media"][0]
    assert (image["kind"], image["name"], image["num_frames"]) == ("image", "a b.png", 1)
    listed = page.get(f"/api/v1/projects/{project}/media").json()["media"]
    assert [(one["kind"], one["name"], one["width"], one["height"], one["num_frames"]) for one in listed] == [
        ("video", "clip", 8, 6, 5),
        ("image", "a b.png", 8, 6, 1),
    ]
    assert page.patch(f"/api/v1/media/{clip}", json={"name": "ducks"}).json()["name"] == "ducks"
    changed = page.patch(f"/api/v1/projects/{project}", json={"name": "Water birds"}).json()
    assert (changed["name"], changed["num_media"]) == ("Water birds", 2)
    assert page.delete(f"/api/v1/media/{clip}").status_code == 204
    assert page.get(f"/api/v1/media/{clip}").status_code == 404
    assert page.delete(f"/api/v1/projects/{project}").status_code == 204
    assert page.get("/api/v1/projects").json() == {"projects": []}
    assert page.get(f"/api/v1/media/{image['id']}").status_code == 404


def test_a_bad_file_does_not_affect_the_good_ones(page: Page) -> None:
    project = page.new_project()
    files = [("files", ("good.png", png(1))), ("files", ("bad.mp4", b"no video at all")), ("files", ("empty.jpg", b""))]
    answer = page.post(f"/api/v1/projects/{project}/media", files=files)
    assert answer.status_code == 201
    assert [one["name"] for one in answer.json()["media"]] == ["good.png"]
    why = {one["name"]: one["message"] for one in answer.json()["rejected"]}
    assert "cannot open the file as a video" in why["bad.mp4"]
    assert "empty" in why["empty.jpg"]
    alone = page.post(f"/api/v1/projects/{project}/media", files=files[1:2])
    assert (alone.status_code, alone.json()["error"]["code"]) == (422, "rejected")


def test_a_sequence_is_in_natural_order(page: Page) -> None:
    project = page.new_project()
    files = [("files", (f"shots/{index}.png", png(index))) for index in (10, 2, 1)]
    medium = page.post(f"/api/v1/projects/{project}/media?as=sequence&fps=10", files=files).json()["media"][0]
    assert (medium["name"], medium["num_frames"], medium["fps"], medium["duration_s"]) == ("shots", 3, 10.0, 0.3)
    reader = page.app.state.studio.reader(  # type: ignore[attr-defined]
        page.app.state.studio.medium(page.app.state.studio.database.user_named("local"), medium["id"])  # type: ignore[attr-defined]
    )
    assert [int(reader.frame(index).rgb[0, 0, 0]) for index in range(3)] == [1, 2, 10]


def test_frames_are_cached_for_ever(page: Page) -> None:
    clip = page.new_clip(4)
    first = page.get(f"/api/v1/media/{clip}/frames/2.jpg")
    assert first.headers["content-type"] == "image/jpeg"
    assert "immutable" in first.headers["cache-control"]
    assert Image.open(io.BytesIO(first.content)).size == (8, 6)
    again = page.get(f"/api/v1/media/{clip}/frames/2.jpg", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert page.get(f"/api/v1/media/{clip}/frames/2.jpg").content == first.content
    assert page.get(f"/api/v1/media/{clip}/frames/4.jpg").status_code == 404
    strip = page.get(f"/api/v1/media/{clip}/strip.jpg?count=3&height=24")
    assert Image.open(io.BytesIO(strip.content)).size == (3 * 32, 24)


# Prompts.


def test_a_single_click_has_three_candidates_best_first(page: Page) -> None:
    clip = page.new_clip()
    duck = page.new_object(clip, name="duck")
    answer = page.click(clip, duck, 3)
    assert [one["iou_prediction"] for one in answer["candidates"]] == [0.9, 0.7, 0.5]
    (shown,) = answer["frame"]["objects"]
    assert (shown["prompted"], shown["iou_prediction"], shown["box"]) == (True, 0.9, [0, 0, 4, 6])
    assert (decode_rle(shown["rle"]) == LEFT).all()
    assert list(masks(page, clip)) == [3]
    second = page.click(clip, duck, 3, candidate=1)
    assert second["frame"]["objects"][0]["iou_prediction"] == 0.7
    assert second["revision"] > answer["revision"]
    said = page.get(f"/api/v1/media/{clip}/frames/3/prompts").json()["prompts"][str(duck)]
    assert said == {"points": [[1, 1]], "labels": [1], "box": None, "has_mask": False, "candidate": 1}


def test_further_points_correct_the_candidate_that_was_chosen(open_studio: Open) -> None:
    engine = FakeEngine()
    page = open_studio(engine=engine)
    clip = page.new_clip()
    duck = page.new_object(clip)
    page.click(clip, duck, candidate=2)  # the first in the decoder's order: logits of 1
    more = page.click(clip, duck, points=[[1, 1], [6, 1]], labels=[1, 0], candidate=2)
    assert len(more["candidates"]) == 1
    prompt = engine.prompt_of(0)
    assert prompt is not None
    assert prompt.previous_logits is not None
    assert prompt.previous_logits.max() == 1
    fresh = page.click(clip, duck, points=[[2, 2], [6, 1]], labels=[1, 0])
    assert len(fresh["candidates"]) == 1
    prompt = engine.prompt_of(0)
    assert prompt is not None
    assert prompt.previous_logits is None


@pytest.mark.parametrize(
    ("prompt", "field"),
    [
        ({"points": [[1, 1]], "labels": []}, "labels"),
        ({"points": [[99, 1]], "labels": [1]}, "outside"),
        ({"points": [], "labels": []}, "empty"),
        ({"points": [], "labels": [], "box": [5, 5, 1, 1]}, "box"),
        ({"points": [[1, 1]], "labels": [2]}, "labels"),
        ({"points": [[1, None]], "labels": [1]}, "points"),
        ({"point": [[1, 1]]}, "point"),
    ],
)
def test_a_bad_prompt_is_refused_with_the_reason_and_changes_nothing(
    page: Page, prompt: dict[str, Any], field: str
) -> None:
    clip = page.new_clip()
    duck = page.new_object(clip)
    before = page.timeline(clip)
    answer = page.put(f"/api/v1/media/{clip}/frames/0/objects/{duck}/prompt", json=prompt)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["message"]
    after = page.timeline(clip)
    assert {**after, "revision": 0} == {**before, "revision": 0}
    assert history(page, clip)[0] == "New object Object 1"


def test_a_hand_edit_is_the_mask_and_clicks_touch_it_up(page: Page) -> None:
    clip = page.new_clip()
    duck = page.new_object(clip)
    drawn = np.zeros((6, 8), bool)
    drawn[2:4, 3:7] = True
    answer = page.put(f"/api/v1/media/{clip}/frames/2/objects/{duck}/mask", json={"rle": encode_rle(drawn)})
    assert (decode_rle(answer.json()["frame"]["objects"][0]["rle"]) == drawn).all()

    def said() -> dict[str, Any]:
        return dict(page.get(f"/api/v1/media/{clip}/frames/2/prompts").json()["prompts"]["1"])

    assert said()["has_mask"] is True
    # The fake engine answers every prompt with the left half.
    more = decode_rle(page.click(clip, duck, 2)["frame"]["objects"][0]["rle"])
    assert (more == drawn | LEFT).all()
    less = decode_rle(page.click(clip, duck, 2, points=[[6, 3]], labels=[0])["frame"]["objects"][0]["rle"])
    assert (less == LEFT).all()
    assert (said()["has_mask"], said()["points"]) == (True, [])
    page.post(f"/api/v1/media/{clip}/undo")
    assert (masks(page, clip)[2][duck] == more).all()


def test_an_answer_of_the_pages_own_decoder_is_stored(open_studio: Open) -> None:
    engine = FakeEngine()
    page = open_studio(engine=engine)
    clip = page.new_clip()
    duck = page.new_object(clip)
    mask = np.zeros((6, 8), bool)
    mask[1:3, 5:8] = True
    side = engine.info.low_res_size

    def given(logits: np.ndarray) -> dict[str, Any]:
        text = base64.b64encode(logits.astype("<f4").tobytes()).decode()
        return {"rle": encode_rle(mask), "iou_prediction": 0.75, "object_score": 5.0, "logits": text}

    answer = page.click(clip, duck, 3, answer=given(np.full((side, side), 7.0)))
    assert not engine.decoded, "the model was asked"
    (shown,) = answer["frame"]["objects"]
    assert (decode_rle(shown["rle"]) == mask).all()
    assert shown["iou_prediction"] == 0.75
    page.click(clip, duck, 3, points=[[1, 1], [2, 2]], labels=[1, 0])
    corrected = engine.prompt_of(3)
    assert corrected is not None
    assert corrected.previous_logits is not None
    assert (corrected.previous_logits == 7).all()

    broken = {"points": [[1, 1]], "labels": [1], "answer": given(np.ones(3))}
    refused = page.put(f"/api/v1/media/{clip}/frames/3/objects/{duck}/prompt", json=broken)
    assert refused.status_code == 422
    assert "answer.logits" in refused.json()["error"]["message"]

    page.track(clip)
    before = len(engine.decoded)
    page.click(clip, duck, 5, answer=given(np.ones((side, side))))  # the remembered mask is used there
    assert len(engine.decoded) > before


def test_tracking_continues_where_it_ended(page: Page) -> None:
    clip = page.new_clip(10)
    duck, swan = page.new_object(clip), page.new_object(clip)
    page.click(clip, duck, 3)
    page.track(clip, direction="both", stop=6)
    page.click(clip, swan, 5)

    def tracked(**body: Any) -> dict[int, set[int]]:
        before = page.timeline(clip)["objects"]
        page.track(clip, only_missing=True, **body)
        return {
            lane["object_id"]: {i for i, (a, b) in enumerate(zip(old["status"], lane["status"], strict=True)) if a != b}
            for old, lane in zip(before, page.timeline(clip)["objects"], strict=True)
        }

    assert tracked(direction="forward", stop=8) == {duck: {6, 7}, swan: {6, 7}}
    assert tracked(direction="both") == {duck: {8, 9}, swan: {8, 9, 4, 3, 2, 1, 0}}
    assert tracked(direction="both") == {duck: set(), swan: set()}
    assert all(set(of_frame) == {duck, swan} for of_frame in masks(page, clip).values())
    assert history(page, clip)[0] == "Track what is missing"
    refused = page.post(f"/api/v1/media/{clip}/track", json={"only_missing": True, "only_changed": True})
    assert refused.status_code == 422


def test_masks_to_compare_with(page: Page) -> None:
    clip = page.new_clip()
    duck = page.new_object(clip)
    page.click(clip, duck)
    page.track(clip)
    other = np.zeros((6, 8), bool)
    other[5, 5:] = True
    page.put(f"/api/v1/media/{clip}/frames/2/objects/{duck}/mask", json={"rle": encode_rle(other)})
    assert (masks(page, clip, before=True)[2][duck] == LEFT).all()
    assert (masks(page, clip)[2][duck] == other).all()


def test_a_mask_of_another_size_is_refused(page: Page) -> None:
    clip = page.new_clip()
    duck = page.new_object(clip)
    huge = {"size": [2**16, 2**16], "counts": "PPPPPP4"}  # one run: a few bytes that would be 4 GB
    for wrong in (encode_rle(np.ones((3, 3), bool)), huge):
        answer = page.put(f"/api/v1/media/{clip}/frames/2/objects/{duck}/mask", json={"rle": wrong})
        assert answer.status_code == 422
        assert "its image 8 x 6" in answer.json()["error"]["message"]
    broken = {"size": [6, 8], "counts": "~~~"}
    answer = page.put(f"/api/v1/media/{clip}/frames/2/objects/{duck}/mask", json={"rle": broken})
    assert answer.status_code == 422


def test_an_empty_mask_marks_the_object_as_absent(page: Page) -> None:
    clip = page.new_clip()
    duck = page.new_object(clip)
    page.click(clip, duck)
    page.track(clip)
    nothing = encode_rle(np.zeros((6, 8), bool))
    answer = page.put(f"/api/v1/media/{clip}/frames/5/objects/{duck}/mask", json={"rle": nothing}).json()
    (shown,) = answer["frame"]["objects"]
    assert (shown["area"], shown["box"], shown["status"], shown["accepted"]) == (0, None, "occluded", True)
    page.track(clip)
    assert not masks(page, clip)[5][duck].any()
    assert masks(page, clip)[6][duck].any()
    page.click(clip, duck, 5)  # the object is visible after all
    assert masks(page, clip)[5][duck].any()


def test_a_locked_object_is_not_changed(page: Page) -> None:
    clip = page.new_clip()
    duck = page.new_object(clip)
    page.click(clip, duck)
    assert page.patch(f"/api/v1/media/{clip}/objects/{duck}", json={"locked": True}).json()["locked"] is True
    answer = page.put(f"/api/v1/media/{clip}/frames/0/objects/{duck}/prompt", json={"points": [[2, 2]], "labels": [1]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    answer = page.post(f"/api/v1/media/{clip}/track", json={})
    assert answer.status_code == 409
    assert "unlock" in answer.json()["error"]["message"]


# Tracking.


def test_masks_are_streamed_while_tracking(page: Page) -> None:
    clip = page.new_clip(8)
    duck = page.new_object(clip)
    page.click(clip, duck, 2)
    events = page.track(clip, direction="both")
    assert [name for name, _ in events][-1] == "done"
    frames = [data["frame_index"] for name, data in events if name == "masks"]
    job = page.get("/api/v1/jobs", params={"media_id": clip}).json()["jobs"][0]
    assert (job["state"], job["done"], job["total"], job["kind"]) == ("done", 8, 8, "track")
    assert set(frames) <= set(range(8))  # a late listener receives the current state first
    timeline = page.timeline(clip)
    assert timeline["objects"][0]["status"] == "p" * 8
    assert timeline["objects"][0]["prompted"] == [2]
    assert sorted(masks(page, clip)) == list(range(8))
    assert sorted(masks(page, clip, start=2, stop=7, step=2)) == [2, 4, 6]
    assert page.get(f"/api/v1/media/{clip}").json()["num_objects"] == 1


def test_a_listener_receives_every_frame_from_then_on(open_studio: Open) -> None:
    engine = HeldEngine(held_at=5)
    page = open_studio(engine=engine)
    clip = page.new_clip(12)
    page.click(clip, page.new_object(clip))
    job_id = page.post(f"/api/v1/media/{clip}/track", json={}).json()["id"]
    assert engine.is_waiting.wait(PATIENCE_S)
    job = page.app.state.studio.jobs.find(job_id)  # type: ignore[attr-defined]
    events: list[tuple[str, dict[str, Any]]] = []
    listener = threading.Thread(target=lambda: events.extend(page.events(job_id)))
    listener.start()
    wait_until(lambda: job._listeners, "the listener")
    engine.go_on.set()
    listener.join()
    assert [data["frame_index"] for name, data in events if name == "masks"] == list(range(5, 12))
    assert events[-1][0] == "done"


@pytest.mark.parametrize(
    ("body", "tracked"),
    [
        ({"direction": "forward"}, range(4, 12)),
        ({"direction": "backward"}, range(5)),
        ({"direction": "both"}, range(12)),
        ({"direction": "forward", "start": 2, "stop": 7}, range(4, 7)),
        ({"direction": "backward", "start": 2, "stop": 9}, range(2, 5)),
        ({"direction": "both", "start": 3, "stop": 6}, range(3, 6)),
        ({"direction": "both", "start": 6, "stop": 9}, range(6, 9)),
        ({"direction": "both", "start": 1, "stop": 3}, range(1, 3)),
    ],
)
def test_a_range_is_tracked_in_any_direction(page: Page, body: dict[str, Any], tracked: range) -> None:
    clip = page.new_clip(12)
    page.click(clip, page.new_object(clip), 4)
    events = page.track(clip, **body)
    assert events[-1][0] == "done", events[-1]
    shown = [index for index in masks(page, clip) if index in tracked or index != 4]
    assert shown == list(tracked)
    assert events[-1][1]["done"] == len(tracked)


def test_both_directions_in_a_range_with_the_first_prompt_of_one_object_only(page: Page) -> None:
    clip = page.new_clip(10)
    duck, swan = page.new_object(clip), page.new_object(clip)
    page.click(clip, duck, 3)
    page.click(clip, swan, 8)
    assert page.track(clip, direction="both", start=2, stop=6)[-1][0] == "done"
    assert {index: set(found) for index, found in masks(page, clip).items()} == {
        **{index: {duck, swan} for index in range(2, 6)},
        8: {swan},
    }


def test_a_correction_tracks_only_the_frames_it_changes(page: Page) -> None:
    clip = page.new_clip(10)
    duck = page.new_object(clip)
    page.click(clip, duck)
    page.track(clip)
    page.post(f"/api/v1/media/{clip}/accept", json={"start": 7, "stop": 8})
    page.click(clip, duck, 4, points=[[6, 1]], labels=[0])
    assert page.timeline(clip)["objects"][0]["stale"] == [[5, 7]]
    events = page.track(clip, only_changed=True)
    assert events[-1][1]["done"] == 3
    timeline = page.timeline(clip)
    assert (timeline["objects"][0]["stale"], timeline["accepted"]) == ([], [[7, 8]])
    assert page.track(clip, only_changed=True)[-1][1]["message"].startswith("nothing has changed")


def test_accepted_masks_are_not_changed(page: Page) -> None:
    clip = page.new_clip(6)
    duck = page.new_object(clip)
    page.click(clip, duck, 1)
    assert page.post(f"/api/v1/media/{clip}/accept", json={"start": 1, "stop": 2}).json()["num_masks"] == 1
    answer = page.put(f"/api/v1/media/{clip}/frames/1/objects/{duck}/prompt", json={"points": [[2, 2]], "labels": [1]})
    assert answer.status_code == 409
    assert "accepted" in answer.json()["error"]["message"]
    answer = page.post(f"/api/v1/media/{clip}/accept", json={"start": 3, "stop": 5})
    assert answer.status_code == 409
    page.post(f"/api/v1/media/{clip}/accept", json={"start": 1, "stop": 2, "accepted": False})
    assert page.click(clip, duck, 1, points=[[2, 2]])["frame"]["accepted"] is False


def test_suggestions_name_frames(open_studio: Open) -> None:
    page = open_studio(engine=FakeEngine(lambda number: -4.0 if number in (5, 6) else 8.0))
    clip = page.new_clip(10)
    duck = page.new_object(clip)
    page.click(clip, duck)
    page.track(clip)
    suggestions = page.get(f"/api/v1/media/{clip}/suggestions?k=3").json()["suggestions"]
    assert suggestions[0]["frame_index"] == 5
    assert suggestions[0]["object_id"] == duck
    assert suggestions[0]["reason"]
    assert page.timeline(clip)["objects"][0]["status"] == "pppppoopp" + "p"


# History and restarts.


def test_undo_and_redo_of_everything(page: Page) -> None:
    clip = page.new_clip(6)
    duck = page.new_object(clip, name="duck")
    page.click(clip, duck)
    page.track(clip)
    page.post(f"/api/v1/media/{clip}/accept", json={"start": 0, "stop": 3})
    page.patch(f"/api/v1/media/{clip}/objects/{duck}", json={"color": "#123456"})
    page.delete(f"/api/v1/media/{clip}/objects/{duck}")
    states = []
    titles = []
    while True:
        states.append((page.timeline(clip)["objects"], page.get(f"/api/v1/media/{clip}/objects").json()))
        answer = page.post(f"/api/v1/media/{clip}/undo").json()
        if answer["what"] is None:
            break
        titles.append(answer["what"])
    assert titles == [
        "Delete duck",
        "Colour of duck",
        "Accept frames 0 to 2",
        "Track forward",
        "Prompt for duck",
        "New object duck",
    ]
    assert answer["can_redo"]
    again = [(page.timeline(clip)["objects"], page.get(f"/api/v1/media/{clip}/objects").json())]
    while page.post(f"/api/v1/media/{clip}/redo").json()["what"] is not None:
        again.append((page.timeline(clip)["objects"], page.get(f"/api/v1/media/{clip}/objects").json()))
    assert again == states[:-1][::-1] if len(again) < len(states) else again == states[::-1]


def test_a_repeated_change_is_done_once(open_studio: Open) -> None:
    page = open_studio()
    clip = page.new_clip(4)
    media = f"/api/v1/media/{clip}"
    titles = []

    def twice(method: str, path: str, **body: Any) -> Any:
        """The second time to a server that has been started anew: the answer was lost with the first."""
        nonlocal page
        answers = []
        for _ in range(2):
            answer = page.request(
                method, media + path, json=body or None, headers={"Idempotency-Key": f"{len(titles)}"}
            )
            assert answer.status_code < 300, answer.text
            answers.append((answer.status_code, answer.content))
            page = open_studio()
        assert answers[0] == answers[1]
        titles.append(page.get(f"{media}/history").json()["undo"])
        return answer.json() if answer.content else None

    duck = twice("POST", "/objects", name="duck")["id"]
    on_frame = f"/frames/0/objects/{duck}"
    twice("PUT", f"{on_frame}/prompt", points=[[1, 1]], labels=[1])
    corrected = twice("PUT", f"{on_frame}/prompt", points=[[1, 1], [5, 2]], labels=[1, 0])
    twice("POST", "/accept", start=0, stop=1)
    twice("POST", "/accept", start=0, stop=1, accepted=False)
    twice("DELETE", f"{on_frame}/prompt")
    twice("PUT", f"{on_frame}/mask", rle=corrected["frame"]["objects"][0]["rle"])
    twice("DELETE", f"/objects/{duck}")
    undone = [page.post(f"{media}/undo").json()["what"] for _ in range(len(titles) + 1)]
    assert undone == [*reversed(titles), None]
    page.post(f"{media}/redo", headers={"Idempotency-Key": "same"})
    assert page.post(f"{media}/undo", headers={"Idempotency-Key": "same"}).json()["what"] == titles[0]


def test_a_repeated_undo_is_done_once(page: Page) -> None:
    clip = page.new_clip(2)
    for name in ("duck", "goose", "swan"):
        page.new_object(clip, name=name)
    headers = {"Idempotency-Key": "first"}
    answers = [page.post(f"/api/v1/media/{clip}/undo", headers=headers).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["what"] == "New object swan"
    assert page.post(f"/api/v1/media/{clip}/undo", headers={"Idempotency-Key": "x" * 101}).status_code == 422
    assert [one["name"] for one in page.get(f"/api/v1/media/{clip}/objects").json()["objects"]] == ["duck", "goose"]


@pytest.mark.parametrize(
    ("moment", "is_done"),
    [
        ("masklet.server.annotation.store.AnnotationStore.remember", False),
        ("masklet.server.studio.StudioState.note_change", True),
    ],
    ids=["before the answer is kept", "before the answer is sent"],
)
def test_an_interrupted_change_is_done_once(
    page: Page, monkeypatch: pytest.MonkeyPatch, moment: str, is_done: bool
) -> None:
    """A server that ends at any moment has stored a change with its answer, or nothing."""
    clip = page.new_clip(2)
    duck = page.new_object(clip, name="duck")
    page.click(clip, duck)

    def end(*args: Any) -> None:
        raise SystemError("the server ends here")

    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/objects", {"name": "goose"}),
        ("PUT", f"/frames/1/objects/{duck}/prompt", {"points": [[6, 1]], "labels": [1]}),
        ("POST", "/accept", {"start": 0, "stop": 1}),
        ("POST", "/undo", {}),
        ("POST", "/redo", {}),
    ]
    for number, (method, path, body) in enumerate(changes):
        before = history(page, clip)
        headers = {"Idempotency-Key": f"{number}"}
        with monkeypatch.context() as patch:
            patch.setattr(moment, end)
            assert page.request(method, f"/api/v1/media/{clip}{path}", json=body, headers=headers).status_code == 500
        assert (history(page, clip) != before) == is_done
        answer = page.request(method, f"/api/v1/media/{clip}{path}", json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        after = history(page, clip)
        again = page.request(method, f"/api/v1/media/{clip}{path}", json=body, headers=headers)
        assert (again.content, history(page, clip)) == (answer.content, after)
    assert [one["name"] for one in page.get(f"/api/v1/media/{clip}/objects").json()["objects"]] == ["duck", "goose"]
    undone = [page.post(f"/api/v1/media/{clip}/undo").json()["what"] for _ in range(5)]
    assert undone == ["Accept frame 0", "Prompt for duck", "New object goose", "Prompt for duck", "New object duck"]


def test_a_restart_changes_nothing(open_studio: Open) -> None:
    page = open_studio()
    project = page.new_project("Ducks")
    clip = page.new_clip(9, project)
    duck = page.new_object(clip, name="duck", class_name="bird")
    page.click(clip, duck, 2, candidate=1)
    page.track(clip, stop=6)
    page.click(clip, duck, 4, points=[[6, 1]], labels=[0])
    paths = [
        f"/api/v1/media/{clip}",
        f"/api/v1/media/{clip}/masks",
        f"/api/v1/media/{clip}/timeline",
        f"/api/v1/media/{clip}/objects",
        f"/api/v1/media/{clip}/history",
        f"/api/v1/media/{clip}/frames/4/prompts",
        f"/api/v1/projects/{project}/media",
    ]
    before = {path: page.get(path).json() for path in paths}
    engine = FakeEngine()
    page = open_studio(engine=engine)
    assert {path: page.get(path).json() for path in paths} == before
    assert engine.encoded == []  # showing masks computes nothing
    page.track(clip, only_changed=True)
    assert page.timeline(clip)["objects"][0]["stale"] == []
    job = page.get("/api/v1/jobs").json()["jobs"][-1]
    assert job["state"] == "done"
    page.post(f"/api/v1/media/{clip}/undo")
    assert page.post(f"/api/v1/media/{clip}/undo").json()["what"] == "Prompt for duck"


def test_unused_media_are_closed(open_studio: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masklet.server.studio.SWEEP_SECONDS", 3600.0)  # or the sweeper might close them first
    page = open_studio(limits=Limits(open_media=2))
    clips = [page.new_clip(3) for _ in range(4)]
    objects = [page.new_object(clip) for clip in clips]
    for clip, one in zip(clips, objects, strict=True):
        page.click(clip, one)
    studio = page.app.state.studio  # type: ignore[attr-defined]
    assert len(studio.workspaces) == 2
    for clip, one in zip(clips, objects, strict=True):
        assert masks(page, clip)[0][one].any()
    studio.workspaces.idle_seconds = -1.0
    assert studio.workspaces.close_idle() == 2


# Results.


def test_exported_masks_can_be_imported(page: Page) -> None:
    clip = page.new_clip(5)
    page.click(clip, page.new_object(clip, name="duck", class_name="bird"))
    page.track(clip)
    job = page.post(f"/api/v1/media/{clip}/export", json={"format": "coco"}).json()
    done = page.events(job["id"])[-1]
    assert done[0] == "done", done
    assert done[1]["result"]["name"] == "clip-coco.json"
    answer = page.get(done[1]["result"]["url"])
    assert 'filename="clip-coco.json"' in answer.headers["content-disposition"]
    document = json.loads(answer.content)
    assert [category["name"] for category in document["categories"]] == ["bird"]
    assert len(document["annotations"]) == 5
    other = page.new_clip(5)
    answer = page.post(f"/api/v1/media/{other}/import", files={"files": ("masks.json", answer.content)})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["num_masks"], answer.json()["objects"][0]["name"]) == (5, "duck")
    came, were = masks(page, other), masks(page, clip)
    assert all((came[index][1] == were[index][1]).all() for index in range(5))
    assert page.post(f"/api/v1/media/{other}/undo").json()["what"] == "Import 1 object"
    assert masks(page, other) == {}


def test_a_project_is_exported_as_one_file(page: Page) -> None:
    project = page.new_project("Ponds / 2026")
    for _ in range(2):
        clip = page.new_clip(2, project)
        page.click(clip, page.new_object(clip))
    page.new_clip(2, project)  # it has no annotations
    job = page.post(f"/api/v1/projects/{project}/export", json={"format": "masks"}).json()
    name, done = page.events(job["id"])[-1]
    assert name == "done", done
    names = zipfile.ZipFile(io.BytesIO(page.get(done["result"]["url"]).content)).namelist()
    assert any(one.startswith("clip 2") or "/clip 2" in one for one in names), names


def test_export_errors_are_reported(page: Page) -> None:
    clip = page.new_clip(3)
    for body, code in (({"format": "docx"}, 422), ({"format": "coco", "options": {"colour": 1}}, 422)):
        answer = page.post(f"/api/v1/media/{clip}/export", json=body)
        assert answer.status_code == code, answer.text
    job = page.post(f"/api/v1/media/{clip}/export", json={"format": "coco"}).json()
    name, failed = page.events(job["id"])[-1]
    assert (name, "nothing to export" in failed["message"]) == ("failed", True)
    assert page.get(f"/api/v1/jobs/{job['id']}/result").status_code == 409


def test_effects_are_shown_and_rendered(page: Page) -> None:
    project = page.new_project()
    clip = page.new_clip(3, project)
    page.click(clip, page.new_object(clip))
    asset = page.post(f"/api/v1/projects/{project}/assets", files={"files": ("beach.png", png(7))}).json()
    assert page.get(asset["url"]).content == png(7)
    composition = {
        "background": {"effect": "image", "asset_id": asset["id"]},
        "objects": {"*": [{"effect": "outline"}]},
    }
    shown = page.post(f"/api/v1/media/{clip}/frames/0/preview", json={"composition": composition})
    assert shown.headers["content-type"] == "image/jpeg", shown.text
    clear = {"background": {"effect": "transparent"}}
    assert page.post(f"/api/v1/media/{clip}/frames/0/preview", json={"composition": clear}).content[1:4] == b"PNG"
    answer = page.post(f"/api/v1/media/{clip}/render", json={"composition": clear, "container": "mp4"})
    assert (answer.status_code, "transparency" in answer.json()["error"]["message"]) == (422, True)
    job = page.post(f"/api/v1/media/{clip}/render", json={"composition": clear, "container": "png"}).json()
    name, done = page.events(job["id"])[-1]
    assert name == "done", done
    assert len(zipfile.ZipFile(io.BytesIO(page.get(done["result"]["url"]).content)).namelist()) == 3
    wrong = {"background": {"effect": "image", "asset_id": "nobody"}}
    assert page.post(f"/api/v1/media/{clip}/render", json={"composition": wrong}).status_code == 404


def test_effects_on_objects_that_do_not_exist_are_refused_and_those_on_hidden_ones_left_out(page: Page) -> None:
    clip = page.new_clip(3)
    first, second = page.new_object(clip), page.new_object(clip)
    page.click(clip, first)
    composition = {"background": {"effect": "gray"}, "objects": {"99": [{"effect": "remove"}]}, "cutout": [first]}
    for url in (f"/api/v1/media/{clip}/render", f"/api/v1/media/{clip}/frames/0/preview"):
        answer = page.post(url, json={"composition": composition})
        assert answer.status_code == 422
        assert "object 99 does not exist" in answer.json()["error"]["message"]
    assert page.patch(f"/api/v1/media/{clip}/objects/{second}", json={"hidden": True}).status_code == 200
    hidden = {"background": {"effect": "gray"}, "cutout": [first, second]}
    assert page.post(f"/api/v1/media/{clip}/frames/0/preview", json={"composition": hidden}).status_code == 200


def test_an_error_can_quote_text_that_utf_8_cannot_hold(page: Page) -> None:
    where = f"/api/v1/media/{page.new_clip(1)}/render"
    answer = page.post(
        where, content=rb'{"composition": {"background": "\ud800"}}', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert "background: an effect must be" in answer.json()["error"]["message"]
    body = rb'{"composition": {"\ud800": 1}}'
    assert page.post(where, content=body, headers={"content-type": "application/json"}).status_code == 422


def test_a_photo_is_rendered_as_jpeg_and_a_video_is_not(page: Page) -> None:
    photo, clip = page.new_clip(1), page.new_clip(3)
    for media_id in (photo, clip):
        page.click(media_id, page.new_object(media_id))
    grey = {"composition": {"background": {"effect": "gray"}}, "container": "jpeg"}
    job = page.post(f"/api/v1/media/{photo}/render", json=grey).json()
    name, ended = page.events(job["id"])[-1]
    assert name == "done", ended
    assert ended["result"]["name"].endswith(".jpg")
    assert page.get(ended["result"]["url"]).content[:2] == b"\xff\xd8"
    answer = page.post(f"/api/v1/media/{clip}/render", json=grey)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "container")


def test_effects_and_containers_say_which_media_they_suit(page: Page) -> None:
    answer = page.get("/api/v1/formats").json()
    only_videos = {one["id"] for one in answer["effects"] if one["kinds"] == ["video"]}
    assert only_videos == {"trail", "video"}
    assert {one["id"] for one in answer["containers"] if "image" in one["kinds"]} == {"png", "jpeg"}


def test_formats_have_schemas(page: Page) -> None:
    answer = page.get("/api/v1/formats").json()
    assert {"coco", "masks", "csv", "davis"} <= {one["id"] for one in answer["formats"]}
    assert {"mp4", "webm", "mov", "png", "jpeg", "gif"} == {one["id"] for one in answer["containers"]}
    assert all(one["options"]["type"] == "object" for one in answer["effects"])


def test_a_model_without_memory_is_refused_at_once(tmp_path: Path) -> None:
    class ImageEngine(FakeEngine):
        @property
        def info(self) -> EngineInfo:
            return replace(super().info, images_only=True)

    with pytest.raises(EngineError, match="without a memory; give --model"):
        create_app(Settings(data=tmp_path), Model(ImageEngine()))


def test_every_import_format_of_the_catalogue_is_accepted(page: Page) -> None:
    clip = page.new_clip(1)
    formats = [one["id"] for one in page.get("/api/v1/formats").json()["imports"]]
    assert set(formats) == {"coco", "sa-v", "masks", "davis"}
    for format_id in ("auto", *formats):
        answer = page.post(f"/api/v1/media/{clip}/import?format={format_id}", files={"files": ("a.txt", b"no masks")})
        assert answer.status_code == 422, format_id
        assert answer.json()["error"]["field"] != "format", answer.text


def test_every_format_of_the_catalogue_can_be_exported(page: Page) -> None:
    clip = page.new_clip(3)
    page.click(clip, page.new_object(clip))
    formats = [one for one in page.get("/api/v1/formats").json()["formats"] if "video" in one["for"]]
    assert {"coco", "masks", "csv", "overlay", "tiff", "sa-v"} <= {one["id"] for one in formats}
    for one in formats:
        job = page.post(f"/api/v1/media/{clip}/export", json={"format": one["id"]}).json()
        name, done = page.events(job["id"])[-1]
        assert name == "done", (one["id"], done)
        assert done["result"]["name"].endswith(one["suffix"])
        assert len(page.get(done["result"]["url"]).content) == done["result"]["bytes"]
