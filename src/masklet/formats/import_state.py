"""What an import has read so far, shared by the readers of all formats."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from masklet.errors import DataError
from masklet.foreign.file_names import name_parts
from masklet.masks.drawing import Color
from masklet.records import BoolArray
from masklet.tracking.mask_rows import given_row
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.masklets import ObjectInfo


@dataclass(slots=True)
class ImportState:
    """The medium, and the masks and objects so far."""

    size_hw: tuple[int, int]
    num_frames: int
    file_name: str
    """Name of the medium, with as many folders as are known."""
    max_masks: int
    store: MaskStore = field(default_factory=MaskStore)
    objects: dict[int, ObjectInfo] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """How frames and objects were matched, where the files left it open."""
    num_masks: int = 0
    classes: dict[str, Color | None] = field(default_factory=dict)
    """Colours of all classes that the files list, by name."""
    has_ids: bool = True
    """False if the files do not number the objects."""
    _written: set[tuple[int, int]] = field(default_factory=set)

    @property
    def name_parts(self) -> tuple[str, ...]:
        """Folders and file name of the medium."""
        parts = name_parts(self.file_name)
        return parts[0] if parts else ()

    @property
    def stem(self) -> str:
        """The medium's file name without its suffix."""
        return PurePosixPath(self.name_parts[-1]).stem if self.name_parts else ""

    def add(
        self,
        frame_index: int,
        object_id: int,
        mask: BoolArray,
        where: str,
        *,
        score: float | None = None,
        confidence: float | None = None,
        accepted: bool = False,
    ) -> None:
        """Add a mask; a second one of the same object and frame is another part of it.

        Args:
            frame_index: the frame.
            object_id: the object.
            mask: (H, W).
            where: the file and its entry, for messages.
            score: predicted IoU in [0, 1].
            confidence: expected IoU in [0, 1].
            accepted: whether a user has checked it.

        Raises:
            DataError: there are too many masks.
        """
        height, width = self.size_hw
        if mask.shape != self.size_hw:
            self.skip(f"{where}: the mask is {mask.shape[1]} x {mask.shape[0]}, the medium {width} x {height}")
        elif not 0 <= frame_index < self.num_frames:
            self.skip(f"{where}: there is no frame {frame_index}, the medium has {self.num_frames}")
        elif self.num_masks >= self.max_masks:
            raise DataError(f"more than {self.max_masks:,} masks: import them in parts")
        elif mask.any():
            key = (frame_index, object_id)
            if key in self._written:
                mask = mask | self._mask_of(object_id, frame_index)
            else:
                self.num_masks += 1
            self._written.add(key)
            row = given_row(
                frame_index,
                object_id,
                np.ascontiguousarray(mask),
                iou_prediction=1.0 if score is None else score,
                confidence=confidence,
                accepted=accepted,
            )
            self.store.write([row])
            self.objects.setdefault(object_id, ObjectInfo(object_id))

    def _mask_of(self, object_id: int, frame_index: int) -> BoolArray:
        row = self.store.mask(object_id, frame_index)
        assert row is not None
        return row.mask

    def skip(self, why: str) -> None:
        """Note a mask that cannot be used."""
        self.skipped.append(why)

    def note(self, how: str) -> None:
        """Note how something was matched, once."""
        if how not in self.notes:
            self.notes.append(how)
