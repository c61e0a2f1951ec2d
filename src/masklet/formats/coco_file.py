"""A COCO file that grows: annotations go to it as they come, images wait in a temporary file and follow at the end.

So the memory does not grow with the video, and a run that is stopped leaves valid JSON.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pycocotools import mask as coco_mask

from masklet.errors import OutputError
from masklet.masks.operations import CocoRle
from masklet.output import atomic_path, check_writable


def coco_annotation(rle: CocoRle, *, category_id: int = 1, **more: Any) -> dict[str, Any]:
    """A mask as COCO has it, without the ids that `CocoFile` gives; `more` are further fields, or replace these.

    Raises:
        ValueError: the mask is empty: it has no box.
    """
    area = int(coco_mask.area(rle))
    if not area:
        raise ValueError("an empty mask has no box")
    return {
        "category_id": category_id,
        "segmentation": rle,
        "area": area,
        "bbox": [float(value) for value in coco_mask.toBbox(rle)],
        "iscrowd": 0,
        **more,
    }


class CocoFile:
    """Writes one COCO JSON; a context manager, which finishes the file in every case."""

    def __init__(
        self, path: str | Path, about: Mapping[str, Any], categories: Sequence[str], *, keep_partial: bool = True
    ) -> None:
        """Prepare; the file is opened with the first image.

        Args:
            path: an existing file is replaced in the end.
            about: the field `info`.
            categories: names; the first has id 1.
            keep_partial: keep what there is when the block fails.

        Raises:
            OutputError: the place cannot be written.
        """
        self.path = check_writable(path)
        self.num_images = self.num_annotations = 0
        self._about = dict(about)
        self._categories = [{"id": number, "name": name} for number, name in enumerate(categories, start=1)]
        self._keep_partial = keep_partial
        self._stack = ExitStack()
        self._files: tuple[IO[str], IO[str]] | None = None  # annotations, images

    def add(self, image: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]]) -> None:
        """Add an image and what is on it; ids of annotations are given here, from 1.

        Args:
            image: with its `id`.
            annotations: without `id` and `image_id`.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            file, images = self._files or self._open()
            lines = []
            for annotation in annotations:
                self.num_annotations += 1
                whole = {"id": self.num_annotations, "image_id": image["id"], **annotation}
                lines.append(("," if self.num_annotations > 1 else "") + "\n" + json.dumps(whole))
            # Whole frames in one call each, so that an interrupt cannot leave half a record.
            images.write(("," if self.num_images else "") + "\n" + json.dumps(image))
            self.num_images += 1
            file.write("".join(lines))
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error

    def to_finish(self) -> int:
        """Bytes that finishing takes."""
        return 0 if self._files is None else self._files[1].tell()

    def _open(self) -> tuple[IO[str], IO[str]]:
        temporary = self._stack.enter_context(atomic_path(self.path, keep_partial=self._keep_partial))
        file = self._stack.enter_context(temporary.open("w", encoding="utf-8"))
        images = self._stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))  # noqa: SIM115
        file.write(
            f'{{"info": {json.dumps(self._about)},\n"categories": {json.dumps(self._categories)},\n"annotations": ['
        )
        self._files = file, images
        self._stack.callback(self._finish)
        return self._files

    def _finish(self) -> None:
        assert self._files is not None
        file, images = self._files
        file.write('\n],\n"images": [')
        images.seek(0)
        while block := images.read(1 << 20):
            file.write(block)
        file.write("\n]}\n")

    def __enter__(self) -> CocoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)
