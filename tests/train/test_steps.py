"""Steps on the official architecture, what a teacher adds, and the losses of a tiny run, kept as text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from masklet.engine.torch_engine import TorchEngine
from masklet.memory.bank import MemoryConfig
from masklet.model.sam2 import SAM2
from masklet.train.distillation import Teacher
from masklet.train.losses import LossWeights, distillation_loss
from masklet.train.prompts import PointPrompts, PromptKind, clicks, first_prompts
from masklet.train.steps import StepConfig, StepResult, clip_step, draw_corrected_frames, image_step
from tests.model.tiny import SIZE, random_model

GOLDEN = Path(__file__).parent.parent / "golden" / "train_losses.txt"
SAM2_STEPS = StepConfig(
    clip_correction_probability=1.0,
    clip_corrections=2,
    clip_clicks=2,
    first_frame_correction_probability=1.0,
    tracks_with_candidates=True,
    memory=MemoryConfig(policy="official", spatial_slots=7, max_pointers=16),
)
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def batch(num_frames: int | None = None) -> Batch:
    """One image or clip of two moving squares."""
    generator = torch.Generator().manual_seed(1)
    times = range(num_frames or 1)
    rgb = torch.randint(0, 120, (1, len(times), SIZE, SIZE, 3), generator=generator, dtype=torch.uint8)
    masks = torch.zeros(1, 2, len(times), SIZE // 2, SIZE // 2, dtype=torch.bool)
    for time in times:
        masks[0, 0, time, 10:30, 5 + 4 * time : 25 + 4 * time] = True
        masks[0, 1, time, 36:60, 30:60] = True
    for row in range(2):
        rgb[0][masks[0, row].repeat_interleave(2, 1).repeat_interleave(2, 2)] = 100 + 100 * row
    void = torch.zeros(1, len(times), SIZE // 2, SIZE // 2, dtype=torch.bool)
    return (rgb, masks, void) if num_frames else (rgb[:, 0], masks[:, :, 0], void[:, 0])


def run_step(model: SAM2, num_frames: int | None, config: StepConfig = SAM2_STEPS, seed: int = 0) -> StepResult:
    torch.manual_seed(seed)
    step = clip_step if num_frames else image_step
    return step(model.train(), *batch(num_frames), config, LossWeights())


def test_the_official_architecture_learns_from_images_and_clips() -> None:
    model = random_model()
    model.mask_prompt_conv.requires_grad_(False)
    for num_frames in (None, 4):
        result = run_step(model, num_frames)
        assert torch.isfinite(result.loss)
        result.loss.backward()  # type: ignore[no-untyped-call]
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert result.metrics.keys() >= {"tracked", "tracked_last"}


def test_a_clip_can_be_learnt_from_pooled_memories() -> None:
    model = random_model()
    exact, pooled = (
        run_step(model, 4, replace(SAM2_STEPS, pooled_memories=probability)).metrics["tracked"]
        for probability in (0.0, 1.0)
    )
    assert exact != pooled
    assert 0 <= pooled <= 1


def test_frames_to_correct() -> None:
    torch.manual_seed(0)
    drawn = [draw_corrected_frames(5, SAM2_STEPS) for _ in range(40)]
    assert {len(frames) for frames in drawn} == {1, 2}
    assert set().union(*drawn) == {1, 2, 3, 4}
    assert draw_corrected_frames(1, SAM2_STEPS) == frozenset()
    assert draw_corrected_frames(5, StepConfig(clip_correction_probability=0.0)) == frozenset()


def test_a_correction_is_a_click_and_a_padding_point() -> None:
    prompts = clicks(torch.tensor([[0.5, 0.25]]), torch.tensor([0]))
    assert prompts.labels.tolist() == [[0, -1]]
    assert prompts.points_01.tolist() == [[[0.5, 0.25], [0.0, 0.0]]]


def test_a_model_has_nothing_to_learn_from_itself() -> None:
    model = random_model()
    rgb, masks, _ = batch()
    target = masks.flatten(0, 1)[:, None].float()
    torch.manual_seed(0)
    points = first_prompts(target, torch.tensor([PromptKind.CLICK, PromptKind.BOX]), box_jitter=0.0)
    teacher_batch = Teacher(TorchEngine(model)).encode_images(rgb, 2)
    taught, has_answer = teacher_batch.answer(points)
    assert has_answer.tolist() == [True, True]
    assert taught.shape == (2, 3, SIZE // 4, SIZE // 4)
    valid = torch.ones(2, 1, SIZE // 4, SIZE // 4)
    assert distillation_loss(taught, taught, valid).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert distillation_loss(taught.flip(1), taught, valid).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert (distillation_loss(-taught, taught, valid) > 0.02).all()
    corrected = points.add(torch.full((2, 2), 0.5), torch.tensor([1, 0]))
    again, has_answer = teacher_batch.answer(corrected)
    assert has_answer.all()
    assert not torch.equal(taught, again)


def test_a_teacher_gets_only_prompts_that_a_user_can_give() -> None:
    teacher_batch = Teacher(TorchEngine(random_model())).encode_images(batch()[0], 2)
    padding = PointPrompts(torch.zeros(2, 2, 2), torch.full((2, 2), -1))
    assert teacher_batch.answer(padding).has_answer.tolist() == [False, False]
    click = padding.add(torch.full((2, 2), 0.5), torch.tensor([1, 0]))
    assert teacher_batch.answer(click).has_answer.tolist() == [False, False]  # a correction of what it never said


def test_a_student_comes_closer_to_its_teacher() -> None:
    teacher, student = Teacher(TorchEngine(random_model(seed=1))), random_model(seed=2).train()
    optimizer = torch.optim.Adam(student.mask_decoder.parameters(), lr=3e-3)
    weights = LossWeights(pixel=0, dice=0, iou=0, object_score=0, distillation=1.0)
    config = StepConfig(image_clicks=1, image_prompts=(0.5, 0.5, 0.0))
    away = []
    for _ in range(12):
        torch.manual_seed(0)
        result = image_step(student, *batch(), config, weights, teacher)
        optimizer.zero_grad()
        result.loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        away.append(result.metrics["teacher"])
    assert away[-1] < 0.8 * away[0]


def test_losses_of_a_tiny_run_equal_the_recorded_ones() -> None:
    """A change of these numbers is a change of the training: say so, and write them anew with MASKLET_GOLDEN=write."""
    model = random_model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    found = []
    for step in range(6):
        result = run_step(model, 3 if step % 2 else None, seed=step)
        optimizer.zero_grad()
        result.loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found.append((step, "clip" if step % 2 else "image", result.loss.item()))
    if os.environ.get("MASKLET_GOLDEN") == "write":
        GOLDEN.write_text("".join(f"{step} {kind} {loss:.6f}\n" for step, kind, loss in found), encoding="utf-8")
    lines = [line.split() for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    assert [(step, kind) for step, kind, _ in found] == [(int(step), kind) for step, kind, _ in lines]
    assert [loss for _, _, loss in found] == pytest.approx([float(loss) for *_, loss in lines], rel=2e-3)
