"""Mask decoder: from an image embedding and a prompt to four masks, their IoU predictions and an object score.

Always all four masks (one for clear prompts, three for ambiguous ones): which to use is the engine's choice, so that an
exported graph is not frozen to one of the two.

Source: sam2 2b90b9f, sam/mask_decoder.py `MaskDecoder`, with the switches as released. masklet's addition, which nano
uses: `refines`. In SAM 2 no layer after the transformer mixes neighbouring cells, so each cell of stride 16 decides
about its 16 fine cells from itself and the image's fine features alone; a small model's outlines then are ragged.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model.layers import MLP, DepthwiseConv2d, LayerNorm2d
from masklet.model.packed import ACTIVATIONS
from masklet.model.two_way_transformer import TwoWayTransformer

NUM_MASKS = 4
"""Mask tokens: 0 for clear prompts, 1 to 3 the candidates of ambiguous ones."""


class DecodedMasks(NamedTuple):
    """Output of the mask decoder for N objects. `SAM2.decode` makes object pointers of the mask tokens."""

    low_res_logits: Tensor
    """(N, 4, 4h, 4w)"""
    iou_predictions: Tensor
    """(N, 4) in [0, 1]"""
    object_score: Tensor
    """(N,) logit"""
    mask_tokens: Tensor
    """(N, 4, D)"""


class Refinement(nn.Module):
    """Residual 5 x 5 convolution block on (N, C, h, w) maps, zero at initialisation.

    A ConvNeXt block without its norm and with ReLU: at stride 4 those two cost more than the convolutions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(channels, 5)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(F.relu(self.expand(self.depthwise(x))))  # type: ignore[no-any-return]


class MaskDecoder(nn.Module):
    """Predict four masks, their IoUs and an object score from an image embedding and prompt tokens.

    The two-way transformer lets tokens and image exchange information. Then the image is upscaled twice, with the
    encoder's fine maps added, and each mask token becomes a kernel whose product with the fine image is its mask.

    Args:
        embed_dim: D, width of the embedding and the tokens.
        depth: two-way blocks.
        num_heads: attention heads.
        mlp_dim: hidden width of the blocks' MLPs.
        activation: of the upscaling, "gelu" or "relu".
        refines: add a `Refinement` at each step of the upscaling (masklet's addition).
    """

    def __init__(
        self, *, embed_dim: int, depth: int, num_heads: int, mlp_dim: int, activation: str, refines: bool = False
    ) -> None:
        super().__init__()
        self.object_score_token = nn.Parameter(torch.randn(1, embed_dim) * 0.5)
        self.iou_token = nn.Parameter(torch.randn(1, embed_dim) * 0.5)
        self.mask_tokens = nn.Parameter(torch.randn(NUM_MASKS, embed_dim) * 0.5)
        self.transformer = TwoWayTransformer(embed_dim, depth, num_heads, mlp_dim)
        self.activation = ACTIVATIONS[activation]
        self.upscale_8 = nn.ConvTranspose2d(embed_dim, embed_dim // 4, 2, stride=2)
        self.norm_8 = LayerNorm2d(embed_dim // 4)
        self.upscale_4 = nn.ConvTranspose2d(embed_dim // 4, embed_dim // 8, 2, stride=2)
        self.refine_8 = Refinement(embed_dim // 4) if refines else nn.Identity()
        self.refine_4 = Refinement(embed_dim // 8) if refines else nn.Identity()
        self.mask_heads = nn.ModuleList(MLP(embed_dim, embed_dim, embed_dim // 8, 3) for _ in range(NUM_MASKS))
        self.iou_head = MLP(embed_dim, embed_dim, NUM_MASKS, 3)
        self.object_score_head = MLP(embed_dim, embed_dim, 1, 3)

    def forward(
        self,
        embedding: Tensor,
        image_pos: Tensor,
        sparse: Tensor,
        dense: Tensor,
        high_res_8: Tensor,
        high_res_4: Tensor,
    ) -> DecodedMasks:
        """Predict masks.

        Args:
            embedding: (N, D, h, w).
            image_pos: (D, h, w).
            sparse: (N, P, D) prompt tokens.
            dense: (N, D, h, w) prompt maps.
            high_res_8: (N or 1, D/4, 2h, 2w).
            high_res_4: (N or 1, D/8, 4h, 4w).
        """
        learned = torch.cat((self.object_score_token, self.iou_token, self.mask_tokens))  # (6, D)
        tokens = torch.cat((learned[None].expand(sparse.shape[0], -1, -1).to(sparse.dtype), sparse), dim=1)
        # (N, 6 + P, D) tokens and (N, h*w, D) image
        tokens, image = self.transformer(tokens, embedding + dense, image_pos)
        object_token, iou_token, mask_tokens = tokens[:, 0], tokens[:, 1], tokens[:, 2 : 2 + NUM_MASKS]
        image = torch.unflatten(image.mT, -1, embedding.shape[-2:])
        fine = self.refine_8(self.activation(self.norm_8(self.upscale_8(image) + high_res_8)))
        fine = self.refine_4(self.activation(self.upscale_4(fine) + high_res_4))  # (N, D/8, 4h, 4w)
        # (N, 4, D/8): one kernel per mask
        kernels = torch.stack([head(mask_tokens[:, i]) for i, head in enumerate(self.mask_heads)], dim=1)
        logits = torch.unflatten(kernels @ fine.flatten(2), -1, fine.shape[-2:])
        return DecodedMasks(
            low_res_logits=logits.float(),
            iou_predictions=self.iou_head(iou_token).float().sigmoid(),
            object_score=self.object_score_head(object_token)[:, 0].float(),
            mask_tokens=mask_tokens,
        )
