"""Build hook of hatchling: a wheel or an sdist always contains the studio's page.

The page is built from web/ by scripts/build_page when it is missing or older than its sources. An editable install
leaves it alone, so that it takes seconds; `make studio` builds the page for one. An sdist brings the page, so that a
wheel made from it needs no npm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path("src/masklet/server/static")
SOURCES = Path("web")
BUILD = Path("scripts/build_page")


class StudioPageHook(BuildHookInterface[Any]):
    """Build the studio's page before the files of a distribution are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page if needed, or stop the build and say what is missing.

        Args:
            version: "standard" or "editable".
            build_data: not used: pyproject.toml declares the page's files as artifacts.
        """
        root = Path(self.root)
        if version == "editable" or is_current(root):
            return
        try:
            build(root)
        except RuntimeError as error:
            self.app.abort(f"the studio's page ({PAGE}/) is missing or older than {SOURCES}/: {error}")


def is_current(root: Path) -> bool:
    """Tell whether the page is there and not older than any of its sources; an sdist's page always is current."""
    index = root / PAGE / "index.html"
    if not index.is_file():
        return False
    if (root / "PKG-INFO").is_file():  # an sdist: its times are those of unpacking
        return True
    built = index.stat().st_mtime
    return all(source.stat().st_mtime <= built for source in page_sources(root))


def page_sources(root: Path) -> Iterator[Path]:
    """Yield the files that the page is built from."""
    for folder, folders, names in os.walk(root / SOURCES):
        folders[:] = [name for name in folders if name not in ("node_modules", "dist")]
        yield from (Path(folder, name) for name in names)


def build(root: Path) -> None:
    """Run scripts/build_page.

    Raises:
        RuntimeError: the sources, the script or a shell are missing, or the script failed.
    """
    for needed in (SOURCES / "package.json", BUILD):
        if not (root / needed).is_file():
            raise RuntimeError(f"it cannot be built, as {needed} is not here: build from a clone or from an sdist")
    shell = shutil.which("sh")
    if shell is None:
        raise RuntimeError(f"{BUILD} needs a POSIX shell: run it from one (Git Bash on Windows), then build again")
    # The backend's standard output belongs to the caller of the build: what the script prints goes to standard error.
    result = subprocess.run(
        [shell, str(root / BUILD)],
        cwd=root,
        env={**os.environ, "PYTHON": sys.executable},
        stdout=sys.stderr,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"{BUILD} failed with status {result.returncode}; its reason is above")
    if not (root / PAGE / "index.html").is_file():
        raise RuntimeError(f"{BUILD} ran, and there still is no {PAGE}/index.html")
