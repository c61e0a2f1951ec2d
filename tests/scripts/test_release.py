"""Tests of what is published: the page in every wheel, lower bounds of dependencies, and what the release files say."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

import masklet
from scripts.check_package import NEEDED_IN_SDIST, NEEDED_IN_WHEEL, content_faults
from scripts.try_versions import ROOT, TESTS, all_extras, lowest_pins

pytest.importorskip("hatchling", reason="the build backend, hatchling, is not installed")

from hatch_build import PAGE, StudioPageHook, is_current

PROJECT: dict[str, Any] = {
    "name": "masklet",
    "dependencies": ["numpy>=1.26", "opencv-python-headless>=4.9.0.80"],
    "optional-dependencies": {
        "torch": ["torch>=2.5"],
        "hub": ["masklet[torch]", "huggingface-hub>=0.25"],
        "server": ["uvicorn[standard]>=0.32"],
        "bad": ["numpy"],
    },
}


def clone(root: Path, *, page: int | None) -> Path:
    """A folder as a clone has it; the page, if any, is `page` seconds newer than its sources."""
    for file in ("web/package.json", "web/src/main.tsx", "scripts/build_page"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("")
        os.utime(root / file, (1000, 1000))
    if page is not None:
        (root / PAGE).mkdir(parents=True)
        (root / PAGE / "index.html").write_text("<!doctype html>")
        os.utime(root / PAGE / "index.html", (1000 + page, 1000 + page))
    return root


def run_hook(root: Path, version: str) -> None:
    hook = StudioPageHook(str(root), {}, None, None, "", "wheel")  # type: ignore[arg-type]
    hook.initialize(version, {})


def test_a_page_is_current_when_it_is_newer_than_every_source(tmp_path: Path) -> None:
    assert not is_current(clone(tmp_path / "without", page=None))
    assert not is_current(clone(tmp_path / "old", page=-10))
    current = clone(tmp_path / "new", page=10)
    assert is_current(current)
    (current / "web/node_modules").mkdir()
    (current / "web/node_modules/later.js").write_text("")  # not a source
    assert is_current(current)


def test_the_page_of_an_sdist_is_taken_whatever_its_time(tmp_path: Path) -> None:
    root = clone(tmp_path, page=-10)
    (root / "PKG-INFO").write_text("")
    assert is_current(root)


def test_an_editable_install_builds_no_page(tmp_path: Path) -> None:
    root = clone(tmp_path, page=None)
    (root / "scripts/build_page").write_text("exit 1")
    run_hook(root, "editable")


@pytest.mark.skipif(os.name == "nt", reason="scripts/build_page is a POSIX script")
def test_a_wheel_builds_the_page(tmp_path: Path) -> None:
    root = clone(tmp_path, page=None)
    (root / "scripts/build_page").write_text(f"mkdir -p {PAGE} && echo page > {PAGE}/index.html")
    run_hook(root, "standard")
    assert (root / PAGE / "index.html").read_text() == "page\n"


@pytest.mark.skipif(os.name == "nt", reason="scripts/build_page is a POSIX script")
@pytest.mark.parametrize(
    ("script", "reason"),
    [("exit 3", "failed with status 3"), ("exit 0", "there still is no"), (None, "scripts/build_page is not here")],
)
def test_a_wheel_without_a_page_fails_with_the_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], script: str | None, reason: str
) -> None:
    root = clone(tmp_path, page=None)
    (root / "scripts/build_page").unlink()
    if script is not None:
        (root / "scripts/build_page").write_text(script)
    with pytest.raises(SystemExit):
        run_hook(root, "standard")
    told = capfd.readouterr()
    assert reason in told.out + told.err


def test_missing_files_of_a_distribution_are_named() -> None:
    page = "masklet/server/static/assets/index-x.js"
    assert content_faults("a.whl", [*NEEDED_IN_WHEEL, page], NEEDED_IN_WHEEL) == []
    faults = content_faults("a.tar.gz", ["LICENSE", "web/node_modules/x.js"], NEEDED_IN_SDIST)
    assert "a.tar.gz lacks src/masklet/server/static/index.html" in faults
    assert "a.tar.gz contains web/node_modules/x.js" in faults
    assert "a.tar.gz lacks the page's scripts" in faults


def test_lower_bounds_become_pins_with_those_of_included_extras() -> None:
    core = ["numpy==1.26", "opencv-python-headless==4.9.0.80"]
    assert list(lowest_pins(PROJECT, [])) == core
    assert list(lowest_pins(PROJECT, ["hub"])) == [*core, "huggingface-hub==0.25", "torch==2.5"]
    assert list(lowest_pins(PROJECT, ["server"])) == [*core, "uvicorn[standard]==0.32"]
    assert all_extras(PROJECT, ["hub", "torch"]) == ["hub", "torch"]


@pytest.mark.parametrize(
    ("extra", "message"), [("bad", "must have the form name>=version"), ("none", "does not exist")]
)
def test_a_requirement_without_a_lower_bound_is_a_mistake(extra: str, message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        list(lowest_pins(PROJECT, [extra]))


def test_every_requirement_of_ours_has_a_lower_bound_and_the_tests_exist() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 cannot read TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert list(lowest_pins(project, list(project["optional-dependencies"])))
    assert [path for paths in TESTS.values() for path in paths if not (ROOT / path).exists()] == []


def test_release_files_agree_with_each_other() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.M) == [masklet.__version__]
    declared = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    (tried,) = re.findall(r"^        python: \[(.*)\]$", workflow, re.M)
    assert [version.strip('" ') for version in tried.split(",")] == declared
