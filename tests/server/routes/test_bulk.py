"""Many media at once: accepted, undone, moved to the trash and back, deleted, moved to another project, exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from masklet.media.base import FrameSource
from masklet.server.database import MediumRow
from masklet.server.exported_media import MAX_OPEN
from masklet.server.settings import Limits
from tests.server.conftest import Open, Page
from tests.server.test_listing import listed, new_photo


def bulk(page: Page, project: str, action: str, /, **body: Any) -> dict[str, Any]:
    answer = page.post(f"/api/v1/projects/{project}/media/{action}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def done(answer: dict[str, Any]) -> list[str]:
    return [medium["id"] for medium in answer["done"]]


@pytest.fixture
def project(page: Page) -> str:
    return page.new_project()


@pytest.fixture
def photos(page: Page, project: str) -> list[str]:
    """Three photos; the first two have an object."""
    ids = [new_photo(page, project, f"{name}.png") for name in "abc"]
    for photo in ids[:2]:
        page.click(photo, page.new_object(photo, class_name="duck"))
    return ids


def state(page: Page, media_id: str) -> str:
    return str(page.get(f"/api/v1/media/{media_id}").json()["progress"]["state"])


def test_accepting_skips_what_has_no_mask_and_says_why(page: Page, project: str, photos: list[str]) -> None:
    answer = bulk(page, project, "accept", media=photos)
    assert done(answer) == photos[:2]
    (skipped,) = answer["skipped"]
    assert (skipped["id"], skipped["name"]) == (photos[2], "c.png")
    assert "no mask" in skipped["message"]
    assert [state(page, photo) for photo in photos] == ["accepted", "accepted", "new"]
    again = bulk(page, project, "accept", media=photos[:1])
    assert "accepted already" in again["skipped"][0]["message"]
    assert done(bulk(page, project, "accept", media=photos[:1], accepted=False)) == photos[:1]
    assert state(page, photos[0]) == "review"


def test_undo_restores_only_what_nobody_has_changed_since(page: Page, project: str, photos: list[str]) -> None:
    page.post(f"/api/v1/media/{photos[1]}/accept", json={"start": 0, "stop": 1})
    page.post(f"/api/v1/media/{photos[1]}/accept", json={"start": 0, "stop": 1, "accepted": False})
    answer = bulk(page, project, "accept", media=photos[:2])
    page.new_object(photos[1])
    undone = bulk(page, project, "undo", media=answer["done"])
    assert done(undone) == photos[:1]
    assert "changed since" in undone["skipped"][0]["message"]
    assert [state(page, photo) for photo in photos[:2]] == ["review", "accepted"]


def test_the_trash_hides_media_and_gives_them_back(page: Page, project: str, photos: list[str]) -> None:
    masks = page.get(f"/api/v1/media/{photos[0]}/masks?start=0&stop=1").json()
    assert done(bulk(page, project, "trash", media=photos[:1])) == photos[:1]
    assert listed(page, project) == ["b.png", "c.png"]
    assert listed(page, project, "trash=true") == ["a.png"]
    for path in ("", "/objects", "/frames/0.jpg", "/timeline", "/neighbours"):
        answer = page.get(f"/api/v1/media/{photos[0]}{path}")
        assert answer.status_code == 404, path
        assert "trash" in answer.json()["error"]["message"]
    info = page.get(f"/api/v1/projects/{project}").json()
    assert (info["num_media"], info["progress"]["num_in_trash"]) == (2, 1)
    assert info["thumbnail_url"] == f"/api/v1/media/{photos[1]}/frames/0.jpg?width=480"
    assert page.get(f"/api/v1/projects/{project}/classes").json()["classes"][0]["num_media"] == 1
    assert bulk(page, project, "accept", media=photos[:1])["done"] == []
    assert page.get(f"/api/v1/media/{photos[1]}/neighbours").json()["total"] == 2
    assert done(bulk(page, project, "restore", media=photos[:1])) == photos[:1]
    assert listed(page, project) == ["a.png", "b.png", "c.png"]
    assert page.get(f"/api/v1/media/{photos[0]}/masks?start=0&stop=1").json() == masks


def test_only_what_is_in_the_trash_is_deleted_for_good(page: Page, project: str, photos: list[str]) -> None:
    studio = page.app.state.studio  # type: ignore[attr-defined]
    assert done(bulk(page, project, "delete", media=photos)) == []
    bulk(page, project, "trash", media=photos[:2])
    assert done(bulk(page, project, "delete", media=photos[:1])) == photos[:1]
    assert not studio.data.medium(photos[0]).exists()
    assert studio.data.medium(photos[1]).exists()
    page.delete(f"/api/v1/projects/{project}")
    assert not studio.data.medium(photos[1]).exists(), "a deleted project takes its trash along"


def test_the_trash_is_emptied_after_some_days(open_studio: Open) -> None:
    page = open_studio(limits=Limits(trash_days=1e-9))
    project = page.new_project()
    photos = [new_photo(page, project, f"{name}.png") for name in "ab"]
    bulk(page, project, "trash", media=photos[:1])
    studio = page.app.state.studio  # type: ignore[attr-defined]
    studio._tidy()
    assert listed(page, project, "trash=true") == []
    assert listed(page, project) == ["b.png"]
    assert not studio.data.medium(photos[0]).exists()


def test_media_move_to_another_project_with_their_masks(page: Page, project: str, photos: list[str]) -> None:
    other = page.new_project("Geese")
    assert done(bulk(page, project, "move", media=photos[:2], project=other)) == photos[:2]
    assert (listed(page, project), listed(page, other)) == (["c.png"], ["a.png", "b.png"])
    assert state(page, photos[0]) == "review"
    for target in (project, "unknown"):
        answer = page.post(f"/api/v1/projects/{project}/media/move", json={"media": photos[2:], "project": target})
        assert answer.status_code in (404, 422), target


def test_media_of_other_projects_are_skipped(page: Page, project: str, photos: list[str]) -> None:
    other = page.new_project("Geese")
    for action in ("accept", "trash", "restore", "delete"):
        assert bulk(page, other, action, media=photos)["done"] == [], action
    assert listed(page, project) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("media", [[], ["x" * 17], [str(number) for number in range(101)], "abc"])
def test_lists_of_ids_have_limits(page: Page, project: str, media: Any) -> None:
    assert page.post(f"/api/v1/projects/{project}/media/trash", json={"media": media}).status_code == 422


def test_only_chosen_photos_are_exported_and_say_whether_they_are_accepted(
    page: Page, project: str, photos: list[str]
) -> None:
    bulk(page, project, "accept", media=photos[:1])

    def exported(**body: Any) -> tuple[list[str], list[bool]]:
        job = page.post(f"/api/v1/projects/{project}/export", json={"format": "coco", **body}).json()
        document = json.loads(page.get(page.events(job["id"])[-1][1]["result"]["url"]).content)
        names = [image["file_name"] for image in document["images"]]
        return names, [annotation["accepted"] for annotation in document["annotations"]]

    assert exported() == (["a.png", "b.png"], [True, False])
    assert exported(media=photos[1:2]) == (["b.png"], [False])
    assert exported(only_accepted=True) == (["a.png"], [True])
    answer = page.post(f"/api/v1/projects/{project}/export", json={"format": "coco", "media": ["unknown"]})
    assert answer.status_code == 422
    bulk(page, project, "trash", media=photos[:1])
    assert exported() == (["b.png"], [False])


@pytest.mark.parametrize("format_id", ["coco", "yolo-segment"])
def test_an_export_opens_a_few_media_at_a_time(page: Page, project: str, format_id: str) -> None:
    studio = page.app.state.studio  # type: ignore[attr-defined]
    for number in range(2 * MAX_OPEN):
        photo = new_photo(page, project, f"same name/{number}/a.png")
        page.click(photo, page.new_object(photo, class_name="duck"))
    open_frames, is_open, most = studio.open_frames, set(), 0

    def counted(medium: MediumRow) -> Callable[[], FrameSource]:
        def open_() -> FrameSource:
            nonlocal most
            source = open_frames(medium)()
            close = source.close
            is_open.add(medium.id)
            most = max(most, len(is_open))

            def close_counted() -> None:
                is_open.discard(medium.id)
                close()

            source.close = close_counted
            return source

        return open_

    studio.open_frames = counted
    job = page.post(f"/api/v1/projects/{project}/export", json={"format": format_id}).json()
    name, ended = page.events(job["id"])[-1]
    assert name == "done", ended
    assert ended["message"].startswith(f"{2 * MAX_OPEN} masks")
    assert (most, is_open) == (MAX_OPEN + 1, set()), "one more is open while the oldest is about to be closed"
