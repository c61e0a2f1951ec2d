"""The same random weights in transformers' SAM 2 and in ours: every part agrees.

The tolerance is relative, and for masks it is also held inside the object, where a constant background cannot hide a
difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from masklet.model.sam2 import ABSENT_LOGIT, SAM2, Features, Masks

from .reference import Pair, assert_close, normalised, open_pair, pictures
from .tiny import GRID, SIZE, TINY, TINY_OLD


@pytest.fixture(scope="module", params=[TINY, TINY_OLD], ids=["sam2.1", "sam2"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with open_pair(request.param) as both:
        both.theirs.mask_decoder.dynamic_multimask_via_stability = False  # the engine's rule, and tested with it
        yield both


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def blobs(count: int, random: torch.Generator) -> Tensor:
    """(N, 1, S/4, S/4) mask logits of smooth shapes."""
    coarse = torch.randn(count, 1, 6, 6, generator=random) * 8
    return F.interpolate(coarse, size=(SIZE // 4, SIZE // 4), mode="bicubic")


def test_image_features_at_three_strides(pair: Pair, random: torch.Generator) -> None:
    pixels = pictures(2, random)
    features = pair.ours.encode_image(pixels)
    stride_4, stride_8, stride_16 = pair.theirs.get_image_embeddings(normalised(pixels))
    assert_close(features.high_res_4, stride_4)
    assert_close(features.high_res_8, stride_8)
    assert_close(features.unconditioned, stride_16)
    flat = pair.theirs.get_image_features(normalised(pixels), return_dict=True).fpn_hidden_states[-1]
    assert_close(features.embedding.flatten(2).permute(2, 0, 1), flat)


POINTS = {
    "a click": ([[30.0, 40.0]], [1]),
    "clicks on and off": ([[30.0, 40.0], [90.0, 20.0], [64.0, 127.0]], [1, 0, 1]),
    "nothing": ([], []),
    "a box": ([[10.0, 20.0], [100.0, 90.0]], [2, 3]),
    "a box and clicks": ([[30.0, 40.0], [90.0, 20.0], [10.0, 20.0], [100.0, 90.0]], [1, 0, 2, 3]),
}


def tokens(kind: str) -> tuple[Tensor, Tensor]:
    """Points and labels of one object, centred on pixels and padded as in `SAM2.decode`."""
    points, labels = POINTS[kind]
    padding = 2 if kind == "nothing" else 1  # without a point, an empty one is padded once more
    points_xy = torch.tensor([*points, *[[0.0, 0.0]] * padding])[None]
    return points_xy + 0.5, torch.tensor([*labels, *[-1] * padding])[None]


def their_prompt(kind: str) -> dict[str, Tensor | None]:
    """The same for transformers: points apart from the box."""
    points, labels = POINTS[kind]
    clicks = [(p, label) for p, label in zip(points, labels, strict=True) if label < 2] or [([0.0, 0.0], -1)]
    box = [value for p, label in zip(points, labels, strict=True) if label >= 2 for value in p]
    with_points = kind != "a box"
    return {
        "input_points": torch.tensor([[[p for p, _ in clicks]]]) if with_points else None,
        "input_labels": torch.tensor([[[label for _, label in clicks]]]) if with_points else None,
        "input_boxes": torch.tensor([[box]]) if box else None,
    }


@pytest.mark.parametrize("kind", POINTS)
def test_sparse_prompt_embeddings(pair: Pair, kind: str) -> None:
    points_xy, labels = tokens(kind)
    sparse, _ = pair.theirs.prompt_encoder(**their_prompt(kind), input_masks=None)
    assert_close(pair.ours.prompt_encoder.sparse(points_xy / SIZE, labels), sparse[0])


def test_dense_prompt_embeddings(pair: Pair, random: torch.Generator) -> None:
    logits = torch.randn(2, 1, SIZE // 4, SIZE // 4, generator=random) * 10
    without = torch.zeros(1, 1, 1, 2), torch.tensor([[[-1]]])
    _, no_mask = pair.theirs.prompt_encoder(*without, None, None)
    _, mask = pair.theirs.prompt_encoder(*without, None, logits[1:])
    ours = pair.ours.prompt_encoder.dense(logits, torch.tensor([False, True]))
    assert_close(ours[:1], no_mask)
    assert_close(ours[1:], mask)


def decoded(
    model: SAM2, features: Features, points_xy: Tensor, labels: Tensor, mask_logits: Tensor | None = None
) -> Masks:
    """One object on one image without a memory."""
    return model.decode(
        features.unconditioned,
        features.high_res_4,
        features.high_res_8,
        points_xy,
        labels,
        torch.zeros(1, 1, SIZE // 4, SIZE // 4) if mask_logits is None else mask_logits,
        torch.tensor([mask_logits is not None]),
    )


@pytest.mark.parametrize("kind", POINTS)
@pytest.mark.parametrize("with_mask", [False, True])
def test_masks_ious_and_object_scores(pair: Pair, random: torch.Generator, kind: str, with_mask: bool) -> None:
    pixels = pictures(1, random)
    fed_back = torch.randn(1, 1, SIZE // 4, SIZE // 4, generator=random) * 5
    ours = decoded(pair.ours, pair.ours.encode_image(pixels), *tokens(kind), fed_back if with_mask else None)
    sparse, dense = pair.theirs.prompt_encoder(**their_prompt(kind), input_masks=fed_back if with_mask else None)
    stride_4, stride_8, stride_16 = pair.theirs.get_image_embeddings(normalised(pixels))
    for multimask in (True, False):
        masks, ious, _, score = pair.theirs.mask_decoder(
            image_embeddings=stride_16,
            image_positional_embeddings=pair.theirs.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            high_resolution_features=[stride_4, stride_8],
        )
        candidates = slice(1, 4) if multimask else slice(0, 1)
        assert_close(ours.low_res_logits[:, candidates], masks[0], inside=masks[0] > 0)
        assert_close(ours.iou_predictions[:, candidates], ious[0])
        assert_close(ours.object_score, score[0, :, 0], size=1.0)
    assert_close(ours.stability, pair.theirs.mask_decoder._get_stability_scores(masks)[0, :, 0])


@contextmanager
def forced_presence(pair: Pair, present: bool) -> Iterator[None]:
    """Let both models find the object present, or absent, whatever they see."""
    heads = (pair.ours.mask_decoder.object_score_head.layers[-1], pair.theirs.mask_decoder.pred_obj_score_head.proj_out)
    before = heads[0].bias.clone()
    for head in heads:
        head.bias.fill_(1000.0 if present else -1000.0)
    yield
    for head in heads:
        head.bias.copy_(before)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("present", [True, False])
def test_object_pointers(pair: Pair, random: torch.Generator, multimask: bool, present: bool) -> None:
    pixels = pictures(1, random)
    features = pair.ours.encode_image(pixels)
    points_xy, labels = tokens("a click")
    with forced_presence(pair, present):
        ours = decoded(pair.ours, features, points_xy, labels)
        theirs = pair.theirs._single_frame_forward(
            input_points=points_xy[None, :, :1] - 0.5,
            input_labels=labels[None, :, :1],
            image_embeddings=pair.theirs.get_image_embeddings(normalised(pixels)),
            multimask_output=multimask,
        )
    chosen = 1 + int(ours.iou_predictions[0, 1:].argmax()) if multimask else 0
    assert_close(ours.pointers[:, chosen], theirs.object_pointer[0])
    if present:
        assert_close(ours.low_res_logits[:, chosen], theirs.pred_masks[0], inside=theirs.pred_masks[0] > 0)
    else:
        assert_close(ours.pointers[:, chosen], pair.ours.no_object_pointer[None])
        assert (theirs.pred_masks == ABSENT_LOGIT).all()


def test_pointer_of_a_mask_prompt(pair: Pair, random: torch.Generator) -> None:
    pixels = pictures(1, random)
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[..., 30:90, 41:77] = 1
    features = pair.ours.encode_image(pixels)
    reduced = pair.ours.mask_prompt_logits(mask)
    assert_close(reduced, pair.theirs.mask_downsample(mask))
    with forced_presence(pair, True):
        theirs = pair.theirs._single_frame_forward(
            input_masks=reduced,
            image_embeddings=pair.theirs.get_image_embeddings(normalised(pixels)),
            multimask_output=False,
        )
        ours = decoded(pair.ours, features, *tokens("nothing"), mask_logits=reduced)
    assert_close(ours.pointers[:, 0], theirs.object_pointer[0])


@pytest.mark.parametrize("prompted", [True, False], ids=["prompted", "tracked"])
def test_spatial_memories(pair: Pair, random: torch.Generator, prompted: bool) -> None:
    embedding = torch.randn(1, TINY.embed_dim, GRID, GRID, generator=random)
    logits = blobs(3, random)
    scores = torch.tensor([4.0, -4.0, 0.5])  # the second object is absent
    ours = pair.ours.encode_memory(embedding, logits, scores, torch.tensor([prompted] * 3))
    shown = torch.where(scores[:, None, None, None] > 0, logits, ABSENT_LOGIT)
    theirs, _ = pair.theirs._encode_new_memory(
        embedding.flatten(2).permute(2, 0, 1).expand(-1, 3, -1),
        F.interpolate(shown, scale_factor=4.0, mode="bilinear", align_corners=False),
        scores[:, None, None],
        is_mask_from_pts=prompted,
    )
    theirs = theirs.permute(1, 2, 0).unflatten(-1, (GRID, GRID))
    inside = F.max_pool2d((shown > 0).float(), 4).expand_as(theirs) > 0
    assert_close(ours, theirs, inside=inside)
    assert_close(ours[1], theirs[1])


@pytest.mark.parametrize("num_pointers", [1, 5])
def test_memory_attention(pair: Pair, random: torch.Generator, num_pointers: int) -> None:
    slots, times, span = [0, 6, 2, 1], [7, 1, 2, 3, 15][:num_pointers], 16
    embedding = torch.randn(1, TINY.embed_dim, GRID, GRID, generator=random)
    memories = torch.randn(2, len(slots), TINY.memory_dim, GRID, GRID, generator=random)
    pointers = torch.randn(2, num_pointers, TINY.embed_dim, generator=random)
    ours = pair.ours.attend(
        embedding,
        memories,
        torch.tensor([slots, slots]),
        pointers,
        (torch.tensor([times, times]) / (span - 1)),
    )
    for row in range(2):  # theirs is written for one object
        assert_close(
            ours[row], attend_as_transformers(pair.theirs, embedding, memories[row], slots, pointers[row], times)
        )


def attend_as_transformers(
    theirs: Any, embedding: Tensor, memories: Tensor, slots: list[int], pointers: Tensor, times: list[int]
) -> Tensor:
    """What `_prepare_memory_conditioned_features` does once it has gathered a session's memories."""
    places = theirs.memory_encoder.position_encoding(memories[:1].shape, "cpu", torch.float32)
    remembered = [
        (slot, {"maskmem_features": flat(memory[None]), "maskmem_pos_enc": flat(places)})
        for slot, memory in zip(slots, memories, strict=True)
    ]
    features, positions = theirs._build_memory_attention_inputs(remembered, torch.device("cpu"))
    pointer_tokens, pointer_positions = theirs._process_object_pointers(
        times, [pointer[None] for pointer in pointers], 16, 1, TINY.embed_dim, torch.device("cpu")
    )
    places = theirs.vision_encoder.neck.position_encoding(embedding.shape, "cpu", torch.float32)
    conditioned = theirs.memory_attention(
        current_vision_features=flat(embedding),
        current_vision_position_embeddings=flat(places),
        memory=torch.cat((*features, pointer_tokens)),
        memory_posision_embeddings=torch.cat((*positions, pointer_positions)),
        num_object_pointer_tokens=len(pointer_tokens),
    )
    return conditioned.reshape(GRID, GRID, -1).permute(2, 0, 1)


def flat(x: Tensor) -> Tensor:
    """(B, C, h, w) to (h*w, B, C)."""
    return x.flatten(2).permute(2, 0, 1)
