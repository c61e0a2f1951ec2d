"""Check the distributions in dist/ as a user meets them: what they contain, and that the installed wheel works.

    python -m build && python scripts/check_package.py

Installs the wheel with its extra "server" into a new virtual environment, segments a photo there, starts the studio and
fetches its page. Ends with status 1 and one line for each fault.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = "masklet/server/static/index.html"
NEEDED_IN_WHEEL = (PAGE, "masklet/models/nano/model.json", "masklet/models/nano/decode.onnx", "masklet/py.typed")
NEEDED_IN_SDIST = (f"src/{PAGE}", "web/package.json", "scripts/build_page", "hatch_build.py", "LICENSE", "README.md")
UNWANTED = ("node_modules/", "__pycache__/", ".venv")
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="folder of one wheel and, maybe, one sdist")
    parser.add_argument("--no-install", action="store_true", help="look into the files only")
    arguments = parser.parse_args()
    wheels, sdists = sorted(arguments.dist.glob("*.whl")), sorted(arguments.dist.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) > 1:
        sys.exit(f"error: {arguments.dist} must hold one wheel and at most one sdist, got {wheels + sdists}")
    faults = wheel_faults(wheels[0])
    for sdist in sdists:
        faults += sdist_faults(sdist)
    if not faults and not arguments.no_install:
        with tempfile.TemporaryDirectory() as folder:
            faults = use(wheels[0].resolve(), Path(folder))
    for fault in faults:
        print(f"fault: {fault}", file=sys.stderr)
    if not faults:
        print(f"fine: {', '.join(path.name for path in [*wheels, *sdists])}")
    return 1 if faults else 0


def wheel_faults(path: Path) -> list[str]:
    """Return what a wheel lacks or should not contain, one line each."""
    with zipfile.ZipFile(path) as wheel:
        return content_faults(path.name, wheel.namelist(), NEEDED_IN_WHEEL)


def sdist_faults(path: Path) -> list[str]:
    """Return what an sdist lacks or should not contain, one line each."""
    with tarfile.open(path) as sdist:
        names = [name.partition("/")[2] for name in sdist.getnames()]  # without the folder NAME-VERSION
    return content_faults(path.name, names, NEEDED_IN_SDIST)


def content_faults(name: str, files: list[str], needed: tuple[str, ...]) -> list[str]:
    """Return what a list of files lacks or should not contain, one line each."""
    faults = [f"{name} lacks {file}" for file in needed if file not in files]
    faults += [f"{name} contains {file}" for file in files if any(part in file for part in UNWANTED)]
    assets = [file for file in files if "server/static/assets/" in file]
    return faults if any(file.endswith(".js") for file in assets) else [*faults, f"{name} lacks the page's scripts"]


def use(wheel: Path, folder: Path) -> list[str]:
    """Install a wheel into a new environment in a folder, segment a photo and serve the studio; return what failed."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    subprocess.run([python, *PIP, "install", f"{wheel}[server]"], check=True, cwd=folder)
    out = folder / "out"
    photo = ROOT / "examples/media/cat.jpg"
    segment = [python, "-m", "masklet", "segment", str(photo), "--point", "220,170", "--out", str(out)]
    if subprocess.run(segment, check=False, cwd=folder).returncode or not list(out.glob("cat*")):
        return [f"masklet segment failed or wrote nothing to {out}"]
    serve = [python, "-m", "masklet", "serve", "--no-browser", "--port", "0", "--data", str(folder / "data")]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            assert process.stdout is not None
            address = next((match[0] for line in process.stdout if (match := re.search(r"http://\S+:\d+", line))), None)
            return page_faults(address) if address else ["masklet serve ended without an address"]
        finally:
            process.terminate()


def page_faults(address: str) -> list[str]:
    """Return what is wrong with the page of a running studio, one line each."""
    with urllib.request.urlopen(f"{address}/", timeout=60) as response:
        page = response.read().decode()
    assets = re.findall(r'(?:src|href)="/?(assets/[^"]+)"', page)
    faults = [] if assets else [f"the page names no assets: {page[:200]!r}"]
    for asset in assets:
        with urllib.request.urlopen(f"{address}/{asset}", timeout=60) as response:
            if not response.read(1) or "html" in response.headers["content-type"]:
                faults.append(f"{asset} is not served")
    with urllib.request.urlopen(f"{address}/readyz", timeout=60) as response:
        return faults if response.status == 200 else [*faults, f"/readyz answers {response.status}"]


if __name__ == "__main__":
    raise SystemExit(main())
