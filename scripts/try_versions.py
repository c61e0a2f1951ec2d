"""Try the versions that pyproject.toml declares: a new environment runs demo and tests with the lowest, or the newest.

    python scripts/try_versions.py [--extras server,torch] [--python python3.10] [--newest] [--quick]

Run it with Python 3.11 or newer (it reads TOML); --python names the interpreter of the new environment, such as the
oldest that masklet declares. Every requirement "name>=version" is installed as "name==version", or with --newest as
it stands; what those require in turn is the newest that fits. Ends with the first command that fails.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomllib

ROOT = Path(__file__).parent.parent
ENVIRONMENT = ROOT / ".venv-versions"
REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[(?P<extras>[^]]*)\])?(?:>=(?P<lowest>[0-9.]+))?$")

LIGHT_EXTRAS = ("server", "dicom", "nifti", "plot")
"""Tried when none are named: they need no PyTorch."""

TESTS = {
    "": ("tests/masks", "tests/media", "tests/formats", "tests/segmentation", "tests/cli/test_segment.py"),
    "server": ("tests/server/test_api.py",),
    "torch": ("tests/engine",),
    "export": ("tests/cli/test_export.py",),
    "train": ("tests/train/test_loop.py",),
}
"""Tests that use what an extra brings; "" is the core."""

QUICK_TESTS = ("tests/cli/test_segment.py", "tests/cli/test_track.py", "tests/cli/test_render.py")
"""The command line alone: what a change of Python or of its libraries breaks first."""

HARNESS = ("pytest>=8.3", "httpx2>=2", "httpx>=0.27", "imageio-ffmpeg>=0.5")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--extras", default=",".join(LIGHT_EXTRAS), help="comma-separated; empty for the core alone")
    parser.add_argument("--python", default="python3.10", help="interpreter of the new environment")
    parser.add_argument("--newest", action="store_true", help="the newest versions instead of the lowest")
    parser.add_argument("--quick", action="store_true", help="run the command line's tests only")
    parser.add_argument("--show", action="store_true", help="print the pinned requirements, and end")
    arguments = parser.parse_args()
    extras = [extra for extra in arguments.extras.split(",") if extra]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = sorted(set(lowest_pins(project, extras)))
    if arguments.newest:
        pins = [pin.replace("==", ">=") for pin in pins]
    print("\n".join(pins), flush=True)
    if arguments.show:
        return 0
    run(arguments.python, "-m", "venv", "--clear", str(ENVIRONMENT))
    python = str(ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    run(*pip, *pins, *HARNESS)
    run(*pip, "--no-deps", "--editable", ".")
    run(python, "-m", "pip", "--disable-pip-version-check", "check")
    run(python, "scripts/demo.py", "--out", "out/lowest")
    run(*tests_command(python, project, extras, quick=arguments.quick))
    return 0


def tests_command(python: str, project: dict[str, Any], extras: list[str], *, quick: bool) -> tuple[str, ...]:
    """Return the command that tests the core and some extras."""
    tests = [path for extra in ["", *all_extras(project, extras)] for path in TESTS.get(extra, ())]
    # Old releases warn of what newer Pythons and libraries deprecate; here it counts that they work.
    options = ("-p", "no:cacheprovider", "--override-ini", "filterwarnings=default")
    return (python, "-m", "pytest", *options, *(QUICK_TESTS if quick else tests))


def lowest_pins(project: dict[str, Any], extras: list[str]) -> Iterator[str]:
    """Yield "name==version" for the requirements of the core and of some extras: of two bounds the higher one counts.

    Args:
        project: the table [project] of pyproject.toml.
        extras: names in its optional dependencies.

    Raises:
        SystemExit: a requirement has no lower bound, or an extra does not exist.
    """
    optional = project["optional-dependencies"]
    requirements = [*project["dependencies"]]
    for extra in all_extras(project, extras):
        requirements += optional[extra]
    lowest: dict[str, str] = {}
    for requirement in requirements:
        match = REQUIREMENT.match(requirement.partition(";")[0].strip())
        if match is None or (match["name"] != project["name"] and not match["lowest"]):
            sys.exit(f"error: the requirement {requirement!r} must have the form name>=version")
        if match["name"] != project["name"]:
            name = f"{match['name']}{'[' + match['extras'] + ']' if match['extras'] else ''}"
            lowest[name] = max(lowest.get(name, "0"), match["lowest"], key=_numbers)
    yield from (f"{name}=={version}" for name, version in lowest.items())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def all_extras(project: dict[str, Any], extras: list[str]) -> list[str]:
    """Return the extras and those that they include, each once."""
    optional = project["optional-dependencies"]
    result: list[str] = []
    pending = list(extras)
    while pending:
        extra = pending.pop(0)
        if extra not in optional:
            sys.exit(f"error: the extra {extra!r} does not exist, choose from {', '.join(optional)}")
        if extra not in result:
            result.append(extra)
            included = [REQUIREMENT.match(text) for text in optional[extra] if text.startswith(f"{project['name']}[")]
            pending += [name.strip() for match in included if match for name in match["extras"].split(",")]
    return result


def run(*command: str) -> None:
    """Print and run a command in the root of the repository; end with its status if it fails."""
    print(f"$ {shlex.join(command)}", flush=True)
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)


if __name__ == "__main__":
    raise SystemExit(main())
