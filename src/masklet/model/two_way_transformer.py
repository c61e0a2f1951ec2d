"""The mask decoder's transformer: tokens attend to the image, and the image attends back to the tokens.

Source: sam2 2b90b9f, sam/transformer.py `TwoWayTransformer`.
"""

from __future__ import annotations

from torch import Tensor, nn

from masklet.model.attention import Attention
from masklet.model.packed import activated


class TwoWayBlock(nn.Module):
    """Self attention of the tokens, tokens to image, an MLP on the tokens, image to tokens."""

    def __init__(self, dim: int, num_heads: int, mlp_dim: int, *, is_first: bool) -> None:
        super().__init__()
        self.is_first = is_first
        self.self_attention = Attention(dim, num_heads)
        self.norm_self = nn.LayerNorm(dim)
        self.tokens_to_image = Attention(dim, num_heads, inner_dim=dim // 2)
        self.norm_tokens = nn.LayerNorm(dim)
        self.mlp_expand = nn.Linear(dim, mlp_dim)
        self.mlp_project = nn.Linear(mlp_dim, dim)
        self.norm_mlp = nn.LayerNorm(dim)
        self.image_to_tokens = Attention(dim, num_heads, inner_dim=dim // 2)
        self.norm_image = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, token_pos: Tensor, image_pos: Tensor) -> tuple[Tensor, Tensor]:
        if self.is_first:  # tokens are their own positions here; nothing to add to yet
            tokens = self.self_attention(tokens, tokens, tokens)
        else:
            placed = tokens + token_pos
            tokens = tokens + self.self_attention(placed, placed, tokens)
        tokens = self.norm_self(tokens)
        placed_image = image + image_pos
        tokens = self.norm_tokens(tokens + self.tokens_to_image(tokens + token_pos, placed_image, image))
        tokens = self.norm_mlp(tokens + self.mlp_project(activated(self.mlp_expand, tokens, "relu")))
        image = self.norm_image(image + self.image_to_tokens(placed_image, tokens + token_pos, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """(N, T, D) tokens and (N, D, h, w) image to the same shapes (image as (N, h*w, D))."""

    def __init__(self, dim: int, depth: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TwoWayBlock(dim, num_heads, mlp_dim, is_first=i == 0) for i in range(depth))
        self.final_attention = Attention(dim, num_heads, inner_dim=dim // 2)
        self.norm_final = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, image_pos: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            tokens: (N, T, D), which serve as their own positions.
            image: (N, D, h, w).
            image_pos: (D, h, w).
        """
        token_pos = tokens
        # Laid out as tokens once, where each of the seven projections would do it again.
        image_tokens = image.flatten(2).mT.contiguous()
        image_pos = image_pos.flatten(1).mT.to(image.dtype).contiguous()  # (h*w, D)
        for block in self.blocks:
            tokens, image_tokens = block(tokens, image_tokens, token_pos, image_pos)
        attended = self.final_attention(tokens + token_pos, image_tokens + image_pos, image_tokens)
        return self.norm_final(tokens + attended), image_tokens
