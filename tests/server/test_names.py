"""Names that hide something are cleaned wherever they enter, and names of exported files suit every system."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from masklet.server.names import clean_name, file_stem, shown_name, unique_names
from tests.server.conftest import Page, png

HIDDEN = {
    "a\0b": "ab",
    "photo\u202egpj.exe": "photogpj.exe",
    "\u2066bird\u2069": "bird",
    "bird\u200f": "bird",
    "bi\u200brd\ufeff": "bird",
    "two\nlines\tof\u2028text": "two lines of text",
    "\x1b[31mred\x07": "[31mred",
    "half \ud83d": "half",
    "e\u0301": "\u00e9",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\U0001f469\u200d\U0001f680": "\U0001f469\u200d\U0001f680",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_characters_are_removed(name: str) -> None:
    assert clean_name(name) == HIDDEN[name]
    assert shown_name(f"folder/{name}") == f"folder/{HIDDEN[name]}"


@pytest.mark.parametrize("name", HIDDEN)
def test_every_door_cleans_names(page: Page, name: str) -> None:
    expected = HIDDEN[name]

    def sent(method: str, where: str, **body: object) -> dict[str, object]:
        text = json.dumps(body)  # with escapes, as httpx does not send halves of characters
        answer = page.request(method, where, content=text, headers={"content-type": "application/json"})
        if answer.status_code == 422 and "\ud83d" in name:
            return {}
        assert answer.status_code < 300, answer.text
        return dict(answer.json())

    project = page.new_project()
    clip = page.new_clip(2, project)
    new: Any = sent("POST", "/api/v1/projects", name=name, classes=[name])
    assert new.get("name") in (expected, None)
    assert [row["name"] for row in new.get("classes", ())] in ([expected], [])
    assert sent("PATCH", f"/api/v1/projects/{project}", name=name).get("name") in (expected, None)
    assert sent("PATCH", f"/api/v1/media/{clip}", name=name).get("name") in (expected, None)
    made = sent("POST", f"/api/v1/media/{clip}/objects", name=name, class_name=name)
    assert (made.get("name"), made.get("class_name")) in ((expected, expected), (None, None))
    duck = page.new_object(clip)
    changed = sent("PATCH", f"/api/v1/media/{clip}/objects/{duck}", name=name, class_name=name)
    assert (changed.get("name"), changed.get("class_name")) in ((expected, expected), (None, None))


def test_imported_names_are_cleaned(page: Page) -> None:
    clip = page.new_clip(2)
    annotation = {
        "id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4], "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]],
    }  # fmt: skip
    document = {
        "images": [{"id": 1, "file_name": "00000.png", "width": 8, "height": 6}],
        "categories": [{"id": 1, "name": "bi\u202erd\0"}],
        "annotations": [annotation],
    }
    files = [("files", ("c.json", json.dumps(document).encode(), "application/json"))]
    answer = page.post(f"/api/v1/media/{clip}/import", files=files)
    assert answer.status_code == 200, answer.text
    (made,) = answer.json()["objects"]
    assert made["class_name"] == "bird"


def test_a_name_without_a_visible_character_is_refused(page: Page) -> None:
    for name in ("", " ", "\u202e", "\0\u200b"):
        answer = page.post("/api/v1/projects", json={"name": name})
        assert answer.status_code == 422
        assert answer.json()["error"]["field"] == "name"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("clip/CON.png", "_CON"),
        ("aux", "_aux"),
        ("com1.tar.gz", "_com1.tar"),
        ("nul .mp4", "_nul"),
        ("console.png", "console"),
        ("trailing. .png", "trailing"),
        ('a<b>:"c|d?*.mp4', "a_b_c_d_"),
        ("\u202e.png", "png"),
        ("...", "medium"),
        ("\U00020000" * 200 + ".png", "\U00020000" * 30),
    ],
)
def test_names_of_files_suit_every_system(name: str, stem: str) -> None:
    assert file_stem(name) == stem


def test_names_that_differ_in_case_only_are_told_apart() -> None:
    assert unique_names(["a", "A", "a 2", "a"]) == ["a", "A 2", "a 2 2", "a 3"]


def test_exports_hold_no_reserved_names(page: Page) -> None:
    project = page.new_project("COM1")
    for name in ("con.png", "CON.png"):
        medium = page.post(f"/api/v1/projects/{project}/media", files=[("files", (name, png(1), "image/png"))])
        clip = medium.json()["media"][0]["id"]
        page.click(clip, page.new_object(clip))
    job = page.post(f"/api/v1/projects/{project}/export", json={"format": "masks"}).json()["id"]
    end = page.events(job)[-1][1]
    assert end["result"]["name"] == "_COM1-masks.zip"
    with zipfile.ZipFile(io.BytesIO(page.get(f"/api/v1/jobs/{job}/result").content)) as archive:
        names = {part for name in archive.namelist() for part in name.split("/")}
    assert {"_con.png", "_CON 2.png"} <= names or {"_con", "_CON 2"} <= names, names
