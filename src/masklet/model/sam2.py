"""The assembled model: the functions that engines run, export and training use.

    pixels -> encode_image -> (match ->) attend -> decode -> encode_memory -> (remembered) -> attend ...

Tensors in, tensors out, no state and no Python branches on values: each function is one ONNX graph. Which frames to
remember, which candidate to choose and what absence means on screen is decided elsewhere.

Source: sam2 2b90b9f, sam2_base.py `SAM2Base`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model.combined_mask import combine_masks
from masklet.model.config import ModelConfig
from masklet.model.correspondence import Correspondence
from masklet.model.image_encoder import ImageEncoder, NeckOutput
from masklet.model.layers import MLP, is_exporting
from masklet.model.mask_decoder import NUM_MASKS, DecodedMasks, MaskDecoder
from masklet.model.memory_attention import MemoryAttention, MemoryLayout
from masklet.model.memory_encoder import MemoryEncoder
from masklet.model.position_encoding import cells_averaged, rotary_table, sine_encoding_1d, sine_encoding_2d
from masklet.model.prompt_encoder import PromptEncoder
from masklet.model.prompt_maps import FinePrompts, PromptMaps
from masklet.prompts import PointLabel
from masklet.records import ABSENT_LOGIT

MEMORY_SCALE, MEMORY_BIAS = 20.0, -10.0
"""A remembered mask is its probability times the scale plus the bias."""
STABILITY_DELTA = 0.05
"""Stability of a mask: how much it shrinks when the threshold moves from -delta to +delta."""


class Features(NamedTuple):
    """Output of `SAM2.encode_image`. Engines hand it on as `masklet.records.ImageFeatures`, whose names are these."""

    embedding: Tensor
    """(B, D, h, w) input of memory attention and of the memory encoder."""
    unconditioned: Tensor
    """(B, D, h, w) input of the mask decoder without memories: the embedding plus a learned "no memory" vector."""
    high_res_4: Tensor
    """(B, D/8, 4h, 4w)"""
    high_res_8: Tensor
    """(B, D/4, 2h, 2w)"""
    keys: Tensor | None
    """(B, K, h, w) for the correspondence, where the model has one."""


class Masks(NamedTuple):
    """Output of `SAM2.decode`: four masks for each of N objects, and what is predicted of them."""

    low_res_logits: Tensor
    """(N, 4, 4h, 4w) float32"""
    iou_predictions: Tensor
    """(N, 4) in [0, 1]"""
    object_score: Tensor
    """(N,) logit"""
    stability: Tensor
    """(N,) of mask 0, in [0, 1]"""
    pointers: Tensor
    """(N, 4, D), `no_object_pointer` where the object score is not above 0"""


class SAM2(nn.Module):
    """One model of the SAM 2 family."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        dim, memory_dim = config.embed_dim, config.memory_dim
        self.image_encoder = ImageEncoder(config)
        self.prompt_encoder = PromptEncoder(dim)
        self.mask_decoder = MaskDecoder(
            embed_dim=dim,
            depth=config.decoder_depth,
            num_heads=config.decoder_heads,
            mlp_dim=config.decoder_mlp_dim,
            activation=config.decoder_activation,
            refines=config.decoder_refines,
        )
        self.memory_encoder = MemoryEncoder(
            embed_dim=dim,
            memory_dim=memory_dim,
            mask_channels=config.memory_mask_channels,
            fuser_blocks=config.memory_fuser_blocks,
            fuser_kernel=config.memory_fuser_kernel,
        )
        self.memory_attention = MemoryAttention(
            embed_dim=dim,
            memory_dim=memory_dim,
            num_layers=config.memory_layers,
            num_heads=config.memory_heads,
            mlp_dim=config.memory_mlp_dim,
        )
        self.slot_encodings = nn.Parameter(torch.randn(config.spatial_slots, memory_dim) * 0.02)
        """Row 0 for prompted frames, row i for the frame in slot i."""
        self.no_memory_embedding = nn.Parameter(torch.randn(dim) * 0.02)
        self.absent_memory = nn.Parameter(torch.zeros(memory_dim)) if config.absent_memory_embedding else None
        self.pointer_head = MLP(dim, dim, dim, 3)
        self.no_object_pointer = nn.Parameter(torch.zeros(dim))
        self.pointer_time = nn.Linear(dim, memory_dim) if config.pointer_times else None
        self.mask_prompt_conv = nn.Conv2d(1, 1, 4, stride=4)
        """Reduces a mask prompt to logits for the prompt encoder; engines run it on the host (17 numbers)."""
        self.prompt_maps = None if config.prompt_maps is None else PromptMaps(config.prompt_maps, dim)
        self.fine_prompts = (
            FinePrompts(config.prompt_maps.fine_sigmas, dim)
            if config.prompt_maps is not None and config.prompt_maps.fine_sigmas
            else None
        )
        self.correspondence = (
            None
            if config.correspondence is None
            else Correspondence(config.correspondence, config.trunk.channels[2], dim)
        )

    def encode_image(self, pixels: Tensor) -> Features:
        """Encode images: (B, S, S, 3) RGB of 0..255, any dtype."""
        encoded: NeckOutput = self.image_encoder(pixels)
        unconditioned = encoded.embedding + self.no_memory_embedding[:, None, None].to(encoded.embedding.dtype)
        keys = None if self.correspondence is None else self.correspondence.keys(encoded.trunk_16)
        return Features(encoded.embedding, unconditioned, encoded.high_res_4, encoded.high_res_8, keys)

    def match(
        self,
        keys: Tensor,
        memory_keys: Tensor,
        memory_masks: Tensor,
        slots: Tensor,
    ) -> Tensor:
        """Match B images with remembered frames, for G objects of each; only models with a correspondence.

        Args:
            keys: (B, K, h, w).
            memory_keys: (B, F, K, h, w) of F remembered frames.
            memory_masks: (B, G, F, h, w), the last channel of `encode_memory`.
            slots: (B, G, F) as in `attend`, -1 where an object does not read a frame.

        Returns:
            (B * G, 4, h, w), the `matches` of `attend`.
        """
        assert self.correspondence is not None, "only models with a correspondence match"
        return self.correspondence(keys, memory_keys, memory_masks, slots)  # type: ignore[no-any-return]

    def attend(
        self,
        embedding: Tensor,
        memory: Tensor,
        slots: Tensor,
        pointers: Tensor,
        pointer_times: Tensor,
        matches: Tensor | None = None,
    ) -> Tensor:
        """Condition an image on N objects' memories.

        Args:
            embedding: (1 or N, D, h, w).
            memory: (N, M, C, h, w), the first C = `config.memory_dim` channels of `encode_memory`. Rows and columns
                may be fewer: averages of cells, which is an approximation.
            slots: (N, M) integers: 0 prompted, else how many frames ago.
            pointers: (N, R, D).
            pointer_times: (N, R) frames ago over the span of pointer times.
            matches: (N, 4, h, w) from `match`, where the model has a correspondence.

        Returns:
            (N, D, h, w)
        """
        height, width = embedding.shape[-2:]
        over = (height, width)
        num_memories, _, memory_rows, memory_columns = memory.shape[1:]
        spatial = memory.permute(0, 1, 3, 4, 2).flatten(1, 3)  # (N, M*rows*columns, C)
        positions = self._memory_positions(memory_rows, memory_columns, over, slots)
        pointer_tokens, pointer_positions = self._pointer_tokens(pointers, pointer_times)
        head_dim, span = self.config.embed_dim // self.config.memory_heads, self.config.rope_span
        device = embedding.device
        rotary = rotary_table(*over, head_dim, span, device=device)
        key_rotary = rotary_table(memory_rows, memory_columns, head_dim, span, over=over, device=device)
        query_position = sine_encoding_2d(*over, self.config.embed_dim, device=device).flatten(1).mT
        bias = self._cells_bias((memory_rows, memory_columns), over, num_memories, pointer_tokens)
        conditioned = self.memory_attention(
            embedding.flatten(2).mT,  # (1 or N, h*w, D)
            query_position,
            memory=torch.cat((spatial, pointer_tokens.to(spatial.dtype)), dim=1),  # (N, L, C)
            memory_position=torch.cat((positions, pointer_positions), dim=1).to(spatial.dtype),
            rotary=rotary,
            layout=MemoryLayout(key_rotary, num_memories * memory_rows * memory_columns, bias),
        )
        conditioned = torch.unflatten(conditioned.mT, -1, (height, width))
        if self.correspondence is None:
            return conditioned
        assert matches is not None, "a model with a correspondence attends with matches"
        return conditioned + self.correspondence.hint(matches)

    @staticmethod
    def _cells_bias(
        size: tuple[int, int], over: tuple[int, int], num_memories: int, pointer_tokens: Tensor
    ) -> Tensor | None:
        """Return, per memory token, the log of the number of cells it averages, (L,): four equal keys count as four.

        Without it, pointers would gain weight when spatial memories are averaged. None where nothing is.

        Source: EfficientTAM (Xiong et al. 2024), its efficient cross attention.
        """
        if not is_exporting() and size == over:
            return None
        device, num_pointers = pointer_tokens.device, pointer_tokens.shape[1]
        cells = cells_averaged(size[0], over[0], device) * cells_averaged(size[1], over[1], device)
        return torch.cat(
            (cells.log().expand(num_memories * size[0] * size[1]), torch.zeros(num_pointers, device=device))
        )

    def _memory_positions(self, rows: int, columns: int, over: tuple[int, int], slots: Tensor) -> Tensor:
        """Return (N, M*rows*columns, C): the encoding of the grid position plus that of the slot."""
        grid = sine_encoding_2d(rows, columns, self.config.memory_dim, over=over, device=slots.device).flatten(1).mT
        times = self.slot_encodings[slots]  # (N, M, C)
        return (times[:, :, None] + grid).flatten(1, 2)

    def _pointer_tokens(self, pointers: Tensor, pointer_times: Tensor) -> tuple[Tensor, Tensor]:
        """Split (N, R, D) pointers into tokens as wide as a memory, (N, R * D/C, C), and encode their times."""
        dim, memory_dim = self.config.embed_dim, self.config.memory_dim
        parts = dim // memory_dim
        tokens = torch.unflatten(pointers, -1, (parts, memory_dim)).flatten(1, 2)
        if self.pointer_time is None:
            return tokens, torch.zeros_like(tokens)
        if not self.config.signed_pointer_times:
            pointer_times = pointer_times.abs()
        times = self.pointer_time(sine_encoding_1d(pointer_times, dim).to(self.pointer_time.weight.dtype))
        return tokens, times.repeat_interleave(parts, dim=1)

    def decode(
        self,
        embedding: Tensor,
        high_res_4: Tensor,
        high_res_8: Tensor,
        points_xy: Tensor,
        labels: Tensor,
        mask_logits: Tensor,
        has_mask: Tensor,
    ) -> Masks:
        """Predict masks for N objects.

        Args:
            embedding: (N, D, h, w) from `attend`, or `unconditioned`.
            high_res_4: (1 or N, D/8, 4h, 4w).
            high_res_8: (1 or N, D/4, 2h, 2w).
            points_xy: (N, P, 2) in pixels of the model's square, half a pixel included (centres at .5).
            labels: (N, P) `PointLabel` values. SAM always ends its points with one of padding.
            mask_logits: (N, 1, 4h, 4w); ignored where not `has_mask`.
            has_mask: (N,) bool.
        """
        height, width = embedding.shape[-2:]
        # Two Python numbers instead of a tensor of two, which would make the CPU wait for the GPU.
        points_01 = torch.stack((points_xy[..., 0] / (16.0 * width), points_xy[..., 1] / (16.0 * height)), dim=-1)
        sparse = self.prompt_encoder.sparse(points_01, labels)
        dense = self.prompt_encoder.dense(mask_logits, has_mask)
        if self.prompt_maps is not None:
            dense = dense + self.prompt_maps(points_01, labels, height, width)
            if self.prompt_maps.sample_features:
                sparse = sparse + self.prompt_maps.under_points(points_01, labels, (embedding, high_res_8, high_res_4))
        if self.fine_prompts is not None:
            drawn_8, drawn_4 = self.fine_prompts(points_01, labels, mask_logits, has_mask)
            high_res_8, high_res_4 = high_res_8 + drawn_8, high_res_4 + drawn_4
        image_pos = self.prompt_encoder.position.grid(height, width)
        decoded = self.mask_decoder(embedding, image_pos, sparse, dense, high_res_8, high_res_4)
        return self._masks(decoded, points_01, labels)

    def decode_tracked(self, embedding: Tensor, high_res_4: Tensor, high_res_8: Tensor) -> Masks:
        """Predict masks for N objects that have no prompt on this image.

        The same as `decode` with padding for points; what follows from the missing prompt is computed once.

        Args:
            embedding: (N, D, h, w) from `attend`.
            high_res_4: (1, D/8, 4h, 4w).
            high_res_8: (1, D/4, 2h, 2w).
        """
        height, width = embedding.shape[-2:]
        points_01 = embedding.new_zeros(1, 2, 2)
        labels = torch.full((1, 2), int(PointLabel.PADDING), device=embedding.device)
        dense = self.prompt_encoder.no_mask_embedding.to(embedding.dtype)[None, :, None, None]
        if self.prompt_maps is not None:
            dense = dense + self.prompt_maps(points_01, labels, height, width)
        if self.fine_prompts is not None:
            no_mask = embedding.new_zeros(1, 1, 4 * height, 4 * width)
            has_mask = torch.zeros(1, dtype=torch.bool, device=embedding.device)
            drawn_8, drawn_4 = self.fine_prompts(points_01, labels, no_mask, has_mask)
            high_res_8, high_res_4 = high_res_8 + drawn_8, high_res_4 + drawn_4
        sparse = self.prompt_encoder.sparse(points_01, labels).expand(embedding.shape[0], -1, -1)
        image_pos = self.prompt_encoder.position.grid(height, width)
        decoded = self.mask_decoder(embedding, image_pos, sparse, dense, high_res_8, high_res_4)
        return self._masks(decoded, points_01, labels)

    def _masks(self, decoded: DecodedMasks, points_01: Tensor, labels: Tensor) -> Masks:
        """Make the answer of the mask decoder that of the model, for (N or 1, P) points."""
        pointers = self.pointer_head(decoded.mask_tokens)
        is_present = (decoded.object_score > 0)[:, None, None]
        pointers = torch.where(is_present, pointers, self.no_object_pointer.to(pointers.dtype))
        logits = decoded.low_res_logits
        if self.config.smooth_logits:
            logits = smooth(logits)
        if self.config.combines_masks and not self.training:
            single = combine_masks(logits, decoded.iou_predictions, points_01, labels)
            logits = torch.cat((single[:, None], logits[:, 1:]), dim=1)
        return Masks(logits, decoded.iou_predictions, decoded.object_score, mask_stability(logits[:, 0]), pointers)

    def encode_memory(
        self,
        embedding: Tensor,
        low_res_logits: Tensor,
        object_score: Tensor,
        is_prompted: Tensor,
        keys: Tensor | None = None,
    ) -> Tensor:
        """Remember N objects' masks on a frame.

        Args:
            embedding: (1 or N, D, h, w) of the frame, not conditioned.
            low_res_logits: (N, 1, 4h, 4w).
            object_score: (N,) logit; an absent object's mask is remembered as empty.
            is_prompted: (N,) bool; a prompted mask is remembered as binary, another as probabilities.
            keys: (1 or N, K, h, w), where the model has a correspondence.

        Returns:
            (N, C', h, w)
        """
        is_present = (object_score > 0)[:, None, None, None]
        logits = torch.where(is_present, low_res_logits.float(), ABSENT_LOGIT)
        upscale = self.config.memory_mask_upscale
        full = logits
        if upscale > 1:
            full = F.interpolate(logits, scale_factor=float(upscale), mode="bilinear", align_corners=False)
        probability = self._remembered_probability(full, is_prompted)
        mask = (probability * MEMORY_SCALE + MEMORY_BIAS).to(embedding.dtype)
        memory = self.memory_encoder(embedding, mask)
        if self.absent_memory is not None:
            memory = memory + torch.where(is_present, 0.0, self.absent_memory[:, None, None]).to(memory.dtype)
        if keys is None:
            return memory  # type: ignore[no-any-return]
        coarse = F.avg_pool2d(self._remembered_probability(logits, is_prompted), 4)
        keys = keys.expand(memory.shape[0], -1, -1, -1)
        return torch.cat((memory, keys.to(memory.dtype), coarse.to(memory.dtype)), dim=1)

    @staticmethod
    def _remembered_probability(logits: Tensor, is_prompted: Tensor) -> Tensor:
        return torch.where(is_prompted[:, None, None, None], (logits > 0).float(), logits.sigmoid())

    def mask_prompt_logits(self, mask: Tensor) -> Tensor:
        """(N, 1, S, S) binary mask prompts to (N, 1, 4h, 4w) logits for `decode`."""
        return self.mask_prompt_conv(mask)  # type: ignore[no-any-return]


def smooth(logits: Tensor) -> Tensor:
    """Blur (N, K, H, W) by [1 2 1] / 4 both ways, edges repeated.

    Transposed convolutions of stride 2 leave a pattern of period 2, which much training takes away and little training
    does not; the blur removes exactly that frequency (docs/lab-notes.md).
    """
    padded = F.pad(logits, (1, 1, 1, 1), mode="replicate")
    rows = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 4
    return (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4


def mask_stability(logits: Tensor) -> Tensor:
    """(N, h, w) logits to (N,): IoU of the mask above +delta with the one above -delta; 1 where both are empty.

    Source: sam2 2b90b9f, mask_decoder.py `_get_stability_scores`.
    """
    strict = (logits > STABILITY_DELTA).flatten(1).sum(1).float()
    loose = (logits > -STABILITY_DELTA).flatten(1).sum(1).float()
    return torch.where(loose > 0, strict / loose.clamp(min=1.0), 1.0)


__all__ = ["NUM_MASKS", "SAM2", "Features", "Masks", "mask_stability"]
