"""Discovery in an open medium: objects that are found are added to its annotations once they are confirmed.

A tracker of its own finds and follows them, with its masks in a temporary file: what turns out to be no object never
reaches the annotations. Objects that the medium has already are followed too, so that they are not found again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from masklet.discovery import DiscoveryConfig
from masklet.engine.protocol import Engine
from masklet.masks.rle import decode_rle, rle_area
from masklet.media.source import FrameSource
from masklet.prompts import Prompt, mask_document
from masklet.server.annotation.new_objects import unique_name
from masklet.server.annotation.store import AnnotatedObject, AnnotationStore, SavedPrompt
from masklet.server.colors import default_color
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.tracker import Direction, Tracker


class Discovery:
    """One run of discovery. The workspace's lock must be held for every call, and its operation be open.

    Args:
        engine: the shared model.
        store: the medium's annotations.
        source: frames of the medium, for this run alone. `close` closes it.
        config: the rules.
    """

    def __init__(
        self, engine: Engine[Any], store: AnnotationStore, source: FrameSource, config: DiscoveryConfig
    ) -> None:
        self._store = store
        self._source = source
        self._config = config
        self._masks = MaskStore()
        self._tracker: Tracker[Any] = Tracker(engine, source, store=self._masks)
        self._ids: dict[int, int] = {}
        """Ids in the annotations of the objects that are followed, by the tracker's ids. Tentative ones have none."""
        self._prompts: dict[tuple[int, int], str] = {}
        """Run-length codes of the prompts that the tracker has, by object id in the annotations and frame index."""
        self._num_found = 0
        for saved in store.prompts():
            if saved.rle is not None and rle_area(saved.rle):
                self._ids[saved.object_id] = saved.object_id
        self.take_prompts()

    def take_prompts(self) -> None:
        """Give the tracker the prompts of the objects that it follows, as far as they are new or have changed."""
        tracker_ids = {object_id: tracker_id for tracker_id, object_id in self._ids.items()}
        for saved in self._store.prompts():
            key = saved.object_id, saved.frame_index
            if saved.object_id not in tracker_ids or saved.rle is None or not rle_area(saved.rle):
                continue
            if self._prompts.get(key) != saved.rle["counts"]:
                self._prompts[key] = saved.rle["counts"]
                # The answer that is shown, whichever candidate it was.
                prompt = Prompt(mask=decode_rle(saved.rle))
                self._tracker.restore_prompt(
                    tracker_ids[saved.object_id], saved.frame_index, prompt, initial=saved.initial
                )

    @property
    def num_objects(self) -> int:
        """Number of objects that have been added."""
        return self._num_found

    @property
    def num_refused(self) -> int:
        """Detections that started no track because too many objects were tracked."""
        return self._tracker.num_refused

    def run(self, direction: Direction, start: int | None, stop: int | None) -> Iterator[tuple[int, Sequence[MaskRow]]]:
        """Return the tracker's frames with its rows, to be passed to `keep` one after the other."""
        return self._tracker.discover_rows(config=self._config, direction=direction, start=start, stop=stop)

    def keep(self, rows: Sequence[MaskRow]) -> bool:
        """Store the rows of a frame, and what was decided on it. Nothing that is stored is overwritten.

        Args:
            rows: those of one frame; none after the last frame, when open decisions have been made.

        Returns:
            True if objects were added.
        """
        if rows:
            self._write_missing(rows[0].frame_index, rows)
        confirmed = {i for i, item in self._tracker.discovered.items() if item.state != "tentative"}
        new = sorted(confirmed - self._ids.keys())
        for tracker_id in new:
            self._add(tracker_id)
        return bool(new)

    def _write_missing(self, frame_index: int, rows: Sequence[MaskRow]) -> None:
        """Write the rows of objects that have neither a mask nor a prompt on the frame, and are not locked.

        So what a user has accepted, drawn or prompted stays, and so do masks that a prompt has outdated.
        """
        kept = {row.object_id for row in self._store.frame(frame_index)}
        kept |= {prompt.object_id for prompt in self._store.prompts(frame_index=frame_index)}
        kept |= {row.object_id for row in self._store.objects() if row.locked}
        followed = [self._with_own_id(row) for row in rows if row.object_id in self._ids]
        self._store.write([row for row in followed if row.object_id not in kept])

    def _with_own_id(self, row: MaskRow) -> MaskRow:
        return replace(row, object_id=self._ids[row.object_id])

    def _add(self, tracker_id: int) -> None:
        """Add an object with all masks that it has so far."""
        item = self._tracker.discovered[tracker_id]
        own_id = self._store.new_object_id()
        name = unique_name(f"Object {own_id}", {row.name for row in self._store.objects()})
        self._store.write_object(AnnotatedObject(own_id, name, item.label, default_color(own_id - 1)))
        self._ids[tracker_id] = own_id
        self._num_found += 1
        first, last = self._tracker.tracked_frames or (0, -1)
        masks = (self._masks.mask(tracker_id, index) for index in range(first, last + 1))
        rows = [self._with_own_id(row) for row in masks if row is not None]
        self._store.write(rows)
        for row in rows:
            if row.prompted and rle_area(row.rle):
                self._store.write_prompt(_prompt_of(row))
                self._prompts[own_id, row.frame_index] = row.rle["counts"]

    def close(self) -> None:
        """Close the tracker, its masks and the source."""
        self._tracker.close()
        self._masks.close()
        self._source.close()


def _prompt_of(row: MaskRow) -> SavedPrompt:
    """Return a mask as the prompt that leads to it."""
    return SavedPrompt(
        row.object_id,
        row.frame_index,
        mask_document(row.rle),
        time_s=row.time_s,
        rle=row.rle,
        iou_prediction=row.iou_prediction,
        object_score=row.object_score,
        confidence=row.confidence,
    )
