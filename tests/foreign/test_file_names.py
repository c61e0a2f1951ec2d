from __future__ import annotations

import pytest

from masklet.foreign.file_names import best_matches, name_parts


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("a.jpg", ("a.jpg",)),
        ("images/a.jpg", ("images", "a.jpg")),
        ("JPEGImages\\a.jpg", ("JPEGImages", "a.jpg")),
        ("C:\\Users\\me\\a.jpg", ("Users", "me", "a.jpg")),
        ("\\\\server\\share\\a.jpg", ("server", "share", "a.jpg")),
        ("/home/me/cam1/a.jpg", ("home", "me", "cam1", "a.jpg")),
        ("./../cam1/a.jpg", ("cam1", "a.jpg")),
        ("my%20photo.jpg", ("my photo.jpg",)),
        ("/data/local-files/?d=cam1%2Fa.jpg", ("cam1", "a.jpg")),
        ("http://host:8080/data/upload/3/1a2b3c4d-a.jpg?x=1", ("data", "upload", "3", "a.jpg")),
        ("s3://bucket/cam1/a.jpg", ("cam1", "a.jpg")),
        ("file:///home/me/a.jpg", ("home", "me", "a.jpg")),
        ("IMG_1_jpg.rf.0a1b2c3d4e5f60718293a4b5c6d7e8f9.jpg", ("IMG_1.jpg",)),
        ("images/8f7e6d5c-a.jpg", ("images", "a.jpg")),
    ],
)
def test_names_of_any_system_are_understood(name: str, last: tuple[str, ...]) -> None:
    assert name_parts(name)[-1] == last


@pytest.mark.parametrize("name", ["", "/", "..", "http://[bad", "\0"])
def test_what_is_no_name_has_no_parts(name: str) -> None:
    assert name_parts(name) == []


@pytest.mark.parametrize(
    ("wanted", "candidates", "matches"),
    [
        ("cam1/1.jpg", ["cam1/1.jpg", "cam2/1.jpg"], ["cam1/1.jpg"]),
        ("/data/cam2/1.jpg", ["cam1/1.jpg", "cam2/1.jpg"], ["cam2/1.jpg"]),
        ("1.jpg", ["cam1/1.jpg", "cam2/1.jpg"], ["cam1/1.jpg", "cam2/1.jpg"]),
        ("1.jpg", ["1.png", "1.jpg"], ["1.jpg"]),
        ("1.bmp", ["1.png", "2.png"], ["1.png"]),
        ("11.jpg", ["1.jpg", "x11.jpg", "11.jpg.png"], []),
        ("A.JPG", ["a.jpg"], ["a.jpg"]),
        ("a.jpg", ["1a2b3c4d-a.jpg", "5e6f7a8b-b.jpg"], ["1a2b3c4d-a.jpg"]),
        ("a.jpg", ["1a2b3c4d-a.jpg", "a.jpg"], ["a.jpg"]),
        ("a.jpg", ["1a2b3c4d-a.jpg", "5e6f7a8b-a.jpg"], ["1a2b3c4d-a.jpg", "5e6f7a8b-a.jpg"]),
    ],
)
def test_the_longest_equal_end_counts(wanted: str, candidates: list[str], matches: list[str]) -> None:
    assert best_matches(tuple(wanted.strip("/").split("/")), candidates, name_parts) == matches
