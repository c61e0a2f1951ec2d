"""Lists of media and projects: progress, search, filters, sorting, pages; and the number of queries they take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from masklet.server.database import MediumRow, ProjectRow, SummaryRow
from tests.fake_engine import FakeEngine
from tests.server.conftest import Open, Page, png


def new_photo(page: Page, project: str, name: str) -> str:
    answer = page.post(f"/api/v1/projects/{project}/media", files={"files": (name, png(1), "image/png")})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["media"][0]["id"])


def listed(page: Page, project: str, query: str = "") -> list[str]:
    """Return the names of listed media."""
    answer = page.get(f"/api/v1/projects/{project}/media?{query}")
    assert answer.status_code == 200, answer.text
    return [medium["name"] for medium in answer.json()["media"]]


def progress(page: Page, project: str, media_id: str) -> dict[str, Any]:
    """Return a medium's progress from the list, after comparing it with the medium's own."""
    media = page.get(f"/api/v1/projects/{project}/media").json()["media"]
    (medium,) = [medium for medium in media if medium["id"] == media_id]
    alone = page.get(f"/api/v1/media/{media_id}").json()
    assert alone["progress"] == medium["progress"]
    assert alone["classes"] == medium["classes"]
    assert alone["num_objects"] == medium["num_objects"]
    return dict(medium["progress"])


def test_a_video_goes_from_new_to_accepted(page: Page) -> None:
    project = page.new_project()
    clip = page.new_clip(6, project)
    assert progress(page, project, clip)["state"] == "new"
    duck = page.new_object(clip, class_name="bird")
    page.click(clip, duck)
    assert progress(page, project, clip) == {"state": "work", "num_marked": 1, "num_accepted": 0, "num_to_review": 0}
    page.track(clip)
    assert progress(page, project, clip) == {"state": "review", "num_marked": 6, "num_accepted": 0, "num_to_review": 0}
    page.post(f"/api/v1/media/{clip}/accept", json={"start": 0, "stop": 4})
    assert progress(page, project, clip)["num_accepted"] == 4
    assert progress(page, project, clip)["state"] == "review"
    page.post(f"/api/v1/media/{clip}/accept", json={"start": 4, "stop": 6})
    assert progress(page, project, clip)["state"] == "accepted"
    page.post(f"/api/v1/media/{clip}/undo")
    assert progress(page, project, clip)["state"] == "review"


def test_a_correction_brings_a_tracked_video_back_to_work(page: Page) -> None:
    project = page.new_project()
    clip = page.new_clip(6, project)
    duck = page.new_object(clip)
    page.click(clip, duck)
    page.track(clip)
    page.click(clip, duck, 3, points=[[2, 2]])
    assert progress(page, project, clip)["state"] == "work"


def test_frames_with_two_objects_are_accepted_when_both_are(page: Page) -> None:
    project = page.new_project()
    clip = page.new_clip(4, project)
    ids = [page.new_object(clip), page.new_object(clip)]
    for object_id in ids:
        page.click(clip, object_id)
    page.track(clip)
    page.post(f"/api/v1/media/{clip}/accept", json={"start": 0, "stop": 4, "objects": ids[:1]})
    accepted = page.timeline(clip)["accepted"]
    assert progress(page, project, clip)["num_accepted"] == sum(stop - start for start, stop in accepted) == 0
    page.post(f"/api/v1/media/{clip}/accept", json={"start": 1, "stop": 3, "objects": ids[1:]})
    accepted = page.timeline(clip)["accepted"]
    assert progress(page, project, clip)["num_accepted"] == sum(stop - start for start, stop in accepted) == 2


def test_frames_to_review_are_those_of_the_timeline(open_studio: Open) -> None:
    page = open_studio(engine=FakeEngine(lambda number: -4.0 if number in (5, 6) else 8.0))
    project = page.new_project()
    clip = page.new_clip(10, project)
    page.click(clip, page.new_object(clip))
    page.track(clip)
    assert progress(page, project, clip)["num_to_review"] == len(page.timeline(clip)["review"])


def test_a_photo_is_accepted_like_a_frame(page: Page) -> None:
    project = page.new_project()
    photo = new_photo(page, project, "a.png")
    page.click(photo, page.new_object(photo))
    assert progress(page, project, photo)["state"] == "review"
    assert page.post(f"/api/v1/media/{photo}/accept", json={"start": 0, "stop": 1}).status_code == 200
    assert progress(page, project, photo)["state"] == "accepted"


def test_search_filters_and_order(page: Page) -> None:
    project = page.new_project()
    for name in ("image10.png", "Image2.png", "50%_off.png", "STRASSE.png", "übung.png"):
        new_photo(page, project, name)
    clip = page.new_clip(3, project)
    duck = page.new_object(clip, class_name="duck")
    page.new_object(clip)
    page.click(clip, duck)
    assert listed(page, project, "search=IMAGE&sort=name") == ["Image2.png", "image10.png"]
    assert listed(page, project, "search=%25_") == ["50%_off.png"], "wildcards of SQL are letters"
    assert listed(page, project, "search=straße") == ["STRASSE.png"]
    assert listed(page, project, "search=ÜBUNG") == ["übung.png"]
    assert listed(page, project, "kind=video") == ["clip"]
    assert listed(page, project, "class=duck") == ["clip"]
    assert listed(page, project, "class=") == ["clip"], "it has an object without a class"
    assert listed(page, project, "class=goose") == []
    assert listed(page, project, "state=work&state=accepted") == ["clip"]
    assert len(listed(page, project, "state=new")) == 5
    assert listed(page, project, "sort=-objects&limit=1") == ["clip"]
    assert listed(page, project, "sort=-changed&limit=1") == ["clip"]
    assert listed(page, project, "sort=state&offset=5") == ["clip"]
    assert page.get(f"/api/v1/projects/{project}/media?sort=size").status_code == 422
    assert page.get(f"/api/v1/projects/{project}/media?state=done").status_code == 422


def test_pages_have_every_medium_once(page: Page) -> None:
    project = page.new_project()
    names = [f"{number}.png" for number in range(7)]
    for name in names:
        new_photo(page, project, name)
    pages = [listed(page, project, f"limit=3&offset={offset}&sort=name") for offset in (0, 3, 6, 9)]
    assert pages == [names[:3], names[3:6], names[6:], []]
    answer = page.get(f"/api/v1/projects/{project}/media?limit=2").json()
    assert answer["total"] == 7
    ids = page.get(f"/api/v1/projects/{project}/media/ids?search=5").json()["ids"]
    assert len(ids) == 1


def test_a_new_name_is_found(page: Page) -> None:
    project = page.new_project()
    photo = new_photo(page, project, "a.png")
    page.patch(f"/api/v1/media/{photo}", json={"name": "Zebra.png"})
    assert listed(page, project, "search=zebra") == ["Zebra.png"]
    assert listed(page, project, "search=a.png") == ["Zebra.png"]
    assert listed(page, project, "search=b") == ["Zebra.png"]
    assert listed(page, project, "search=c") == []


def test_the_project_counts_its_media_frames_and_classes(page: Page) -> None:
    project = page.new_project()
    new_photo(page, project, "a.png")
    photo = new_photo(page, project, "b.png")
    page.click(photo, page.new_object(photo, class_name="duck"))
    page.post(f"/api/v1/media/{photo}/accept", json={"start": 0, "stop": 1})
    clip = page.new_clip(5, project)
    page.click(clip, page.new_object(clip, class_name="duck"))
    page.post(f"/api/v1/projects/{project}/classes", json={"name": "goose"})
    info = page.get(f"/api/v1/projects/{project}").json()
    assert info["progress"] == {
        "media": {"new": 1, "work": 1, "review": 0, "accepted": 1},
        "num_frames": 7,
        "num_accepted": 1,
        "num_objects": 2,
        "num_in_trash": 0,
    }
    assert page.get("/api/v1/projects").json()["projects"] == [info]
    assert page.get(f"/api/v1/projects/{project}/classes").json()["classes"] == [
        {"name": "duck", "num_media": 2, "num_objects": 2},
        {"name": "goose", "num_media": 0, "num_objects": 0},
    ]


def test_neighbours_are_in_the_order_of_the_uploads(page: Page) -> None:
    project = page.new_project()
    ids = [new_photo(page, project, f"{name}.png") for name in "cab"]
    assert [page.get(f"/api/v1/media/{media_id}/neighbours").json() for media_id in ids] == [
        {"previous": None, "next": ids[1], "index": 0, "total": 3},
        {"previous": ids[0], "next": ids[2], "index": 1, "total": 3},
        {"previous": ids[1], "next": None, "index": 2, "total": 3},
    ]


@contextmanager
def counted_queries(page: Page) -> Iterator[list[str]]:
    statements: list[str] = []
    engine = page.app.state.studio.database._engine  # type: ignore[attr-defined]

    def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", ["/api/v1/projects", "/api/v1/projects/{project}/media?limit=500&sort=name"])
def test_a_list_takes_as_many_queries_for_thousands_as_for_one(page: Page, path: str) -> None:
    project = page.new_project()
    new_photo(page, project, "first.png")
    database = page.app.state.studio.database  # type: ignore[attr-defined]
    with counted_queries(page) as few:
        assert page.get(path.format(project=project)).status_code == 200
    with database.session() as session:
        like = session.query(MediumRow).one()
        facts = {name: getattr(like, name) for name in ("kind", "file", "width", "height", "num_frames", "fps")}
        facts |= {"duration_s": 0.0, "has_audio": False, "num_bytes": 1}
        for number in range(3000):
            name = f"image{number}.png"
            session.add(MediumRow(project_id=project, name=name, summary=SummaryRow.named(name), **facts))
        for number in range(20):
            session.add(ProjectRow(user_id=session.get_one(ProjectRow, project).user_id, name=f"project {number}"))
    with counted_queries(page) as many:
        assert page.get(path.format(project=project)).status_code == 200
    assert len(many) == len(few)


def test_media_of_an_earlier_version_get_a_summary_at_the_start(open_studio: Open) -> None:
    page = open_studio()
    project = page.new_project()
    clip = page.new_clip(3, project)
    page.click(clip, page.new_object(clip, class_name="duck"))
    with page.app.state.studio.database.session() as session:  # type: ignore[attr-defined]
        session.query(SummaryRow).delete()
    page = open_studio()
    assert progress(page, project, clip)["state"] == "work"
    assert listed(page, project, "search=CLIP&class=duck") == ["clip"]
