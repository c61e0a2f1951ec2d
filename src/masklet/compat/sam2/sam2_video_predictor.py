"""Official `sam2_video_predictor.py`: objects in videos."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from masklet.checks import check_flag, check_number
from masklet.compat.sam2.arguments import (
    make_prompt,
    to_array,
    to_boxes,
    to_frame,
    to_labels,
    to_object_id,
    to_pixels,
)
from masklet.compat.sam2.inference_state import InferenceState, TrackedObject
from masklet.compat.sam2.model import SAM2Base, engine_of
from masklet.compat.sam2.utils.misc import FILLED_LOGIT, VideoTensors
from masklet.errors import ConfigError, MaskletError, PromptError, TrackingError, VideoError
from masklet.masks.operations import without_small_parts
from masklet.media.source import VideoSource, open_source
from masklet.memory.bank import MemoryConfig
from masklet.prompts import Prompt
from masklet.records import (
    ABSENT_LOGIT,
    PREVIOUS_LOGIT_LIMIT,
    Decoded,
    FloatArray,
    FrameMasks,
    FrameMemory,
    ImageFeatures,
)
from masklet.tracking.tracker import Tracker

if TYPE_CHECKING:
    from typing_extensions import Self

OVERLAP_LOGIT = -10.0
"""Highest logit of pixels that `non_overlap_masks` takes away."""

Output = tuple[int, list[Any], Tensor]
"""Frame index, object ids, and their logits (N, 1, H, W) in source size, float32 on the device of the model."""


class SAM2VideoPredictor(SAM2Base):
    """Tracks objects through videos, in any order and as often as wanted, with all frames kept in memory.

    Args:
        engine: an engine or a `masklet.Model`; `build_sam2_video_predictor` makes it from a checkpoint.
        fill_hole_area: holes of up to so many low-res pixels are filled.
        non_overlap_masks: a pixel goes to the object of the highest logit.
        binarize_mask_from_pts_for_mem_enc: masks of prompted frames are remembered as binary.
        memory: arguments of `MemoryConfig.official` in addition to `retention="all"`.
    """

    def __init__(
        self,
        engine: Any,
        *,
        fill_hole_area: int = 0,
        non_overlap_masks: bool = False,
        binarize_mask_from_pts_for_mem_enc: bool = True,
        memory: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(engine_of(engine))
        self.fill_hole_area = int(check_number("fill_hole_area", fill_hole_area, least=0))
        self.non_overlap_masks = check_flag("non_overlap_masks", non_overlap_masks)
        binarize = check_flag("binarize_mask_from_pts_for_mem_enc", binarize_mask_from_pts_for_mem_enc)
        self.binarize_mask_from_pts_for_mem_enc = binarize
        self.memory = memory or {}

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> Self:
        """Build one with the weights of a hub repository; arguments are those of `build_sam2_video_predictor`."""
        from masklet.compat.sam2.build_sam import build_sam2_video_predictor_hf

        built = build_sam2_video_predictor_hf(model_id, **kwargs)
        return cls(
            built,
            fill_hole_area=built.fill_hole_area,
            non_overlap_masks=built.non_overlap_masks,
            binarize_mask_from_pts_for_mem_enc=built.binarize_mask_from_pts_for_mem_enc,
            memory=built.memory,
        )

    def init_state(
        self,
        video_path: VideoSource,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> InferenceState:
        """Open a video.

        Args:
            video_path: a folder of images, a file, a (T, H, W, 3) array, a list of images, ...: see `open_source`.
            offload_video_to_cpu: taken and not needed: frames are read when they are looked at.
            offload_state_to_cpu: keep memories and outputs in host memory.
            async_loading_frames: taken and not needed.

        Raises:
            VideoError: it cannot be opened, or has no known length (a camera).
        """
        source = open_source(video_path)
        info = source.info
        if info.num_frames is None:
            raise VideoError(f"{info.name} has no known number of frames: for live video use masklet.Tracker")
        rules = MemoryConfig.official(
            **{
                "retention": "all",
                "spatial_slots": self.engine.info.spatial_slots,
                "max_pointers": self.engine.info.max_pointers,
                **self.engine.info.defaults,  # none for official models
                **self.memory,
            }
        )
        tracker: Tracker[Any] = Tracker(_AsOfficial(self, offload_state_to_cpu), source, memory=rules)
        height, width = info.size_hw
        return InferenceState(
            tracker,
            {
                "images": VideoTensors(source, self.image_size, "cpu" if offload_video_to_cpu else self.device),
                "num_frames": info.num_frames,
                "video_height": height,
                "video_width": width,
                "device": self.device,
                "storage_device": torch.device("cpu") if offload_state_to_cpu else self.device,
                "offload_video_to_cpu": offload_video_to_cpu,
                "offload_state_to_cpu": offload_state_to_cpu,
            },
        )

    def add_new_points_or_box(
        self,
        inference_state: InferenceState,
        frame_idx: int,
        obj_id: Any,
        points: Any = None,
        labels: Any = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: Any = None,
    ) -> Output:
        """Say where an object is on a frame, or correct what was found there.

        Args:
            inference_state: from `init_state`.
            frame_idx: the frame, from 0.
            obj_id: a new one begins a new object. Equal numbers are one object, whatever library they come from.
            points: (P, 2) x and y.
            labels: (P,) 1 on the object, 0 not on it, -1 for points that fill up an array.
            clear_old_points: forget the points given on this frame before; the mask that they gave is corrected all
                the same.
            normalize_coords: coordinates are pixels; else fractions of the width and height.
            box: (4,) left, top, right, bottom.

        Returns:
            The masks of all objects on this frame.

        Raises:
            PromptError: nothing is given, or it does not fit the frame or itself.
            TrackingError: the frame does not exist.
        """
        state = _checked(inference_state)
        frame_idx, obj_id = to_frame(frame_idx), to_object_id(obj_id)
        points_xy, point_labels, box_xyxy = _in_pixels(points, labels, box, state.size_hw, normalize=normalize_coords)
        if box is not None and not clear_old_points:
            raise PromptError("a box must come before the points of its frame: leave clear_old_points True")
        entry = state.objects.get(obj_id)
        if entry is not None and not clear_old_points and frame_idx in entry.points:
            old_points, old_labels, box_xyxy = entry.points[frame_idx]
            points_xy = np.concatenate([old_points, points_xy])
            point_labels = np.concatenate([old_labels, point_labels])
        corrected = None if entry is None else entry.output(frame_idx)
        logits = None if corrected is None else _limited(corrected)
        prompt = make_prompt(points_xy, point_labels, box_xyxy, logits)
        answer = self._add_prompt(state, frame_idx, obj_id, prompt)
        answer.points[frame_idx] = points_xy, point_labels, box_xyxy
        return self._output(state, frame_idx)

    def add_new_points(self, *args: Any, **kwargs: Any) -> Output:
        """The earlier name of `add_new_points_or_box`."""
        return self.add_new_points_or_box(*args, **kwargs)

    def add_new_mask(self, inference_state: InferenceState, frame_idx: int, obj_id: Any, mask: Any) -> Output:
        """Say what an object is on a frame.

        Args:
            inference_state: from `init_state`.
            frame_idx: the frame, from 0.
            obj_id: a new one begins a new object.
            mask: (H, W) of the frame's size: bool, 0 and 1, 0 to 255, probabilities or logits.

        Returns:
            The masks of all objects on this frame.

        Raises:
            PromptError: the mask has another size or shape, or is empty.
            TrackingError: the frame does not exist.
        """
        state = _checked(inference_state)
        frame_idx, obj_id = to_frame(frame_idx), to_object_id(obj_id)
        answer = self._add_prompt(state, frame_idx, obj_id, Prompt.create(mask=mask, size_hw=state.size_hw))
        answer.points.pop(frame_idx, None)
        return self._output(state, frame_idx)

    def propagate_in_video(
        self,
        inference_state: InferenceState,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Output]:
        """Track all objects, frame by frame, as the results are asked for.

        Args:
            inference_state: from `init_state`.
            start_frame_idx: first frame; the earliest on which an object was first prompted when left out.
            max_frame_num_to_track: frames after that one; all when left out.
            reverse: towards the beginning of the video.

        Yields:
            The masks of all objects on each frame.

        Raises:
            TrackingError: nothing is prompted, or an object has lost its last prompt; the frame does not exist.
            VideoError: the video breaks off, after the frames before the break.
        """
        state = _checked(inference_state)
        self._take_in(state)
        last = state["num_frames"] - 1
        initial = [frame for entry in state.objects.values() for frame in entry.initial]
        start = min(initial) if start_frame_idx is None else to_frame(start_frame_idx, "start_frame_idx")
        count = last + 1
        if max_frame_num_to_track is not None:
            count = to_frame(max_frame_num_to_track, "max_frame_num_to_track")
        if reverse and start == 0:
            return
        stop = max(start - count, 0) - 1 if reverse else min(start + count, last) + 1
        way = state.tracker.run("backward" if reverse else "forward", start=start, stop=None if stop < 0 else stop)
        with closing(_with_bar(way, abs(stop - start))) as frames:
            for masks in frames:
                for entry in state.objects.values():
                    answer = state.tracker.answers.get(entry.number)
                    if answer is not None:
                        entry.outputs[masks.frame_index] = self._low_res(state, answer)
                        entry.tracked.add(masks.frame_index)
                yield self._output(state, masks.frame_index)

    def clear_all_prompts_in_frame(
        self, inference_state: InferenceState, frame_idx: int, obj_id: Any, need_output: bool = True
    ) -> Output | None:
        """Take back what was said of an object on a frame.

        Returns:
            The masks of all objects on this frame; None without `need_output`.

        Raises:
            TrackingError: the object is unknown.
        """
        state = _checked(inference_state)
        entry, frame_idx = state.entry(obj_id), to_frame(frame_idx)
        if entry.number in state.tracker.prompts.get(frame_idx, {}):
            state.tracker.unprompt(entry.number, frame_idx, keep_memory=True)
        entry.points.pop(frame_idx, None)
        entry.fresh.pop(frame_idx, None)
        if frame_idx in entry.initial:
            entry.initial.discard(frame_idx)
            entry.tracked.discard(frame_idx)
        return self._output(state, frame_idx) if need_output else None

    def remove_object(
        self, inference_state: InferenceState, obj_id: Any, strict: bool = False, need_output: bool = True
    ) -> tuple[list[Any], list[tuple[int, Tensor]]]:
        """Forget an object.

        Returns:
            The ids that are left, and (frame index, masks) of the frames on which the object was prompted, where there
            are others and `need_output`.

        Raises:
            TrackingError: `strict`, and the object is unknown.
        """
        state, obj_id = _checked(inference_state), to_object_id(obj_id)
        if obj_id not in state.objects and not strict:
            return state["obj_ids"], []
        entry = state.entry(obj_id)
        frames = sorted(entry.initial | set(entry.points))
        state.tracker.remove(entry.number)
        del state.objects[obj_id]
        state.list_objects()
        updated = [(index, self._output(state, index)[2]) for index in frames] if state.objects and need_output else []
        return state["obj_ids"], updated

    def reset_state(self, inference_state: InferenceState) -> None:
        """Forget all objects; the video stays open."""
        state = _checked(inference_state)
        state.tracker.reset()
        state.objects.clear()
        state.list_objects()

    def _add_prompt(self, state: InferenceState, frame_idx: int, obj_id: Any, prompt: Prompt) -> TrackedObject:
        """Prompt the tracker, and keep its answer."""
        entry = state.objects.get(obj_id) or TrackedObject(state.new_number())
        state.tracker.prompt(entry.number, frame_idx, prompt, clear=True)
        try:
            state.tracker.preview(frame_idx)
        except MaskletError:
            if obj_id not in state.objects:
                state.tracker.remove(entry.number)
            raise
        if obj_id not in state.objects:
            state.objects[obj_id] = entry
            state.list_objects()
        entry.fresh[frame_idx] = self._low_res(state, state.tracker.answers[entry.number])
        if frame_idx not in entry.tracked or self.memory.get("corrections_stay"):
            entry.initial.add(frame_idx)
        return entry

    @staticmethod
    def _take_in(state: InferenceState) -> None:
        """Merge prompts since the last propagation into the outputs."""
        if not state.objects:
            raise TrackingError("nothing to track yet: say what the objects are with add_new_points_or_box first")
        for obj_id, entry in state.objects.items():
            if not entry.initial:
                raise TrackingError(f"object {obj_id!r} has no prompt left: give one, or remove the object")
            entry.outputs.update(entry.fresh)
            entry.fresh.clear()

    @torch.inference_mode()
    def _low_res(self, state: InferenceState, answer: Decoded[Any]) -> Tensor:
        """(h, w) logits to be shown and corrected."""
        logits = torch.as_tensor(answer.low_res_logits)[answer.chosen].float()
        if not answer.is_present:
            logits = torch.full_like(logits, ABSENT_LOGIT)
        elif self.fill_hole_area:
            logits = torch.from_numpy(_filled(logits.cpu().numpy(), self.fill_hole_area))
        return logits.to(state["storage_device"])

    @torch.inference_mode()
    def _output(self, state: InferenceState, frame_idx: int) -> Output:
        height, width = state.size_hw
        masks = torch.full((len(state.objects), 1, height, width), ABSENT_LOGIT, device=self.device)
        for row, entry in enumerate(state.objects.values()):
            logits = entry.output(frame_idx)
            if logits is not None:
                planes = logits.to(self.device)[None, None]
                masks[row] = F.interpolate(planes, (height, width), mode="bilinear", align_corners=False)[0]
        if self.non_overlap_masks and len(masks) > 1:
            rows = torch.arange(len(masks), device=self.device)[:, None, None, None]
            is_highest = masks.argmax(0, keepdim=True) == rows
            masks = torch.where(is_highest, masks, masks.clamp(max=OVERLAP_LOGIT))
        return frame_idx, state["obj_ids"], masks


class _AsOfficial:
    """An engine that remembers as the official predictor does: prompted masks without small holes, and where it was
    told to. All else is done by the predictor's own engine."""

    def __init__(self, predictor: SAM2VideoPredictor, offload: bool) -> None:
        self.engine, self.predictor, self.offload = predictor.engine, predictor, offload

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "engine" not in vars(self):  # while it is being copied
            raise AttributeError(name)
        return getattr(self.engine, name)

    def encode_memory(
        self, features: ImageFeatures[Any], decoded: Sequence[Decoded[Any]], prompted: Sequence[bool]
    ) -> list[FrameMemory[Any]]:
        filled = [
            self._filled(answer) if is_prompted else answer
            for answer, is_prompted in zip(decoded, prompted, strict=True)
        ]
        binary = [is_prompted and self.predictor.binarize_mask_from_pts_for_mem_enc for is_prompted in prompted]
        memories = self.engine.encode_memory(features, filled, binary)
        if not self.offload:
            return memories
        return [replace(memory, spatial=torch.as_tensor(memory.spatial).cpu()) for memory in memories]

    def _filled(self, decoded: Decoded[Any]) -> Decoded[Any]:
        area = self.predictor.fill_hole_area
        if not area or not decoded.is_present:
            return decoded
        planes = self.to_numpy(decoded.low_res_logits).copy()
        planes[decoded.chosen] = _filled(planes[decoded.chosen], area)
        return replace(decoded, low_res_logits=self.engine.from_numpy(planes))


def _checked(state: Any) -> InferenceState:
    if not isinstance(state, InferenceState):
        raise ConfigError(f"inference_state must come from init_state(...), got {type(state).__name__}")
    return state


def _filled(logits: FloatArray, area: int) -> FloatArray:
    return without_small_parts(logits, area, 0, margin=FILLED_LOGIT)


def _limited(logits: Tensor) -> FloatArray:
    limited: FloatArray = logits.clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT).cpu().numpy()
    return limited


def _in_pixels(
    points: Any, labels: Any, box: Any, size_hw: tuple[int, int], *, normalize: bool
) -> tuple[FloatArray, NDArray[Any], FloatArray | None]:
    """Points (P, 2), labels (P,) and box (4,), in pixels of the frame."""
    if (points is None) != (labels is None):
        raise PromptError("points and labels come together: give a label, 1 or 0, for each point")
    points_xy, point_labels = np.zeros((0, 2), np.float32), np.zeros(0, np.int32)
    if points is not None:
        values, point_labels = to_array(points, "points"), to_labels(labels, "labels")
        if values.ndim == 3 and len(values) == 1:  # (1, P, 2), as the official code takes it, too
            values, point_labels = values[0], point_labels.reshape(-1)
        if not values.size and not point_labels.size:
            values = values.reshape(0, 2)
        if values.ndim != 2 or values.shape[1] != 2 or point_labels.shape != values.shape[:1]:
            raise PromptError(f"points must be (P, 2) and labels (P,), got {np.shape(points)} and {np.shape(labels)}")
        points_xy = to_pixels(values, size_hw, normalize=normalize)
    boxes = np.zeros((0, 4), np.float32) if box is None else to_boxes(box, size_hw, normalize=normalize)
    if len(boxes) > 1:
        raise PromptError(f"box must be (4,), left, top, right, bottom, got {np.shape(box)}: an object has one box")
    if not len(points_xy) and not len(boxes):
        raise PromptError("the prompt is empty: give points or a box")
    return points_xy, point_labels, boxes[0] if len(boxes) else None


def _with_bar(frames: Iterator[FrameMasks], total: int) -> Generator[FrameMasks, None, None]:
    """Show a progress bar, as the official package does; without tqdm there is none."""
    try:
        from tqdm import tqdm  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        yield from frames
        return
    with tqdm(frames, desc="propagate in video", total=total) as bar:
        yield from bar
