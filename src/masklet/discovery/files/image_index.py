"""Finds the detections of single images in a file for many, without comparing each image with all names."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from masklet.discovery.files.selection import is_listed
from masklet.discovery.files.table import DetectionTable
from masklet.foreign.file_names import casefolded_stem, name_parts


class ImageIndex:
    """The images of a table by the stems of their names and by their ids.

    Args:
        table: entries of a file that names images. It is not changed.
    """

    def __init__(self, table: DetectionTable) -> None:
        self._table = table
        self._by_stem: defaultdict[str, list[int]] = defaultdict(list)
        self._by_id: defaultdict[str, list[int]] = defaultdict(list)
        for position, image in enumerate(table.images or ()):
            for stem in {casefolded_stem(parts[-1]) for parts in image.names}:
                self._by_stem[stem].append(position)
            self._by_id[image.id].append(position)
        numbers = table.frame_numbers()
        self._rows = np.argsort(numbers, kind="stable")
        self._numbers = numbers[self._rows]

    def table_of(self, file_name: str) -> DetectionTable | None:
        """Return the entries of the images that a file may be; None if the table does not name it.

        Problems of the whole table are not among them.

        Args:
            file_name: with as many folders as are known.
        """
        paths = name_parts(file_name)
        if not paths:
            return None
        stem = casefolded_stem(paths[0][-1])
        positions = set(self._by_stem.get(stem, ()))
        if stem.isdigit():  # COCO results name 000000000139.jpg by the id 139
            positions.update(self._by_id.get(str(int(stem)), ()))
        if not positions:
            return None
        ordered = sorted(positions)
        rows = np.concatenate([self._rows_of(position) for position in ordered])
        table = self._table.part(ordered, np.sort(rows).tolist())
        return table if is_listed(table, file_name) else None

    def _rows_of(self, position: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        first, last = np.searchsorted(self._numbers, [position, position + 1])
        return self._rows[first:last]
