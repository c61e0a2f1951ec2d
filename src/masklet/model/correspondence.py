"""Matching of remembered pixels with the current frame: an optional addition to SAM 2's memory that nano uses.

Memory attention of a small model, trained for hours instead of weeks, follows objectness more than identity. Matching
the trunk's own features between frames needs hardly any training and carries the mask of look-alikes apart
(docs/lab-notes.md). So a memory also keeps the features of its frame as keys and the object's mask as values; each
cell of the present frame looks up its nearest keys and reads their mask. Three such heads differ in which memories they
trust (all, the prompted, the most recent) and in how far they look; what they read is offered to the mask decoder as a
map, as a hint that it can overrule.

Related: STM and STCN (Oh 2019, Cheng 2021), which have no other memory than this.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from masklet.model.config import CorrespondenceConfig
from masklet.model.position_encoding import cell_centres

_HEADS = 3
_MAX_SLOTS = 16


class Correspondence(nn.Module):
    """Keys of a frame, and the hint (N, D, h, w) that memories give for it."""

    def __init__(self, config: CorrespondenceConfig, trunk_dim: int, embed_dim: int) -> None:
        super().__init__()
        self.key_project = nn.Conv2d(trunk_dim, config.key_dim, 1)
        self.log_temperature = nn.Parameter(torch.full((_HEADS,), config.temperature).log())
        slot_bias = torch.zeros(_HEADS, _MAX_SLOTS)
        slot_bias[1, 1:] = -4.0  # the second head reads prompted memories, in slot 0
        slot_bias[2, 0] = slot_bias[2, 2:] = -3.0  # the third the most recent one, in slot 1
        self.slot_bias = nn.Parameter(slot_bias)
        self.distance_weight = nn.Parameter(torch.tensor([0.0, 0.0, 10.0]))
        """Penalty per squared distance in image sides."""
        self.expand = nn.Conv2d(_HEADS + 1, embed_dim // 2, 1)
        self.project = nn.Conv2d(embed_dim // 2, embed_dim, 1)

    def keys(self, trunk_16: Tensor) -> Tensor:
        """(B, ., h, w) trunk features to (B, key_dim, h, w) of unit length."""
        return F.normalize(self.key_project(trunk_16), dim=1)

    def forward(self, keys: Tensor, memory_keys: Tensor, memory_masks: Tensor, slots: Tensor) -> Tensor:
        """
        Args:
            keys: (1 or N, key_dim, h, w) of the present frame.
            memory_keys: (N, M, key_dim, h, w).
            memory_masks: (N, M, 1, h, w) in [0, 1].
            slots: (N, M) as in `Recall.spatial`.
        """
        height, width = keys.shape[-2:]
        queries = keys.flatten(2).mT  # (1 or N, h*w, K)
        remembered = memory_keys.permute(0, 1, 3, 4, 2).flatten(1, 3)  # (N, M*h*w, K)
        values = memory_masks.flatten(1)[..., None]  # (N, M*h*w, 1)
        weights = [self._look_up(head, queries, remembered, slots, height, width) for head in range(_HEADS)]
        readings = [weight @ values * 2 - 1 for weight in weights]
        expected = weights[0] @ remembered
        readings.append((queries * expected).sum(-1, keepdim=True))  # is there anything like this cell at all
        maps = torch.cat(readings, dim=-1).mT.reshape(-1, _HEADS + 1, height, width)
        return self.project(F.relu(self.expand(maps.to(self.expand.weight.dtype))))  # type: ignore[no-any-return]

    def _look_up(
        self, head: int, queries: Tensor, remembered: Tensor, slots: Tensor, height: int, width: int
    ) -> Tensor:
        """(N, h*w, M*h*w) weights: softmax of similarity / temperature + bias of the slot - penalty of the distance.

        All three are one product of longer vectors: the slot's bias meets a 1, and since softmax does not see what is
        the same for all keys, -w |p - p'|^2 is 2 w p.p' - w |p'|^2.
        """
        distance_weight = self.distance_weight[head]
        cells = cell_centres(height, width, queries.device).reshape(-1, 2).to(queries.dtype)  # (h*w, 2)
        query_terms = torch.cat((torch.ones_like(cells[:, :1]), 2 * distance_weight * cells), dim=-1)
        scaled = queries / self.log_temperature[head].exp()
        extended_queries = torch.cat((scaled, query_terms.expand(queries.shape[0], -1, -1).to(scaled.dtype)), dim=-1)
        bias = self.slot_bias[head][slots][:, :, None] - distance_weight * (cells**2).sum(-1)  # (N, M, h*w)
        places = cells.expand(*slots.shape, -1, -1)  # (N, M, h*w, 2)
        key_terms = torch.cat((bias[..., None], places), dim=-1).flatten(1, 2)
        extended_keys = torch.cat((remembered, key_terms.to(remembered.dtype)), dim=-1)
        return torch.softmax((extended_queries @ extended_keys.mT).float(), dim=-1).to(remembered.dtype)

    @torch.no_grad()
    def calibrate(self, trunk_16: Tensor) -> None:
        """Start as an orthogonal projection of the standardised trunk channels: it keeps their similarities."""
        mean = trunk_16.float().mean((0, 2, 3))
        deviation = trunk_16.float().std((0, 2, 3)).clamp(min=1e-3)
        weight = self.key_project.weight
        projection = torch.empty(weight.shape[0], weight.shape[1])
        nn.init.orthogonal_(projection)
        weight.copy_((projection / deviation)[:, :, None, None])
        self.key_project.bias.copy_(-(weight[:, :, 0, 0] @ mean))  # type: ignore[union-attr]
