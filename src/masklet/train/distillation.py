"""A teacher for distillation: any engine, run on the training images with the student's prompts.

It runs as it does for users, so an exported folder or an official checkpoint can teach, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from masklet.engine.protocol import Engine
from masklet.errors import PromptError
from masklet.prompts import PointLabel, Prompt
from masklet.records import FloatArray, ImageFeatures, Recall
from masklet.train.prompts import PointPrompts

NUM_CANDIDATES = 3


class TeacherAnswer(NamedTuple):
    """A teacher's masks of N objects."""

    logits: Tensor
    """(N, 3, h, w) candidates; a single one is repeated."""
    has_answer: Tensor
    """(N,) bool; False for prompts that a user cannot give: no click and no box, or a box without area."""


class Teacher:
    """A model that teaches another one.

    Args:
        engine: the model.
    """

    def __init__(self, engine: Engine[Any]) -> None:
        self._engine = engine

    def encode_images(self, rgb: Tensor, num_objects: int) -> TeacherBatch:
        """Encode (B, S, S, 3) uint8 images with K objects each."""
        return TeacherBatch(
            self._engine, [self._engine.encode_image(np.asarray(image.cpu())) for image in rgb], num_objects
        )


class TeacherBatch:
    """One batch of images encoded by a teacher. It keeps its last answers, for the next click to correct."""

    def __init__(self, engine: Engine[Any], features: list[ImageFeatures[Any]], num_objects: int) -> None:
        self._engine, self._features, self._num_objects = engine, features, num_objects
        self._shown: dict[int, FloatArray] = {}
        """Low-res logits (h, w) of the chosen candidate, by row."""
        self._is_first = True

    def answer(self, points: PointPrompts) -> TeacherAnswer:
        """Answer the prompts of all B * K objects."""
        side = self._engine.info.low_res_size
        logits = np.zeros((len(points.labels), NUM_CANDIDATES, side, side), np.float32)
        has_answer = np.zeros(len(points.labels), np.bool_)
        for number, features in enumerate(self._features):
            first = number * self._num_objects
            prompts = {
                row: prompt
                for row in range(first, first + self._num_objects)
                if (prompt := self._prompt(points, row, features.size_hw)) is not None
            }
            if not prompts:
                continue
            conditioned = self._engine.attend(features, [Recall() for _ in prompts])
            for row, decoded in zip(prompts, self._engine.decode(conditioned, list(prompts.values())), strict=True):
                candidates = self._engine.to_numpy(decoded.low_res_logits)
                logits[row], has_answer[row] = candidates, True
                self._shown[row] = candidates[decoded.chosen]
        self._is_first = False
        return TeacherAnswer(torch.tensor(logits), torch.tensor(has_answer))

    def _prompt(self, points: PointPrompts, row: int, size_hw: tuple[int, int]) -> Prompt | None:
        """Return points as a user's prompt; None if they are not one, or correct an answer that does not exist."""
        if not self._is_first and row not in self._shown:
            return None
        height, width = size_hw
        limit = np.array([width, height], np.float32)
        places = points.points_01[row].cpu().numpy() * limit
        labels = points.labels[row].cpu().numpy()
        is_click = np.isin(labels, (PointLabel.FOREGROUND, PointLabel.BACKGROUND))
        corners = np.isin(labels, (PointLabel.BOX_TOP_LEFT, PointLabel.BOX_BOTTOM_RIGHT))
        has_box = bool(corners.any())
        try:
            return Prompt.create(
                points_xy=np.minimum(places[is_click], limit - 0.01),
                labels=labels[is_click],
                box_xyxy=np.clip(places[corners].ravel(), 0, np.tile(limit, 2)) if has_box else None,
                previous_logits=self._shown.get(row),
                size_hw=size_hw,
            )
        except PromptError:
            return None
