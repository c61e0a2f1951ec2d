"""The class list of a project: its routes, what a change does to the objects of all media, and upgrades."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from masklet.server.classes import finish_class_changes
from masklet.server.colors import COLORS
from masklet.server.database import ClassChangeRow, Database
from tests.server.conftest import Open, Page
from tests.server.test_api import history
from tests.server.test_postgresql import postgresql  # noqa: F401 (a fixture)


def classes(page: Page, project: str) -> list[dict[str, Any]]:
    return list(page.get(f"/api/v1/projects/{project}").json()["classes"])


def names(page: Page, project: str) -> list[str]:
    return [info["name"] for info in classes(page, project)]


def objects(page: Page, medium: str) -> dict[int, str]:
    listed = page.get(f"/api/v1/media/{medium}/objects").json()["objects"]
    return {info["id"]: info["class_name"] for info in listed}


def add(page: Page, project: str, name: str, **about: Any) -> str:
    answer = page.post(f"/api/v1/projects/{project}/classes", json={"name": name} | about)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_a_class_has_a_colour_and_a_hot_key(page: Page) -> None:
    project = page.new_project()
    duck = add(page, project, "  duck ")
    goose = add(page, project, "goose", color="#123456", key="q")
    assert classes(page, project) == [
        {"id": duck, "name": "duck", "color": COLORS[0], "key": "1"},
        {"id": goose, "name": "goose", "color": "#123456", "key": "q"},
    ]
    where = f"/api/v1/projects/{project}/classes/{goose}"
    changed = page.patch(where, json={"key": "1", "color": "#000000", "position": 0}).json()["classes"]
    assert [(info["name"], info["key"], info["color"]) for info in changed] == [
        ("goose", "1", "#000000"),
        ("duck", None, COLORS[0]),  # has lost its key
    ]
    assert page.patch(where, json={"key": ""}).json()["classes"][0]["key"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": ""}, 422),
        ({"name": "   "}, 422),
        ({"name": "x" * 201}, 422),
        ({"name": "Duck"}, 409),  # differs from "duck" only in case
        ({"name": "a", "key": "b"}, 422),  # the brush
        ({"name": "a", "key": "12"}, 422),
        ({"name": "a", "color": "red"}, 422),
    ],
)
def test_a_class_that_cannot_be_is_refused(page: Page, body: dict[str, str], status: int) -> None:
    project = page.new_project()
    add(page, project, "duck")
    assert page.post(f"/api/v1/projects/{project}/classes", json=body).status_code == status
    assert names(page, project) == ["duck"]


def test_a_class_that_an_object_gets_is_remembered(page: Page) -> None:
    project = page.new_project()
    clip = page.new_clip(2, project)
    first = page.new_object(clip, class_name=" duck ")
    second = page.new_object(clip)
    page.patch(f"/api/v1/media/{clip}/objects/{second}", json={"class_name": "goose"})
    page.patch(f"/api/v1/media/{clip}/objects", json={"ids": [first, second], "class_name": "swan"})
    assert names(page, project) == ["duck", "goose", "swan"]
    assert objects(page, clip) == {first: "swan", second: "swan"}
    page.post(f"/api/v1/media/{clip}/undo")
    assert objects(page, clip) == {first: "duck", second: "goose"}  # several objects are one step


def test_renaming_reaches_all_media_and_the_history(page: Page) -> None:
    project = page.new_project()
    clips = [page.new_clip(2, project) for _ in range(2)]
    ids = [page.new_object(clip, class_name="duck") for clip in clips]
    page.patch(f"/api/v1/media/{clips[0]}/objects/{ids[0]}", json={"class_name": "goose"})
    (duck, _) = classes(page, project)
    where = f"/api/v1/projects/{project}/classes/{duck['id']}"
    assert page.patch(where, json={"name": "Goose"}).status_code == 409
    page.patch(where, json={"name": "mallard"})
    assert [objects(page, clip)[i] for clip, i in zip(clips, ids, strict=True)] == ["goose", "mallard"]
    page.post(f"/api/v1/media/{clips[0]}/undo")
    assert objects(page, clips[0]) == {ids[0]: "mallard"}  # the step before the rename has the new name, too
    assert names(page, project) == ["mallard", "goose"]
    page.patch(where, json={"name": "Mallard"})  # only its case
    assert objects(page, clips[1]) == {ids[1]: "Mallard"}


def test_merging_and_deleting(page: Page) -> None:
    project = page.new_project()
    clip = page.new_clip(2, project)
    ids = [page.new_object(clip, class_name=name) for name in ("duck", "goose", "swan")]
    duck, goose, swan = (f"/api/v1/projects/{project}/classes/{info['id']}" for info in classes(page, project))
    merged = page.post(f"{goose}/merge", json={"into": duck.rsplit("/", 1)[1]}).json()["classes"]
    assert [info["name"] for info in merged] == ["duck", "swan"]
    assert page.delete(swan).status_code == 204
    assert objects(page, clip) == dict(zip(ids, ("duck", "duck", ""), strict=True))
    assert page.delete(swan).status_code == 404
    assert page.post(f"{duck}/merge", json={"into": duck.rsplit("/", 1)[1]}).status_code == 409
    assert page.post(f"{duck}/merge", json={"into": "unknown"}).status_code == 404
    assert names(page, project) == ["duck"]


def test_a_change_that_was_interrupted_is_finished_at_the_next_start(open_studio: Open) -> None:
    page = open_studio()
    project = page.new_project()
    clip = page.new_clip(2, project)
    object_id = page.new_object(clip, class_name="duck")
    studio = page.app.state.studio  # type: ignore[attr-defined]
    with studio.database.session() as session:  # the list was changed, and then the server was killed
        session.add(ClassChangeRow(project_id=project, old_name="duck", new_name="mallard"))
    page = open_studio()
    assert objects(page, clip) == {object_id: "mallard"}
    finish_class_changes(page.app.state.studio)  # type: ignore[attr-defined]
    with page.app.state.studio.database.session() as session:  # type: ignore[attr-defined]
        assert session.query(ClassChangeRow).count() == 0


def test_exports_number_the_classes_in_the_order_of_the_list(page: Page) -> None:
    project = page.new_project()
    clip = page.new_clip(2, project)
    add(page, project, "goose")
    duck = add(page, project, "duck", color="#abcdef")
    page.patch(f"/api/v1/projects/{project}/classes/{duck}", json={"position": 0})
    page.click(clip, page.new_object(clip, class_name="goose"))
    page.click(clip, page.new_object(clip))
    documents = {}
    for format_id in ("coco", "yolo-segment"):
        job = page.post(f"/api/v1/media/{clip}/export", json={"format": format_id, "options": {}}).json()
        assert page.events(job["id"])[-1][0] == "done"
        documents[format_id] = page.get(f"/api/v1/jobs/{job['id']}/result").content
    with zipfile.ZipFile(io.BytesIO(documents["yolo-segment"])) as archive:
        assert archive.read("data.yaml").decode().endswith('names:\n  0: "duck"\n  1: "goose"\n  2: "object"\n')
    coco = json.loads(documents["coco"])
    assert coco["categories"] == [
        {"id": 1, "name": "duck", "color": "#abcdef"},
        {"id": 2, "name": "goose", "color": COLORS[0]},
        {"id": 3, "name": "object"},
    ]
    assert [annotation["category_id"] for annotation in coco["annotations"]] == [2, 3]


def test_several_objects_are_deleted_in_one_step(page: Page) -> None:
    clip = page.new_clip(2)
    ids = [page.new_object(clip) for _ in range(3)]
    unknown = page.post(f"/api/v1/media/{clip}/objects/delete", json={"ids": [ids[0], 99]})
    assert (unknown.status_code, len(objects(page, clip))) == (404, 3)
    assert page.post(f"/api/v1/media/{clip}/objects/delete", json={"ids": []}).status_code == 422
    page.post(f"/api/v1/media/{clip}/objects/delete", json={"ids": ids[:2]})
    assert (list(objects(page, clip)), history(page, clip)[0]) == (ids[2:], "Delete 2 objects")
    page.post(f"/api/v1/media/{clip}/undo")
    assert list(objects(page, clip)) == ids


def test_the_number_of_an_object_that_was_undone_is_given_again(page: Page) -> None:
    clip = page.new_clip(2)
    page.new_object(clip)
    page.post(f"/api/v1/media/{clip}/undo")
    again = page.post(f"/api/v1/media/{clip}/objects", json={}).json()
    assert (again["id"], again["name"]) == (1, "Object 1")
    page.click(clip, 1)
    page.delete(f"/api/v1/media/{clip}/objects/1")
    assert page.new_object(clip) == 2  # undo can bring object 1 back
    page.post(f"/api/v1/media/{clip}/undo")
    page.post(f"/api/v1/media/{clip}/undo")
    assert list(objects(page, clip)) == [1]


# Upgrades.

_OLD_PROJECTS = """
CREATE TABLE users (id VARCHAR(16) PRIMARY KEY, name VARCHAR(100), token_hash VARCHAR(128), created_at TIMESTAMP);
CREATE TABLE projects (
    id VARCHAR(16) PRIMARY KEY, user_id VARCHAR(16) NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name VARCHAR(200) NOT NULL, classes JSON NOT NULL, created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
);
INSERT INTO users VALUES ('u', 'local', NULL, '2026-01-01 00:00:00');
INSERT INTO projects VALUES ('p', 'u', 'Birds', '["duck", "goose", "duck"]', '2026-01-01', '2026-01-01');
INSERT INTO projects VALUES ('q', 'u', 'None', '[]', '2026-01-01', '2026-01-01');
"""
"""What an earlier version wrote: the class names were a column of the projects."""


@pytest.fixture(params=["sqlite", "postgresql"])
def old_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Write the database of an earlier version, and yield its address."""
    if request.param == "sqlite":
        connection = sqlite3.connect(tmp_path / "studio.db")
        connection.executescript(_OLD_PROJECTS)
        connection.close()
        yield f"sqlite:///{tmp_path / 'studio.db'}"
        return
    engine = create_engine(request.getfixturevalue("postgresql").url)
    with engine.begin() as database:
        database.execute(text(_OLD_PROJECTS))
    yield engine.url.render_as_string(hide_password=False)
    engine.dispose()


def test_class_names_of_an_earlier_version_become_classes(old_database: str) -> None:
    for _ in range(2):  # the second time there is nothing to do
        database = Database(old_database)
        with database.session() as session:
            rows = session.execute(text("SELECT project_id, position, name, color, key FROM classes ORDER BY 1, 2"))
            assert [tuple(row) for row in rows] == [
                ("p", 0, "duck", COLORS[0], "1"),
                ("p", 1, "goose", COLORS[1], "2"),
            ]
            columns = session.execute(text("SELECT * FROM projects")).keys()
        assert "classes" not in columns
        database.close()
