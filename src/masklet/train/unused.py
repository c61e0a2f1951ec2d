"""Data that a training does not use: named in the run's folder, so that one broken file does not end a long run."""

from __future__ import annotations

from pathlib import Path

from masklet.datasets.files import Faults
from masklet.output import make_folder

UNUSED = "unused_data.txt"


class UnusedData:
    """The list of what a run does not use and why, one line each, to which all of its processes append.

    Args:
        path: the file; it and its folder are made with the first line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: set[str] = set()

    def clear(self) -> None:
        """Remove the lines of an earlier start of the run, after which files may have been mended."""
        self._path.unlink(missing_ok=True)

    def add(self, reason: object) -> None:
        """Append a line, unless the file has it already."""
        line = " ".join(str(reason).split())
        if line in self._lines:
            return
        self._lines |= {line, *read_unused(self._path)}
        if line not in read_unused(self._path):
            make_folder(self._path.parent)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def add_faults(self, faults: Faults) -> None:
        """Append what was wrong with single files when their data set was opened."""
        for fault in faults:
            self.add(f"left out: {fault}")


def read_unused(path: Path) -> list[str]:
    """Return the lines of a run, none if everything is used; processes may have written one of them twice."""
    if not path.is_file():
        return []
    return list(dict.fromkeys(path.read_text(encoding="utf-8").splitlines()))
